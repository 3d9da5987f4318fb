"""Noise levels (a, s) of VE, VP and flow models, and what a perfect model would predict at them."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

# Below this the state holds nothing of the clean latent (zero-SNR schedules and flow models start there).
_NO_SIGNAL = 1e-12


class Level(NamedTuple):
    """The noise level of a sampler's state x = a·z + s·n, with z the clean latent and n standard normal noise."""

    a: float
    s: float


def ve(sigma: float) -> Level:
    """Variance exploding, as the k-diffusion samplers have it: x = z + σ·n."""
    return Level(1.0, sigma)


def vp(alpha_bar: float) -> Level:
    """Variance preserving, as DDIM and most of diffusers have it: x = √ᾱ·z + √(1-ᾱ)·n."""
    return Level(math.sqrt(alpha_bar), math.sqrt(1.0 - alpha_bar))


def flow(sigma: float) -> Level:
    """Rectified flow: x = (1-σ)·z + σ·n."""
    return Level(1.0 - sigma, sigma)


def vp_at(alphas_cumprod: Sequence[float], timestep: float) -> Level:
    """The VP level at a timestep in [0, T-1].

    Between two timesteps log ᾱ is interpolated linearly, which is what UniPC does, whose timesteps are not whole numbers.
    """
    last = len(alphas_cumprod) - 1
    position = min(max(timestep, 0.0), float(last))
    left = min(int(position), max(last - 1, 0))
    right = min(left + 1, last)
    below, above = float(alphas_cumprod[left]), float(alphas_cumprod[right])
    if position == left or below <= 0.0 or above <= 0.0:
        return vp(below if position - left < 0.5 else above)
    return vp(math.exp(math.log(below) + (math.log(above) - math.log(below)) * (position - left)))


def progress_by_timestep(alphas_cumprod: Sequence[float]) -> Callable[[Level], float]:
    """A function that says how far denoising is at a level: 1 - (t+1)/T, from 0 at the model's noisiest timestep to below 1.

    Between two timesteps log(s/a) is interpolated linearly, as k-diffusion does.

    Args:
        alphas_cumprod: ᾱ of the timesteps 0 to T-1, falling.
    """
    count = len(alphas_cumprod)
    logs = [0.5 * math.log((1 - min(alpha, 1 - 1e-12)) / max(alpha, 1e-12)) for alpha in alphas_cumprod]

    def progress(level: Level) -> float:
        log = math.log(max(level.s, 1e-12) / max(level.a, 1e-12))
        right = bisect_left(logs, log)
        if right in (0, count):
            timestep = 0.0 if right == 0 else count - 1.0
        else:
            timestep = right - (logs[right] - log) / max(logs[right] - logs[right - 1], 1e-12)
        return 1.0 - (timestep + 1.0) / count

    return progress


PREDICTIONS = ("eps", "x0", "v", "flow")

Prediction: TypeAlias = "str | tuple[float, float]"
"""One of `PREDICTIONS`, or (c_x, c_D) of one written as c_x·x + c_D·D, with D the predicted clean latent."""


def _coefficients(prediction: Prediction, level: Level) -> tuple[float, float]:
    """(c_x, c_D) of any prediction."""
    if isinstance(prediction, tuple):
        return prediction
    a, s = level
    if prediction == "x0":
        return 0.0, 1.0
    if prediction not in PREDICTIONS:
        raise ValueError(f"prediction = {prediction!r} is not known: use one of {', '.join(PREDICTIONS)}")
    if s <= 0.0:
        raise ValueError(f"the {prediction} prediction says nothing at noise level s = {s:g}: use a level above 0")
    if prediction == "eps":  # n = (x - a·D)/s
        return 1.0 / s, -a / s
    if prediction == "v":  # v = a·n - s·D
        return a / s, -(a * a + s * s) / s
    return 1.0 / s, -(a + s) / s  # velocity n - D


def to_x0(prediction: Prediction, value: Tensor, x: Tensor, level: Level) -> Tensor:
    """The clean latent D that a prediction of any kind stands for; `value` and `x` have the same shape."""
    c_x, c_d = _coefficients(prediction, level)
    return value if prediction == "x0" else (value - c_x * x) / c_d


def from_x0(prediction: Prediction, pred_x0: Tensor, x: Tensor, level: Level) -> Tensor:
    """The prediction of the given kind that stands for the clean latent `pred_x0`; the inverse of `to_x0`."""
    c_x, c_d = _coefficients(prediction, level)
    return pred_x0 if prediction == "x0" else c_x * x + c_d * pred_x0


def reference_prediction(prediction: Prediction, x: Tensor, pivot: Tensor, clean: Tensor, level: Level) -> Tensor:
    """What the model would predict if the noise in `x` were exactly the remembered one.

    As a clean latent this is y = z + (x - x*)/a, as noise it is n* = (x* - a·z)/s; v and flow follow from either.

    Args:
        prediction: `"eps"`, `"x0"`, `"v"`, `"flow"`, or the pair (c_x, c_D).
        x: the sampler's state, `[F, C, H, W]`.
        pivot: x*, where the state would be had the model always answered `clean`; `[F, C, H, W]`.
        clean: z, the latent that each frame should resemble; `[F, C, H, W]` or `[1, C, H, W]`.
        level: the noise level of `x` and `pivot`.

    Returns:
        `[F, C, H, W]` in float32, or in float64 where `pivot` is; the only tensor that is allocated.
    """
    c_x, c_d = _coefficients(prediction, level)
    # At a = 0 a state is pure noise: x and x* are equal there, and (x - x*)/a is 0 rather than 0/0.
    drift = c_d / level.a if level.a > _NO_SIGNAL else 0.0
    dtype = torch.promote_types(pivot.dtype, torch.float32)
    reference = pivot * -drift if pivot.dtype == dtype else pivot.to(dtype).mul_(-drift)
    if abs(c_x + drift) > 1e-9 * abs(c_x):  # the state drops out of eps, where only rounding is left of the sum
        reference.add_(x, alpha=c_x + drift)
    return reference.add_(clean, alpha=c_d)

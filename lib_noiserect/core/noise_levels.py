"""Noise levels (a, s) of VE, VP and flow models, and the predictions that stand for a clean latent at them."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

# Below this a, the state has no part of the clean latent: zero-SNR schedules and flow models start there.
_NO_SIGNAL = 1e-12


class Level(NamedTuple):
    """The noise level of a sampler's state x = a·z + s·n, with z the clean latent and n standard normal noise."""

    a: float
    s: float


def ve(sigma: float) -> Level:
    """Variance exploding, the space of the k-diffusion samplers: x = z + σ·n."""
    return Level(1.0, sigma)


def vp(alpha_bar: float) -> Level:
    """Variance preserving, the space of DDIM and of most of diffusers: x = √ᾱ·z + √(1-ᾱ)·n."""
    return Level(math.sqrt(alpha_bar), math.sqrt(1.0 - alpha_bar))


def flow(sigma: float) -> Level:
    """Rectified flow: x = (1-σ)·z + σ·n."""
    return Level(1.0 - sigma, sigma)


class ModelLevels:
    """The noise levels of a model's timesteps 0 … T-1, at least two, with falling ᾱ, and of the times between them."""

    def __init__(self, alphas_cumprod: Sequence[float]) -> None:
        self._alphas = [float(alpha) for alpha in alphas_cumprod]
        limited = (min(max(alpha, 1e-12), 1 - 1e-12) for alpha in self._alphas)
        self._log_sigmas = [0.5 * math.log((1 - alpha) / alpha) for alpha in limited]

    def __len__(self) -> int:
        return len(self._alphas)

    def level(self, timestep: float) -> Level:
        """The VP level at a timestep in [0, T-1]; log ᾱ is linear between two timesteps, as in UniPC."""
        last = len(self) - 1
        position = min(max(timestep, 0.0), float(last))
        left = min(int(position), last - 1)
        below, above = self._alphas[left : left + 2]
        if position == left or below <= 0.0 or above <= 0.0:
            return vp(below if position - left < 0.5 else above)
        return vp(math.exp(math.log(below) + (math.log(above) - math.log(below)) * (position - left)))

    def sigma(self, timestep: float) -> float:
        """σ = s/a at a timestep; log σ is linear between two timesteps, as in k-diffusion, and beyond both ends."""
        left = min(max(math.floor(timestep), 0), len(self) - 2)
        below, above = self._log_sigmas[left : left + 2]
        return math.exp(below + (above - below) * (timestep - left))

    def timestep(self, sigma: float) -> float:
        """The timestep of σ, the inverse of `sigma`."""
        log_sigma = math.log(sigma)
        left = min(max(bisect_right(self._log_sigmas, log_sigma) - 1, 0), len(self) - 2)
        below, above = self._log_sigmas[left : left + 2]
        return left + (log_sigma - below) / max(above - below, 1e-12)

    def progress(self, level: Level) -> float:
        """The progress of denoising at a level, 1 - (t+1)/T: from 0 at timestep T-1 to just below 1."""
        timestep = self.timestep(max(level.s, 1e-12) / max(level.a, 1e-12))
        return 1.0 - (min(max(timestep, 0.0), len(self) - 1.0) + 1.0) / len(self)


PREDICTIONS = ("eps", "x0", "v", "flow")
# One of these, or (c_x, c_D) of the prediction c_x·x + c_D·D, with D the predicted clean latent.
Prediction: TypeAlias = "str | tuple[float, float]"


def _coefficients(prediction: Prediction, level: Level) -> tuple[float, float]:
    """(c_x, c_D) of any prediction. Raises `ValueError` for an unknown one, and at s = 0, where all but x0 are undefined."""
    if isinstance(prediction, tuple):
        return prediction
    a, s = level
    if prediction == "x0":
        return 0.0, 1.0
    if prediction not in PREDICTIONS:
        raise ValueError(f"prediction = {prediction!r} is unknown: use one of {', '.join(PREDICTIONS)}")
    if s <= 0.0:
        raise ValueError(f"the {prediction} prediction is undefined at noise level s = {s:g}: use a level above 0")
    if prediction == "eps":  # n = (x - a·D)/s
        return 1.0 / s, -a / s
    if prediction == "v":  # v = a·n - s·D
        return a / s, -(a * a + s * s) / s
    return 1.0 / s, -(a + s) / s  # velocity n - D


def to_x0(prediction: Prediction, value: Tensor, x: Tensor, level: Level) -> Tensor:
    """The clean latent D that a prediction stands for; `value` and `x` have the same shape."""
    c_x, c_d = _coefficients(prediction, level)
    return value if prediction == "x0" else (value - c_x * x) / c_d


def from_x0(prediction: Prediction, pred_x0: Tensor, x: Tensor, level: Level) -> Tensor:
    """The prediction that stands for the clean latent `pred_x0`; the inverse of `to_x0`."""
    c_x, c_d = _coefficients(prediction, level)
    return pred_x0 if prediction == "x0" else c_x * x + c_d * pred_x0


def reference_prediction(prediction: Prediction, x: Tensor, pivot: Tensor, x0: Tensor, level: Level) -> Tensor:
    """The prediction of a model for which the noise in `x` is exactly the reference noise.

    As a clean latent it is y = z + (x - x*)/a, as noise n* = (x* - a·z)/s; v and flow follow from either.

    Returns `[F, …]` in float32, or in float64 where `pivot` is; the only tensor that is allocated.

    Args:
        x: the sampler's state at this level, `[F, …]`.
        pivot: x*, the state that the sampler would have reached if the model had always answered `x0`; `[F, …]`.
        x0: z, the clean latent that each frame should resemble; `[F, …]` or `[1, …]`.
    """
    c_x, c_d = _coefficients(prediction, level)
    # At a = 0 a state is pure noise: x and x* are equal, and (x - x*)/a is 0 instead of 0/0.
    drift = c_d / level.a if level.a > _NO_SIGNAL else 0.0
    dtype = torch.promote_types(pivot.dtype, torch.float32)
    reference = pivot * -drift if pivot.dtype == dtype else pivot.to(dtype).mul_(-drift)
    if abs(c_x + drift) > 1e-9 * abs(c_x):  # for eps the sum is 0 but for rounding, and x drops out
        reference.add_(x, alpha=c_x + drift)
    return reference.add_(x0, alpha=c_d)


def noised(x0: Tensor, noise: Tensor, level: Level) -> Tensor:
    """The noised latent x = a·z + s·n, `[F, …]` in the type of `noise`, computed in float32 at least."""
    dtype = torch.promote_types(noise.dtype, torch.float32)
    return torch.add(x0.to(dtype) * level.a, noise.to(dtype), alpha=level.s).to(noise.dtype)

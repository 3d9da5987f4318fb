"""Analytic-Init (Zhao et al., arXiv 2406.15735): initial noise from the Gaussian that is nearest to noised videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..core.keyframes import Keyframes
from ..core.noise_levels import Level
from ..core.settings import SettingsError

# The tensors of each kind and their shapes: F frames, L distances from the image, R frequency bands.
SHAPES = {
    # The paper's: the mean video of the data, and one variance.
    "mean": {"mean": "[F, C, h, w]", "variance": "[]"},
    # Mean and variance of the change of the image's latent, by the distance from the image.
    "conditional": {"mean": "[L, C, h, w]", "variance": "[L]"},
    # Power of the change of the image's latent, by frequency and distance; for every resolution.
    "spectral": {"power": "[L, C, R]"},
}
KINDS = tuple(SHAPES)


@dataclass(frozen=True)
class Statistics:
    """Statistics of videos in a model's latents, from which initial noise is drawn; unknown texts are empty and numbers 0."""

    kind: str  # one of `KINDS`
    values: dict[str, Tensor] = field(repr=False)  # the tensors of `SHAPES`, float32
    model: str = ""  # the name of the model whose VAE encoded the videos
    vae_scale: float = 0.0  # the VAE's scaling factor
    width: int = 0  # of the videos in pixels, like height
    height: int = 0
    frames: int = 0  # F of the videos, in latent frames
    clips: int = 0  # the number of videos
    name: str = "statistics"  # for messages

    def fits(self, shape: Sequence[int]) -> bool:
        """Whether they suit frames of the shape (C, h, w)."""
        return self.kind == "spectral" or tuple(self.values["mean"].shape[2:]) == tuple(shape[1:])

    def check(self, shape: Sequence[int], keyframes: Keyframes, vae_scale: float | None = None) -> None:
        """Raise `SettingsError` for a video whose VAE, channels, resolution or length differs.

        `shape` is (C, h, w) of a frame's latent, and `vae_scale` the scaling factor of the video's VAE; None skips its check.
        """
        named = f"statistics = {self.name!r}"
        if vae_scale and self.vae_scale and abs(vae_scale / self.vae_scale - 1) > 1e-3:
            raise SettingsError(
                f"{named} was made with the VAE scaling factor {self.vae_scale:g}, and this model's has {vae_scale:g}: "
                "use statistics of this model"
            )
        values = self.values["power" if self.kind == "spectral" else "mean"]
        if values.shape[1] != shape[0]:
            raise SettingsError(
                f"{named} is for latents with {values.shape[1]} channels, and this model's have {shape[0]}: "
                "use statistics of this model"
            )
        if not self.fits(shape):
            theirs, asked = (f"{size[1]}x{size[0]}" for size in (values.shape[2:], shape[1:]))
            theirs += f" ({self.width}x{self.height} pixels)" if self.width and self.height else ""
            raise SettingsError(
                f"{named} is for latents of {theirs}, and this job's are {asked}: use its resolution, or spectral statistics"
            )
        needed = keyframes.num_frames if self.kind == "mean" else max(abs(lag) for lag in lags(keyframes)) + 1
        if needed > len(values) or (self.kind == "mean" and needed != len(values)):
            raise SettingsError(
                f"{named} is for videos of {len(values)} frames, and this one has {keyframes.num_frames}: "
                f"use {'' if self.kind == 'mean' else 'at most '}{len(values)} frames, or other statistics"
            )

    def noise(self, clean: Tensor, noise: Tensor, level: Level, keyframes: Keyframes) -> Tensor:
        """The reference noise n of a start x = a·z + s·n that is drawn from the statistics.

            mean          x = a·E[x_0] + √(s² + a²·tr Cov/d)·ε
            conditional   x_i = a·(z_i + δ_i) + √(s² + a²·v_i)·ε_i
            spectral      x_i = a·z_i + F⁻¹[√(s² + a²·P_i(r))·F[ε_i]]

        i is the distance from the nearest keyframe. At 0, δ, v and P are zero and n is ε itself: keyframes stay pinned.
        Before a keyframe δ changes its sign, as if motion were equally likely at all times.

        Args:
            clean: z, `[F, …, C, h, w]`, or with one frame for all.
            noise: ε, standard normal, `[F, …, C, h, w]`; the result has its shape, in float32, or in float64 if it is.
            level: (a, s) of the start, s above 0.
        """
        dtype = torch.promote_types(noise.dtype, torch.float32)
        epsilon, ratio = noise.to(dtype), level.a / level.s
        if self.kind == "mean":
            spread_out = (1 + ratio**2 * float(self.values["variance"])) ** 0.5
            means = _broadcast(self.values["mean"], epsilon)
            return torch.add(spread_out * epsilon, means - clean.to(dtype), alpha=ratio)
        lag = torch.tensor(lags(keyframes))
        if self.kind == "conditional":
            gains = (1 + ratio**2 * self.values["variance"].to(epsilon)[lag.abs()]).sqrt()
            motion = _broadcast(ratio * lag.sign().to(epsilon), epsilon) * _broadcast(self.values["mean"], epsilon)[lag.abs()]
            result = motion + _broadcast(gains, epsilon) * epsilon
        else:
            white = epsilon.cpu()  # DirectML has no complex numbers
            powers = spread(self.values["power"], *white.shape[-2:])[lag.abs()].to(dtype)
            spectrum = torch.fft.rfft2(white, norm="ortho") * _broadcast((1 + ratio**2 * powers).sqrt(), white)
            result = torch.fft.irfft2(spectrum, s=white.shape[-2:], norm="ortho").to(epsilon.device)
        pinned = lag == 0
        result[pinned] = epsilon[pinned]
        return result


def _broadcast(values: Tensor, like: Tensor) -> Tensor:
    """Values `[F]` or `[F, C, …]` with the axes, the type and the device of `like`, `[F, …, C, h, w]`."""
    return values.to(like).view(len(values), *[1] * (like.ndim - values.ndim), *values.shape[1:])


def lags(keyframes: Keyframes) -> list[int]:
    """The number of frames from the nearest keyframe to each frame, negative before it; the earlier of two equally near."""
    length = keyframes.num_frames
    laps = (-length, 0, length) if keyframes.loop else (0,)
    every = [[frame - keyframe + lap for keyframe in keyframes.frames for lap in laps] for frame in range(length)]
    return [min(row, key=lambda lag: (abs(lag), lag < 0)) for row in every]


def bands(height: int, width: int, count: int) -> Tensor:
    """The frequency band of each coefficient of `torch.fft.rfft2`, `[h, w//2+1]`, a number in [0, `count` - 1].

    The bands divide the frequencies evenly, and whole numbers are their centers. Frequencies are in cycles per pixel, which
    mean the same in images of every size.
    """
    vertical = torch.fft.fftfreq(height)[:, None]
    across = torch.fft.rfftfreq(width)[None]
    largest = 0.5 * 2**0.5  # along the diagonal
    places: Tensor = (vertical**2 + across**2).sqrt() / largest * count - 0.5
    return places.clamp(0, count - 1)


def spread(power: Tensor, height: int, width: int) -> Tensor:
    """The power of each coefficient of `torch.fft.rfft2`, `[L, C, h, w//2+1]`, from that of the bands, `[L, C, R]`."""
    places = bands(height, width, power.shape[-1])
    left = places.floor().long().clamp(max=power.shape[-1] - 1)
    right = (left + 1).clamp(max=power.shape[-1] - 1)
    spread_out: Tensor = torch.lerp(power[..., left], power[..., right], (places - left).to(power))
    return spread_out


def describe(statistics: Statistics) -> dict[str, Any]:
    """The header of a file, all but the tensors."""
    return {name: value for name, value in vars(statistics).items() if name not in ("values", "name")}

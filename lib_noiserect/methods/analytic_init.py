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

KINDS = {
    "mean": "the paper's: the mean video of the data, and one variance",
    "conditional": "mean and variance of the change of the image's latent, by the distance from the image",
    "spectral": "power of the change of the image's latent, by frequency and distance; for every resolution",
}
# The tensors of each kind and their shapes: L distances from the image, R frequency bands.
SHAPES = {
    "mean": {"mean": "[F, C, h, w]", "variance": "[]"},
    "conditional": {"mean": "[L, C, h, w]", "variance": "[L]"},
    "spectral": {"power": "[L, C, R]"},
}
# The largest frequency of an image, along its diagonal, in cycles per latent pixel.
_NYQUIST = 0.5 * 2**0.5


@dataclass(frozen=True)
class Statistics:
    """Statistics of videos in a model's latents, from which initial noise is drawn.

    Attributes:
        kind: one of `KINDS`.
        values: the tensors of `SHAPES`, float32.
        model: the name of the model whose VAE encoded the videos; empty if unknown.
        vae_scale: the VAE's scaling factor; 0 if unknown.
        width, height: of the videos in pixels; 0 if unknown.
        frames: F of the videos, in latent frames.
        clips: the number of videos; 0 if unknown.
        name: for messages.
    """

    kind: str
    values: dict[str, Tensor] = field(repr=False)
    model: str = ""
    vae_scale: float = 0.0
    width: int = 0
    height: int = 0
    frames: int = 0
    clips: int = 0
    name: str = "statistics"

    def fits(self, shape: Sequence[int]) -> bool:
        """Whether they suit frames of the shape (C, h, w)."""
        return self.kind == "spectral" or tuple(self.values["mean"].shape[2:]) == tuple(shape[1:])

    def check(self, shape: Sequence[int], keyframes: Keyframes, vae_scale: float | None = None) -> None:
        """Refuse statistics that do not fit a video.

        Args:
            shape: (C, h, w) of a frame's latent.
            keyframes: the video's length and keyframes.
            vae_scale: the scaling factor of the video's VAE; None skips this check.

        Raises:
            SettingsError: channels, resolution, length or VAE differ.
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
            noise: ε, standard normal, `[F, …, C, h, w]`.
            level: (a, s) of the start, s above 0.
            keyframes: of the video.

        Returns:
            `[F, …, C, h, w]`, in float32, or in float64 where `noise` is.
        """
        dtype = torch.promote_types(noise.dtype, torch.float32)
        epsilon, (a, s) = noise.to(dtype), level
        if self.kind == "spectral":
            return self._colored(epsilon, a / s, keyframes)
        means = self._fitted("mean", epsilon)
        if self.kind == "mean":
            spread_out = (1 + (a / s) ** 2 * float(self.values["variance"])) ** 0.5
            return torch.add(spread_out * epsilon, means - clean.to(dtype), alpha=a / s)
        distances = torch.tensor(lags(keyframes))
        variances = self.values["variance"].to(epsilon)[distances.abs()]
        signs = distances.sign().to(epsilon)
        factors = (1 + (a / s) ** 2 * variances).sqrt()
        result = _per_frame((a / s) * signs, epsilon) * means[distances.abs()] + _per_frame(factors, epsilon) * epsilon
        return _keep(result, epsilon, distances)

    def _fitted(self, name: str, like: Tensor) -> Tensor:
        """Values `[L, C, h, w]` with the batch axes of `like`."""
        values = self.values[name].to(like)
        return values.view(values.shape[0], *[1] * (like.ndim - 4), *values.shape[1:])

    def _colored(self, epsilon: Tensor, ratio: float, keyframes: Keyframes) -> Tensor:
        distances = torch.tensor(lags(keyframes))
        powers = spread(self.values["power"], *epsilon.shape[-2:])[distances.abs()].to(epsilon.dtype)
        gains = (1 + ratio**2 * powers).sqrt()
        gains = gains.view(len(gains), *[1] * (epsilon.ndim - 4), *gains.shape[1:])
        spectrum = torch.fft.rfft2(epsilon.cpu(), norm="ortho") * gains  # DirectML has no complex numbers
        colored = torch.fft.irfft2(spectrum, s=epsilon.shape[-2:], norm="ortho").to(epsilon.device)
        return _keep(colored, epsilon, distances)


def _per_frame(values: Tensor, like: Tensor) -> Tensor:
    return values.view(-1, *[1] * (like.ndim - 1))


def _keep(result: Tensor, epsilon: Tensor, distances: Tensor) -> Tensor:
    """`result` with exactly the drawn noise in the keyframes."""
    pinned = distances == 0
    result[pinned] = epsilon[pinned]
    return result


def lags(keyframes: Keyframes) -> list[int]:
    """The number of frames from the nearest keyframe to each frame, negative before it; the earlier of two equally near."""

    def lag(frame: int, keyframe: int) -> int:
        if not keyframes.loop:
            return frame - keyframe
        forward = (frame - keyframe) % keyframes.num_frames
        return forward if 2 * forward <= keyframes.num_frames else forward - keyframes.num_frames

    every = [[lag(frame, keyframe) for keyframe in keyframes.frames] for frame in range(keyframes.num_frames)]
    return [min(row, key=lambda each: (abs(each), each < 0)) for row in every]


def bands(height: int, width: int, count: int) -> Tensor:
    """The frequency band of each coefficient of `torch.fft.rfft2`, `[h, w//2+1]`, a number in [0, `count` - 1].

    The bands divide the frequencies evenly, and whole numbers are their centers. Frequencies are in cycles per pixel, which
    mean the same in images of every size.
    """
    vertical = torch.fft.fftfreq(height)[:, None]
    across = torch.fft.rfftfreq(width)[None]
    places: Tensor = (vertical**2 + across**2).sqrt() / _NYQUIST * count - 0.5
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
    names = ("kind", "model", "vae_scale", "width", "height", "frames", "clips")
    return {name: getattr(statistics, name) for name in names}

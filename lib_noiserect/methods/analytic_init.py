"""The analytic start (Zhao et al., arXiv 2406.15735): x_M is drawn from the Gaussian that is nearest to noised clips."""

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
    "mean": "the paper's: the mean clip of the data, and one variance",
    "conditional": "what is added to the picture's latent: its mean and its variance, by the distance from the picture",
    "spectral": "the power of what is added to the picture's latent, by frequency and distance; for every resolution",
}
# Where a kind's numbers are in its file, with their shapes: L are distances from the picture, R bands of frequency.
SHAPES = {
    "mean": {"mean": "[F, C, h, w]", "variance": "[]"},
    "conditional": {"mean": "[L, C, h, w]", "variance": "[L]"},
    "spectral": {"power": "[L, C, R]"},
}
# The largest frequency of a picture, in cycles a latent pixel, along its diagonal.
_NYQUIST = 0.5 * 2**0.5


@dataclass(frozen=True)
class Statistics:
    """What is known of clips in a model's latents, and what a start is drawn from.

    Attributes:
        kind: one of `KINDS`.
        values: the tensors of `SHAPES`, float32.
        model: the name of the model whose VAE encoded the clips; empty if it is not known.
        vae_scale: the VAE's scaling factor; 0 if it is not known.
        width, height: of the clips in pixels; 0 if they are not known.
        frames: F of the clips, in latent frames.
        clips: how many there were; 0 if it is not known.
        name: what messages call it.
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
        """Whether they are of frames of this size, `(C, h, w)`, or of any."""
        return self.kind == "spectral" or tuple(self.values["mean"].shape[2:]) == tuple(shape[1:])

    def check(self, shape: Sequence[int], keys: Keyframes, vae_scale: float | None = None) -> None:
        """Refuse what does not fit a clip.

        Args:
            shape: (C, h, w) of a frame's latent.
            keys: the clip's length and key frames.
            vae_scale: the scaling factor of the VAE that its latents are of; None is not checked.

        Raises:
            SettingsError: the channels, the resolution, the frames or the VAE are others; the message has both.
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
            own, asked = (f"{size[1]}x{size[0]}" for size in (values.shape[2:], shape[1:]))
            own += f" ({self.width}x{self.height} pixels)" if self.width and self.height else ""
            raise SettingsError(
                f"{named} is for latents of {own}, and this job's are {asked}: "
                "use its resolution, or spectral statistics"
            )
        needed = keys.num_frames if self.kind == "mean" else max(abs(lag) for lag in lags(keys)) + 1
        if needed > len(values) or (self.kind == "mean" and needed != len(values)):
            raise SettingsError(
                f"{named} is for videos of {len(values)} frames, and this one has {keys.num_frames}: "
                f"use {'' if self.kind == 'mean' else 'at most '}{len(values)} frames, or other statistics"
            )

    def noise(self, clean: Tensor, noise: Tensor, level: Level, keys: Keyframes) -> Tensor:
        """n of the start x = a·z + s·n that is drawn from the statistics: the noise to remember.

            mean          x = a·E[x_0] + √(s² + a²·tr Cov/d)·ε
            conditional   x_i = a·(z_i + δ_i) + √(s² + a²·v_i)·ε_i
            spectral      x_i = a·z_i + F⁻¹[√(s² + a²·P_i(r))·F[ε_i]]

        i is the distance from the nearest key frame; at 0, where δ, v and P are zero, n is ε itself, so that key frames are
        pinned as ever. Before a key frame δ changes its sign, as it does where what a clip does is as likely at any time.

        Args:
            clean: z, `[F, …, C, h, w]`, or with one frame for all.
            noise: ε, standard normal, `[F, …, C, h, w]`.
            level: (a, s) of the start, s above 0.
            keys: which frames are pictures.

        Returns:
            `[F, …, C, h, w]`, in float32, or in float64 where `noise` is.
        """
        dtype = torch.promote_types(noise.dtype, torch.float32)
        epsilon, (a, s) = noise.to(dtype), level
        if self.kind == "spectral":
            return self._coloured(epsilon, a / s, keys)
        means = self._fitted("mean", epsilon)
        if self.kind == "mean":
            spread_out = (1 + (a / s) ** 2 * float(self.values["variance"])) ** 0.5
            return torch.add(spread_out * epsilon, means - clean.to(dtype), alpha=a / s)
        distances = torch.tensor(lags(keys))
        variances = self.values["variance"].to(epsilon)[distances.abs()]
        signs = distances.sign().to(epsilon)
        factors = (1 + (a / s) ** 2 * variances).sqrt()
        result = _per_frame((a / s) * signs, epsilon) * means[distances.abs()] + _per_frame(factors, epsilon) * epsilon
        return _keep(result, epsilon, distances)

    def _fitted(self, name: str, like: Tensor) -> Tensor:
        """Values `[L, C, h, w]` with the batch axes of `like`."""
        values = self.values[name].to(like)
        return values.view(values.shape[0], *[1] * (like.ndim - 4), *values.shape[1:])

    def _coloured(self, epsilon: Tensor, ratio: float, keys: Keyframes) -> Tensor:
        distances = torch.tensor(lags(keys))
        powers = spread(self.values["power"], *epsilon.shape[-2:])[distances.abs()].to(epsilon)
        gains = (1 + ratio**2 * powers).sqrt()
        gains = gains.view(len(gains), *[1] * (epsilon.ndim - 4), *gains.shape[1:])
        spectrum = torch.fft.rfft2(epsilon, norm="ortho") * gains
        coloured = torch.fft.irfft2(spectrum, s=epsilon.shape[-2:], norm="ortho")
        return _keep(coloured, epsilon, distances)


def _per_frame(values: Tensor, like: Tensor) -> Tensor:
    return values.view(-1, *[1] * (like.ndim - 1))


def _keep(result: Tensor, epsilon: Tensor, distances: Tensor) -> Tensor:
    """`result` with the key frames' noise exactly as it was drawn."""
    pinned = distances == 0
    result[pinned] = epsilon[pinned]
    return result


def lags(keys: Keyframes) -> list[int]:
    """How many frames each frame is after its nearest key frame, negative before it; of two as near, the earlier one."""

    def lag(frame: int, key: int) -> int:
        way = frame - key
        if not keys.loop:
            return way
        forward = way % keys.num_frames
        return forward if 2 * forward <= keys.num_frames else forward - keys.num_frames

    ways = [[lag(frame, key) for key in keys.frames] for frame in range(keys.num_frames)]
    return [min(found, key=lambda way: (abs(way), way < 0)) for found in ways]


def bands(height: int, width: int, count: int) -> Tensor:
    """The band of frequency of each coefficient of `torch.fft.rfft2`, `[h, w//2+1]`, as a number from 0 to `count` - 1.

    Whole numbers are the middles of the bands, which divide what is below the largest frequency evenly; frequencies are in
    cycles a pixel, so that they mean the same in pictures of every size.
    """
    vertical = torch.fft.fftfreq(height)[:, None]
    across = torch.fft.rfftfreq(width)[None]
    places: Tensor = (vertical**2 + across**2).sqrt() / _NYQUIST * count - 0.5
    return places.clamp(0, count - 1)


def spread(power: Tensor, height: int, width: int) -> Tensor:
    """The power of each coefficient of `torch.fft.rfft2`, `[L, C, h, w//2+1]`, from that of bands, `[L, C, R]`."""
    places = bands(height, width, power.shape[-1])
    left = places.floor().long().clamp(max=power.shape[-1] - 1)
    right = (left + 1).clamp(max=power.shape[-1] - 1)
    spread_out: Tensor = torch.lerp(power[..., left], power[..., right], (places - left).to(power))
    return spread_out


def describe(statistics: Statistics) -> dict[str, Any]:
    """The header, in words that a file's metadata can hold."""
    names = ("kind", "model", "vae_scale", "width", "height", "frames", "clips")
    return {name: getattr(statistics, name) for name in names}

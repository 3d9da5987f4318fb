"""Statistics of videos in one pass, for Analytic-Init: Welford's mean and variance in float32, and radial power."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .analytic_init import KINDS, Statistics, bands

BANDS = 24


@dataclass
class Gathered:
    """The running statistics of the videos so far; `count` and `state` continue a saved run."""

    kinds: Sequence[str] = KINDS
    count: int = 0  # the number of videos
    state: dict[str, Tensor] = field(default_factory=dict)  # the running values by name

    def add(self, latents: Tensor) -> None:
        """Add a video's latents, `[F, C, h, w]`, scaled like the model's.

        Raises `ValueError` if their shape differs from the others', or a value is not finite.
        """
        latents = latents.float().contiguous()
        if not bool(latents.isfinite().all()):
            raise ValueError("its latents are not all finite numbers")
        first, shape = self.state.get("shape"), torch.tensor(latents.shape)
        if first is not None and not torch.equal(first, shape):
            raise ValueError(f"its latents are {tuple(shape.tolist())} and those before {tuple(first.tolist())}")
        self.state["shape"] = shape
        self.count += 1
        if "mean" in self.kinds:
            self._welford("mean", latents)
        moved = latents - latents[:1]
        if "conditional" in self.kinds:
            self._welford("conditional", moved)
        if "spectral" in self.kinds:
            power = radial_power(moved)
            mean = self.state.setdefault("power", torch.zeros_like(power))
            mean.add_((power - mean) / self.count)

    def _welford(self, name: str, value: Tensor) -> None:
        """mean_n = mean_{n-1} + (x - mean_{n-1})/n, M_n = M_{n-1} + (x - mean_{n-1})·(x - mean_n)."""
        mean = self.state.setdefault(f"{name} mean", torch.zeros_like(value))
        squares = self.state.setdefault(f"{name} squares", torch.zeros_like(value))
        before = value - mean
        mean.add_(before / self.count)
        squares.add_(before * (value - mean))

    def finish(self, kind: str, **header: object) -> Statistics:
        """The statistics of one kind; variances divide by n, as in the authors' code. Raises `ValueError` without videos."""
        if not self.count:
            raise ValueError("no video was added")
        frames = int(self.state["shape"][0])
        if kind == "spectral":
            values = {"power": _filled(self.state["power"], *self.state["shape"].tolist()[2:])}
        else:
            variances = self.state[f"{kind} squares"].double() / self.count
            variance = variances.mean() if kind == "mean" else variances.flatten(1).mean(1)
            values = {"mean": self.state[f"{kind} mean"], "variance": variance.float()}
        return Statistics(kind, values, frames=frames, clips=self.count, **header)  # type: ignore[arg-type]


def radial_power(latents: Tensor) -> Tensor:
    """The mean power of latents `[F, C, h, w]` in each frequency band, `[F, C, R]`; of white noise, its variance.

    It is 0 in a band without any frequency of an image of this size.
    """
    height, width = latents.shape[-2:]
    power = torch.fft.rfft2(latents, norm="ortho").abs().square()
    # The transform leaves out conjugate coefficients: the others count twice.
    weights = torch.full((height, width // 2 + 1), 2.0)
    weights[:, 0] = 1.0
    if width % 2 == 0:
        weights[:, -1] = 1.0
    band = bands(height, width, BANDS).round().long().flatten()
    counts = torch.zeros(BANDS).index_add_(0, band, weights.flatten())
    sums = torch.zeros(*power.shape[:2], BANDS).index_add_(2, band, (power * weights).flatten(2))
    return sums / counts.clamp(min=1)


def _filled(power: Tensor, height: int, width: int) -> Tensor:
    """`[F, C, R]` with the bands that an image of this size leaves empty interpolated between their neighbors."""
    known = sorted(set(bands(height, width, BANDS).round().long().flatten().tolist()))
    filled = power.clone()
    for band in range(BANDS):
        left = max((each for each in known if each <= band), default=known[0])
        right = min((each for each in known if each >= band), default=known[-1])
        share = (band - left) / (right - left) if right > left else 0.0
        filled[..., band] = torch.lerp(power[..., left], power[..., right], share)
    return filled

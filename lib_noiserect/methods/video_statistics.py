"""Statistics of clips in one pass, for the analytic start: Welford's mean and variance in float32, and radial power."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from .analytic_init import KINDS, Statistics, bands

BANDS = 24


class Gathered:
    """What is known of the clips so far; a clip more at a time.

    Attributes:
        count: how many clips were added.
        state: the running values, by name; what `from_state` goes on from.
    """

    def __init__(self, kinds: Sequence[str] = tuple(KINDS)) -> None:
        self.kinds = tuple(kinds)
        self.count = 0
        self.state: dict[str, Tensor] = {}

    @classmethod
    def from_state(cls, kinds: Sequence[str], count: int, state: Mapping[str, Tensor]) -> Gathered:
        """Goes on where `state` was kept."""
        gathered = cls(kinds)
        gathered.count, gathered.state = count, dict(state)
        return gathered

    def add(self, latents: Tensor) -> None:
        """A clip's latents, `[F, C, h, w]`, scaled as the model has them.

        Raises:
            ValueError: they have another shape than those before, or hold what is no number.
        """
        latents = latents.float().contiguous()
        if not bool(latents.isfinite().all()):
            raise ValueError("its latents are not all finite numbers")
        known = self.state.get("shape")
        shape = torch.tensor(latents.shape)
        if known is not None and not torch.equal(known, shape):
            raise ValueError(f"its latents are {tuple(shape.tolist())} and those before {tuple(known.tolist())}")
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
        """The statistics of one kind; variances are of the clips themselves (by n, not n - 1), as the authors have them."""
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
    """The mean power of each band of frequency, `[F, C, R]`, of `[F, C, h, w]`: white noise has its variance in each.

    A band in which a picture of this size has no frequency has 0.
    """
    height, width = latents.shape[-2:]
    power = torch.fft.rfft2(latents, norm="ortho").abs().square()
    # The transform leaves out what is the conjugate of something else, which counts too.
    weights = torch.full((height, width // 2 + 1), 2.0)
    weights[:, 0] = 1.0
    if width % 2 == 0:
        weights[:, -1] = 1.0
    band = bands(height, width, BANDS).round().long().flatten()
    counts = torch.zeros(BANDS).index_add_(0, band, weights.flatten())
    sums = torch.zeros(*power.shape[:2], BANDS).index_add_(2, band, (power * weights).flatten(2))
    return sums / counts.clamp(min=1)


def _filled(power: Tensor, height: int, width: int) -> Tensor:
    """`[F, C, R]` with what a picture of this size has no frequency for on the lines between its neighbours."""
    known = sorted(set(bands(height, width, BANDS).round().long().flatten().tolist()))
    filled = power.clone()
    for band in range(BANDS):
        left = max((one for one in known if one <= band), default=known[0])
        right = min((one for one in known if one >= band), default=known[-1])
        share = (band - left) / (right - left) if right > left else 0.0
        filled[..., band] = torch.lerp(power[..., left], power[..., right], share)
    return filled

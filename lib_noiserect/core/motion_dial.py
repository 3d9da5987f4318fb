"""The motion dial: which ω lets how much of the model's motion survive, found by running the job's own sampler on numbers."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from .noise_levels import Level
from .settings import SettingsError

# Denser where little moves: the share of motion rises fast with the first hundredths of ω.
OMEGAS = tuple((index / 64) ** 2 for index in range(65))
_SLACK = 0.02


class UnreachableShareError(SettingsError):
    """More motion survives with ω = 0 than was asked for, since frames are free outside τ."""


@dataclass(frozen=True)
class Dial:
    """Shares of motion by ω, for one sampler, schedule and window τ.

    Attributes:
        shares: what survives with each of `OMEGAS`, ascending; the last one is 1.
    """

    shares: tuple[float, ...]

    @classmethod
    def of(cls, differences: Tensor) -> Dial:
        """From where the sampler's run with each of `OMEGAS` ended."""
        ends = [float(value) for value in differences.flatten()]
        if not 0.0 < ends[-1] < float("inf"):
            raise SettingsError(
                "omega = 'motion' does not know this sampler: nothing survives in it even with ω = 1; "
                "use another preset of omega"
            )
        # With a few large steps SDE samplers overshoot, and less than ω = 1 already lets all of the motion survive.
        return cls(tuple(accumulate((min(max(end / ends[-1], 0.0), 1.0) for end in ends), max)))

    @property
    def least(self) -> float:
        """The share that survives with ω = 0."""
        return self.shares[0]

    def omega(self, share: float) -> float:
        """The ω that lets a share in [0, 1] survive, 1 for all of it; 0 where even that lets more."""
        right = bisect_left(self.shares, share)
        if share >= 1.0 or right == 0:
            return float(share >= 1.0)
        below, above = self.shares[right - 1], self.shares[right]
        return OMEGAS[right - 1] + (OMEGAS[right] - OMEGAS[right - 1]) * (share - below) / (above - below)

    def check(self, share: float) -> None:
        """Raises `UnreachableShareError` for a share that no ω lets through."""
        if share < self.least - _SLACK:
            raise UnreachableShareError(
                f"motion = {share:g} cannot be had: with this sampler and τ, {self.least:.2f} of the motion comes back in "
                f"the steps that are not rectified; use a later tau_end, or a motion of {self.least:.2f} or more"
            )


def answer(difference: Tensor, level: Level, omega: Tensor, *, inside: bool) -> Tensor:
    """What the model is taken to say about a frame's difference to its picture, (x - x*)/a, as a clean latent.

    Its own motion is 1, and it finds as much of it in a noisy state as there is to be seen: latents have unit variance, so
    with v = s²/a² its best guess is (d + v)/(1 + v). Where v is large this is the constant motion under which a
    deterministic sampler keeps 1 - (σ_end/σ_start)^ω, and where v is small it is what the state shows already.
    Rectified, it is (1-ω)·d + ω·(d + v)/(1 + v).

    Args:
        difference: x - x*, `[W, …]`, as the sampler has it.
        level: the noise level.
        omega: ω, `[W, …]`.
        inside: whether the step is rectified.
    """
    if level.a <= 1e-6:  # nothing is to be seen yet
        return omega + torch.zeros_like(difference) if inside else torch.ones_like(difference)
    seen, variance = difference / level.a, (level.s / level.a) ** 2
    freely = (seen + variance) / (1 + variance)
    return seen + omega * (freely - seen) if inside else freely

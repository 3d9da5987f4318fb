"""The motion dial: the ω for which a chosen share of the model's motion survives in a sampler."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from .noise_levels import Level
from .settings import SettingsError

# The surviving motion rises fast with the first hundredths of ω: there the values are denser.
OMEGAS = tuple((index / 64) ** 2 for index in range(65))
_SLACK = 0.02


class UnreachableMotionError(SettingsError):
    """Even with ω = 0 more motion survives than the settings ask for, since frames are free outside τ."""


@dataclass(frozen=True)
class Dial:
    """The motion that survives for each ω, for one sampler, schedule and window τ."""

    shares: tuple[float, ...]  # of the model's motion, for each of `OMEGAS`, ascending; the last one is 1

    @classmethod
    def of(cls, differences: Tensor) -> Dial:
        """The dial of a sampler whose runs with each of `OMEGAS` ended at these differences x - x*.

        Raises `SettingsError` if no motion survives even with ω = 1.
        """
        ends = [float(value) for value in differences.flatten()]
        if not 0.0 < ends[-1] < float("inf"):
            raise SettingsError(
                "omega = 'motion' does not work with this sampler, in which no motion survives even with ω = 1: "
                "use another preset of omega"
            )
        # With a few large steps SDE samplers overshoot: then all of the motion survives already below ω = 1.
        return cls(tuple(accumulate((min(max(end / ends[-1], 0.0), 1.0) for end in ends), max)))

    def omega(self, share: float) -> float:
        """The ω in [0, 1] for which a share in [0, 1] survives; 0 for a share below the first of `shares`."""
        right = bisect_left(self.shares, share)
        if share >= 1.0 or right == 0:
            return float(share >= 1.0)
        below, above = self.shares[right - 1], self.shares[right]
        return OMEGAS[right - 1] + (OMEGAS[right] - OMEGAS[right - 1]) * (share - below) / (above - below)

    def check(self, share: float) -> None:
        """Raise `UnreachableMotionError` for a share that is below the one that survives with ω = 0."""
        least = self.shares[0]
        if share < least - _SLACK:
            raise UnreachableMotionError(
                f"motion = {share:g} is below the minimum {least:.2f} for this sampler and window: "
                f"end the window later, or use a motion of {least:.2f} or more"
            )


def moving_x0(difference: Tensor, level: Level, omega: Tensor, *, inside: bool) -> Tensor:
    """The clean latent that a model with motion 1 is assumed to answer, less the reference's; `[W, …]`.

    The model recognizes its motion in a noisy state as far as it can be seen. Latents have unit variance, so with
    d = (x - x*)/a and v = s²/a² its best guess is (d + v)/(1 + v). For large v this is a constant motion, of which a
    deterministic sampler keeps 1 - (σ_end/σ_start)^ω; for small v it is the motion in the state. Rectified, it is
    (1-ω)·d + ω·(d + v)/(1 + v). `difference` is x - x*, and `inside` tells whether the step is rectified.
    """
    if level.a <= 1e-6:  # nothing can be seen yet
        return omega + torch.zeros_like(difference) if inside else torch.ones_like(difference)
    seen, variance = difference / level.a, (level.s / level.a) ** 2
    free = (seen + variance) / (1 + variance)
    return seen + omega * (free - seen) if inside else free

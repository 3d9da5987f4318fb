"""The search for the liveliest motion of a target similarity, by bisection on short runs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from .finite import check_finite
from .motion_dial import UnreachableMotionError
from .settings import Settings, SettingsError

MAX_PROBES = 6
PROBE_STEPS = 8
PROBE_SIDE = 256


@dataclass(frozen=True, order=True)
class Probe:
    """One short run: its motion, in [0, 1], and the SSIM of its video."""

    motion: float
    ssim: float


@dataclass(frozen=True)
class Found:
    """The result of a search."""

    settings: Settings  # of the job, with ω and motion set and without a target
    probes: tuple[Probe, ...]  # the short runs, in order
    checked: Probe | None = None  # the run with the job's steps and size, mostly a little less similar; None without one
    probe_size: tuple[int, int] | None = None  # height and width in pixels of the short runs, where they were smaller

    def words(self) -> str:
        """`motion 0.4 found by SSIM in 4 short runs of 256x192 (0: 0.970, 1: 0.712, …), 0.41 in all steps: 0.790`."""
        tried = ", ".join(f"{probe.motion:.3g}: {probe.ssim:.3f}" for probe in self.probes)
        size = "" if self.probe_size is None else " of {1}x{0}".format(*self.probe_size)
        words = f"motion {self.settings.motion:.3g} found by SSIM in {len(self.probes)} short runs{size} ({tried})"
        return words if self.checked is None else f"{words}, {self.checked.motion:.3g} in all steps: {self.checked.ssim:.3f}"


def probe_size(height: int, width: int, side: int = PROBE_SIDE) -> tuple[int, int]:
    """Height and width in pixels of a short run for a video of `height` × `width`: the longer one at most `side`.

    SSIM in a smaller size is close enough, and half the side takes a quarter of the time. Smaller sizes are multiples of
    64, as VAEs and UNets need them; so the proportions may change a little.
    """
    if max(height, width) <= side:
        return height, width
    scale = side / max(height, width)
    height, width = (min(length, max(round(length * scale / 64), 1) * 64) for length in (height, width))
    return height, width


def find_motion(
    settings: Settings,
    similarity: Callable[[Settings], float],
    *,
    exact: Callable[[Settings], float] | None = None,
    max_probes: int = MAX_PROBES,
    on_probe: Callable[[int, int, Probe], None] | None = None,
) -> Found:
    """The largest motion whose video has at least the SSIM `settings.target_ssim`.

    Raises `SettingsError` if not even a still video has this similarity, and `NotFiniteError` if a similarity is NaN.

    Args:
        settings: of the job; their ω is ignored.
        similarity: the mean SSIM of a short video with these settings to its images.
        exact: the same with the job's steps and size, for a last run, whose difference corrects the result.
        max_probes: the largest number of short runs, from 3.
        on_probe: called with the number of runs so far, their largest number, and the last one.
    """
    if settings.target_ssim <= 0.0:
        raise SettingsError("target_ssim = 0 is off: use a number above 0, to 1")
    target, probes = settings.target_ssim, list[Probe]()
    most = max_probes + (2 if exact else 0)
    tell = on_probe or (lambda count, most, probe: None)

    def with_motion(motion: float) -> Settings:
        return replace(settings, omega="motion" if motion > 0.0 else "frozen", motion=motion, target_ssim=0.0)

    def ssim_of(motion: float) -> float:
        """Infinity for a motion below the window's minimum: ω = 0, which is tried first, is stiller."""
        try:
            ssim = similarity(with_motion(motion))
        except UnreachableMotionError:
            return math.inf
        check_finite(torch.tensor(ssim), "the similarity of a test video")  # NaN would count as too low
        probes.append(Probe(motion, ssim))
        tell(len(probes), most, probes[-1])
        return ssim

    if ssim_of(0.0) < target:
        raise SettingsError(
            f"target_ssim = {target:g} cannot be reached: a still video has {probes[0].ssim:.3f}; "
            "lower target_ssim, or raise tau_end"
        )
    low, high = 0.0, 1.0
    if ssim_of(high) >= target:
        low = high
    while low < high and len(probes) < max_probes and high - low > 0.01:
        middle = (low + high) / 2
        low, high = (middle, high) if ssim_of(middle) >= target else (low, middle)

    found, checked = (low if any(probe.motion == low for probe in probes) else 0.0), None
    if exact is not None and found > 0.0:
        found = max(_motion_with(target, probes), low)  # not below a tried motion, where the window may have no smaller one
        checked = Probe(found, exact(with_motion(found)))
        tell(len(probes) + 1, most, checked)
        if checked.ssim < target:
            found = _motion_with(target + _ssim_at(found, probes) - checked.ssim, probes)
            # So little motion is untried, and may be below the window's minimum.
            if 0.0 < found < min(probe.motion for probe in probes if probe.motion > 0.0) and ssim_of(found) == math.inf:
                found = 0.0
    return Found(with_motion(found), tuple(probes), checked)


def _motion_with(ssim: float, probes: Sequence[Probe]) -> float:
    """The largest motion of this SSIM, linear between the probes, in hundredths; 0 if none has it."""
    found = 0.0
    for left, right in itertools.pairwise(sorted(probes)):
        if right.ssim >= ssim:
            found = right.motion
        elif left.ssim >= ssim:
            found = left.motion + (left.ssim - ssim) / (left.ssim - right.ssim) * (right.motion - left.motion)
    return math.floor(100 * found + 1e-6) / 100


def _ssim_at(motion: float, probes: Sequence[Probe]) -> float:
    left, right = next(pair for pair in itertools.pairwise(sorted(probes)) if motion <= pair[1].motion)
    return left.ssim + (right.ssim - left.ssim) * (motion - left.motion) / (right.motion - left.motion)

"""As lively as possible, but with a wanted similarity to the picture: found by bisection on short runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from .dial import UnreachableShareError
from .settings import Settings, SettingsError

MAX_PROBES = 7
PROBE_STEPS = 8


@dataclass(frozen=True)
class Probe:
    """One short run: the motion that was asked for, in [0, 1], and the similarity that came of it."""

    motion: float
    ssim: float


@dataclass(frozen=True)
class Found:
    """What was found.

    Attributes:
        settings: those of the job, with ω and Motion filled in and no target any more.
        probes: what was tried, in order.
    """

    settings: Settings
    probes: tuple[Probe, ...]

    def words(self) -> str:
        """`motion 0.37 found by SSIM in 4 short runs (0: 0.970, 1: 0.712, 0.5: 0.781, 0.25: 0.843)`."""
        tried = ", ".join(f"{probe.motion:.3g}: {probe.ssim:.3f}" for probe in self.probes)
        return f"motion {self.settings.motion:.3g} found by SSIM in {len(self.probes)} short runs ({tried})"


def find_motion(
    settings: Settings,
    similarity: Callable[[Settings], float],
    *,
    max_probes: int = MAX_PROBES,
    on_probe: Callable[[int, int, Probe], None] | None = None,
) -> Found:
    """The largest Motion whose clip has at least the SSIM `settings.target_ssim`.

    Args:
        settings: of the job; ω is taken from what is found.
        similarity: makes a short clip with given settings and measures the mean SSIM of its frames to their pictures.
        max_probes: how many may be made, from 3.
        on_probe: told how many were made, of how many at most, and the last one.

    Raises:
        SettingsError: not even a clip in which nothing moves has the wanted similarity; the message says how much it has.
    """
    if settings.target_ssim <= 0.0:
        raise SettingsError("target_ssim = 0 asks for nothing: use a number above 0, to 1")
    wanted, probes = settings.target_ssim, list[Probe]()
    given = replace(settings, omega="motion", target_ssim=0.0)

    def reaches(motion: float) -> bool:
        try:
            ssim = similarity(replace(given, motion=motion) if motion > 0.0 else replace(given, omega="frozen"))
        except UnreachableShareError:
            return True  # below what τ lets come back: nothing is stiller than ω = 0, which has been tried
        probes.append(Probe(motion, ssim))
        if on_probe is not None:
            on_probe(len(probes), max_probes, probes[-1])
        return ssim >= wanted

    if not reaches(0.0):
        raise SettingsError(
            f"target_ssim = {wanted:g} cannot be reached: where nothing moves, the clip has {probes[0].ssim:.3f}; "
            "use a lower target_ssim, or a later tau_end"
        )
    low, high = 0.0, 1.0
    if reaches(high):
        low = high
    while low < high and len(probes) < max_probes and high - low > 0.01:
        middle = (low + high) / 2
        low, high = (middle, high) if reaches(middle) else (low, middle)
    if any(probe.motion == low and low > 0.0 for probe in probes):
        return Found(replace(given, motion=low), tuple(probes))
    return Found(replace(given, omega="frozen", motion=0.0), tuple(probes))

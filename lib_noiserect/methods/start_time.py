"""The start time M (Zhao et al., arXiv 2406.15735): all steps are taken from timestep M·T - 1 on instead of T - 1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from ..core.noise_levels import ModelLevels
from ..core.settings import SettingsError


def start_timestep(start_time: float, num_timesteps: int) -> int:
    """M·T - 1, the timestep of the first model call, counted from 0, for M in (0, 1] and a model of T timesteps."""
    return max(round(start_time * num_timesteps), 1) - 1


def trailing_timesteps(last: int, num_steps: int) -> list[int]:
    """`num_steps` timesteps spaced evenly over [0, `last`], descending from `last`.

    This is the authors' `uniform_trailing`, with halves rounded to even, computed in whole numbers: in floating point its
    steps of M·T/N give one timestep too many for some M·T and N. Raises `SettingsError` for more steps than timesteps.
    """
    if num_steps > last + 1:
        raise _too_few(last, num_steps)
    return [round(Fraction((last + 1) * (num_steps - index), num_steps)) - 1 for index in range(num_steps)]


def respaced_whole(timesteps: Sequence[int], first: int, start: int, largest: int) -> list[int]:
    """The timesteps t·start/first, which keep their proportions, in whole numbers of at most `largest`.

    The schedule, in any order, begins at `first` at full denoising strength. Raises `SettingsError` if two different
    timesteps would become one.
    """
    moved = [min(math.floor(timestep * start / first + 0.5), largest) for timestep in timesteps]
    below = [new for old, new in zip(timesteps, moved) if old <= first]
    if len(set(below)) < len({old for old in timesteps if old <= first}):
        raise _too_few(start, len(below))
    return moved


def _too_few(last: int, num_steps: int) -> SettingsError:
    return SettingsError(
        f"start_time leaves {last + 1} timesteps, too few for {num_steps} steps: use fewer steps, or a larger start_time"
    )


def respaced_sigmas(levels: ModelLevels, sigmas: Sequence[float], start_time: float) -> list[float]:
    """A schedule of σ, the largest first, moved to begin at σ(M): its timesteps keep their proportions, and 0 stays 0."""
    start, first = start_timestep(start_time, len(levels)), levels.timestep(sigmas[0])
    late = [levels.sigma(levels.timestep(sigma) * start / first) if sigma > 0 else 0.0 for sigma in sigmas]
    return [levels.sigma(start), *late[1:]]

"""The start time M (Zhao et al., arXiv 2406.15735): all steps are taken from timestep M·T - 1 on instead of T - 1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from ..core.noise_levels import ModelLevels
from ..core.settings import SettingsError


def start_timestep(start_time: float, num_timesteps: int) -> int:
    """M·T - 1, the timestep of the first model call, counted from 0.

    Args:
        start_time: M in (0, 1]; 1 is the model's noisiest timestep.
        num_timesteps: T, the number of the model's timesteps.
    """
    return max(round(start_time * num_timesteps), 1) - 1


def trailing_timesteps(last: int, num_steps: int) -> list[int]:
    """`num_steps` timesteps spaced evenly over [0, `last`], descending from `last`.

    This is the authors' `uniform_trailing`, with halves rounded to even, computed in whole numbers: in floating point its
    steps of M·T/N give one timestep too many for some M·T and N.

    Raises:
        SettingsError: there are more steps than timesteps.
    """
    _check_room(last, num_steps)
    return [round(Fraction((last + 1) * (num_steps - index), num_steps)) - 1 for index in range(num_steps)]


def respaced(timesteps: Sequence[float], first: float, start: float) -> list[float]:
    """The timesteps t·start/first, which keep their proportions.

    Args:
        timesteps: of a schedule in any order, which begins at `first` at full denoising strength.
    """
    return [timestep * start / first for timestep in timesteps]


def respaced_whole(timesteps: Sequence[int], first: int, start: int, largest: int) -> list[int]:
    """`respaced` in whole timesteps of at most `largest`.

    Raises:
        SettingsError: two different timesteps would become one.
    """
    moved = [min(math.floor(timestep + 0.5), largest) for timestep in respaced(timesteps, first, start)]
    below = [new for old, new in zip(timesteps, moved) if old <= first]
    if len(set(below)) < len({old for old in timesteps if old <= first}):
        _check_room(start, len(below), crowded=True)
    return moved


def _check_room(last: int, num_steps: int, *, crowded: bool = False) -> None:
    if crowded or num_steps > last + 1:
        raise SettingsError(
            f"start_time leaves {last + 1} timesteps, too few for {num_steps} steps: use fewer steps, or a larger start_time"
        )


def respaced_sigmas(levels: ModelLevels, sigmas: Sequence[float], start_time: float) -> list[float]:
    """A schedule of σ, the largest first, moved to begin at σ(M): its timesteps are `respaced`, and 0 stays 0."""
    start, first = start_timestep(start_time, len(levels)), levels.timestep(sigmas[0])
    late = [levels.sigma(levels.timestep(sigma) * start / first) if sigma > 0 else 0.0 for sigma in sigmas]
    return [levels.sigma(start), *late[1:]]

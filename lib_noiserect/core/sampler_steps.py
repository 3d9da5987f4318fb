"""The step of the schedule that each model call belongs to, from a rehearsal of the sampler."""

from __future__ import annotations

import functools
import itertools
import math
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .schedule import TOLERANCE

# The relative difference of levels that are equal but for float32: DPM2 a calls the model at σ = 11.730279 and 11.730277.
_SAME_LEVEL = 1e-4


@dataclass(frozen=True)
class Steps:
    """Places the model calls of a sampler in its schedule, from a rehearsal in which it ran on one number.

    A sampler calls the model once or more per step, and its callback once between two calls. Two calls at one level look
    alike (Heun ends one step and begins the next at the same σ): only the whole run tells their steps apart. The steps of
    all samplers but DPM adaptive are independent of the model's answers.
    """

    levels: Sequence[float]  # the noise level (σ or timestep) of each rehearsed call, in order
    starts: Sequence[int]  # the number of each step's first call, see `first_calls`
    schedule: Sequence[float]  # the levels in the sampler's arguments, descending to its end
    # Whether the sampler chooses its steps between two σ, the schedule (DPM fast and adaptive), evenly in log σ: positions
    # are then fractions of that range.
    log_spaced: bool
    progress: Callable[[float], float] | None = None  # of denoising at a level, in [0, 1], where τ measures it

    @property
    def num_steps(self) -> int:
        """N of the window τ; 1 where positions are fractions."""
        if self.log_spaced or self.progress is not None:
            return 1
        return len(self.starts) if self._in_order else len(self.schedule) - 1

    @functools.cached_property
    def _in_order(self) -> bool:
        # Restart goes back up: its steps are placed by level, and repeated steps are rectified again.
        return all(self.levels[one] > self.levels[following] for one, following in itertools.pairwise(self.starts))

    def positions(self) -> list[float]:
        """The positions of all rehearsed steps, as `schedule.in_window` takes them."""
        return [self._position(step, self.levels[start]) for step, start in enumerate(self.starts)]

    def _position(self, step_index: int | None, level: float) -> float:
        """The position of a step, from its index if the rehearsal has it, and from the level of its first call."""
        if self.progress is not None:
            return min(self.progress(level), 1.0 - 2 * TOLERANCE)
        if self.log_spaced:
            first, last = math.log(self.schedule[0]), math.log(self.schedule[-1])
            position = (first - math.log(max(level, 1e-12))) / (first - last) if first != last else 0.0
            return min(position, 1.0 - 2 * TOLERANCE)  # the last σ still belongs to the range
        if step_index is not None and self._in_order:
            return step_index
        # The step that contains the level begins at the last entry, but for the end, that is not below it.
        not_below = sum(entry >= level or _is_same(entry, level) for entry in self.schedule[:-1])
        return max(not_below - 1, 0)

    def follow(self) -> Callable[[float], tuple[bool, float]]:
        """For a new run: a function from the level of each call to whether the call begins a step, and to its position.

        The rehearsal places the calls as long as they come at its levels. From the first other level on (DPM adaptive),
        each call is one step, placed by its level.
        """
        rehearsed = deque(enumerate(self.levels))

        def next_call(level: float) -> tuple[bool, float]:
            if not rehearsed or not _is_same(level, rehearsed[0][1]):
                rehearsed.clear()
                return True, self._position(None, level)
            call, _ = rehearsed.popleft()
            step = bisect_right(self.starts, call) - 1
            start = self.starts[step]
            return call == start, self._position(step, self.levels[start])

        return next_call


def first_calls(num_calls: int, calls_before: Sequence[int]) -> list[int]:
    """The number of each step's first model call, from 0, from the number of calls before each callback."""
    if len(calls_before) in (0, num_calls):  # one call per step
        return list(range(num_calls))
    if calls_before[0] == 1:  # k-diffusion calls back after the first call of a step
        return [count - 1 for count in calls_before]
    return [0, *calls_before[:-1]]  # PLMS and DPM adaptive call back at the end of a step


def _is_same(level: float, other: float) -> bool:
    return abs(level - other) <= _SAME_LEVEL * max(abs(level), abs(other), 1e-3)

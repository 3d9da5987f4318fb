"""The step of the schedule that each model call belongs to, from a rehearsal of the sampler."""

from __future__ import annotations

import functools
import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .schedule import TOLERANCE

# The relative difference of levels that are equal but for float32: DPM2 a calls the model at σ = 11.730279 and 11.730277.
_SAME_LEVEL = 1e-4


@dataclass(frozen=True)
class Rehearsal:
    """The model calls of a sampler that ran on one number.

    A sampler calls the model once or more per step, and its callback once between two calls. Two calls at one level look
    alike (Heun ends one step and begins the next at the same σ): only the whole run tells their steps apart. The steps of
    all samplers but DPM adaptive are independent of the model's answers.

    Attributes:
        levels: the noise level (σ or timestep) of each model call, in order.
        step_of_call: the index of the step that each call belongs to, in order, from 0.
    """

    levels: tuple[float, ...]
    step_of_call: tuple[int, ...]

    @classmethod
    def watch(cls, run: Callable[[Callable[[float], None], Callable[[], None]], None]) -> Rehearsal:
        """Run the sampler by `run(on_call, on_callback)`, which calls the first with the level of each model call."""
        levels: list[float] = []
        calls_before: list[int] = []  # model calls before each callback
        run(levels.append, lambda: calls_before.append(len(levels)))
        if len(calls_before) in (0, len(levels)):
            starts = list(range(len(levels)))  # one call per step
        elif calls_before[0] == 1:
            starts = [count - 1 for count in calls_before]  # k-diffusion calls back after the first call of a step
        else:
            starts = [0, *calls_before[:-1]]  # PLMS and DPM adaptive call back at the end of a step
        return cls(tuple(levels), tuple(bisect_right(starts, call) - 1 for call in range(len(levels))))

    @property
    def num_steps(self) -> int:
        return self.step_of_call[-1] + 1 if self.step_of_call else 0

    def first_level(self, step_index: int) -> float:
        """The level of a step's first call."""
        return self._first_levels[step_index]

    @functools.cached_property
    def only_descends(self) -> bool:
        firsts = self._first_levels
        return all(above > below for above, below in zip(firsts, firsts[1:]))

    @functools.cached_property
    def _first_levels(self) -> list[float]:
        before = (-1, *self.step_of_call)
        return [level for level, step, last in zip(self.levels, self.step_of_call, before) if step != last]


@dataclass(frozen=True)
class Steps:
    """Places model calls in the schedule.

    Attributes:
        rehearsal: of the sampler.
        schedule: the noise levels in the sampler's arguments, descending to its end; only the first and the last for a
            sampler that chooses its steps between them.
        log_spaced: the sampler chooses its steps between two σ (DPM fast and adaptive), evenly in log σ: positions are
            then fractions of that range, and `num_steps` is 1.
        progress: the progress of denoising at a level, in [0, 1], where τ measures it; `num_steps` is then 1 too.
    """

    rehearsal: Rehearsal
    schedule: tuple[float, ...]
    log_spaced: bool
    progress: Callable[[float], float] | None = None

    @property
    def num_steps(self) -> int:
        """N of the window τ."""
        if self.log_spaced or self.progress is not None:
            return 1
        return self.rehearsal.num_steps if self._in_order else len(self.schedule) - 1

    @property
    def _in_order(self) -> bool:
        # Restart goes back up: its steps are placed by level, and repeated steps are rectified again.
        return self.rehearsal.only_descends

    def positions(self) -> list[float]:
        """The positions of all rehearsed steps, as `schedule.in_window` takes them."""
        return [self.position(step, self.rehearsal.first_level(step)) for step in range(self.rehearsal.num_steps)]

    def position(self, step_index: int | None, level: float) -> float:
        """The position of a step, from its index if the rehearsal has it, and from the level of its first call."""
        if self.progress is not None:
            return min(self.progress(level), 1.0 - 2 * TOLERANCE)
        if self.log_spaced:
            first, last = math.log(self.schedule[0]), math.log(self.schedule[-1])
            position = (first - math.log(max(level, 1e-12))) / (first - last) if first != last else 0.0
            return min(position, 1.0 - 2 * TOLERANCE)  # the last σ still belongs to the range
        if step_index is not None and self._in_order:
            return step_index
        return place(level, self.schedule)

    def follow(self) -> Follower:
        """A follower for a new run of the sampler."""
        return Follower(self)


class Follower:
    """Counts the model calls of one run and places each.

    The rehearsal places them as long as they come at its levels. From the first other level on (DPM adaptive), each call
    is one step, placed by its level.
    """

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._calls = 0
        self._as_rehearsed = True

    def next_call(self, level: float) -> tuple[bool, float]:
        """Whether the call at `level` begins a step, and the position of its step in the schedule."""
        rehearsal, call = self._steps.rehearsal, self._calls
        self._calls += 1
        if self._as_rehearsed and call < len(rehearsal.levels) and same_level(level, rehearsal.levels[call]):
            step = rehearsal.step_of_call[call]
            begins = call == 0 or rehearsal.step_of_call[call - 1] != step
            return begins, self._steps.position(step, rehearsal.first_level(step))
        self._as_rehearsed = False
        return True, self._steps.position(None, level)


def same_level(one: float, other: float) -> bool:
    return abs(one - other) <= _SAME_LEVEL * max(abs(one), abs(other), 1e-3)


def place(level: float, schedule: Sequence[float]) -> int:
    """The index of the step that contains a noise level: the last entry but the end that is not below it."""
    not_below = sum(1 for entry in schedule[:-1] if entry >= level or same_level(entry, level))
    return max(not_below - 1, 0)

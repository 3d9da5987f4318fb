"""Toy trials and ways to compute them, in a module of its own because worker processes import it by name."""

import functools
import os
import signal
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from lib_noiserect.evaluation.trials import Outcome, Trial


@dataclass(frozen=True)
class Toy(Trial):
    """A trial whose figures depend on its name and number alone, and whose job is its name."""

    experiment: str
    name: str
    number: int

    @property
    def same(self):
        return self.name, self.number

    @property
    def job(self):
        return self.name


def toys(experiment="first", names=("a", "b", "c"), numbers=2):
    return [Toy(experiment, name, number) for name in names for number in range(numbers)]


def outcome(trial):
    return Outcome({"figure": trial.number / 3, "name": trial.name}, {f"kept/{trial.name}-{trial.number}.txt": b"whole"})


def outcomes(trials):
    return [outcome(trial) for trial in trials]


@dataclass
class Counting:
    """Computes trials, counts them, and fails for the names in `bad`."""

    bad: tuple[str, ...] = ()
    made: Counter = field(default_factory=Counter)

    def __call__(self, trials):
        self.made.update(trials)
        if trials[0].name in self.bad:
            raise ArithmeticError("no figure of this")
        return outcomes(trials)


def work(compute):
    """`compute` as the engine takes it."""
    return lambda trials: functools.partial(compute, trials)


@dataclass(frozen=True)
class DyingOnce:
    """Computes trials; the first process that is given `name` is killed."""

    name: str
    marker: Path

    def __call__(self, trials):
        if trials[0].name == self.name and not self.marker.exists():
            self.marker.write_text(str(os.getpid()), encoding="utf-8")
            os.kill(os.getpid(), signal.SIGKILL)
        return outcomes(trials)


@dataclass(frozen=True)
class FailingOnce:
    """Computes trials; the first time that it is given `name`, it fails."""

    name: str
    marker: Path

    def __call__(self, trials):
        if trials[0].name == self.name and not self.marker.exists():
            self.marker.touch()
            raise MemoryError("another job has it")
        return outcomes(trials)

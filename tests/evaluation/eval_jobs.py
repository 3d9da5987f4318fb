"""Trials and ways to compute them, in a module of its own because worker processes import it by name."""

import functools
import os
import signal
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lib_noiserect.evaluation.captioned_images import CaptionedImage
from lib_noiserect.evaluation.rectification import Conditions
from lib_noiserect.evaluation.trials import Outcome, Trial

CONDITIONS = Conditions(steps=10, guidance=2.0, frames=3)
WAYS = ("left", "right", "up", "down")


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
    return Outcome(
        {"figure": trial.number / 3, "name": trial.name}, {f"kept/{trial.name}-{trial.number}.txt": b"whole"}
    )


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


def texture(seed, size=32):
    """A smooth random image, `[size, size, 3]` uint8."""
    coarse = np.random.default_rng(seed).uniform(0, 255, (size // 4 + 3, size // 4 + 3, 3))
    fine = np.kron(coarse, np.ones((4, 4, 1)))
    for axis in (0, 1):
        fine = sum(np.roll(fine, shift, axis) for shift in range(4)) / 4
    return fine[4 : 4 + size, 4 : 4 + size].round().astype(np.uint8)


def some_images(count=2):
    return [
        CaptionedImage(f"p{index}", f"a thing moving {way}", texture(index)) for index, way in zip(range(count), WAYS)
    ]


def make(trial, pixels):
    """The image, drifting to the left; the less of it is kept, the less the trial rectifies."""
    noise = np.random.default_rng(trial.seed).uniform(0, 255, pixels.shape)
    strength = 0.9 if trial.method in ("pivot", "following") else 0.6
    keep = (trial.tau_end - trial.tau_start) * strength if trial.rectifies else 0.1
    frames = [keep * np.roll(pixels, -index, 1) + (1 - keep) * noise for index in range(trial.frames)]
    return np.stack(frames).round().astype(np.uint8)


def score(video, image, caption):
    return {"image_fidelity": 0.5, "clip_model": "none", "clip_weights": caption}

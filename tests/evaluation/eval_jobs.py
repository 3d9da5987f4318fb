"""Pictures, rows and ways to make clips, in a module of its own because worker processes import it by name."""

import os
import signal
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lib_noiserect.evaluation.experiments import Conditions
from lib_noiserect.evaluation.pictures import Picture

CONDITIONS = Conditions(steps=10, guidance=2.0, frames=3)


def texture(seed, size=32):
    """A smooth random picture, `[size, size, 3]` uint8."""
    coarse = np.random.default_rng(seed).uniform(0, 255, (size // 4 + 3, size // 4 + 3, 3))
    fine = np.kron(coarse, np.ones((4, 4, 1)))
    for axis in (0, 1):
        fine = sum(np.roll(fine, shift, axis) for shift in range(4)) / 4
    return fine[4 : 4 + size, 4 : 4 + size].round().astype(np.uint8)


def some_pictures(count=2):
    return [Picture(f"p{index}", f"a thing moving {way}", texture(index)) for index, way in zip(range(count), WAYS)]


WAYS = ("left", "right", "up", "down")


def make(row, pixels):
    """The picture, drifting to the left; the less of it is kept, the less the row rectifies."""
    noise = np.random.default_rng(row.seed).uniform(0, 255, pixels.shape)
    keep = (row.tau_end - row.tau_start) * (0.9 if row.method == "pivot" else 0.6) if row.rectifies else 0.1
    frames = [keep * np.roll(pixels, -index, 1) + (1 - keep) * noise for index in range(row.frames)]
    return np.stack(frames).round().astype(np.uint8)


@dataclass
class Counting:
    """Makes clips, counts them by row, and fails for the rows whose picture is in `bad`."""

    bad: tuple[str, ...] = ()
    made: Counter = field(default_factory=Counter)

    def __call__(self, row, pixels):
        self.made[row.id] += 1
        if row.picture in self.bad:
            raise ArithmeticError("no clip of this")
        return make(row, pixels)


@dataclass(frozen=True)
class DyingOnce:
    """Makes clips; the first process that makes one of `sampler` is killed while it does so."""

    sampler: str
    marker: Path

    def __call__(self, row, pixels):
        if row.sampler == self.sampler and not self.marker.exists():
            self.marker.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return make(row, pixels)


@dataclass(frozen=True)
class FailingOnce:
    """Makes clips; the first time that one of `sampler` is made, it fails."""

    sampler: str
    marker: Path

    def __call__(self, row, pixels):
        if row.sampler == self.sampler and not self.marker.exists():
            self.marker.touch()
            raise MemoryError("another job has it")
        return make(row, pixels)


def score(clip, picture, caption):
    return {"image_fidelity": 0.5, "clip_model": "none", "clip_weights": caption}

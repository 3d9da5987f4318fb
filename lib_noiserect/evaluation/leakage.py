"""Experiments on conditional image leakage: their trials, and what is on disk of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from .lines import Lines

Experiment: TypeAlias = Literal["leakage", "start", "time-noise", "rectified-start"]
EXPERIMENTS: tuple[Experiment, ...] = get_args(Experiment)
TIMES = (0.5, 0.82, 0.9, 0.94, 0.98, 1.0)
"""t/T at which a clean clip is predicted at once."""
STARTS = (1.0, 0.94, 0.9, 0.86, 0.82)
"""M: the paper's sweep."""
KINDS = ("mean", "conditional", "spectral")
"""Of statistics, in the order of the tables; those of `methods.analytic`, which needs torch."""
RECTIFIED_STEPS, RECTIFIED_GUIDANCE, RECTIFIED_FRAMES = 10, 7.5, 16
"""As the built-in model's other experiments have them."""
PLAIN, TIME_NOISE = "plain", "timenoise"
SIBLINGS = {
    PLAIN: "none",
    "beta_m=1": "β_m = 1, a = 5",
    TIME_NOISE: "β_m = 4, a = 5",
    "beta_m=16": "β_m = 16, a = 5",
    "a=1": "β_m = 4, a = 1",
    "a=0.1": "β_m = 4, a = 0.1",
}
"""Image-conditioned models by their files' names, in the order of a table, and the TimeNoise each was trained with."""
WORLD, BUILT_IN = "world", "built-in"
"""Clips of the world itself, which a model should be like; the text-to-video model."""


@dataclass(frozen=True)
class Trial:
    """One thing to measure on one picture.

    Attributes:
        model: of `SIBLINGS`, `WORLD` or `BUILT_IN`.
        time: t/T of a prediction, or M of a clip's start.
        statistics: what a clip's start is drawn from: "none", or a kind of statistics.
        picture: the number of the held-out scene.
    """

    experiment: Experiment
    model: str
    time: float
    statistics: str
    picture: int
    steps: int
    guidance: float


def trials(experiment: Experiment, pictures: int, steps: int, guidance: float) -> list[Trial]:
    """All trials of an experiment on so many pictures."""
    settings: list[tuple[str, float, str]]
    if experiment == "leakage":
        settings = [(model, time, "none") for model in (PLAIN, TIME_NOISE) for time in TIMES]
    elif experiment == "start":
        kinds = [
            (PLAIN, "none"),
            (PLAIN, "mean"),
            (PLAIN, "conditional"),
            (TIME_NOISE, "none"),
            (TIME_NOISE, "conditional"),
        ]
        settings = [(WORLD, 1.0, "none"), *((model, time, kind) for model, kind in kinds for time in STARTS)]
    elif experiment == "time-noise":
        settings = [(WORLD, 1.0, "none"), *((model, 1.0, "none") for model in SIBLINGS)]
    else:
        steps, guidance = RECTIFIED_STEPS, RECTIFIED_GUIDANCE
        settings = [(BUILT_IN, time, "none") for time in STARTS]
        settings += [(BUILT_IN, time, kind) for kind in KINDS for time in STARTS[::2]]
    return [
        Trial(experiment, model, time, kind, picture, steps, guidance)
        for picture in range(pictures)  # a run that is stopped has measured everything on some pictures
        for model, time, kind in settings
    ]


def read_trials(folder: Path) -> Lines[Trial]:
    """What a folder has of these experiments: figures by trial. Raises `EvaluationError` where it is damaged."""
    return Lines(folder / "leakage.jsonl", Trial)

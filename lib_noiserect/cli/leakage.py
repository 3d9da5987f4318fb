"""The experiments of the command `evaluate` on conditional image leakage."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import UsageError

if TYPE_CHECKING:
    from ..evaluation.trials import Experiment

NAMES: tuple[Experiment, ...] = ("leakage", "start", "time-noise", "rectified-start")
"""As in `evaluation.trials.EXPERIMENTS`, which is not imported for the command line's help."""
# Clips of conditioned models are made without guidance: it exaggerates what the caption says, motion included.
_GUIDANCE = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add their options to the command's parser."""
    group = parser.add_argument_group(f"the experiments {', '.join(NAMES)}, on the built-in models and their world")
    group.add_argument(
        "--conditioned",
        type=Path,
        metavar="FOLDER",
        help="weights that training/condition.py wrote (default: those of the library, which time-noise is not content with)",
    )


def compute(name: Experiment, arguments: argparse.Namespace) -> None:
    """Measure what is missing of an experiment. Raises `UsageError` for what is not possible."""
    from ..evaluation.errors import need
    from ..evaluation.trials import TrialStore, trials
    from ..pipelines.trials import Measurer

    for option in ("folder", "model", "motion_adapter", "dask", "clip_model", "clip_weights", "width", "height"):
        if getattr(arguments, option):
            raise UsageError(
                f"{option} is given and the experiment {name} is of the built-in models alone: leave it out"
            )
    if arguments.processes:
        raise UsageError(f"--processes is given and the experiment {name} is computed in one process: leave it out")
    store = TrialStore(arguments.output)
    measurer = Measurer(arguments.output, arguments.conditioned, arguments.device, arguments.bfloat16)
    wanted = trials(name, arguments.pictures, arguments.steps, _GUIDANCE)
    for model in dict.fromkeys(trial.model for trial in wanted):
        measurer.check(model)
    missing = [trial for trial in wanted if trial not in store.figures]
    for trial in need("tqdm", "tqdm").tqdm(
        missing, initial=len(wanted) - len(missing), total=len(wanted), desc=name, mininterval=2
    ):
        # The same clip may be of two experiments.
        twins = (replace(trial, experiment=other) for other in NAMES[1:])
        figures = next((store.figures[twin] for twin in twins if name != "leakage" and twin in store.figures), None)
        store.append(trial, figures or measurer(trial))

"""The experiments of the command `evaluate` on conditional image leakage."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from ..cli.errors import UsageError, optional_package
from .built_in import check_built_in
from .leakage import EXPERIMENTS, Experiment, read_trials, trials

# Clips of conditioned models are made without guidance: it exaggerates what the caption says, motion included.
_GUIDANCE = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add their options to the command's parser."""
    group = parser.add_argument_group(
        f"the experiments {', '.join(EXPERIMENTS)}, on the built-in models and their world"
    )
    group.add_argument(
        "--conditioned",
        type=Path,
        metavar="FOLDER",
        help="weights that training/condition.py wrote (default: those of the library, which time-noise is not content with)",
    )


def compute(name: Experiment, arguments: argparse.Namespace) -> None:
    """Measure what is missing of an experiment. Raises `UsageError` for what is not possible."""
    from .leakage_measurer import Measurer

    check_built_in(name, arguments)
    if arguments.processes:
        raise UsageError(f"--processes is given and the experiment {name} is computed in one process: leave it out")
    store = read_trials(arguments.output)
    measurer = Measurer(arguments.output, arguments.conditioned, arguments.device, arguments.bfloat16)
    wanted = trials(name, arguments.pictures, arguments.steps, _GUIDANCE)
    for model in dict.fromkeys(trial.model for trial in wanted):
        measurer.check(model)
    missing = [trial for trial in wanted if trial not in store.values]
    bar = optional_package("tqdm", "tqdm", "an evaluation").tqdm
    for trial in bar(missing, initial=len(wanted) - len(missing), total=len(wanted), desc=name, mininterval=2):
        # The same clip may be of several experiments; what leakage measures is no clip.
        twins = (replace(trial, experiment=other) for other in EXPERIMENTS if "leakage" not in (name, other))
        figures = next((store.values[twin] for twin in twins if twin in store.values), None)
        store.append(trial, figures or measurer(trial))

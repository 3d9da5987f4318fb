"""The experiments on the built-in world, with the options of `evaluate`: `python -m benchmarks -o FOLDER --experiments …`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lib_noiserect.__main__ import Parser, run_command
from lib_noiserect.cli import evaluate

from .families import FAMILIES
from .leakage import EXPERIMENTS as ON_LEAKAGE

_WHOLE_FAMILIES = ("controls", "motion")
"""Families whose name stands for all of their experiments."""


def main(words: list[str] | None = None) -> int:
    """Compute and report what `words`, by default the program's arguments, ask for. Returns the exit code."""
    parser = Parser(
        prog="python -m benchmarks",
        description="Measure the built-in model on its world.",
        conflict_handler="resolve",  # for the help of --conditioned
    )
    names = [name for family in FAMILIES.values() for name in family.experiments]
    evaluate.add_arguments(parser, (*names, "controls (dial to long)", "motion (follow to correspondence)"))
    parser.add_argument(
        "--conditioned",
        type=Path,
        metavar="FOLDER",
        help=f"weights from training/condition.py, for the experiments {', '.join(ON_LEAKAGE[:4])}",
    )
    parser.set_defaults(run=_run)
    return run_command(parser, words)


def _run(arguments: argparse.Namespace) -> None:
    for family in _WHOLE_FAMILIES:
        if family in arguments.experiments:
            arguments.experiments = [*arguments.experiments, *FAMILIES[family].experiments]
            arguments.experiments.remove(family)
    evaluate.run(arguments, FAMILIES)


if __name__ == "__main__":
    sys.exit(main())

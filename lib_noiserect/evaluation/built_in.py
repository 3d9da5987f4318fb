"""What the experiments of the command `evaluate` share that are of the built-in models and their world alone."""

from __future__ import annotations

import argparse

from ..cli.errors import UsageError

_OF_OTHERS = ("folder", "model", "motion_adapter", "dask", "clip_model", "clip_weights", "width", "height")


def check_built_in(name: str, arguments: argparse.Namespace) -> None:
    """Raises `UsageError` for options of other pictures and models, or of what these experiments do not measure."""
    for option in _OF_OTHERS:
        if getattr(arguments, option):
            given = "a folder" if option == "folder" else f"--{option.replace('_', '-')}"
            raise UsageError(
                f"{given} is given and the experiment {name} is of the built-in models alone: leave it out"
            )

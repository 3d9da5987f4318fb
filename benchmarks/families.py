"""All families of experiments: the library's own, on any images, and those on the built-in model's world."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lib_noiserect.core.errors import UserError
from lib_noiserect.evaluation.model import Model
from lib_noiserect.evaluation.rectification_report import FAMILIES as ANY_MODEL
from lib_noiserect.evaluation.trials import Family, Plan, Results

from . import controls, controls_report, creation, creation_report, leakage, leakage_report, motion, motion_report

# Options on other images and models, which only the library's experiments have.
_ANY_MODEL_ONLY = ("folder", "model", "motion_adapter", "dask", "clip_model", "clip_weights", "width", "height")


def _plan(
    plan: Callable[..., Plan[Any]], names: Sequence[str], arguments: argparse.Namespace, model: Model, results: Results
) -> Plan[Any]:
    """A family's plan, after a refusal of options that experiments on the built-in world ignore. Raises `UserError`."""
    for option in _ANY_MODEL_ONLY:
        if getattr(arguments, option):
            said = "a folder" if option == "folder" else f"--{option.replace('_', '-')}"
            raise UserError(f"{said} has no effect on the experiment {names[0]}: leave it out")
    return plan(names, arguments, model, results)


FAMILIES = ANY_MODEL | {
    name: Family(family.EXPERIMENTS, family.Trial, functools.partial(_plan, family.plan), reporting.parts)
    for name, family, reporting in (
        ("creation", creation, creation_report),
        ("leakage", leakage, leakage_report),
        ("controls", controls, controls_report),
        ("motion", motion, motion_report),
    )
}


def results_in(folder: Path) -> Results:
    """All results in a folder. Raises `UserError` if they are damaged."""
    return Results(folder, FAMILIES)

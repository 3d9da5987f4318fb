"""What goes wrong by the user's hand: bad input, and packages that only an evaluation needs."""

from __future__ import annotations

from typing import Any

from ..core import errors as packages
from ..core.errors import MissingPackageError

__all__ = ["EvaluationError", "MissingPackageError", "need"]


class EvaluationError(ValueError):
    """Bad input; the message names it, its value and what to do."""


def need(module: str, package: str) -> Any:
    """`packages.need` for the evaluation."""
    return packages.need(module, package, "the evaluation")

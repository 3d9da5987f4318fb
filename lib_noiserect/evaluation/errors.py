"""What goes wrong by the user's hand: bad input, and packages that only an evaluation needs."""

from __future__ import annotations

import importlib
from typing import Any


class EvaluationError(ValueError):
    """Bad input; the message names it, its value and what to do."""


class MissingPackageError(ImportError):
    """A package that is not installed; the message has the pip command."""


def need(module: str, package: str) -> Any:
    """The imported `module`, which pip installs as `package`.

    Raises:
        MissingPackageError: it cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingPackageError(
            f"the evaluation needs {package} ({error}): run  python -m pip install {package}"
        ) from error

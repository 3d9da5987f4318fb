"""Packages that only some parts of the library need."""

from __future__ import annotations

import importlib
from typing import Any


class MissingPackageError(ImportError):
    """A package that is not installed; the message has the pip command."""


def need(module: str, package: str, purpose: str) -> Any:
    """The imported `module`, which pip installs as `package`.

    Raises:
        MissingPackageError: it cannot be imported; the message says what for it is needed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingPackageError(
            f"{purpose} needs {package} ({error}): run  python -m pip install {package}"
        ) from error

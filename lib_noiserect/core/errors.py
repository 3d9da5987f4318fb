"""The errors that the user can mend: input that cannot be used, and packages that only some parts of the library need."""

from __future__ import annotations

import importlib
from typing import Any


class UserError(ValueError):
    """The user's input cannot be used; the message names the value and the remedy, as "X is Y: do Z"."""


class MissingPackageError(UserError, ImportError):
    """A package is not installed; the message has the pip command."""


def need(module: str, package: str, purpose: str) -> Any:
    """Import `module`, which pip installs as `package`.

    Args:
        purpose: the subject of the message: "the scorer clip".

    Raises:
        MissingPackageError: the module cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingPackageError(f"{purpose} needs {package} ({error}): run  python -m pip install {package}") from error

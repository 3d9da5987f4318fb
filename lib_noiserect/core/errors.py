"""The errors that the user can mend: input that cannot be used, and packages that only some parts of the library need."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Iterable
from typing import Any


class UserError(ValueError):
    """The user's input cannot be used; the message names the value and the remedy, as "X is Y: do Z"."""


class MissingPackageError(UserError, ImportError):
    """A package is not installed; the message has the pip command."""


def shown(value: object) -> str:
    """`repr(value)` for a message: at most 80 characters, all of which can be printed and sent."""
    try:
        text = repr(value)
    except Exception:  # a number of more digits than Python prints, or lists in lists without end
        return f"<{type(value).__name__} that is too long to print>"
    return text if len(text) <= 80 else f"{text[:77]}..."


def printable(text: object) -> str:
    """A name from outside for a message, as `shown` and without quotes."""
    return shown(str(text)).strip("'\"")


def listed(names: Iterable[object]) -> str:
    """Names from outside for a message, sorted: at most five."""
    first = sorted(printable(name) for name in itertools.islice(names, 6))
    return ", ".join(first[:5]) + (", …" if len(first) > 5 else "")


def need(module: str, package: str, purpose: str) -> Any:
    """Import `module`, which pip installs as `package`, for the subject of a message: "the scorer clip".

    Raises `MissingPackageError` if it cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingPackageError(f"{purpose} needs {package} ({error}): run  python -m pip install {package}") from error

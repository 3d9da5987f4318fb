"""What goes wrong by the user's hand: bad input, and a package that is not installed."""

from __future__ import annotations

import importlib
from typing import Any


class UsageError(Exception):
    """Bad input. The command line prints the message, which is one line, and exits with code 2."""


def optional_package(module: str, package: str, purpose: str) -> Any:
    """The imported `module`, which the library works without.

    Raises:
        UsageError: it cannot be imported; the message has the `purpose` and the pip command for `package`.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UsageError(f"{purpose} needs {package} ({error}): run  python -m pip install {package}") from error

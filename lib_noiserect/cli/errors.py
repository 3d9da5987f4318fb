"""What goes wrong by the user's hand: bad input, and a package that is not installed."""

from __future__ import annotations

from typing import Any

from ..core.errors import MissingPackageError, UserError, need


class UsageError(UserError):
    """Bad input. The command line prints the message, which is one line, and exits with code 2."""


def optional_package(module: str, package: str, purpose: str) -> Any:
    """`packages.need`, with a `UsageError`."""
    try:
        return need(module, package, purpose)
    except MissingPackageError as error:
        raise UsageError(str(error)) from error

"""The settings as options of a command, made from FIELDS."""

from __future__ import annotations

import argparse
import re

from ..settings import FIELDS, Field, Settings, SettingsError
from .errors import UsageError

# A command is there to rectify: what `enabled` would turn off is the command itself. AnimateDiff's own noise is the web UI's.
_ROWS = [row for row in FIELDS.values() if row.name not in ("enabled", "repeat_noise")]


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add one option for each setting: `--tau-start 0.1`, `--omega 1,0.9,0.8`, `--no-pin-first-frame` …"""
    group = parser.add_argument_group("rectification")
    for row in _ROWS:
        kinds = "".join(f" {name}: {meaning}." for name, meaning in (row.choices or {}).items())
        text = f"{row.help}{kinds} Default: {_shown(row)}.".replace("%", "%%")
        # What is not given stays None, so that defaults are in FIELDS alone, and values are checked there and not here.
        if row.kind == "bool":
            group.add_argument(_option(row.name), action=argparse.BooleanOptionalAction, default=None, help=text)
        elif row.choices is not None:
            metavar = "|".join(name.replace(" ", "-") for name in row.choices)
            group.add_argument(_option(row.name), metavar=metavar, type=lambda name: name.replace("-", " "), help=text)
        else:
            group.add_argument(_option(row.name), metavar="X" if row.kind == "number" else "PRESET|X,X,…", help=text)


def settings_of(arguments: argparse.Namespace) -> Settings:
    """The settings that the options of `add_settings` ask for, enabled. Raises `UsageError` for a wrong value."""
    given = {row.name: getattr(arguments, row.name) for row in _ROWS}
    try:
        return Settings.from_mapping(
            {"enabled": True, **{name: value for name, value in given.items() if value is not None}}
        )
    except SettingsError as error:
        raise as_usage_error(error) from error


def as_usage_error(error: SettingsError) -> UsageError:
    """The error with its settings named as options."""
    names = "|".join(row.name for row in _ROWS)
    return UsageError(re.sub(rf"\b({names})\b", lambda found: _option(found[0]), str(error)))


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _shown(row: Field) -> str:
    if row.kind == "bool":
        return "on" if row.default else "off"
    return f"{row.default:g}" if row.kind == "number" else str(row.default)

"""The settings as options of a command, made from FIELDS."""

from __future__ import annotations

import argparse
import re

from ..core.settings import CREATION, FIELDS, Field, Settings, SettingsError
from .errors import UsageError

# A command is there to rectify: what `enabled` would turn off is the command itself. AnimateDiff's own noise is the web UI's.
# The command `create` has options of its own for what it makes through a picture. Files of statistics are given by their
# paths here, by the one command that takes them.
_ROWS = [row for row in FIELDS.values() if row.name not in ("enabled", "repeat_noise", "statistics", *CREATION)]


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


def add_model_and_sampling(parser: argparse.ArgumentParser) -> None:
    """Add what every command that makes clips has: the model, the sampling and the size."""
    add_model(parser)
    sampling = parser.add_argument_group("sampling")
    sampling.add_argument("--sampler", help="ddim, euler, euler a, dpm++ 2m karras, lcm … (default: the model's own)")
    sampling.add_argument("--steps", type=int, default=25, help="default: %(default)s")
    sampling.add_argument("--guidance", type=float, default=7.5, metavar="SCALE", help="default: %(default)s")
    sampling.add_argument("--frames", type=int, default=16, help="default: %(default)s")
    sampling.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    size = parser.add_argument_group("size")
    size.add_argument("--width", type=int, help="in pixels (default: the model's own)")
    size.add_argument("--height", type=int, help="in pixels (default: the model's own)")
    size.add_argument("--fps", type=float, default=8, help="frames a second (default: %(default)s)")
    size.add_argument("--scale", type=int, help="enlarge the clip by a whole factor (default: to 256 pixels or more)")


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add which model, and where it runs."""
    model = parser.add_argument_group("model")
    model.add_argument("--model", metavar="FOLDER|ID", help="a diffusers model (default: the built-in one)")
    model.add_argument("--motion-adapter", metavar="FOLDER|ID", help="AnimateDiff's motion modules for --model")
    model.add_argument("--device", help="cpu, cuda, mps (default: a GPU if there is one)")


def check_numbers(arguments: argparse.Namespace) -> None:
    """Raises `UsageError` for what of `add_model_and_sampling` is out of range or does not go together."""
    limits = {"steps": (1, 1000), "frames": (1, 1024), "guidance": (0, 100), "seed": (0, 2**63 - 1)}
    limits |= {"width": (16, 4096), "height": (16, 4096), "scale": (1, 64)}
    for name, (least, most) in limits.items():
        value = getattr(arguments, name, None)
        if value is not None and not least <= value <= most:
            raise UsageError(f"--{name} = {value} is out of range: use {least} to {most}")
    for name in ("width", "height"):
        value = getattr(arguments, name)
        if value is not None and value % 8:
            raise UsageError(f"--{name} = {value} is no multiple of 8: use {value // 8 * 8} or {value // 8 * 8 + 8}")
    if arguments.motion_adapter and not arguments.model:
        raise UsageError("--motion-adapter is given without --model: the built-in model has its own motion modules")


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

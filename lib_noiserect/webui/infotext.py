"""The lines that a job leaves in the infotext: its settings, what really happened, and warnings."""

from __future__ import annotations

from typing import Any

from ..settings import FIELDS, Settings

# AnimateDiff's paste handler eats keys that begin with its own name, so ours begin with this one.
PREFIX = "Noise Rectification"
STEPS_KEY = f"{PREFIX} steps"
WARNING_KEY = f"{PREFIX} warning"


def key(field_name: str) -> str:
    """The infotext key of a setting; plain letters only, which is what the host's parser takes."""
    return f"{PREFIX} {field_name.replace('_', ' ')}"


def text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"{entry:g}" for entry in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def write_settings(p: Any, settings: Settings) -> None:
    # A new dict: the cells of an X/Y/Z plot are copies of one job and share the old one.
    p.extra_generation_params = {**_others(p), **{key(name): text(getattr(settings, name)) for name in FIELDS}}


def write_warnings(p: Any, warnings: list[str]) -> None:
    if warnings:
        p.extra_generation_params[WARNING_KEY] = "; ".join(warnings)


def clear(p: Any) -> None:
    """Take out what another cell of an X/Y/Z plot left."""
    if len(_others(p)) < len(p.extra_generation_params):
        p.extra_generation_params = _others(p)


def _others(p: Any) -> dict[str, Any]:
    return {name: value for name, value in p.extra_generation_params.items() if not name.startswith(PREFIX)}

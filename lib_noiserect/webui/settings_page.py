"""The extension's page in the host's settings: what is on it, what its values may be, and the logger that it governs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
from modules import shared

from ..core.settings import AUTHORS_PRESET, MAX_OMEGA_ENTRIES, PRESETS, Settings, SettingsError

LOG_LEVEL = "noise_rectification_log_level"
DEFAULT_PRESET = "noise_rectification_default_preset"
COMPARISON = "noise_rectification_comparison"
CANDIDATES = "noise_rectification_candidates"
API_OMEGA_ENTRIES = "noise_rectification_api_omega_entries"
PAGE = ("noise_rectification", "Noise Rectification")
_LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR"]

logger = logging.getLogger("noise_rectification")


@dataclass(frozen=True)
class _Option:
    """One entry of the page. `is_allowed` takes any value that a damaged settings file or a request may hold."""

    default: Any
    label: str
    help: str
    is_allowed: Callable[[Any], bool]
    component: Any
    component_args: dict[str, Any] = field(default_factory=dict)
    needs_reload: bool = False


_OPTIONS = {
    DEFAULT_PRESET: _Option(
        AUTHORS_PRESET,
        "Default preset",
        f"what the accordion starts with; values of your own in Settings → Defaults count with {AUTHORS_PRESET} only",
        lambda value: isinstance(value, str) and value in PRESETS,
        gr.Dropdown,
        {"choices": list(PRESETS)},
        needs_reload=True,
    ),
    COMPARISON: _Option(
        False,
        "Compare each rectified clip with its picture",
        "a sheet with five frames, SSIM, PSNR and motion, saved beside the clip and shown with it; "
        "not in X/Y/Z plots, and by the API for override_settings only",
        lambda value: isinstance(value, bool),
        gr.Checkbox,
    ),
    CANDIDATES: _Option(
        True,
        "Show the candidates beside a clip that was created through one of them",
        "the one that was taken is saved too; by the API for override_settings only",
        lambda value: isinstance(value, bool),
        gr.Checkbox,
    ),
    API_OMEGA_ENTRIES: _Option(
        MAX_OMEGA_ENTRIES,
        "Longest list of ω that an API request may send",
        f"1 to {MAX_OMEGA_ENTRIES} numbers, one a frame",
        lambda value: _is_number(value) and 1 <= value <= MAX_OMEGA_ENTRIES and value == int(value),
        gr.Slider,
        {"minimum": 1, "maximum": MAX_OMEGA_ENTRIES, "step": 1},
    ),
    LOG_LEVEL: _Option(
        "INFO",
        "Log level",
        "in the console; INFO is one line a job",
        lambda value: value in _LEVELS,
        gr.Dropdown,
        {"choices": _LEVELS},
    ),
}


def add_options() -> None:
    """Add the page; the host builds its settings after the tabs, so the tab's `ui()` is early enough."""
    for name, option in _OPTIONS.items():
        info = shared.OptionInfo(
            option.default,
            option.label,
            option.component,
            option.component_args,
            onchange=apply_log_level if name == LOG_LEVEL else None,
            section=PAGE,
        ).info(option.help)
        shared.opts.add_option(name, info.needs_reload_ui() if option.needs_reload else info)
    _add_handler()
    for name in _OPTIONS:
        # The settings page sends the raw values back, and the host applies none of its settings while one has a wrong type.
        shared.opts.data[name] = _read(name)
    apply_log_level()


def apply_log_level() -> None:
    logger.setLevel(_read(LOG_LEVEL))


def default_preset() -> str:
    """The name of the preset that the accordion starts with, one of PRESETS."""
    return str(_read(DEFAULT_PRESET))


def comparison_wanted(p: Any) -> bool:
    """Whether a job is to end with a comparison.

    A request to the API gets no picture that it did not ask for: its writer counts frames, and whoever ticks the box in the
    settings may be somebody else.
    """
    return _wanted(p, COMPARISON)


def candidates_wanted(p: Any) -> bool:
    """Whether a job is to show its candidates beside its clip; the same of the API."""
    return _wanted(p, CANDIDATES)


def _wanted(p: Any, name: str) -> bool:
    if p.is_api and name not in p.override_settings:
        return False
    return bool(_read(name))


def longest_api_omega() -> int:
    """The most numbers that a list of ω may have in an API request, 1 to MAX_OMEGA_ENTRIES."""
    return int(_read(API_OMEGA_ENTRIES))


def check_api_settings(settings: Settings) -> None:
    """Raises `SettingsError` for a list of ω that is longer than the settings page lets an API request send."""
    most = longest_api_omega()
    if isinstance(settings.omega, tuple) and len(settings.omega) > most:
        option = f"Settings → {PAGE[1]} → {_OPTIONS[API_OMEGA_ENTRIES].label}"
        raise SettingsError(f"omega has {len(settings.omega)} entries: use 1 to {most}, or change {option}")


def _add_handler() -> None:
    """The host shows no messages below warning of loggers that it does not know, so this one has a handler of its own."""
    if not logger.handlers:  # Reload UI comes here again
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("[Noise Rectification] %(levelname)s: %(message)s"))
        logger.addHandler(handler)
        logger.propagate = False


def _read(name: str) -> Any:
    """An option's value; its default, with a warning, where the settings file or a request has one that is not allowed."""
    option = _OPTIONS[name]
    value = shared.opts.data.get(name, option.default)
    if option.is_allowed(value):
        return value
    logger.warning("the setting %s cannot be %.80r: %r is used", name, value, option.default)
    return option.default


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)

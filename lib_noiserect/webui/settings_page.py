"""The extension's page in the host's settings, the valid values of its options, and the extension's logger."""

from __future__ import annotations

import logging
from typing import Any

import gradio as gr
from modules import shared

from ..core.settings import MAX_OMEGA_ENTRIES, Settings, SettingsError
from .report import RECENT

COMPARISON = "noise_rectification_comparison"
CANDIDATES = "noise_rectification_candidates"
API_OMEGA_ENTRIES = "noise_rectification_api_omega_entries"
PAGE = ("noise_rectification", "Noise Rectification")

logger = logging.getLogger("noise_rectification")


# fmt: off
_OPTIONS = {
    COMPARISON: ("Compare each rectified video with its image", False,
        "saves and shows a sheet of five frames with SSIM, PSNR and motion; not in X/Y/Z plots; in the API only by "
        "override_settings"),
    CANDIDATES: ("Show the candidates beside a video created from text", True,
        "also saves the selected one; in the API only by override_settings"),
    API_OMEGA_ENTRIES: ("Longest list of ω in an API request", MAX_OMEGA_ENTRIES,
        f"1 to {MAX_OMEGA_ENTRIES} numbers, one a frame"),
}
# fmt: on
"""Label, default and help of each option."""


def add_options() -> None:
    """Add the page. The host builds its settings after the tabs, so the tab's `ui()` is early enough."""
    _add_handler()
    for name, (label, default, help) in _OPTIONS.items():
        limits = {"minimum": 1, "maximum": MAX_OMEGA_ENTRIES, "step": 1}
        # A request may not lift a limit for requests.
        kind = (gr.Slider, limits) if name == API_OMEGA_ENTRIES else (gr.Checkbox, {})
        info = shared.OptionInfo(default, label, *kind, section=PAGE, restrict_api=name == API_OMEGA_ENTRIES)
        shared.opts.add_option(name, info.info(help))
        # The settings page sends the raw values back, and the host applies no setting while one has a wrong type.
        shared.opts.data[name] = read(name)


def is_wanted(p: Any, name: str) -> bool:
    """Whether the job adds a comparison sheet (`COMPARISON`) or its candidates (`CANDIDATES`) to the gallery.

    An API request gets them only if it asks for them: a client counts frames, and the settings may be another user's.
    """
    return bool(read(name)) if not p.is_api or name in p.override_settings else False


def check_api_settings(settings: Settings) -> None:
    """Raise `SettingsError` if the list of ω is longer than the settings page allows in an API request."""
    most = read(API_OMEGA_ENTRIES)
    if isinstance(settings.omega, tuple) and len(settings.omega) > most:
        option = f"Settings → {PAGE[1]} → {_OPTIONS[API_OMEGA_ENTRIES][0]}"
        raise SettingsError(f"omega has {len(settings.omega)} entries: use 1 to {most}, or change {option}")


def _add_handler() -> None:
    """Show one line a job in the console. The host shows only warnings of other loggers, unless its `--loglevel` is set."""
    logger.setLevel(getattr(logging, str(getattr(shared.cmd_opts, "loglevel", None)).upper(), logging.INFO))
    logger.addHandler(RECENT)
    if logger.handlers == [RECENT]:  # Reload UI calls this again
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("[Noise Rectification] %(levelname)s: %(message)s"))
        logger.addHandler(handler)
        logger.propagate = False


def read(name: str) -> Any:
    """The option's value; its default, with a warning, if a damaged settings file or a request has an invalid one."""
    default = _OPTIONS[name][1]
    value = shared.opts.data.get(name, default)
    if name == API_OMEGA_ENTRIES and type(value) in (int, float) and value in range(1, MAX_OMEGA_ENTRIES + 1):
        return int(value)
    if name != API_OMEGA_ENTRIES and isinstance(value, bool):
        return value
    logger.warning("the setting %s is %.80r, which is not allowed: %r is used", name, value, default)
    return default

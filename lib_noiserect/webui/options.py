"""The extension's page in the host's settings, and its logger."""

from __future__ import annotations

import logging

import gradio as gr
from modules import shared

LOG_LEVEL = "noise_rectification_log_level"
_LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR"]


def add_options() -> None:
    """Add the page; the host builds its settings after the tabs, so the tab's `ui()` is early enough."""
    shared.opts.add_option(
        LOG_LEVEL,
        shared.OptionInfo(
            "INFO",
            "Log level",
            gr.Dropdown,
            {"choices": _LEVELS},
            onchange=apply_log_level,
            section=("noise_rectification", "Noise Rectification"),
        ),
    )
    apply_log_level()


def apply_log_level() -> None:
    """The host shows no messages below warning of loggers that it does not know, so this one has a handler of its own."""
    logger = logging.getLogger("noise_rectification")
    if not logger.handlers:  # Reload UI comes here again
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("[Noise Rectification] %(levelname)s: %(message)s"))
        logger.addHandler(handler)
        logger.propagate = False
    level = shared.opts.data.get(LOG_LEVEL, "INFO")
    logger.setLevel(level if level in _LEVELS else "INFO")

"""The report of the button *Copy report*: the versions of the web UI and AnimateDiff, and the last messages of the log."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from typing import Any

import gradio as gr

from ..core.report import MAX_MESSAGES, report
from . import host


class _Recent(logging.Handler):
    """Keeps the last messages, each without its traceback."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: deque[str] = deque(maxlen=MAX_MESSAGES)

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(f"{record.levelname}: {record.getMessage()}")


RECENT = _Recent()


def for_page(request: Mapping[str, Any]) -> str:
    """The report, for a request with the texts of our controls as `settings` and the lines of the status as `report`."""
    from modules import processing

    animatediff = host.animatediff_extension()
    if animatediff is not None:
        animatediff.read_info_from_repo()  # the web UI does it only when it shows the list
    program = {
        "web UI": f"{processing.program_version()}, gradio {gr.__version__}, tab {request.get('tab')!r:.10}",
        "AnimateDiff": f"{animatediff.branch} {animatediff.version}" if animatediff else "not installed",
    }
    settings, status = request.get("settings"), request.get("report")
    shown = [str(line) for line in status] if isinstance(status, list) else []
    return report(settings if isinstance(settings, Mapping) else {}, program, [*RECENT.messages, *shown[:5]])

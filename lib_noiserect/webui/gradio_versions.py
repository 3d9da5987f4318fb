"""The one place that knows gradio 3.41 (A1111, Forge 1) from gradio 4.40 (Forge 2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr


def in_browser(listen: Callable[..., Any], javascript: str, inputs: list[Any], outputs: list[Any]) -> None:
    """On the event `listen`, fill `outputs` by a JavaScript function of `inputs`, without a request to the server."""
    keyword = "_js" if gr.__version__.startswith("3.") else "js"
    listen(fn=None, inputs=inputs, outputs=outputs, show_progress="hidden", **{keyword: javascript})

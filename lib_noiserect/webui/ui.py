"""The accordion in the img2img tab: one control a row of FIELDS, in that order, which is the order of the arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from ..settings import FIELDS, OMEGA_PRESETS, Field
from . import infotext


def build(elem_id: Callable[[str], str]) -> list[Any]:
    """The controls, inside an accordion that is closed at first."""
    with gr.Accordion("Noise Rectification", open=False, elem_id=elem_id("accordion")):
        return [_control(row, elem_id(row.name)) for row in FIELDS.values()]


def _control(row: Field, elem_id: str) -> Any:
    shared = {"label": row.label, "value": row.default, "elem_id": elem_id, "interactive": True, "info": row.help}
    if row.kind == "bool":
        return gr.Checkbox(**shared)
    if row.kind == "number":
        return gr.Slider(minimum=row.minimum, maximum=row.maximum, step=row.step, **shared)
    return gr.Dropdown(choices=list(OMEGA_PRESETS), allow_custom_value=True, **shared)


def infotext_fields(controls: list[Any]) -> list[tuple[Any, Callable[[Any], Any]]]:
    """How each control is filled from an infotext."""
    return [(control, infotext.reader(name)) for control, name in zip(controls, FIELDS)]

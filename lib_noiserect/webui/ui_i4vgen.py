"""The controls of a clip that is created through a picture: which picture, and how it comes to move."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import gradio as gr

from ..core.settings import CREATION_PRESETS, FIELDS
from .ui_controls import Presets, number, place, radio, slider

_OF_BUTTON = "The button takes the one that is selected in the gallery, with its own prompt, seed and size."


def creation_controls(elem_id: Callable[[str], str]) -> dict[str, Any]:
    """Those of the txt2img tab, `enabled` too, which is on there; the preset only fills them."""
    controls = {}
    presets = Presets("variant", "Variant", CREATION_PRESETS, next(iter(CREATION_PRESETS)), elem_id)
    with gr.Row(elem_classes=["noise-rectification-row"]):
        controls["candidates"] = slider("candidates", elem_id)
        with gr.Column(min_width=300, elem_classes=["noise-rectification-column"]):
            controls["pick"] = number("pick", elem_id)
            button = gr.Button("Animate the selected candidate", elem_id=elem_id("animate"))
            gr.HTML(place("hint", html.escape(f"{FIELDS['pick'].help} {_OF_BUTTON}")))
    controls["scorer"] = radio("scorer", elem_id)
    controls |= animation_controls(elem_id)
    controls["enabled"] = gr.Checkbox(
        label="Rectify towards the animated picture",
        value=True,
        info=FIELDS["enabled"].help,
        elem_id=elem_id("enabled"),
        interactive=True,
    )
    # The number is of one seed's candidates.
    for control in (button, controls["pick"]):
        control.do_not_save_to_config = True
    presets.fill(controls)
    return controls


def animation_controls(elem_id: Callable[[str], str]) -> dict[str, Any]:
    with gr.Row(elem_classes=["noise-rectification-row"]):
        return {name: slider(name, elem_id) for name in ("animation_share", "animation_strength", "regeneration")}

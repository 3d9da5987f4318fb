"""The controls of I4VGen: the choice of the image, and its animation."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import gradio as gr

from ..core.settings import CREATION_PRESETS, FIELDS
from .ui_controls import Presets, button, column, number, place, radio, row, slider

_OF_BUTTON = "The button animates the candidate that is selected in the gallery, with its own prompt, seed and size."


def creation_controls(elem_id: Callable[[str], str]) -> dict[str, Any]:
    """The controls of the txt2img tab; `enabled` is on there."""
    controls = {}
    presets = Presets("variant", "Variant", CREATION_PRESETS, next(iter(CREATION_PRESETS)), elem_id)
    with row():
        controls["candidates"] = slider("candidates", elem_id)
        with column():
            controls["pick"] = number("pick", elem_id)
            button("Animate the selected candidate", elem_id("animate"))
            gr.HTML(place("hint", html.escape(f"{FIELDS['pick'].help} {_OF_BUTTON}")))
    controls["scorer"] = radio("scorer", elem_id)
    controls |= animation_controls(elem_id)
    controls["enabled"] = gr.Checkbox(
        label="Rectify toward the animated image",
        value=True,
        info=FIELDS["enabled"].help,
        elem_id=elem_id("enabled"),
        interactive=True,
    )
    controls["pick"].do_not_save_to_config = True  # the number belongs to one seed
    presets.fill(controls)
    return controls


def animation_controls(elem_id: Callable[[str], str]) -> dict[str, Any]:
    with row():
        return {name: slider(name, elem_id) for name in ("animation_share", "animation_strength", "regeneration")}

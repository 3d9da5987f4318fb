"""The controls of a clip that is created through a picture: which picture, and how it comes to move."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from typing import Any

import gradio as gr

from ..settings import CREATION_PRESETS, FIELDS
from .gradio_versions import in_browser
from .ui_controls import number, place, radio, slider

_CUSTOM = "Custom"
_DEFAULT = "Rectified"
_HELP = {**{name: preset.help for name, preset in CREATION_PRESETS.items()}, _CUSTOM: "Settings of your own."}
_FILLED = list(CREATION_PRESETS[_DEFAULT].values)


def creation_controls(elem_id: Callable[[str], str]) -> dict[str, Any]:
    """Those of the txt2img tab, `enabled` too, which is on there; the preset only fills them."""
    controls = {}
    with gr.Row(elem_classes=["noise-rectification-row", "noise-rectification-preset-row"]):
        preset = gr.Dropdown(
            label="Variant", choices=[*CREATION_PRESETS, _CUSTOM], value=_DEFAULT, elem_id=elem_id("variant")
        )
        preset_help = gr.HTML(_preset_help(_DEFAULT), elem_id=elem_id("variant_help"))
    with gr.Row(elem_classes=["noise-rectification-row"]):
        controls["candidates"] = slider("candidates", elem_id)
        with gr.Column(min_width=300, elem_classes=["noise-rectification-column"]):
            controls["pick"] = number("pick", elem_id)
            button = gr.Button("Animate the selected candidate", elem_id=elem_id("animate"))
            gr.HTML(place("hint", html.escape(FIELDS["pick"].help)))
    controls["scorer"] = radio("scorer", elem_id)
    controls |= animation_controls(elem_id)
    controls["enabled"] = gr.Checkbox(
        label="Rectify towards the animated picture",
        value=True,
        info=FIELDS["enabled"].help,
        elem_id=elem_id("enabled"),
        interactive=True,
    )
    # A number of one seed's candidates, and a preset beside values that it may no longer describe, are not to be saved.
    for control in (preset, button, controls["pick"]):
        control.do_not_save_to_config = True
    _connect(preset, preset_help, [controls[name] for name in _FILLED])
    return controls


def animation_controls(elem_id: Callable[[str], str]) -> dict[str, Any]:
    with gr.Row(elem_classes=["noise-rectification-row"]):
        return {name: slider(name, elem_id) for name in ("animation_share", "animation_strength", "regeneration")}


def _preset_help(name: str) -> str:
    return place("preset-help", html.escape(_HELP[name]))


def _connect(preset: Any, preset_help: Any, filled: list[Any]) -> None:
    """As with the presets of rectification."""
    values = json.dumps({name: [row.values[field] for field in _FILLED] for name, row in CREATION_PRESETS.items()})
    helps = json.dumps({name: _preset_help(name) for name in _HELP})
    in_browser(
        preset.input,
        f"(name, ...current) => [...({values}[name] ?? current), {helps}[name]]",
        [preset, *filled],
        [*filled, preset_help],
    )

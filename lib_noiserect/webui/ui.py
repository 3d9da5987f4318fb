"""The accordion in the img2img tab: one control a row of FIELDS and INPUTS, a preset that fills some, and the drawings."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from typing import Any

import gradio as gr
from modules.ui_common import create_refresh_button
from modules.ui_components import InputAccordion

from ..settings import AUTHORS_PRESET, FIELDS, FILE_ENDING, OMEGA_PRESETS, PRESETS
from . import infotext, uploads
from .gradio_versions import in_browser
from .inputs import INPUTS
from .readme import readme_address
from .samplers import sampler_schedules

CUSTOM = "Custom"
_PRESET_HELP = {**{name: preset.help for name, preset in PRESETS.items()}, CUSTOM: "Settings of your own."}
_HELP = '<a href="{}" target="_blank" rel="noopener">Help: how to use it</a>'
_FILLED = list(PRESETS[AUTHORS_PRESET].values)  # the names of the controls that a preset fills


def build(elem_id: Callable[[str], str], default_preset: str = AUTHORS_PRESET) -> list[Any]:
    """The controls in the order of FIELDS, then INPUTS, which is the order of the arguments; the preset only fills them."""
    with InputAccordion(False, label="Noise Rectification", elem_id=elem_id("accordion")) as enabled:
        gr.HTML(_html("status", FIELDS["enabled"].help), elem_id=elem_id("status"))
        with gr.Row(elem_classes=["noise-rectification-row", "noise-rectification-preset-row"]):
            preset = gr.Dropdown(
                label="Preset", choices=[*PRESETS, CUSTOM], value=default_preset, elem_id=elem_id("preset")
            )
            preset_help = gr.HTML(_preset_help(default_preset), elem_id=elem_id("preset_help"))
        controls = {"enabled": enabled, **_first_view(elem_id), **_folds(elem_id)}
    # The host would save the preset with its defaults, beside values that it no longer describes; and pictures are of a job.
    for control in (preset, *(controls[name] for name in INPUTS)):
        control.do_not_save_to_config = True
    if default_preset != AUTHORS_PRESET:
        _start_with(default_preset, controls)
    _connect(preset, preset_help, [controls[name] for name in _FILLED])
    in_browser(
        controls["key_frames"].change, "(files) => NoiseRectification.useKeyFrames(files)", [controls["key_frames"]], []
    )
    return [controls[name] for name in (*FIELDS, *INPUTS)]


def _start_with(preset: str, controls: dict[str, Any]) -> None:
    for name, value in PRESETS[preset].values.items():
        controls[name].value = value
        # The host remembers the defaults that it saw first, in ui-config.json, and would put them over the preset's.
        controls[name].do_not_save_to_config = True


def _first_view(elem_id: Callable[[str], str]) -> dict[str, Any]:
    controls = {}
    with gr.Row(elem_classes=["noise-rectification-row", "noise-rectification-pictures"]):
        with gr.Column(min_width=300, elem_classes=["noise-rectification-column"]):
            with gr.Row(elem_classes=["noise-rectification-row"]):
                controls["tau_start"] = _number("tau_start", elem_id)
                controls["tau_end"] = _number("tau_end", elem_id)
            # All that the JavaScript needs to know; it finds this element by its class.
            gr.HTML(_html("tau", "", json.dumps(_configuration(elem_id))), elem_id=elem_id("tau_picture"))
        with gr.Column(min_width=300, elem_classes=["noise-rectification-column"]):
            with gr.Row(elem_classes=["noise-rectification-row"]):
                controls["omega_start"] = _number("omega_start", elem_id)
                controls["omega_end"] = _number("omega_end", elem_id)
            gr.HTML(_html("omega", ""), elem_id=elem_id("omega_picture"))
    with gr.Row(elem_classes=["noise-rectification-row", "noise-rectification-freedom"]):
        row = FIELDS["omega"]
        controls["omega"] = gr.Textbox(
            label=row.label, value=row.default, info=row.help, max_lines=3, elem_id=elem_id("omega"), interactive=True
        )
        controls["motion"] = _slider("motion", elem_id)
    with gr.Row(elem_classes=["noise-rectification-row", "noise-rectification-switches"]):
        for name in ("pin_first_frame", "loop", "omega_resample"):
            controls[name] = _checkbox(name, elem_id)
        gr.HTML(_html("help", _HELP.format(html.escape(readme_address()))), elem_id=elem_id("help"))
    return controls


def _folds(elem_id: Callable[[str], str]) -> dict[str, Any]:
    controls = {}
    with _fold("Key frames and mask", elem_id("pictures_fold")):
        with gr.Row(elem_classes=["noise-rectification-row", "noise-rectification-files"]):
            for name in ("key_frames", "motion_mask"):
                with gr.Column(min_width=300, elem_classes=["noise-rectification-column"]):
                    controls[name] = _files(name, elem_id)
        with gr.Row(elem_classes=["noise-rectification-row"]):
            controls["interpolation"] = _radio("interpolation", elem_id)
            controls["mask_feather"] = _slider("mask_feather", elem_id)
        controls["inpaint_mask"] = gr.Checkbox(
            label=INPUTS["inpaint_mask"].label,
            value=False,
            info=INPUTS["inpaint_mask"].help,
            elem_id=elem_id("inpaint_mask"),
            interactive=True,
        )
    with _fold("Window and colour", elem_id("window_fold")):
        with gr.Row(elem_classes=["noise-rectification-row"]):
            controls["tau_unit"] = _radio("tau_unit", elem_id)
            controls["release"] = _slider("release", elem_id)
        with gr.Row(elem_classes=["noise-rectification-row"]):
            controls["hold_colour"] = _checkbox("hold_colour", elem_id, info=FIELDS["hold_colour"].help)
            controls["repeat_noise"] = _checkbox("repeat_noise", elem_id, info=FIELDS["repeat_noise"].help)
    with _fold("Start", elem_id("start_fold")), gr.Row(elem_classes=["noise-rectification-row"]):
        controls["start_time"] = _slider("start_time", elem_id)
        with gr.Column(min_width=300, elem_classes=["noise-rectification-column"]):
            controls["statistics"] = _statistics(elem_id)
    with (
        _fold("Find the motion", elem_id("find_fold")),
        gr.Row(elem_classes=["noise-rectification-row", "noise-rectification-find"]),
    ):
        controls["target_ssim"] = _slider("target_ssim", elem_id)
        button = gr.Button("Find the motion and generate", elem_id=elem_id("find"))
        button.do_not_save_to_config = True
    return controls


def _fold(title: str, elem_id: str) -> Any:
    return gr.Accordion(title, open=False, elem_id=elem_id, elem_classes=["noise-rectification-fold"])


def _checkbox(name: str, elem_id: Callable[[str], str], info: str | None = None) -> Any:
    row = FIELDS[name]
    return gr.Checkbox(label=row.label, value=row.default, info=info, elem_id=elem_id(name), interactive=True)


def _number(name: str, elem_id: Callable[[str], str]) -> Any:
    row = FIELDS[name]
    return gr.Number(
        label=row.label,
        value=row.default,
        minimum=row.minimum,
        maximum=row.maximum,
        step=row.step,
        min_width=100,
        elem_id=elem_id(name),
        interactive=True,
    )


def _slider(name: str, elem_id: Callable[[str], str]) -> Any:
    row = FIELDS[name]
    return gr.Slider(
        row.minimum,
        row.maximum,
        row.default,
        step=row.step,
        label=row.label,
        info=row.help,
        elem_id=elem_id(name),
        interactive=True,
    )


def _radio(name: str, elem_id: Callable[[str], str]) -> Any:
    row = FIELDS[name]
    assert row.choices is not None
    meanings = "; ".join(f"{choice}: {text}" for choice, text in row.choices.items())
    return gr.Radio(
        list(row.choices),
        value=row.default,
        label=row.label,
        info=f"{row.help} {meanings[0].upper()}{meanings[1:]}.",
        elem_id=elem_id(name),
        interactive=True,
    )


def _files(name: str, elem_id: Callable[[str], str]) -> Any:
    row = INPUTS[name]
    control = gr.File(
        label=row.label, file_count="multiple", file_types=["image"], elem_id=elem_id(name), interactive=True
    )
    gr.HTML(_html("hint", html.escape(row.help)))  # a gr.File has no place for it
    return control


def _statistics(elem_id: Callable[[str], str]) -> Any:
    """The files of the folder, a button to look again, and one to put a file there."""
    row = FIELDS["statistics"]
    with gr.Row(elem_classes=["noise-rectification-statistics"]):
        control = gr.Dropdown(
            label=row.label,
            choices=uploads.choices(),
            value=row.default,
            info=row.help,
            elem_id=elem_id("statistics"),
            interactive=True,
        )
        create_refresh_button(
            control, lambda: None, lambda: {"choices": uploads.choices()}, elem_id("statistics_refresh")
        )
        button = gr.UploadButton(
            "Upload", file_types=[FILE_ENDING], elem_id=elem_id("statistics_upload"), size="sm", scale=0
        )
    said = gr.HTML("", elem_id=elem_id("statistics_said"))
    button.upload(fn=uploads.receive, inputs=[button], outputs=[control, said], show_progress=False)
    for one in (control, button):
        one.do_not_save_to_config = True  # another day the file may not be there
    return control


def _configuration(elem_id: Callable[[str], str]) -> dict[str, Any]:
    rows = {**FIELDS, **INPUTS}
    return {
        "ids": {name: elem_id("accordion-checkbox" if name == "enabled" else name) for name in rows},
        "accordion": elem_id("accordion"),
        "find": elem_id("find"),
        "labels": {name: row.label for name, row in rows.items()},
        "help": {name: row.help for name, row in rows.items()},
        "defaults": {name: row.default for name, row in FIELDS.items()},
        "ranges": {name: [row.minimum, row.maximum] for name, row in FIELDS.items() if row.kind == "number"},
        "omegaPresets": OMEGA_PRESETS,
        "samplers": sampler_schedules(),
    }


def _html(name: str, content: str, configuration: str = "") -> str:
    config = f' data-configuration="{html.escape(configuration)}"' if configuration else ""
    return f'<div class="noise-rectification-{name}"{config}>{content}</div>'


def _preset_help(name: str) -> str:
    return _html("preset-help", html.escape(_PRESET_HELP[name]))


def _connect(preset: Any, preset_help: Any, filled: list[Any]) -> None:
    """A preset fills the controls, and controls that are changed show which preset they are; all in the browser."""
    values = json.dumps({name: [row.values[field] for field in _FILLED] for name, row in PRESETS.items()})
    helps = json.dumps({name: _preset_help(name) for name in _PRESET_HELP})
    in_browser(
        preset.input,
        f"(name, ...current) => [...({values}[name] ?? current), {helps}[name]]",
        [preset, *filled],
        [*filled, preset_help],
    )
    for control in filled:
        in_browser(
            control.change,
            "(...current) => {"
            "  const text = (value) => String(value ?? '').trim().toLowerCase();"
            "  const same = ([, row]) => row.every((value, index) => text(value) === text(current[index]));"
            f" const name = Object.entries({values}).find(same)?.[0] ?? '{CUSTOM}';"
            f" return [name, {helps}[name]];"
            "}",
            filled,
            [preset, preset_help],
        )


def infotext_fields(controls: list[Any]) -> list[tuple[Any, Callable[[Any], Any]]]:
    """How each control of FIELDS is filled from an infotext, which holds no pictures."""
    return [(control, infotext.reader(name)) for control, name in zip(controls, FIELDS)]

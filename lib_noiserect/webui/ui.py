"""The accordions of both tabs: one control a row of FIELDS and INPUTS, a preset that fills some, and the drawings."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import gradio as gr
from modules.ui_components import InputAccordion

from ..core.settings import AUTHORS_PRESET, FIELDS, OMEGA_PRESETS, PRESETS
from . import infotext
from .arguments import INPUTS
from .gradio_versions import in_browser
from .sampler_schedules import sampler_schedules
from .ui_controls import Presets, checkbox, files, fold, hidden, number, place, radio, slider
from .ui_i4vgen import animation_controls, creation_controls
from .ui_statistics import statistics_control


def build(elem_id: Callable[[str], str]) -> list[Any]:
    """The controls in the order of FIELDS, then INPUTS, which is the order of the arguments; the preset only fills them."""
    with InputAccordion(False, label="Noise Rectification", elem_id=elem_id("accordion")) as enabled:
        gr.HTML(place("status", FIELDS["enabled"].help), elem_id=elem_id("status"))
        configuration = _configuration(elem_id, "img2img", "enabled") | {"find": elem_id("find")}
        controls = {"enabled": enabled, **rectification(elem_id, configuration)}
        controls |= {
            **_pictures_fold(elem_id),
            **window_fold(elem_id),
            **start_fold(elem_id),
            **_find_fold(elem_id),
            **_animation_fold(elem_id),
        }
    for name in INPUTS:
        controls[name].do_not_save_to_config = True  # pictures are of a job
    in_browser(
        controls["key_frames"].change, "(files) => NoiseRectification.useKeyFrames(files)", [controls["key_frames"]], []
    )
    return [controls[name] for name in (*FIELDS, *INPUTS)]


def build_txt2img(elem_id: Callable[[str], str]) -> list[Any]:
    """The accordion in the txt2img tab, which creates through a picture: the controls in the order of FIELDS."""
    with InputAccordion(False, label=FIELDS["create"].label, elem_id=elem_id("accordion")) as create:
        gr.HTML(place("status", FIELDS["create"].help), elem_id=elem_id("status"))
        controls = {"create": create, **creation_controls(elem_id)}
        with fold("Rectification towards the animated picture", elem_id("rectification_fold")):
            configuration = _configuration(elem_id, "txt2img", "create") | {"animate": elem_id("animate")}
            controls |= {**rectification(elem_id, configuration), **window_fold(elem_id)}
            controls |= start_fold(elem_id)
            controls["target_ssim"] = slider("target_ssim", elem_id)
        controls |= {name: hidden(name, elem_id) for name in ("interpolation", "mask_feather")}
    return [controls[name] for name in FIELDS]


def rectification(elem_id: Callable[[str], str], configuration: dict[str, Any]) -> dict[str, Any]:
    """The preset, and τ and ω with their drawings, which have all that the JavaScript needs to know."""
    presets = Presets("preset", "Preset", PRESETS, AUTHORS_PRESET, elem_id)
    controls = _first_view(elem_id, configuration)
    presets.fill(controls)
    return controls


def _first_view(elem_id: Callable[[str], str], configuration: dict[str, Any]) -> dict[str, Any]:
    controls = {}
    with gr.Row(elem_classes=["noise-rectification-row", "noise-rectification-pictures"]):
        with gr.Column(min_width=300, elem_classes=["noise-rectification-column"]):
            with gr.Row(elem_classes=["noise-rectification-row"]):
                controls["tau_start"] = number("tau_start", elem_id)
                controls["tau_end"] = number("tau_end", elem_id)
            # The JavaScript finds this element by its class.
            gr.HTML(place("tau", "", json.dumps(configuration)), elem_id=elem_id("tau_picture"))
        with gr.Column(min_width=300, elem_classes=["noise-rectification-column"]):
            with gr.Row(elem_classes=["noise-rectification-row"]):
                controls["omega_start"] = number("omega_start", elem_id)
                controls["omega_end"] = number("omega_end", elem_id)
            gr.HTML(place("omega", ""), elem_id=elem_id("omega_picture"))
    with gr.Row(elem_classes=["noise-rectification-row", "noise-rectification-freedom"]):
        row = FIELDS["omega"]
        controls["omega"] = gr.Textbox(
            label=row.label, value=row.default, info=row.help, max_lines=3, elem_id=elem_id("omega"), interactive=True
        )
        controls["motion"] = slider("motion", elem_id)
    with gr.Row(elem_classes=["noise-rectification-row", "noise-rectification-switches"]):
        for name in ("pin_first_frame", "loop", "omega_resample"):
            controls[name] = checkbox(name, elem_id)
    return controls


def _pictures_fold(elem_id: Callable[[str], str]) -> dict[str, Any]:
    controls = {}
    with fold("Key frames and mask", elem_id("pictures_fold")):
        with gr.Row(elem_classes=["noise-rectification-row", "noise-rectification-files"]):
            for name in ("key_frames", "motion_mask"):
                with gr.Column(min_width=300, elem_classes=["noise-rectification-column"]):
                    controls[name] = files(name, elem_id)
        with gr.Row(elem_classes=["noise-rectification-row"]):
            controls["interpolation"] = radio("interpolation", elem_id)
            controls["mask_feather"] = slider("mask_feather", elem_id)
        controls["inpaint_mask"] = gr.Checkbox(
            label=INPUTS["inpaint_mask"].label,
            value=False,
            info=INPUTS["inpaint_mask"].help,
            elem_id=elem_id("inpaint_mask"),
            interactive=True,
        )
    return controls


def window_fold(elem_id: Callable[[str], str]) -> dict[str, Any]:
    controls = {}
    with fold("Window and colour", elem_id("window_fold")):
        with gr.Row(elem_classes=["noise-rectification-row"]):
            controls["tau_unit"] = radio("tau_unit", elem_id)
            controls["release"] = slider("release", elem_id)
        with gr.Row(elem_classes=["noise-rectification-row"]):
            controls["hold_colour"] = checkbox("hold_colour", elem_id, info=FIELDS["hold_colour"].help)
            controls["repeat_noise"] = checkbox("repeat_noise", elem_id, info=FIELDS["repeat_noise"].help)
    return controls


def start_fold(elem_id: Callable[[str], str]) -> dict[str, Any]:
    with fold("Start", elem_id("start_fold")), gr.Row(elem_classes=["noise-rectification-row"]):
        controls = {"start_time": slider("start_time", elem_id)}
        with gr.Column(min_width=300, elem_classes=["noise-rectification-column"]):
            controls["statistics"] = statistics_control(elem_id)
    return controls


def _find_fold(elem_id: Callable[[str], str]) -> dict[str, Any]:
    with (
        fold("Find the motion", elem_id("find_fold")),
        gr.Row(elem_classes=["noise-rectification-row", "noise-rectification-find"]),
    ):
        target = slider("target_ssim", elem_id)
        button = gr.Button("Find the motion and generate", elem_id=elem_id("find"))
        button.do_not_save_to_config = True
    return {"target_ssim": target}


def _animation_fold(elem_id: Callable[[str], str]) -> dict[str, Any]:
    with fold("Animate the picture first (I4VGen)", elem_id("animation_fold")):
        controls = {"create": checkbox("create", elem_id, info=FIELDS["create"].help), **animation_controls(elem_id)}
        controls |= {name: hidden(name, elem_id) for name in ("candidates", "scorer", "pick")}
    return controls


def _configuration(elem_id: Callable[[str], str], tab: str, master: str) -> dict[str, Any]:
    """What the JavaScript needs to know of a tab, whose accordion is the switch `master`."""
    rows = {**FIELDS, **INPUTS}
    return {
        "tab": tab,
        "master": master,
        "ids": {name: elem_id("accordion-checkbox" if name == master else name) for name in rows},
        "accordion": elem_id("accordion"),
        "labels": {name: row.label for name, row in rows.items()},
        "help": {name: row.help for name, row in rows.items()},
        "defaults": {name: row.default for name, row in FIELDS.items()},
        "ranges": {name: [row.minimum, row.maximum] for name, row in FIELDS.items() if row.kind in ("number", "whole")},
        "omegaPresets": OMEGA_PRESETS,
        "samplers": sampler_schedules(),
    }


def infotext_fields(controls: list[Any], *, is_img2img: bool = True) -> list[tuple[Any, Callable[[Any], Any]]]:
    """How each control of FIELDS is filled from an infotext, which holds no pictures."""
    return [(control, infotext.reader(name, is_img2img=is_img2img)) for control, name in zip(controls, FIELDS)]

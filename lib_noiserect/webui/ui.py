"""The accordions of both tabs: one control for each row of FIELDS and INPUTS, presets, folds and curves."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from typing import Any

import gradio as gr
from modules.ui_components import InputAccordion

from ..core.settings import AUTHORS_PRESET, CREATION_PRESETS, FIELDS, OMEGA_PRESETS, PRESETS, START_PRESET
from . import api, infotext
from . import ui_controls as make
from .image_inputs import INPUTS
from .ui_controls import Presets, in_browser
from .ui_statistics import statistics_control

_OF_BUTTON = "The button animates the candidate that is selected in the gallery, with its own prompt, seed and size."


def build(elem_id: Callable[[str], str]) -> list[Any]:
    """The controls of img2img in the order of FIELDS, then INPUTS: that of the arguments. A preset only fills them."""
    buttons = {name: elem_id(name) for name in ("set_up", "auto_tune", "report")}
    with InputAccordion(False, label="Noise Rectification", elem_id=elem_id("accordion")) as enabled:
        gr.HTML(make.place("status", FIELDS["enabled"].help), elem_id=elem_id("status"))
        controls = {"enabled": enabled, **_first_view(elem_id, _configuration(elem_id, "img2img", "enabled", buttons))}
        with make.fold("Keyframes and mask", elem_id("keyframes_fold")):
            controls |= _keyframes_and_mask(elem_id)
        with make.fold("Window and color", elem_id("window_fold")):
            controls |= _window_and_color(elem_id)
        with make.fold("Auto-tune", elem_id("auto_tune_fold")), make.row("auto-tune"):
            controls["target_ssim"] = make.slider("target_ssim", elem_id)
            make.button("Auto-tune motion & generate", elem_id("auto_tune"))
        with make.fold("Advanced", elem_id("advanced_fold")):
            controls |= _start(elem_id)
            with make.row():
                controls |= {name: make.checkbox(name, elem_id) for name in ("repeat_noise", "create")}
            controls |= _animation(elem_id)
            make.button("Copy report", elem_id("report"))
        controls |= {name: make.hidden(name, elem_id) for name in ("candidates", "scorer", "pick")}
    for name in INPUTS:
        controls[name].do_not_save_to_config = True  # images belong to one job
    in_browser(
        controls["key_frames"].change, "(files) => NoiseRectification.useKeyFrames(files)", [controls["key_frames"]], []
    )
    return [controls[name] for name in (*FIELDS, *INPUTS)]


def build_txt2img(elem_id: Callable[[str], str]) -> list[Any]:
    """The controls of txt2img, which makes an image and a video of it, in the order of FIELDS."""
    buttons = {name: elem_id(name) for name in ("set_up", "animate", "report")}
    with InputAccordion(False, label=FIELDS["create"].label, elem_id=elem_id("accordion")) as create:
        gr.HTML(make.place("status", FIELDS["create"].help), elem_id=elem_id("status"))
        _set_up_button(elem_id)
        controls = {"create": create, **_creation(elem_id)}
        with make.fold("Rectification toward the animated image", elem_id("rectification_fold")):
            controls |= _first_view(elem_id, _configuration(elem_id, "txt2img", "create", buttons))
            controls |= {**_window_and_color(elem_id), **_start(elem_id)}
            with make.row():
                controls |= {name: make.checkbox(name, elem_id) for name in ("loop", "repeat_noise")}
            controls["target_ssim"] = make.slider("target_ssim", elem_id)
            make.button("Copy report", elem_id("report"))
        controls |= {name: make.hidden(name, elem_id) for name in ("interpolation", "mask_feather")}
    return [controls[name] for name in FIELDS]


def _first_view(elem_id: Callable[[str], str], configuration: dict[str, Any]) -> dict[str, Any]:
    """The preset, the amount of motion and the lock of the first frame; below a fold, τ and ω with their curves."""
    with make.row("first"):
        with make.column():
            presets = Presets("preset", "Preset", PRESETS, AUTHORS_PRESET, elem_id)
        controls = {"motion": make.slider("motion", elem_id)}
    with make.row("switches"):
        controls |= {name: make.checkbox(name, elem_id, helps=False) for name in ("pin_first_frame", "follow_motion")}
        if configuration["tab"] == "img2img":
            _set_up_button(elem_id)
    with make.fold("Curves (τ and ω)", elem_id("curves_fold")):
        with make.row():
            with make.column():
                with make.row():
                    controls |= {name: make.number(name, elem_id) for name in ("tau_start", "tau_end")}
                # The JavaScript finds this element by its class.
                gr.HTML(make.place("tau", "", json.dumps(configuration)), elem_id=elem_id("tau_picture"))
            with make.column():
                with make.row():
                    controls |= {name: make.number(name, elem_id) for name in ("omega_start", "omega_end")}
                gr.HTML(make.place("omega", ""), elem_id=elem_id("omega_picture"))
        with make.row("list"):
            omega = FIELDS["omega"]
            named = make.described("omega", elem_id, info=omega.help)
            controls["omega"] = gr.Textbox(value=omega.default, max_lines=3, **named)
            controls["omega_resample"] = make.checkbox("omega_resample", elem_id)
    presets.fill(controls)
    return controls


def _set_up_button(elem_id: Callable[[str], str]) -> None:
    """The page shows it where it is needed."""
    make.button("Set up AnimateDiff", elem_id("set_up"), ["noise-rectification-hidden"])


def _keyframes_and_mask(elem_id: Callable[[str], str]) -> dict[str, Any]:
    controls = {}
    with make.row("files"):
        for name in ("key_frames", "motion_mask"):
            with make.column():
                controls[name] = make.files(name, elem_id)
    with make.row():
        controls |= {
            "interpolation": make.radio("interpolation", elem_id),
            "mask_feather": make.slider("mask_feather", elem_id),
        }
    with make.row():
        controls |= {name: make.checkbox(name, elem_id) for name in ("loop", "inpaint_mask")}
    return controls


def _window_and_color(elem_id: Callable[[str], str]) -> dict[str, Any]:
    with make.row():
        controls = {"tau_unit": make.radio("tau_unit", elem_id), "release": make.slider("release", elem_id)}
    return {**controls, "hold_colour": make.checkbox("hold_colour", elem_id)}


def _start(elem_id: Callable[[str], str]) -> dict[str, Any]:
    with make.row():
        controls = {"start_time": make.slider("start_time", elem_id)}
        with make.column():
            controls["statistics"] = statistics_control(elem_id)
    return controls


def _creation(elem_id: Callable[[str], str]) -> dict[str, Any]:
    """The controls of txt2img: the choice of the image, and its animation; `enabled` is on there."""
    controls = {}
    presets = Presets("variant", "Variant", CREATION_PRESETS, next(iter(CREATION_PRESETS)), elem_id)
    with make.row():
        controls["candidates"] = make.slider("candidates", elem_id)
        with make.column():
            controls["pick"] = make.number("pick", elem_id)
            make.button("Animate the selected candidate", elem_id("animate"))
            gr.HTML(make.place("hint", html.escape(f"{FIELDS['pick'].help} {_OF_BUTTON}")))
    controls |= {"scorer": make.radio("scorer", elem_id), **_animation(elem_id)}
    named = make.described("enabled", elem_id, label="Rectify toward the animated image", info=FIELDS["enabled"].help)
    controls["enabled"] = gr.Checkbox(value=True, **named)
    controls["pick"].do_not_save_to_config = True  # the number belongs to one seed
    presets.fill(controls)
    return controls


def _animation(elem_id: Callable[[str], str]) -> dict[str, Any]:
    with make.row():
        return {name: make.slider(name, elem_id) for name in ("animation_share", "animation_strength", "regeneration")}


def _configuration(elem_id: Callable[[str], str], tab: str, master: str, buttons: dict[str, str]) -> dict[str, Any]:
    """The data that the JavaScript needs of a tab, whose accordion is the switch `master`."""
    rows = {**FIELDS, **INPUTS}
    return {
        "tab": tab,
        "master": master,
        "accordion": elem_id("accordion"),
        "curves": elem_id("curves_fold"),
        "buttons": buttons,
        "ids": {name: elem_id("accordion-checkbox" if name == master else name) for name in rows},
        "labels": {name: row.label for name, row in rows.items()},
        "help": {name: row.help for name, row in rows.items()},
        "defaults": {name: row.default for name, row in FIELDS.items()},
        "omegaPresets": OMEGA_PRESETS,
        "presets": {name: dict(preset.values) for name, preset in PRESETS.items()},
        "start": START_PRESET,
        # Relative to the page, as the host's own addresses: it may be behind a proxy's path.
        "preview": {"address": f".{api.PAGE_PATH}", "token": api.PAGE_TOKEN},
    }


def infotext_fields(controls: list[Any], *, is_img2img: bool = True) -> list[tuple[Any, Callable[[Any], Any]]]:
    """Each control of FIELDS with its reader of an infotext, which holds no images."""
    return [(control, infotext.reader(name, is_img2img=is_img2img)) for control, name in zip(controls, FIELDS)]

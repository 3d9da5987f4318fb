"""The accordions of both tabs: one control for each row of FIELDS and INPUTS, presets, folds and curves."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from typing import Any

import gradio as gr
from modules.ui_components import InputAccordion

from ..core.settings import CREATION_PRESETS, FIELDS, OMEGA_PRESETS, PRESETS, START_PRESET
from . import api, infotext
from .image_inputs import INPUTS
from .ui_controls import Controls, column, in_browser, place, presets, row
from .ui_statistics import statistics_control

_SET_UP = ("Set up AnimateDiff", "set_up", "noise-rectification-hidden")  # the page shows it where it is needed
_ANIMATION = ("animation_share", "animation_strength", "regeneration")
_OF_BUTTON = "The button animates the candidate that is selected in the gallery, with its own prompt, seed and size."


def build(elem_id: Callable[[str], str]) -> list[Any]:
    """The controls of img2img in the order of FIELDS, then INPUTS: that of the arguments. A preset only fills them."""
    make = Controls(elem_id)
    with InputAccordion(False, label="Noise Rectification", elem_id=elem_id("accordion")) as make.made["enabled"]:
        gr.HTML(place("status", FIELDS["enabled"].help), elem_id=elem_id("status"))
        _first_view(make, _configuration(elem_id, "img2img", "enabled"))
        with make.fold("Keyframes and mask", "keyframes_fold"):
            with row("files"):
                with column():
                    make.files("key_frames")
                with column():
                    make.files("motion_mask")
            with row():
                make.add(gr.Radio, "interpolation")
                make.add(gr.Slider, "mask_feather")
            with row():
                make.add(gr.Checkbox, "loop", "inpaint_mask")
        with make.fold("Window and color", "window_fold"):
            _window_and_color(make)
        with make.fold("Auto-tune", "auto_tune_fold"), row("auto-tune"):
            make.add(gr.Slider, "target_ssim")
            make.button("Auto-tune motion & generate", "auto_tune")
        with make.fold("Advanced", "advanced_fold"):
            _start(make)
            with row():
                make.add(gr.Checkbox, "repeat_noise", "create")
            with row():
                make.add(gr.Slider, *_ANIMATION)
            make.button("Copy report", "report")
        make.hidden("candidates", "scorer", "pick")
    for name in INPUTS:
        make.made[name].do_not_save_to_config = True  # images belong to one job
    key_frames = make.made["key_frames"]
    in_browser(key_frames.change, "(files) => NoiseRectification.useKeyFrames(files)", [key_frames], [])
    return [make.made[name] for name in (*FIELDS, *INPUTS)]


def build_txt2img(elem_id: Callable[[str], str]) -> list[Any]:
    """The controls of txt2img, which makes an image and a video of it, in the order of FIELDS; `enabled` is on there."""
    make = Controls(elem_id)
    with InputAccordion(False, label=FIELDS["create"].label, elem_id=elem_id("accordion")) as make.made["create"]:
        gr.HTML(place("status", FIELDS["create"].help), elem_id=elem_id("status"))
        make.button(*_SET_UP)
        connect = presets(make, "variant", "Variant", CREATION_PRESETS)
        with row():
            make.add(gr.Slider, "candidates")
            with column():
                make.add(gr.Number, "pick", info=None, min_width=100, precision=0)
                make.button("Animate the selected candidate", "animate")
                gr.HTML(place("hint", html.escape(f"{FIELDS['pick'].help} {_OF_BUTTON}")))
        make.add(gr.Radio, "scorer")
        with row():
            make.add(gr.Slider, *_ANIMATION)
        make.add(gr.Checkbox, "enabled", value=True, label="Rectify toward the animated image")
        make.made["pick"].do_not_save_to_config = True  # the number belongs to one seed
        connect()
        with make.fold("Rectification toward the animated image", "rectification_fold"):
            _first_view(make, _configuration(elem_id, "txt2img", "create"))
            _window_and_color(make)
            _start(make)
            with row():
                make.add(gr.Checkbox, "loop", "repeat_noise")
            make.add(gr.Slider, "target_ssim")
            make.button("Copy report", "report")
        make.hidden("interpolation", "mask_feather")
    return [make.made[name] for name in FIELDS]


def _first_view(make: Controls, configuration: dict[str, Any]) -> None:
    """The preset, the amount of motion and the lock of the first frame; below a fold, τ and ω with their curves."""
    with row("first"):
        with column():
            connect = presets(make, "preset", "Preset", PRESETS)
        make.add(gr.Slider, "motion")
    with row("switches"):
        make.add(gr.Checkbox, "pin_first_frame", "follow_motion", info=None)
        if configuration["tab"] == "img2img":
            make.button(*_SET_UP)
    with make.fold("Curves (τ and ω)", "curves_fold"):
        with row():
            for curve, data in (("tau", json.dumps(configuration)), ("omega", "")):
                with column():
                    with row():
                        make.add(gr.Number, f"{curve}_start", f"{curve}_end", info=None, min_width=100)
                    gr.HTML(place(curve, "", data), elem_id=make.elem_id(f"{curve}_picture"))
        with row("list"):
            make.add(gr.Textbox, "omega", max_lines=3)
            make.add(gr.Checkbox, "omega_resample")
    connect()


def _window_and_color(make: Controls) -> None:
    with row():
        make.add(gr.Radio, "tau_unit")
        make.add(gr.Slider, "release")
    make.add(gr.Checkbox, "hold_colour")


def _start(make: Controls) -> None:
    with row():
        make.add(gr.Slider, "start_time")
        with column():
            statistics_control(make)


def _configuration(elem_id: Callable[[str], str], tab: str, master: str) -> dict[str, Any]:
    """The data that the JavaScript needs of a tab, whose accordion is the switch `master`."""
    rows = {**FIELDS, **INPUTS}
    return {
        "tab": tab,
        "master": master,
        "accordion": elem_id("accordion"),
        "curves": elem_id("curves_fold"),
        "buttons": {name: elem_id(name) for name in ("set_up", "auto_tune" if tab == "img2img" else "animate", "report")},
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

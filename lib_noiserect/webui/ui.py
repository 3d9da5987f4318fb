"""The accordions of both tabs: one control for each row of FIELDS and INPUTS, presets, folds and curves."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import gradio as gr
from modules.ui_components import InputAccordion

from ..core.settings import AUTHORS_PRESET, FIELDS, OMEGA_PRESETS, PRESETS
from . import api, infotext
from .arguments import INPUTS
from .gradio_versions import in_browser
from .ui_controls import Presets, button, checkbox, column, files, fold, hidden, number, place, radio, row, slider
from .ui_i4vgen import animation_controls, creation_controls
from .ui_statistics import statistics_control


def build(elem_id: Callable[[str], str]) -> list[Any]:
    """The controls of img2img in the order of FIELDS, then INPUTS: that of the arguments. A preset only fills them."""
    buttons = {"set_up": elem_id("set_up"), "auto_tune": elem_id("auto_tune")}
    with InputAccordion(False, label="Noise Rectification", elem_id=elem_id("accordion")) as enabled:
        gr.HTML(place("status", FIELDS["enabled"].help), elem_id=elem_id("status"))
        controls = {"enabled": enabled, **_first_view(elem_id, _configuration(elem_id, "img2img", "enabled", buttons))}
        with fold("Keyframes and mask", elem_id("keyframes_fold")):
            controls |= _keyframes_and_mask(elem_id)
        with fold("Window and color", elem_id("window_fold")):
            controls |= _window_and_color(elem_id)
        with fold("Auto-tune", elem_id("auto_tune_fold")), row("auto-tune"):
            controls["target_ssim"] = slider("target_ssim", elem_id)
            button("Auto-tune motion & generate", elem_id("auto_tune"))
        with fold("Advanced", elem_id("advanced_fold")):
            controls |= _start(elem_id)
            with row():
                controls["repeat_noise"] = checkbox("repeat_noise", elem_id, info=FIELDS["repeat_noise"].help)
                controls["create"] = checkbox("create", elem_id, info=FIELDS["create"].help)
            controls |= animation_controls(elem_id)
        controls |= {name: hidden(name, elem_id) for name in ("candidates", "scorer", "pick")}
    for name in INPUTS:
        controls[name].do_not_save_to_config = True  # images belong to one job
    in_browser(
        controls["key_frames"].change, "(files) => NoiseRectification.useKeyFrames(files)", [controls["key_frames"]], []
    )
    return [controls[name] for name in (*FIELDS, *INPUTS)]


def build_txt2img(elem_id: Callable[[str], str]) -> list[Any]:
    """The controls of txt2img, which makes an image and a video of it, in the order of FIELDS."""
    buttons = {"set_up": elem_id("set_up"), "animate": elem_id("animate")}
    with InputAccordion(False, label=FIELDS["create"].label, elem_id=elem_id("accordion")) as create:
        gr.HTML(place("status", FIELDS["create"].help), elem_id=elem_id("status"))
        _set_up_button(elem_id)
        controls = {"create": create, **creation_controls(elem_id)}
        with fold("Rectification toward the animated image", elem_id("rectification_fold")):
            controls |= _first_view(elem_id, _configuration(elem_id, "txt2img", "create", buttons))
            controls |= {**_window_and_color(elem_id), **_start(elem_id)}
            with row():
                for name in ("loop", "repeat_noise"):
                    controls[name] = checkbox(name, elem_id, info=FIELDS[name].help)
            controls["target_ssim"] = slider("target_ssim", elem_id)
        controls |= {name: hidden(name, elem_id) for name in ("interpolation", "mask_feather")}
    return [controls[name] for name in FIELDS]


def _first_view(elem_id: Callable[[str], str], configuration: dict[str, Any]) -> dict[str, Any]:
    """The preset, the amount of motion and the lock of the first frame; below a fold, τ and ω with their curves."""
    with row("first"):
        with column():
            presets = Presets("preset", "Preset", PRESETS, AUTHORS_PRESET, elem_id)
        controls = {"motion": slider("motion", elem_id)}
    with row("switches"):
        controls["pin_first_frame"] = checkbox("pin_first_frame", elem_id)
        if configuration["tab"] == "img2img":
            _set_up_button(elem_id)
    with fold("Curves (τ and ω)", elem_id("curves_fold")):
        with row():
            with column():
                with row():
                    controls |= {name: number(name, elem_id) for name in ("tau_start", "tau_end")}
                # The JavaScript finds this element by its class.
                gr.HTML(place("tau", "", json.dumps(configuration)), elem_id=elem_id("tau_picture"))
            with column():
                with row():
                    controls |= {name: number(name, elem_id) for name in ("omega_start", "omega_end")}
                gr.HTML(place("omega", ""), elem_id=elem_id("omega_picture"))
        with row("list"):
            omega = FIELDS["omega"]
            controls["omega"] = gr.Textbox(
                label=omega.label,
                value=omega.default,
                info=omega.help,
                max_lines=3,
                elem_id=elem_id("omega"),
                interactive=True,
            )
            controls["omega_resample"] = checkbox("omega_resample", elem_id, info=FIELDS["omega_resample"].help)
    presets.fill(controls)
    return controls


def _set_up_button(elem_id: Callable[[str], str]) -> None:
    """The page shows it where it is needed."""
    button("Set up AnimateDiff", elem_id("set_up"), ["noise-rectification-hidden"])


def _keyframes_and_mask(elem_id: Callable[[str], str]) -> dict[str, Any]:
    controls = {}
    with row("files"):
        for name in ("key_frames", "motion_mask"):
            with column():
                controls[name] = files(name, elem_id)
    with row():
        controls["interpolation"] = radio("interpolation", elem_id)
        controls["mask_feather"] = slider("mask_feather", elem_id)
    with row():
        controls["loop"] = checkbox("loop", elem_id, info=FIELDS["loop"].help)
        controls["inpaint_mask"] = checkbox("inpaint_mask", elem_id, info=INPUTS["inpaint_mask"].help)
    return controls


def _window_and_color(elem_id: Callable[[str], str]) -> dict[str, Any]:
    with row():
        controls = {"tau_unit": radio("tau_unit", elem_id), "release": slider("release", elem_id)}
    controls["hold_colour"] = checkbox("hold_colour", elem_id, info=FIELDS["hold_colour"].help)
    return controls


def _start(elem_id: Callable[[str], str]) -> dict[str, Any]:
    with row():
        controls = {"start_time": slider("start_time", elem_id)}
        with column():
            controls["statistics"] = statistics_control(elem_id)
    return controls


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
        # Relative to the page, as the host's own addresses: it may be behind a proxy's path.
        "preview": {"address": f".{api.PAGE_PATH}", "token": api.PAGE_TOKEN},
    }


def infotext_fields(controls: list[Any], *, is_img2img: bool = True) -> list[tuple[Any, Callable[[Any], Any]]]:
    """Each control of FIELDS with its reader of an infotext, which holds no images."""
    return [(control, infotext.reader(name, is_img2img=is_img2img)) for control, name in zip(controls, FIELDS)]

"""Stand-in of the callback registry: one list a kind, all cleared by Reload UI; exceptions are reported, not raised."""

import dataclasses
import os
import sys
from typing import Any

from modules import errors
from standin import flavours


class ImageSaveParams:
    def __init__(self, image, p, filename, pnginfo):
        self.image, self.p, self.filename, self.pnginfo = image, p, filename, pnginfo


class ExtraNoiseParams:
    def __init__(self, noise, x, xi):
        self.noise, self.x, self.xi = noise, x, xi


class CFGDenoiserParams:
    def __init__(
        self, x, image_cond, sigma, sampling_step, total_sampling_steps, text_cond, text_uncond, denoiser=None
    ):
        self.x, self.image_cond, self.sigma = x, image_cond, sigma
        self.sampling_step, self.total_sampling_steps = sampling_step, total_sampling_steps
        self.text_cond, self.text_uncond = text_cond, text_uncond
        self.denoiser = denoiser


class CFGDenoisedParams:
    def __init__(self, x, sampling_step, total_sampling_steps, inner_model):
        self.x, self.inner_model = x, inner_model
        self.sampling_step, self.total_sampling_steps = sampling_step, total_sampling_steps


class AfterCFGCallbackParams:
    def __init__(self, x, sampling_step, total_sampling_steps):
        self.x = x
        self.sampling_step, self.total_sampling_steps = sampling_step, total_sampling_steps


@dataclasses.dataclass
class ScriptCallback:
    script: str
    callback: Any
    name: str = "unnamed"


KINDS = (
    "app_started",
    "model_loaded",
    "ui_tabs",
    "ui_train_tabs",
    "ui_settings",
    "before_image_saved",
    "image_saved",
    "extra_noise",
    "cfg_denoiser",
    "cfg_denoised",
    "cfg_after_cfg",
    "before_component",
    "after_component",
    "image_grid",
    "infotext_pasted",
    "script_unloaded",
    "before_ui",
    "on_reload",
    "list_optimizers",
    "list_unets",
    "before_token_counter",
)

callback_map = {f"callbacks_{kind}": [] for kind in KINDS}


def _calling_file():
    frame = sys._getframe()
    while frame.f_code.co_filename == __file__:
        frame = frame.f_back
    return frame.f_code.co_filename


def _add(callbacks, fun, name=None, category="unknown", filename=None):
    if filename is None:
        filename = _calling_file()
    label = f"{os.path.basename(filename)}/{category}" + (f"/{name}" if name else "")
    callbacks.append(ScriptCallback(filename, fun, label))


if flavours.active.has_named_callbacks:

    def add_callback(callbacks, fun, *, name=None, category="unknown", filename=None):
        _add(callbacks, fun, name, category, filename)

    def ordered_callbacks(category, unordered_callbacks=None, *, enable_user_sort=True):
        return list(callback_map[f"callbacks_{category}"] if unordered_callbacks is None else unordered_callbacks)
else:

    def add_callback(callbacks, fun):
        _add(callbacks, fun)


def clear_callbacks():
    for callbacks in callback_map.values():
        callbacks.clear()


def remove_current_script_callbacks():
    filename = _calling_file()
    _remove(lambda entry: entry.script == filename)


def remove_callbacks_for_function(callback_func):
    _remove(lambda entry: entry.callback == callback_func)


def _remove(unwanted):
    for callbacks in callback_map.values():
        callbacks[:] = [entry for entry in callbacks if not unwanted(entry)]


def _call(kind, *args, newest_first=False):
    entries = list(callback_map[f"callbacks_{kind}"])
    for entry in reversed(entries) if newest_first else entries:
        try:
            entry.callback(*args)
        except Exception:
            errors.report(f"Error executing callback {kind} for {entry.script}", exc_info=True)


def app_started_callback(demo, app):
    _call("app_started", demo, app)


def app_reload_callback():
    _call("on_reload")


def model_loaded_callback(sd_model):
    _call("model_loaded", sd_model)


def ui_settings_callback():
    _call("ui_settings")


def extra_noise_callback(params):
    _call("extra_noise", params)


def cfg_denoiser_callback(params):
    _call("cfg_denoiser", params)


def cfg_denoised_callback(params):
    _call("cfg_denoised", params)


def cfg_after_cfg_callback(params):
    _call("cfg_after_cfg", params)


def after_component_callback(component, **kwargs):
    _call("after_component", component)


def infotext_pasted_callback(infotext, params):
    _call("infotext_pasted", infotext, params)


def script_unloaded_callback():
    _call("script_unloaded", newest_first=True)


def before_ui_callback():
    _call("before_ui", newest_first=True)


def _registration(kind):
    def register_named(callback, *, name=None):
        _add(callback_map[f"callbacks_{kind}"], callback, name, kind)

    def register(callback):
        _add(callback_map[f"callbacks_{kind}"], callback, None, kind)

    return register_named if flavours.active.has_named_callbacks else register


for _kind in KINDS:
    globals()["on_before_reload" if _kind == "on_reload" else f"on_{_kind}"] = _registration(_kind)

if flavours.active.is_forge:
    event_subscriber_map = {"callbacks_setting_updated": []}

    def on_setting_updated_subscriber(subscriber_params):
        event_subscriber_map["callbacks_setting_updated"].append(subscriber_params)

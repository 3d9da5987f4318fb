"""Stand-in of the scripts: the base class, the loader, and the runner that calls every hook."""

import contextlib
import inspect
import os
import sys
from collections import namedtuple
from dataclasses import dataclass

import gradio as gr
from modules import errors, paths, script_callbacks, script_loading, scripts_postprocessing
from modules.script_arguments import (  # noqa: F401
    MaskBlendArgs,
    PostprocessBatchListArgs,
    PostprocessImageArgs,
    PostProcessMaskOverlayArgs,
    PostSampleArgs,
)
from modules.script_base import Script
from standin import flavours

AlwaysVisible = object()


@dataclass
class OnComponent:
    component: object


ScriptFile = namedtuple("ScriptFile", ["basedir", "filename", "path"])
ScriptClassData = namedtuple("ScriptClassData", ["script_class", "path", "basedir", "module"])

current_basedir = paths.script_path
scripts_data = []
postprocessing_scripts_data = []

extension_scripts = []
"""[ScriptFile], in the order in which the host would list them; the stand-in's Host fills it"""


def basedir():
    return current_basedir


def load_scripts():
    """Startup and Reload UI: everything that scripts have registered is forgotten, then all are loaded again."""
    global current_basedir, scripts_txt2img, scripts_img2img
    scripts_data.clear()
    script_callbacks.clear_callbacks()
    own = os.path.join(paths.script_path, "scripts", "xyz_grid.py")
    path_before = sys.path
    for file in [ScriptFile(paths.script_path, "xyz_grid.py", own), *extension_scripts]:
        try:
            if file.basedir != paths.script_path:
                sys.path = [file.basedir, *sys.path]
                if flavours.active.is_forge:
                    path_before = sys.path  # Forge leaves every extension's folder there for good
            current_basedir = file.basedir
            _register(script_loading.load_module(file.path), file)
        except Exception:
            errors.report(f"Error loading script: {file.filename}", exc_info=True)
        finally:
            sys.path = path_before
            current_basedir = paths.script_path
    scripts_txt2img = ScriptRunner()
    scripts_img2img = ScriptRunner()


def _register(module, file):
    for value in module.__dict__.values():
        if not inspect.isclass(value):
            continue
        if issubclass(value, Script):
            scripts_data.append(ScriptClassData(value, file.path, file.basedir, module))
        elif issubclass(value, scripts_postprocessing.ScriptPostprocessing):
            postprocessing_scripts_data.append(ScriptClassData(value, file.path, file.basedir, module))


reload_scripts = load_scripts


@contextlib.contextmanager
def _reporting(what):
    """A script's failure is its own: it is reported, and the host goes on."""
    try:
        yield
    except Exception:
        errors.report(f"Error in {what}", exc_info=True)


def wrap_call(func, filename, funcname, *args, default=None, **kwargs):
    with _reporting(f"{funcname} of {filename}"):
        return func(*args, **kwargs)
    return default


class ScriptRunner:
    def __init__(self):
        self.inputs, self.title_map = [None], {}
        for kind in ("scripts", "alwayson_scripts", "selectable_scripts", "titles"):
            setattr(self, kind, [])
        # Filled while the page is made.
        self.paste_field_names, self.infotext_fields = [], []

    def initialize_scripts(self, is_img2img):
        self.scripts.clear()
        self.alwayson_scripts.clear()
        self.selectable_scripts.clear()
        for data in scripts_data:
            script = wrap_call(data.script_class, data.path, "__init__")
            if script is None:
                continue
            script.filename = data.path
            script.is_txt2img, script.is_img2img = not is_img2img, is_img2img
            script.tabname = "img2img" if is_img2img else "txt2img"
            visibility = script.show(is_img2img)
            if visibility is AlwaysVisible:
                script.alwayson = True
                self.scripts.append(script)
                self.alwayson_scripts.append(script)
            elif visibility:
                self.scripts.append(script)
                self.selectable_scripts.append(script)

    def prepare_ui(self):
        self.inputs = [None]

    def setup_ui(self):
        self.title_map = {
            (wrap_call(script.title, script.filename, "title") or script.filename).lower(): script
            for script in self.scripts
        }
        self.titles = [script.title() for script in self.selectable_scripts]
        for script in self.alwayson_scripts:
            self.create_script_ui(script)
        self.inputs[0] = gr.Dropdown(
            label="Script", elem_id="script_list", choices=["None", *self.titles], value="None", type="index"
        )
        for script in self.selectable_scripts:
            self.create_script_ui(script)
        return self.inputs

    def create_script_ui(self, script):
        script.args_from = script.args_to = len(self.inputs)
        with _reporting(f"the UI of {script.filename}"):
            self.create_script_ui_inner(script)

    def create_script_ui_inner(self, script):
        from modules.api import models

        with gr.Group(visible=script.alwayson) as group:
            controls = wrap_call(script.ui, script.filename, "ui", script.is_img2img)
        script.controls, script.group = controls, group
        if controls is None:
            return
        script.name = wrap_call(script.title, script.filename, "title", default=script.filename).lower()
        for control in controls:
            control.custom_script_source = os.path.basename(script.filename)
        script.api_info = models.script_info(script, controls)
        self.infotext_fields += script.infotext_fields or []
        self.paste_field_names += script.paste_field_names or []
        self.inputs += controls
        script.args_to = len(self.inputs)

    def run(self, p, *args):
        """The script chosen in the dropdown, by its 1-based place; None when there is none."""
        if not args or not args[0]:
            return None
        script = self.selectable_scripts[args[0] - 1]
        return script.run(p, *args[script.args_from : script.args_to])

    def script(self, title):
        return self.title_map.get(title.lower())

    def _each(self, hook, p, call):
        """Each script's own arguments are cut out of the job's at every call; what a script raises is reported."""
        for script in self.alwayson_scripts:
            if getattr(type(script), hook, None) == getattr(Script, hook, None):
                continue
            with _reporting(f"{hook} of {script.filename}"):
                call(getattr(script, hook), p.script_args[script.args_from : script.args_to])

    def setup_scrips(self, p, *, is_ui=True):
        self._each("setup", p, lambda hook, args: hook(p, *args))

    def before_process(self, p):
        self._each("before_process", p, lambda hook, args: hook(p, *args))

    def process(self, p):
        self._each("process", p, lambda hook, args: hook(p, *args))

    if flavours.active.has_sampling_hook:

        def process_before_every_sampling(self, p, **kwargs):
            self._each("process_before_every_sampling", p, lambda hook, args: hook(p, *args, **kwargs))

    def before_process_batch(self, p, **kwargs):
        self._each("before_process_batch", p, lambda hook, args: hook(p, *args, **kwargs))

    def after_extra_networks_activate(self, p, **kwargs):
        self._each("after_extra_networks_activate", p, lambda hook, args: hook(p, *args, **kwargs))

    def process_batch(self, p, **kwargs):
        self._each("process_batch", p, lambda hook, args: hook(p, *args, **kwargs))

    def postprocess(self, p, processed):
        self._each("postprocess", p, lambda hook, args: hook(p, processed, *args))

    def postprocess_batch(self, p, images, **kwargs):
        self._each("postprocess_batch", p, lambda hook, args: hook(p, *args, images=images, **kwargs))

    def postprocess_batch_list(self, p, pp, **kwargs):
        self._each("postprocess_batch_list", p, lambda hook, args: hook(p, pp, *args, **kwargs))

    def post_sample(self, p, ps):
        self._each("post_sample", p, lambda hook, args: hook(p, ps, *args))

    def on_mask_blend(self, p, mba):
        self._each("on_mask_blend", p, lambda hook, args: hook(p, mba, *args))

    def postprocess_image(self, p, pp):
        self._each("postprocess_image", p, lambda hook, args: hook(p, pp, *args))

    def postprocess_maskoverlay(self, p, ppmo):
        self._each("postprocess_maskoverlay", p, lambda hook, args: hook(p, ppmo, *args))

    def postprocess_image_after_composite(self, p, pp):
        self._each("postprocess_image_after_composite", p, lambda hook, args: hook(p, pp, *args))

    def before_hr(self, p):
        self._each("before_hr", p, lambda hook, args: hook(p, *args))


scripts_txt2img: ScriptRunner = None
scripts_img2img: ScriptRunner = None
scripts_current: ScriptRunner = None

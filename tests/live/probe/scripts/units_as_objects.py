"""For tests/live: ControlNet units that come by the API are made the objects that AnimateDiff reads.

AnimateDiff a88e889 fails on the dicts in its own set-up, and a rectified job is refused then; the page's units are objects.
"""

import gradio as gr
from modules import scripts


class UnitsAsObjects(scripts.Script):
    def title(self):
        return "Units As Objects"

    def show(self, is_img2img):
        return scripts.AlwaysVisible if is_img2img else False

    def ui(self, is_img2img):
        return [gr.Checkbox(False, label="ControlNet's units are objects", visible=False)]

    def before_process(self, p, enabled):
        found = [script for script in p.scripts.alwayson_scripts if script.title().lower() == "controlnet"]
        if enabled is not True or not found:
            return
        from internal_controlnet.external_code import get_all_units_in_processing

        args = list(p.script_args)
        units = get_all_units_in_processing(p)
        args[found[0].args_from : found[0].args_from + len(units)] = units
        p.script_args = args

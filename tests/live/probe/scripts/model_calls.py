"""For tests/live, in a web UI that they drive: the number of the model's calls and the level of the first, in the infotext.

Independent of the extension under test. Link the folder `tests/live/probe` into the web UI's `extensions`.
"""

import gradio as gr
from modules import script_callbacks, scripts


class ModelCalls(scripts.Script):
    def title(self):
        return "Model Calls"

    def show(self, is_img2img):
        return scripts.AlwaysVisible if is_img2img else False

    def ui(self, is_img2img):
        return [gr.Checkbox(False, label="Write down the model's calls", visible=False)]

    def process(self, p, enabled, **kwargs):
        p.model_calls = [] if enabled is True else None


def write_down(params):
    p = params.denoiser.p
    if getattr(p, "model_calls", None) is None:
        return
    p.model_calls.append(float(params.sigma.flatten()[0]))
    p.extra_generation_params["Model calls"] = f"{len(p.model_calls)} from {p.model_calls[0]:.6g}"


script_callbacks.on_cfg_denoiser(write_down)

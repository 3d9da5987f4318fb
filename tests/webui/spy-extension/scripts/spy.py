"""An extension that remembers what it was given, and breaks where the test asks it to."""

import functools

import gradio as gr
from modules import script_callbacks, scripts, shared


class Spy(scripts.Script):
    def title(self):
        return "Spy"

    def show(self, is_img2img):
        return scripts.AlwaysVisible if is_img2img else False

    def ui(self, is_img2img):
        with gr.Accordion("Spy", open=False):
            first = gr.Checkbox(False, label="First")
            second = gr.Slider(0, 1, 0.5, label="Second")
        self.infotext_fields = [(first, "Spy first"), (second, "Spy second")]
        return [first, second]

    def before_process(self, p, *args):
        self.seen = args
        if args[0] == "break":
            raise ValueError("broken hook")

    def process_batch(self, p, *args, **kwargs):
        if args[0] == "sampler":
            function = p.sampler.func

            @functools.wraps(function)
            def refused(*a, **k):
                from fastapi import HTTPException

                raise HTTPException(status_code=422, detail="refused")

            p.sampler.func = refused

    def on_mask_blend(self, p, mba, *args):
        shared.sd_model.host.blends = getattr(shared.sd_model.host, "blends", []) + [mba.is_final_blend]


script_callbacks.on_ui_settings(lambda: shared.opts.add_option("spy_option", shared.OptionInfo(3, "Spy")))
script_callbacks.on_extra_noise(lambda params: setattr(params, "noise", params.noise * 0))

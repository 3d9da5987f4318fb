"""For tests/live, in a web UI that they drive: what each model call of a job was on, and a stop or a failure at one of them.

Independent of the extension under test.
"""

import gradio as gr
from modules import script_callbacks, scripts, shared

calls = []
wanted = {}


class WatchedCalls(scripts.Script):
    def title(self):
        return "Watched Calls"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def ui(self, is_img2img):
        return [gr.JSON(visible=False)]

    def process(self, p, options):
        """`options`: which call is to `interrupt`, `skip` or `fail`, by its number."""
        calls.clear()
        wanted.clear()
        wanted.update(options or {})
        network().__dict__.pop("apply_model", None)


def network():
    """What is asked for a prediction; in Forge and reForge that is inside what is patched."""
    objects = getattr(shared.sd_model, "forge_objects", None)
    return shared.sd_model if objects is None else objects.unet.model


def has_motion():
    """Whether the motion modules are in the network, or among the patches of this sampling."""
    if network() is shared.sd_model:
        blocks = shared.sd_model.model.diffusion_model.input_blocks
        return any("VanillaTemporalModule" in type(part).__name__ for part in blocks[1])
    options = shared.sd_model.forge_objects.unet.model_options.get("transformer_options", {})
    return any("mm_block" in patch.__name__ for patch in options.get("block_inner_modifiers", []))


def on_call(params):
    calls.append(
        {
            # Forge and reForge have no rows for the negative prompt yet.
            "rows": params.x.shape[0] // (2 if network() is shared.sd_model else 1),
            "level": float(params.sigma.flatten()[0]),
            "motion": has_motion(),
            "final": float(shared.sd_model.alphas_cumprod[-1]),
            "textinfo": shared.state.textinfo,
            "progress": [shared.state.job_no, shared.state.job_count, shared.state.sampling_step],
        }
    )
    number = len(calls) - 1
    if number == wanted.get("interrupt"):
        shared.state.interrupted = True
    if number == wanted.get("skip"):
        shared.state.skipped = True
    if number == wanted.get("fail"):  # what a callback raises is swallowed
        network().apply_model = failing


def failing(*args, **kwargs):
    del network().apply_model
    raise RuntimeError("the watched call fails")


def on_started(demo, app):
    app.add_api_route("/watched-calls", lambda: calls, methods=["GET"])


script_callbacks.on_cfg_denoiser(on_call)
script_callbacks.on_app_started(on_started)

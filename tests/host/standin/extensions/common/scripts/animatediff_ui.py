"""Stand-in of AnimateDiff's argument object, shared by both hosts' versions of the extension."""

import gradio as gr
from modules.processing import StableDiffusionProcessingImg2Img
from scripts.animatediff_xyz import xyz_attrs


class AnimateDiffProcess:
    def __init__(self, model="mm_sd15_v3.safetensors", enable=False, video_length=0, fps=8, loop_number=0,
                 closed_loop="R-P", batch_size=16, stride=1, overlap=-1, format=("GIF", "PNG"), interp="Off",
                 interp_x=10, video_source=None, video_path="", mask_path="", freeinit_enable=False,
                 freeinit_filter="butterworth", freeinit_ds=0.25, freeinit_dt=0.25, freeinit_iters=3, latent_power=1,
                 latent_scale=32, last_frame=None, latent_power_last=1, latent_scale_last=32, request_id="",
                 is_i2i_batch=False, video_default=False, prompt_scheduler=None):
        arguments = locals()
        arguments.pop("self")
        self.__dict__.update(arguments)

    def get_dict(self, is_img2img):
        names = ["model", "video_length", "fps", "loop_number", "closed_loop", "batch_size", "stride", "overlap",
                 "interp", "interp_x", "freeinit_enable"]
        if is_img2img:
            names += ["latent_power", "latent_scale", "latent_power_last", "latent_scale_last"]
        return ", ".join(f"{name}: {getattr(self, name)}" for name in names)

    def apply_xyz(self):
        for name, value in xyz_attrs.items():
            setattr(self, name, value)

    def set_p(self, p):
        assert self.video_length >= 0 and self.fps > 0, "Video length and FPS should be positive."
        # A clip shorter than the context still makes a whole context.
        p.batch_size = max(self.video_length, self.batch_size)
        if self.video_length == 0:
            self.video_length = p.batch_size
            self.video_default = True
        if self.overlap == -1:
            self.overlap = self.batch_size // 4
        p.do_not_save_samples = True


def make_ui(script):
    script.infotext_fields = []
    script.paste_field_names = []
    return (gr.State(value=AnimateDiffProcess),)


def get_animatediff_arg(p):
    """The job's argument; an API dict becomes an object in the job's arguments too."""
    for script in p.scripts.alwayson_scripts:
        if script.title().lower() == "animatediff":
            argument = p.script_args[script.args_from]
            if isinstance(argument, dict):
                argument = AnimateDiffProcess(**argument)
                p.script_args = list(p.script_args)
                p.script_args[script.args_from] = argument
            return argument
    return None


def update_infotext(p, params):
    p.extra_generation_params["AnimateDiff"] = params.get_dict(isinstance(p, StableDiffusionProcessingImg2Img))


def infotext_pasted(infotext, results):
    """Takes the first entry whose name begins with AnimateDiff apart, and removes AnimateDiff's own."""
    for key, value in results.items():
        if not key.startswith("AnimateDiff"):
            continue
        assert isinstance(value, str), f"Expected string but got {value}."
        try:
            for item in value.split(", "):
                name, text = item.split(": ")
                results[f"AnimateDiff {name}"] = text
            results.pop("AnimateDiff")
        except Exception:
            pass
        break


def replace_result_in_xyz(res):
    """In a grid only the first frame of the clip is shown."""
    import traceback

    if any("xyz_grid" in frame.filename for frame in traceback.extract_stack()):
        res.images = [res.images[res.index_of_first_image].copy()]

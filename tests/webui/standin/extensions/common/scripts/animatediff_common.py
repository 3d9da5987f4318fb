"""Stand-in of what AnimateDiff does with its argument object, the same in both hosts' versions of the extension."""

import gradio as gr
from modules import scripts
from modules.processing import StableDiffusionProcessingImg2Img
from scripts.animatediff_xyz import xyz_attrs


class Argument:
    """What both versions' argument objects can do."""

    def get_dict(self, is_img2img):
        names = [
            "model",
            "video_length",
            "fps",
            "loop_number",
            "closed_loop",
            "batch_size",
            "stride",
            "overlap",
            "interp",
            "interp_x",
        ]
        names += ["freeinit_enable"] if hasattr(self, "freeinit_enable") else []
        if is_img2img:
            names += ["latent_power", "latent_scale", "latent_power_last", "latent_scale_last"]
        return ", ".join(f"{name}: {getattr(self, name)}" for name in names)

    def apply_xyz(self):
        for name, value in xyz_attrs.items():
            setattr(self, name, value)

    def set_p(self, p):
        assert self.video_length >= 0 and self.fps > 0, "a clip needs frames and a frame rate"
        # A clip shorter than the context still makes a whole context.
        p.batch_size = max(self.video_length, self.batch_size)
        self.video_default = self.video_default or not self.video_length
        self.video_length = self.video_length or p.batch_size
        self.overlap = self.batch_size // 4 if self.overlap == -1 else self.overlap
        p.do_not_save_samples = True


def always_on(title):
    """Decorator of a script: called so, and in both tabs without being chosen."""

    def decorate(cls):
        cls.title = lambda self: title
        cls.show = lambda self, is_img2img: scripts.AlwaysVisible
        return cls

    return decorate


def make_ui(script, argument_class):
    script.infotext_fields = []
    script.paste_field_names = []
    return (gr.State(value=argument_class),)


def get_animatediff_arg(p, argument_class):
    """The job's argument; an API dict becomes an object in the job's arguments too."""
    for script in p.scripts.alwayson_scripts:
        if script.title().lower() == "animatediff":
            argument = p.script_args[script.args_from]
            if isinstance(argument, dict):
                argument = argument_class(**argument)
                p.script_args = list(p.script_args)
                p.script_args[script.args_from] = argument
            return argument
    return None


def argument_of_job(p, params, argument_class, motion_module):
    """What counts for this job: the page's or the API's argument, changed by the plot's axes."""
    argument = get_animatediff_arg(p, argument_class) if p.is_api else params
    motion_module.set_ad_params(argument)
    argument.apply_xyz()
    xyz_attrs.clear()
    return argument


def update_infotext(p, params):
    p.extra_generation_params["AnimateDiff"] = params.get_dict(isinstance(p, StableDiffusionProcessingImg2Img))


def infotext_pasted(infotext, results):
    """Takes the first entry whose name begins with AnimateDiff apart, and removes AnimateDiff's own."""
    for key, value in results.items():
        if not key.startswith("AnimateDiff"):
            continue
        assert isinstance(value, str), f"{value!r} is no text"
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

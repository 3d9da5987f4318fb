"""Stand-in of AnimateDiff's argument object (Forge: no FreeInit)."""

from scripts.animatediff_common import Argument
from standin.arguments import keep


class AnimateDiffProcess(Argument):
    def __init__(
        self,
        model="mm_sd15_v3.safetensors",
        enable=False,
        video_length=0,
        fps=8,
        loop_number=0,
        closed_loop="R-P",
        batch_size=16,
        stride=1,
        overlap=-1,
        format=("GIF", "PNG"),
        interp="Off",
        interp_x=10,
        video_source=None,
        video_path="",
        mask_path="",
        latent_power=1,
        latent_scale=32,
        last_frame=None,
        latent_power_last=1,
        latent_scale_last=32,
        request_id="",
    ):
        keep(locals())
        self.video_default = False
        self.is_i2i_batch = False
        self.prompt_scheduler = None

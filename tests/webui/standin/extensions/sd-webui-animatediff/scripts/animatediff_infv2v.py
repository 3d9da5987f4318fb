"""Stand-in of AnimateDiff's replaced network call on A1111: long clips go through it in overlapping contexts."""

from types import MethodType

import torch
from modules import shared
from scripts.animatediff_mm import mm_animatediff as motion_module


def contexts(video_length, batch_size, overlap):
    """Without the real one's shift from step to step."""
    if video_length <= batch_size:
        return [list(range(batch_size))]
    starts = range(0, video_length - overlap, batch_size - overlap)
    return [[(start + i) % video_length for i in range(batch_size)] for start in starts]


class AnimateDiffInfV2V:
    @staticmethod
    def animatediff_on_cfg_denoiser(cfg_params):
        ad_params = motion_module.ad_params
        if ad_params is None or not ad_params.enable or not motion_module.mm_injected:
            return
        inner_model = cfg_params.denoiser.inner_model
        if cfg_params.denoiser.step == 0 and getattr(inner_model, "original_forward", None) is None:

            def mm_sd_forward(self, x_in, sigma_in, cond):
                x_out = torch.zeros_like(x_in)
                for context in contexts(ad_params.video_length, ad_params.batch_size, ad_params.overlap):
                    shared.sd_model.pass_size = len(context)
                    if shared.opts.batch_cond_uncond:
                        # It counts on both prompts being in the batch: with only one there this is out of range.
                        context = context + [i + ad_params.video_length for i in context]
                    parts = {key: [value[0][context]] for key, value in cond.items()}
                    x_out[context] = self.original_forward(x_in[context], sigma_in[context], cond=parts)
                return x_out

            inner_model.original_forward = inner_model.forward
            inner_model.forward = MethodType(mm_sd_forward, inner_model)
        ad_params.step = cfg_params.denoiser.step

"""The mutable arguments of the hooks; `modules.scripts` hands them on under the names that extensions import."""

from standin.arguments import keep


class MaskBlendArgs:
    def __init__(self, current_latent, nmask, init_latent, mask, blended_latent, denoiser=None, sigma=None):
        # Outside of the sampling there is no denoiser: then it is the last blend.
        keep(locals(), is_final_blend=denoiser is None)


class PostprocessImageArgs:
    def __init__(self, image):
        keep(locals())


class PostProcessMaskOverlayArgs:
    def __init__(self, index, mask_for_overlay, overlay_image):
        keep(locals())


class PostSampleArgs:
    def __init__(self, samples):
        keep(locals())


class PostprocessBatchListArgs:
    def __init__(self, images):
        keep(locals())

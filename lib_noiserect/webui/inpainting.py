"""Inpainting masks: the protected area stays protected after rectification."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from . import host


def blend_protected(p: Any, model: Any, prediction: Tensor, sigma: Tensor) -> Tensor:
    """A K sampler's rectified prediction, x0 `[F, C, H, W]`, with the image in the area that the mask of `model` protects.

    The host blends the prediction before the rectification, so it has to be blended again. For samplers on timesteps the host
    blends the state, before each model call and once after the last step; these need no blend here.
    """
    if getattr(model, "mask", None) is None:
        return prediction
    blended: Tensor = prediction * model.nmask + model.init_latent * model.mask
    if p.scripts is None or not host.blends_softly(model):
        return blended
    from modules import scripts

    # Soft inpainting changes the blend.
    masks = (model.nmask, model.init_latent, model.mask)
    args = scripts.MaskBlendArgs(prediction, *masks, blended, denoiser=model, sigma=sigma)
    p.scripts.on_mask_blend(p, args)
    soft: Tensor = args.blended_latent
    return soft

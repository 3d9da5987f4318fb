"""Inpainting masks: the protected area stays protected after rectification."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from . import host


class Protection:
    """Blends a K sampler's rectified prediction with the image, as the host blends it before the rectification.

    For samplers on timesteps the host blends the state before each model call, and once after the last step. Both come after
    the rectification, so these samplers need no blend here.
    """

    def __init__(self, p: Any, model: Any) -> None:
        self._p, self._model = p, model

    @classmethod
    def of(cls, p: Any, model: Any) -> Protection | None:
        """The blend of a job; None without a mask."""
        return None if getattr(model, "mask", None) is None else cls(p, model)

    def blend(self, prediction: Tensor, sigma: Tensor) -> Tensor:
        """`prediction` (x0, `[F, C, H, W]`) with the image in the protected area."""
        from modules import scripts

        model = self._model
        blended: Tensor = prediction * model.nmask + model.init_latent * model.mask
        if self._p.scripts is not None and host.blends_softly(model):
            # Soft inpainting changes the blend.
            args = scripts.MaskBlendArgs(
                prediction, model.nmask, model.init_latent, model.mask, blended, denoiser=model, sigma=sigma
            )
            self._p.scripts.on_mask_blend(self._p, args)
            blended = args.blended_latent
        return blended

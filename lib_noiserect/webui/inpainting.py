"""Inpainting masks: what is protected stays protected after rectification."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from . import host


class Protection:
    """The blend of a K sampler's prediction with the picture, which the host does before the prediction is rectified.

    Samplers on timesteps blend the state before the model sees it, and once after the last step; both come after the
    rectification, so nothing is left to do there.
    """

    def __init__(self, p: Any, model: Any) -> None:
        self._p, self._model = p, model

    @classmethod
    def of(cls, p: Any, model: Any) -> Protection | None:
        """None for a job without a mask."""
        return None if getattr(model, "mask", None) is None else cls(p, model)

    def blend(self, prediction: Tensor, sigma: Tensor) -> Tensor:
        """`prediction` (x0, `[F, C, H, W]`) with the protected area replaced by the picture."""
        from modules import scripts

        model = self._model
        blended: Tensor = prediction * model.nmask + model.init_latent * model.mask
        if self._p.scripts is not None and host.blends_softly(model):
            # Soft inpainting has its own idea of the blend.
            args = scripts.MaskBlendArgs(
                prediction, model.nmask, model.init_latent, model.mask, blended, denoiser=model, sigma=sigma
            )
            self._p.scripts.on_mask_blend(self._p, args)
            blended = args.blended_latent
        return blended

"""Loops in the host: its denoiser shows the model the video from another first frame at each call."""

from __future__ import annotations

from typing import Any

from modules import shared
from torch import Tensor

from ..core.loop import TurnedModel
from ..core.stand_in import replaced


class TurnedDenoiser(TurnedModel):
    """Also turns the tensors of each frame that the host's denoiser keeps for protected areas, previews and interrupts."""

    def __init__(self, model: Any, sampler: Any) -> None:
        super().__init__(model, _sampler=sampler)

    def _ask(self, turned_x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        init_latent = self._target.init_latent
        turned = {"init_latent": self.turned(init_latent)} if isinstance(init_latent, Tensor) else {}
        with replaced(self._target, **turned):
            prediction = super()._ask(turned_x, *args, **kwargs)
        for owner, name in ((self._sampler, "last_latent"), (shared.state, "current_latent")):
            shown = getattr(owner, name, None)
            if isinstance(shown, Tensor) and shown.shape[0] == turned_x.shape[0]:
                setattr(owner, name, self.turned_back(shown))
        return prediction

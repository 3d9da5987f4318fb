"""A video as a ring: each model call starts it at another frame, so that the last frame leads to the first."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .stand_in import ModelStandIn

# Multiples of the golden section spread the first frames of the calls evenly, for any number of calls.
_SECTION = 0.381966


def turn(call: int, num_frames: int) -> int:
    """The number of frames to turn the video by in the model call with this number, from 0; 0 in the first call."""
    return int(call * num_frames * _SECTION) % num_frames


class TurnedModel(ModelStandIn):
    """Stands in for a model of the k-diffusion calling convention and turns the frames that it is shown.

    The model is called with `[F, C, H, W]` and one level for each frame, all equal; its other arguments must be the same for
    every frame.
    """

    def __init__(self, model: Any, **attributes: Any) -> None:
        super().__init__(model, _calls=0, _turned_by=0, **attributes)

    def __call__(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        self.__dict__["_turned_by"] = turn(self._calls, x.shape[0])
        self.__dict__["_calls"] += 1
        return self.turned_back(self._ask(self.turned(x), *args, **kwargs))

    def _ask(self, turned_x: Tensor, *args: Any, **kwargs: Any) -> Any:
        return self._target(turned_x, *args, **kwargs)

    def turned(self, frames: Tensor) -> Tensor:
        return torch.roll(frames, self._turned_by, 0)

    def turned_back(self, frames: Tensor) -> Tensor:
        return torch.roll(frames, -self._turned_by, 0)

    def __getattr__(self, name: str) -> Any:
        value = super().__getattr__(name)
        # CFG++ samplers read it after a call.
        return self.turned_back(value) if name == "last_noise_uncond" and isinstance(value, Tensor) else value

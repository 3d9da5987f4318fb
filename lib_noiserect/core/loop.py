"""A clip as a ring: the model sees it begun at another frame each time, so that its last frame leads to its first."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

# The golden section: the calls of a job begin at frames that are spread evenly, however many calls there are.
_SECTION = 0.381966


def turn(call: int, num_frames: int) -> int:
    """By how many frames the clip is turned for the model's call with this number, counted from 0; 0 for the first."""
    return int(call * num_frames * _SECTION) % num_frames


class TurnedModel:
    """Stands in for a model of the k-diffusion calling convention. Attributes are the model's, both ways.

    Args:
        model: called with `[F, C, H, W]` and a level for each frame, all the same; whatever else it is given must be the
            same for every frame.
    """

    def __init__(self, model: Any) -> None:
        self.__dict__.update(_model=model, _calls=0, _turned_by=0)

    def __call__(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        self.__dict__["_turned_by"] = turn(self._calls, x.shape[0])
        self.__dict__["_calls"] += 1
        return self.turned_back(self._ask(self.turned(x), *args, **kwargs))

    def _ask(self, turned_x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        prediction: Tensor = self._model(turned_x, *args, **kwargs)
        return prediction

    def turned(self, frames: Tensor) -> Tensor:
        return torch.roll(frames, self._turned_by, 0)

    def turned_back(self, frames: Tensor) -> Tensor:
        return torch.roll(frames, -self._turned_by, 0)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._model, name)
        # What CFG++ samplers read after a call.
        return self.turned_back(value) if name == "last_noise_uncond" and isinstance(value, Tensor) else value

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._model, name, value)

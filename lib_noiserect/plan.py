"""What to do with the prediction of each step: rectify it, hold its key frames, or leave it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from .keyframes import KeyFrames
from .rectify import pin_key_frames, rectify
from .schedule import in_window

Correction = Callable[[Tensor, Tensor], Tensor]
"""From a prediction and its reference, both `[F, C, H, W]`, to what the sampler gets instead."""


@dataclass(frozen=True)
class Plan:
    """What to do at which step of one run.

    Attributes:
        tau_start, tau_end: the window τ, as fractions of the steps.
        omega: ω, `[F]` or, with a mask, `[F, 1, H, W]`.
        pin_first_frame: go on rectifying the key frames after the window.
        keys: the key frames; None is frame 0 alone.
    """

    tau_start: float
    tau_end: float
    omega: Tensor
    pin_first_frame: bool = False
    keys: KeyFrames | None = None

    def is_inside(self, position: float, num_steps: int) -> bool:
        return in_window(position, num_steps, self.tau_start, self.tau_end)

    def correction(self, position: float, num_steps: int, *, begun: bool) -> Correction | None:
        """What to do with a prediction of the step at `position`; None is nothing.

        Args:
            begun: whether a step of this run was rectified before.
        """
        if self.is_inside(position, num_steps):
            return lambda prediction, reference: rectify(prediction, reference, self.omega, self.keys)
        return self._pin if begun and self.pin_first_frame else None

    def _pin(self, prediction: Tensor, reference: Tensor) -> Tensor:
        return pin_key_frames(prediction, reference, self.keys)

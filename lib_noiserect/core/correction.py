"""What to do with the prediction of each step: rectify it, let it go little by little, hold parts of it, or leave it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .keyframes import KeyFrames
from .rectify import hold_colour, pin_key_frames, rectify
from .schedule import TOLERANCE, in_window

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
        release: how long after the window the frames beside a key frame are let go, as a fraction of the steps; the farther
            a frame is from its key frame, the sooner it is free. 0 is an edge.
        hold_colour: go on correcting the low frequencies of all frames after the window.
    """

    tau_start: float
    tau_end: float
    omega: Tensor
    pin_first_frame: bool = False
    keys: KeyFrames | None = None
    release: float = 0.0
    hold_colour: bool = False

    def is_inside(self, position: float, num_steps: int) -> bool:
        return in_window(position, num_steps, self.tau_start, self.tau_end)

    def correction(self, position: float, num_steps: int, *, begun: bool) -> Correction | None:
        """What to do with a prediction of the step at `position`; None is nothing.

        Args:
            begun: whether a step of this run was rectified before.
        """
        if self.is_inside(position, num_steps):
            return lambda prediction, reference: rectify(prediction, reference, self.omega, self.keys)
        if not begun or position < num_steps * self.tau_start:
            return None
        strengths = self._strengths(position, num_steps)
        if not (any(strengths) or self.hold_colour or self.pin_first_frame):
            return None

        def after(prediction: Tensor, reference: Tensor) -> Tensor:
            result = hold_colour(prediction, reference, self.keys) if self.hold_colour else prediction
            if any(strengths):
                whole = rectify(prediction, reference, self.omega, self.keys)
                held = torch.tensor(strengths, dtype=whole.dtype, device=whole.device)
                result = torch.lerp(result, whole, held.view(-1, *[1] * (whole.ndim - 1)))
            return pin_key_frames(result, reference, self.keys) if self.pin_first_frame else result

        return after

    def _strengths(self, position: float, num_steps: int) -> list[float]:
        """How much of the rectification each frame still gets after the window, `[F]` in [0, 1]."""
        frames = self.omega.shape[0]
        if self.release == 0.0:
            return [0.0] * frames
        passed = max((position + TOLERANCE) / num_steps - self.tau_end, 0.0)
        distances = (self.keys or KeyFrames((0,), frames)).distances()
        lengths = [self.release * (1 - distance) for distance in distances]
        return [max(1 - passed / length, 0.0) if length else 0.0 for length in lengths]

"""The correction of each step's prediction: rectify it, fade rectification out, keep parts of it, or leave it alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .keyframes import Keyframes
from .motion_dial import Dial
from .rectify import hold_color, pin_keyframes, rectify
from .reference import Reference
from .schedule import TOLERANCE, in_window, omega_weights
from .settings import Settings

Change = Callable[[Tensor, Tensor, "Tensor | None"], Tensor]
"""From a prediction, its reference prediction and its x0, all `[F, …]`, to the prediction that the sampler gets.

x0 is None where the gaps stay at their places.
"""


@dataclass(frozen=True)
class Correction:
    """The correction of every step of one run.

    Attributes:
        tau_start, tau_end: the window τ, as fractions of the steps.
        omega: ω, `[F]`, or `[F, 1, …, H, W]` with a mask.
        pin_first_frame: pin the keyframes also after the window.
        keyframes: None is frame 0 alone.
        release: over which fraction of the steps rectification fades out after the window; frames far from a keyframe
            are free first. 0 ends it at once.
        hold_color: correct the low frequencies of all frames also after the window. They are the light of the scene, which
            does not travel with what moves.
        follow_motion: whether the keyframes' gaps follow what moves.
    """

    tau_start: float
    tau_end: float
    omega: Tensor
    pin_first_frame: bool = False
    keyframes: Keyframes | None = None
    release: float = 0.0
    hold_color: bool = False
    follow_motion: bool = False

    @classmethod
    def of(cls, settings: Settings, reference: Reference, find_dial: Callable[[], Dial]) -> Correction:
        """The correction that the settings ask for.

        Args:
            find_dial: measures the motion that survives in the sampler; called for the preset `motion` alone.

        Raises:
            SettingsError: ω has another length than the video, or the sampler cannot keep so little motion.
        """
        dial = find_dial() if settings.omega == "motion" else None
        if dial is not None:
            dial.check(settings.motion)
        weights = omega_weights(settings, reference.keyframes, None if dial is None else dial.omega)
        omega = torch.tensor(weights, dtype=torch.float32, device=reference.x0.device)
        if reference.mask is not None:
            omega = omega.view(-1, *[1] * (reference.mask.ndim - 1)) * reference.mask.to(omega)
        return cls(
            settings.tau_start,
            settings.tau_end,
            omega,
            settings.pin_first_frame,
            reference.keyframes,
            settings.release,
            settings.hold_colour,
            settings.follow_motion,
        )

    def is_inside(self, position: float, num_steps: int) -> bool:
        """Whether the step at `position` lies in the window, as `schedule.in_window` has it."""
        return in_window(position, num_steps, self.tau_start, self.tau_end)

    def at(self, position: float, num_steps: int, *, begun: bool) -> Change | None:
        """The change of the prediction at `position`; None leaves it alone.

        Args:
            begun: whether an earlier step of this run was rectified.
        """
        if self.is_inside(position, num_steps):
            return lambda prediction, reference, x0: rectify(prediction, reference, self.omega, self.keyframes, x0)
        if not begun or position < num_steps * self.tau_start:
            return None
        strengths = self._strengths(position, num_steps)
        if not (any(strengths) or self.hold_color or self.pin_first_frame):
            return None

        def after_window(prediction: Tensor, reference: Tensor, x0: Tensor | None) -> Tensor:
            result = hold_color(prediction, reference, self.keyframes) if self.hold_color else prediction
            if any(strengths):
                rectified = rectify(prediction, reference, self.omega, self.keyframes, x0)
                weights = torch.tensor(strengths, dtype=rectified.dtype, device=rectified.device)
                result = torch.lerp(result, rectified, weights.view(-1, *[1] * (rectified.ndim - 1)))
            return pin_keyframes(result, reference, self.keyframes) if self.pin_first_frame else result

        return after_window

    def _strengths(self, position: float, num_steps: int) -> list[float]:
        """The share of rectification that each frame still gets after the window, F numbers in [0, 1]."""
        frames = self.omega.shape[0]
        if self.release == 0.0:
            return [0.0] * frames
        passed = max((position + TOLERANCE) / num_steps - self.tau_end, 0.0)
        distances = (self.keyframes or Keyframes((0,), frames)).distances()
        lengths = [self.release * (1 - distance) for distance in distances]
        return [max(1 - passed / length, 0.0) if length else 0.0 for length in lengths]

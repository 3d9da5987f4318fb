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

# From a prediction, its reference prediction and its x0, all `[F, …]`, to the prediction that the sampler gets. x0 is None
# where the gaps stay at their places.
Change = Callable[[Tensor, Tensor, "Tensor | None"], Tensor]


@dataclass(frozen=True)
class Correction:
    """The correction of every step of one run."""

    settings: Settings  # read for everything but ω
    omega: Tensor  # ω, `[F]`, or `[F, 1, …, H, W]` with a mask
    keyframes: Keyframes | None = None  # None is frame 0 alone

    @classmethod
    def of(cls, settings: Settings, reference: Reference, find_dial: Callable[[], Dial]) -> Correction:
        """The correction that the settings ask for.

        `find_dial` measures the motion that survives in the sampler, for the preset `motion` alone. Raises `SettingsError`
        if ω has another length than the video, or the sampler cannot keep so little motion.
        """
        dial = find_dial() if settings.omega == "motion" else None
        if dial is not None:
            dial.check(settings.motion)
        weights = omega_weights(settings, reference.keyframes, None if dial is None else dial.omega)
        omega = torch.tensor(weights, dtype=torch.float32, device=reference.x0.device)
        if reference.mask is not None:
            omega = omega.view(-1, *[1] * (reference.mask.ndim - 1)) * reference.mask.to(omega)
        return cls(settings, omega, reference.keyframes)

    def is_inside(self, position: float, num_steps: int) -> bool:
        """Whether the step at `position` lies in the window, as `schedule.in_window` has it."""
        return in_window(position, num_steps, self.settings.tau_start, self.settings.tau_end)

    def at(self, position: float, num_steps: int, *, begun: bool) -> Change | None:
        """The change of the prediction at `position`; None leaves it alone.

        `begun` tells whether an earlier step of this run was rectified.
        """
        settings = self.settings
        if self.is_inside(position, num_steps):
            return lambda prediction, reference, x0: rectify(prediction, reference, self.omega, self.keyframes, x0)
        if not begun or position < num_steps * settings.tau_start:
            return None
        strengths = self._strengths(position, num_steps)
        if not (any(strengths) or settings.hold_colour or settings.pin_first_frame):
            return None

        def after_window(prediction: Tensor, reference: Tensor, x0: Tensor | None) -> Tensor:
            # Color and light belong to the scene, and do not travel with what moves.
            result = hold_color(prediction, reference, self.keyframes) if settings.hold_colour else prediction
            if any(strengths):
                rectified = rectify(prediction, reference, self.omega, self.keyframes, x0)
                weights = torch.tensor(strengths, dtype=rectified.dtype, device=rectified.device)
                result = torch.lerp(result, rectified, weights.view(-1, *[1] * (rectified.ndim - 1)))
            return pin_keyframes(result, reference, self.keyframes) if settings.pin_first_frame else result

        return after_window

    def _strengths(self, position: float, num_steps: int) -> list[float]:
        """The share of rectification that each frame still gets after the window, F numbers in [0, 1].

        Frames far from a keyframe are free first. A release of 0 frees all at once.
        """
        passed = max((position + TOLERANCE) / num_steps - self.settings.tau_end, 0.0)
        distances = (self.keyframes or Keyframes((0,), len(self.omega))).distances()
        lengths = [self.settings.release * (1 - distance) for distance in distances]
        return [max(1 - passed / length, 0.0) if length else 0.0 for length in lengths]

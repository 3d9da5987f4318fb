"""Refuses values that are not finite where they appear first: they would cost a whole video and say nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import UserError

if TYPE_CHECKING:  # the messages of this file are needed where torch is not imported
    from torch import Tensor

FULL_PRECISION = "full precision"  # the remedy in the message; each surface may put its own option in its place


class NotFiniteError(UserError):
    """Latents or a prediction hold NaN or infinity."""


def _not_finite(subject: str) -> NotFiniteError:
    return NotFiniteError(
        f"{subject} is not finite (NaN or infinity), mostly from half precision or damaged weights: "
        f"use {FULL_PRECISION}, or another checkpoint, motion module or VAE"
    )


def check_finite(values: Tensor, subject: str) -> None:
    """Raise `NotFiniteError` unless all values are finite; `subject` is singular: "the latent of the image"."""
    if not bool(values.isfinite().all()):
        raise _not_finite(subject)


def check_prediction(prediction: Tensor, step: int, num_steps: int) -> None:
    """Raise `NotFiniteError`, which names the step, unless the model's prediction is finite; steps are counted from 1."""
    checks = Checks()
    checks.prediction(prediction, step, num_steps)
    checks.settle()


class Checks:
    """Conditions of a step that are read when all of its work has been asked for: a GPU idles while the host waits for it."""

    def __init__(self) -> None:
        self._conditions: list[tuple[Tensor, UserError]] = []

    def require(self, holds: Tensor, error: UserError) -> None:
        """A condition, one bool, and what `settle` raises where it does not hold."""
        self._conditions.append((holds, error))

    def prediction(self, prediction: Tensor, step: int, num_steps: int) -> None:
        """The condition of `check_prediction`."""
        subject = f"the model's prediction in step {step} of {num_steps}"
        self.require(prediction.isfinite().all(), _not_finite(subject))

    def settle(self) -> None:
        """Raise the error of the first condition that does not hold; all are forgotten."""
        conditions, self._conditions = self._conditions, []
        for holds, error in conditions:
            if not holds:
                raise error

"""Refuses values that are not finite where they appear first: they would cost a whole video and say nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import UserError

if TYPE_CHECKING:  # the messages of this file are needed where torch is not imported
    from torch import Tensor

FULL_PRECISION = "full precision"
"""The remedy in `NotFiniteError`; each surface may put its own option in its place."""


class NotFiniteError(UserError):
    """Latents or a prediction hold NaN or infinity."""


def not_finite(subject: str) -> NotFiniteError:
    """The error; `subject` is singular: "the latent of the image"."""
    return NotFiniteError(
        f"{subject} is not finite (NaN or infinity), mostly from half precision or damaged weights: "
        f"use {FULL_PRECISION}, or another checkpoint, motion module or VAE"
    )


def check_finite(values: Tensor, subject: str) -> None:
    """Raise `NotFiniteError` unless all values are finite."""
    if not bool(values.isfinite().all()):
        raise not_finite(subject)


def check_prediction(prediction: Tensor, step: int, num_steps: int) -> None:
    """Raise `NotFiniteError`, which names the step, unless the model's prediction is finite.

    Args:
        step: the step's number from 1; `num_steps` of them are planned.
    """
    check_finite(prediction, _prediction(step, num_steps))


def _prediction(step: int, num_steps: int) -> str:
    return f"the model's prediction in step {step} of {num_steps}"


class Checks:
    """Conditions of a step that are read when all of its work has been asked for: a GPU idles while the host waits for it."""

    def __init__(self) -> None:
        self._conditions: list[tuple[Tensor, UserError]] = []

    def require(self, holds: Tensor, error: UserError) -> None:
        """A condition, one bool, and what `settle` raises where it does not hold."""
        self._conditions.append((holds, error))

    def prediction(self, prediction: Tensor, step: int, num_steps: int) -> None:
        """The condition of `check_prediction`."""
        self.require(prediction.isfinite().all(), not_finite(_prediction(step, num_steps)))

    def settle(self) -> None:
        """Raise the error of the first condition that does not hold; all are forgotten."""
        conditions, self._conditions = self._conditions, []
        for holds, error in conditions:
            if not holds:
                raise error

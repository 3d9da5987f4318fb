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


def check_finite(values: Tensor, subject: str) -> None:
    """Raise `NotFiniteError` unless all values are finite.

    Args:
        subject: of the message, singular: "the latent of the image".
    """
    if not bool(values.isfinite().all()):
        raise NotFiniteError(
            f"{subject} is not finite (NaN or infinity), mostly from half precision or damaged weights: "
            f"use {FULL_PRECISION}, or another checkpoint, motion module or VAE"
        )


def check_prediction(prediction: Tensor, step: int, num_steps: int) -> None:
    """Raise `NotFiniteError`, which names the step, unless the model's prediction is finite.

    Args:
        step: the step's number from 1; `num_steps` of them are planned.
    """
    check_finite(prediction, f"the model's prediction in step {step} of {num_steps}")

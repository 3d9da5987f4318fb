"""Noise rectification: Algorithm 1 of Li et al. (arXiv 2403.02827), on one screen."""

from __future__ import annotations

import torch
from torch import Tensor


def rectify(prediction: Tensor, reference: Tensor, omega: Tensor) -> Tensor:
    """Correct a prediction towards the reference, frame by frame.

        P̃_i = (1 - ω_i)·R_i + ω_i·(P_i + R_0 - P_0)

    P is what the model predicts after guidance and R what it would predict if the noise were the remembered one
    (`spaces.reference_prediction`). With P = n̂ and R = n this is the paper's
    ñ_i = n̂_i + ω_i·(n_0 - n̂_0) + (1-ω_i)·(n_i - n̂_i), and with P = D and R = y its form for clean latents,
    D̃_i = (1-ω_i)·y_i + ω_i·(D_i - D_0 + y_0). The rule is the same for every kind of prediction, since all of them are
    affine in each other with factors that the frames share.

    Args:
        prediction: `[F, C, H, W]`, any floating type.
        reference: `[F, C, H, W]`, float32 or float64. Frame 0 is the reference frame.
        omega: ω, `[F]`, on the same device, in [0, 1]; frame 0 equals its reference whatever its weight.

    Returns:
        `[F, C, H, W]` in the type of `prediction`, computed in the type of `reference`. Besides it, one frame is
        allocated, and for half precision one tensor of `reference`'s type.
    """
    # The error that the model makes on frame 0 is taken off every frame.
    rectified = torch.add(prediction, reference[:1] - prediction[:1])
    weights = omega.to(rectified.dtype).view(-1, *[1] * (prediction.ndim - 1))
    torch.lerp(reference, rectified, weights, out=rectified)
    rectified[0] = reference[0]  # pinned exactly, not to rounding
    return rectified.to(prediction.dtype)


def pin_first_frame(prediction: Tensor, reference: Tensor) -> Tensor:
    """A copy of the prediction whose frame 0 is its reference: what is left of rectification once τ has ended."""
    pinned = prediction.clone()
    pinned[0] = reference[0]
    return pinned

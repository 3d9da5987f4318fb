"""Noise rectification: Algorithm 1 of Li et al. (arXiv 2403.02827), on one screen."""

from __future__ import annotations

import torch
from torch import Tensor

from .keyframes import KeyFrames


def rectify(prediction: Tensor, reference: Tensor, omega: Tensor, keys: KeyFrames | None = None) -> Tensor:
    """Correct a prediction towards the reference, frame by frame.

        P̃_i = (1 - ω_i)·R_i + ω_i·(P_i + Σ_k h_ik·(R_k - P_k))

    P is what the model predicts after guidance and R what it would predict if the noise were the remembered one
    (`spaces.reference_prediction`); k are the key frames, whose gap every frame gets by its hat weights h_ik. With frame 0
    as the only one, P = n̂ and R = n, this is the paper's ñ_i = n̂_i + ω_i·(n_0 - n̂_0) + (1-ω_i)·(n_i - n̂_i), and with
    P = D and R = y its form for clean latents, D̃_i = (1-ω_i)·y_i + ω_i·(D_i - D_0 + y_0). The rule is the same for every
    kind of prediction, since all of them are affine in each other with factors that the frames share.

    Args:
        prediction: `[F, C, H, W]`, any floating type.
        reference: `[F, C, H, W]`, float32 or float64.
        omega: ω in [0, 1] on the same device: `[F]`, or `[F, 1, H, W]` where a mask says what may move. Key frames equal
            their reference whatever their weight.
        keys: the key frames; None is frame 0 alone.

    Returns:
        `[F, C, H, W]` in the type of `prediction`, computed in the type of `reference`. Besides it, one frame a key frame is
        allocated, and for half precision one tensor of `reference`'s type.
    """
    # The error that the model makes on the key frames is taken off every frame.
    if keys is None or keys.frames == (0,):
        pinned, rectified = [0], torch.add(prediction, reference[:1] - prediction[:1])
    else:
        pinned = list(keys.frames)
        gaps = reference[pinned] - prediction[pinned]
        rectified = torch.tensordot(gaps.new_tensor(keys.hat_weights), gaps, dims=1).add_(prediction)
    weights = omega.to(rectified.dtype).view(*omega.shape, *[1] * (prediction.ndim - omega.ndim))
    torch.lerp(reference, rectified, weights, out=rectified)
    for frame in pinned:
        rectified[frame] = reference[frame]  # pinned exactly, not to rounding
    return rectified.to(prediction.dtype)


def pin_key_frames(prediction: Tensor, reference: Tensor, keys: KeyFrames | None = None) -> Tensor:
    """A copy of the prediction whose key frames are their reference: what is left of rectification once τ has ended."""
    frames = [0] if keys is None else list(keys.frames)
    pinned = prediction.clone()
    for frame in frames:
        pinned[frame] = reference[frame]
    return pinned

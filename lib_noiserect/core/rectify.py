"""Noise rectification: Algorithm 1 of Li et al. (arXiv 2403.02827), on one screen."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from .keyframes import KeyFrames

# Cells of the grid to a side; a cell is an eighth of a picture of 512 pixels, or larger.
_COARSE = 4


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
        rectified = add_gaps(prediction.to(reference.dtype, copy=True), gaps, keys)
    weights = omega.to(rectified.dtype).view(*omega.shape, *[1] * (prediction.ndim - omega.ndim))
    torch.lerp(reference, rectified, weights, out=rectified)
    for frame in pinned:
        rectified[frame] = reference[frame]  # pinned exactly, not to rounding
    return rectified.to(prediction.dtype)


def add_gaps(frames: Tensor, gaps: Tensor, keys: KeyFrames) -> Tensor:
    """`frames`, `[F, C, H, W]`, with Σ_k h_ik·gap_k added in place; `gaps` is `[K, C, H, W]`."""
    hats = torch.tensor(keys.hat_weights, dtype=frames.dtype, device=frames.device)
    for hat, gap in zip(hats.unbind(1), gaps):  # not as a matrix product, which autocast would do in half precision
        frames.addcmul_(hat.view(-1, *[1] * (frames.ndim - 1)), gap)
    return frames


def hold_colour(prediction: Tensor, reference: Tensor, keys: KeyFrames | None = None) -> Tensor:
    """A copy of the prediction, `[F, C, H, W]`, whose colours and light are held: P_i + Σ_k h_ik·L(R_k - P_k).

    L keeps the low frequencies: the means of a coarse grid, with straight lines between.
    """
    keys = keys or KeyFrames((0,), prediction.shape[0])
    pinned = list(keys.frames)
    gaps = reference[pinned] - prediction[pinned].to(reference.dtype)
    each = gaps.flatten(0, -4)
    coarse = functional.adaptive_avg_pool2d(each, _COARSE)
    smooth = functional.interpolate(coarse, size=each.shape[-2:], mode="bilinear", align_corners=False)
    held = add_gaps(prediction.to(reference.dtype, copy=True), smooth.view(gaps.shape), keys)
    return held.to(prediction.dtype)


def pin_key_frames(prediction: Tensor, reference: Tensor, keys: KeyFrames | None = None) -> Tensor:
    """A copy of the prediction whose key frames are their reference: what is left of rectification once τ has ended."""
    frames = [0] if keys is None else list(keys.frames)
    pinned = prediction.clone()
    for frame in frames:
        pinned[frame] = reference[frame]
    return pinned

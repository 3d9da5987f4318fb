"""Noise rectification: Algorithm 1 of Li et al. (arXiv 2403.02827), on one screen."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional

from .correspondence import carry
from .keyframes import Keyframes

# Cells per side of the grid that holds color and light; in an image of 512 pixels a cell is 128 pixels wide.
_GRID = 4


def rectify(
    prediction: Tensor, reference: Tensor, omega: Tensor, keyframes: Keyframes | None = None, pred_x0: Tensor | None = None
) -> Tensor:
    """Correct a prediction towards the reference prediction, frame by frame.

        P̃_i = (1 - ω_i)·R_i + ω_i·(P_i + Σ_k h_ik·W_ik (R_k - P_k))

    P is the model's prediction after guidance, and R its prediction if the noise were the reference noise
    (`noise_levels.reference_prediction`). Each frame gets the gaps of the keyframes k by its hat weights h_ik. With frame 0
    as the only keyframe, P = n̂ and R = n, this is the paper's ñ_i = n̂_i + ω_i·(n_0 - n̂_0) + (1-ω_i)·(n_i - n̂_i), and with
    P = D and R = y its form for clean latents, D̃_i = (1-ω_i)·y_i + ω_i·(D_i - D_0 + y_0). All kinds of prediction are
    affine in each other, with factors that the frames share; so the rule is the same for all.

    W_ik is the identity in the paper, and with `pred_x0` the correspondence of frame i with keyframe k
    (`correspondence.carry`), which is linear and the same for all kinds, too.

    Returns `[F, C, H, W]` in the type of `prediction`, computed in the type of `reference`. This allocates one more frame
    per keyframe, and for half precision one more tensor of `reference`'s type.

    Args:
        prediction: `[F, C, H, W]`, any floating type.
        reference: `[F, C, H, W]`, float32 or float64.
        omega: ω in [0, 1] on the same device: `[F]`, or `[F, 1, H, W]` with a motion mask. Keyframes get their reference
            for every ω.
        keyframes: None is frame 0 alone.
        pred_x0: `[F, C, H, W]`, the clean latents that `prediction` stands for: each gap follows what moves in them. None
            adds the gaps at their own places.
    """
    # The model's error on the keyframes is taken off every frame.
    if keyframes is None or keyframes.frames == (0,):
        pinned, gap = [0], reference[:1] - prediction[:1]
        rectified = torch.add(prediction, gap if pred_x0 is None else carry(gap[0], pred_x0, 0))
    else:
        pinned = list(keyframes.frames)
        gaps = iter(reference[pinned] - prediction[pinned])
        if pred_x0 is not None:
            gaps = (carry(gap, pred_x0, frame) for gap, frame in zip(gaps, pinned))
        rectified = add_gaps(prediction.to(reference.dtype, copy=True), gaps, keyframes)
    weights = omega.to(rectified.dtype).view(*omega.shape, *[1] * (prediction.ndim - omega.ndim))
    torch.lerp(reference, rectified, weights, out=rectified)
    for frame in pinned:
        rectified[frame] = reference[frame]  # exactly, not to rounding
    return rectified.to(prediction.dtype)


def add_gaps(frames: Tensor, gaps: Iterable[Tensor], keyframes: Keyframes) -> Tensor:
    """`frames`, `[F, …]`, with Σ_k h_ik·gap_k added in place; each of the K gaps is one for all frames or `[F, …]`."""
    hats = torch.tensor(keyframes.hat_weights, dtype=frames.dtype, device=frames.device)
    for hat, gap in zip(hats.unbind(1), gaps):  # autocast would compute a matrix product in half precision
        frames.addcmul_(hat.view(-1, *[1] * (frames.ndim - 1)), gap)
    return frames


def hold_color(prediction: Tensor, reference: Tensor, keyframes: Keyframes | None = None) -> Tensor:
    """A copy of the prediction, `[F, …, H, W]`, with the reference's color and light: P_i + Σ_k h_ik·L(R_k - P_k).

    L keeps the low frequencies: the means of a coarse grid, interpolated linearly.
    """
    keyframes = keyframes or Keyframes((0,), prediction.shape[0])
    pinned = list(keyframes.frames)
    gaps = reference[pinned] - prediction[pinned].to(reference.dtype)
    images = gaps.flatten(0, -4)
    rows, columns = (cells(length) for length in images.shape[-2:])
    means = [[images[..., row, column].mean((-2, -1)) for column in columns] for row in rows]
    coarse = torch.stack([torch.stack(line, dim=-1) for line in means], dim=-2)
    smooth = functional.interpolate(coarse, size=images.shape[-2:], mode="bilinear", align_corners=False)
    corrected = add_gaps(prediction.to(reference.dtype, copy=True), smooth.view(gaps.shape), keyframes)
    return corrected.to(prediction.dtype)


def cells(length: int) -> list[slice]:
    """The cells of the grid along one side, as `adaptive_avg_pool2d` has them; on Apple's GPUs it wants equal ones."""
    return [slice(cell * length // _GRID, -(-(cell + 1) * length // _GRID)) for cell in range(_GRID)]


def pin_keyframes(prediction: Tensor, reference: Tensor, keyframes: Keyframes | None = None) -> Tensor:
    """A copy of the prediction, `[F, …]`, whose keyframes equal their reference."""
    pinned = prediction.clone()
    for frame in [0] if keyframes is None else keyframes.frames:
        pinned[frame] = reference[frame]
    return pinned

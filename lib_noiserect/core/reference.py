"""The clean latents that the frames of a video are corrected towards."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .finite import check_finite
from .keyframes import Keyframes


@dataclass(frozen=True)
class Reference:
    """What rectification corrects each frame towards, and how far each latent pixel may leave it.

    Raises `NotFiniteError` if a latent holds NaN or infinity.
    """

    x0: Tensor  # z, the clean latents, `[F, …, C, H, W]`, or with one frame where one image serves all frames
    keyframes: Keyframes
    mask: Tensor | None = None  # a factor of ω, `[F, 1, …, H, W]` in [0, 1]; None where everything may move

    def __post_init__(self) -> None:
        check_finite(self.x0, "the latent of the image")


def interpolate(keyframes: Keyframes, stills: Tensor, interpolation: str = "slerp") -> Tensor:
    """z of every frame, `[F, …]`, from a still video of each keyframe, `[K, F, …]` in the order of `keyframes.frames`.

    `slerp` turns one latent into the next along the great circle; `hold` takes the nearest keyframe's.
    """
    frames = []
    for frame in range(keyframes.num_frames):
        before, after, fraction = keyframes.between(frame)
        if interpolation == "hold":
            frames.append(stills[before if fraction < 0.5 else after, frame])
        else:
            frames.append(slerp(stills[before, frame], stills[after, frame], fraction))
    return torch.stack(frames)


def slerp(start: Tensor, end: Tensor, fraction: float) -> Tensor:
    """The latent at `fraction` in [0, 1] of the great circle between the directions of two latents of one shape.

    Lengths are interpolated linearly. Between equal or opposite directions the path is a straight line.
    """
    if fraction in (0.0, 1.0):
        return start if fraction == 0.0 else end
    dtype = torch.promote_types(start.dtype, torch.float32)
    left, right = start.to(dtype), end.to(dtype)
    lengths = float(left.norm()), float(right.norm())
    directions = left / (lengths[0] or 1.0), right / (lengths[1] or 1.0)
    # An arc cosine would need float64, which Apple's GPUs do not have (Kahan, "How futile are mindless assessments").
    angle = 2 * math.atan2(float((directions[0] - directions[1]).norm()), float((directions[0] + directions[1]).norm()))
    if angle < 1e-4 or math.pi - angle < 1e-4 or min(lengths) == 0:
        return torch.lerp(left, right, fraction).to(start.dtype)
    length = (lengths[0] + fraction * (lengths[1] - lengths[0])) / math.sin(angle)
    turned = math.sin((1 - fraction) * angle) * length * directions[0] + math.sin(fraction * angle) * length * directions[1]
    return turned.to(start.dtype)

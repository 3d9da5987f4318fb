"""The clean latents that the frames of a video are corrected towards."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .keyframes import Keyframes


@dataclass(frozen=True)
class Reference:
    """What rectification corrects each frame towards, and how far each latent pixel may leave it.

    Attributes:
        x0: z, the clean latents, `[F, …, C, H, W]`, or with one frame where one image serves all frames.
        keyframes: the frames that have an image.
        mask: the motion mask as a factor of ω, `[F, 1, …, H, W]` in [0, 1]; None where everything may move.
    """

    x0: Tensor
    keyframes: Keyframes
    mask: Tensor | None = None


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
    left, right = start.double(), end.double()
    lengths = left.norm(), right.norm()
    cosine = (left * right).sum() / (lengths[0] * lengths[1]).clamp(min=1e-30)
    angle = torch.acos(cosine.clamp(-1, 1))
    if angle < 1e-4 or torch.pi - angle < 1e-4 or min(lengths) == 0:
        return torch.lerp(left, right, fraction).to(start.dtype)
    direction = torch.sin((1 - fraction) * angle) * left / lengths[0] + torch.sin(fraction * angle) * right / lengths[1]
    turned: Tensor = direction / torch.sin(angle) * torch.lerp(lengths[0], lengths[1], fraction)
    return turned.to(start.dtype)

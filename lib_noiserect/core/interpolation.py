"""What the frames between two pictures are held to."""

from __future__ import annotations

import torch
from torch import Tensor

from .keyframes import KeyFrames


def interpolate(keys: KeyFrames, stills: Tensor, interpolation: str = "slerp") -> Tensor:
    """z, `[F, …]`, from the key frames' still clips, `[K, F, …]` in the order of `keys.frames`.

    `slerp` goes along the great circle between two latents, and their lengths linearly; `hold` keeps the nearest one.
    """
    made = []
    for frame in range(keys.num_frames):
        before, after, share = keys.between(frame)
        if interpolation == "hold":
            made.append(stills[before if share < 0.5 else after, frame])
        else:
            made.append(slerp(stills[before, frame], stills[after, frame], share))
    return torch.stack(made)


def slerp(start: Tensor, end: Tensor, share: float) -> Tensor:
    """From `start` (share 0) to `end` (share 1), both of any one shape, along the great circle between their directions.

    Their lengths are interpolated linearly. Where the directions are the same or opposite, the way is straight.
    """
    if share in (0.0, 1.0):
        return start if share == 0.0 else end
    one, other = start.double(), end.double()
    lengths = one.norm(), other.norm()
    cosine = (one * other).sum() / (lengths[0] * lengths[1]).clamp(min=1e-30)
    angle = torch.acos(cosine.clamp(-1, 1))
    if angle < 1e-4 or torch.pi - angle < 1e-4 or min(lengths) == 0:
        return torch.lerp(one, other, share).to(start.dtype)
    sides = torch.sin((1 - share) * angle) * one / lengths[0] + torch.sin(share * angle) * other / lengths[1]
    turned: Tensor = sides / torch.sin(angle) * torch.lerp(lengths[0], lengths[1], share)
    return turned.to(start.dtype)

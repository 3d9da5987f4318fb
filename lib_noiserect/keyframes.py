"""Key frames: at which frames the clip is to be a given picture, and what the frames between them are held to."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from .settings import SettingsError

INTERPOLATIONS = {
    "slerp": "the pictures' latents, turned into each other",
    "hold": "the picture of the nearest key frame",
}


@dataclass(frozen=True)
class KeyFrames:
    """The frames of a clip that are pictures; the plain case is one picture at frame 0.

    Attributes:
        frames: their numbers, ascending, each in [0, `num_frames`).
        num_frames: F, the length of the clip.
        loop: whether frame F is frame 0 again, so that the last key frame is followed by the first one.

    Raises:
        SettingsError: a number is out of range or given twice, or there is none.
    """

    frames: tuple[int, ...]
    num_frames: int
    loop: bool = False

    def __post_init__(self) -> None:
        if not self.frames:
            raise SettingsError("no key frame is given: use at least one")
        for frame in self.frames:
            if not 0 <= frame < self.num_frames:
                raise SettingsError(
                    f"key frame {frame} is not in the clip of {self.num_frames} frames: use 0 to {self.num_frames - 1}"
                )
            if self.frames.count(frame) > 1:
                raise SettingsError(f"key frame {frame} is given twice: give each frame one picture")
        object.__setattr__(self, "frames", tuple(sorted(self.frames)))

    def between(self, frame: int) -> tuple[int, int, float]:
        """The indices of the key frames before and after a frame, and how far it is from the one to the other, in [0, 1].

        Before the first key frame, and after the last one of a clip that does not loop, both are the nearest one.
        """
        last = len(self.frames) - 1
        after = next((index for index, key in enumerate(self.frames) if key >= frame), None)
        if after is not None and self.frames[after] == frame:
            return after, after, 0.0
        if after is None or after == 0:
            if not self.loop:
                only = last if after is None else 0
                return only, only, 0.0
            start, end = self.frames[last], self.frames[0] + self.num_frames
            return last, 0, ((frame - start) % self.num_frames) / (end - start)
        start, end = self.frames[after - 1], self.frames[after]
        return after - 1, after, (frame - start) / (end - start)

    @functools.cached_property
    def hat_weights(self) -> Tensor:
        """h, `[F, K]`: how much each frame has of each key frame, linear between neighbours; the rows sum to 1."""
        weights = torch.zeros(self.num_frames, len(self.frames), dtype=torch.float64)
        for frame in range(self.num_frames):
            before, after, share = self.between(frame)
            weights[frame, before] += 1 - share
            weights[frame, after] += share
        return weights

    def distances(self) -> list[float]:
        """How far each frame is from its nearest key frame, `[F]` in [0, 1], where 1 is the farthest of the clip."""
        ways = [abs(frame - key) for frame in range(self.num_frames) for key in self.frames]
        if self.loop:
            ways = [min(way, self.num_frames - way) for way in ways]
        count = len(self.frames)
        nearest = [min(ways[frame * count : (frame + 1) * count]) for frame in range(self.num_frames)]
        return [way / max(max(nearest), 1) for way in nearest]

    def interpolate(self, stills: Tensor, interpolation: str = "slerp") -> Tensor:
        """z, `[F, …]`, from the key frames' still clips, `[K, F, …]` in the order of `frames`.

        `slerp` goes along the great circle between two latents, and their lengths linearly; `hold` keeps the nearest one.
        """
        made = []
        for frame in range(self.num_frames):
            before, after, share = self.between(frame)
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

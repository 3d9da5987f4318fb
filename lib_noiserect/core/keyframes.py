"""Keyframes: the frames of a video that have an image, and how far the other frames are from them."""

from __future__ import annotations

import functools
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass

from .settings import SettingsError


@dataclass(frozen=True)
class Keyframes:
    """The frames of a video that have an image; in the plain case frame 0 alone.

    Raises `SettingsError` if a number is out of range or occurs twice, or there is none.
    """

    frames: tuple[int, ...]  # ascending, each in [0, F)
    num_frames: int  # F, the length of the video
    loop: bool = False  # whether frame F is frame 0 again, so that the first keyframe follows the last one

    def __post_init__(self) -> None:
        if not self.frames:
            raise SettingsError("the video has no keyframe: use at least one")
        counts = Counter(self.frames)
        for frame, count in counts.items():
            if not 0 <= frame < self.num_frames:
                raise SettingsError(
                    f"keyframe {frame} is outside the video of {self.num_frames} frames: use 0 to {self.num_frames - 1}"
                )
            if count > 1:
                raise SettingsError(f"keyframe {frame} has two images: use one image per frame")
        object.__setattr__(self, "frames", tuple(sorted(self.frames)))

    def between(self, frame: int) -> tuple[int, int, float]:
        """The indices of the keyframes before and after a frame, and its place between them, in [0, 1].

        Before the first keyframe, and after the last one of a video that does not loop, both are the nearest one.
        """
        count = len(self.frames)
        after = bisect_left(self.frames, frame)
        nearest = min(after, count - 1)
        if self.frames[nearest] == frame or (not self.loop and after in (0, count)):
            return nearest, nearest, 0.0
        start, end = self.frames[after - 1], self.frames[after % count]  # in a loop the first one follows the last
        length = (end - start) % self.num_frames or self.num_frames  # of one keyframe the whole loop
        return (after - 1) % count, after % count, ((frame - start) % self.num_frames) / length

    @functools.cached_property
    def hat_weights(self) -> list[list[float]]:
        """h, F rows of K: the share of each keyframe in each frame, linear between neighbors; each row sums to 1."""
        weights = [[0.0] * len(self.frames) for _ in range(self.num_frames)]
        for frame, row in enumerate(weights):
            before, after, fraction = self.between(frame)
            row[before] += 1 - fraction
            row[after] += fraction
        return weights

    def nearest(self) -> list[int]:
        """The index of each frame's nearest keyframe, F numbers; of two equally near, the lower index."""
        return [row.index(max(row)) for row in self.hat_weights]

    def distances(self) -> list[float]:
        """The distance of each frame from its nearest keyframe, `[F]` in [0, 1], where 1 is the farthest of the video."""
        nearest = []
        for frame in range(self.num_frames):
            apart = [abs(frame - self.frames[key]) for key in self.between(frame)[:2]]
            around = [self.num_frames - distance for distance in apart if self.loop]
            nearest.append(min(*apart, *around))
        farthest = max(*nearest, 1)
        return [distance / farthest for distance in nearest]

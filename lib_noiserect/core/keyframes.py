"""Keyframes: the frames of a video that have an image, and how far the other frames are from them."""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import dataclass

from .settings import SettingsError


@dataclass(frozen=True)
class Keyframes:
    """The frames of a video that have an image; in the plain case frame 0 alone.

    Attributes:
        frames: their numbers, ascending, each in [0, `num_frames`).
        num_frames: F, the length of the video.
        loop: whether frame F is frame 0 again, so that the first keyframe follows the last one.

    Raises:
        SettingsError: a number is out of range or occurs twice, or there is none.
    """

    frames: tuple[int, ...]
    num_frames: int
    loop: bool = False

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
        last = len(self.frames) - 1
        after = next((index for index, keyframe in enumerate(self.frames) if keyframe >= frame), None)
        if after is not None and self.frames[after] == frame:
            return after, after, 0.0
        if after is None or after == 0:
            if not self.loop:
                nearest = last if after is None else 0
                return nearest, nearest, 0.0
            start, end = self.frames[last], self.frames[0] + self.num_frames
            return last, 0, ((frame - start) % self.num_frames) / (end - start)
        start, end = self.frames[after - 1], self.frames[after]
        return after - 1, after, (frame - start) / (end - start)

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
        keys, nearest = {*self.frames}, [self.num_frames] * self.num_frames
        # Sweeps from both ends; in a loop a second lap brings the distance across the seam.
        positions = range((2 if self.loop else 1) * self.num_frames)
        for order in (positions, reversed(positions)):
            since = self.num_frames
            for position in order:
                frame = position % self.num_frames
                since = 0 if frame in keys else since + 1
                nearest[frame] = min(nearest[frame], since)
        farthest = max(*nearest, 1)
        return [distance / farthest for distance in nearest]

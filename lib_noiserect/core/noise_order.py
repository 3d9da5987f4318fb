"""Clips longer than the model's context: the noise of their later frames."""

from __future__ import annotations

import random

# Frames that change places among each other, as in FreeNoise (Qiu et al., arXiv 2310.15169); windows overlap by as many.
_BLOCK = 4


def noise_order(num_frames: int, context: int) -> list[int]:
    """For each frame of the clip, the frame of the first context whose noise it gets.

    Any `context` frames in a row, from a multiple of 4 on, then have the same noises as the first ones have. What the model
    gets wrong in a window depends on the noise in it, so that the correction by frame 0 fits the windows without frame 0 too.
    """
    shuffle = random.Random(0).shuffle
    order = list(range(min(context, num_frames)))
    while len(order) < num_frames:
        block = order[len(order) - context :][:_BLOCK]
        shuffle(block)
        order += block
    return order[:num_frames]

"""A measure of ghosts that needs no truth: how much of the first frame is still seen where, by the flow, it has left."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.errors import need
from .flow import Floats, flow
from .images import Pixels

# Of the shorter side: coarser differences are light, and a shorter way is no leaving.
_DETAIL, _LEFT = 1 / 8, 1 / 20
# Fewer pixels tell nothing.
_LEAST_PIXELS = 20


def ghosts(video: Pixels, flows: Sequence[Floats] | None = None) -> float:
    """How much of the first frame's detail is still seen at its place after it has left, from 0 to about 1.

    It is the mean of |β_i| of the least squares fits  detail of frame i = β_i · detail of frame 0  over the pixels that the
    content of frame 0 has left, as the flow from frame to frame tells; frames weigh as much as the detail that has left.
    A ghost may be bright or dark: its sign does not count. Where nothing leaves its place, there is no ghost.

    The video is `[F, H, W, 3]` uint8, F at least 2; `flows` are those of `flow` from each frame to the next, if known.
    """
    cv2 = need("cv2", "opencv-python-headless", "measuring videos")
    height, width = video.shape[1:3]
    side = min(height, width)
    start = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.float32)
    place = start

    def detail(frame: Pixels) -> Floats:
        values = frame.astype(np.float64)
        difference: Floats = values - cv2.GaussianBlur(values, (0, 0), side * _DETAIL, borderType=cv2.BORDER_REPLICATE)
        return difference

    first, product, square, count = detail(video[0]), 0.0, 0.0, 0
    for after, shifts in zip(video[1:], flows or map(flow, video[:-1], video[1:])):
        steps = cv2.remap(shifts.astype(np.float32), place, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        place = place + steps
        left = np.linalg.norm(place - start, axis=2) > side * _LEFT
        product += abs(float((detail(after)[left] * first[left]).sum()))
        square += float(np.square(first[left]).sum())
        count += int(left.sum())
    return product / square if count >= _LEAST_PIXELS and square > 0 else 0.0

"""Optical flow between two frames."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..core.errors import need
from .images import Pixels

Floats: TypeAlias = NDArray[np.float64]

_FLOW_SIDE = 128


def flow(before: Pixels, after: Pixels) -> Floats:
    """Dense optical flow, `[H, W, 2]` in pixels, x to the right, y down (Kroeger et al. 2016: OpenCV's DIS, preset medium).

    Frames with a side below 128 pixels are enlarged first: DIS matches patches of 8 pixels on a pyramid.
    """
    cv2 = need("cv2", "opencv-python-headless", "measuring videos")
    height, width = before.shape[:2]
    scale = -(-_FLOW_SIDE // min(height, width)) if min(height, width) < _FLOW_SIDE else 1
    grays = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (before, after)]
    if scale > 1:
        grays = [cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC) for gray in grays]
    # DIS cuts a frame into one stripe per thread, and the stripes change its result: one thread is the same on every machine.
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        field = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(*grays, None)
    finally:
        cv2.setNumThreads(threads)  # the number is global, and the web UI's other extensions rely on theirs
    if scale > 1:
        field = cv2.resize(field, (width, height), interpolation=cv2.INTER_AREA) / scale
    shifts: Floats = field.astype(np.float64)
    return shifts

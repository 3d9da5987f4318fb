"""Measures of a video that need no weights: similarity to the image, optical flow, motion, steadiness and ghosts.

Videos are `[F, H, W, 3]` and images `[H, W, 3]`, uint8, at least 16 pixels wide and high. Flows are `[H, W, 2]`, in pixels
to the right and down. All but the flow is computed in float64.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..core.errors import need
from .images import MediaError
from .images import Pixels as Pixels

Floats: TypeAlias = NDArray[np.float64]

MIN_SIDE = 16
# The mean square error of rounding to 8 bits: no video is closer, and equal frames stay finite.
_ROUNDING = 1 / 12
_GMSD_CONSTANT = 170.0
_FLOW_SIDE = 128
# Of the shorter side: coarser differences are light, and a shorter way is no leaving. Fewer pixels tell nothing.
_GHOST_DETAIL, _GHOST_LEFT, _GHOST_PIXELS = 1 / 8, 1 / 20, 20
# Between distant frames a shape moves further and noise does not: gaps of several frames tell them apart.
_DIRECTION_GAPS = (2, 4)
# Pixels per frame: noise of 5 % alone measures half of this, a shape that crosses the frame ten times as much.
_STILL = 0.1


def measure(video: Pixels, image: Pixels) -> dict[str, float]:
    """All measures of a video that was made from an image: of frame 0, or means over the frames or pairs of neighbors.

    Raises `MediaError` for a wrong shape, type or size, `MissingPackageError` without scikit-image, OpenCV or SciPy.
    """
    ssim, psnr = ssim_per_frame(video, image), psnr_per_frame(video, image)
    flows = list(_neighbor_flows(video))
    return {
        "ssim": float(ssim.mean()),
        "ssim_first": float(ssim[0]),
        "psnr": float(psnr.mean()),
        "psnr_first": float(psnr[0]),
        "gmsd": float(gmsd_per_frame(video, image).mean()),
        "colour_drift": float(color_drift_per_frame(video, image).mean()),
        "warp_residual": warp_residual(video, flows),
        "motion": motion(video, flows),
        "ghost": ghosts(video, flows),
    }


def ssim_per_frame(video: Pixels, image: Pixels) -> Floats:
    """Structural similarity of each frame to the image, `[F]`, 1 where equal (Wang et al. 2004, with their Gaussian)."""
    _check(video, image)
    similarity = need("skimage.metrics", "scikit-image", "measuring videos").structural_similarity
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return np.array([similarity(frame, image, channel_axis=2, data_range=255, **settings) for frame in video])


def nearest_ssim(video: Pixels, images: Sequence[Pixels], nearest: Sequence[int]) -> float:
    """The mean SSIM of the frames, each to that of `images` whose index `nearest` has for it, as `Keyframes.nearest`."""
    return float(np.stack([ssim_per_frame(video, image) for image in images])[nearest, np.arange(len(video))].mean())


def psnr_per_frame(video: Pixels, image: Pixels) -> Floats:
    """10·log10(255² / mean square error) of each frame to the image, `[F]` in dB; at most 58.9, the limit of 8 bits."""
    _check(video, image)
    errors = np.square(video.astype(np.float64) - image).mean(axis=(1, 2, 3))
    decibels: Floats = 10 * np.log10(255**2 / np.maximum(errors, _ROUNDING))
    return decibels


def gmsd_per_frame(video: Pixels, image: Pixels) -> Floats:
    """Gradient magnitude similarity deviation of each frame to the image, `[F]`, 0 where equal (Xue et al. 2014)."""
    _check(video, image)
    prewitt = need("scipy.ndimage", "scipy", "measuring videos").prewitt
    height, width = image.shape[0] // 2, image.shape[1] // 2

    def gradients(frame: Pixels) -> Floats:
        """Their magnitudes in gray and half the size, without an odd last row or column; Prewitt's weights are thirds."""
        gray = (frame @ np.array([0.299, 0.587, 0.114]))[: 2 * height, : 2 * width]
        halved = gray.reshape(height, 2, width, 2).mean(axis=(1, 3))
        magnitudes: Floats = np.hypot(prewitt(halved, axis=0), prewitt(halved, axis=1)) / 3
        return magnitudes

    of_image, of_frames = gradients(image), np.stack([gradients(frame) for frame in video])
    similarity = (2 * of_frames * of_image + _GMSD_CONSTANT) / (of_frames**2 + of_image**2 + _GMSD_CONSTANT)
    deviations: Floats = similarity.std(axis=(1, 2))
    return deviations


def color_drift_per_frame(video: Pixels, image: Pixels) -> Floats:
    """ΔE (CIE 1976) between the mean CIELAB colors of each frame and of the image, `[F]`; about 2 is just visible."""
    _check(video, image)
    to_lab = need("skimage.color", "scikit-image", "measuring videos").rgb2lab
    expected = to_lab(image).mean(axis=(0, 1))
    return np.array([float(np.linalg.norm(to_lab(frame).mean(axis=(0, 1)) - expected)) for frame in video])


def flow(before: Pixels, after: Pixels) -> Floats:
    """Dense optical flow, `[H, W, 2]` (Kroeger et al. 2016: OpenCV's DIS, preset medium).

    Frames with a side below 128 pixels are enlarged first: DIS matches patches of 8 pixels on a pyramid.
    """
    cv2 = need("cv2", "opencv-python-headless", "measuring videos")
    height, width = before.shape[:2]
    scale = -(-_FLOW_SIDE // min(height, width))
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


def motion(video: Pixels, flows: Sequence[Floats] | None = None) -> float:
    """Mean magnitude of the flow from each frame to the next (`flows`, if known), in pixels per frame, over all pixels."""
    return float(np.mean([np.linalg.norm(shifts, axis=2).mean() for shifts in flows or _neighbor_flows(video)]))


def warp_residual(video: Pixels, flows: Sequence[Floats] | None = None) -> float:
    """The change between frames that optical flow does not explain: mean absolute difference in units of 1/255.

    Each frame is compared with the next one, sampled where the flow (as in `motion`) moves its pixels; pixels that leave
    the frame do not count.
    """
    cv2 = need("cv2", "opencv-python-headless", "measuring videos")
    height, width = video.shape[1:3]
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    residuals = []
    for before, after, shifts in zip(video[:-1], video[1:], flows or _neighbor_flows(video)):
        to_x, to_y = x + shifts[..., 0], y + shifts[..., 1]
        arrived = cv2.remap(after.astype(np.float32), to_x.astype(np.float32), to_y.astype(np.float32), cv2.INTER_LINEAR)
        inside = (to_x >= 0) & (to_x <= width - 1) & (to_y >= 0) & (to_y <= height - 1)
        if inside.any():
            residuals.append(np.abs(arrived - before)[inside].mean())
    return float(np.mean(residuals)) if residuals else float("nan")


def ghosts(video: Pixels, flows: Sequence[Floats] | None = None) -> float:
    """How much of the first frame's detail is still seen at its place after it has left, from 0 to about 1.

    It is the mean of |β_i| of the least squares fits  detail of frame i = β_i · detail of frame 0  over the pixels that the
    content of frame 0 has left, as the flow (as in `motion`) tells; frames weigh as much as the detail that has left.
    A ghost may be bright or dark: its sign does not count. Where nothing leaves its place, there is no ghost.
    """
    cv2 = need("cv2", "opencv-python-headless", "measuring videos")
    height, width = video.shape[1:3]
    side = min(height, width)
    start = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.float32)
    place = start

    def detail(frame: Pixels) -> Floats:
        values = frame.astype(np.float64)
        coarse: Floats = cv2.GaussianBlur(values, (0, 0), side * _GHOST_DETAIL, borderType=cv2.BORDER_REPLICATE)
        return values - coarse

    first, product, square, count = detail(video[0]), 0.0, 0.0, 0
    for after, shifts in zip(video[1:], flows or _neighbor_flows(video)):
        steps = cv2.remap(shifts.astype(np.float32), place, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        place = place + steps
        left = np.linalg.norm(place - start, axis=2) > side * _GHOST_LEFT
        product += abs(float((detail(after)[left] * first[left]).sum()))
        square += float(np.square(first[left]).sum())
        count += int(left.sum())
    return product / square if count >= _GHOST_PIXELS and square > 0 else 0.0


def direction(video: Pixels) -> str:
    """The direction of motion, left, right, up or down: the sign of the larger axis of `shift`; still if it is small."""
    right, down = shift(video)
    if max(abs(right), abs(down)) < _STILL:
        return "still"
    if abs(right) > abs(down):
        return "right" if right > 0 else "left"
    return "down" if down > 0 else "up"


def shift(video: Pixels) -> tuple[float, float]:
    """The mean motion to the right and down, in pixels per frame, of everything that moves.

    The weight of a pixel is its difference to the median frame: a small shape that crosses a still background counts, and
    flicker of that background does not.
    """
    _check(video)
    blur = need("cv2", "opencv-python-headless", "measuring videos").GaussianBlur
    smooth = np.stack([blur(frame, (0, 0), 1.0) for frame in video])
    median = np.median(smooth, axis=0)
    shifts = []
    for gap in sorted({min(gap, len(video) - 1) for gap in _DIRECTION_GAPS}):
        for index in range(0, len(video) - gap, max(gap // 2, 1)):
            moving = np.abs(smooth[index] - median).mean(axis=2, keepdims=True)
            weighted = flow(smooth[index], smooth[index + gap]) * moving
            shifts.append(weighted.sum(axis=(0, 1)) / gap / max(float(moving.sum()), 1.0))
    right, down = np.mean(shifts, axis=0)
    return float(right), float(down)


def named_direction(caption: str) -> str | None:
    """The direction that a caption names as "moving left" and the like, if it names exactly one."""
    named = set(re.findall(r"\bmoving (left|right|up|down)\b", caption.lower()))
    return named.pop() if len(named) == 1 else None


def _neighbor_flows(video: Pixels) -> Iterator[Floats]:
    _check(video)
    return (flow(before, after) for before, after in zip(video[:-1], video[1:]))


def _check(video: Pixels, image: Pixels | None = None) -> None:
    if video.ndim != 4 or video.shape[3] != 3 or video.dtype != np.uint8 or len(video) < 2:
        raise MediaError(f"video is {video.dtype} of shape {video.shape}: use uint8, [F, H, W, 3], of at least two frames")
    if min(video.shape[1:3]) < MIN_SIDE:
        raise MediaError(f"video has frames of {video.shape[2]}x{video.shape[1]} pixels: use at least {MIN_SIDE}x{MIN_SIDE}")
    if image is not None and (image.shape != video.shape[1:] or image.dtype != np.uint8):
        raise MediaError(
            f"image is {image.dtype} of shape {image.shape} and the video's frames are of shape {video.shape[1:]}: "
            "use a uint8 image of their size"
        )

"""What can be said of a clip without weights: how much of the picture it keeps, how it moves, how steady it is.

Clips are `[F, H, W, 3]` and pictures `[H, W, 3]`, uint8, at least 16 pixels wide and high. All is float64 inside.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..evaluation.errors import EvaluationError, need

Pixels: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float64]
Direction: TypeAlias = Literal["left", "right", "up", "down", "still"]

_WAYS: tuple[Direction, ...] = ("left", "right", "up", "down")
MIN_SIDE = 16
# Rounding to 8 bits is off by this much (mean square, in 255ths): no clip is closer, and frames that are equal stay finite.
_ROUNDING = 1 / 12
_SSIM_SIGMA, _SSIM_RADIUS = 1.5, 5
_MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_GMSD_CONSTANT = 170.0
_FLOW_SIDE = 128
# A shape moves further between more distant frames, and noise does not: gaps of several frames tell them apart.
_DIRECTION_GAPS = (2, 4)
# Pixels a frame, of what moves: pixel noise of 5 % alone comes to half of it, a creature that crosses the frame to ten times.
_STILL = 0.1


@dataclass(frozen=True)
class Measures:
    """One clip's figures. `first` is frame 0; the others are means over the frames, or over pairs of neighbours."""

    ssim: float
    ssim_first: float
    psnr: float
    psnr_first: float
    ms_ssim: float
    gmsd: float
    colour_drift: float
    warp_residual: float
    motion: float


def measure(clip: Pixels, picture: Pixels) -> Measures:
    """All figures of a clip that was made from a picture.

    Raises:
        EvaluationError: shape or type of clip or picture is wrong, or they do not fit each other.
        MissingPackageError: scikit-image, OpenCV or SciPy is not installed.
    """
    ssim, psnr = ssim_per_frame(clip, picture), psnr_per_frame(clip, picture)
    flows = list(_neighbour_flows(clip))
    return Measures(
        ssim=float(ssim.mean()),
        ssim_first=float(ssim[0]),
        psnr=float(psnr.mean()),
        psnr_first=float(psnr[0]),
        ms_ssim=float(ms_ssim_per_frame(clip, picture).mean()),
        gmsd=float(gmsd_per_frame(clip, picture).mean()),
        colour_drift=float(colour_drift_per_frame(clip, picture).mean()),
        warp_residual=_warp_residual(clip, flows),
        motion=_motion(flows),
    )


def ssim_per_frame(clip: Pixels, picture: Pixels) -> Floats:
    """Structural similarity of each frame to the picture, `[F]`, 1 where equal (Wang et al. 2004, with their Gaussian)."""
    _check(clip, picture)
    similarity = need("skimage.metrics", "scikit-image").structural_similarity
    settings = {"gaussian_weights": True, "sigma": _SSIM_SIGMA, "use_sample_covariance": False}
    return np.array([similarity(frame, picture, channel_axis=2, data_range=255, **settings) for frame in clip])


def psnr_per_frame(clip: Pixels, picture: Pixels) -> Floats:
    """10·log10(255² / mean square error) of each frame to the picture, `[F]` in dB; 58.9, the floor of 8 bits, if equal."""
    _check(clip, picture)
    errors = np.square(clip.astype(np.float64) - picture).mean(axis=(1, 2, 3))
    decibels: Floats = 10 * np.log10(255**2 / np.maximum(errors, _ROUNDING))
    return decibels


def ms_ssim_per_frame(clip: Pixels, picture: Pixels) -> Floats:
    """Multi-scale structural similarity in grey, `[F]`, 1 where equal (Wang, Simoncelli and Bovik 2003).

    Small frames have fewer than the five scales: as many as the 11-pixel window fits in, their weights scaled to a sum of 1.
    """
    _check(clip, picture)
    sides = [min(picture.shape[:2]) >> scale for scale in range(len(_MS_SSIM_WEIGHTS))]
    weights = np.array(_MS_SSIM_WEIGHTS[: sum(side > 2 * _SSIM_RADIUS for side in sides)])
    weights /= weights.sum()
    return np.array([_ms_ssim(_grey(frame), _grey(picture), weights) for frame in clip])


def gmsd_per_frame(clip: Pixels, picture: Pixels) -> Floats:
    """Gradient magnitude similarity deviation of each frame to the picture, `[F]`, 0 where equal (Xue et al. 2014)."""
    _check(clip, picture)
    there = _gradient(_halve(_grey(picture)))
    deviations = []
    for frame in clip:
        here = _gradient(_halve(_grey(frame)))
        similarity = (2 * here * there + _GMSD_CONSTANT) / (here**2 + there**2 + _GMSD_CONSTANT)
        deviations.append(similarity.std())
    return np.array(deviations)


def colour_drift_per_frame(clip: Pixels, picture: Pixels) -> Floats:
    """ΔE (CIE 1976) between the mean CIELAB colours of each frame and of the picture, `[F]`; about 2 can just be seen."""
    _check(clip, picture)
    to_lab = need("skimage.color", "scikit-image").rgb2lab
    wanted = to_lab(picture).mean(axis=(0, 1))
    return np.array([float(np.linalg.norm(to_lab(frame).mean(axis=(0, 1)) - wanted)) for frame in clip])


def motion(clip: Pixels) -> float:
    """Mean magnitude of the optical flow between neighbouring frames, in pixels a frame, over all pixels."""
    return _motion(list(_neighbour_flows(clip)))


def warp_residual(clip: Pixels) -> float:
    """What the flow does not explain of the change from frame to frame: mean absolute difference in 255ths.

    Each frame is compared with its successor, sampled where the flow says that the frame's pixels went; pixels that
    left the frame do not count.
    """
    return _warp_residual(clip, list(_neighbour_flows(clip)))


def direction(clip: Pixels) -> Direction:
    """Where the clip's contents move: the larger axis of `shift`, or still where it is small."""
    right, down = shift(clip)
    if max(abs(right), abs(down)) < _STILL:
        return "still"
    if abs(right) > abs(down):
        return "right" if right > 0 else "left"
    return "down" if down > 0 else "up"


def shift(clip: Pixels) -> tuple[float, float]:
    """How far the clip's contents move, to the right and down in pixels a frame: the mean flow of what moves.

    The weight of a pixel is its difference to the clip's median frame, so that a small shape counts that crosses a still
    ground, and flicker of that ground does not.
    """
    _check(clip)
    smooth = np.stack([need("cv2", "opencv-python-headless").GaussianBlur(frame, (0, 0), 1.0) for frame in clip])
    median = np.median(smooth, axis=0)
    shifts = []
    for gap in sorted({min(gap, len(clip) - 1) for gap in _DIRECTION_GAPS}):
        for index in range(0, len(clip) - gap, max(gap // 2, 1)):
            moving = np.abs(smooth[index] - median).mean(axis=2, keepdims=True)
            weighted = flow(smooth[index], smooth[index + gap]) * moving
            shifts.append(weighted.sum(axis=(0, 1)) / gap / max(float(moving.sum()), 1.0))
    right, down = np.mean(shifts, axis=0)
    return float(right), float(down)


def named_direction(caption: str) -> Direction | None:
    """The direction in "moving left" and the like, if a caption names just one."""
    named: set[Direction] = {way for way in _WAYS if re.search(rf"\bmoving {way}\b", caption, re.IGNORECASE)}
    return named.pop() if len(named) == 1 else None


def flow(before: Pixels, after: Pixels) -> Floats:
    """Dense optical flow, `[H, W, 2]` in pixels, x to the right, y down (Kroeger et al. 2016: OpenCV's DIS, preset medium).

    Frames with a side below 128 pixels are enlarged for it: DIS matches patches of 8 pixels on a pyramid.
    """
    cv2 = need("cv2", "opencv-python-headless")
    height, width = before.shape[:2]
    scale = -(-_FLOW_SIDE // min(height, width)) if min(height, width) < _FLOW_SIDE else 1
    greys = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (before, after)]
    if scale > 1:
        greys = [cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC) for grey in greys]
    # DIS cuts a frame into a stripe a thread and its result depends on them: one, so that every machine finds the same.
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        found = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(*greys, None)
    finally:
        cv2.setNumThreads(threads)  # it is one number for the whole process, and the web UI's others have theirs
    if scale > 1:
        found = cv2.resize(found, (width, height), interpolation=cv2.INTER_AREA) / scale
    shifts: Floats = found.astype(np.float64)
    return shifts


def _neighbour_flows(clip: Pixels) -> Iterator[Floats]:
    _check(clip)
    return (flow(before, after) for before, after in zip(clip[:-1], clip[1:]))


def _motion(flows: list[Floats]) -> float:
    return float(np.mean([np.linalg.norm(shifts, axis=2).mean() for shifts in flows]))


def _warp_residual(clip: Pixels, flows: list[Floats]) -> float:
    cv2 = need("cv2", "opencv-python-headless")
    height, width = clip.shape[1:3]
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    residuals = []
    for before, after, shifts in zip(clip[:-1], clip[1:], flows):
        to_x, to_y = x + shifts[..., 0], y + shifts[..., 1]
        arrived = cv2.remap(
            after.astype(np.float32), to_x.astype(np.float32), to_y.astype(np.float32), cv2.INTER_LINEAR
        )
        inside = (to_x >= 0) & (to_x <= width - 1) & (to_y >= 0) & (to_y <= height - 1)
        if inside.any():
            residuals.append(np.abs(arrived - before)[inside].mean())
    return float(np.mean(residuals)) if residuals else float("nan")


def _ms_ssim(a: Floats, b: Floats, weights: Floats) -> float:
    product = 1.0
    for scale, weight in enumerate(weights):
        if scale:
            a, b = _halve(a), _halve(b)
        luminance, contrast = _ssim_terms(a, b)
        last = scale == len(weights) - 1
        # A negative correlation has no real power: it counts as none, as in the usual implementations.
        product *= max(float((luminance * contrast if last else contrast).mean()), 0.0) ** weight
    return product


def _ssim_terms(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """The maps of luminance and of contrast and structure, without the window's border."""
    gaussian = need("scipy.ndimage", "scipy").gaussian_filter

    def local_mean(image: Floats) -> Any:
        blurred = gaussian(image, _SSIM_SIGMA, radius=_SSIM_RADIUS)
        return blurred[_SSIM_RADIUS:-_SSIM_RADIUS, _SSIM_RADIUS:-_SSIM_RADIUS]

    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_a, mean_b = local_mean(a), local_mean(b)
    variances = local_mean(a * a) - mean_a**2 + local_mean(b * b) - mean_b**2
    covariance = local_mean(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return luminance, (2 * covariance + c2) / (variances + c2)


def _gradient(grey: Floats) -> Floats:
    """Gradient magnitude by Prewitt's operator, whose weights are thirds."""
    prewitt = need("scipy.ndimage", "scipy").prewitt
    magnitude: Floats = np.hypot(prewitt(grey, axis=0), prewitt(grey, axis=1)) / 3
    return magnitude


def _grey(frame: Pixels) -> Floats:
    luma: Floats = frame @ np.array([0.299, 0.587, 0.114])
    return luma


def _halve(grey: Floats) -> Floats:
    """Half the size: means of 2×2 pixels; an odd last row or column is left out."""
    height, width = grey.shape[0] // 2, grey.shape[1] // 2
    halved: Floats = grey[: 2 * height, : 2 * width].reshape(height, 2, width, 2).mean(axis=(1, 3))
    return halved


def _check(clip: Pixels, picture: Pixels | None = None) -> None:
    if clip.ndim != 4 or clip.shape[3] != 3 or clip.dtype != np.uint8 or len(clip) < 2:
        raise EvaluationError(
            f"clip is {clip.dtype} of shape {clip.shape}: give uint8, [F, H, W, 3], of at least two frames"
        )
    if min(clip.shape[1:3]) < MIN_SIDE:
        raise EvaluationError(
            f"clip has frames of {clip.shape[2]}x{clip.shape[1]} pixels: give at least {MIN_SIDE}x{MIN_SIDE}"
        )
    if picture is not None and (picture.shape != clip.shape[1:] or picture.dtype != np.uint8):
        raise EvaluationError(
            f"picture is {picture.dtype} of shape {picture.shape} and the clip's frames are of shape {clip.shape[1:]}: "
            "give a uint8 picture of their size"
        )

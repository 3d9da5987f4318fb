"""Animates an image with a video pipeline, and searches the motion for a target similarity."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ..core.keyframes import Keyframes
from ..core.motion_search import PROBE_STEPS, Found, Probe, find_motion, probe_size
from ..core.settings import Settings
from ..media.metrics import nearest_ssim
from ..methods.analytic_init import Statistics
from .latents import as_mask, video_pixels
from .loading import most_frames
from .rectification import Rectification, rectified
from .schedulers import PipelineError

METHODS = ("pivot", "fixed noise", "noising")
"""Ours; the authors' published rule; the noised image, denoised freely (SDEdit)."""


def animate(
    pipe: Any,
    image: NDArray[np.uint8],
    prompt: str,
    settings: Settings,
    *,
    key_frames: Mapping[int, NDArray[np.uint8]] | None = None,
    mask: Any = None,
    statistics: Statistics | None = None,
    method: str = "pivot",
    negative_prompt: str = "",
    steps: int = 25,
    guidance: float | None = None,
    frames: int = 16,
    seed: int = 0,
) -> tuple[NDArray[np.uint8], Rectification]:
    """A video of the image, `[F, H, W, 3]` uint8, and the rectification that made it.

    All methods get the same noise from the same seed. Raises `PipelineError` if the pipeline cannot make this video, for
    example in this size, and `SettingsError` if ω has another length than the video.

    Args:
        image: `[H, W, 3]` uint8, in the size of the video.
        key_frames: more images of the same size, by the numbers of their frames, from 1.
        mask, statistics: as `rectified` takes them.
        method: one of `METHODS`; `"noising"` ignores all settings, `mask` and `statistics`.
        guidance: the scale of classifier-free guidance, or its largest one; None is the pipeline's own.
    """
    if method not in METHODS:
        raise PipelineError(f"method = {method!r} is unknown: use one of {', '.join(METHODS)}")
    settings = replace(settings, enabled=True)
    if method == "noising":
        settings, mask, statistics = Settings(enabled=True, tau_start=0.0, tau_end=0.0), None, None
    height, width = image.shape[:2]
    limit = most_frames(pipe)
    if limit is not None and frames > limit:
        raise PipelineError(f"frames = {frames} is more than the motion modules support: use at most {limit}")
    images, follow_noise = {0: image, **(key_frames or {})}, method != "fixed noise"
    with rectified(pipe, images, settings, mask=mask, follow_noise=follow_noise, statistics=statistics) as rectification:
        arguments = {
            "prompt": prompt,
            "negative_prompt": negative_prompt,
            "height": height,
            "width": width,
            "num_inference_steps": steps,
            # The names in other pipelines are those of Latte and LaVie, SanaVideo, and Stable Video Diffusion.
            **dict.fromkeys(("num_frames", "video_length", "frames"), frames),
            **dict.fromkeys(("guidance_scale", "max_guidance_scale"), guidance),
            "generator": torch.Generator().manual_seed(seed),
            "output_type": "np",
            "image": Image.fromarray(image),
        }
        parameters = inspect.signature(type(pipe).__call__).parameters
        result = pipe(**{name: each for name, each in arguments.items() if name in parameters and each is not None})
        video = result.video if hasattr(result, "video") else result.frames
    return video_pixels(video), rectification


def find_motion_for(
    pipe: Any,
    image: NDArray[np.uint8],
    prompt: str,
    settings: Settings,
    *,
    key_frames: Mapping[int, NDArray[np.uint8]] | None = None,
    mask: Any = None,
    statistics: Statistics | None = None,
    steps: int = 25,
    frames: int = 16,
    on_probe: Callable[[int, int, Probe], None] | None = None,
    **call: Any,
) -> Found:
    """The settings with which `animate` makes the liveliest video of the similarity `settings.target_ssim`.

    `call` are more arguments of `animate`, and `find_motion` calls `on_probe`. The test videos have at most `PROBE_STEPS`
    steps and sides of at most `PROBE_SIDE` pixels; the last one is whole. Smaller ones are made without statistics of one
    resolution. Raises `SettingsError` for a target that cannot be reached, and `PipelineError` as `animate` does.
    """
    if frames < 2:
        raise PipelineError(f"target_ssim needs a second frame and frames = {frames}: use 2 or more")
    height, width = probe_size(*image.shape[:2])
    is_whole = (height, width) == image.shape[:2]
    images = {0: image, **(key_frames or {})}
    masks = {} if mask is None else mask if isinstance(mask, Mapping) else {0: mask}
    whole = {"mask": mask, "statistics": statistics, "steps": steps}
    small = {
        "mask": {number: as_mask(each, height, width) for number, each in masks.items()} or None,
        "statistics": statistics if is_whole or statistics is None or statistics.kind == "spectral" else None,
        "steps": min(steps, PROBE_STEPS),
    }

    def resized(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.array(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))

    def measured(images: Mapping[int, NDArray[np.uint8]], options: Mapping[str, Any], candidate: Settings) -> float:
        more = {number: each for number, each in images.items() if number}
        video, _ = animate(pipe, images[0], prompt, candidate, key_frames=more, frames=frames, **options, **call)
        return mean_ssim(video, images, loop=settings.loop)

    bar = getattr(pipe, "_progress_bar_config", {})
    pipe.set_progress_bar_config(disable=True)
    try:
        found = find_motion(
            settings,
            functools.partial(measured, {number: resized(each) for number, each in images.items()}, small),
            exact=functools.partial(measured, images, whole),
            on_probe=on_probe,
        )
        return found if is_whole else replace(found, probe_size=(height, width))
    finally:
        pipe.set_progress_bar_config(**bar)


def mean_ssim(video: NDArray[np.uint8], images: Mapping[int, NDArray[np.uint8]], *, loop: bool = False) -> float:
    """The mean SSIM of a video's frames, `[F, H, W, 3]` with F > 1, to the images of their nearest keyframes, `[H, W, 3]`.

    `images` are by the numbers of their frames; in a `loop`, frame F is frame 0 again.
    """
    keyframes = Keyframes(tuple(images), len(video), loop)
    return nearest_ssim(video, [images[number] for number in keyframes.frames], keyframes.nearest())

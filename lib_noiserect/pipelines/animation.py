"""Loads a video pipeline, the built-in one or a real one, and animates a picture with it."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ..core.keyframes import Keyframes
from ..core.motion_search import PROBE_STEPS, Found, Probe, find_motion, probe_size
from ..core.settings import Settings
from ..media.metrics import ssim_per_frame
from ..methods.analytic_init import Statistics
from .latents import as_mask, clip_pixels
from .rectification import Rectification, rectified
from .schedulers import PipelineError

BUILT_IN = Path(__file__).parents[1] / "tiny" / "model"

SAMPLERS: dict[str, tuple[str, dict[str, Any]]] = {
    "ddim": ("DDIMScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "dpm++ 2m": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++", "final_sigmas_type": "zero"}),
    "dpm++ 2m karras": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True, "final_sigmas_type": "zero"}),
    "unipc": ("UniPCMultistepScheduler", {}),
    "euler a": ("EulerAncestralDiscreteScheduler", {}),
    "dpm++ sde": ("DPMSolverSDEScheduler", {}),
    "dpm++ 2m sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++", "final_sigmas_type": "zero"}),
    "ddpm": ("DDPMScheduler", {}),
    "lcm": ("LCMScheduler", {}),
}
"""Samplers by the names that people know them by: the scheduler's class and what is changed of the model's own settings."""

METHODS = ("pivot", "fixed noise", "noising")
"""Ours; the authors' published rule; the noised picture denoised freely (SDEdit)."""


def load(model: str | None = None, motion_adapter: str | None = None, device: str | None = None) -> Any:
    """A text-to-video pipeline: the built-in one, or `model` (a folder or a hub id) with a motion adapter if it needs one.

    Only safetensors are read. On a GPU real models come in half precision.

    Raises:
        PipelineError: no such model, or one that makes no clips; the message says what to give.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    options: dict[str, Any] = {"torch_dtype": torch.float32 if model is None or device == "cpu" else torch.float16}
    options["use_safetensors"] = True
    try:
        with _quiet():
            if model is None:
                pipe = diffusers.AnimateDiffPipeline.from_pretrained(BUILT_IN, **options)
            elif motion_adapter is None:
                pipe = diffusers.DiffusionPipeline.from_pretrained(model, **options)
            else:
                adapter = diffusers.MotionAdapter.from_pretrained(motion_adapter, **options)
                pipe = _animatediff_class(model).from_pretrained(model, motion_adapter=adapter, **options)
    except (OSError, ValueError, KeyError) as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise PipelineError(f"the model {model or BUILT_IN} could not be loaded: {first_line}") from error
    if type(pipe).__name__ in ("StableDiffusionPipeline", "StableDiffusionXLPipeline"):
        raise PipelineError(f"{model} makes single pictures: give --motion-adapter with it")
    pipe.to(device)
    return pipe


def _animatediff_class(model: str) -> Any:
    config = diffusers.DiffusionPipeline.load_config(model)
    is_xl = "XL" in str(config.get("_class_name"))
    return diffusers.AnimateDiffSDXLPipeline if is_xl else diffusers.AnimateDiffPipeline


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The libraries' bars and advice while weights are read are not for the people who use ours."""
    from transformers.utils import logging as transformers_logging

    loggers = [diffusers.utils.logging, transformers_logging]
    levels = [library.get_verbosity() for library in loggers]
    for library in loggers:
        library.set_verbosity(logging.CRITICAL)  # what goes wrong is raised too, and said once
        library.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            # `torch_dtype` has become `dtype`, which versions before that do not know.
            warnings.filterwarnings("ignore", message=".*torch_dtype", category=FutureWarning)
            yield
    finally:
        for library, level in zip(loggers, levels, strict=True):
            library.set_verbosity(level)
            library.enable_progress_bar()


def use_sampler(pipe: Any, name: str) -> None:
    """Gives the pipeline another sampler, with the model's own noise levels.

    Raises:
        PipelineError: the sampler is not known.
    """
    if name not in SAMPLERS:
        raise PipelineError(f"sampler = {name!r} is not known: use one of {', '.join(SAMPLERS)}")
    class_name, changes = SAMPLERS[name]
    pipe.scheduler = getattr(diffusers, class_name).from_config(pipe.scheduler.config, **changes)


def native_size(pipe: Any) -> tuple[int, int]:
    """The width and height in pixels that the pipeline makes by itself."""
    model = getattr(pipe, "unet", None) or pipe.transformer
    scale = getattr(pipe, "vae_scale_factor", None) or pipe.vae_scale_factor_spatial
    size = getattr(model.config, "sample_size", None) or getattr(model.config, "sample_width", None)
    if size is None:
        raise PipelineError(f"{type(pipe).__name__} has no size of its own: give --width and --height")
    return int(size) * scale, int(size) * scale


def most_frames(pipe: Any) -> int | None:
    """The longest clip that the pipeline's motion modules have positions for; None where there is no such limit."""
    adapter = getattr(pipe, "motion_adapter", None)
    if adapter is None or getattr(pipe, "free_noise_enabled", False):
        return None
    return int(adapter.config.motion_max_seq_length)


def animate(
    pipe: Any,
    picture: NDArray[np.uint8],
    prompt: str,
    settings: Settings,
    *,
    key_frames: Mapping[int, NDArray[np.uint8]] | None = None,
    mask: Any = None,
    statistics: Statistics | None = None,
    method: str = "pivot",
    negative_prompt: str = "",
    steps: int = 25,
    guidance: float = 7.5,
    frames: int = 16,
    seed: int = 0,
) -> tuple[NDArray[np.uint8], Rectification]:
    """The clip, `[F, H, W, 3]` uint8, of a picture `[H, W, 3]` uint8 in the same size, and what was done.

    The same seed gives the same noise in every method.

    Args:
        key_frames: more pictures of the same size, by the numbers of the frames that are to be them, from 1.
        mask: where things may move, of the picture's shape, or several by the numbers of their frames: as `rectified` has it.
        statistics: what the start is drawn from, instead of the noised picture.
        method: one of `METHODS`; `"noising"` ignores all settings and `statistics`.
        guidance: the scale of classifier-free guidance.

    Raises:
        PipelineError: the pipeline cannot do it, the size included.
        SettingsError: ω has another length than the clip.
    """
    if method not in METHODS:
        raise PipelineError(f"method = {method!r} is not known: use one of {', '.join(METHODS)}")
    settings = replace(settings, enabled=True)
    if method == "noising":
        settings, mask, statistics = Settings(enabled=True, tau_start=0.0, tau_end=0.0), None, None
    height, width = picture.shape[:2]
    limit = most_frames(pipe)
    if limit is not None and frames > limit:
        raise PipelineError(
            f"frames = {frames} is more than the {limit} that the motion modules know: use at most {limit}"
        )
    pictures = {0: picture, **key_frames} if key_frames else picture
    follow_noise = method != "fixed noise"
    with rectified(
        pipe, pictures, settings, mask=mask, follow_noise=follow_noise, statistics=statistics
    ) as rectification:
        made = pipe(
            prompt=prompt,
            negative_prompt=negative_prompt,
            num_frames=frames,
            height=height,
            width=width,
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=torch.Generator().manual_seed(seed),
            output_type="np",
        ).frames
    return clip_pixels(made), rectification


def find_motion_for(
    pipe: Any,
    picture: NDArray[np.uint8],
    prompt: str,
    settings: Settings,
    *,
    key_frames: Mapping[int, NDArray[np.uint8]] | None = None,
    mask: Any = None,
    steps: int = 25,
    frames: int = 16,
    on_probe: Callable[[int, int, Probe], None] | None = None,
    **call: Any,
) -> Found:
    """The settings with which `animate` makes the liveliest clip that is as similar as `settings.target_ssim` asks.

    The clips that are tried have at most `PROBE_STEPS` steps, and sides of at most `PROBE_SIDE` pixels; the last is whole.

    Args:
        pipe, picture, prompt, key_frames, mask, steps, frames, call: as `animate` takes them. Statistics of one resolution
            are for the whole clip only, and are left out of the smaller ones.
        on_probe: as `target.find_motion` takes it.

    Raises:
        SettingsError: the target cannot be reached.
        PipelineError: as `animate` raises it.
    """
    if frames < 2:
        raise PipelineError(f"target_ssim is given and frames = {frames}, of which none could move: use 2 or more")
    size = probe_size(*picture.shape[:2])
    statistics = call.pop("statistics", None)
    fits = statistics is None or statistics.kind == "spectral" or size == picture.shape[:2]
    whole = {0: picture, **(key_frames or {})}
    smaller = {number: _resized(given, *size) for number, given in whole.items()}
    masks = {} if mask is None else mask if isinstance(mask, Mapping) else {0: mask}
    small_masks = {number: as_mask(given, *size) for number, given in masks.items()} or None

    def measured(
        pictures: Mapping[int, NDArray[np.uint8]], mask: Any, steps: int, start: Statistics | None, tried: Settings
    ) -> float:
        more = {number: given for number, given in pictures.items() if number}
        job = {"key_frames": more, "mask": mask, "statistics": start, "steps": steps, "frames": frames, **call}
        clip, _ = animate(pipe, pictures[0], prompt, tried, **job)
        return mean_ssim(clip, pictures, loop=settings.loop)

    bar = getattr(pipe, "_progress_bar_config", {})
    pipe.set_progress_bar_config(disable=True)
    try:
        found = find_motion(
            settings,
            functools.partial(measured, smaller, small_masks, min(steps, PROBE_STEPS), statistics if fits else None),
            exact=functools.partial(measured, whole, mask, steps, statistics),
            on_probe=on_probe,
        )
        return found if size == picture.shape[:2] else replace(found, probe_size=size)
    finally:
        pipe.set_progress_bar_config(**bar)


def _resized(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.array(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))


def mean_ssim(clip: NDArray[np.uint8], pictures: Mapping[int, NDArray[np.uint8]], *, loop: bool = False) -> float:
    """The mean SSIM of a clip's frames, each to the picture of its nearest key frame.

    Args:
        clip: `[F, H, W, 3]`, of two frames or more.
        pictures: `[H, W, 3]` by the numbers of their frames.
        loop: whether frame F is frame 0 again.
    """
    keys = Keyframes(tuple(pictures), len(clip), loop)
    to_each = np.stack([ssim_per_frame(clip, pictures[number]) for number in keys.frames])
    nearest = np.argmax(keys.hat_weights, axis=1)
    return float(to_each[nearest, np.arange(len(clip))].mean())


def describe(pipe: Any) -> str:
    """The pipeline and its scheduler with what was changed of it, for reports."""
    config = {key: value for key, value in pipe.scheduler.config.items() if not key.startswith("_")}
    return f"{type(pipe).__name__}, {type(pipe.scheduler).__name__} {json.dumps(config, default=str, sort_keys=True)}"

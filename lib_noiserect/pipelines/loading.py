"""Loads a video pipeline, the built-in one or another, and sets its sampler."""

from __future__ import annotations

import contextlib
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import diffusers
import torch

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
"""The samplers by their common names: the scheduler's class, and its changes of the model's configuration."""


def load(model: str | None = None, motion_adapter: str | None = None, device: str | None = None) -> Any:
    """A text-to-video pipeline: the built-in one, or `model` (a folder or a hub id) with a motion adapter if it needs one.

    Only safetensors are read. On a GPU all models but the built-in one use half precision.

    Raises:
        PipelineError: the model cannot be loaded, or makes no videos.
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
        raise PipelineError(f"model {model or BUILT_IN} failed to load: {first_line}") from error
    if type(pipe).__name__ in ("StableDiffusionPipeline", "StableDiffusionXLPipeline"):
        raise PipelineError(f"{model} is an image model: give --motion-adapter with it")
    pipe.to(device)
    return pipe


def _animatediff_class(model: str) -> Any:
    config = diffusers.DiffusionPipeline.load_config(model)
    is_xl = "XL" in str(config.get("_class_name"))
    return diffusers.AnimateDiffSDXLPipeline if is_xl else diffusers.AnimateDiffPipeline


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the libraries' progress bars and advice inside the block."""
    from transformers.utils import logging as transformers_logging

    loggers = [diffusers.utils.logging, transformers_logging]
    levels = [library.get_verbosity() for library in loggers]
    for library in loggers:
        library.set_verbosity(logging.CRITICAL)  # errors are raised too
        library.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            # `torch_dtype` has become `dtype`, which older versions do not know.
            warnings.filterwarnings("ignore", message=".*torch_dtype", category=FutureWarning)
            yield
    finally:
        for library, level in zip(loggers, levels, strict=True):
            library.set_verbosity(level)
            library.enable_progress_bar()


def use_sampler(pipe: Any, name: str) -> None:
    """Set the pipeline's sampler, by one of the names in `SAMPLERS`, with the model's noise levels.

    Raises:
        PipelineError: the sampler is unknown.
    """
    if name not in SAMPLERS:
        raise PipelineError(f"sampler = {name!r} is unknown: use one of {', '.join(SAMPLERS)}")
    class_name, changes = SAMPLERS[name]
    pipe.scheduler = getattr(diffusers, class_name).from_config(pipe.scheduler.config, **changes)


def native_size(pipe: Any) -> tuple[int, int]:
    """The width and height in pixels of the pipeline's videos by default. Raises `PipelineError` where it has none."""
    model = getattr(pipe, "unet", None) or pipe.transformer
    scale = getattr(pipe, "vae_scale_factor", None) or pipe.vae_scale_factor_spatial
    size = getattr(model.config, "sample_size", None) or getattr(model.config, "sample_width", None)
    if size is None:
        raise PipelineError(f"{type(pipe).__name__} has no default size: give --width and --height")
    return int(size) * scale, int(size) * scale


def most_frames(pipe: Any) -> int | None:
    """The length of the longest video for the pipeline's motion modules; None where there is no such limit."""
    adapter = getattr(pipe, "motion_adapter", None)
    if adapter is None or getattr(pipe, "free_noise_enabled", False):
        return None
    return int(adapter.config.motion_max_seq_length)


def describe(pipe: Any) -> str:
    """The pipeline and the configuration of its scheduler, for reports."""
    config = {key: value for key, value in pipe.scheduler.config.items() if not key.startswith("_")}
    return f"{type(pipe).__name__}, {type(pipe.scheduler).__name__} {json.dumps(config, default=str, sort_keys=True)}"

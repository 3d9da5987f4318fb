"""Refusals of pipelines and settings that cannot work together, before a pipeline is touched."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from ..core.settings import Settings
from .latents import compresses_time
from .schedulers import PipelineError


def checked_prepare_latents(pipe: Any) -> Callable[..., Tensor]:
    """The pipeline's `prepare_latents`. Raises `PipelineError` for a pipeline that cannot be rectified."""
    name = type(pipe).__name__
    prepare = getattr(pipe, "prepare_latents", None)
    if prepare is None or not hasattr(getattr(pipe, "scheduler", None), "step") or not hasattr(pipe, "vae"):
        raise PipelineError(f"{name} has no prepare_latents, scheduler and VAE: use a text-to-video pipeline of diffusers")
    names = inspect.signature(prepare).parameters
    if not {"num_frames", "height", "width"} <= set(names) or {"video", "image"} & set(names):
        raise PipelineError(f"{name} is not a text-to-video pipeline: use its text-to-video sibling")
    return prepare  # type: ignore[no-any-return]


def check_settings(pipe: Any, settings: Settings) -> None:
    """Raise `PipelineError` for settings that this pipeline does not support."""
    name = type(pipe).__name__
    if settings.target_ssim > 0.0:
        raise PipelineError(
            f"target_ssim = {settings.target_ssim:g} takes several videos, and this makes one: "
            "call lib_noiserect.pipelines.animation.find_motion_for first, and use the settings that it returns"
        )
    if not settings.loop:
        return
    if compresses_time(pipe.vae):
        raise PipelineError(f"loop is on and {name}'s VAE joins several frames into one: switch it off")
    if getattr(pipe, "controlnet", None) is not None:
        raise PipelineError(f"loop is on and {name} has a ControlNet, whose frames cannot be turned: switch it off")


def check_one_prompt(check: Callable[..., None], prompts: Any, negative_prompts: Any, *others: Any) -> None:
    """Raise `PipelineError` for prompts that change between the frames; else call `check`."""
    if any(isinstance(each, Mapping) and len(each) > 1 for each in (prompts, negative_prompts)):
        raise PipelineError(
            "loop is on and the prompt changes between the frames, which a loop turns: switch one of them off"
        )
    check(prompts, negative_prompts, *others)

"""Refusals of pipelines and settings that cannot work together, before a pipeline is touched."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from ..core.settings import Settings
from .latents import compresses_time
from .schedulers import PipelineError

# By the parameters of `prepare_latents`: why a pipeline cannot be rectified.
_REFUSED = {
    "video": "makes its latents from a video",
    "causal_block_size": "denoises each frame with a scheduler of its own",
    "cond_latents": "makes its video in windows",
    "first_latent": "has a noise level for each token",
    **dict.fromkeys(
        ("conditions", "reference_conditions", "condition_latents"),
        "fixes frames by conditions, with a noise level for each token",
    ),
}

# What calls name the frames of the whole video: Helios and Framepack, Wan Animate.
_VIDEO_FRAMES = ("num_frames", "cond_video_frames")


def checked_prepare_latents(pipe: Any) -> Callable[..., Any]:
    """The pipeline's `prepare_latents`. Raises `PipelineError` for a pipeline that cannot be rectified."""
    name = type(pipe).__name__
    parts = (getattr(pipe, part, None) for part in ("prepare_latents", "scheduler", "vae"))
    if any(part is None for part in parts):
        raise PipelineError(f"{name} has no prepare_latents, scheduler and VAE: use a video pipeline of diffusers")
    reason = refusal(type(pipe))
    if reason:
        raise PipelineError(f"{name} {reason}: use a text-to-video or an image-to-video pipeline")
    return pipe.prepare_latents  # type: ignore[no-any-return]


def refusal(kind: type) -> str | None:
    """The reason why pipelines of a class cannot be rectified; None where there is none."""
    prepare = getattr(kind, "prepare_latents", None)
    names = set() if prepare is None else set(inspect.signature(prepare).parameters)
    reasons = [reason for parameter, reason in _REFUSED.items() if parameter in names]
    if not reasons and not ({"height", "width"} <= names and {"num_frames", "video_length"} & names):
        reasons = ["makes no noise for frames, height and width"]
    return reasons[0] if reasons else None


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
    if "image" in inspect.signature(type(pipe).__call__).parameters:
        raise PipelineError(f"loop is on and {name} conditions the frames on their places: switch it off")
    if compresses_time(pipe.vae):
        raise PipelineError(f"loop is on and {name}'s VAE joins several frames into one: switch it off")
    if getattr(pipe, "controlnet", None) is not None:
        raise PipelineError(f"loop is on and {name} has a ControlNet, whose frames cannot be turned: switch it off")


def check_one_chunk(pipe: Any, frames: int, hook: FrameType | None) -> None:
    """Raise `PipelineError` for a video of several chunks, which only the pipeline's own call knows before its model runs.

    The call prepares latents of `frames` frames, and has called a function with the stack frame `hook`: the number of the
    video's frames is an argument or variable of the call.
    """
    asked = hook.f_back.f_locals if hook and hook.f_back else {}
    video = max(asked.get(name) or 0 for name in _VIDEO_FRAMES) if pipe is asked.get("self") else 0
    if video > frames:
        raise PipelineError(
            f"the video has {video} frames and {type(pipe).__name__} makes {frames} at once, in chunks: "
            f"ask for at most {frames} frames"
        )


def check_one_prompt(check: Callable[..., None], prompts: Any, negative_prompts: Any, *others: Any) -> None:
    """Raise `PipelineError` for prompts that change between the frames; else call `check`."""
    if any(isinstance(each, Mapping) and len(each) > 1 for each in (prompts, negative_prompts)):
        raise PipelineError(
            "loop is on and the prompt changes between the frames, which a loop turns: switch one of them off"
        )
    check(prompts, negative_prompts, *others)

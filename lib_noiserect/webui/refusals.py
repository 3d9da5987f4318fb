"""What cannot be rectified, each with the reason and with what to do instead."""

from __future__ import annotations

from typing import Any

from modules import shared
from torch import Tensor

from ..settings import MAX_CANDIDATES, Settings, SettingsError
from .animatediff import AnimateDiff
from .errors import NoiseRectificationError
from .inputs import Pictures


def check_job(p: Any, animatediff: AnimateDiff) -> None:
    """Refuse, before anything is computed, what is known from the job alone."""
    if not animatediff.option("enable", False):
        _refuse("AnimateDiff is off in this job", "enable AnimateDiff, or switch Noise Rectification off")
    if not animatediff.is_injected:
        _refuse(
            "AnimateDiff did not put its motion module into the UNet", "see AnimateDiff's own message in the console"
        )
    if animatediff.option("prompt_scheduler", "unknown") is None:
        # It does with ControlNet units from the API, injected but without its prompts and contexts.
        _refuse("AnimateDiff failed while it was set up", "see its own message in the console")
    # The host's batch tab repeats one picture as often as there are frames.
    pictures = getattr(p, "init_images", None) or [None]
    if animatediff.option("is_i2i_batch", False) or any(picture != pictures[0] for picture in pictures[1:]):
        _refuse("this is an img2img batch of different pictures", "send one picture a job")
    if getattr(p, "enable_hr", False):
        _refuse("a hires pass samples a second time, without the picture", "switch Hires. fix off")
    if getattr(p.sd_model, "is_sd3", False):
        _refuse("flow models have no motion modules", "choose a Stable Diffusion 1.5 or SDXL checkpoint")
    _check_refiner(p)
    if (getattr(p, "s_min_uncond", 0) or 0) > 0:
        _refuse(
            "Negative Guidance minimum sigma is above 0, and AnimateDiff fails in the steps that it skips",
            "set it to 0 in Settings → Optimizations",
        )
    if getattr(shared.opts, "skip_early_cond", 0):
        _refuse(
            "Ignore negative prompt during early sampling is on, and AnimateDiff fails in the steps that it skips",
            "set it to 0 in Settings → Optimizations",
        )


def check_creation(p: Any, animatediff: AnimateDiff, settings: Settings, given: Pictures, *, is_img2img: bool) -> None:
    """Refuse, before anything is computed, what a job through a picture cannot do."""
    if animatediff.option("freeinit_enable", False):
        _refuse("create is on and FreeInit samples the clip several times", "switch one of them off")
    if given.key_frames or animatediff.option("last_frame") is not None:
        _refuse(
            "create is on with key frames, and it animates one picture", "clear the key frames, or switch create off"
        )
    if given.motion_masks or given.inpaint_mask or getattr(p, "image_mask", None) is not None:
        _refuse("create is on with a mask, and it animates the whole picture", "clear the mask, or switch create off")
    count = settings.candidates or min(p.batch_size, MAX_CANDIDATES)
    if not is_img2img and settings.scorer == "pick" and settings.pick >= count:
        raise SettingsError(f"pick = {settings.pick} is none of the {count} candidates: use -1 to {count - 1}")


def check_sampler(p: Any) -> None:
    """Refuse a sampler of somebody's own making, once it is there."""
    if not (hasattr(p.sampler, "func") and hasattr(p.sampler, "sample_img2img")):
        _refuse(f"sampler {p.sampler_name!r} is not built like the host's own", "choose another sampler")


def check_hints(p: Any, reason: str) -> None:
    """Refuse ControlNet units with a picture for each frame."""
    for script in p.scripts.alwayson_scripts:
        network = getattr(script, "latest_network", None)
        for control in getattr(network, "control_params", None) or []:
            hint = getattr(control, "hint_cond", None)
            if isinstance(hint, Tensor) and hint.ndim > 0 and hint.shape[0] > 1:
                _refuse(reason, "give it one picture, or switch it off")


def _check_refiner(p: Any) -> None:
    refiner = getattr(p, "refiner_checkpoint_info", None)
    switch_at = getattr(p, "refiner_switch_at", None)
    if refiner is None or switch_at is None or switch_at >= 1:
        return
    if refiner != getattr(p.sd_model, "sd_checkpoint_info", None):
        _refuse("the refiner switches the checkpoint during the job, which drops the motion module", "switch it off")


def check_prompts(extra_args: dict[str, Any]) -> None:
    """Refuse prompts that AnimateDiff cannot do, from the conditionings that the sampler is given."""
    prompts, negatives = extra_args.get("cond"), extra_args.get("uncond")
    if not hasattr(prompts, "batch") or not isinstance(negatives, list):
        return
    if any(len(parts) > 1 for parts in prompts.batch):
        _refuse("the prompt is composed with AND, which AnimateDiff cannot do", "write it without AND")
    if shared.opts.pad_cond_uncond or getattr(shared.opts, "pad_cond_uncond_v0", False):
        return
    schedules = [part.schedules for parts in prompts.batch for part in parts] + list(negatives)
    lengths = {_tokens(entry.cond) for schedule in schedules for entry in schedule}
    if len(lengths) > 1:
        _refuse(
            f"prompt and negative prompt have different lengths ({' and '.join(map(str, sorted(lengths)))} tokens), "
            "and AnimateDiff fails on them",
            "switch on Settings → Optimizations → Pad prompt/negative prompt",
        )


def _tokens(cond: Any) -> int:
    return int((cond["crossattn"] if isinstance(cond, dict) else cond).shape[0])


def _refuse(reason: str, remedy: str) -> None:
    raise NoiseRectificationError(f"{reason}: {remedy}")

"""What cannot be rectified, each with the reason and with what to do instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from modules import shared
from torch import Tensor

from ..core.settings import MAX_CANDIDATES, Settings, SettingsError
from .animatediff import AnimateDiff
from .errors import NoiseRectificationError
from .host import control_hints
from .image_inputs import Pictures


def check_job(p: Any, animatediff: AnimateDiff, warn: Callable[[str], None]) -> None:
    """Refuse, before anything is computed, what is known from the job alone, and `warn` of what it will lack."""
    if not animatediff.option("enable", False):
        _refuse("AnimateDiff is off in this job", "enable AnimateDiff, or switch Noise Rectification off")
    if not animatediff.is_ready and animatediff.patches:
        _refuse("AnimateDiff did not load its motion module", "see AnimateDiff's own message in the console")
    if not animatediff.is_ready:
        _refuse(
            "AnimateDiff did not put its motion module into the UNet", "see AnimateDiff's own message in the console"
        )
    _check_setup(p, animatediff, warn)
    _check_context(animatediff)
    # The host's batch tab repeats one picture as often as there are frames.
    pictures = getattr(p, "init_images", None) or [None]
    if animatediff.option("is_i2i_batch", False) or any(picture != pictures[0] for picture in pictures[1:]):
        _refuse("this is an img2img batch of different pictures", "send one picture a job")
    if getattr(p, "enable_hr", False):
        _refuse("a hires pass samples a second time, without the picture", "switch Hires. fix off")
    if getattr(p.sd_model, "is_sd3", False):
        _refuse("flow models have no motion modules", "choose a Stable Diffusion 1.5 or SDXL checkpoint")
    _check_refiner(p)
    if animatediff.patches:
        return
    if (getattr(p, "s_min_uncond", 0) or 0) > 0:
        _refuse(
            "Negative Guidance minimum sigma is above 0, and AnimateDiff fails in the steps that it skips",
            "set it to 0 in Settings → Optimizations",
        )


def check_options(animatediff: AnimateDiff, warn: Callable[[str], None]) -> None:
    """Refuse, and `warn` of, what the web UI's settings make of the job.

    To be called when all scripts have had `process`, where some change settings for the job, or set them back: regional
    prompter does so with Batch cond/uncond, even in jobs that do not use it.
    """
    if not animatediff.patches and getattr(shared.opts, "skip_early_cond", 0):
        _refuse(
            "Ignore negative prompt during early sampling is on, and AnimateDiff fails in the steps that it skips",
            "set it to 0 in Settings → Optimizations",
        )
    context, length = (int(animatediff.option(name) or 0) for name in ("batch_size", "video_length"))
    if shared.opts.batch_cond_uncond:
        if 0 < length < context:
            warn(
                f"the clip has {length} frames and AnimateDiff's context {context}: AnimateDiff makes {context} frames and "
                f"mixes up those of prompt and negative prompt: use a context batch size of {length}"
            )
    elif animatediff.normalises_pairs:
        if context % 2:
            _refuse(
                f"motion modules of AnimateDiff v1 and HotShot-XL fail on an odd number of frames ({context}) where the "
                "prompts are computed one after the other",
                "switch on Settings → Optimizations → Batch cond/uncond, or use an even context batch size",
            )
        warn(
            "motion modules of AnimateDiff v1 and HotShot-XL take the halves of a clip for two clips where the prompts are "
            "computed one after the other: switch on Settings → Optimizations → Batch cond/uncond"
        )


def _check_setup(p: Any, animatediff: AnimateDiff, warn: Callable[[str], None]) -> None:
    length, context = int(animatediff.option("video_length") or 0), int(animatediff.option("batch_size") or 0)
    if animatediff.patches and 0 < length < context:
        # It then asks the model for the prompt alone or the negative prompt alone, and takes the other answer for 0.
        _refuse(
            f"the clip of {length} frames is shorter than AnimateDiff's context of {context}, which it fails on",
            f"set its Context batch size to {length}",
        )
    if animatediff.is_set_up:
        return
    # It does with ControlNet units from the API. What changes the network is then without its prompts and contexts; what
    # patches it takes the contexts from the argument, and Forge's API always has such units.
    if not (animatediff.patches and p.batch_size == max(length, context) and animatediff.option("overlap", -1) >= 0):
        _refuse("AnimateDiff failed while it was set up", "see its own message in the console")
    warn("AnimateDiff was set up in part, see its message in the console: it makes frames and no clip of them")


def _check_context(animatediff: AnimateDiff) -> None:
    context = int(animatediff.option("batch_size") or 0)
    positions = animatediff.positions
    if positions is not None and context > positions:
        _refuse(
            f"AnimateDiff's context has {context} frames, and its motion module knows {positions}",
            f"use a context batch size of at most {positions}",
        )


def check_sampler(sampler: Any, p: Any) -> None:
    if not (hasattr(sampler, "func") and hasattr(sampler, "sample_img2img")):
        _refuse(f"sampler {p.sampler_name!r} is not built like the host's own", "choose another sampler")


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


def check_hints(p: Any, *, turned: bool) -> None:
    """Refuse ControlNet units with a picture for each frame, where a loop turns the frames or where there are none yet."""
    if not any(isinstance(hint, Tensor) and hint.ndim > 0 and hint.shape[0] > 1 for hint in control_hints(p)):
        return
    if turned:
        _refuse(
            "loop is on and a ControlNet unit has a picture for each frame, which a loop turns",
            "give it one picture, or switch the loop off",
        )
    _refuse(
        "create is on and a ControlNet unit has a picture for each frame, and candidates are single pictures",
        "give it one picture, or switch it off",
    )


def _check_refiner(p: Any) -> None:
    refiner = getattr(p, "refiner_checkpoint_info", None)
    switch_at = getattr(p, "refiner_switch_at", None)
    if refiner is None or switch_at is None or switch_at >= 1:
        return
    if refiner != getattr(p.sd_model, "sd_checkpoint_info", None):
        _refuse("the refiner switches the checkpoint during the job, which drops the motion module", "switch it off")


def check_prompts(extra_args: dict[str, Any], animatediff: AnimateDiff) -> None:
    """Refuse prompts that AnimateDiff cannot do, from the conditionings that the sampler is given."""
    prompts, negatives = extra_args.get("cond"), extra_args.get("uncond")
    if not hasattr(prompts, "batch") or not isinstance(negatives, list):
        return
    if any(len(parts) > 1 for parts in prompts.batch):
        _refuse("the prompt is composed with AND, which AnimateDiff cannot do", "write it without AND")
    if animatediff.patches or shared.opts.pad_cond_uncond or getattr(shared.opts, "pad_cond_uncond_v0", False):
        return
    sides = [part.schedules for parts in prompts.batch for part in parts], list(negatives)
    for step in sorted({entry.end_at_step for side in sides for schedule in side for entry in schedule}):
        # Within a batch the host makes shorter ones, which a prompt that travels has, as long as the longest.
        lengths = {max(_tokens(_at(schedule, step)) for schedule in side) for side in sides}
        if len(lengths) > 1:
            _refuse(
                f"prompt and negative prompt have different lengths ({' and '.join(map(str, sorted(lengths)))} tokens), "
                "and AnimateDiff fails on them",
                "switch on Settings → Optimizations → Pad prompt/negative prompt",
            )


def _at(schedule: Any, step: int) -> Any:
    """The conditioning of a step; the host takes the first where none is left."""
    return next((entry for entry in schedule if step <= entry.end_at_step), schedule[0]).cond


def _tokens(cond: Any) -> int:
    return int((cond["crossattn"] if isinstance(cond, dict) else cond).shape[0])


def _refuse(reason: str, remedy: str) -> None:
    raise NoiseRectificationError(f"{reason}: {remedy}")

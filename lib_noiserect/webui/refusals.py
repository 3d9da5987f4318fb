"""What cannot be rectified, each with the reason and with what to do instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modules import shared

from .animatediff import AnimateDiff
from .errors import NoiseRectificationError

if TYPE_CHECKING:
    from .job import Job


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
    _check_motion_module(animatediff)
    # The host's batch tab repeats one picture as often as there are frames.
    if animatediff.option("is_i2i_batch", False) or any(picture != p.init_images[0] for picture in p.init_images[1:]):
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


def _check_motion_module(animatediff: AnimateDiff) -> None:
    context = int(animatediff.option("batch_size") or 0)
    positions = animatediff.positions
    if positions is not None and context > positions:
        _refuse(
            f"AnimateDiff's context has {context} frames, and its motion module knows {positions}",
            f"use a context batch size of at most {positions}",
        )
    if animatediff.normalises_pairs and not shared.opts.batch_cond_uncond and context % 2:
        _refuse(
            f"motion modules of AnimateDiff v1 and HotShot-XL fail on an odd number of frames ({context}) where the "
            "prompts are computed one after the other",
            "switch on Settings → Optimizations → Batch cond/uncond, or use an even context batch size",
        )


def warn_of_animatediff(job: Job, animatediff: AnimateDiff) -> None:
    """Of what it does with such a job, rectified or not, that nobody can want."""
    context, length = (int(animatediff.option(name) or 0) for name in ("batch_size", "video_length"))
    if animatediff.normalises_pairs and not shared.opts.batch_cond_uncond:
        job.warn(
            "motion modules of AnimateDiff v1 and HotShot-XL take the halves of a clip for two clips where the prompts are "
            "computed one after the other: switch on Settings → Optimizations → Batch cond/uncond"
        )
    if shared.opts.batch_cond_uncond and 0 < length < context:
        job.warn(
            f"the clip has {length} frames and AnimateDiff's context {context}, where AnimateDiff mixes up the frames of "
            f"prompt and negative prompt: use a context batch size of {length}"
        )


def check_sampler(sampler: Any, p: Any) -> None:
    if not (hasattr(sampler, "func") and hasattr(sampler, "sample_img2img")):
        _refuse(f"sampler {p.sampler_name!r} is not built like the host's own", "choose another sampler")


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

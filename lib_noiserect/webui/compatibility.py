"""The jobs that cannot be rectified, each refused with the reason and the remedy."""

from __future__ import annotations

from typing import Any

from modules import shared
from torch import Tensor

from ..core.settings import MAX_CANDIDATES, SettingsError
from .animatediff import AnimateDiff
from .errors import NoiseRectificationError
from .host import control_hints
from .job import Job


def check_job(job: Job) -> None:
    """Refuse, or warn of, everything that the job alone tells, before anything is computed."""
    p, animatediff = job.p, job.animatediff
    if animatediff.params is False:  # the web UI compares names of scripts without case
        _refuse(
            "the request has AnimateDiff twice, and the last one, False, counts: webuiapi adds it",
            "give AnimateDiff by the client's own argument animatediff",
        )
    if not animatediff.option("enable", False):
        _refuse("AnimateDiff is off in this job", "enable AnimateDiff, or turn off Noise Rectification")
    if not animatediff.is_ready and animatediff.patches:
        _refuse("AnimateDiff did not load its motion module", "see its message in the console")
    if not animatediff.is_ready:
        _refuse("AnimateDiff did not put its motion module into the UNet", "see its message in the console")
    _check_setup(job)
    context, positions = animatediff.context, animatediff.positions
    if positions is not None and context > positions:
        _refuse(
            f"Context batch size is {context} and the motion module supports {positions} frames",
            f"set Context batch size to {positions} or lower",
        )
    # The host's batch tab repeats one image as often as there are frames.
    images = getattr(p, "init_images", None) or [None]
    if animatediff.option("is_i2i_batch", False) or any(image != images[0] for image in images[1:]):
        _refuse("this img2img batch has different images", "use one image per job")
    if getattr(p, "enable_hr", False):
        _refuse("Hires. fix samples a second time without the image", "turn it off")
    if getattr(p.sd_model, "is_sd3", False):
        _refuse("flow models have no motion modules", "choose a Stable Diffusion 1.5 or SDXL checkpoint")
    refiner, switch_at = getattr(p, "refiner_checkpoint_info", None), getattr(p, "refiner_switch_at", None)
    switches = refiner is not None and switch_at is not None and switch_at < 1
    if switches and refiner != getattr(p.sd_model, "sd_checkpoint_info", None):
        _refuse("the refiner switches the checkpoint during the job, which drops the motion module", "turn it off")
    if not animatediff.patches and (getattr(p, "s_min_uncond", 0) or 0) > 0:
        _refuse(
            "Negative Guidance minimum sigma is above 0, and AnimateDiff fails in the skipped steps",
            "set it to 0 in Settings → Optimizations",
        )
    if job.settings.create:
        _check_creation(job)


def check_options(job: Job) -> None:
    """Refuse, or warn of, settings of the web UI.

    Call it when all scripts have had `process`: some change settings there for the job, or set them back. Regional prompter
    does so with Batch cond/uncond, even in jobs that do not use it.
    """
    animatediff = job.animatediff
    if not animatediff.patches and getattr(shared.opts, "skip_early_cond", 0):
        _refuse(
            "Ignore negative prompt during early sampling is on, and AnimateDiff fails in the skipped steps",
            "set it to 0 in Settings → Optimizations",
        )
    context, length = animatediff.context, animatediff.video_length
    if shared.opts.batch_cond_uncond:
        if 0 < length < context:
            job.log.warn(
                f"Number of frames is {length} and Context batch size is {context}: AnimateDiff then generates {context} "
                f"frames and mixes up prompt and negative prompt. Set Context batch size to {length}"
            )
    elif animatediff.normalizes_pairs:
        if context % 2:
            _refuse(
                f"Batch cond/uncond is off, and AnimateDiff v1 and HotShot-XL fail on an odd Context batch size ({context})",
                "turn on Settings → Optimizations → Batch cond/uncond, or use an even Context batch size",
            )
        job.log.warn(
            "Batch cond/uncond is off, so AnimateDiff v1 and HotShot-XL treat the halves of a video as two videos: "
            "turn on Settings → Optimizations → Batch cond/uncond"
        )


def _check_setup(job: Job) -> None:
    animatediff, length, context = job.animatediff, job.animatediff.video_length, job.animatediff.context
    if animatediff.patches and 0 < length < context:
        # It then asks the model for the prompt alone or the negative prompt alone, and takes the other answer for 0.
        _refuse(
            f"AnimateDiff fails when Number of frames ({length}) is below Context batch size ({context})",
            f"set Context batch size to {length} or lower",
        )
    # The first hook of AnimateDiff turns the API's dict into an object, and sets the prompts last.
    if not isinstance(animatediff.params, dict) and animatediff.option("prompt_scheduler", "unknown") is not None:
        return
    # ControlNet units from the API break its setup. An AnimateDiff that changes the network then lacks its prompts and
    # contexts; one that patches it takes the contexts from the argument, and Forge's API always sends such units.
    if not (animatediff.patches and job.p.batch_size == max(length, context) and animatediff.option("overlap", -1) >= 0):
        _refuse("AnimateDiff's setup failed", "see its message in the console")
    job.log.warn("AnimateDiff's setup is incomplete: it generates frames and no video. See its message in the console")


def check_sampler(sampler: Any, p: Any) -> None:
    if not (hasattr(sampler, "func") and hasattr(sampler, "sample_img2img")):
        _refuse(f"sampler {p.sampler_name!r} differs from the web UI's own samplers", "choose another sampler")


def _check_creation(job: Job) -> None:
    p, settings, images = job.p, job.settings, job.images
    if job.animatediff.option("freeinit_enable", False):
        _refuse("create is on and FreeInit is on", "turn one of them off")
    if images.key_frames or job.animatediff.option("last_frame") is not None:
        _refuse("create is on with keyframes, and it animates one image", "remove the keyframes, or turn create off")
    if images.motion_masks or images.inpaint_mask or getattr(p, "image_mask", None) is not None:
        _refuse("create is on with a mask, and it animates the whole image", "remove the mask, or turn create off")
    count = settings.candidates or min(p.batch_size, MAX_CANDIDATES)
    if not job.is_img2img and settings.scorer == "pick" and settings.pick >= count:
        raise SettingsError(f"pick = {settings.pick} is out of range for {count} candidates: use -1 to {count - 1}")


def check_hints(p: Any, switch: str) -> None:
    """Refuse ControlNet units with an image for each frame, which the setting `switch`, loop or create, cannot have."""
    if any(isinstance(hint, Tensor) and hint.ndim > 0 and hint.shape[0] > 1 for hint in control_hints(p)):
        remedy = f"give the unit one image, or turn {switch} off"
        _refuse(f"{switch} is on and a ControlNet unit has an image for each frame", remedy)


def check_prompts(extra_args: dict[str, Any], animatediff: AnimateDiff) -> None:
    """Refuse prompts that AnimateDiff cannot compute, from the sampler's conditionings."""
    prompts, negatives = extra_args.get("cond"), extra_args.get("uncond")
    if not hasattr(prompts, "batch") or not isinstance(negatives, list):
        return
    if any(len(parts) > 1 for parts in prompts.batch):
        _refuse("the prompt contains AND, which AnimateDiff does not support", "write it without AND")
    if animatediff.patches or shared.opts.pad_cond_uncond or getattr(shared.opts, "pad_cond_uncond_v0", False):
        return
    sides = [part.schedules for parts in prompts.batch for part in parts], list(negatives)
    for step in sorted({entry.end_at_step for side in sides for schedule in side for entry in schedule}):
        # Within a batch, such as a prompt that travels, the host pads the shorter ones to the longest.
        lengths = {max(_tokens(schedule, step) for schedule in side) for side in sides}
        if len(lengths) > 1:
            _refuse(
                f"prompt and negative prompt differ in length ({' and '.join(map(str, sorted(lengths)))} tokens), "
                "and AnimateDiff fails on them",
                "turn on Settings → Optimizations → Pad prompt/negative prompt",
            )


def _tokens(schedule: Any, step: int) -> int:
    """The length of the conditioning of a step; after the last one the host takes the first."""
    cond = next((entry for entry in schedule if step <= entry.end_at_step), schedule[0]).cond
    return int((cond["crossattn"] if isinstance(cond, dict) else cond).shape[0])


def _refuse(reason: str, remedy: str) -> None:
    raise NoiseRectificationError(f"{reason}: {remedy}")

"""The stages of I4VGen in the host: candidates, their scores by the model itself, and the animation of one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from modules import shared
from torch import Tensor

from ..core.finite import check_finite, check_prediction
from ..core.noise_levels import Level, to_x0, ve, vp
from ..core.stand_in import replaced
from ..methods.i4vgen import ddim_timesteps, denoising_errors, look_timesteps, ni_vsds_update, num_updates, step_sizes
from . import host
from .job import Job
from .loop import TurnedDenoiser


def stopped() -> bool:
    """Whether the user has interrupted the job or skipped the batch."""
    return bool(shared.state.interrupted or shared.state.skipped)


def conditionings(kwargs: dict[str, Any], count: int) -> tuple[Any, Any]:
    """The conditionings of the first frame, for `count` images: if the prompt travels, the image is the video's beginning."""
    cond, uncond = kwargs["conditioning"], kwargs["unconditional_conditioning"]
    return type(cond)(shape=(count,), batch=[cond.batch[0]] * count), [uncond[0]] * count


def tell(stage: str) -> None:
    """Show a stage beside the host's progress bar."""
    shared.state.textinfo = f"Noise Rectification: {stage}"


@contextmanager
def single_images(p: Any, numbers: Sequence[int]) -> Iterator[None]:
    """Inside the block the job makes single images of these numbers: image n has the initial noise of the video's frame n."""
    seeds = [p.seeds[0] + (number if p.subseed_strength == 0 else 0) for number in numbers]
    subseeds = [p.subseeds[0] + number for number in numbers]
    others = {name: getattr(p, name) for name in ("subseed_strength", "seed_resize_from_h", "seed_resize_from_w")}
    rng = type(p.rng)(p.rng.shape, seeds, subseeds=subseeds, **others)
    # The Brownian samplers take their seeds from the whole job's.
    of_job = {"all_seeds": seeds, "all_subseeds": subseeds}
    with replaced(p, rng=rng, seeds=seeds, subseeds=subseeds, batch_size=len(seeds), iteration=0, **of_job):
        yield


class Denoiser:
    """The job's own denoiser, with its guidance and prompts, called at any timestep; with `loop` it sees a ring of frames.

    The job's sampler has run or been initialized; the conditionings are as it gives them to its denoiser.
    """

    def __init__(self, p: Any, cond: Any, uncond: Any, image_cond: Tensor, *, loop: bool = False) -> None:
        self._p, self._model = p, p.sampler.model_wrap_cfg
        self._kwargs = {"cond": cond, "uncond": uncond, "image_cond": image_cond, "s_min_uncond": 0.0}
        self._asked = TurnedDenoiser(self._model, p.sampler) if loop else self._model
        self._is_vp = hasattr(p.sampler, "get_timesteps")

    def __call__(self, clean: Tensor, noise: Tensor, timestep: int, step: int, cond_scale: float) -> tuple[Tensor, Level]:
        """D after guidance, for a·z + s·ε, all `[F, C, H, W]`, and (a, s); prompts that change on the way are of `step`."""
        prediction, x, level = self._ask(clean, noise, timestep, step, cond_scale)
        return self._as_x0(prediction, x, level), level

    def with_and_without(self, clean: Tensor, noise: Tensor, timestep: int, step: int) -> tuple[Tensor, Tensor, Level]:
        """D with the prompt, D with the negative prompt, and (a, s), from one call."""
        predictions = list[Tensor]()

        def keep(prompted: Tensor, negative: Tensor) -> None:
            predictions[:] = prompted, negative

        with host.answers_told(self._model, self._p.sd_model, keep) as are_x0:
            _, x, level = self._ask(clean, noise, timestep, step, 1.0)
        prompted, negative = (one if are_x0 else self._as_x0(one, x, level) for one in predictions)
        return prompted, negative, level

    def _ask(self, clean: Tensor, noise: Tensor, timestep: int, step: int, cond_scale: float) -> tuple[Tensor, Tensor, Level]:
        """The host's prediction, x = a·z + s·ε, and (a, s)."""
        at = vp(float(self._p.sd_model.alphas_cumprod[timestep]))
        level = at if self._is_vp else ve(at.s / at.a)
        x = level.a * clean + level.s * noise
        self._model.step = step
        sigma = x.new_full((len(x),), timestep if self._is_vp else level.s)
        return self._asked(x, sigma, cond_scale=cond_scale, **self._kwargs), x, level

    def _as_x0(self, prediction: Tensor, x: Tensor, level: Level) -> Tensor:
        exact = prediction.to(torch.promote_types(prediction.dtype, x.dtype))
        return to_x0("eps" if self._is_vp else "x0", exact, x, level)


def make_candidates(
    p: Any, sample: Callable[..., Tensor], kwargs: dict[str, Any], numbers: Sequence[int], at_once: int
) -> tuple[Tensor, float]:
    """Stage 1: single images by the job's own sampler, `[candidates, C, H, W]`, and its calls on `at_once` frames.

    `sample` is the host's own sampling of the job, with the arguments `kwargs`, and `at_once` the number of frames that the
    machine can hold. An interrupted job makes fewer candidates. Call it without motion modules.
    """
    latents, calls = list[Tensor](), 0.0
    for start in range(0, len(numbers), at_once):
        chunk = numbers[start : start + at_once]
        if start:
            shared.state.nextjob()
        tell(f"candidate {chunk[0]}" if len(chunk) == 1 else f"candidates {chunk[0]} to {chunk[-1]}")
        cond, uncond = conditionings(kwargs, len(chunk))
        conds = {"conditioning": cond, "unconditional_conditioning": uncond, "prompts": p.prompts[:1] * len(chunk)}
        with single_images(p, chunk):
            latents.append(sample(**{**kwargs, **conds, "seeds": p.seeds, "subseeds": p.subseeds}))
        check_finite(latents[-1], "a candidate's latent")
        calls += p.sampler.model_wrap_cfg.step * len(chunk) / at_once
        if stopped():
            break
    return torch.cat(latents), calls


def model_scores(p: Any, latents: Tensor, noise: Tensor, kwargs: dict[str, Any], at_once: int) -> tuple[list[float], float]:
    """Stage 2 by the model's own denoising error: a score for each of `latents`, and the calls on `at_once` frames.

    The score is the error with the negative prompt minus the error with the prompt, by one noise, `[1, C, H, W]`, for all
    candidates and timesteps. Call it without motion modules.
    """
    scores, calls = list[float](), 0.0
    for chunk in latents.split(at_once):
        errors = _errors_saved(p, chunk, noise.expand_as(chunk), *conditionings(kwargs, len(chunk)))
        if stopped():
            break
        scores += torch.stack(errors).mean(0).tolist()
        calls += len(errors) * len(chunk) / at_once
    return scores, calls


def _errors_saved(p: Any, clean: Tensor, noise: Tensor, cond: Any, uncond: Any) -> list[Tensor]:
    """The denoising error that the prompt saves at each timestep, `[F]`."""
    denoiser, errors = Denoiser(p, cond, uncond, p.txt2img_image_conditioning(clean)), list[Tensor]()
    last_step = p.sampler.config.total_steps(p.steps)

    def look() -> Tensor:
        shared.state.sampling_step = shared.state.sampling_steps  # the end of the candidates' job
        for timestep in look_timesteps():
            step = int((1 - timestep / 1000) * last_step)
            prompted, negative, level = denoiser.with_and_without(clean, noise, timestep, step)
            errors.append(denoising_errors(clean, negative, level) - denoising_errors(clean, prompted, level))
        return clean  # the host expects a sampler's result

    p.sampler.initialize(p)
    with host.network_ready(p.sd_model, clean):
        p.sampler.launch_sampling(len(look_timesteps()), look)
    return errors


def animate(job: Job, still: Tensor, noise: Tensor, cond: Any, uncond: Any, image_cond: Tensor) -> tuple[Tensor, int]:
    """Stage 3, noise-invariant video score distillation: the video's clean latents, and the number of updates.

    It starts from z, `still`, with one ε for all timesteps, `noise`, both `[F, C, H, W]`. An interrupted job updates less.
    """
    p, settings, sampler, clean, done = job.p, job.settings, job.p.sampler, still, 0
    denoiser = Denoiser(p, cond, uncond, image_cond, loop=settings.loop)
    count = num_updates(p.steps, settings.animation_share)
    sizes = step_sizes(count, settings.animation_strength)
    calls_a_step = sampler.config.total_steps(p.steps) // p.steps  # prompts that change on the way count in calls

    def updates() -> Tensor:
        nonlocal clean, done
        for index, (timestep, size) in enumerate(zip(ddim_timesteps(p.steps), sizes)):
            predicted, level = denoiser(clean, noise, timestep, index * calls_a_step, p.cfg_scale)
            check_prediction(predicted, index + 1, count)
            clean = ni_vsds_update(clean, predicted, level, size, pin_first_frame=settings.enabled)
            done += 1
            sampler.callback_state({"i": index})
        return clean

    sampler.initialize(p)
    with host.network_ready(p.sd_model, still):
        sampler.launch_sampling(count, updates)
    return clean, done

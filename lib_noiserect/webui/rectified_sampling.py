"""Rectified sampling of a job: its sampler runs on (x, x*), and each prediction is corrected towards the reference noise."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from modules import scripts, shared
from torch import Tensor

from ..core import noise_levels
from ..core.correction import Correction
from ..core.noise_levels import Level, ModelLevels, noised, to_x0
from ..core.pivot import Pivot
from ..core.schedule import in_window, omega_weights
from ..core.settings import Settings
from . import host, infotext
from .compatibility import check_hints, check_prompts, check_sampler
from .errors import NoiseRectificationError
from .job import Job
from .loop import TurnedDenoiser
from .motion_search import MotionSearch
from .reference import Reference
from .sampler_hook import SamplerCall, alphas, sampler_hook


class RectifiedSampling:
    """Samples a job with rectification, by whatever sampler the job has when it samples.

    Raises `SettingsError` if ω or the statistics do not fit the video.
    """

    def __init__(self, job: Job, reference: Reference) -> None:
        self.job, self.reference = job, reference
        if job.settings.omega != "motion":
            omega_weights(job.settings, reference.keyframes)  # refuses a list of a wrong length before the sampling
        if job.statistics is not None:
            scale = float(getattr(job.p.sd_model, "scale_factor", 0.0) or 0.0)
            job.statistics.check(reference.x0.shape[1:], reference.keyframes, scale)

    def sample(self, original: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """The job's `p.sample`: some extensions exchange the job's sampler in `process_batch`, so it is looked up here."""
        with self.on(self.job.p.sampler):
            return original(*args, **kwargs)

    @contextlib.contextmanager
    def on(self, sampler: Any) -> Iterator[None]:
        """Inside the block `sampler` rectifies the job.

        Raises `NoiseRectificationError` if the sampler is not built like the host's own, or if it did not sample.
        """
        check_sampler(sampler, self.job.p)
        was_reached = False

        def sample(call: SamplerCall) -> Tensor:
            nonlocal was_reached
            was_reached = True
            with self.job.animatediff.watched(call.model):
                return self._sample(sampler, call)

        with sampler_hook(sampler, self.job.settings.start_time, sample):
            yield
        if not was_reached:
            raise NoiseRectificationError(
                "another extension sampled this job by other means, so nothing was rectified: turn it off"
            )

    def check(self, sampler: Any, latents: Tensor, *conditionings: Any, steps: int | None = None) -> None:
        """Refuse before any model call what `on` would refuse, on the host's own way to the sampler function.

        `latents` have the video's shape, `[F, C, H, W]`; the others are arguments of the host's `sample_img2img`.
        """
        check_sampler(sampler, self.job.p)
        settings = self.job.settings

        def look(call: SamplerCall) -> Tensor:
            run = _Run(self.job, sampler, call, self.reference)
            if settings.target_ssim == 0.0:  # the motion is not known yet otherwise
                run.correction(settings)
            return call.reference_noise

        with sampler_hook(sampler, settings.start_time, look):
            sampler.sample_img2img(self.job.p, latents, torch.zeros_like(latents), *conditionings, steps=steps)

    def _sample(self, sampler: Any, call: SamplerCall) -> Tensor:
        """Sample with rectification, or as the host does if no step is rectified and the start is the host's own."""
        job, settings = self.job, self.job.settings
        check_prompts(call.kwargs.get("extra_args") or {}, job.animatediff)
        noise = call.reference_noise
        if len(noise) > 1 and torch.equal(noise, noise[:1].expand_as(noise)):
            job.log.warn(
                "all frames have the same noise (a variation seed is on), so they move alike: set Variation strength to 0"
            )
        if settings.loop:
            check_hints(job.p, "loop")
        run = _Run(job, sampler, call, self.reference)
        num_steps, (tau_start, tau_end) = run.steps.num_steps, (settings.tau_start, settings.tau_end)
        if not any(in_window(position, num_steps, tau_start, tau_end) for position in run.steps.positions()):
            job.log.warn(
                f"no step falls into τ = [{tau_start:g}, {tau_end:g}] of {num_steps} steps, so nothing was rectified: widen τ"
            )
            job.log.report(settings, 0, num_steps, len(noise))
            if settings.start_time == 1.0 and job.statistics is None:
                samples: Tensor = call.func(call.model, call.x, **call.kwargs)
                return samples
        # The host uses it to blend masks, for the last blend after sampling, and for an interrupt.
        call.model.init_latent = job.p.init_latent = sampler.last_latent = self.reference.x0.to(noise.dtype, copy=True)
        if settings.target_ssim > 0.0:
            short_run = functools.partial(_Run, job, sampler)
            result = MotionSearch(job, self.reference, sampler, call, short_run)()
            job.settings = result.settings
            # The infotext's settings then make the same video.
            words = f"for SSIM {settings.target_ssim:g}, {result.words()}"
            infotext.write_found(job.p, job.settings, words)
            job.log.say(words)
        samples = run(job.settings)
        job.log.report(job.settings, run.pivot.report.rectified, run.pivot.report.steps, len(noise))
        return samples


class _Run:
    """One run of a sampler on (x, x*): the job's own, or a short one of the motion search."""

    def __init__(self, job: Job, sampler: Any, call: SamplerCall, reference: Reference) -> None:
        self._job, self._sampler, self._call, self._reference = job, sampler, call, reference
        self._is_vp = "timesteps" in call.kwargs
        levels = ModelLevels(alphas(call.model))
        self.pivot = Pivot(
            call.func,
            call.kwargs,
            x0=reference.x0,
            level_of=levels.level if self._is_vp else noise_levels.ve,
            prediction="eps" if self._is_vp else "x0",
            modules=host.noise_modules(call.func),
            progress=levels.progress if job.settings.tau_unit == "noise level" else None,
        )
        try:
            self.steps = self.pivot.steps(call.model)
        except (AttributeError, IndexError, RuntimeError, TypeError) as error:
            # The sampler needs more than one number to step on.
            raise NoiseRectificationError(
                f"sampler {job.p.sampler_name!r} cannot be followed ({type(error).__name__}: {error}): choose another sampler"
            ) from error

    def __call__(self, settings: Settings) -> Tensor:
        call, sampler = self._call, self._sampler

        def after(prediction: Tensor, x: Tensor, sigma: Tensor, level: Level) -> Tensor:
            if not self._is_vp:
                prediction = _blend_protected(self._job.p, call.model, prediction, sigma)
            # The host takes its preview, and its result after an interrupt, before the rectification.
            sampler.last_latent = to_x0(self.pivot.prediction, prediction, x, level)
            shared.state.current_latent = sampler.last_latent
            return prediction

        model = TurnedDenoiser(call.model, sampler) if settings.loop else call.model
        order = self._job.noise_order(len(call.reference_noise))
        correction = self.correction(settings)
        return self.pivot(model, self._start(order), correction, self.steps, after=after, noise_order=order)

    def correction(self, settings: Settings) -> Correction:
        """Raises `SettingsError` for less motion than this sampler and window allow."""
        return Correction.of(settings, self._reference, lambda: self.pivot.dial(self._call.model, settings, self.steps))

    def _start(self, order: list[int]) -> Tensor:
        """The start a·z + s·n, `[F, C, H, W]`, at the level of the first model call."""
        call = self._call
        x0 = self._reference.x0.to(call.reference_noise.dtype)
        extra = getattr(shared.opts, "img2img_extra_noise", 0.0) or 0.0
        if not self._is_vp and call.x is not None and call.init_latent is not None:
            # K samplers get latent + noise·σ_0, and the extra noise of the user's settings: only the latent is exchanged.
            added = (call.x - call.init_latent)[order]
            level = Level(1.0, self.steps.schedule[0] + extra)
            return added + x0 if self._job.statistics is None else self._noised(x0, added / level.s, level)
        # The others get a start at timesteps[t_enc] and first call the model at timesteps[t_enc - 1], which washes the
        # image out: the start is built again at the level of the call.
        first = self.pivot.level_of(self.steps.levels[0] if self._is_vp else self.steps.schedule[0])
        return self._noised(x0, call.reference_noise[order], Level(first.a, first.s + extra * first.a))

    def _noised(self, x0: Tensor, noise: Tensor, level: Level) -> Tensor:
        """a·z + s·n, with the host's noise for n or the noise that the statistics make of it."""
        statistics = self._job.statistics
        if statistics is not None and statistics.fits(x0.shape[1:]):  # the short runs may be smaller
            noise = statistics.noise(x0, noise, level, self._reference.keyframes).to(noise.dtype)
        return noised(x0, noise, level)


def _blend_protected(p: Any, model: Any, prediction: Tensor, sigma: Tensor) -> Tensor:
    """A K sampler's rectified prediction, x0 `[F, C, H, W]`, with the image in the area that the mask of `model` protects.

    The host blends the prediction before the rectification, so it has to be blended again. For samplers on timesteps the host
    blends the state, before each model call and once after the last step; these need no blend here.
    """
    if getattr(model, "mask", None) is None:
        return prediction
    blended: Tensor = prediction * model.nmask + model.init_latent * model.mask
    if p.scripts is not None and host.blends_softly(model):  # soft inpainting changes the blend
        masks = model.nmask, model.init_latent, model.mask
        args = scripts.MaskBlendArgs(prediction, *masks, blended, denoiser=model, sigma=sigma)
        p.scripts.on_mask_blend(p, args)
        blended = args.blended_latent
    return blended

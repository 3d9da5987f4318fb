"""I4VGen in the host: a video through an image, by stages that follow each other on the job's own sampler."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from modules import devices, sd_samplers, shared
from PIL import Image
from torch import Tensor

from ..core.finite import check_finite
from ..core.keyframes import Keyframes
from ..core.stand_in import replaced
from ..methods import scorers
from ..methods.i4vgen import calls_words, candidate_numbers, counted_calls, num_updates
from . import host, infotext
from .compatibility import check_hints, check_prompts, check_sampler
from .i4vgen_candidates import Candidates
from .i4vgen_stages import animate, make_candidates, model_scores, stopped, tell
from .job import Job
from .rectified_sampling import RectifiedSampling
from .reference import Reference, check_loop, decoded


class I4VGen:
    """Samples a job: in txt2img through a candidate that it makes and chooses, in img2img through the job's `reference`.

    Raises `UserError` if the scorer is not installed, or the loop does not fit the video.
    """

    def __init__(self, job: Job, reference: Reference | None) -> None:
        self._job, self._reference, self._p = job, reference, job.p
        self._frames = job.p.batch_size if reference is None else len(reference.x0)
        self._keyframes = Keyframes((0,), self._frames, job.settings.loop)
        self._numbers: Sequence[int] = ()
        self._scorer: scorers.Scorer | None = None
        if reference is None:
            check_loop(job, job.animatediff.video_length, self._frames)
            self._numbers = candidate_numbers(job.settings, self._frames)
            self._scorer = scorers.load_scorer(job.settings.scorer, str(devices.device))
        self.candidates = Candidates(job)
        self._calls = dict[str, float]()  # of the model, by the stages of the batch so far
        self._count_jobs()

    def sample(self, original: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """The job's `p.sample`."""
        self._calls = {}
        try:
            if self._reference is None:
                return self._from_prompt(original, **kwargs)
            return self._from_image(self._reference, original, *args, **kwargs)
        finally:
            shared.state.textinfo = None

    def _from_prompt(self, original: Callable[..., Tensor], **kwargs: Any) -> Tensor:
        p, job, frames = self._p, self._job, self._frames
        cond, uncond = kwargs["conditioning"], kwargs["unconditional_conditioning"]
        check_prompts({"cond": cond, "uncond": uncond}, job.animatediff)
        check_hints(p, "create")
        empty = torch.zeros(frames, *p.rng.shape, device=shared.device)
        self._check_regeneration(sd_samplers.create_sampler(p.sampler_name, p.sd_model), empty, cond, uncond)
        # Each candidate draws the first noise, the frames' own, for itself. The others do not depend on the number of
        # candidates, so that one of them alone becomes the same video.
        _, scoring_noise, noise, fresh = (p.rng.next() for _ in range(4))
        numbers, scores = self._numbers, list[float]()
        with job.animatediff.without_motion(p.sd_model):
            latents, self._calls["candidates"] = make_candidates(p, original, kwargs, numbers, frames)
            if not stopped() and job.settings.scorer == "model" and len(numbers) > 1:
                tell("choice")
                scores, self._calls["choice"] = model_scores(p, latents, scoring_noise[:1], kwargs, frames)
        if stopped():
            return self._stopped("candidates", latents[:1].expand(frames, -1, -1, -1))
        images = decoded(p, latents)
        if self._scorer is not None:
            tell("choice")
            scores = [float(score) for score in self._scorer.score(images, p.prompts[0])]
        check_finite(torch.tensor(scores), "a candidate's score")  # NaN would be chosen as the largest
        chosen = int(np.argmax(scores)) if scores else 0
        self.candidates.add(numbers, images, scores, None if job.ends_with_candidates else numbers[chosen])
        if job.ends_with_candidates:
            job.log.say(f"the job ends with its {len(numbers)} candidates, since pick is -1: pick one of them")
            self._report()
            return latents[:1]
        still = latents[chosen : chosen + 1].expand(frames, -1, -1, -1).clone()
        image_cond = p.txt2img_image_conditioning(still)
        host.begin_sampling(p, x=still, noise=fresh, c=cond, uc=uncond)
        return self._video(images[chosen], still, noise, fresh, cond, uncond, image_conditioning=image_cond)

    def _from_image(self, reference: Reference, original: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        sampler = self._p.sampler
        check_sampler(sampler, self._p)
        host_sampling = sampler.sample_img2img

        @functools.wraps(host_sampling)
        def stages(
            p: Any,
            x: Tensor,
            noise: Tensor,
            conditioning: Any,
            unconditional_conditioning: Any,
            steps: Any = None,
            image_conditioning: Any = None,
        ) -> Tensor:
            conds = conditioning, unconditional_conditioning
            check_prompts(dict(zip(("cond", "uncond"), conds)), self._job.animatediff)
            still = reference.x0.to(noise.dtype, copy=True)
            with replaced(sampler, sample_img2img=host_sampling):
                self._check_regeneration(sampler, still, *conds, steps=steps)
                kwargs = {"steps": steps, "image_conditioning": image_conditioning}
                return self._video(reference.images[0], still, p.rng.next(), noise, *conds, **kwargs)

        with replaced(sampler, sample_img2img=stages):
            return original(*args, **kwargs)

    def _check_regeneration(self, sampler: Any, latents: Tensor, *conds: Any, steps: Any = None) -> None:
        """Refuse before the first stage what the last one would refuse."""
        if self._job.settings.enabled:
            RectifiedSampling(self._job, Reference(latents, self._keyframes)).check(sampler, latents, *conds, steps=steps)

    def _video(
        self, image: Image.Image, still: Tensor, animation_noise: Tensor, noise: Tensor, *conds: Any, **kwargs: Any
    ) -> Tensor:
        """Stage 3, the animated image, and stage 4, the host's own sampling from it by `kwargs`, rectified towards it."""
        p, settings, video, context = self._p, self._job.settings, still, nullcontext()
        if settings.animation_share > 0.0:
            self._begin("animation")
            ordered = animation_noise[self._job.noise_order(self._frames)]
            video, self._calls["animation"] = animate(self._job, still, ordered, *conds, kwargs["image_conditioning"])
        if stopped():
            return self._stopped("animation", video)
        self._begin("regeneration")
        if settings.enabled:
            context = RectifiedSampling(self._job, Reference(video, self._keyframes, images={0: image})).on(p.sampler)
        with context:
            samples: Tensor = p.sampler.sample_img2img(p, video, noise, *conds, **kwargs)
        check_finite(samples, "the video's latent")  # no step of a plain regeneration is looked at
        self._calls["regeneration"] = p.sampler.model_wrap_cfg.step
        self._report()
        return samples

    def _report(self) -> None:
        """Write the number of model calls of each stage to the infotext and the log."""
        self._p.extra_generation_params[infotext.key("calls")] = str(counted_calls(self._calls))
        self._job.log.say(calls_words(self._calls, self._frames))

    def _stopped(self, stage: str, shown: Tensor) -> Tensor:
        self._job.log.warn(f"stopped during the {stage}: the video is unfinished")
        self._report()
        return shown

    # Progress: the host counts jobs, usually one for each batch, and steps within each.

    def _count_jobs(self) -> None:
        """Announce the stages as the host announces its hires pass; the cells of a grid share one count."""
        p, state, settings = self._p, shared.state, self._job.settings
        runs = math.ceil(len(self._numbers) / self._frames)
        regenerated = not self._job.ends_with_candidates
        animated = settings.animation_share > 0 and regenerated
        steps = p.steps * (runs + regenerated) + (num_updates(p.steps, settings.animation_share) if animated else 0)
        if state.processing_has_refined_job_count:
            return
        if state.job_count == -1:
            state.job_count = p.n_iter
        shared.total_tqdm.updateTotal(steps * state.job_count)
        state.job_count *= runs + animated + regenerated
        state.processing_has_refined_job_count = True

    def _begin(self, stage: str) -> None:
        """Count a stage and show it; the host itself counts the batch, and so its first stage."""
        if self._calls:
            shared.state.nextjob()
        tell(stage)

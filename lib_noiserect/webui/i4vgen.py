"""A job that is created through a picture (I4VGen): its stages, one after the other, on the job's own sampler."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from modules import sd_samplers, shared
from PIL import Image
from torch import Tensor

from ..core.keyframes import Keyframes
from ..core.settings import MAX_CANDIDATES
from ..core.stand_in import replaced
from ..methods.i4vgen import num_updates
from . import host
from .compatibility import check_hints, check_prompts, check_sampler
from .i4vgen_candidates import Candidate, Results, decoded
from .i4vgen_stages import Denoiser, animate, make_candidates, model_scores, stopped
from .rectified_sampling import RectifiedSampling
from .reference import Clean, check_loop

if TYPE_CHECKING:
    from .animatediff import AnimateDiff
    from .session import Job


class Creation:
    """Replaces the sampling of one job: `p.sample` in txt2img, and within that in img2img the sampler's `sample_img2img`.

    Args:
        p: the job, initialised.
        animatediff: AnimateDiff's part in it.
        job: is told what happened.
        clean: what the job's picture is held to; None in txt2img, where candidates for one are made.
    """

    def __init__(self, p: Any, animatediff: AnimateDiff, job: Job, clean: Clean | None) -> None:
        self._p, self._animatediff, self._job, self._clean = p, animatediff, job, clean
        self._frames = p.batch_size if clean is None else p.init_latent.shape[0]
        self._keys = Keyframes((0,), self._frames, job.settings.loop)
        if clean is None:
            check_loop(job.settings, animatediff, int(animatediff.option("video_length") or 0), self._frames)
        self.results = Results(p, animatediff, job)
        self._calls = dict[str, float]()
        self._is_first_job = False
        self._count_jobs()

    @property
    def ends_with_candidates(self) -> bool:
        settings = self._job.settings
        return self._clean is None and settings.scorer == "pick" and settings.pick < 0

    def put_on(self) -> None:
        """Before each batch; what is put on is taken off by its call, so that no copy of the job has it."""
        p, original, before = self._p, self._p.sample, self._p.__dict__.get("sample")
        of_stages = self._from_prompt if self._clean is None else self._from_picture

        @functools.wraps(original)
        def sample(*args: Any, **kwargs: Any) -> Tensor:
            leave()
            with self._job.refusing():
                try:
                    return of_stages(original, *args, **kwargs)
                finally:
                    shared.state.textinfo = None

        def leave() -> None:
            if p.__dict__.get("sample") is sample:
                if before is None:
                    del p.sample
                else:
                    p.sample = before

        p.sample = sample
        self._leave = leave

    _leave: Callable[[], None] = staticmethod(lambda: None)

    def take_off(self) -> None:
        self._leave()

    def _from_prompt(self, original: Callable[..., Tensor], **given: Any) -> Tensor:
        p, settings = self._p, self._job.settings
        cond, uncond = given["conditioning"], given["unconditional_conditioning"]
        check_prompts({"cond": cond, "uncond": uncond}, self._animatediff)
        check_hints(p, turned=False)
        frames = self._frames
        empty = torch.zeros(frames, *p.rng.shape, device=shared.device)
        self._check_regeneration(sd_samplers.create_sampler(p.sampler_name, p.sd_model), empty, cond, uncond)
        # The first draw is the frames' own, which each candidate draws for itself. The others do not depend on how many
        # candidates there are, so that one of them alone becomes the same clip.
        _, look, noise, fresh = (p.rng.next() for _ in range(4))
        numbers = self._numbers()
        self._calls, self._is_first_job = {}, False
        scores = list[float]()
        with self._animatediff.without_motion(p.sd_model):
            latents, self._calls["candidates"] = make_candidates(p, original, given, numbers, frames, self._tell)
            if not stopped() and settings.scorer == "model" and len(numbers) > 1:
                self._tell("choice")
                scores, self._calls["choice"] = model_scores(p, latents, look[:1], given, frames)
        if stopped():
            return self._stopped("candidates", latents[:1].expand(frames, -1, -1, -1))
        pictures = decoded(p, latents)
        if self._job.scorer is not None:
            self._tell("choice")
            scores = [float(score) for score in self._job.scorer.score(pictures, p.prompts[0])]
        chosen = int(np.argmax(scores)) if scores else 0
        self.results.add(
            [
                Candidate(number, picture, scores[index] if scores else None)
                for index, (number, picture) in enumerate(zip(numbers, pictures))
            ],
            None if self.ends_with_candidates else numbers[chosen],
        )
        if self.ends_with_candidates:
            self._job.say(
                f"the {len(numbers)} candidates are shown, and the job ends with them, since pick is -1: pick one"
            )
            self._report()
            return latents[:1]
        still = latents[chosen : chosen + 1].expand(frames, -1, -1, -1).clone()
        image_cond = p.txt2img_image_conditioning(still)
        host.begin_sampling(p, x=still, noise=fresh, c=cond, uc=uncond)
        clip = self._animated(still, noise, cond, uncond, image_cond)
        if stopped():
            return self._stopped("animation", clip)
        return self._made_anew(pictures[chosen], clip, fresh, cond, uncond, image_conditioning=image_cond)

    def _from_picture(self, original: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        sampler = self._p.sampler
        check_sampler(sampler, self._p)
        host_sampling = sampler.sample_img2img

        @functools.wraps(host_sampling)
        def stages(*args: Any, **kwargs: Any) -> Tensor:
            with replaced(sampler, sample_img2img=host_sampling):
                return self._stages_from_picture(*args, **kwargs)

        with replaced(sampler, sample_img2img=stages):
            return original(*args, **kwargs)

    def _stages_from_picture(
        self,
        p: Any,
        x: Tensor,
        noise: Tensor,
        conditioning: Any,
        unconditional_conditioning: Any,
        steps: Any = None,
        image_conditioning: Any = None,
    ) -> Tensor:
        assert self._clean is not None
        self._is_first_job = True
        check_prompts({"cond": conditioning, "uncond": unconditional_conditioning}, self._animatediff)
        self._calls = {}
        still = self._clean.latents.to(noise.dtype).expand_as(x).clone()
        conds = conditioning, unconditional_conditioning
        self._check_regeneration(p.sampler, still, *conds, steps=steps)
        clip = self._animated(still, p.rng.next(), *conds, image_conditioning)
        if stopped():
            return self._stopped("animation", clip)
        return self._made_anew(
            self._clean.pictures[0], clip, noise, *conds, steps=steps, image_conditioning=image_conditioning
        )

    def _animated(self, still: Tensor, noise: Tensor, cond: Any, uncond: Any, image_cond: Tensor) -> Tensor:
        settings = self._job.settings
        if settings.animation_share == 0.0:
            return still
        self._next_job()
        self._tell("animation")
        order = self._job.noise_order(self._frames)
        denoiser = Denoiser.of(self._p, cond, uncond, image_cond, loop=settings.loop)
        clip, self._calls["animation"] = animate(
            self._p,
            denoiser,
            still,
            noise if order is None else noise[order],
            settings.animation_share,
            settings.animation_strength,
            pin_first_frame=settings.enabled,
        )
        return clip

    def _check_regeneration(self, sampler: Any, latents: Tensor, *conds: Any, steps: Any = None) -> None:
        """What the last stage would refuse is refused before the first."""
        if self._job.settings.enabled:
            self._rectified(latents, {}).check(sampler, latents, *conds, steps=steps)

    def _rectified(self, clip: Tensor, pictures: Mapping[int, Image.Image]) -> RectifiedSampling:
        return RectifiedSampling(self._p, Clean(clip, self._keys, pictures, None), self._animatediff, self._job)

    def _made_anew(self, picture: Image.Image, clip: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Stage 4: the host's own sampling from the animated picture, rectified towards it."""
        self._next_job()
        self._tell("regeneration")
        p, is_rectified = self._p, self._job.settings.enabled
        with self._rectified(clip, {0: picture}).on(p.sampler) if is_rectified else nullcontext():
            samples: Tensor = p.sampler.sample_img2img(p, clip, *args, **kwargs)
        self._calls["regeneration"] = p.sampler.model_wrap_cfg.step
        self._report()
        return samples

    def _numbers(self) -> list[int]:
        settings = self._job.settings
        if settings.scorer == "pick" and settings.pick >= 0:
            return [settings.pick]
        return list(range(settings.candidates or min(self._frames, MAX_CANDIDATES)))

    def _report(self) -> None:
        self.results.write_calls(self._calls, self._frames)

    def _stopped(self, stage: str, shown: Tensor) -> Tensor:
        self._job.warn(f"stopped during the {stage}: the clip shows how far the job came")
        self._report()
        return shown

    # Progress: the host counts jobs, of which a batch usually is one, and steps within each.

    def _count_jobs(self) -> None:
        """As the host itself does for its hires pass; the cells of a grid share one count."""
        p, state, settings = self._p, shared.state, self._job.settings
        runs = math.ceil(len(self._numbers()) / self._frames) if self._clean is None else 0
        animated = settings.animation_share > 0 and not self.ends_with_candidates
        made_anew = not self.ends_with_candidates
        steps = p.steps * (runs + made_anew) + (num_updates(p.steps, settings.animation_share) if animated else 0)
        if state.processing_has_refined_job_count:
            return
        if state.job_count == -1:
            state.job_count = p.n_iter
        shared.total_tqdm.updateTotal(steps * state.job_count)
        state.job_count *= runs + animated + made_anew
        state.processing_has_refined_job_count = True

    def _next_job(self) -> None:
        """The host itself goes on to the next one after a batch."""
        if not self._is_first_job:
            shared.state.nextjob()
        self._is_first_job = False

    def _tell(self, stage: str) -> None:
        shared.state.textinfo = f"Noise Rectification: {stage}"

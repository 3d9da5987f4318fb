"""The job's own sampler, with its sampler function replaced by one that rectifies."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from modules import shared
from torch import Tensor

from ..core import noise_levels
from ..core.correction import Correction
from ..core.noise import NotTwinError
from ..core.noise_levels import Level, ModelLevels, noised, to_x0
from ..core.pivot import Pivot
from ..core.reference import Reference
from ..core.sampler_steps import Steps
from ..core.schedule import in_window, omega_weights
from ..core.settings import Settings
from ..core.stand_in import replaced
from . import host
from .compatibility import check_hints, check_prompts, check_sampler
from .errors import NoiseRectificationError
from .inpainting import Protection
from .loop import TurnedDenoiser
from .motion_search import Trial, find, noise_of_its_own, shorter
from .reference import Clean
from .sampler_hook import in_place_of
from .smaller_runs import held, noise_like, size_of_short_runs, smaller
from .start_time import alphas, late_start

if TYPE_CHECKING:
    from ..core.motion_search import Found
    from .animatediff import AnimateDiff
    from .session import Job


class RectifiedSampling:
    """Replaces two methods of one sampler object: `sample_img2img`, to know the noise, and `func` while that runs.

    With a start time, a third one too: that which makes its schedule.

    Args:
        p: the job.
        clean: what each frame is held to.
        animatediff: AnimateDiff's part in the job.
        job: is told what happened.
    """

    def __init__(self, p: Any, clean: Clean, animatediff: AnimateDiff, job: Job) -> None:
        self.p, self.clean, self.job, self._animatediff = p, clean, job, animatediff
        self.sampler: Any = None
        self.reached = False
        if job.settings.omega != "motion":
            omega_weights(job.settings, clean.keys)  # a list of a wrong length is refused before anything is sampled
        if job.statistics is not None:
            scale = float(getattr(p.sd_model, "scale_factor", 0.0) or 0.0)
            job.statistics.check(clean.latents.shape[1:], clean.keys, scale)

    @contextlib.contextmanager
    def on(self, sampler: Any) -> Iterator[None]:
        """With `sampler`, as the job's, rectifying what it samples.

        Raises:
            NoiseRectificationError: it is not built like the host's own, or it did not sample.
        """
        check_sampler(sampler, self.p)
        self.sampler, self.reached = sampler, False
        original = sampler.sample_img2img
        signature = inspect.signature(original)

        @functools.wraps(original)
        def sample_img2img(*args: Any, **kwargs: Any) -> Any:
            given = signature.bind(*args, **kwargs).arguments
            rectified = self._rectified(sampler.func, init_latent=given["x"], drawn_noise=given["noise"])
            with replaced(sampler, func=rectified):
                return original(*args, **kwargs)

        with replaced(sampler, sample_img2img=sample_img2img), late_start(sampler, self.job.settings.start_time):
            yield
        if not self.reached:
            raise NoiseRectificationError(
                "another extension has sampled this job in its own way, so nothing was rectified: switch it off"
            )

    def check(self, sampler: Any, latents: Tensor, *conditionings: Any, steps: int | None = None) -> None:
        """Refuse what `on` would refuse when it samples: on the host's own way to the sampler function, without a sample.

        Args:
            latents: of the clip's shape, `[F, C, H, W]`.
            conditionings, steps: what the host's `sample_img2img` is going to be given.
        """
        check_sampler(sampler, self.p)
        func, settings = sampler.func, self.job.settings

        def look(model: Any, x: Tensor, kwargs: dict[str, Any]) -> Tensor:
            run = _Run(self, func, model, kwargs, self.clean)
            if settings.target_ssim == 0.0:  # or else it finds the motion
                run.correction(settings)
            return x

        with replaced(sampler, func=in_place_of(func, look)), late_start(sampler, settings.start_time):
            sampler.sample_img2img(self.p, latents, torch.zeros_like(latents), *conditionings, steps=steps)

    def _rectified(self, func: Any, *, init_latent: Tensor, drawn_noise: Tensor) -> Any:
        def sample(model: Any, x: Tensor, kwargs: dict[str, Any]) -> Tensor | None:
            return self._sample(func, model, x, kwargs, init_latent, drawn_noise)

        return in_place_of(func, sample, self._animatediff.watched)

    def _sample(
        self, func: Any, model: Any, x: Tensor, kwargs: dict[str, Any], init_latent: Tensor, drawn_noise: Tensor
    ) -> Tensor | None:
        """Sample with rectification; None where nothing is asked for but that, no step falls into the window, and the host is
        to go on as without us.
        """
        job, settings, frames = self.job, self.job.settings, x.shape[0]
        self.reached = True
        check_prompts(kwargs.get("extra_args") or {}, self._animatediff)
        if frames > 1 and torch.equal(drawn_noise, drawn_noise[:1].expand_as(drawn_noise)):
            job.warn(
                "all frames have the same noise (a variation seed is on), so they move alike: set its strength to 0"
            )

        if settings.loop:
            check_hints(self.p, turned=True)
        whole = _Run(self, func, model, kwargs, self.clean)
        if not any(self._is_inside(position, whole.steps) for position in whole.steps.positions()):
            num_steps = whole.steps.rehearsal.num_steps
            job.warn(
                f"no step falls into τ = [{settings.tau_start:g}, {settings.tau_end:g}] of {num_steps} steps, "
                "so nothing was rectified: widen τ"
            )
            job.report(0, num_steps, frames)
            if settings.start_time == 1.0 and job.statistics is None:
                return None
        # What the host holds on to: for blending masks, for the last blend after sampling, and for an interrupt.
        held = self.clean.latents.to(x.dtype).repeat(frames // self.clean.latents.shape[0], 1, 1, 1)
        model.init_latent = self.p.init_latent = self.sampler.last_latent = held
        drawn = _Drawn(x, init_latent.to(x.dtype), drawn_noise.to(x.dtype), job.noise_order(frames))
        if settings.target_ssim > 0.0:
            job.found(self._found(func, model, kwargs, drawn))
        result = whole(job.settings, drawn)
        job.report(whole.run.report.rectified, whole.run.report.steps, frames)
        return result

    def _found(self, func: Any, model: Any, kwargs: dict[str, Any], drawn: _Drawn) -> Found:
        """The settings for a wanted similarity, by runs of few steps, and smaller ones where the job can be made smaller."""
        few, probe_steps = shorter(kwargs)
        length = int(self._animatediff.option("video_length") or drawn.noise.shape[0])
        in_full = [Trial(self.clean, self._sampled(func, model, given, self.clean, drawn)) for given in (few, kwargs)]
        size = size_of_short_runs(self.p, kwargs.get("extra_args") or {})
        if size is not None:
            try:
                small = self._in_small(func, model, few, drawn, *size)
                return replace(find(self.job, length, model, small, in_full[1], probe_steps), probe_size=size)
            except _SizeError as error:
                self.job.warn(
                    f"short runs of {size[1]}x{size[0]} failed ({error}), so they had the job's size: "
                    "another extension may have something made for that"
                )
        return find(self.job, length, model, *in_full, probe_steps)

    def _sampled(
        self, func: Any, model: Any, kwargs: Mapping[str, Any], clean: Clean, drawn: _Drawn
    ) -> Callable[[Settings], Tensor]:
        def sample(tried: Settings) -> Tensor:
            with noise_of_its_own(host.noise_modules(func)):
                unseen = {"callback": lambda info: None, "disable": True}  # UniPC cannot do without one
                return _Run(self, func, model, {**kwargs, **unseen}, clean)(tried, drawn)

        return sample

    def _in_small(self, func: Any, model: Any, kwargs: dict[str, Any], drawn: _Drawn, height: int, width: int) -> Trial:
        clean = smaller(self.p, self.clean, self.job.settings, height, width)
        noise = noise_like(self.p, drawn.noise, clean.latents)
        if kwargs.get("noise_sampler") is not None:  # Brownian noise has a size
            noise_sampler = self.sampler.create_noise_sampler(noise, kwargs["sigmas"], self.p)
            kwargs = {**kwargs, "noise_sampler": noise_sampler}
        sample = self._sampled(func, model, kwargs, clean, _Drawn(None, None, noise, drawn.order))
        latents = clean.latents.to(noise).expand_as(noise)

        def sample_small(tried: Settings) -> Tensor:
            with held(model, self.sampler, latents):
                try:
                    return sample(tried)
                except (NoiseRectificationError, NotTwinError):
                    raise
                except RuntimeError as error:  # as torch has it where shapes do not fit
                    raise _SizeError(str(error).splitlines()[0][:200]) from error

        return Trial(clean, sample_small)

    def _is_inside(self, position: float, steps: Steps) -> bool:
        return in_window(position, steps.num_steps, self.job.settings.tau_start, self.job.settings.tau_end)


class _Drawn(NamedTuple):
    """What the host made before it called the sampler function: its noised start, the latent in it, and the noise.

    Without the first two the start is made here.
    """

    x: Tensor | None
    init_latent: Tensor | None
    noise: Tensor
    order: list[int] | None


class _SizeError(Exception):
    """A short run in a smaller size failed, and may not in the job's."""


class _Run:
    """The sampler with a schedule: what it is given, and what of it is rectified."""

    def __init__(
        self, sampling: RectifiedSampling, func: Any, model: Any, kwargs: Mapping[str, Any], clean: Clean
    ) -> None:
        self._sampling, self._model, self._clean = sampling, model, clean
        self._statistics = sampling.job.statistics
        self._is_vp = "timesteps" in kwargs
        by_level = sampling.job.settings.tau_unit == "noise level"
        self.run = Pivot(
            func,
            kwargs,
            x0=clean.latents,
            level_of=ModelLevels(alphas(model)).level if self._is_vp else noise_levels.ve,
            prediction="eps" if self._is_vp else "x0",
            modules=host.noise_modules(func),
            progress=ModelLevels(alphas(model)).progress if by_level else None,
        )
        try:
            self.steps = self.run.steps(model)
        except NotTwinError:
            raise
        except (AttributeError, IndexError, RuntimeError, TypeError) as error:
            # It wants more than one number to step on.
            raise NoiseRectificationError(
                f"sampler {sampling.p.sampler_name!r} cannot be followed ({type(error).__name__}: {error}): "
                "choose another sampler"
            ) from error

    def __call__(self, settings: Settings, drawn: _Drawn) -> Tensor:
        sampling, model = self._sampling, self._model
        protection = None if self._is_vp else Protection.of(sampling.p, model)

        def after(prediction: Tensor, x: Tensor, sigma: Tensor, level: Level) -> Tensor:
            if protection is not None:
                prediction = protection.blend(prediction, sigma)
            # The host's preview, and its result after an interrupt, are of before the rectification.
            sampling.sampler.last_latent = to_x0(self.run.prediction, prediction, x, level)
            shared.state.current_latent = sampling.sampler.last_latent
            return prediction

        asked = TurnedDenoiser(model, sampling.sampler) if settings.loop else model
        correction = self.correction(settings)
        return self.run(asked, self._start(drawn), correction, self.steps, after=after, noise_order=drawn.order)

    def correction(self, settings: Settings) -> Correction:
        """What is done to each prediction. Raises `SettingsError` for less motion than this sampler and window allow."""
        reference = Reference(self._clean.latents, self._clean.keys, self._clean.mask)
        return Correction.of(settings, reference, lambda: self.run.dial(self._model, settings, self.steps))

    def _start(self, drawn: _Drawn) -> Tensor:
        """The noised picture at the level of the first model call."""
        x, init_latent, noise, order = drawn
        clean = self._clean.latents.to(noise.dtype)
        extra = getattr(shared.opts, "img2img_extra_noise", 0.0) or 0.0
        if not self._is_vp and x is not None and init_latent is not None:
            # K samplers get latent + noise·σ_0, and more noise if the user wants that: only the latent is exchanged.
            added = x - init_latent if order is None else (x - init_latent)[order]
            level = Level(1.0, self.steps.schedule[0] + extra)
            return added + clean if self._statistics is None else self._drawn(clean, added / level.s, level)
        # The others get a start at timesteps[t_enc] and call the model at timesteps[t_enc - 1] first, which washes the
        # picture out: the start is built anew at the level of the call.
        first = self.run.level_of(self.steps.rehearsal.levels[0] if self._is_vp else self.steps.schedule[0])
        return self._drawn(clean, noise if order is None else noise[order], Level(first.a, first.s + extra * first.a))

    def _drawn(self, clean: Tensor, noise: Tensor, level: Level) -> Tensor:
        """a·z + s·n, with n the drawn noise or what the statistics make of it."""
        if self._statistics is not None and self._statistics.fits(clean.shape[1:]):  # the short runs may be smaller
            noise = self._statistics.noise(clean, noise, level, self._clean.keys).to(noise.dtype)
        return noised(clean, noise, level)

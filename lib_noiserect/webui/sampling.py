"""The job's own sampler, with its sampler function replaced by one that rectifies."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import k_diffusion.sampling
import torch
from modules import shared
from torch import Tensor

from .. import spaces
from ..long_clips import noise_order
from ..pivot import PivotRun, start
from ..plan import Plan
from ..schedule import in_window, omega_weights
from ..settings import Settings, SettingsError
from ..spaces import Level, to_x0
from ..steps import Steps
from ..twin import NotTwinError
from .clean import Clean
from .errors import NoiseRectificationError, for_host
from .finding import find, noise_of_its_own, shorter
from .masks import Protection
from .refusals import check_prompts
from .ring import TurnedDenoiser, check_controls
from .start import LateStart, alphas

if TYPE_CHECKING:
    from .animatediff import AnimateDiff
    from .job import Job


class RectifiedSampling:
    """Replaces two methods of one sampler object: `sample_img2img`, to know the noise, and `func` while that runs.

    With a start time, a third one too: that which makes its schedule.

    Args:
        p: the job.
        sampler: the job's sampler.
        clean: what each frame is held to.
        animatediff: AnimateDiff's part in the job.
        job: is told what happened.
    """

    def __init__(self, p: Any, sampler: Any, clean: Clean, animatediff: AnimateDiff, job: Job) -> None:
        self.p, self.sampler, self.clean, self.job, self._animatediff = p, sampler, clean, job, animatediff
        if job.settings.omega != "motion":
            omega_weights(job.settings, clean.keys)  # a list of a wrong length is refused before anything is sampled
        if job.statistics is not None:
            scale = float(getattr(p.sd_model, "scale_factor", 0.0) or 0.0)
            job.statistics.check(clean.latents.shape[1:], clean.keys, scale)
        self._late_start = LateStart(sampler, job.settings.start_time) if job.settings.start_time < 1.0 else None

    def put_on(self) -> None:
        if self._late_start is not None:
            self._late_start.put_on()
        original = self.sampler.sample_img2img
        signature = inspect.signature(original)

        @functools.wraps(original)
        def sample_img2img(*args: Any, **kwargs: Any) -> Any:
            given = signature.bind(*args, **kwargs).arguments
            func = self.sampler.func
            self.sampler.func = self._rectified(func, init_latent=given["x"], drawn_noise=given["noise"])
            try:
                return original(*args, **kwargs)
            except Exception as error:
                self.job.abandon()
                if isinstance(error, (SettingsError, NoiseRectificationError, NotTwinError)):
                    raise for_host(error, self.p.is_api) from error
                raise
            finally:
                self.sampler.func = func

        self.sampler.sample_img2img = sample_img2img

    def take_off(self) -> None:
        self.sampler.__dict__.pop("sample_img2img", None)
        if self._late_start is not None:
            self._late_start.take_off()

    def _rectified(self, func: Any, *, init_latent: Tensor, drawn_noise: Tensor) -> Any:
        """The sampler function that stands in for `func`; the host reads its signature, so it keeps the original's."""
        signature = inspect.signature(func)

        @functools.wraps(func)
        def rectified(*args: Any, **kwargs: Any) -> Tensor:
            bound = signature.bind(*args, **kwargs)
            given = dict(bound.arguments)
            for name, parameter in signature.parameters.items():
                if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                    given.update(given.pop(name, {}))
            model, x = given.pop("model"), given.pop("x")
            result = self._sample(func, model, x, given, init_latent, drawn_noise)
            return func(*args, **kwargs) if result is None else result

        return rectified

    def _sample(
        self, func: Any, model: Any, x: Tensor, kwargs: dict[str, Any], init_latent: Tensor, drawn_noise: Tensor
    ) -> Tensor | None:
        """Sample with rectification; None where nothing is asked for but that, no step falls into the window, and the host is
        to go on as without us.
        """
        job, settings, frames = self.job, self.job.settings, x.shape[0]
        check_prompts(kwargs.get("extra_args") or {})
        if frames > 1 and torch.equal(drawn_noise, drawn_noise[:1].expand_as(drawn_noise)):
            job.warn(
                "all frames have the same noise (a variation seed is on), so they move alike: set its strength to 0"
            )

        if settings.loop:
            check_controls(self.p)
        whole = _Run(self, func, model, kwargs)
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
        drawn = _Drawn(x, init_latent.to(x.dtype), drawn_noise.to(x.dtype), self._noise_order(frames))
        if settings.target_ssim > 0.0:
            short, probe_steps = shorter(kwargs)

            def sample(kwargs: Mapping[str, Any], tried: Settings) -> Tensor:
                with noise_of_its_own():
                    return _Run(self, func, model, {**kwargs, "callback": None, "disable": True})(tried, drawn)

            runs = (functools.partial(sample, given) for given in (short, kwargs))
            length = int(self._animatediff.option("video_length") or frames)
            job.found(find(job, self.clean, length, model, *runs, probe_steps))
        result = whole(job.settings, drawn)
        job.report(whole.run.report.rectified, whole.run.report.steps, frames)
        return result

    def _noise_order(self, frames: int) -> list[int] | None:
        context = int(self._animatediff.option("batch_size") or frames)
        return noise_order(frames, context) if self.job.settings.repeat_noise and frames > context else None

    def _is_inside(self, position: float, steps: Steps) -> bool:
        return in_window(position, steps.num_steps, self.job.settings.tau_start, self.job.settings.tau_end)


class _Drawn(NamedTuple):
    """What the host made before it called the sampler function: its noised start, the latent in it, and the noise."""

    x: Tensor
    init_latent: Tensor
    noise: Tensor
    order: list[int] | None


class _Run:
    """The sampler with a schedule: what it is given, and what of it is rectified."""

    def __init__(self, sampling: RectifiedSampling, func: Any, model: Any, kwargs: Mapping[str, Any]) -> None:
        self._sampling, self._model, self._statistics = sampling, model, sampling.job.statistics
        self._is_vp = "timesteps" in kwargs
        by_level = sampling.job.settings.tau_unit == "noise level"
        self.run = PivotRun(
            func,
            kwargs,
            clean=sampling.clean.latents,
            level_of=functools.partial(spaces.vp_at, alphas(model)) if self._is_vp else spaces.ve,
            prediction="eps" if self._is_vp else "x0",
            modules=[k_diffusion.sampling],
            progress=spaces.progress_by_timestep(alphas(model)) if by_level else None,
        )
        self.steps = self.run.steps(model)

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
        plan = self._plan(settings, drawn.x)
        return self.run(asked, self._start(drawn), plan, self.steps, after=after, noise_order=drawn.order)

    def _plan(self, settings: Settings, like: Tensor) -> Plan:
        keys, mask, dial = self._sampling.clean.keys, self._sampling.clean.mask, None
        if settings.omega == "motion":
            found = self.run.dial(self._model, settings, self.steps)
            found.check(settings.motion)
            dial = found.omega
        omega = torch.tensor(omega_weights(settings, keys, dial), dtype=like.dtype, device=like.device)
        return Plan(
            settings.tau_start,
            settings.tau_end,
            omega if mask is None else omega.view(-1, 1, 1, 1) * mask.to(omega),
            settings.pin_first_frame,
            keys,
            settings.release,
            settings.hold_colour,
        )

    def _start(self, drawn: _Drawn) -> Tensor:
        """The noised picture at the level of the first model call."""
        x, init_latent, noise, order = drawn
        clean = self._sampling.clean.latents.to(x.dtype)
        extra = getattr(shared.opts, "img2img_extra_noise", 0.0) or 0.0
        if not self._is_vp:
            # K samplers get latent + noise·σ_0, and more noise if the user wants that: only the latent is exchanged.
            added = x - init_latent if order is None else (x - init_latent)[order]
            level = Level(1.0, self.steps.schedule[0] + extra)
            return added + clean if self._statistics is None else self._drawn(clean, added / level.s, level)
        # The others get a start at timesteps[t_enc] and call the model at timesteps[t_enc - 1] first, which washes the
        # picture out: the start is built anew at the level of the call.
        first = self.run.level_of(self.steps.rehearsal.levels[0])
        return self._drawn(clean, noise if order is None else noise[order], Level(first.a, first.s + extra * first.a))

    def _drawn(self, clean: Tensor, noise: Tensor, level: Level) -> Tensor:
        """a·z + s·n, with n the drawn noise or what the statistics make of it."""
        if self._statistics is not None:
            noise = self._statistics.noise(clean, noise, level, self._sampling.clean.keys).to(noise.dtype)
        return start(clean, noise, level)

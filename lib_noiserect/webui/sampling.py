"""The job's own sampler, with its sampler function replaced by one that rectifies."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

import k_diffusion.sampling
import torch
from modules import shared
from torch import Tensor

from .. import spaces
from ..keyframes import KeyFrames
from ..pivot import PivotRun, start
from ..plan import Plan
from ..settings import SettingsError
from ..spaces import Level, to_x0
from ..twin import NotTwinError
from .errors import NoiseRectificationError, for_host
from .masks import Protection
from .refusals import check_prompts

if TYPE_CHECKING:
    from .job import Job


class RectifiedSampling:
    """Replaces two methods of one sampler object: `sample_img2img`, to know the noise, and `func` while that runs.

    Args:
        p: the job.
        sampler: the job's sampler.
        clean: z, the picture's latent, `[1, C, H, W]`.
        weights: ω, one number a frame.
        job: is told what happened.
    """

    def __init__(self, p: Any, sampler: Any, clean: Tensor, weights: list[float], job: Job) -> None:
        self._p, self._sampler, self._clean, self._weights, self._job = p, sampler, clean, weights, job

    def put_on(self) -> None:
        original = self._sampler.sample_img2img
        signature = inspect.signature(original)

        @functools.wraps(original)
        def sample_img2img(*args: Any, **kwargs: Any) -> Any:
            given = signature.bind(*args, **kwargs).arguments
            func = self._sampler.func
            self._sampler.func = self._rectified(func, init_latent=given["x"], drawn_noise=given["noise"])
            try:
                return original(*args, **kwargs)
            except Exception as error:
                self._job.abandon()
                if isinstance(error, (SettingsError, NoiseRectificationError, NotTwinError)):
                    raise for_host(error, self._p.is_api) from error
                raise
            finally:
                self._sampler.func = func

        self._sampler.sample_img2img = sample_img2img

    def take_off(self) -> None:
        self._sampler.__dict__.pop("sample_img2img", None)

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
        """Sample with rectification; None where no step falls into the window and the host is to go on as without us."""
        job, settings, frames = self._job, self._job.settings, x.shape[0]
        check_prompts(kwargs.get("extra_args") or {})
        if frames > 1 and torch.equal(drawn_noise, drawn_noise[:1].expand_as(drawn_noise)):
            job.warn(
                "all frames have the same noise (a variation seed is on), so they move alike: set its strength to 0"
            )

        is_vp = "timesteps" in kwargs
        run = PivotRun(
            func,
            kwargs,
            clean=self._clean,
            level_of=_vp_levels(model) if is_vp else spaces.ve,
            prediction="eps" if is_vp else "x0",
            modules=[k_diffusion.sampling],
        )
        steps = run.steps(model)
        plan = Plan(
            settings.tau_start,
            settings.tau_end,
            torch.tensor(self._weights, dtype=x.dtype, device=x.device),
            settings.pin_first_frame,
            KeyFrames((0,), frames, settings.loop),
            settings.release,
        )
        if not any(plan.is_inside(position, steps.num_steps) for position in steps.positions()):
            job.warn(
                f"no step falls into τ = [{settings.tau_start:g}, {settings.tau_end:g}] of "
                f"{steps.rehearsal.num_steps} steps, so nothing was rectified: widen τ"
            )
            job.report(0, steps.rehearsal.num_steps, frames)
            return None

        first = run.level_of(steps.rehearsal.levels[0])
        x = self._start(x, init_latent, drawn_noise, first, is_vp)
        clean = self._clean.repeat(frames, 1, 1, 1)
        # What the host holds on to: for blending masks, for the last blend after sampling, and for an interrupt.
        model.init_latent = self._p.init_latent = self._sampler.last_latent = clean
        protection = None if is_vp else Protection.of(self._p, model)

        def after(prediction: Tensor, x: Tensor, sigma: Tensor, level: Level) -> Tensor:
            if protection is not None:
                prediction = protection.blend(prediction, sigma)
            # The host's preview, and its result after an interrupt, are of before the rectification.
            self._sampler.last_latent = to_x0(run.prediction, prediction, x, level)
            shared.state.current_latent = self._sampler.last_latent
            return prediction

        result = run(model, x, plan, steps, after=after)
        job.report(run.report.rectified, run.report.steps, frames)
        return result

    def _start(self, x: Tensor, init_latent: Tensor, drawn_noise: Tensor, first: Level, is_vp: bool) -> Tensor:
        """The noised picture at the level of the first model call."""
        if not is_vp:
            # K samplers get latent + noise·σ_0, and more noise if the user wants that: only the latent is exchanged.
            return x - init_latent.to(x.dtype) + self._clean.to(x.dtype)
        # The others get a start at timesteps[t_enc] and call the model at timesteps[t_enc - 1] first, which washes the
        # picture out: the start is built anew at the level of the call.
        extra = getattr(shared.opts, "img2img_extra_noise", 0.0) or 0.0
        return start(self._clean, drawn_noise.to(x.dtype), Level(first.a, first.s + extra * first.a))


def _vp_levels(model: Any) -> Any:
    """Levels by timestep, from the ᾱ that the samplers read too: AnimateDiff has put its own there by now."""
    alphas_cumprod = model.inner_model.inner_model.alphas_cumprod.float().tolist()
    return functools.partial(spaces.vp_at, alphas_cumprod)

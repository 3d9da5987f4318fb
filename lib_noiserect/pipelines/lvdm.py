"""DynamiCrafter and VideoCrafter1: rectified steps and late starts of lvdm's `DDIMSampler`, in the user's own checkout."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..core.correction import Correction
from ..core.keyframes import Keyframes
from ..core.motion_dial import OMEGAS, Dial, moving_x0
from ..core.noise_levels import Level, noised
from ..core.pivot import PivotStep, Report
from ..core.reference import Reference
from ..core.schedule import TOLERANCE, in_window
from ..core.settings import Settings
from ..core.stand_in import replaced
from ..methods.analytic_init import Statistics
from ..methods.start_time import start_timestep, trailing_timesteps
from .schedulers import PipelineError


class Start(NamedTuple):
    """The start of lvdm's sampler."""

    x_T: Tensor  # the initial state, [B, C, F, h, w]
    timesteps: list[int]  # of the steps, ascending as lvdm has them
    reference_noise: Tensor  # n of x_T = a·z + s·n


def late_start(
    model: Any, picture: Tensor, noise: Tensor, num_steps: int, start_time: float = 1.0, statistics: Statistics | None = None
) -> Start:
    """The start of a video at M, with all steps spaced over the rest.

    Raises `SettingsError` for more steps than timesteps and for statistics of other latents, and `PipelineError` if the
    image's latent does not fit the noise.

    Args:
        model: lvdm's latent diffusion model, which has `alphas_cumprod` and perhaps `scale_arr`.
        picture: z, the image's latent, `[B or 1, C, F or 1, h, w]`, scaled like the model's.
        noise: standard normal, `[B, C, F, h, w]`; `statistics` are the video statistics for it.
        start_time: M in (0, 1].
    """
    last = start_timestep(start_time, len(model.alphas_cumprod))
    timesteps = trailing_timesteps(last, num_steps)[::-1]
    start, reference_noise = _start(_frames_first(picture, noise), noise, _level(model, last), statistics)
    return Start(start, timesteps, reference_noise)


def _level(model: Any, timestep: int) -> Level:
    """The level of x = √ᾱ·scale·z + √(1-ᾱ)·n; `scale_arr` is 1 in models without dynamic rescaling."""
    alpha = float(model.alphas_cumprod[timestep])
    scale = float(model.scale_arr[timestep]) if _rescales(model) else 1.0
    return Level(alpha**0.5 * scale, (1 - alpha) ** 0.5)


def _rescales(model: Any) -> bool:
    return bool(getattr(model, "use_dynamic_rescale", False) or getattr(model, "use_scale", False))


def _frames_first(picture: Tensor, like: Tensor) -> Tensor:
    """z as `[F, B, C, h, w]`."""
    wanted = tuple(like.shape)
    fits = like.ndim == picture.ndim == 5 and all(size in (1, want) for size, want in zip(picture.shape, wanted))
    if not fits or picture.shape[1] != wanted[1] or picture.shape[3:] != wanted[3:]:
        raise PipelineError(
            f"the image's latent is {tuple(picture.shape)} and the video {wanted}: use [B or 1, C, F or 1, h, w]"
        )
    return picture.expand(wanted).movedim(2, 0)


def _start(x0: Tensor, noise: Tensor, level: Level, statistics: Statistics | None) -> tuple[Tensor, Tensor]:
    """x and n, `[B, C, F, h, w]`."""
    drawn = noise.movedim(2, 0)
    if statistics is not None:
        keyframes = Keyframes((0,), len(x0))
        statistics.check(x0.shape[2:], keyframes)
        drawn = statistics.noise(x0, drawn, level, keyframes)
    return noised(x0, drawn, level).to(noise.dtype).movedim(0, 2), drawn.movedim(0, 2)


@contextlib.contextmanager
def rectified_lvdm(
    sampler: Any, picture: Tensor, settings: Settings, *, statistics: Statistics | None = None
) -> Iterator[LvdmRectification]:
    """Make lvdm's sampler animate a picture inside the block: its start and its steps are rectified.

        with rectified_lvdm(sampler, z, Settings(enabled=True, start_time=0.9)):
            samples, _ = sampler.sample(S=50, …, timestep_spacing="uniform_trailing")

    `sampler` is a `DDIMSampler` of DynamiCrafter or VideoCrafter1, and `picture` is as `late_start` takes it. `x_T` of the
    call is the noise; without it noise is drawn. A start time replaces the sampler's timesteps. η, guidance and its rescaling
    stay the sampler's. Raises `PipelineError` if the sampler cannot be rectified, if the settings have `target_ssim` or
    `loop`, and if the block made no video.
    """
    rectification = LvdmRectification(sampler, picture, settings, statistics)
    if not settings.enabled:
        yield rectification
        return
    hooks = ("ddim_sampling", "p_sample_ddim")
    missing = [name for name in ("make_schedule", *hooks, "model") if not hasattr(sampler, name)]
    if missing:
        raise PipelineError(f"{type(sampler).__name__} has no {missing[0]}: use the DDIMSampler of lvdm")
    if settings.loop or settings.target_ssim > 0:
        raise PipelineError(f"{'loop' if settings.loop else 'target_ssim'} does not work with lvdm's sampler: leave it out")
    methods = {name: functools.partial(getattr(rectification, name), getattr(sampler, name)) for name in hooks}
    module = sys.modules[type(sampler).__module__]
    late: dict[str, Any] = {}
    if settings.start_time < 1.0:
        if not hasattr(module, "make_ddim_timesteps"):
            raise PipelineError(f"{module.__name__} has no make_ddim_timesteps: leave start_time at 1")
        late["make_ddim_timesteps"] = rectification.make_ddim_timesteps
    with replaced(sampler, **methods), replaced(module, **late):
        yield rectification
    if not rectification.reports:
        raise PipelineError("the rectified block made no video: call the sampler's sample inside it")


class LvdmRectification:
    """The work of one `rectified_lvdm` block."""

    x0: Tensor  # z, [B, C, F, h, w]
    reference_noise: Tensor  # n, [B, C, F, h, w]
    pivot: Tensor  # x* as it is now, [B, C, F, h, w]

    def __init__(self, sampler: Any, picture: Tensor, settings: Settings, statistics: Statistics | None) -> None:
        self._sampler, self._picture, self._settings, self._statistics = sampler, picture, settings, statistics
        self.reports: list[Report] = []  # one for each run of the sampler

    def make_ddim_timesteps(self, *, num_ddim_timesteps: int, **_: Any) -> Any:
        """The sampler's timesteps from M on, ascending."""
        last = start_timestep(self._settings.start_time, len(self._sampler.model.alphas_cumprod))
        return np.array(trailing_timesteps(last, num_ddim_timesteps)[::-1])

    def ddim_sampling(self, original: Any, *args: Any, **kwargs: Any) -> Any:
        """The sampler's run from the noised picture."""
        call = inspect.signature(original).bind(*args, **kwargs)
        call.apply_defaults()
        values, sampler = call.arguments, self._sampler
        for name in ("mask", "timesteps", "ddim_use_original_steps", "quantize_denoised"):
            if values.get(name) is not None and values[name] is not False:
                raise PipelineError(f"{name} is set and this sampler's steps are rectified: leave {name} out")
        noise = values["x_T"]
        if noise is None:
            noise = torch.randn(tuple(values["shape"]), device=sampler.model.betas.device)
        x0 = _frames_first(self._picture.to(noise), noise)
        self._timesteps = [int(timestep) for timestep in sampler.ddim_timesteps]
        first, steps = _level(sampler.model, self._timesteps[-1]), len(self._timesteps)
        values["x_T"], self.reference_noise = _start(x0, noise, first, self._statistics)
        self.x0, self.pivot = x0.movedim(0, 2), values["x_T"].clone()
        self.reports.append(Report(steps))
        self._num_steps = steps if self._settings.tau_unit == "steps" else 1
        correction = Correction.of(self._settings, Reference(x0, Keyframes((0,), len(x0))), self._dial)
        self._pivot_step = PivotStep(x0, correction, self._num_steps)
        return original(*call.args, **call.kwargs)

    def p_sample_ddim(self, original: Any, x: Tensor, c: Any, t: Tensor, index: int, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """One step of the sampler with the rectified x0; the pivot takes it with the same fresh noise."""
        stepped, shown = original(x, c, t, index, **kwargs)
        level, a, s = self._coefficients(index)
        # DynamiCrafter returns x0 with the scale of the next level, and VideoCrafter1 does not.
        shows_scaled = getattr(self._sampler.model, "use_dynamic_rescale", False)
        shown_scale = a / float(self._sampler.ddim_alphas_prev[index]) ** 0.5 if shows_scaled else 1.0
        predicted, position = shown / shown_scale, self._position(index)

        def step(state: Tensor, x0: Tensor) -> Tensor:
            return a * x0 + s * (state - level.a * x0) / level.s

        fresh = stepped - step(x, predicted)
        clean, state, pivot = (value.movedim(2, 0) for value in (predicted, x, self.pivot))
        pivot_step, steps = self._pivot_step, len(self._timesteps)
        pivot_step.checks.prediction(clean, steps - index, steps)
        corrected, answer = (each.movedim(0, 2) for each in pivot_step(clean, state, pivot, level, "x0", position))
        pivot_step.checks.settle()
        self.pivot = (step(self.pivot, answer) + fresh).to(x.dtype)
        self.reports[-1].rectified += pivot_step.correction.is_inside(position, self._num_steps)
        if torch.equal(corrected, predicted):
            return stepped, shown
        return (step(x, corrected) + fresh).to(stepped.dtype), (corrected * shown_scale).to(shown.dtype)

    def _coefficients(self, index: int) -> tuple[Level, float, float]:
        """The level of a state, and (a, s) of the next one for the predicted x0 and noise: DDIM with η."""
        sampler = self._sampler
        before, sigma = float(sampler.ddim_alphas_prev[index]), float(sampler.ddim_sigmas[index])
        scale = float(sampler.ddim_scale_arr_prev[index]) if _rescales(sampler.model) else 1.0
        return _level(sampler.model, self._timesteps[index]), before**0.5 * scale, max(1 - before - sigma**2, 0.0) ** 0.5

    def _position(self, index: int) -> float:
        """The place of a step: its number, or its progress in [0, 1)."""
        if self._settings.tau_unit == "steps":
            return len(self._timesteps) - 1 - index
        done = 1 - (self._timesteps[index] + 1) / len(self._sampler.model.alphas_cumprod)
        return min(max(done, 0.0), 1 - 2 * TOLERANCE)

    def _dial(self) -> Dial:
        """The motion that survives for each ω, from a run on numbers beside their pivot."""
        omega = torch.tensor(OMEGAS)
        difference = torch.zeros_like(omega)
        for index in reversed(range(len(self._timesteps))):
            level, a, s = self._coefficients(index)
            inside = in_window(self._position(index), self._num_steps, self._settings.tau_start, self._settings.tau_end)
            x0 = moving_x0(difference, level, omega, inside=inside)
            difference = a * x0 + s * (difference - level.a * x0) / level.s
        return Dial.of(difference)

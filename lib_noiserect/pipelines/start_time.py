"""The start time M for the schedulers of diffusers: schedules that begin at timestep M·T - 1 with all their steps."""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import math
from collections.abc import Iterator
from typing import Any

import torch

from ..core.keyframes import Keyframes
from ..core.noise_levels import Level, flow, ve, vp
from ..core.stand_in import replaced
from ..methods.analytic_init import Statistics
from ..methods.start_time import start_timestep, trailing_timesteps
from .layout import Preparation, layout_of
from .schedulers import PipelineError, check_plain, edm_schedule, hooked, is_edm, read, replace_step, unhooked_copy

# They step to the timestep T//N below, whatever comes next in their list.
_CONSTANT_STRIDE = (
    "DDIMScheduler",
    "DDIMParallelScheduler",
    "CogVideoXDDIMScheduler",
    "CogVideoXDPMScheduler",
    "PNDMScheduler",
)
# Relative tolerance of the first level: σ are float32.
_CLOSE = 1e-3


def start_late(scheduler: Any, start_time: float) -> None:
    """Change a scheduler in place so that the schedules of its `set_timesteps` begin at M = `start_time`, in (0, 1).

    The scheduler becomes that of a model with M·T timesteps: its tables end there, and its steps are spaced over the rest.
    """
    config = scheduler.config
    if is_edm(scheduler):
        first = ve(_edm_sigma(config, start_time))
        scheduler.register_to_config(sigma_max=first.s)
    elif config.get("invert_sigmas"):
        raise PipelineError(f"start_time = {start_time:g} and {type(scheduler).__name__} inverts its sigmas: leave it at 1")
    elif _is_flow(scheduler):
        first = flow(start_time)
    elif not hasattr(scheduler, "alphas_cumprod"):
        raise PipelineError(
            f"start_time = {start_time:g} and {type(scheduler).__name__} has no alphas_cumprod: leave it at 1"
        )
    else:
        length = config.num_train_timesteps
        kept = start_timestep(start_time, length) + 1
        first = vp(float(scheduler.alphas_cumprod[kept - 1]))
        for name, table in vars(scheduler).items():
            if isinstance(table, torch.Tensor) and table.shape == (length,):
                setattr(scheduler, name, table[:kept])
        scheduler.register_to_config(num_train_timesteps=kept)
        # PNDM's Runge-Kutta steps are T//N long, whatever its list says.
        runge_kutta = not config.get("skip_prk_steps", True)
        if "timestep_spacing" in config:
            # "leading" begins below the last timestep, and "trailing" has one step too many for some M·T and N.
            scheduler.register_to_config(timestep_spacing="trailing" if runge_kutta else "linspace")
        if type(scheduler).__name__ in _CONSTANT_STRIDE and not runge_kutta:
            _step_to_the_next(scheduler)
    scheduler.set_timesteps = hooked(functools.partial(_begin, scheduler, start_time, first), scheduler.set_timesteps)


def _begin(scheduler: Any, start_time: float, first: Level, set_timesteps: Any, *args: Any, **kwargs: Any) -> None:
    """Set a schedule that begins at M, with the ratio s/a of `first`, which VP and VE states share.

    Raises `PipelineError` for a schedule that begins elsewhere, since the caller gave it or since it ignores the tables, and
    `SettingsError` for fewer timesteps than steps.
    """
    set_timesteps(*args, **kwargs)
    if _is_flow(scheduler):
        factor = start_time / float(scheduler.sigmas[0])
        scheduler.sigmas, scheduler.timesteps = scheduler.sigmas * factor, scheduler.timesteps * factor
        return
    name, timesteps = type(scheduler).__name__, scheduler.timesteps
    if not (hasattr(scheduler, "sigmas") or name == "PNDMScheduler" or getattr(scheduler, "custom_timesteps", False)):
        late = trailing_timesteps(scheduler.config.num_train_timesteps - 1, len(timesteps))
        scheduler.timesteps = torch.tensor(late, device=timesteps.device)
    level, _ = read(scheduler, scheduler.timesteps[0])
    if abs(level.s * first.a - first.s * level.a) > _CLOSE * first.s * first.a:
        raise PipelineError(
            f"start_time = {start_time:g} and {name} begins at another noise level (s/a = "
            f"{level.s / max(level.a, 1e-12):.4g}, not {first.s / first.a:.4g}): give the pipeline no timesteps or "
            "sigmas, or use another scheduler"
        )
    if name == "PNDMScheduler" and int(scheduler.timesteps.min()) < 0:
        raise PipelineError(
            f"start_time = {start_time:g} and {name}'s Runge-Kutta steps do not divide: set its skip_prk_steps to True"
        )


def _edm_sigma(config: Any, start_time: float) -> float:
    first, last, rho = edm_schedule(config)
    return float((first + (1 - start_time) * (last - first)) ** rho)


@contextlib.contextmanager
def starting_late(
    pipe: Any, start_time: float = 1.0, *, sigma_max: float | None = None, statistics: Statistics | None = None
) -> Iterator[None]:
    """Make an image-to-video pipeline start later inside the block, with all its steps: the inference strategy of CIL.

    Raises `PipelineError` if the scheduler cannot begin there, or if pipeline and statistics do not fit each other.

    Args:
        start_time: M in (0, 1]; 1 is the model's noisiest level.
        sigma_max: σ of the start instead, for EDM's schedules, such as that of Stable Video Diffusion.
        statistics: of the kind `mean`; the initial noise is drawn from them. For the other kinds, which need the image, use
            `rectified` with an empty window.
    """
    if not hasattr(getattr(pipe, "scheduler", None), "set_timesteps") or not hasattr(pipe, "prepare_latents"):
        raise PipelineError(f"{type(pipe).__name__} has no scheduler and prepare_latents: use a video pipeline of diffusers")
    if start_time >= 1.0 and sigma_max is None and statistics is None:
        yield
        return
    check_plain(pipe.scheduler)
    late = copy.deepcopy(pipe.scheduler)
    if sigma_max is not None:
        if not is_edm(late) or not late.config.sigma_min < sigma_max < math.inf:
            fault = f"above {late.config.sigma_min:g}" if is_edm(late) else "start_time, since the schedule has timesteps"
            raise PipelineError(f"sigma_max = {sigma_max:g} and {type(late).__name__}: use {fault}")
        late.register_to_config(sigma_max=float(sigma_max))
    elif start_time < 1.0:
        start_late(late, start_time)
    late.__deepcopy__ = lambda memo: unhooked_copy(late)
    changes = {"scheduler": late}
    if statistics is not None:
        changes["prepare_latents"] = hooked(functools.partial(_drawn, pipe, statistics), pipe.prepare_latents)
    with replaced(pipe, **changes):
        yield


def _drawn(pipe: Any, statistics: Statistics, prepare: Any, *args: Any, **kwargs: Any) -> Any:
    """The result of `prepare_latents`, with latents that are drawn from statistics, made of the pipeline's own noise."""
    preparation = Preparation(prepare, *args, **kwargs)
    latents = preparation.latents
    if statistics.kind != "mean":
        raise PipelineError(f"statistics = {statistics.name!r} are {statistics.kind} and need the image: use rectified")
    mean, scheduler = statistics.values["mean"], pipe.scheduler
    if sorted(mean.shape) != sorted(latents.shape[1:]):
        raise PipelineError(
            f"statistics = {statistics.name!r} is for latents of {tuple(mean.shape)} and {type(pipe).__name__}'s are "
            f"{tuple(latents.shape[1:])}: use statistics of this model, resolution and length"
        )
    if getattr(scheduler, "num_inference_steps", None) is None:
        raise PipelineError(f"{type(pipe).__name__} sets its schedule after its latents: leave the statistics out")
    layout = layout_of(pipe, preparation, mean.movedim(0, 1)[None])
    keyframes = Keyframes((0,), len(mean))
    statistics.check(mean.shape[1:], keyframes, float(pipe.vae.config.get("scaling_factor") or 0.0))
    level, _ = read(scheduler, scheduler.timesteps[0])
    drawn = layout.frames_first(latents / float(getattr(scheduler, "init_noise_sigma", 1.0)))
    noise = statistics.noise(torch.zeros_like(drawn), drawn, level, keyframes)
    return preparation.result(layout.restore(noise * level.s, latents).to(latents.dtype))


def _is_flow(scheduler: Any) -> bool:
    """Whether the timesteps are σ·T, with σ from 1 to 0."""
    name = type(scheduler).__name__
    return "FlowMatch" in name or name.endswith("RFScheduler") or bool(scheduler.config.get("use_flow_sigmas"))


def _step_to_the_next(scheduler: Any) -> None:
    """Make the scheduler step to the next timestep in its list; the end is at -1."""

    def step(original: Any, self: Any, *args: Any, **kwargs: Any) -> Any:
        timestep = int(inspect.signature(original.func).bind(self, *args, **kwargs).arguments["timestep"])
        length, timesteps = self.config.num_train_timesteps, self.timesteps.tolist()
        stride = timestep - max((each for each in timesteps if each < timestep), default=-1)
        if getattr(self, "counter", None) == 1:  # PLMS repeats its first step from the timestep above
            stride = timesteps[0] - timestep
        self.register_to_config(num_train_timesteps=stride * self.num_inference_steps)
        try:
            return original(*args, **kwargs)
        finally:
            self.register_to_config(num_train_timesteps=length)

    replace_step(scheduler, step)

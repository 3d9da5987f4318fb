"""The start time M for the schedulers of diffusers: schedules that begin at timestep M·T - 1 with all their steps."""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from ..core.keyframes import Keyframes
from ..core.noise_levels import Level
from ..core.stand_in import replaced
from ..methods.analytic_init import Statistics
from ..methods.start_time import start_timestep, trailing_timesteps
from .layout import layout_of, prepared_again
from .schedulers import PipelineError, check_plain, edm_schedule, is_edm, read, unhooked_copy

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
    """Change a scheduler in place so that the schedules of `set_timesteps` begin at M. Call `begin` after each of them.

    The scheduler becomes that of a model with M·T timesteps: its tables end there, and its steps are spaced over the rest.

    Args:
        start_time: M in (0, 1).
    """
    config = scheduler.config
    if is_edm(scheduler):
        scheduler.register_to_config(sigma_max=_edm_sigma(config, start_time))
        return
    if config.get("invert_sigmas"):
        raise PipelineError(f"start_time = {start_time:g} and {type(scheduler).__name__} inverts its sigmas: leave it at 1")
    if _is_flow(scheduler):
        return
    length = config.num_train_timesteps
    kept = start_timestep(start_time, length) + 1
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


def begin(scheduler: Any, original: Any, start_time: float) -> None:
    """Finish a schedule that `set_timesteps` has made, and check that it begins at M.

    Args:
        original: the scheduler before `start_late`.

    Raises:
        PipelineError: the schedule begins elsewhere: it was given by the caller, or ignores the tables.
        SettingsError: there are fewer timesteps than steps.
    """
    if _is_flow(scheduler):
        factor = start_time / float(scheduler.sigmas[0])
        scheduler.sigmas, scheduler.timesteps = scheduler.sigmas * factor, scheduler.timesteps * factor
        return
    name, target = type(scheduler).__name__, level_at(original, start_time)
    if not hasattr(scheduler, "sigmas") and name != "PNDMScheduler":
        last, steps = start_timestep(start_time, original.config.num_train_timesteps), len(scheduler.timesteps)
        if not getattr(scheduler, "custom_timesteps", False):
            scheduler.timesteps = torch.tensor(trailing_timesteps(last, steps), device=scheduler.timesteps.device)
    level, _ = read(scheduler, scheduler.timesteps[0])
    if abs(level.s * target.a - target.s * level.a) > _CLOSE * target.s * target.a:
        raise PipelineError(
            f"start_time = {start_time:g} and {name} begins at another noise level (s/a = "
            f"{level.s / max(level.a, 1e-12):.4g}, not {target.s / target.a:.4g}): give the pipeline no timesteps or "
            "sigmas, or use another scheduler"
        )
    if name == "PNDMScheduler" and int(scheduler.timesteps.min()) < 0:
        raise PipelineError(
            f"start_time = {start_time:g} and {name}'s Runge-Kutta steps do not divide: set its skip_prk_steps to True"
        )


def level_at(scheduler: Any, start_time: float) -> Level:
    """The level at M. Only its ratio s/a counts, which VP and VE states share at timestep M·T - 1."""
    if is_edm(scheduler):
        return Level(1.0, _edm_sigma(scheduler.config, start_time))
    alpha = float(scheduler.alphas_cumprod[start_timestep(start_time, scheduler.config.num_train_timesteps)])
    return Level(alpha**0.5, (1 - alpha) ** 0.5)


def _edm_sigma(config: Any, start_time: float) -> float:
    first, last, rho = edm_schedule(config)
    return float((first + (1 - start_time) * (last - first)) ** rho)


@contextlib.contextmanager
def starting_late(
    pipe: Any, start_time: float = 1.0, *, sigma_max: float | None = None, statistics: Statistics | None = None
) -> Iterator[None]:
    """Make an image-to-video pipeline start later inside the block, with all its steps: the inference strategy of CIL.

    Args:
        start_time: M in (0, 1]; 1 is the model's noisiest level.
        sigma_max: σ of the start instead, for EDM's schedules, such as that of Stable Video Diffusion.
        statistics: of the kind `mean`; the initial noise is drawn from them. For the other kinds, which need the image, use
            `rectified` with an empty window.

    Raises:
        PipelineError: the scheduler cannot begin there, or pipeline and statistics do not fit each other.
    """
    if not hasattr(getattr(pipe, "scheduler", None), "set_timesteps") or not hasattr(pipe, "prepare_latents"):
        raise PipelineError(f"{type(pipe).__name__} has no scheduler and prepare_latents: use a video pipeline of diffusers")
    if start_time >= 1.0 and sigma_max is None and statistics is None:
        yield
        return
    check_plain(pipe.scheduler)
    original, late = pipe.scheduler, copy.deepcopy(pipe.scheduler)
    if sigma_max is not None:
        if not is_edm(late) or not late.config.sigma_min < sigma_max < math.inf:
            fault = f"above {late.config.sigma_min:g}" if is_edm(late) else "start_time, since the schedule has timesteps"
            raise PipelineError(f"sigma_max = {sigma_max:g} and {type(late).__name__}: use {fault}")
        late.register_to_config(sigma_max=float(sigma_max))
    elif start_time < 1.0:
        start_late(late, start_time)
    set_timesteps, prepare = late.set_timesteps, pipe.prepare_latents

    @functools.wraps(set_timesteps)
    def set_late_timesteps(*args: Any, **kwargs: Any) -> None:
        set_timesteps(*args, **kwargs)
        if sigma_max is None and start_time < 1.0:
            begin(late, original, start_time)

    @functools.wraps(prepare)
    def prepare_latents(*args: Any, **kwargs: Any) -> Any:
        call = inspect.signature(prepare).bind(*args, **kwargs)
        call.apply_defaults()
        result = prepare(*args, **kwargs)
        latents, *conditions = result if isinstance(result, tuple) else (result,)
        assert statistics is not None
        start = _drawn(pipe, latents, statistics, functools.partial(prepared_again, prepare, call, latents.device))
        return (start, *conditions) if isinstance(result, tuple) else start

    late.set_timesteps, late.__deepcopy__ = set_late_timesteps, lambda memo: unhooked_copy(late)
    changes = {"scheduler": late} if statistics is None else {"scheduler": late, "prepare_latents": prepare_latents}
    with replaced(pipe, **changes):
        yield


def _drawn(pipe: Any, latents: Tensor, statistics: Statistics, prepare_again: Callable[[str], Tensor]) -> Tensor:
    """Initial latents that are drawn from statistics, made of the pipeline's own noise, in the layout of `latents`."""
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
    layout = layout_of(pipe, latents, mean.movedim(0, 1)[None], prepare_again)
    keyframes = Keyframes((0,), len(mean))
    statistics.check(mean.shape[1:], keyframes, float(pipe.vae.config.get("scaling_factor") or 0.0))
    level, _ = read(scheduler, scheduler.timesteps[0])
    drawn = layout.frames_first(latents / float(getattr(scheduler, "init_noise_sigma", 1.0)))
    noise = statistics.noise(torch.zeros_like(drawn), drawn, level, keyframes)
    return layout.restore(noise * level.s, latents).to(latents.dtype)


def _is_flow(scheduler: Any) -> bool:
    """Whether the timesteps are σ·T, with σ from 1 to 0."""
    name = type(scheduler).__name__
    return "FlowMatch" in name or name.endswith("RFScheduler") or bool(scheduler.config.get("use_flow_sigmas"))


def _step_to_the_next(scheduler: Any) -> None:
    """Make the scheduler step to the next timestep in its list."""
    original = type(scheduler)

    @functools.wraps(original.step)
    def step(self: Any, *args: Any, **kwargs: Any) -> Any:
        timestep = inspect.signature(original.step).bind(self, *args, **kwargs).arguments["timestep"]
        length = self.config.num_train_timesteps
        self.register_to_config(num_train_timesteps=_stride(self, int(timestep)) * self.num_inference_steps)
        try:
            return original.step(self, *args, **kwargs)
        finally:
            self.register_to_config(num_train_timesteps=length)

    scheduler.__class__ = type(original.__name__, (original,), {"step": step, "__module__": original.__module__})


def _stride(scheduler: Any, timestep: int) -> int:
    """The distance from a timestep to the next one below; the end is at -1."""
    timesteps = [int(each) for each in scheduler.timesteps]
    if getattr(scheduler, "counter", None) == 1:  # PLMS repeats its first step from the timestep above
        return timesteps[0] - timestep
    return timestep - max((each for each in timesteps if each < timestep), default=-1)

"""The start time M for the schedulers of diffusers: schedules that begin at timestep M·T - 1 with all their steps."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import torch

from ..core.noise_levels import Level
from ..methods.start_time import start_timestep, trailing_timesteps
from .schedulers import PipelineError, read

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
    if hasattr(scheduler, "precondition_outputs"):  # EDM has no timesteps, but a ρ-schedule
        scheduler.register_to_config(sigma_max=_edm_sigma(config, start_time))
        return
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
    if hasattr(scheduler, "precondition_outputs"):
        return Level(1.0, _edm_sigma(scheduler.config, start_time))
    alpha = float(scheduler.alphas_cumprod[start_timestep(start_time, scheduler.config.num_train_timesteps)])
    return Level(alpha**0.5, (1 - alpha) ** 0.5)


def _edm_sigma(config: Any, start_time: float) -> float:
    ends = [getattr(config, name) ** (1 / config.rho) for name in ("sigma_max", "sigma_min")]
    return float((ends[0] + (1 - start_time) * (ends[1] - ends[0])) ** config.rho)


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

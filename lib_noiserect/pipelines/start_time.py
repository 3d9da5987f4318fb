"""Start time M for the schedulers of diffusers: their schedules, respaced to begin at M·T - 1 with all their steps."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import torch

from ..core.noise_levels import Level
from ..methods.start_time import start_timestep, trailing_timesteps
from .schedulers import PipelineError, read

# They step from a timestep to the one that is T//N below it, whatever comes next in their list.
_CONSTANT_STRIDE = (
    "DDIMScheduler",
    "DDIMParallelScheduler",
    "CogVideoXDDIMScheduler",
    "CogVideoXDPMScheduler",
    "PNDMScheduler",
)
# The share by which the first level may miss the one that was asked for: float32, and timesteps that are found again by σ.
_CLOSE = 1e-3


def start_late(scheduler: Any, start_time: float) -> None:
    """Changes a scheduler (a copy that nobody else has) so that what `set_timesteps` makes begins at M.

    It is made to be that of a model with M·T timesteps: its tables are cut off there, and its steps are spaced over what is
    left. `begin` is to be called after each `set_timesteps`.

    Args:
        start_time: M in (0, 1).
    """
    config = scheduler.config
    if hasattr(scheduler, "precondition_outputs"):  # EDM has no timesteps: its own ρ-schedule stands for them
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
    # PNDM's Runge-Kutta steps are T//N long and in no list.
    runge_kutta = not config.get("skip_prk_steps", True)
    if "timestep_spacing" in config:
        # "leading" begins below the last timestep, and "trailing" ends in one step too many for some M·T and N.
        scheduler.register_to_config(timestep_spacing="trailing" if runge_kutta else "linspace")
    if type(scheduler).__name__ in _CONSTANT_STRIDE and not runge_kutta:
        _step_to_the_next(scheduler)


def begin(scheduler: Any, original: Any, start_time: float) -> None:
    """What is left to do once the schedule is set, and a check that it begins at M.

    Args:
        original: the scheduler as it was before `start_late`.

    Raises:
        PipelineError: it does not, since the schedule was made by hand or takes no notice of the tables.
        SettingsError: there are too few timesteps for the steps.
    """
    if _is_flow(scheduler):
        factor = start_time / float(scheduler.sigmas[0])
        scheduler.sigmas, scheduler.timesteps = scheduler.sigmas * factor, scheduler.timesteps * factor
        return
    name, wanted = type(scheduler).__name__, level_at(original, start_time)
    if not hasattr(scheduler, "sigmas") and name != "PNDMScheduler":
        last, steps = start_timestep(start_time, original.config.num_train_timesteps), len(scheduler.timesteps)
        if not getattr(scheduler, "custom_timesteps", False):
            scheduler.timesteps = torch.tensor(trailing_timesteps(last, steps), device=scheduler.timesteps.device)
    level, _ = read(scheduler, scheduler.timesteps[0])
    if abs(level.s * wanted.a - wanted.s * level.a) > _CLOSE * wanted.s * wanted.a:
        raise PipelineError(
            f"start_time = {start_time:g} and {name} begins at another noise level (s/a = "
            f"{level.s / max(level.a, 1e-12):.4g}, not {wanted.s / wanted.a:.4g}): give the pipeline no timesteps or σ of "
            "its own, or use another scheduler"
        )
    if name == "PNDMScheduler" and int(scheduler.timesteps.min()) < 0:
        raise PipelineError(
            f"start_time = {start_time:g} and {name}'s Runge-Kutta steps do not divide: set its skip_prk_steps to True"
        )


def level_at(scheduler: Any, start_time: float) -> Level:
    """(a, s) at M, in the space of the scheduler's states: VP and VE have the ratio s/a of timestep M·T - 1."""
    if hasattr(scheduler, "precondition_outputs"):
        return Level(1.0, _edm_sigma(scheduler.config, start_time))
    alpha = float(scheduler.alphas_cumprod[start_timestep(start_time, scheduler.config.num_train_timesteps)])
    return Level(alpha**0.5, (1 - alpha) ** 0.5)


def _edm_sigma(config: Any, start_time: float) -> float:
    ends = [getattr(config, name) ** (1 / config.rho) for name in ("sigma_max", "sigma_min")]
    return float((ends[0] + (1 - start_time) * (ends[1] - ends[0])) ** config.rho)


def _is_flow(scheduler: Any) -> bool:
    """Whether its timesteps are σ·T, with σ from 1 to 0."""
    name = type(scheduler).__name__
    return "FlowMatch" in name or name.endswith("RFScheduler") or bool(scheduler.config.get("use_flow_sigmas"))


def _step_to_the_next(scheduler: Any) -> None:
    """Have the scheduler step to the timestep that comes next in its list, however far that is."""
    own = type(scheduler)

    @functools.wraps(own.step)
    def step(self: Any, *args: Any, **kwargs: Any) -> Any:
        timestep = inspect.signature(own.step).bind(self, *args, **kwargs).arguments["timestep"]
        length = self.config.num_train_timesteps
        self.register_to_config(num_train_timesteps=_stride(self, int(timestep)) * self.num_inference_steps)
        try:
            return own.step(self, *args, **kwargs)
        finally:
            self.register_to_config(num_train_timesteps=length)

    scheduler.__class__ = type(own.__name__, (own,), {"step": step, "__module__": own.__module__})


def _stride(scheduler: Any, timestep: int) -> int:
    """How far below a timestep the next one is; the end is at -1."""
    timesteps = [int(each) for each in scheduler.timesteps]
    if getattr(scheduler, "counter", None) == 1:  # PLMS does its first step again, from the timestep above
        return timesteps[0] - timestep
    return timestep - max((each for each in timesteps if each < timestep), default=-1)

"""What the schedulers of diffusers differ in: their noise levels, what a prediction means, which calls make a step."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from ..core.errors import UserError
from ..core.noise_levels import Level, Prediction, flow, ve, vp
from ..core.schedule import TOLERANCE

KINDS = {"epsilon": "eps", "sample": "x0", "original_sample": "x0", "v_prediction": "v", "flow_prediction": "flow"}


class PipelineError(UserError):
    """This pipeline, scheduler or argument cannot be rectified; the message says which and what to do."""


class Reading(NamedTuple):
    """The noise level of the state that a scheduler's `step` is given, and what the model's output means there."""

    level: Level
    prediction: Prediction


def read(scheduler: Any, timestep: Tensor | float | int) -> Reading:
    """The level and the kind of prediction of the call that is to come at `timestep`.

    The states of Euler, Heun, KDPM2, LMS and their like are VE (x = z + σ·n), although the model is shown x/√(1+σ²) and
    predicts as a VP model; those of the DPM-Solver family are VP with σ meaning s/a; flow matching has x = (1-σ)·z + σ·n.

    Raises:
        PipelineError: the scheduler belongs to no known family.
    """
    name = type(scheduler).__name__
    config = scheduler.config
    kind = KINDS.get(config.get("prediction_type", "flow_prediction"), "unknown")
    if "FlowMatch" in name or name.endswith("RFScheduler"):
        return Reading(flow(float(scheduler.sigmas[_index(scheduler, timestep)])), "flow")
    if hasattr(scheduler, "_sigma_to_alpha_sigma_t") and not hasattr(scheduler, "precondition_outputs"):
        a, s = scheduler._sigma_to_alpha_sigma_t(scheduler.sigmas[_index(scheduler, timestep)])
        return Reading(Level(float(a), float(s)), kind)
    if hasattr(scheduler, "sigmas"):
        sigma = _sigma(scheduler, _index(scheduler, timestep))
        return Reading(ve(sigma), _seen_scaled(scheduler, kind, sigma))
    if hasattr(scheduler, "alphas_cumprod"):
        return Reading(vp(float(scheduler.alphas_cumprod[int(timestep)])), kind)
    raise PipelineError(f"the scheduler {name} is not supported: use one that has sigmas or alphas_cumprod")


def _index(scheduler: Any, timestep: Tensor | float | int) -> int:
    """The call's place in `sigmas`: the scheduler's own count, which it only begins in its first step."""
    if scheduler.step_index is not None:
        return int(scheduler.step_index)
    if getattr(scheduler, "begin_index", None) is not None:
        return int(scheduler.begin_index)
    return int(scheduler.index_for_timestep(timestep))


def _sigma(scheduler: Any, index: int) -> float:
    """σ of the state at a call; between two steps KDPM2 and DPM-Solver SDE call the model at a level of their own."""
    if not getattr(scheduler, "state_in_first_order", True):
        if hasattr(scheduler, "sigmas_interpol"):
            behind = 1 if "Ancestral" in type(scheduler).__name__ else 0
            return float(scheduler.sigmas_interpol[index - behind])
        if getattr(scheduler, "mid_point_sigma", None) is not None:
            return float(scheduler.mid_point_sigma)
    return float(scheduler.sigmas[index])


def _seen_scaled(scheduler: Any, kind: str, sigma: float) -> Prediction:
    """(c_x, c_D) of what a VP model predicts for a VE state, or the kind where both agree."""
    if hasattr(scheduler, "precondition_outputs"):  # EDM: D = c_skip·x + c_out·F
        data = float(scheduler.config.sigma_data)
        total = sigma**2 + data**2
        c_out = sigma * data / total**0.5 * (-1 if kind == "v" else 1)
        return (-(data**2) / total / c_out, 1 / c_out)
    if kind == "v":  # v = a·n - s·D at a = 1/√(1+σ²), s = σ·a, with n = (x - D)/σ
        a = (1 + sigma**2) ** -0.5
        return (a / sigma, -1 / (a * sigma))
    return kind


def progress(scheduler: Any, call: int, config: Any = None) -> float:
    """How far denoising is at a call of the model, in [0, 1): 1 - (t+1)/T.

    EDM's schedulers have no timesteps: there it is the place of σ in the schedule that is theirs by training.

    Args:
        config: as the model has it, where the scheduler's own was changed to begin late.
    """
    config = config or scheduler.config
    if hasattr(scheduler, "precondition_outputs"):
        ends = [getattr(config, name) ** (1 / config.rho) for name in ("sigma_max", "sigma_min")]
        done = (ends[0] - float(scheduler.sigmas[call]) ** (1 / config.rho)) / (ends[0] - ends[1])
    else:
        done = 1.0 - (float(scheduler.timesteps[call]) + 1.0) / config.num_train_timesteps
    return min(max(float(done), 0.0), 1.0 - 2 * TOLERANCE)


def steps_of_calls(scheduler: Any) -> list[int]:
    """The step that each call of the model belongs to, `len(scheduler.timesteps)` numbers that never fall.

    Both calls of a second-order step are treated alike, as are the two of PNDM's first step and the four of each
    Runge-Kutta step of its.
    """
    calls = len(scheduler.timesteps)
    if type(scheduler).__name__ == "PNDMScheduler":
        warm_up = 0 if scheduler.config.skip_prk_steps else len(scheduler.prk_timesteps)
        plms = range(calls - warm_up)
        first = 1 if warm_up == 0 else 0  # PLMS alone goes through its first step twice
        return [call // 4 for call in range(warm_up)] + [warm_up // 4 + max(call - first, 0) for call in plms]
    order = 2 if getattr(scheduler, "order", 1) == 2 else 1
    return [call // order for call in range(calls)]

"""The schedulers of diffusers: noise levels, kinds of prediction, the calls of a step, and runs without a model."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..core.errors import UserError
from ..core.motion_dial import OMEGAS, Dial, moving_x0
from ..core.noise_levels import Level, Prediction, flow, from_x0, noised, ve, vp
from ..core.schedule import TOLERANCE
from ..core.stand_in import replaced

KINDS = {"epsilon": "eps", "sample": "x0", "original_sample": "x0", "v_prediction": "v", "flow_prediction": "flow"}
# A sampler ends at its last level, which some with few steps have far above zero: the share of x0 that may be missing at the
# end, and the noise that may be left.
_FLOOR = 0.5
HOOKS = ("set_timesteps", "step", "scale_model_input")
"""The methods that `rectified` replaces on its copy of the scheduler."""


class PipelineError(UserError):
    """This pipeline, scheduler or argument cannot be rectified; the message names it and the remedy."""


def read(scheduler: Any, timestep: Tensor | float | int) -> tuple[Level, Prediction]:
    """The level of the state and the kind of prediction of the next call, at `timestep`.

    The states of Euler, Heun, KDPM2, LMS and the like are VE (x = z + σ·n), although the model is shown x/√(1+σ²) and
    predicts as a VP model. Those of the DPM-Solver family are VP, with σ = s/a. Flow matching has x = (1-σ)·z + σ·n.
    Raises `PipelineError` for a scheduler of no known family.
    """
    name, config = type(scheduler).__name__, scheduler.config
    kind = KINDS.get(config.get("prediction_type", "flow_prediction"), "unknown")
    if "FlowMatch" in name or name.endswith("RFScheduler"):
        sigma = float(scheduler.sigmas[_index(scheduler, timestep)])
        if sigma > 1 + TOLERANCE:  # Cosmos 2 gives it the noise levels of EDM
            raise PipelineError(f"the first noise level of {name} is {sigma:g}: use a model whose levels end at 1")
        if config.get("invert_sigmas"):  # Mochi counts σ from the noise on and predicts z - n
            level = flow(1 - sigma)
            return level, (-1 / level.s, (level.a + level.s) / level.s) if level.s else "flow"
        return flow(sigma), "flow"
    if "FlowMap" in name:  # AnyFlow
        raise PipelineError(f"a model with {name} predicts its way between two noise levels: use a model of one level")
    if hasattr(scheduler, "_sigma_to_alpha_sigma_t") and not hasattr(scheduler, "precondition_outputs"):
        a, s = scheduler._sigma_to_alpha_sigma_t(scheduler.sigmas[_index(scheduler, timestep)])
        return Level(float(a), float(s)), kind
    if hasattr(scheduler, "sigmas"):
        sigma = _sigma(scheduler, _index(scheduler, timestep))
        return ve(sigma), _of_vp_model(scheduler, kind, sigma)
    if hasattr(scheduler, "alphas_cumprod"):
        return vp(float(scheduler.alphas_cumprod[int(timestep)])), kind
    raise PipelineError(f"the scheduler {name} is not supported: use one that has sigmas or alphas_cumprod")


def _index(scheduler: Any, timestep: Tensor | float | int) -> int:
    """The index of the call in `sigmas`: the scheduler counts it itself, but only from its first step on."""
    if scheduler.step_index is not None:
        return int(scheduler.step_index)
    if getattr(scheduler, "begin_index", None) is not None:
        return int(scheduler.begin_index)
    return int(scheduler.index_for_timestep(timestep))


def _sigma(scheduler: Any, index: int) -> float:
    """σ of the state at a call; KDPM2 and DPM-Solver SDE also call the model between two steps."""
    if not getattr(scheduler, "state_in_first_order", True):
        if hasattr(scheduler, "sigmas_interpol"):
            behind = 1 if "Ancestral" in type(scheduler).__name__ else 0
            return float(scheduler.sigmas_interpol[index - behind])
        if getattr(scheduler, "mid_point_sigma", None) is not None:
            return float(scheduler.mid_point_sigma)
    return float(scheduler.sigmas[index])


def _of_vp_model(scheduler: Any, kind: str, sigma: float) -> Prediction:
    """(c_x, c_D) of a VP model's prediction for a VE state, or the kind where both agree."""
    if hasattr(scheduler, "precondition_outputs"):  # EDM: D = c_skip·x + c_out·F
        data = float(scheduler.config.sigma_data)
        total = sigma**2 + data**2
        c_out = sigma * data / total**0.5 * (-1 if kind == "v" else 1)
        return (-(data**2) / total / c_out, 1 / c_out)
    if kind == "v":  # v = a·n - s·D at a = 1/√(1+σ²), s = σ·a, with n = (x - D)/σ
        a = (1 + sigma**2) ** -0.5
        return (a / sigma, -1 / (a * sigma))
    return kind


def is_edm(scheduler: Any) -> bool:
    """Whether the schedule is EDM's, from `sigma_max` to `sigma_min` of the configuration, and not of timesteps."""
    config = scheduler.config
    return hasattr(scheduler, "precondition_outputs") or bool(config.get("use_karras_sigmas") and config.get("sigma_max"))


def edm_schedule(config: Any) -> tuple[float, float, float]:
    """σ_max^(1/ρ), σ_min^(1/ρ) and ρ of EDM's schedule, which is linear in σ^(1/ρ)."""
    rho = float(config.get("rho", 7.0))
    return config.sigma_max ** (1 / rho), config.sigma_min ** (1 / rho), rho


def progress(scheduler: Any, call: int, config: Any = None) -> float:
    """The progress of denoising at a call of the model, in [0, 1): 1 - (t+1)/T.

    EDM's schedulers have no timesteps; their progress is the place of σ in the ρ-schedule of their training. `config` is
    the model's, where `start_late` has changed the scheduler's own.
    """
    config = config or scheduler.config
    if is_edm(scheduler):
        first, last, rho = edm_schedule(config)
        done = (first - float(scheduler.sigmas[call]) ** (1 / rho)) / (first - last)
    elif config.get("invert_sigmas"):
        done = float(scheduler.timesteps[call]) / config.num_train_timesteps
    else:
        done = 1.0 - (float(scheduler.timesteps[call]) + 1.0) / config.num_train_timesteps
    return min(max(float(done), 0.0), 1.0 - 2 * TOLERANCE)


def steps_of_calls(scheduler: Any) -> list[int]:
    """The step of each call of the model, `len(scheduler.timesteps)` ascending numbers.

    Both calls of a second-order step belong to one step, as do the two of PNDM's first step and the four of each of its
    Runge-Kutta steps.
    """
    calls = len(scheduler.timesteps)
    if type(scheduler).__name__ == "PNDMScheduler":
        warm_up = 0 if scheduler.config.skip_prk_steps else len(scheduler.prk_timesteps)
        plms = range(calls - warm_up)
        first = 1 if warm_up == 0 else 0  # PLMS takes its first step twice
        return [call // 4 for call in range(warm_up)] + [warm_up // 4 + max(call - first, 0) for call in plms]
    order = 2 if getattr(scheduler, "order", 1) == 2 else 1
    return [call // order for call in range(calls)]


def hooked(hook: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
    """`hook(original, …)` with the signature of `original`."""
    return functools.update_wrapper(functools.partial(hook, original), original)


def replace_step(scheduler: Any, step: Callable[..., Any]) -> None:
    """Have `step(original, scheduler, …)` take the steps of a scheduler and its copies, by a class of the same name."""
    kind = type(scheduler)

    @functools.wraps(kind.step)
    def replacement(self: Any, *args: Any, **kwargs: Any) -> Any:
        return step(functools.partial(kind.step, self), self, *args, **kwargs)

    scheduler.__class__ = type(kind.__name__, (kind,), {"step": replacement, "__module__": kind.__module__})


def take_last_steps(scheduler: Any, strength: float) -> None:
    """Change a scheduler in place so that its schedules have the last int(N·strength) of N steps, and at least one."""

    def set_timesteps(original: Callable[..., None], *args: Any, **kwargs: Any) -> None:
        original(*args, **kwargs)
        steps, whole = steps_of_calls(scheduler), scheduler.timesteps
        num_steps = steps[-1] + 1
        first = steps.index(min(num_steps - int(num_steps * strength + 1e-9), num_steps - 1))
        scheduler.timesteps = whole[first:]
        if first and scheduler.config.get("skip_prk_steps"):  # PLMS takes its first step twice
            scheduler.timesteps = torch.cat([whole[first : first + 2], whole[first + 1 :]])
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(first)
            scheduler.all_timesteps = whole

    def step(original: Callable[..., Any], self: Any, *args: Any, **kwargs: Any) -> Any:
        # A scheduler that counts its steps looks ahead in the whole list, as in diffusers' image-to-image pipelines.
        with replaced(self, timesteps=getattr(self, "all_timesteps", self.timesteps)):
            return original(*args, **kwargs)

    scheduler.set_timesteps = hooked(set_timesteps, scheduler.set_timesteps)
    replace_step(scheduler, step)


def unhooked_copy(scheduler: Any) -> Any:
    """A copy of a scheduler, state included, without the replaced methods."""
    copied = copy.copy(scheduler)
    for name in (*HOOKS, "__deepcopy__"):
        copied.__dict__.pop(name, None)
    return copy.deepcopy(copied)


def check_plain(scheduler: Any) -> None:
    """Raise `PipelineError` for the scheduler of another block, which a copy would not leave as it is."""
    if "__deepcopy__" in vars(scheduler):
        raise PipelineError(
            "the pipeline is in another block of rectified or starting_late: use one block, with start_time in its settings"
        )


def run_alone(scheduler: Any, x: Tensor, model: Callable[[Tensor, Level, int], Tensor], options: Mapping[str, Any]) -> Tensor:
    """The state after the last step of a run from `x` on a copy of the scheduler, as if it were a sampler function.

    `model` takes the state, its level and the number of the call to the clean latent that it predicts; `options` are more
    arguments of the scheduler's `step`. The global generators end where they were, so that all runs get the same draws.
    """
    copied, last_x0 = unhooked_copy(scheduler), None
    takes_last_x0 = "old_pred_original_sample" in inspect.signature(copied.step).parameters  # CogVideoX's DPM
    before = random_states(x.device)
    try:
        for call, timestep in enumerate(copied.timesteps):
            level, kind = read(copied, timestep)
            output = from_x0(kind, model(x, level, call), x, level)
            values: dict[str, Any] = {"model_output": output, "timestep": timestep, "sample": x, **options}
            if takes_last_x0:
                values["old_pred_original_sample"] = last_x0
                values["timestep_back"] = copied.timesteps[call - 1] if call else None
            result = copied.step(**values, return_dict=False)
            x, last_x0 = result[0], result[-1]
    finally:
        rewind(before)
    return x


def check_ends_at_x0(scheduler: Any, sample: Tensor) -> None:
    """Run the pivot of the pipeline's latents `sample` without a model: it must end at x0, or the video would be noise.

    Raises `PipelineError` where it ends elsewhere, mostly since the scheduler clips latents.
    """
    shape = (1, 64, *[1] * (sample.ndim - 2))
    x0 = torch.linspace(-4, 4, 64, dtype=torch.promote_types(sample.dtype, torch.float32), device=sample.device)
    noise = torch.randn(64, generator=torch.Generator().manual_seed(0)).to(x0)
    first, _ = read(scheduler, scheduler.timesteps[0])
    start = noised(x0, noise, first).view(shape)
    end = run_alone(scheduler, start, lambda x, level, call: x0.view(shape), {})
    share = float((end.flatten() * x0).sum() / x0.square().sum())
    left = float((end.flatten() - share * x0).square().mean().sqrt())
    if not (abs(share - 1) <= _FLOOR and left <= _FLOOR):
        clips = [name for name in ("clip_sample", "thresholding") if scheduler.config.get(name)]
        advice = f"set its {' and '.join(clips)} to False, which latents need" if clips else "use another scheduler"
        raise PipelineError(
            f"{type(scheduler).__name__} does not end at the image although the model always answers the image "
            f"(it ends with {share:.2f} of it and {left:.2f} of noise): {advice}"
        )


def motion_dial(scheduler: Any, sample: Tensor, inside: Sequence[bool], options: Mapping[str, Any]) -> Dial:
    """The motion that survives for each ω, from a run on numbers, after one of their pivot with the same noise.

    `sample` are latents of the pipeline, and `inside` says for each call whether it is rectified. `options` are arguments
    that the scheduler's `step` will get and that change it (`eta`).
    """
    dtype = torch.promote_types(sample.dtype, torch.float32)
    omega = torch.tensor(OMEGAS, dtype=dtype, device=sample.device).view(1, -1, *[1] * (sample.ndim - 2))
    still, pivots = torch.zeros_like(omega), list[Tensor]()

    def pivot_model(pivot: Tensor, level: Level, call: int) -> Tensor:
        pivots.append(pivot)
        return still

    def model(x: Tensor, level: Level, call: int) -> Tensor:
        return moving_x0(x - pivots[call], level, omega, inside=inside[call])

    pivot = run_alone(scheduler, still, pivot_model, options)
    return Dial.of(run_alone(scheduler, still, model, options) - pivot)


RandomStates = list[tuple[torch.Generator, Tensor]]


def random_states(device: torch.device, generator: Any = None) -> RandomStates:
    """The generators that a scheduler may draw from, with their states: the given ones and the global ones."""
    several = generator if isinstance(generator, (list, tuple)) else [generator]
    generators = [each for each in several if each is not None] + [torch.default_generator]
    if device.type == "mps":
        generators.append(torch.mps._get_default_mps_generator())
    elif device.type != "cpu":  # CUDA and XPU; where a device hides its generator, `core.noise.is_twin` tells
        generators += getattr(getattr(torch, device.type, None), "default_generators", ())[device.index or 0 :][:1]
    return [(each, each.get_state()) for each in generators]


def rewind(states: RandomStates) -> None:
    """Set each generator back to its state."""
    for generator, state in states:
        generator.set_state(state)

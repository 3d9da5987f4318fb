"""Runs a scheduler alone, without a model: whether it ends at the picture, and how much motion survives in it."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ..core.motion_dial import OMEGAS, Dial, moving_x0
from ..core.noise_levels import from_x0, reference_prediction
from .schedulers import PipelineError, read

# What may be missing of the picture, and left of the noise, where a sampler ends: at its last level, which some with few
# steps have far above zero.
_FLOOR = 0.5
REPLACED = ("set_timesteps", "step", "scale_model_input")


def own(scheduler: Any) -> Any:
    """A copy of a scheduler, state included, that has its own methods again."""
    copied = copy.copy(scheduler)
    for name in REPLACED:
        copied.__dict__.pop(name, None)
    return copy.deepcopy(copied)


class _Alone:
    """A copy of a scheduler that steps by itself."""

    def __init__(self, scheduler: Any, options: Mapping[str, Any] | None = None) -> None:
        self.scheduler, self._options = own(scheduler), options or {}
        self._hands_round = "old_pred_original_sample" in inspect.signature(self.scheduler.step).parameters
        self._previous: Any = None

    def step(self, output: Tensor, index: int, x: Tensor) -> Tensor:
        timesteps = self.scheduler.timesteps
        asked: dict[str, Any] = {"model_output": output, "timestep": timesteps[index], "sample": x}
        if self._hands_round:  # CogVideoX's DPM
            asked["old_pred_original_sample"] = self._previous
            asked["timestep_back"] = timesteps[index - 1] if index else None
        result = self.scheduler.step(**asked, **self._options, return_dict=False)
        self._previous = result[-1]
        state: Tensor = result[0]
        return state


def check_ends_at_picture(scheduler: Any, sample: Tensor) -> None:
    """Runs the pivot alone, before the model is called again: it must end as the picture, or the result would be noise.

    Raises:
        PipelineError: it does not; usually since the scheduler clips latents.
    """
    clean = torch.linspace(-4, 4, 64, dtype=torch.promote_types(sample.dtype, torch.float32), device=sample.device)
    clean = clean.view(1, 64, *[1] * (sample.ndim - 2))
    with _same_noise_after(sample.device):
        alone = _Alone(scheduler)
        start, _ = read(alone.scheduler, alone.scheduler.timesteps[0])
        x = start.a * clean + start.s * torch.randn_like(clean)
        for index, timestep in enumerate(alone.scheduler.timesteps):
            level, prediction = read(alone.scheduler, timestep)
            x = alone.step(reference_prediction(prediction, x, x, clean, level), index, x)
    share = float((x * clean).sum() / clean.square().sum())
    noise = float((x - share * clean).square().mean().sqrt())
    if not (abs(share - 1) <= _FLOOR and noise <= _FLOOR):
        config = scheduler.config
        clips = [name for name in ("clip_sample", "thresholding") if config.get(name)]
        advice = f"set its {' and '.join(clips)} to False, which latents need" if clips else "use another scheduler"
        raise PipelineError(
            f"{type(scheduler).__name__} does not end at the picture when the model always answers the picture "
            f"(it ends with {share:.2f} of it and {noise:.2f} of noise): {advice}"
        )


def motion_dial(scheduler: Any, sample: Tensor, is_inside: Callable[[int], bool], options: Mapping[str, Any]) -> Dial:
    """How much of the model's motion survives with which ω: a run on numbers and, beside it, one of their pivot.

    Args:
        sample: the latents that the scheduler is to be given, for their kind.
        is_inside: whether the call with this number is rectified.
        options: what else the scheduler's `step` is given and changes it (`eta`).
    """
    dtype = torch.promote_types(sample.dtype, torch.float32)
    omega = torch.tensor(OMEGAS, dtype=dtype, device=sample.device).view(1, -1, *[1] * (sample.ndim - 2))
    with _same_noise_after(sample.device):
        moving, pivot = _Alone(scheduler, options), _Alone(scheduler, options)
        x = x_pivot = torch.zeros_like(omega)
        for index, timestep in enumerate(moving.scheduler.timesteps):
            level, prediction = read(moving.scheduler, timestep)
            moved = moving_x0(x - x_pivot, level, omega, inside=is_inside(index))
            still = reference_prediction(prediction, x_pivot, x_pivot, torch.zeros_like(omega), level)
            before = random_states(sample.device, None)
            x = moving.step(from_x0(prediction, moved, x, level), index, x)
            rewind(before)
            x_pivot = pivot.step(still, index, x_pivot)
    return Dial.of(x - x_pivot)


@contextmanager
def _same_noise_after(device: torch.device) -> Iterator[None]:
    """Whatever is drawn inside, the next draw after it is the one that it would have been."""
    states = random_states(device, None)
    try:
        yield
    finally:
        rewind(states)


def random_states(device: torch.device, generator: Any) -> list[tuple[torch.Generator, Tensor]]:
    """The generators that a scheduler may draw from, with their states: those it is given, and the global ones."""
    given = generator if isinstance(generator, (list, tuple)) else [generator]
    generators = [one for one in given if one is not None] + [torch.default_generator]
    if device.type == "cuda":
        generators.append(torch.cuda.default_generators[device.index or 0])
    elif device.type == "mps":
        generators.append(torch.mps._get_default_mps_generator())
    return [(one, one.get_state()) for one in generators]


def rewind(states: Sequence[tuple[torch.Generator, Tensor]]) -> None:
    for generator, state in states:
        generator.set_state(state)


def same(left: Sequence[tuple[torch.Generator, Tensor]], right: Sequence[tuple[torch.Generator, Tensor]]) -> bool:
    return all(torch.equal(one, other) for (_, one), (_, other) in zip(left, right, strict=True))

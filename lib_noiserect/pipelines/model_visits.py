"""Calls of a pipeline's model at chosen timesteps, with the pipeline's own prompts and guidance."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from diffusers import DDIMScheduler
from diffusers.schedulers.scheduling_ddim import DDIMSchedulerOutput
from torch import Tensor

from ..core.noise_levels import Level, to_x0, vp
from ..core.stand_in import replaced
from .schedulers import KINDS, PipelineError

Answer = Callable[[int, Tensor, Level], Tensor]
"""From the number of the call, the predicted clean latent D after guidance, and the level, to the next state."""


class _Visits(DDIMScheduler):
    """A scheduler with VP states, whose next state comes from outside."""

    alphas_cumprod: Tensor
    config: Any

    def visit(self, timesteps: Sequence[int], answer: Answer) -> None:
        self._visited, self._answer, self._call = torch.tensor(timesteps), answer, 0

    def set_timesteps(self, num_inference_steps: int, device: Any = None, **_: Any) -> None:
        self.num_inference_steps = num_inference_steps
        self.timesteps = self._visited.to(device)

    def step(self, model_output: Tensor, timestep: Any, sample: Tensor, **_: Any) -> Any:
        level = vp(float(self.alphas_cumprod[int(timestep)]))
        kind = KINDS[self.config.prediction_type]
        exact = torch.promote_types(sample.dtype, torch.float32)
        predicted = to_x0(kind, model_output.to(exact), sample.to(exact), level)
        rows = sample.ndim == 4  # ModelScope's frames are rows
        following = self._answer(self._call, predicted.movedim(0, 1)[None] if rows else predicted, level)
        following = following[0].movedim(1, 0) if rows else following
        self._call += 1
        return DDIMSchedulerOutput(prev_sample=following.to(sample.dtype))


@contextlib.contextmanager
def visiting(pipe: Any, timesteps: Sequence[int], answer: Answer) -> Iterator[None]:
    """Make the pipeline visit these timesteps inside the block, each with the state that `answer` returns for it.

    `i4vgen.check_creation` refuses pipelines whose model has no VP noise levels.
    """
    visits = _Visits.from_config(pipe.scheduler.config)
    visits.visit(timesteps, answer)
    with replaced(pipe, scheduler=visits):
        yield


def levels_of(pipe: Any, timesteps: Sequence[int]) -> list[Level]:
    """The levels of timesteps by the model's ᾱ."""
    visits = DDIMScheduler.from_config(pipe.scheduler.config)
    return [vp(float(visits.alphas_cumprod[timestep])) for timestep in timesteps]


def ddim_timesteps(pipe: Any, num_steps: int) -> list[int]:
    """The timesteps of DDIM in `num_steps` steps, descending."""
    scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    scheduler.set_timesteps(num_steps)
    return [int(timestep) for timestep in scheduler.timesteps]


@contextlib.contextmanager
def without_motion(pipe: Any) -> Iterator[None]:
    """Switch the motion modules off inside the block, so that the frames are independent images.

    Raises `PipelineError` for a pipeline without separate motion modules.
    """
    motion, attention = _modules(pipe, -2, "motion_modules"), _modules(pipe, -1, "attn_temp")
    forwards: dict[Any, Any] = dict.fromkeys(motion, lambda hidden_states, *_, **__: hidden_states)
    # LaVie adds the result of its attention to the input.
    forwards |= dict.fromkeys(attention, lambda hidden_states, *_, **__: torch.zeros_like(hidden_states))
    if not forwards:
        raise PipelineError(f"{type(pipe).__name__} has no separate motion modules: pass your own image")
    with contextlib.ExitStack() as stack:
        for module, forward in forwards.items():
            stack.enter_context(replaced(module, forward=forward))
        yield


def _modules(pipe: Any, place: int, part: str) -> list[Any]:
    """The modules of the UNet whose name has `part` at a place."""
    named: Any = getattr(getattr(pipe, "unet", None), "named_modules", list)
    return [module for name, module in named() if name.split(".")[place:][:1] == [part]]


def is_lavie(pipe: Any) -> bool:
    """Whether the pipeline is LaVie's, whose GroupNorm runs over the frames: its images are videos of one frame each."""
    return bool(_modules(pipe, -1, "attn_temp"))

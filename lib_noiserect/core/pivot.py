"""Runs any sampler on the pair (x, x*) with twin noise: x* is the pivot, where x would be had the model answered z."""

from __future__ import annotations

import contextlib
import inspect
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from .correction import Correction, Plan
from .motion_dial import OMEGAS, Dial
from .motion_dial import answer as moved
from .noise import NotTwinError, SilentTorch, Twin, check_twin, replaced
from .noise_levels import Level, from_x0, reference_prediction
from .sampler_steps import Rehearsal, Steps
from .schedule import in_window
from .settings import Settings

Sampler = Callable[..., Any]
After = Callable[[Tensor, Tensor, Tensor, Level], Tensor]


@dataclass
class Report:
    """What happened in one run: how many steps there were and how many of them were rectified."""

    steps: int = 0
    rectified: int = 0


class _PairModel:
    """The model that the sampler is given: it asks the real one about x alone, and answers for x and x*.

    Attributes are the real model's, both ways: samplers read and set some.
    """

    def __init__(self, model: Any, answer: _Answer) -> None:
        self.__dict__.update(_model=model, _answer=answer)

    def __call__(self, pair: Tensor, level: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        frames = self._answer.frames_of(pair)
        answer: Tensor = self._answer(pair[:frames], pair[frames:], level[:frames], *args, **kwargs)
        return answer

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._model, name)
        if name == "last_noise_uncond" and isinstance(value, Tensor):
            # CFG++ breaks the convention: it steps along this attribute, not along what the model returns.
            return self._answer.uncond(value)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._model, name, value)


class PivotRun:
    """One run of one sampler with rectification.

    Args:
        sampler: a function of the k-diffusion calling convention, `sampler(model, x, extra_args=…, callback=…, **kwargs)`
            with the schedule in `sigmas`, `timesteps`, or `sigma_min` and `sigma_max`.
        kwargs: the sampler's own arguments, without `model` and `x`.
        clean: z, `[F, C, H, W]` or `[1, C, H, W]`.
        level_of: from the number that the sampler hands to the model (σ or timestep) to the noise level.
        prediction: what the model returns: `"eps"`, `"x0"`, `"v"` or `"flow"`.
        modules: the modules through whose `torch` the sampler draws noise.
        progress: how far denoising is at a noise level, in [0, 1], where τ counts that; None for τ in steps.
    """

    def __init__(
        self,
        sampler: Sampler,
        kwargs: Mapping[str, Any],
        *,
        clean: Tensor,
        level_of: Callable[[float], Level],
        prediction: str,
        modules: Sequence[ModuleType],
        progress: Callable[[Level], float] | None = None,
    ) -> None:
        self._sampler = sampler
        self._kwargs = dict(kwargs)
        self.clean = clean
        self.level_of = level_of
        self.prediction = prediction
        self._modules = modules
        self._progress = progress
        self.report = Report()

    def steps(self, model: Any) -> Steps:
        """The steps that the sampler is going to take, found by a run on one number that draws no noise.

        Raises:
            NotTwinError: the sampler takes more from the model than its prediction, as ComfyUI's CFG++ samplers do.
        """
        schedule, log_spaced = _schedule(self._kwargs)
        number = torch.zeros(1, 1, 1, 1, dtype=torch.float32, device=self.clean.device)

        def run(on_call: Callable[[float], None], on_callback: Callable[[], None]) -> None:
            def answer(x: Tensor, level: Tensor, *args: Any, **kwargs: Any) -> Tensor:
                if kwargs:  # none is given here: they are the sampler's own
                    raise NotTwinError(
                        f"the sampler asks the model for more than its prediction (by {', '.join(kwargs)}), "
                        "which the pivot has no counterpart of: choose another sampler"
                    )
                on_call(float(level.flatten()[0]))
                return torch.zeros_like(x)

            self._run_on_numbers(model, answer, number, on_callback)

        progress = self._progress
        placed = None if progress is None else lambda level: progress(self.level_of(level))
        return Steps(Rehearsal.watch(run), schedule, log_spaced, placed)

    def dial(self, model: Any, settings: Settings, steps: Steps) -> Dial:
        """How much of the model's motion survives with which ω, found by a run on as many numbers as `dial.OMEGAS`.

        The numbers are differences x - x*. Whatever noise a sampler draws is the same in both, so here it draws none.
        """
        follower = steps.follow()
        omega = torch.tensor(OMEGAS, dtype=torch.float32, device=self.clean.device).view(-1, 1, 1, 1)

        def answer(x: Tensor, level: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            number = float(level.flatten()[0])
            _, position = follower.next_call(number)
            inside = in_window(position, steps.num_steps, settings.tau_start, settings.tau_end)
            noise_level = self.level_of(number)
            return from_x0(self.prediction, moved(x, noise_level, omega, inside=inside), x, noise_level)

        return Dial.of(self._run_on_numbers(model, answer, torch.zeros_like(omega), lambda: None))

    def _run_on_numbers(
        self, model: Any, answer: Callable[..., Tensor], numbers: Tensor, on_callback: Callable[[], None]
    ) -> Tensor:
        """The sampler's result from `numbers`, `[W, 1, 1, 1]`, without noise, and with `answer` in the place of the model."""
        kwargs = dict(self._kwargs, disable=True, extra_args={}, callback=lambda _: on_callback())
        if "noise_sampler" in inspect.signature(self._sampler).parameters:
            kwargs["noise_sampler"] = lambda *_: torch.zeros_like(numbers)
        with contextlib.ExitStack() as stack:
            for module in self._modules:
                stack.enter_context(replaced(module, "torch", SilentTorch(module.torch)))
            # UniPC shows a progress bar that cannot be switched off.
            stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
            result: Tensor = self._sampler(_Rehearsed(model, answer), numbers, **kwargs)
        return result

    def __call__(
        self,
        model: Any,
        x: Tensor,
        plan: Plan,
        steps: Steps,
        *,
        after: After | None = None,
        noise_order: Sequence[int] | None = None,
    ) -> Tensor:
        """Sample from `x`, `[F, C, H, W]`, the noised clean latent at the level of the sampler's first model call.

        Args:
            model: what the sampler would be given without rectification; called with the F frames only.
            plan, steps: what to do at which step.
            after: called with (rectified prediction, x, σ or timestep as the sampler gave it, noise level) after each
                rectification; returns what the sampler gets instead.
            noise_order: for each frame the one whose fresh noise it gets; None is its own.

        Returns:
            The sampler's result for the F frames.

        Raises:
            NotTwinError: the sampler draws noise in a way that gives frames and pivot different noise.
        """
        self.report = Report()
        twin = Twin(x.shape[0], self._modules, noise_order)
        answer = _Answer(self, model, plan, steps, twin, after)
        kwargs = dict(self._kwargs)
        if kwargs.get("noise_sampler") is not None:
            kwargs["noise_sampler"] = twin.noise_sampler(kwargs["noise_sampler"])
        if kwargs.get("callback") is not None:
            kwargs["callback"] = _frames_only(kwargs["callback"], twin)
        with twin.noise():
            pair = self._sampler(_PairModel(model, answer), torch.cat([x, x]), **kwargs)
        frames: Tensor = twin.first_half(pair)
        return frames


class _Rehearsed:
    """The model of the rehearsal: attributes are read from the real one and set on itself."""

    def __init__(self, model: Any, answer: Callable[..., Tensor]) -> None:
        self.__dict__.update(_model=model, _call=answer)

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        result: Tensor = self._call(*args, **kwargs)
        self.__dict__["last_noise_uncond"] = result
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


class _Answer:
    """Answers the sampler's calls for one run."""

    def __init__(self, run: PivotRun, model: Any, plan: Plan, steps: Steps, twin: Twin, after: After | None) -> None:
        self._run, self._model, self._plan, self._twin, self._after = run, model, plan, twin, after
        self._num_steps = steps.num_steps
        self._follower = steps.follow()
        self._pinned_since_start = True
        self._correct: Correction | None = None
        self._last: tuple[Tensor, Tensor, Level] | None = None

    def frames_of(self, pair: Tensor) -> int:
        """F; a sampler that takes the frames apart, as reForge's ODE samplers do, cannot have their clip."""
        if not self._twin.is_pair(pair):
            raise NotTwinError(
                "the sampler asks the model for single frames and not for the whole clip: choose another sampler"
            )
        return pair.shape[0] // 2

    def __call__(self, x: Tensor, pivot: Tensor, level: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        run = self._run
        prediction = self._model(x, level, *args, **kwargs)
        # A model in half precision must not round the pivot of a sampler that computes in float32.
        prediction = prediction.to(torch.promote_types(prediction.dtype, x.dtype))
        number = float(level.flatten()[0])
        noise_level = run.level_of(number)
        self._decide(number, x, pivot)
        self._last = (x, pivot, noise_level)
        if self._correct is not None:
            prediction = self._correct(
                prediction, reference_prediction(run.prediction, x, pivot, run.clean, noise_level)
            )
            if self._after is not None:
                prediction = self._after(prediction, x, level, noise_level)
        return torch.cat([prediction, self._pivot_prediction(run.prediction, prediction)])

    def _decide(self, number: float, x: Tensor, pivot: Tensor) -> None:
        """Choose what to do with the prediction of this call, and count its step."""
        report, plan = self._run.report, self._plan
        begins_step, position = self._follower.next_call(number)
        inside = plan.is_inside(position, self._num_steps)
        report.steps += begins_step
        begun = report.rectified > 0
        self._correct = plan.correction(position, self._num_steps, begun=begun)
        report.rectified += begins_step and inside
        if inside and self._pinned_since_start:
            check_twin(x, pivot, plan.keys.frames[0] if plan.keys else 0)
        self._pinned_since_start &= inside or (begun and plan.pin_first_frame)

    def _pivot_prediction(self, kind: str, like: Tensor) -> Tensor:
        """What makes the pivot's half stand for z."""
        assert self._last is not None
        _, pivot, level = self._last
        dtype = torch.promote_types(pivot.dtype, torch.float32)
        answer = from_x0(kind, self._run.clean.to(dtype), pivot.to(dtype), level)
        return answer.expand_as(like).to(like.dtype)

    def uncond(self, value: Tensor) -> Tensor:
        """The unconditional noise that CFG++ steps along, rectified as the prediction of the same call was."""
        assert self._last is not None
        x, pivot, level = self._last
        if self._correct is not None:
            value = self._correct(value, reference_prediction("eps", x, pivot, self._run.clean, level))
        return torch.cat([value, self._pivot_prediction("eps", value)])


def _frames_only(callback: Callable[[dict[str, Any]], Any], twin: Twin) -> Callable[[dict[str, Any]], Any]:
    """The callback, shown the F frames and not the pair."""
    return lambda info: callback({name: twin.first_half(value) for name, value in info.items()})


def _schedule(kwargs: Mapping[str, Any]) -> tuple[tuple[float, ...], bool]:
    """The noise levels in the sampler's arguments, descending, and whether it chooses its own between two σ."""
    for name in ("sigmas", "sigma_sched", "timesteps"):
        if kwargs.get(name) is not None:
            levels = [float(level) for level in torch.as_tensor(kwargs[name]).flatten()]
            return tuple(sorted(levels, reverse=True)), False
    if kwargs.get("sigma_max") is not None and kwargs.get("sigma_min") is not None:
        return (float(kwargs["sigma_max"]), float(kwargs["sigma_min"])), True
    raise ValueError("the sampler has no sigmas, timesteps, or sigma_min and sigma_max: its steps are not known")


def start(clean: Tensor, reference_noise: Tensor, level: Level) -> Tensor:
    """The noised picture x = a·z + s·n that sampling starts from; `[F, C, H, W]` in the noise's type."""
    return torch.add(clean.to(reference_noise.dtype) * level.a, reference_noise, alpha=level.s)

"""The pivot x*: the state that a sampler would have reached, from the same noise, if the model had always answered x0."""

from __future__ import annotations

import contextlib
import inspect
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from .correction import Correction
from .finite import Checks
from .motion_dial import OMEGAS, Dial, moving_x0
from .noise import NotTwinError, Twin, is_twin
from .noise_levels import Level, Prediction, from_x0, reference_prediction, to_x0
from .sampler_steps import Steps, first_calls
from .schedule import in_window
from .settings import Settings
from .stand_in import Delegate, ModelStandIn, replaced

After = Callable[[Tensor, Tensor, Tensor, Level], Tensor]


@dataclass
class PivotStep:
    """Corrects the predictions of one run, and answers each call of the model also for the pivot."""

    x0: Tensor  # z, `[F, …]` or `[1, …]`
    correction: Correction
    num_steps: int  # N, the steps that the window is a fraction of
    check_noise: bool = True  # whether to check that x and the pivot get the same noise
    begun: bool = False  # whether a call inside the window was corrected
    pinned: bool = True  # whether a keyframe has been pinned at every step so far
    checks: Checks = field(default_factory=Checks)  # what must hold; the caller settles them once a step

    def __call__(
        self, prediction: Tensor, x: Tensor, pivot: Tensor, level: Level, kind: Prediction, position: float
    ) -> tuple[Tensor, Tensor]:
        """The corrected prediction, and the prediction at the pivot, which stands for x0; both `[F, …]` and of one type.

        The first one is `prediction` itself where it is left alone. `checks` gets a `NotTwinError` for x and a pivot of
        different noise.

        Args:
            prediction: after guidance, `[F, …]`, of this kind.
            x, pivot: the states x and x*, `[F, …]`, at this noise level.
            position: the place of the step in the schedule, as `schedule.in_window` takes it.
        """
        inside, keyframes = self.correction.is_inside(position, self.num_steps), self.correction.keyframes
        if inside and self.pinned and self.check_noise:
            error = NotTwinError(
                "the sampler draws different noise for the frames and for the pivot of noise rectification: "
                "choose another sampler, or draw the noise on the CPU"
            )
            self.checks.require(is_twin(x, pivot, keyframes.frames[0] if keyframes else 0), error)
        self.pinned &= inside or (self.begun and self.correction.settings.pin_first_frame)
        change = self.correction.at(position, self.num_steps, begun=self.begun)
        self.begun |= inside
        if change is not None:
            x0 = to_x0(kind, prediction, x, level) if self.correction.settings.follow_motion else None
            prediction = change(prediction, reference_prediction(kind, x, pivot, self.x0, level), x0)
        answer = reference_prediction(kind, pivot, pivot, self.x0, level)
        return prediction, answer.to(prediction.dtype)


@dataclass
class Report:
    """The number of steps of one run, and how many of them were rectified."""

    steps: int = 0
    rectified: int = 0


@dataclass
class Pivot:
    """Runs a sampler on the pair (x, x*), with the same noise for both.

    The sampler is a function of the k-diffusion calling convention, `sampler(model, x, extra_args=…, callback=…, **kwargs)`,
    with the schedule in `sigmas`, `timesteps`, or `sigma_min` and `sigma_max`.
    """

    sampler: Callable[..., Any]
    kwargs: Mapping[str, Any]  # the sampler's own, without `model` and `x`
    x0: Tensor  # z, `[F, C, H, W]` or `[1, C, H, W]`
    level_of: Callable[[float], Level]  # from the number that the sampler passes to the model (σ or timestep)
    prediction: Prediction  # the kind of the model's
    modules: Sequence[ModuleType]  # those through whose `torch` the sampler draws noise
    progress: Callable[[Level], float] | None = None  # of denoising, in [0, 1], where τ measures it; None for τ in steps
    report: Report = field(default_factory=Report)  # of the last run

    def __call__(
        self,
        model: Any,
        x: Tensor,
        correction: Correction,
        steps: Steps,
        *,
        after: After | None = None,
        noise_order: list[int] | None = None,
    ) -> Tensor:
        """The sampler's result for the F frames from `x`, `[F, C, H, W]`, the noised x0 at the level of the first model call.

        Raises `NotTwinError` if the sampler draws different noise for the frames and for the pivot, and `NotFiniteError` if
        a prediction of the model holds NaN or infinity.

        Args:
            model: the sampler's model; it is called with the F frames only.
            steps: of this sampler, see `steps`.
            after: called with (corrected prediction, x, σ or timestep as the sampler gave it, noise level) after each
                correction; its result goes to the sampler.
            noise_order: the frame whose fresh noise each frame gets; None keeps its own.
        """
        self.report = Report()
        twin = Twin(x.shape[0], self.modules, noise_order)
        kwargs = dict(self.kwargs)
        if kwargs.get("noise_sampler") is not None:
            kwargs["noise_sampler"] = twin.noise_sampler(kwargs["noise_sampler"])
        if kwargs.get("callback") is not None:
            callback = kwargs["callback"]
            kwargs["callback"] = lambda info: callback({name: twin.first_half(value) for name, value in info.items()})
        step = PivotStep(self.x0, correction, steps.num_steps)
        with twin.noise():
            pair = self.sampler(_PairModel(model, self, step, steps, twin, after), torch.cat([x, x]), **kwargs)
        frames: Tensor = twin.first_half(pair)
        return frames

    def steps(self, model: Any) -> Steps:
        """The steps that the sampler is going to take, from a rehearsal on one number that draws no noise.

        Raises `NotTwinError` if the sampler takes more from the model than its prediction, as ComfyUI's CFG++ samplers do.
        """
        schedule, log_spaced = _schedule(self.kwargs)
        levels: list[float] = []
        calls_before: list[int] = []  # model calls before each callback

        def answer(x: Tensor, level: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            if kwargs:  # a rehearsal passes none: they are the sampler's own
                raise NotTwinError(
                    f"the sampler asks the model for more than its prediction ({', '.join(kwargs)}), "
                    "and the pivot has no such answer: choose another sampler"
                )
            levels.append(float(level.flatten()[0]))
            return torch.zeros_like(x)

        number = torch.zeros(1, 1, 1, 1, dtype=torch.float32, device=self.x0.device)
        self._run_on_numbers(model, answer, number, lambda: calls_before.append(len(levels)))
        progress = self.progress
        progress_of = None if progress is None else lambda number: progress(self.level_of(number))
        return Steps(levels, first_calls(len(levels), calls_before), schedule, log_spaced, progress_of)

    def dial(self, model: Any, settings: Settings, steps: Steps) -> Dial:
        """The motion that survives for each of `motion_dial.OMEGAS`, from a run on as many numbers.

        The numbers are differences x - x*. Noise is the same in x and x*, so this run draws none.
        """
        next_call = steps.follow()
        omega = torch.tensor(OMEGAS, dtype=torch.float32, device=self.x0.device).view(-1, 1, 1, 1)

        def answer(x: Tensor, level: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            number = float(level.flatten()[0])
            _, position = next_call(number)
            inside = in_window(position, steps.num_steps, settings.tau_start, settings.tau_end)
            noise_level = self.level_of(number)
            return from_x0(self.prediction, moving_x0(x, noise_level, omega, inside=inside), x, noise_level)

        return Dial.of(self._run_on_numbers(model, answer, torch.zeros_like(omega), lambda: None))

    def _run_on_numbers(
        self, model: Any, answer: Callable[..., Tensor], numbers: Tensor, on_callback: Callable[[], None]
    ) -> Tensor:
        """The sampler's result from `numbers`, `[W, 1, 1, 1]`, without noise and with `answer` as the model."""
        kwargs = dict(self.kwargs, disable=True, extra_args={}, callback=lambda _: on_callback())
        if "noise_sampler" in inspect.signature(self.sampler).parameters:
            kwargs["noise_sampler"] = lambda *_: torch.zeros_like(numbers)
        with contextlib.ExitStack() as stack:
            for module in self.modules:
                silent = Delegate(module.torch, randn_like=lambda x, **_: torch.zeros_like(x))
                stack.enter_context(replaced(module, torch=silent))
            # UniPC shows a progress bar that cannot be switched off.
            stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
            result: Tensor = self.sampler(_RehearsedModel(model, _answer=answer), numbers, **kwargs)
        return result


class _PairModel(ModelStandIn):
    """The model of one run: it asks the real one for x alone, answers for x and x*, and counts the steps."""

    _state: tuple[Tensor, Tensor, Level, float]  # x, x*, their level and position in the last call

    def __init__(self, model: Any, pivot: Pivot, step: PivotStep, steps: Steps, twin: Twin, after: After | None) -> None:
        follow, planned = steps.follow(), len(steps.starts)
        super().__init__(model, _pivot=pivot, _step=step, _next_call=follow, _planned=planned, _twin=twin, _after=after)

    def __call__(self, pair: Tensor, number: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if not self._twin.is_pair(pair):  # reForge's ODE samplers take the frames apart
            raise NotTwinError(
                "the sampler asks the model for single frames and not for the whole video: choose another sampler"
            )
        report, step, (x, x_pivot) = self._pivot.report, self._step, pair.chunk(2)
        prediction = self._target(x, number[: len(x)], *args, **kwargs)
        # A model in half precision must not round the pivot of a sampler that computes in float32.
        prediction = prediction.to(torch.promote_types(prediction.dtype, x.dtype))
        level_number = float(number.flatten()[0])
        level, (begins_step, position) = self._pivot.level_of(level_number), self._next_call(level_number)
        report.steps += begins_step
        report.rectified += begins_step and step.correction.is_inside(position, step.num_steps)
        step.checks.prediction(prediction, report.steps, max(self._planned, report.steps))
        self.__dict__["_state"] = (x, x_pivot, level, position)
        corrected, answer = step(prediction, x, x_pivot, level, self._pivot.prediction, position)
        step.checks.settle()
        if self._after is not None and corrected is not prediction:
            corrected = self._after(corrected, x, number[: len(x)], level)
        return torch.cat([corrected, answer.to(corrected.dtype)])

    def __getattr__(self, name: str) -> Any:
        value = super().__getattr__(name)
        # CFG++ breaks the convention: it steps along this attribute, the unconditional noise, instead of the model's answer.
        if name == "last_noise_uncond" and isinstance(value, Tensor):
            x, x_pivot, level, position = self._state
            value = torch.cat(self._step(value, x, x_pivot, level, "eps", position))
            self._step.checks.settle()
        return value


class _RehearsedModel(Delegate):
    """The model of a rehearsal: attributes are read from the real one, and set on this one."""

    _answer: Callable[..., Tensor]

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        self.last_noise_uncond = self._answer(*args, **kwargs)
        return self.last_noise_uncond


def _schedule(kwargs: Mapping[str, Any]) -> tuple[tuple[float, ...], bool]:
    """The noise levels in the sampler's arguments, descending, and whether it chooses its own between two σ.

    Raises `ValueError` if there are none.
    """
    for name in ("sigmas", "sigma_sched", "timesteps"):
        if kwargs.get(name) is not None:
            levels = [float(level) for level in torch.as_tensor(kwargs[name]).flatten()]
            return tuple(sorted(levels, reverse=True)), False
    if kwargs.get("sigma_max") is not None and kwargs.get("sigma_min") is not None:
        return (float(kwargs["sigma_max"]), float(kwargs["sigma_min"])), True
    raise ValueError("the sampler has no sigmas, timesteps, or sigma_min and sigma_max: its steps are not known")

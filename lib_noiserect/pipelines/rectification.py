"""Makes a text-to-video pipeline image-to-video while a `with` block lasts: stands in for its scheduler, with the pivot."""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..core.correction import Correction
from ..core.loop import turn
from ..core.noise_levels import Level, Prediction, reference_prediction
from ..core.pivot import Report
from ..core.schedule import in_window, omega_weights
from ..core.settings import NO_FILE, Settings
from ..methods import statistics_file
from ..methods.analytic_init import Statistics
from .compatibility import check_one_prompt, check_settings, checked_prepare_latents
from .latents import Layout
from .reference import check_statistics, held_to
from .scheduler_alone import REPLACED, check_ends_at_picture, motion_dial, own, random_states, rewind, same
from .schedulers import PipelineError, progress, read, steps_of_calls
from .start_time import begin, start_late

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def rectified(
    pipe: Any,
    picture: Any,
    settings: Settings,
    *,
    mask: Any = None,
    follow_noise: bool = True,
    strength: float = 1.0,
    statistics: Statistics | Path | str | None = None,
) -> Iterator[Rectification]:
    """Inside the block the pipeline animates `picture`: its latents start as the noised picture and are rectified.

        with rectified(pipe, picture, Settings(enabled=True)) as rectification:
            frames = pipe("a sailing boat, waves", num_frames=16).frames

    The pipeline is called as ever, with every argument of its own (IP-Adapter pictures, ControlNet frames, generators).
    With `enabled` off nothing is touched. After the block the pipeline is what it was, and its scheduler was never used.

    Args:
        pipe: a text-to-video pipeline of diffusers: one that makes its noise in `prepare_latents` and calls
            `scheduler.step`.
        picture: a PIL image, a uint8 array `[H, W, 3]` or a float tensor `[3, H, W]` in [0, 1]; a list of them for a batch
            of prompts. It is resized to the clip's size, and cropped where its shape differs. Or key frames, `{0: first,
            15: last}`: pictures by the numbers of the clip's frames that are to be them. Or a `given.LatentClip`, whose
            frames are what the clip's are held to, one by one.
        settings: ω has as many entries as there are latent frames. `target_ssim` is for `target.find_motion`.
        mask: where things may move, white or 1, of the picture's shape: a PIL image or an array or tensor `[H, W]`; or
            several by the numbers of their frames, between which it changes.
        follow_noise: whether the pivot gets the sampler's fresh noise. Off is the authors' published rule, which corrects
            towards the noise of the start; the two are the same for deterministic samplers.
        strength: how much of the schedule is gone through, as denoising strength has it: its last int(N·strength) steps. With
            `settings.start_time` below 1 these are the last ones of the schedule that begins there.
        statistics: what the start is drawn from, or the file of it; None is the file that `settings.statistics` names.

    Raises:
        PipelineError: the pipeline, its scheduler or the picture cannot be rectified; or no clip was made in the block.
    """
    rectification = Rectification(pipe, picture, settings, follow_noise, mask, strength)
    if not settings.enabled:
        yield rectification
        return
    scheduler, prepare = pipe.scheduler, checked_prepare_latents(pipe)
    its_own = vars(pipe).get("prepare_latents")
    check_settings(pipe, settings)
    rectification.statistics = _loaded(statistics, settings)
    stand_in = copy.deepcopy(scheduler)
    if settings.start_time < 1.0:
        start_late(stand_in, settings.start_time)
    for name in REPLACED:
        if not hasattr(stand_in, name):  # flow matching scales nothing
            continue
        replacement = functools.partial(getattr(rectification, name), getattr(stand_in, name))
        setattr(stand_in, name, functools.update_wrapper(replacement, getattr(stand_in, name)))
    rectification.scheduler = stand_in
    check_prompts = getattr(pipe, "_check_inputs_free_noise", None)
    if settings.loop and check_prompts is not None:
        pipe._check_inputs_free_noise = functools.partial(check_one_prompt, check_prompts)
    pipe.scheduler = stand_in
    pipe.prepare_latents = functools.update_wrapper(functools.partial(rectification.prepare_latents, prepare), prepare)
    try:
        yield rectification
    finally:
        pipe.scheduler = scheduler
        vars(pipe).pop("_check_inputs_free_noise", None)
        del pipe.prepare_latents
        if its_own is not None:
            pipe.prepare_latents = its_own
    rectification.check_done()


def _loaded(statistics: Statistics | Path | str | None, settings: Settings) -> Statistics | None:
    if isinstance(statistics, Statistics):
        return statistics
    if statistics is not None:
        return statistics_file.load(statistics)
    return statistics_file.named(settings.statistics) if settings.statistics != NO_FILE else None


class Rectification:
    """What happens in one `rectified` block. `reports` has one entry for each run of the sampler.

    Attributes:
        reports: how many steps each run had, and how many of them were rectified.
        clean: z in the layout of the pipeline's latents, once they were prepared.
        reference_noise: n in the same layout: the noise that the picture was noised with. With statistics it is, once the
            schedule is known, what the start that was drawn from them makes of it.
        key_frames: the latent frames that are pictures.
        pivot: x* as it is now; after the block, the picture to the sampler's floor.
        statistics: what the start is drawn from; None is the noised picture.
    """

    def __init__(
        self, pipe: Any, picture: Any, settings: Settings, follow_noise: bool, mask: Any = None, strength: float = 1.0
    ) -> None:
        self._strength = strength
        self._pipe_scheduler: Any = getattr(pipe, "scheduler", None)
        self._pipe, self._picture, self._settings, self._follow_noise = pipe, picture, settings, follow_noise
        self._masks = None if mask is None else dict(mask) if isinstance(mask, Mapping) else {0: mask}
        self.scheduler: Any = None
        self.reports: list[Report] = []
        self.clean: Tensor | None = None
        self.reference_noise: Tensor | None = None
        self.pivot: Tensor | None = None
        self.statistics: Statistics | None = None
        self.key_frames: tuple[int, ...] = (0,)
        self._latents: Tensor | None = None
        self._layout: Layout | None = None
        self._schedule_is_set = False
        self._turned_by: int | None = None
        self._begin()

    def prepare_latents(self, original: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """The pipeline's own noise, made into the noised picture."""
        asked = inspect.signature(original).bind(*args, **kwargs)
        asked.apply_defaults()
        prepared = original(*args, **kwargs)
        height, width, frames = (int(asked.arguments[name]) for name in ("height", "width", "num_frames"))
        given = held_to(self._pipe, self._picture, self._masks, self._settings, prepared, height, width, frames)
        self.clean, self._layout, self._keys, self._mask = given
        self.key_frames = self._keys.frames
        if self._settings.omega != "motion":
            omega_weights(self._settings, self._keys)  # a list of a wrong length is refused before the model runs
        if self.statistics is not None:
            check_statistics(self._pipe, self.statistics, self._layout, self._keys, prepared)
        # Euler, LMS and their like have noise of deviation `init_noise_sigma` made: it must not be scaled twice.
        self._drawn_noise = self.reference_noise = prepared / float(getattr(self.scheduler, "init_noise_sigma", 1.0))
        self._latents = prepared.clone()
        if self._schedule_is_set:
            self._noise_the_picture()
        return self._latents

    def _planned(self, sample: Tensor, options: dict[str, Any]) -> Correction:
        """What this run does at which step; ω of the preset `motion` is known only now, with the schedule."""
        settings, dial = self._settings, None
        if settings.omega == "motion":

            def is_inside(call: int) -> bool:
                position, num_steps = self._position(call)
                return in_window(position, num_steps, settings.tau_start, settings.tau_end)

            found = motion_dial(self.scheduler, sample, is_inside, options)
            found.check(settings.motion)
            dial = found.omega
        weights = omega_weights(settings, self._keys, dial)
        omega = torch.tensor(weights, dtype=torch.float32, device=sample.device)
        if self._mask is not None:
            omega = omega.view(-1, 1, 1, 1, 1) * self._mask
        return Correction(
            settings.tau_start,
            settings.tau_end,
            omega,
            settings.pin_first_frame,
            self._keys,
            settings.release,
            settings.hold_colour,
        )

    def _position(self, call: int) -> tuple[float, int]:
        """Where a call of the model is, and the whole that τ is a fraction of: in steps, or in the model's timesteps."""
        step = self._steps[call]
        if self._settings.tau_unit == "steps":
            return step, self._num_steps
        return progress(self.scheduler, self._steps.index(step), self._pipe_scheduler.config), 1

    def scale_model_input(self, original: Callable[..., Tensor], sample: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """What the model is shown; in a loop, the clip begun at another frame each time."""
        if self._settings.loop and sample.ndim == 5:
            self._turned_by = turn(self._call, sample.shape[2])
            sample = torch.roll(sample, self._turned_by, 2)
        return original(sample, *args, **kwargs)

    def _turned_back(self, output: Tensor) -> Tensor:
        assert self._layout is not None
        if self._turned_by is None:
            raise PipelineError(
                f"loop is on and {type(self._pipe).__name__} does not call scale_model_input: switch it off"
            )
        turned = torch.roll(self._layout.frames_first(output), -self._turned_by, 0)
        self._turned_by = None
        return self._layout.as_given(turned, output)

    def set_timesteps(self, original: Callable[..., None], *args: Any, **kwargs: Any) -> None:
        original(*args, **kwargs)
        if self._settings.start_time < 1.0:
            begin(self.scheduler, self._pipe_scheduler, self._settings.start_time)
        if self._strength < 1.0:
            self._shorten()
        self._schedule_is_set = True
        self._begin()
        # LTX prepares its latents before it knows its schedule: they are changed in place then. FreeInit sets the schedule
        # again for each of its runs, with latents of its own, which this does not touch.
        if self._latents is not None:
            self._noise_the_picture()

    def _shorten(self) -> None:
        """Leave the first steps out, those that denoising strength leaves out."""
        steps = steps_of_calls(self.scheduler)
        num_steps = steps[-1] + 1
        left_out = min(num_steps - int(num_steps * self._strength + 1e-9), num_steps - 1)
        first = steps.index(left_out)
        self.scheduler.timesteps = self.scheduler.timesteps[first:]
        if hasattr(self.scheduler, "set_begin_index"):
            self.scheduler.set_begin_index(first)

    def step(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """One call of the scheduler's `step`, with the model's output rectified and the pivot moved along."""
        asked = inspect.signature(original).bind(*args, **kwargs)
        timestep, sample = asked.arguments["timestep"], asked.arguments["sample"]
        if self.clean is None:
            raise PipelineError(
                f"{type(self._pipe).__name__} took a step before it prepared latents: it cannot be rectified"
            )
        if self._call == 0:
            self._start_run(sample, asked.arguments.get("eta"))
        elif self._call >= len(self._steps):
            raise PipelineError(f"the scheduler took more than the {len(self._steps)} steps of its schedule")
        assert self.pivot is not None
        clean = self._as_stepped(self.clean, sample)
        level, prediction = read(self.scheduler, timestep)
        if not self._follow_noise:
            assert self.reference_noise is not None
            self.pivot = self._noised(clean, level, self._as_stepped(self.reference_noise, sample))
        # What the model would say at the pivot if it answered the picture: the pivot's own next step.
        at_pivot = reference_prediction(prediction, self.pivot, self.pivot, clean, level)
        output = asked.arguments["model_output"]
        if self._settings.loop:
            output = self._turned_back(output)
        asked.arguments["model_output"] = self._rectify(output, sample, clean, level, prediction)
        before = random_states(sample.device, asked.arguments.get("generator"))
        result = original(*asked.args, **asked.kwargs)
        if self._follow_noise:
            after = random_states(sample.device, asked.arguments.get("generator"))
            rewind(before)
            self._move_pivot(asked, at_pivot)
            if not same(after, random_states(sample.device, asked.arguments.get("generator"))):
                rewind(after)
                raise PipelineError(
                    f"{type(self.scheduler).__name__} draws other noise for the pivot than for the clip"
                )
        self._call += 1
        return result

    def _begin(self) -> None:
        self._call = 0
        self._steps: list[int] = []
        self._last_pred_x0: Any = None
        self._turned_by = None

    def _start_run(self, sample: Tensor, eta: float | None) -> None:
        self._steps = steps_of_calls(self.scheduler)
        self._num_steps = self._steps[-1] + 1
        self.reports.append(Report(steps=self._num_steps))
        self._rectified_steps: set[int] = set()
        self._twin = own(self.scheduler)
        check_ends_at_picture(self.scheduler, sample)
        self._plan = self._planned(sample, {} if eta is None else {"eta": eta})
        # Where the noised picture starts, and in FreeInit's later runs where the mixed latents do.
        self.pivot = sample.clone()

    def _rectify(self, output: Tensor, sample: Tensor, clean: Tensor, level: Level, prediction: Prediction) -> Tensor:
        assert self._layout is not None and self.pivot is not None
        position, num_steps = self._position(self._call)
        correct = self._plan.at(position, num_steps, begun=bool(self._rectified_steps))
        if correct is None:
            return output
        if output.shape != sample.shape:
            raise PipelineError(
                f"the model returns {tuple(output.shape)} for latents of {tuple(sample.shape)}: "
                "use a scheduler without learned variance"
            )
        reference = reference_prediction(prediction, sample, self.pivot, clean, level)
        first = self._layout.frames_first
        if self._plan.is_inside(position, num_steps):
            self._rectified_steps.add(self._steps[self._call])
            self.reports[-1].rectified = len(self._rectified_steps)
        changed = correct(first(output), first(reference))
        return self._layout.as_given(changed, output)

    def _move_pivot(self, asked: inspect.BoundArguments, at_pivot: Tensor) -> None:
        sample, output = asked.arguments["sample"], asked.arguments["model_output"]
        mine = dict(asked.arguments, model_output=at_pivot.to(output.dtype), sample=self.pivot)
        if "old_pred_original_sample" in mine:  # CogVideoX's DPM hands its last prediction round
            mine["old_pred_original_sample"] = self._last_pred_x0
        result = self._twin.step(**mine)
        self._last_pred_x0 = result[1] if "old_pred_original_sample" in mine else None
        self.pivot = result[0].to(sample.dtype)

    def _noise_the_picture(self) -> None:
        assert self._latents is not None and self.clean is not None and self.reference_noise is not None
        level, _ = read(self.scheduler, self.scheduler.timesteps[0])
        if self.statistics is not None:
            assert self._layout is not None
            first = self._layout.frames_first
            noise = self.statistics.noise(first(self.clean), first(self._drawn_noise), level, self._keys)
            self.reference_noise = self._layout.as_given(noise, self._drawn_noise)
        self._latents.copy_(self._noised(self.clean, level, self.reference_noise))

    def _noised(self, clean: Tensor, level: Level, noise: Tensor) -> Tensor:
        """a·z + s·n, computed in float32 at least."""
        exact = torch.promote_types(clean.dtype, torch.float32)
        return (level.a * clean.to(exact) + level.s * noise.to(exact)).to(clean.dtype)

    def _as_stepped(self, latents: Tensor, sample: Tensor) -> Tensor:
        """Latents in the layout of what the scheduler is given: ModelScope's gets `[B·F, C, H, W]`."""
        return latents.transpose(1, 2).flatten(0, 1) if sample.ndim == 4 else latents

    def check_done(self) -> None:
        """Raises if the block made no clip; warns of a window that no step fell into, unless it is empty on purpose."""
        if not self.reports:
            raise PipelineError("no clip was made while the pipeline was rectified: call it inside the with block")
        for report in self.reports:
            if report.rectified == 0 and self._settings.tau_start < self._settings.tau_end:
                logger.warning(
                    "τ = [%g, %g] holds none of the %d steps: the clip is the noised picture, denoised freely",
                    self._settings.tau_start,
                    self._settings.tau_end,
                    report.steps,
                )

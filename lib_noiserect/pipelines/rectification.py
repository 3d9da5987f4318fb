"""Image-to-video with a text-to-video pipeline, inside a `with` block: its scheduler is replaced by one that rectifies."""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..core.correction import Correction
from ..core.loop import turn
from ..core.noise_levels import noised, reference_prediction
from ..core.pivot import PivotStep, Report
from ..core.schedule import in_window, omega_weights
from ..core.settings import NO_FILE, Settings
from ..core.stand_in import replaced
from ..methods import statistics_file
from ..methods.analytic_init import Statistics
from . import schedulers
from .compatibility import check_one_chunk, check_one_prompt, check_settings, checked_prepare_latents
from .layout import Preparation
from .reference import check_statistics, reference_for
from .schedulers import HOOKS, PipelineError, hooked, random_states, read, rewind
from .start_time import start_late

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def rectified(
    pipe: Any,
    image: Any,
    settings: Settings,
    *,
    mask: Any = None,
    follow_noise: bool = True,
    strength: float = 1.0,
    statistics: Statistics | Path | str | None = None,
) -> Iterator[Rectification]:
    """Make the pipeline animate `image` inside the block: its latents start as the noised image and are rectified.

        with rectified(pipe, image, Settings(enabled=True)) as rectification:
            frames = pipe("a sailing boat, waves", num_frames=16).frames

    The pipeline takes all of its arguments as before (IP-Adapter images, ControlNet frames, generators). With `enabled`
    off nothing is touched. After the block the pipeline is as before, and its scheduler was not used. Raises `PipelineError`
    if the pipeline, its scheduler or the image cannot be rectified, and if the block made no video.

    Args:
        pipe: a text-to-video pipeline of diffusers, which makes its noise in `prepare_latents` and calls `scheduler.step`.
        image: a PIL image, a uint8 array `[H, W, 3]` or a float tensor `[3, H, W]` in [0, 1]; a list of them for a batch
            of prompts. It is resized to the video's size and cropped to its shape. Or keyframes, `{0: first, 15: last}`:
            images by the numbers of their frames. Or a `reference.EncodedVideo`, the reference of each frame.
        settings: ω has one entry for each latent frame. `target_ssim` must be 0: see `animation.find_motion_for`.
        mask: white or 1 where things may move, of the image's shape: a PIL image, or an array or tensor `[H, W]`; or
            several by the numbers of their frames, between which the mask changes linearly.
        follow_noise: whether the pivot gets the sampler's fresh noise. Off is the authors' published rule, which corrects
            towards the initial noise; for deterministic samplers the two are equal.
        strength: denoising strength: the last int(N·strength) steps of the schedule are taken.
        statistics: the video statistics for the initial noise, or their file; None uses the file in `settings`.
    """
    rectification = Rectification(pipe, image, settings, follow_noise, mask, strength)
    if not settings.enabled:
        yield rectification
        return
    prepare = checked_prepare_latents(pipe)
    check_settings(pipe, settings)
    schedulers.check_plain(pipe.scheduler)
    if isinstance(statistics, (Path, str)):
        statistics = statistics_file.load(statistics)
    elif statistics is None and settings.statistics != NO_FILE:
        statistics = statistics_file.named(settings.statistics)
    rectification.statistics = statistics
    stand_in = copy.deepcopy(pipe.scheduler)
    if settings.start_time < 1.0:
        start_late(stand_in, settings.start_time)
    if strength < 1.0:
        schedulers.take_last_steps(stand_in, strength)
    for name in HOOKS:
        if hasattr(stand_in, name):  # flow matching scales no input
            setattr(stand_in, name, hooked(getattr(rectification, name), getattr(stand_in, name)))
    # A pipeline copies its scheduler for other things than the video, such as LTX-2 for the audio.
    stand_in.__deepcopy__ = rectification.plain_copy
    rectification.scheduler = stand_in
    changes = {"scheduler": stand_in, "prepare_latents": hooked(rectification.prepare_latents, prepare)}
    check_prompts = getattr(pipe, "_check_inputs_free_noise", None)
    if settings.loop and check_prompts is not None:
        changes["_check_inputs_free_noise"] = functools.partial(check_one_prompt, check_prompts)
    with replaced(pipe, **changes):
        yield rectification
    if not rectification.reports:
        raise PipelineError("the rectified block made no video: call the pipeline inside it")
    for report in rectification.reports:
        if report.rectified == 0 and settings.tau_start < settings.tau_end:  # it is not empty on purpose
            logger.warning(
                "τ = [%g, %g] holds none of the %d steps: the video is the noised image, denoised freely",
                *(settings.tau_start, settings.tau_end, report.steps),
            )


class Rectification:
    """The work of one `rectified` block."""

    scheduler: Any = None
    statistics: Statistics | None = None  # for the initial noise
    x0: Tensor | None = None  # z in the layout of the pipeline's latents, once they are prepared
    reference_noise: Tensor | None = None  # n of the start, likewise; with statistics known once the schedule is set
    keyframes: tuple[int, ...] = (0,)  # the latent frames that have an image
    pivot: Tensor | None = None  # x* as it is now; after the block, the image to the sampler's floor
    _latents: Tensor | None = None
    _schedule_is_set = False
    _call = 0
    _turned_by: int | None = None

    def __init__(self, pipe: Any, image: Any, settings: Settings, follow_noise: bool, mask: Any, strength: float) -> None:
        self._pipe, self._image, self._settings, self._follow_noise = pipe, image, settings, follow_noise
        self._masks = None if mask is None else dict(mask) if isinstance(mask, Mapping) else {0: mask}
        self._strength = strength
        self._model_config = getattr(getattr(pipe, "scheduler", None), "config", None)
        self.reports: list[Report] = []  # one for each run of the sampler

    def prepare_latents(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """The noised image, made of the pipeline's own noise; with it the conditions that some pipelines return."""
        if self._latents is not None:
            raise PipelineError(
                f"{type(self._pipe).__name__} prepares latents a second time: make one video in each block, "
                "of as few frames as it makes at once"
            )
        preparation = Preparation(original, *args, **kwargs)
        prepared, values = preparation.latents, preparation.arguments
        frames = int(values["num_frames" if "num_frames" in values else "video_length"])
        check_one_chunk(self._pipe, frames, inspect.currentframe())
        reference, layout = reference_for(self._pipe, self._image, self._masks, self._settings, frames, preparation)
        self._reference, self._layout = reference, layout
        self.x0, self.keyframes = layout.restore(reference.x0, prepared), reference.keyframes.frames
        if self._settings.omega != "motion":
            omega_weights(self._settings, reference.keyframes)  # refuses a list of a wrong length before the model runs
        if self.statistics is not None:
            check_statistics(self._pipe, self.statistics, layout, reference)
        # Euler, LMS and the like get noise of deviation `init_noise_sigma`, and must not scale it twice.
        self._drawn_noise = layout.frames_first(prepared / float(getattr(self.scheduler, "init_noise_sigma", 1.0)))
        self._noise, self.reference_noise = self._drawn_noise, layout.restore(self._drawn_noise, prepared)
        self._latents = prepared.clone()
        self._noise_the_image()
        return preparation.result(self._latents)

    def set_timesteps(self, original: Callable[..., None], *args: Any, **kwargs: Any) -> None:
        original(*args, **kwargs)
        self._schedule_is_set, self._call = True, 0
        # LTX prepares its latents before the schedule: they are changed in place now. FreeInit sets the schedule again for
        # each of its runs, whose latents are other tensors.
        self._noise_the_image()

    def scale_model_input(self, original: Callable[..., Tensor], sample: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """The model's input; in a loop, each call starts the video at another frame."""
        if self._settings.loop and sample.ndim == 5:
            self._turned_by = turn(self._call, sample.shape[2])
            sample = torch.roll(sample, self._turned_by, 2)
        return original(sample, *args, **kwargs)

    def step(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """One call of the scheduler's `step` with the corrected model output; the pivot takes the same step."""
        call = inspect.signature(original).bind(*args, **kwargs)
        values = call.arguments
        sample, output = values["sample"], values["model_output"]
        if self.x0 is None:
            raise PipelineError(f"{type(self._pipe).__name__} took a step before it prepared latents: it cannot be rectified")
        is_x0 = values.get("pred_original_sample") is not None
        if type(self._pipe).__name__.startswith("Cosmos") and not is_x0:
            return original(*args, **kwargs)  # Cosmos takes no step with this call: it asks for x0, guides it, and steps then
        if not self._layout.is_whole(sample, self._reference.x0):
            raise PipelineError(
                f"{type(self._pipe).__name__} denoises latents of {tuple(sample.shape)} for {self._layout.frames} latent "
                "frames: use a pipeline that denoises all frames of the video at once"
            )
        if output.shape != sample.shape:
            raise PipelineError(
                f"the model returns {tuple(output.shape)} for latents of {tuple(sample.shape)}: "
                "use a scheduler without learned variance"
            )
        if self._call == 0:
            self._start_run(sample, {} if values.get("eta") is None else {"eta": values["eta"]})
        elif self._call >= len(self._steps):
            raise PipelineError(f"the scheduler took more than the {len(self._steps)} steps of its schedule")
        self._pivot_step.checks.prediction(output, self._steps[self._call] + 1, self.reports[-1].steps)
        corrected, at_pivot = self._corrected(output, sample, values["timestep"], is_x0)
        values["model_output"] = corrected
        if is_x0:
            values["pred_original_sample"] = corrected
        states = functools.partial(random_states, sample.device, values.get("generator"))
        before = states()
        result = original(*call.args, **call.kwargs)
        if self._follow_noise:
            after = states()
            rewind(before)
            self._move_pivot(values, at_pivot)
            if not all(torch.equal(state, other) for (_, state), (_, other) in zip(after, states())):
                rewind(after)
                raise PipelineError(
                    f"{type(self.scheduler).__name__} draws other noise for the pivot than for the video: "
                    "use another scheduler"
                )
        self._pivot_step.checks.settle()
        self._call += 1
        return result

    def plain_copy(self, memo: Any) -> Any:
        """A copy of the scheduler that rectifies nothing, for what the pipeline denoises beside the video."""
        if self._settings.start_time < 1.0 or self._strength < 1.0:
            option = "strength" if self._strength < 1.0 else "start_time"
            raise PipelineError(
                f"{type(self._pipe).__name__} denoises more than the video on the same timesteps: leave {option} at 1"
            )
        return schedulers.unhooked_copy(self.scheduler)

    def _start_run(self, sample: Tensor, options: Mapping[str, Any]) -> None:
        settings, scheduler = self._settings, self.scheduler
        schedulers.check_ends_at_x0(scheduler, sample)
        self._twin, self._last_pred_x0 = schedulers.unhooked_copy(scheduler), None
        self._steps = steps = schedulers.steps_of_calls(scheduler)
        num_steps = steps[-1] + 1
        self.reports.append(Report(num_steps))
        # The place of each call in the schedule: its step, or its progress in [0, 1).
        self._positions: Sequence[float] = steps
        if settings.tau_unit != "steps":
            num_steps = 1
            self._positions = [schedulers.progress(scheduler, steps.index(step), self._model_config) for step in steps]
        inside = [in_window(position, num_steps, settings.tau_start, settings.tau_end) for position in self._positions]
        find_dial = functools.partial(schedulers.motion_dial, scheduler, sample, inside, options)
        correction = Correction.of(settings, self._reference, find_dial)
        self._pivot_step = PivotStep(self._reference.x0, correction, num_steps, self._follow_noise)
        # Both start as the noised image, and in FreeInit's later runs as the mixed latents.
        self.pivot = sample.clone()

    def _corrected(self, output: Tensor, sample: Tensor, timestep: Any, is_x0: bool) -> tuple[Tensor, Tensor]:
        """The corrected model output, and the output at the pivot, both in the layout of `output`."""
        assert self.pivot is not None
        layout, reference = self._layout, self._reference
        level, kind = read(self.scheduler, timestep)
        kind = "x0" if is_x0 else kind
        prediction, x, pivot = (layout.frames_first(value) for value in (output, sample, self.pivot))
        steps_all = len(x) == layout.frames
        if not self._follow_noise:
            pivot = noised(reference.x0, self._noise, level).to(sample.dtype)
            pivot = pivot if steps_all else pivot[layout.kept :]
            self.pivot = layout.restore(pivot, sample)
        if layout.kept:  # those frames have no gap: they stand for frames whose noise the model predicts exactly
            held = noised(reference.x0[: layout.kept], self._noise[: layout.kept], level).to(x.dtype)
            answer = reference_prediction(kind, held, held, reference.x0[: layout.kept], level).to(output.dtype)
            moving = layout.kept - layout.frames
            x, pivot = (torch.cat([held, value[moving:]]) for value in (x, pivot))
            prediction = torch.cat([answer, prediction[moving:]])
        if self._settings.loop:
            if self._turned_by is None:
                name = type(self._pipe).__name__
                raise PipelineError(f"loop is on and {name} does not call scale_model_input: switch it off")
            prediction, self._turned_by = torch.roll(prediction, -self._turned_by, 0), None
        position, pivot_step = self._positions[self._call], self._pivot_step
        begins_step = self._steps.index(self._steps[self._call]) == self._call
        self.reports[-1].rectified += begins_step and pivot_step.correction.is_inside(position, pivot_step.num_steps)
        corrected = pivot_step(prediction, x, pivot, level, kind, position)
        first = 0 if steps_all else layout.kept
        return layout.restore(corrected[0][first:], output), layout.restore(corrected[1][first:], output)

    def _move_pivot(self, values: Mapping[str, Any], output: Tensor) -> None:
        call = dict(values, model_output=output, sample=self.pivot)
        if call.get("pred_original_sample") is not None:
            call["pred_original_sample"] = output
        if "old_pred_original_sample" in call:  # CogVideoX's DPM
            call["old_pred_original_sample"] = self._last_pred_x0
        result = self._twin.step(**call)
        self.pivot, self._last_pred_x0 = result[0].to(values["sample"].dtype), result[-1]

    def _noise_the_image(self) -> None:
        """Write the noised image into the latents, once they and the schedule are known."""
        if self._latents is None or not self._schedule_is_set:
            return
        level, _ = read(self.scheduler, self.scheduler.timesteps[0])
        layout, reference = self._layout, self._reference
        if self.statistics is not None:
            self._noise = self.statistics.noise(reference.x0, self._drawn_noise, level, reference.keyframes)
            self.reference_noise = layout.restore(self._noise, self._latents)
        start = noised(reference.x0, self._noise, level)
        layout.frames_first(self._latents)[layout.kept :].copy_(start[layout.kept :])

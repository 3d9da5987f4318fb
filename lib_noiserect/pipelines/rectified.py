"""Makes a text-to-video pipeline image-to-video while a `with` block lasts: stands in for its scheduler, with the pivot."""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from ..interpolate import interpolate
from ..keyframes import KeyFrames
from ..pivot import Report
from ..plan import Plan
from ..schedule import omega_weights
from ..settings import Settings
from ..spaces import Level, Prediction, reference_prediction
from .latents import Layout, encode, in_layout, layout_of, preprocess
from .levels import PipelineError, read, steps_of_calls

logger = logging.getLogger(__name__)

# What may be missing of the picture, and left of the noise, where a sampler ends: at its last level, which some with few
# steps have far above zero.
_FLOOR = 0.5


@contextlib.contextmanager
def rectified(pipe: Any, picture: Any, settings: Settings, *, follow_noise: bool = True) -> Iterator[Rectification]:
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
            15: last}`: pictures by the numbers of the clip's frames that are to be them.
        settings: ω has as many entries as there are latent frames.
        follow_noise: whether the pivot gets the sampler's fresh noise. Off is the authors' published rule, which corrects
            towards the noise of the start; the two are the same for deterministic samplers.

    Raises:
        PipelineError: the pipeline, its scheduler or the picture cannot be rectified; or no clip was made in the block.
    """
    rectification = Rectification(pipe, picture, settings, follow_noise)
    if not settings.enabled:
        yield rectification
        return
    scheduler, prepare = pipe.scheduler, _prepare_latents(pipe)
    stand_in = copy.deepcopy(scheduler)
    for name in _REPLACED:
        replacement = functools.partial(getattr(rectification, name), getattr(stand_in, name))
        setattr(stand_in, name, functools.update_wrapper(replacement, getattr(stand_in, name)))
    rectification.scheduler = stand_in
    pipe.scheduler = stand_in
    pipe.prepare_latents = functools.update_wrapper(functools.partial(rectification.prepare_latents, prepare), prepare)
    try:
        yield rectification
    finally:
        pipe.scheduler = scheduler
        del pipe.prepare_latents
    rectification.check_done()


_REPLACED = ("set_timesteps", "step")


def _prepare_latents(pipe: Any) -> Callable[..., Tensor]:
    name = type(pipe).__name__
    prepare = getattr(pipe, "prepare_latents", None)
    if prepare is None or not hasattr(getattr(pipe, "scheduler", None), "step") or not hasattr(pipe, "vae"):
        raise PipelineError(
            f"{name} has no prepare_latents, scheduler and VAE: use a text-to-video pipeline of diffusers"
        )
    names = inspect.signature(prepare).parameters
    if not {"num_frames", "height", "width"} <= set(names) or {"video", "image"} & set(names):
        raise PipelineError(f"{name} is not a text-to-video pipeline: use its text-to-video sibling")
    return prepare  # type: ignore[no-any-return]


class Rectification:
    """What happens in one `rectified` block. `reports` has one entry for each run of the sampler.

    Attributes:
        reports: how many steps each run had, and how many of them were rectified.
        clean: z in the layout of the pipeline's latents, once they were prepared.
        reference_noise: n in the same layout: the noise that the picture was noised with.
        key_frames: the latent frames that are pictures.
        pivot: x* as it is now; after the block, the picture to the sampler's floor.
    """

    def __init__(self, pipe: Any, picture: Any, settings: Settings, follow_noise: bool) -> None:
        self._pipe, self._picture, self._settings, self._follow_noise = pipe, picture, settings, follow_noise
        self.scheduler: Any = None
        self.reports: list[Report] = []
        self.clean: Tensor | None = None
        self.reference_noise: Tensor | None = None
        self.pivot: Tensor | None = None
        self.key_frames: tuple[int, ...] = (0,)
        self._latents: Tensor | None = None
        self._layout: Layout | None = None
        self._schedule_is_set = False
        self._begin()

    def prepare_latents(self, original: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """The pipeline's own noise, made into the noised picture."""
        asked = inspect.signature(original).bind(*args, **kwargs)
        asked.apply_defaults()
        prepared = original(*args, **kwargs)
        height, width, frames = (int(asked.arguments[name]) for name in ("height", "width", "num_frames"))
        pictures = dict(sorted(self._picture.items())) if isinstance(self._picture, Mapping) else {0: self._picture}
        KeyFrames(tuple(pictures), frames)  # refuses what is not in the clip, before anything is encoded
        with torch.no_grad():
            stills = [
                encode(self._pipe.vae, preprocess(picture, height, width).to(prepared.device), frames)
                for picture in pictures.values()
            ]
        self._layout = layout_of(self._pipe, prepared, stills[0])
        given = [in_layout(self._pipe, still, prepared, self._layout) for still in stills]
        if isinstance(self._picture, Mapping):
            keys = self._layout.key_frames(list(pictures), frames, stills[0].shape[2], self._settings.loop)
            first = torch.stack([self._layout.frames_first(still) for still in given])
            # Each clip of a batch turns by an angle of its own.
            clean = torch.stack([interpolate(keys, one) for one in first.unbind(2)], dim=1)
            self.clean = self._layout.as_given(clean, given[0])
            self.key_frames = keys.frames
        else:
            self.clean = given[0]
            keys = KeyFrames((0,), self._layout.frames, self._settings.loop)
        settings, weights = self._settings, omega_weights(self._settings, keys)
        omega = torch.tensor(weights, dtype=torch.float32, device=prepared.device)
        self._plan = Plan(settings.tau_start, settings.tau_end, omega, settings.pin_first_frame, keys, settings.release)
        # Euler, LMS and their like have noise of deviation `init_noise_sigma` made: it must not be scaled twice.
        self.reference_noise = prepared / float(getattr(self.scheduler, "init_noise_sigma", 1.0))
        self._latents = prepared.clone()
        if self._schedule_is_set:
            self._noise_the_picture()
        return self._latents

    def set_timesteps(self, original: Callable[..., None], *args: Any, **kwargs: Any) -> None:
        original(*args, **kwargs)
        self._schedule_is_set = True
        self._begin()
        # LTX prepares its latents before it knows its schedule: they are changed in place then. FreeInit sets the schedule
        # again for each of its runs, with latents of its own, which this does not touch.
        if self._latents is not None:
            self._noise_the_picture()

    def step(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """One call of the scheduler's `step`, with the model's output rectified and the pivot moved along."""
        asked = inspect.signature(original).bind(*args, **kwargs)
        timestep, sample = asked.arguments["timestep"], asked.arguments["sample"]
        if self.clean is None:
            raise PipelineError(
                f"{type(self._pipe).__name__} took a step before it prepared latents: it cannot be rectified"
            )
        if self._call == 0:
            self._start_run(sample)
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
        asked.arguments["model_output"] = self._rectify(output, sample, clean, level, prediction)
        before = _random_states(sample.device, asked.arguments.get("generator"))
        result = original(*asked.args, **asked.kwargs)
        if self._follow_noise:
            after = _random_states(sample.device, asked.arguments.get("generator"))
            _rewind(before)
            self._move_pivot(asked, at_pivot)
            if not _same(after, _random_states(sample.device, asked.arguments.get("generator"))):
                _rewind(after)
                raise PipelineError(
                    f"{type(self.scheduler).__name__} draws other noise for the pivot than for the clip"
                )
        self._call += 1
        return result

    def _begin(self) -> None:
        self._call = 0
        self._steps: list[int] = []
        self._last_pred_x0: Any = None

    def _start_run(self, sample: Tensor) -> None:
        self._steps = steps_of_calls(self.scheduler)
        self._num_steps = self._steps[-1] + 1
        self.reports.append(Report(steps=self._num_steps))
        self._rectified_steps: set[int] = set()
        self._twin = _own(self.scheduler)
        self._rehearse(sample)
        # Where the noised picture starts, and in FreeInit's later runs where the mixed latents do.
        self.pivot = sample.clone()

    def _rectify(self, output: Tensor, sample: Tensor, clean: Tensor, level: Level, prediction: Prediction) -> Tensor:
        assert self._layout is not None and self.pivot is not None
        step = self._steps[self._call]
        correct = self._plan.correction(step, self._num_steps, begun=bool(self._rectified_steps))
        if correct is None:
            return output
        if output.shape != sample.shape:
            raise PipelineError(
                f"the model returns {tuple(output.shape)} for latents of {tuple(sample.shape)}: "
                "use a scheduler without learned variance"
            )
        reference = reference_prediction(prediction, sample, self.pivot, clean, level)
        first = self._layout.frames_first
        if self._plan.is_inside(step, self._num_steps):
            self._rectified_steps.add(step)
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
        self._latents.copy_(self._noised(self.clean, level, self.reference_noise))

    def _noised(self, clean: Tensor, level: Level, noise: Tensor) -> Tensor:
        """a·z + s·n, computed in float32 at least."""
        exact = torch.promote_types(clean.dtype, torch.float32)
        return (level.a * clean.to(exact) + level.s * noise.to(exact)).to(clean.dtype)

    def _as_stepped(self, latents: Tensor, sample: Tensor) -> Tensor:
        """Latents in the layout of what the scheduler is given: ModelScope's gets `[B·F, C, H, W]`."""
        return latents.transpose(1, 2).flatten(0, 1) if sample.ndim == 4 else latents

    def _rehearse(self, sample: Tensor) -> None:
        """Runs the pivot alone, before the model is called again: it must end as the picture, or the result would be noise.

        Raises:
            PipelineError: it does not; usually since the scheduler clips latents.
        """
        timesteps = self.scheduler.timesteps
        dtype = torch.promote_types(sample.dtype, torch.float32)
        clean = torch.linspace(-4, 4, 64, dtype=dtype, device=sample.device)
        clean = clean.view(1, 64, *[1] * (sample.ndim - 2))
        states = _random_states(sample.device, None)
        try:
            twin = _own(self._twin)
            start, _ = read(twin, timesteps[0])
            x = start.a * clean + start.s * torch.randn_like(clean)
            previous = None
            names = inspect.signature(twin.step).parameters
            for index, timestep in enumerate(timesteps):
                level, prediction = read(twin, timestep)
                answer = reference_prediction(prediction, x, x, clean, level)
                asked = {"model_output": answer, "timestep": timestep, "sample": x}
                if "old_pred_original_sample" in names:
                    asked["old_pred_original_sample"] = previous
                    asked["timestep_back"] = timesteps[index - 1] if index else None
                result = twin.step(**asked, return_dict=False)
                x, previous = result[0], result[-1]
        finally:
            _rewind(states)
        share = float((x * clean).sum() / clean.square().sum())
        noise = float((x - share * clean).square().mean().sqrt())
        if not (abs(share - 1) <= _FLOOR and noise <= _FLOOR):
            config = self.scheduler.config
            clips = [name for name in ("clip_sample", "thresholding") if config.get(name)]
            advice = f"set its {' and '.join(clips)} to False, which latents need" if clips else "use another scheduler"
            raise PipelineError(
                f"{type(self.scheduler).__name__} does not end at the picture when the model always answers the picture "
                f"(it ends with {share:.2f} of it and {noise:.2f} of noise): {advice}"
            )

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


def _own(scheduler: Any) -> Any:
    """A copy of a scheduler, state included, that has its own methods again."""
    own = copy.copy(scheduler)
    for name in _REPLACED:
        own.__dict__.pop(name, None)
    return copy.deepcopy(own)


def _random_states(device: torch.device, generator: Any) -> list[tuple[torch.Generator, Tensor]]:
    """The generators that a scheduler may draw from, with their states: those it is given, and the global ones."""
    given = generator if isinstance(generator, (list, tuple)) else [generator]
    generators = [one for one in given if one is not None] + [torch.default_generator]
    if device.type == "cuda":
        generators.append(torch.cuda.default_generators[device.index or 0])
    elif device.type == "mps":
        generators.append(torch.mps._get_default_mps_generator())
    return [(one, one.get_state()) for one in generators]


def _rewind(states: list[tuple[torch.Generator, Tensor]]) -> None:
    for generator, state in states:
        generator.set_state(state)


def _same(left: list[tuple[torch.Generator, Tensor]], right: list[tuple[torch.Generator, Tensor]]) -> bool:
    return all(torch.equal(one, other) for (_, one), (_, other) in zip(left, right, strict=True))

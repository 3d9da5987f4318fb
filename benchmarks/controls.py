"""What each control does to a video: experiments on held-out scenes of the built-in model's world, for docs/control.md."""

from __future__ import annotations

import argparse
import functools
import itertools
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lib_noiserect.core.settings import Settings
from lib_noiserect.evaluation import trials
from lib_noiserect.evaluation.model import Model
from lib_noiserect.evaluation.trials import Outcome, Plan, Results
from lib_noiserect.media.metrics import Pixels, color_drift_per_frame, motion, ssim_per_frame
from lib_noiserect.pipelines.animation import animate, find_motion_for
from lib_noiserect.pipelines.schedulers import progress
from lib_noiserect.tiny.world import Scenes, pixels_of

from .long_videos import CONTEXT, FREENOISE, FRESH, LONG, REPEATED, SHORT, made_in

SEED, MOST_IMAGES = 4242, 32
SAMPLERS, STEPS, AMOUNTS = ("ddim", "dpm++ 2m karras", "euler a"), (15, 25, 50), (0.25, 0.5, 0.75)
WHOLE, HALF = "ω = 1", "ω = 0.5, τ = 0.6"
"""The dial's cases besides its amounts."""
FREE = Settings(tau_end=1.0, omega="constant", omega_start=1.0)
LONG_STEPS = 12
NOISING, AUTHORS, CONSTANT = "noising", "authors, τ = 0.6", "ω = 0.5, τ = 1"
"""The settings of long videos."""


@dataclass(frozen=True)
class Case:
    """One setting of a control. `labels` name it in the table and, joined, in the results."""

    labels: tuple[str, ...]
    settings: Settings = Settings()
    steps: int = 15
    sampler: str = "ddim"
    frames: int = CONTEXT
    method: str = "pivot"

    @property
    def name(self) -> str:
        return " | ".join(self.labels)


def _on(switch: bool) -> str:
    return "on" if switch else "off"


_DIAL = {WHOLE: FREE, HALF: replace(FREE, omega_start=0.5, tau_end=0.6)} | {
    f"{amount:g}": replace(FREE, omega="motion", motion=amount) for amount in AMOUNTS
}
_LONG_SETTINGS = {NOISING: Settings(), AUTHORS: Settings(), CONSTANT: replace(FREE, omega_start=0.5)}
CONTROLS: dict[str, list[Case]] = {
    "dial": [
        Case((sampler, f"{steps}", name), settings, steps, sampler)
        for sampler, steps in itertools.product(SAMPLERS, STEPS)
        for name, settings in _DIAL.items()
    ],
    "levels": [
        Case((sampler, f"{steps}", unit), Settings(tau_unit=unit), steps, sampler)
        for sampler, steps, unit in itertools.product(SAMPLERS[:2], STEPS, ("steps", "noise level"))
    ],
    "loop": [
        Case((f"{end:g}", omega, _on(loop)), replace(FREE, tau_end=end, omega=omega, loop=loop))
        for end, omega, loop in itertools.product((1.0, 0.6), ("constant", "authors"), (False, True))
    ],
    "release": [
        Case((f"{end:g}", f"{release:g}"), Settings(tau_end=end, pin_first_frame=True, release=release))
        for end, release in itertools.product((0.4, 0.6), (0.0, 0.2, 0.4))
    ],
    "keys": [
        Case((f"{end:g}", way), Settings(tau_end=end, interpolation=way))
        for end, way in itertools.product((1.0, 0.6), ("slerp", "hold"))
    ],
    "mask": [
        Case(("no mask",), FREE),
        *(Case((f"blur {blur:g}",), replace(FREE, mask_feather=blur)) for blur in (0.0, 1.0, 2.0)),
    ],
    "color": [
        Case((f"{end:g}", _on(hold)), Settings(tau_end=end, hold_colour=hold))
        for end, hold in itertools.product((0.2, 0.4, 0.6), (False, True))
    ],
    "target": [Case(("0.85",), Settings(tau_end=1.0, target_ssim=0.85), 25)],
    "long": [
        Case((way, name), settings, LONG_STEPS, "ddim", CONTEXT if way == SHORT else LONG, method)
        for way in (SHORT, REPEATED, FRESH, FREENOISE)
        for name, settings in _LONG_SETTINGS.items()
        for method in ("noising" if name == NOISING else "pivot",)
    ],
}
"""The cases by the control's name."""
_IMAGES, _OTHER_NUMBERS = 6, {"dial": 8, "levels": 3, "target": 4}
"""The images of each control: about an hour of two cores in all."""
EXPERIMENTS = tuple(CONTROLS)


@dataclass(frozen=True)
class Trial(trials.Trial):
    """One video. `case` is a `Case.name` of the control, `picture` the number of the scene and the seed of the noise."""

    experiment: str
    case: str
    picture: int

    @property
    def job(self) -> Hashable:
        """The masks of an image share the video in which nothing moves."""
        return (self.experiment, self.picture) if self.experiment == "mask" else self


def plan(names: Sequence[str], arguments: argparse.Namespace, model: Model, results: Results) -> Plan[Trial]:
    """The trials of the controls, on at most `--pictures` images each, and what computes them."""
    model.check_folder(results.folder)
    wanted = [
        Trial(name, case.name, image)
        for name in names
        for image in range(min(arguments.pictures, _OTHER_NUMBERS.get(name, _IMAGES)))
        for case in CONTROLS[name]
    ]
    return wanted, lambda job: functools.partial(_measured, model, job)


def _measured(model: Model, job: Sequence[Trial]) -> list[Outcome]:
    return [Outcome(measured(model, case_of(trial), trial.experiment, trial.picture)) for trial in job]


def case_of(trial: Trial) -> Case:
    """The case that a trial names."""
    return next(case for case in CONTROLS[trial.experiment] if case.name == trial.case)


def measured(model: Model, case: Case, control: str, number: int) -> dict[str, Any]:
    """The figures of a case on one image."""
    if control == "target":
        return _target_figures(model, case, number)
    scenes, images, ends = world()
    video = _made(model, case, control, number)
    figures = video_figures(video, images[number])
    if control == "keys":
        figures["ssim_last"] = float(ssim_per_frame(video[-2:], ends[number])[1])
    elif control == "levels":
        figures["covered"] = _covered(model, case)
    elif case.labels[-1] == WHOLE:
        figures |= {f"blend {amount:g}": motion(blended(video, amount)) for amount in AMOUNTS}
    elif control == "mask":
        figures |= _mask_figures(video, _still(model, number), number)
    return figures


@functools.cache
def world() -> tuple[Scenes, NDArray[np.uint8], NDArray[np.uint8]]:
    """The scenes, and their images at the first frame and at the last."""
    scenes = Scenes.draw(MOST_IMAGES, seed=SEED, held_out_captions=True)
    first, last = (pixels_of(scenes.render(torch.full((1,), at))[:, 0]) for at in (0.0, 1.0))
    return scenes, first, last


def _made(model: Model, case: Case, control: str, number: int) -> Pixels:
    scenes, images, ends = world()
    more: dict[str, Any] = {"key_frames": {15: ends[number]}} if control == "keys" else {}
    if control == "mask" and case.labels[-1] != "no mask":
        more["mask"] = _half(number)[0]
    with model.pipeline(case.sampler) as pipe, made_in(pipe, case.labels[0]):
        video, _ = animate(
            pipe,
            images[number],
            scenes.captions[number],
            case.settings,
            method=case.method,
            steps=case.steps,
            frames=case.frames,
            seed=number,
            **more,
        )
    return video


def video_figures(video: Pixels, image: Pixels) -> dict[str, Any]:
    """The figures of a video `[F, H, W, 3]`; changes are mean absolute differences, in 255ths or by the mean step's."""
    values = video.astype(float)
    steps = np.abs(np.diff(values, axis=0)).mean((1, 2, 3))
    ssim, quarter = ssim_per_frame(video, image), max(len(video) // 4, 1)
    return {
        "ssim": float(ssim.mean()),
        "ssim_first": float(ssim[0]),
        "ssim_quarters": float(ssim[-quarter:].mean() / ssim[:quarter].mean()),
        "frames": [round(float(value), 4) for value in ssim],
        "motion": motion(video),
        "change": float(np.abs(values[1:] - values[:1]).mean()),
        "closing": float(np.abs(values[-1] - values[0]).mean() / steps.mean()),
        "first_step": float(steps[0] / steps.mean()),
        "last_step": float(steps[-1] / steps.mean()),
        "largest_step": float(steps.max() / steps.mean()),
        "drift": float(color_drift_per_frame(video, image).mean()),
    }


def blended(video: Pixels, share: float) -> Pixels:
    """The video with that share of its change from the first frame, pixel by pixel."""
    first = video[:1].astype(float)
    values: Pixels = (first + share * (video - first)).round().astype(np.uint8)
    return values


def _covered(model: Model, case: Case) -> float:
    """The place of the first free step after τ in the model's timesteps, from 0 at the noise to 1."""
    with model.pipeline(case.sampler) as pipe:
        pipe.scheduler.set_timesteps(case.steps)
        places = [progress(pipe.scheduler, call) for call in range(case.steps)]
    by_steps = case.settings.tau_unit == "steps"
    return next(place for index, place in enumerate(places) if (index / case.steps if by_steps else place) >= 0.6 - 1e-6)


@functools.lru_cache(maxsize=1)
def _still(model: Model, number: int) -> Pixels:
    return _made(model, Case(("still",), replace(FREE, omega="frozen")), "", number)


def _half(number: int) -> tuple[NDArray[np.uint8], bool, bool]:
    """A mask of the half of the image that the creature crosses, whether it is a right or left one, and the second one."""
    scenes, _, _ = world()
    upright = int(scenes.direction[number]) >= 2  # moving up or down, the creature stays in a left or a right half
    second = bool(scenes.centres(torch.tensor([0.5]))[number, 0, 0 if upright else 1] > 32)
    mask = np.zeros((64, 64), dtype=np.uint8)
    mask[32 if second else 0 : 64 if second else 32] = 255
    return mask.T if upright else mask, upright, second


def _mask_figures(video: Pixels, still: Pixels, number: int) -> dict[str, float]:
    """The figures inside of the mask, and outside, at least 8 pixels from the border."""
    _, upright, second = _half(number)

    def turned(frames: Pixels) -> Pixels:  # so that the border is between rows
        return np.ascontiguousarray(frames.swapaxes(1, 2)) if upright else frames

    video, still, image = (turned(frames) for frames in (video, still, world()[1][number][None]))
    inside, far, border = (slice(32 * second, 32 + 32 * second), slice(40 * (not second), 64 - 40 * second), slice(30, 33))
    moved = np.abs(video.astype(float) - still)
    seam, own_seam = (np.abs(np.diff(frames.astype(float), axis=1))[:, border] for frames in (video[1:], image))
    return {
        "ssim_outside": float(ssim_per_frame(video[:, far], image[0, far]).mean()),
        "largest_outside": float(moved[:, far].max()),
        "change_inside": float(moved[1:, inside].mean()),
        "seam": float(seam.mean() / own_seam.mean()),
    }


def _target_figures(model: Model, case: Case, number: int) -> dict[str, float]:
    scenes, images, _ = world()
    began = time.perf_counter()
    with model.pipeline(case.sampler) as pipe:
        found = find_motion_for(pipe, images[number], scenes.captions[number], case.settings, steps=case.steps, seed=number)
    searched = time.perf_counter()
    video = _made(model, replace(case, settings=found.settings), "target", number)
    ended = time.perf_counter()
    assert found.checked is not None
    return {
        "ssim": float(ssim_per_frame(video, images[number]).mean()),
        "uncorrected": found.checked.ssim,
        "amount": found.settings.motion,
        "probes": float(len(found.probes)),
        "time": (searched - began) / (ended - searched),
    }

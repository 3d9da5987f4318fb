"""The measurements of single controls, each of one picture."""

from __future__ import annotations

import copy
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lib_noiserect.core.settings import Settings
from lib_noiserect.media.metrics import colour_drift_per_frame, motion, ssim_per_frame
from lib_noiserect.pipelines import animation as animating
from lib_noiserect.pipelines.schedulers import progress

from .clips import FREE, NUMBERS, SAMPLERS, STEPS, Clip, Figures, change, jumps, made, pipeline, similarity, world


def dial(steps: int, picture: int) -> Figures:
    found = {}
    cases = {"whole": FREE, "ω = 0.5": replace(FREE, omega_start=0.5, tau_end=0.6)}
    cases |= {str(number): replace(FREE, omega="motion", motion=number) for number in NUMBERS}
    for sampler in SAMPLERS:
        for name, settings in cases.items():
            clip = made(picture, settings, steps, sampler)
            found |= {f"{sampler}|{name}|change": change(clip), f"{sampler}|{name}|flow": motion(clip)}
            if name == "whole":
                found |= {f"{sampler}|{number}|blend": motion(blended(clip, number)) for number in NUMBERS}
    return found


def blended(clip: Clip, share: float) -> Clip:
    """The clip with that share of its change from the first frame, pixel by pixel."""
    first = clip[:1].astype(float)
    return (first + share * (clip - first)).round().astype(np.uint8)


def loop(picture: int) -> Figures:
    found = {}
    for tau_end in (1.0, 0.6):
        for omega in ("constant", "authors"):
            for on in (False, True):
                clip = made(picture, replace(FREE, tau_end=tau_end, omega=omega, loop=on))
                closing = float(np.abs(clip[-1].astype(float) - clip[0]).mean())
                case = f"{tau_end}|{omega}|{on}"
                found |= {f"{case}|ratio": closing / jumps(clip).mean(), f"{case}|motion": motion(clip)}
                found |= {f"{case}|ssim": similarity(clip, picture)}
    return found


def release(picture: int) -> Figures:
    found = {}
    for tau_end in (0.4, 0.6):
        for over in (0.0, 0.2, 0.4):
            clip = made(picture, Settings(tau_end=tau_end, pin_first_frame=True, release=over))
            case, each = f"{tau_end}|{over}", jumps(clip)
            found |= {f"{case}|ratio": each[0] / each.mean(), f"{case}|motion": motion(clip)}
            found |= {f"{case}|ssim": similarity(clip, picture)}
    return found


def keys(picture: int) -> Figures:
    found = {}
    _, first, last = world()
    for tau_end in (1.0, 0.6):
        for way in ("slerp", "hold"):
            settings = Settings(tau_end=tau_end, interpolation=way)
            clip, case = made(picture, settings, key_frames={15: last[picture]}), f"{tau_end}|{way}"
            each = jumps(clip)
            found |= {f"{case}|first": float(ssim_per_frame(clip[:2], first[picture])[0])}
            found |= {f"{case}|last": float(ssim_per_frame(clip[-2:], last[picture])[1])}
            found |= {f"{case}|{name}": float(value / each.mean()) for name, value in _named(each).items()}
            found |= {f"{case}|motion": motion(clip)}
    return found


def _named(each: NDArray[np.float64]) -> dict[str, float]:
    return {"into": each[-1], "largest": each.max()}


def mask(picture: int) -> Figures:
    """The half of the picture that the creature crosses may move; what is measured of the rest stays 8 pixels away."""
    scenes, pictures, _ = world()
    across = 1 if float(scenes.centres(torch.tensor([0.5]))[picture, 0, 1]) > 32 else 0
    sideways = int(scenes.direction[picture]) < 2  # left and right: the creature stays in an upper or a lower half
    axis = 0 if sideways else 1
    if not sideways:
        across = 1 if float(scenes.centres(torch.tensor([0.5]))[picture, 0, 0]) > 32 else 0
    may_move = np.zeros((64, 64), dtype=np.uint8)
    inside = slice(32, 64) if across else slice(0, 32)
    may_move[(inside, slice(None)) if axis == 0 else (slice(None), inside)] = 255
    far = slice(0, 24) if across else slice(40, 64)

    def along(frames: NDArray[Any]) -> NDArray[np.float64]:
        """Frames turned so that the border between the halves is a row."""
        return np.moveaxis(frames.astype(float), 1 + axis, 1)

    still = along(made(picture, replace(FREE, omega="frozen")))
    own = np.abs(np.diff(along(pictures[picture][None]), axis=1))[:, 30:33].mean()
    found = {}
    for name, given, feather in (("none", None, 0.0), ("0", may_move, 0.0), ("1", may_move, 1.0), ("2", may_move, 2.0)):
        clip = made(picture, replace(FREE, mask_feather=feather), mask=given)
        turned = along(clip)
        outside = np.moveaxis(turned, 1, 1 + axis).astype(np.uint8)
        outside = np.take(outside, range(*far.indices(64)), axis=1 + axis)
        picture_outside = np.take(pictures[picture], range(*far.indices(64)), axis=axis)
        found[f"{name}|ssim"] = float(ssim_per_frame(outside, picture_outside).mean())
        found[f"{name}|largest"] = float(np.abs(turned - still)[:, far].max())
        found[f"{name}|moved"] = float(np.abs(turned - still)[1:, inside].mean())
        found[f"{name}|seam"] = float(np.abs(np.diff(turned, axis=1))[1:, 30:33].mean() / own)
    return found


def levels(picture: int) -> Figures:
    found = {}
    for unit in ("steps", "noise level"):
        for sampler in SAMPLERS[:2]:
            for steps in STEPS:
                clip, case = made(picture, Settings(tau_unit=unit), steps, sampler), f"{unit}|{sampler}|{steps}"
                found |= {f"{case}|ssim": similarity(clip, picture), f"{case}|motion": motion(clip)}
                found |= {f"{case}|change": change(clip), f"{case}|covered": _covered(unit, sampler, steps)}
    return found


def _covered(unit: str, sampler: str, steps: int) -> float:
    """Where in the model's timesteps, from 0 at the noise to 1, the first step after τ = [0, 0.6] is."""
    pipe, scheduler = pipeline()
    pipe.scheduler = copy.deepcopy(scheduler)
    animating.use_sampler(pipe, sampler)
    pipe.scheduler.set_timesteps(steps)
    places = [progress(pipe.scheduler, call) for call in range(steps)]
    after = [place for index, place in enumerate(places) if (index / steps if unit == "steps" else place) >= 0.6 - 1e-6]
    return after[0]


def colour(picture: int) -> Figures:
    found = {}
    for tau_end in (0.2, 0.4, 0.6):
        for hold in (False, True):
            clip, case = made(picture, Settings(tau_end=tau_end, hold_colour=hold)), f"{tau_end}|{hold}"
            drift = float(colour_drift_per_frame(clip, world()[1][picture]).mean())
            found |= {f"{case}|drift": drift, f"{case}|ssim": similarity(clip, picture), f"{case}|motion": motion(clip)}
    return found


def target(picture: int) -> Figures:
    pipe, scheduler = pipeline()
    pipe.scheduler = copy.deepcopy(scheduler)
    scenes, pictures, _ = world()
    given = {"seed": picture, "steps": 25}
    settings, began = Settings(tau_end=1.0, target_ssim=0.85), time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16):
        found = animating.find_motion_for(pipe, pictures[picture], scenes.captions[picture], settings, **given)
    searched = time.perf_counter()
    clip = made(picture, found.settings, 25)
    ended = time.perf_counter()
    assert found.checked is not None
    return {
        "ssim": similarity(clip, picture),
        "uncorrected": found.checked.ssim,
        "motion": found.settings.motion,
        "probes": len(found.probes),
        "time": (searched - began) / (ended - searched),
    }

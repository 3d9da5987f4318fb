"""What the controls do to a clip, measured with the built-in model: writes docs/control.md's tables and its figure.

    python benchmarks/control.py --processes 2
    python benchmarks/control.py --only loop release --pictures 4

Each measurement is kept in `--results` as JSON, by pictures, and what is there is not measured again; tables and
figure are made from all that is there. Pictures are held-out scenes of the toy world; means have 95 % intervals over them.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import functools
import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lib_noiserect import plan
from lib_noiserect.evaluation.bootstrap import mean_interval
from lib_noiserect.evaluation.metrics import colour_drift_per_frame, motion, ssim_per_frame
from lib_noiserect.pipelines import animate as animating
from lib_noiserect.pipelines.levels import progress
from lib_noiserect.rectify import rectify
from lib_noiserect.settings import Settings
from lib_noiserect.spaces import reference_prediction, vp
from lib_noiserect.target import PROBE_STEPS
from lib_noiserect.tiny.world import Scenes

ROOT = Path(__file__).resolve().parent.parent
Clip = NDArray[np.uint8]
Figures = dict[str, Any]

SEED, MOST_PICTURES = 4242, 32
SAMPLERS, STEPS, NUMBERS = ("ddim", "dpm++ 2m karras", "euler a"), (15, 25, 50), (0.25, 0.5, 0.75)
FREE = Settings(tau_end=1.0, omega="constant", omega_start=1.0)
LONG, CONTEXT, OVERLAP, STRIDE = 96, 16, 4, 4


@functools.cache
def world() -> tuple[Scenes, NDArray[np.uint8], NDArray[np.uint8]]:
    """The scenes, their pictures at the first frame and at the last."""
    scenes = Scenes.draw(MOST_PICTURES, seed=SEED, held_out_captions=True)
    first, last = (
        (scenes.render(torch.full((1,), at))[:, 0].movedim(1, -1) * 255).round().byte().numpy() for at in (0.0, 1.0)
    )
    return scenes, first, last


@functools.cache
def pipeline() -> Any:
    torch.set_num_threads(1)
    pipe = animating.load(device="cpu")
    pipe.set_progress_bar_config(disable=True)
    return pipe, copy.deepcopy(pipe.scheduler)


def made(picture: int, settings: Settings, steps: int = 15, sampler: str = "ddim", **more: Any) -> Clip:
    """The clip of a picture; its noise depends on the picture alone."""
    pipe, scheduler = pipeline()
    pipe.scheduler = copy.deepcopy(scheduler)
    animating.use_sampler(pipe, sampler)
    scenes, pictures, _ = world()
    with torch.autocast("cpu", torch.bfloat16):
        clip, _ = animating.animate(
            pipe, pictures[picture], scenes.captions[picture], settings, steps=steps, seed=picture, **more
        )
    return clip


def change(clip: Clip) -> float:
    """How far the frames are from the first one: mean absolute difference in 255ths."""
    return float(np.abs(clip[1:].astype(float) - clip[:1]).mean())


def jumps(clip: Clip) -> NDArray[np.float64]:
    """Mean absolute difference of neighbours in 255ths, `[F-1]`."""
    differences: NDArray[np.float64] = np.abs(np.diff(clip.astype(float), axis=0)).mean((1, 2, 3))
    return differences


def similarity(clip: Clip, picture: int) -> float:
    return float(ssim_per_frame(clip, world()[1][picture]).mean())


# The measurements: each of one picture.


def dial(steps: int, picture: int) -> Figures:
    found = {}
    cases = {"whole": FREE, "ω = 0.5": replace(FREE, omega_start=0.5, tau_end=0.6)}
    cases |= {str(number): replace(FREE, omega="motion", motion=number) for number in NUMBERS}
    for sampler in SAMPLERS:
        for name, settings in cases.items():
            clip = made(picture, settings, steps, sampler)
            found |= {f"{sampler}|{name}|change": change(clip), f"{sampler}|{name}|flow": motion(clip)}
    return found


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


def long(picture: int) -> Figures:
    found: Figures = {}

    def run(name: str, settings: Settings, frames: int = LONG, **more: Any) -> None:
        clip = made(picture, settings, 12, frames=frames, **more)
        to_picture = ssim_per_frame(clip, world()[1][picture])
        quarter = frames // 4
        found[f"{name}|ratio"] = float(to_picture[-quarter:].mean() / to_picture[:quarter].mean())
        found[f"{name}|ssim"], found[f"{name}|motion"] = float(to_picture.mean()), motion(clip)
        found[f"{name}|frames"] = [round(float(value), 4) for value in to_picture]

    half = replace(FREE, omega_start=0.5)
    run("16 frames|noising", Settings(), CONTEXT, method="noising")
    run("16 frames|authors", Settings(), CONTEXT)
    run("16 frames|half", half, CONTEXT)
    pipe, _ = pipeline()
    pipe.enable_free_noise(context_length=CONTEXT, context_stride=CONTEXT // 2)
    try:
        run("FreeNoise|noising", Settings(), method="noising")
        run("FreeNoise|authors", Settings())
        run("FreeNoise|half", half)
    finally:
        pipe.disable_free_noise()
    with windows(pipe) as last, mock.patch.object(animating, "most_frames", return_value=None):
        run("windows|authors", Settings())
        run("windows|half", half)
        with mock.patch.object(plan, "rectify", functools.partial(chained, last)):
            run("windows, chained|authors", Settings())
            run("windows, chained|half", half)
        with repeated_noise(pipe):
            run("windows, repeated noise|noising", Settings(), method="noising")
            run("windows, repeated noise|authors", Settings())
            run("windows, repeated noise|half", half)
    return found


@contextlib.contextmanager
def windows(pipe: Any) -> Iterator[dict[str, Any]]:
    """The model in windows of `CONTEXT` frames, averaged where they overlap, as AnimateDiff's web UI extension has it.

    What comes back holds the predictions of the last call: (begin, after guidance) of each window, frames first, and how
    many windows each frame was in.
    """
    last: dict[str, Any] = {"calls": 0}
    original = pipe.unet.forward

    def forward(sample: torch.Tensor, timestep: Any, encoder_hidden_states: torch.Tensor, **more: Any) -> Any:
        frames = sample.shape[2]
        if frames <= CONTEXT:
            return original(sample, timestep, encoder_hidden_states=encoder_hidden_states, **more)
        words = encoder_hidden_states
        per_frame = words.shape[0] != sample.shape[0]
        each = words.view(sample.shape[0], -1, *words.shape[1:]) if per_frame else words
        summed, counts, parts = torch.zeros_like(sample), torch.zeros(frames), []
        for begin in _begins(last["calls"], frames):
            inside = slice(begin, begin + CONTEXT)
            told = each[:, inside].reshape(-1, *words.shape[1:]) if per_frame else words
            made = original(
                sample[:, :, inside], timestep, encoder_hidden_states=told, **{**more, "return_dict": False}
            )
            summed[:, :, inside] += made[0]
            counts[inside] += 1
            free, guided = made[0].float().chunk(2)
            parts.append((begin, (free + 7.5 * (guided - free)).movedim(2, 0)))
        last.update(parts=parts, counts=counts, calls=last["calls"] + 1)
        return mock.Mock(sample=summed / counts.view(1, 1, -1, 1, 1))

    pipe.unet.forward = forward
    try:
        yield last
    finally:
        del pipe.unet.forward


def _begins(call: int, frames: int) -> list[int]:
    begins = list(range((0, 4, 8)[call % 3], frames - CONTEXT + 1, CONTEXT - OVERLAP))
    return sorted({0, *begins, frames - CONTEXT})


def chained(last: dict[str, Any], prediction: Any, reference: Any, omega: Any, keys: Any = None) -> Any:
    """What was tried instead: each window corrected by the one before it, where they overlap."""
    if prediction.shape[0] <= CONTEXT:
        return rectify(prediction, reference, omega, keys)
    parts, gap = last["parts"], reference[:1] - last["parts"][0][1][:1]
    total = torch.zeros_like(reference)
    total[:CONTEXT] += gap
    for (before, one), (begin, other) in zip(parts, parts[1:]):
        shared = before + CONTEXT - begin
        if shared > 0:
            gap = gap + (one[begin - before :] - other[:shared]).mean(0, keepdim=True)
        total[begin : begin + CONTEXT] += gap
    moved = prediction.float() + total / last["counts"].view(-1, *[1] * (reference.ndim - 1))
    result = torch.lerp(reference, moved, omega.view(-1, *[1] * (reference.ndim - 1)))
    result[0] = reference[0]
    return result.to(prediction.dtype)


@contextlib.contextmanager
def repeated_noise(pipe: Any) -> Iterator[None]:
    """Later frames get the noise of the frames a context before them, mixed within a stride."""
    original = pipe.prepare_latents

    @functools.wraps(original)
    def prepare_latents(*args: Any, **kwargs: Any) -> torch.Tensor:
        latents, generator = original(*args, **kwargs), torch.Generator().manual_seed(1)
        for begin in range(CONTEXT, latents.shape[2], STRIDE):
            source = begin - CONTEXT + torch.randperm(STRIDE, generator=generator)
            latents[:, :, begin : begin + STRIDE] = latents[:, :, source]
        return latents

    pipe.prepare_latents = prepare_latents
    try:
        yield
    finally:
        del pipe.prepare_latents


def cost(picture: int) -> Figures:
    """Microseconds a frame of reference and formula, at latents of 64 × 64."""
    found = {}
    for frames in (16, 48, 96):
        x, pivot, predicted = (torch.randn(frames, 4, 64, 64) for _ in range(3))
        clean, omega, times = torch.randn(1, 4, 64, 64), torch.linspace(1, 0.5, frames), []
        for _ in range(60):
            began = time.perf_counter()
            rectify(predicted, reference_prediction("eps", x, pivot, clean, vp(0.5)), omega)
            times.append(time.perf_counter() - began)
        found[f"{frames}"] = statistics.median(times) / frames * 1e6
    return found


MEASUREMENTS: dict[str, tuple[Callable[[int], Figures], int]] = {
    "loop": (loop, 6),
    "release": (release, 6),
    "keys": (keys, 6),
    "mask": (mask, 6),
    "colour": (colour, 6),
    "target": (target, 4),
    "cost": (cost, 1),
    "dial_15": (functools.partial(dial, 15), 8),
    "dial_25": (functools.partial(dial, 25), 8),
    "dial_50": (functools.partial(dial, 50), 8),
    "levels": (levels, 3),
    "long": (long, 3),
}
"""The measurements, and of how many pictures: together about half an hour of two cores."""


# The tables.


def mean(found: list[Figures], name: str, digits: int = 2) -> str:
    """`1.05 [0.98, 1.12]`."""
    estimate = mean_interval([one[name] for one in found])
    if len(found) == 1:
        return f"{estimate.mean:.{digits}f}"
    return f"{estimate.mean:.{digits}f} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"


def average(found: list[Figures], name: str) -> float:
    return float(np.mean([one[name] for one in found]))


def table(heads: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [heads, ["---"] * len(heads), *rows])


def ratio(found: list[Figures], above: str, below: str) -> tuple[float, float, float]:
    """The ratio of two means over the pictures, and its 95 % interval: single pictures may hardly move even with ω = 1."""
    pairs = np.array([[one[above], one[below]] for one in found])
    draws = pairs[np.random.default_rng(SEED).integers(len(pairs), size=(4999, len(pairs)))].mean(1)
    low, high = np.percentile(draws[:, 0] / draws[:, 1], (2.5, 97.5))
    return float(pairs[:, 0].mean() / pairs[:, 1].mean()), float(low), float(high)


def share(found: dict[int, list[Figures]], sampler: str, steps: int, name: str, figure: str = "change") -> float:
    return ratio(found[steps], f"{sampler}|{name}|{figure}", f"{sampler}|whole|{figure}")[0]


def by_steps(found: dict[str, list[Figures]]) -> dict[int, list[Figures]]:
    return {steps: found[f"dial_{steps}"] for steps in STEPS if f"dial_{steps}" in found}


def dial_table(found: dict[int, list[Figures]]) -> str:
    names = [*(str(number) for number in NUMBERS), "ω = 0.5"]
    cells = [(sampler, steps) for sampler in SAMPLERS for steps in found]
    rows = []
    for sampler, steps in cells:
        shares = [ratio(found[steps], f"{sampler}|{name}|change", f"{sampler}|whole|change") for name in names]
        rows.append([sampler, str(steps), *(f"{mid:.2f} [{low:.2f}, {high:.2f}]" for mid, low, high in shares)])
    worst = {
        figure: max(
            (share(found, *cell, str(number), figure) - number for cell in cells for number in NUMBERS), key=abs
        )
        for figure in ("change", "flow")
    }
    plain = [share(found, *cell, "ω = 0.5") for cell in cells]
    said = (
        f"The largest deviation of a cell from its number is {worst['change']:+.2f}; measured by optical flow instead, which "
        f"sees how far things move from frame to frame, {worst['flow']:+.2f}. Constant ω = 0.5 with τ = 0.6 in steps gives "
        f"shares from {min(plain):.2f} to {max(plain):.2f} over the same cells."
    )
    heads = ["sampler", "steps", *(f"Motion {number}" for number in NUMBERS), "ω = 0.5, τ = 0.6"]
    counts = " and ".join(f"{len(pictures)} at {steps} steps" for steps, pictures in found.items())
    return table(heads, rows) + f"\n\n{said}\n\nPictures: {counts}."


def loop_table(found: list[Figures]) -> str:
    rows = [
        [f"{tau_end}", omega, "on" if on else "off"]
        + [mean(found, f"{tau_end}|{omega}|{on}|{name}") for name in ("ratio", "ssim", "motion")]
        for tau_end in (1.0, 0.6)
        for omega in ("constant", "authors")
        for on in (False, True)
    ]
    return table(["τ end", "ω", "Loop", "last to first / mean step", "SSIM", "motion, px a frame"], rows)


def release_table(found: list[Figures]) -> str:
    rows = [
        [f"{tau_end}", f"{over:g}", *(mean(found, f"{tau_end}|{over}|{name}") for name in ("ratio", "ssim", "motion"))]
        for tau_end in (0.4, 0.6)
        for over in (0.0, 0.2, 0.4)
    ]
    return table(["τ end", "Soft release", "first jump / mean jump", "SSIM", "motion, px a frame"], rows)


def keys_table(found: list[Figures]) -> str:
    names = ("first", "last", "into", "largest", "motion")
    rows = [
        [f"{tau_end}", way, *(mean(found, f"{tau_end}|{way}|{name}") for name in names)]
        for tau_end in (1.0, 0.6)
        for way in ("slerp", "hold")
    ]
    heads = [
        "τ end",
        "between",
        "SSIM of the first frame",
        "of the last",
        "last jump / mean",
        "largest / mean",
        "motion",
    ]
    return table(heads, rows)


def mask_table(found: list[Figures]) -> str:
    said = {"none": "no mask", "0": "feather 0", "1": "feather 1", "2": "feather 2"}
    digits = {"ssim": 3, "largest": 1, "moved": 1, "seam": 2}
    rows = [
        [text, *(mean(found, f"{name}|{figure}", places) for figure, places in digits.items())]
        for name, text in said.items()
    ]
    heads = [
        "",
        "SSIM outside",
        "largest change outside, 255ths",
        "mean change inside, 255ths",
        "gradient at the border",
    ]
    return table(heads, rows)


def levels_table(found: list[Figures]) -> str:
    rows = []
    for sampler in SAMPLERS[:2]:
        for steps in STEPS:
            cells = [f"{unit}|{sampler}|{steps}" for unit in ("steps", "noise level")]
            row = [f"{average(found, f'{cell}|covered'):.2f}" for cell in cells]
            row += [mean(found, f"{cell}|ssim") for cell in cells] + [
                mean(found, f"{cell}|change", 1) for cell in cells
            ]
            rows.append([sampler, str(steps), *row])
    heads = [
        "sampler",
        "steps",
        "window ends: steps",
        "noise level",
        "SSIM: steps",
        "noise level",
        "change: steps",
        "noise level",
    ]
    said = "Largest less smallest over the six cells: " + "; ".join(
        f"{name} {spread(found, 'steps', figure):.2f} in steps and {spread(found, 'noise level', figure):.2f} by noise level"
        for name, figure in (("SSIM", "ssim"), ("change in 255ths", "change"))
    )
    return table(heads, rows) + f"\n\n{said}."


def spread(found: list[Figures], unit: str, figure: str) -> float:
    means = [average(found, f"{unit}|{sampler}|{steps}|{figure}") for sampler in SAMPLERS[:2] for steps in STEPS]
    return max(means) - min(means)


def colour_table(found: list[Figures]) -> str:
    rows = [
        [f"{tau_end}", "on" if hold else "off"]
        + [
            mean(found, f"{tau_end}|{hold}|{name}", places)
            for name, places in (("drift", 1), ("ssim", 2), ("motion", 2))
        ]
        for tau_end in (0.2, 0.4, 0.6)
        for hold in (False, True)
    ]
    return table(["τ end", "Hold colour", "colour drift, ΔE", "SSIM", "motion, px a frame"], rows)


def long_table(found: list[Figures]) -> str:
    ways = ("16 frames", "FreeNoise", "windows", "windows, chained", "windows, repeated noise")
    said = {"authors": "authors, τ = 0.6", "half": "ω = 0.5, τ = 1"}
    free = {"16 frames": "16 frames", "FreeNoise": "FreeNoise"}
    rows = []
    for way in ways:
        noising = f"{free.get(way, 'windows, repeated noise')}|noising|motion"
        for omega, text in said.items():
            cell = f"{way}|{omega}"
            rows.append([way if way == "16 frames" else f"96, {way}", text, f"{average(found, f'{cell}|ratio'):.3f}"])
            relative = average(found, f"{cell}|motion") / average(found, noising)
            rows[-1] += [
                f"{average(found, f'{cell}|ssim'):.3f}",
                f"{average(found, f'{cell}|motion'):.3f}",
                f"{relative:.2f}",
            ]
    heads = ["clip", "", "SSIM of the last quarter / first", "SSIM", "motion, px a frame", "of noising alone"]
    return table(heads, rows)


def cost_table(found: list[Figures]) -> str:
    return (
        "Reference and formula take "
        + ", ".join(f"{found[0][str(frames)]:.0f} µs a frame at {frames}" for frames in (16, 48, 96))
        + " frames (latents of 64 × 64, one thread): in proportion to the frames, a little more beyond the cache."
    )


def target_table(found: list[Figures]) -> str:
    rows = [
        [
            mean(found, "ssim", 3),
            mean(found, "uncorrected", 3),
            mean(found, "motion"),
            mean(found, "probes", 1),
            mean(found, "time"),
        ]
    ]
    reached = [one["ssim"] for one in found]
    heads = [
        "SSIM of the clip",
        "before it was corrected",
        "Motion found",
        "short runs",
        "time of all runs / the clip's",
    ]
    said = (
        f"The clips have 25 steps and the short runs {PROBE_STEPS}; the clips' SSIM goes from {min(reached):.3f} to "
        f"{max(reached):.3f}."
    )
    return table(heads, rows) + f"\n\n{said}"


TABLES: dict[str, Callable[[list[Figures]], str]] = {
    "levels": levels_table,
    "loop": loop_table,
    "release": release_table,
    "keys": keys_table,
    "mask": mask_table,
    "colour": colour_table,
    "target": target_table,
    "long": long_table,
    "cost": cost_table,
}


def write_tables(found: dict[str, list[Figures]], page: Path) -> None:
    """Puts each table between its marks in the page; its words are written by hand."""
    tables = {
        name: made_table(found[name]) + ("" if name == "cost" else f"\n\nPictures: {len(found[name])}.")
        for name, made_table in TABLES.items()
        if name in found
    }
    if by_steps(found):
        tables["dial"] = dial_table(by_steps(found))
    text = page.read_text(encoding="utf-8")
    for name, shown in tables.items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        before, rest = text.split(begin)
        text = f"{before}{begin}\n{shown}\n{end}{rest.split(end)[1]}"
    page.write_text(text, encoding="utf-8")


def draw(found: dict[str, list[Figures]], path: Path) -> None:
    from matplotlib.figure import Figure

    ink, blue, orange, light = "#30343b", "#2a6a9e", "#c8642b", "#c9ced6"
    figure = Figure(figsize=(10.5, 6.2), dpi=130, layout="constrained", facecolor="white")
    (first, second, third), (fourth, fifth, sixth) = figure.subplots(2, 3)

    dials = by_steps(found)
    first.plot([0, 1], [0, 1], color=light, zorder=0)
    for index, sampler in enumerate(SAMPLERS):
        at = [(number, steps) for number in NUMBERS for steps in dials]
        shares = [share(dials, sampler, steps, str(number)) for number, steps in at]
        places = [number + 0.015 * (index - 1) for number, _ in at]
        first.plot(places, shares, "o^s"[index], color=blue, markersize=5, alpha=0.75, label=sampler)
    plain = [share(dials, sampler, steps, "ω = 0.5") for sampler in SAMPLERS for steps in dials]
    first.plot([0.97] * len(plain), plain, "_", color=orange, markersize=12, label="ω = 0.5, τ = 0.6")
    first.set(xlim=(0, 1.05), ylim=(0, 1.2), xlabel="Motion", ylabel="share of the motion, measured")
    first.set_title("One number for every sampler", loc="left")
    first.legend(frameon=False, loc="upper left")

    for sampler, style in zip(SAMPLERS[:2], ("-", "--")):
        for unit, colour_of in (("steps", orange), ("noise level", blue)):
            values = [average(found["levels"], f"{unit}|{sampler}|{steps}|ssim") for steps in STEPS]
            second.plot(STEPS, values, style, marker="o", color=colour_of, label=f"{unit}, {sampler}")
    second.set(xticks=STEPS, xlabel="steps", ylabel="SSIM to the picture", ylim=(0.6, 0.85))
    second.set_title("τ = 0.6 in steps and by noise level", loc="left")
    second.legend(frameon=False)

    bars(
        third,
        found["loop"],
        [(t, f"{t}|constant|False|ratio", f"{t}|constant|True|ratio") for t in (0.6, 1.0)],
        blue,
        light,
    )
    third.set(ylabel="last to first / mean step", xlabel="τ end", ylim=(0, 3.4))
    third.axhline(1, color=ink, linewidth=0.8, linestyle=":")
    third.set_title("Loop", loc="left")
    third.legend(["an ordinary step", "off", "on"], frameon=False)

    for over, shade in ((0.0, light), (0.2, "#84a9c6"), (0.4, blue)):
        heights = [average(found["release"], f"{tau_end}|{over}|ratio") for tau_end in (0.4, 0.6)]
        fourth.bar([index + (over - 0.2) * 1.35 for index in range(2)], heights, 0.25, color=shade, label=f"{over:g}")
    fourth.axhline(1, color=ink, linewidth=0.8, linestyle=":")
    fourth.set(
        xticks=[0, 1], xticklabels=["0.4", "0.6"], xlabel="τ end", ylabel="first jump / mean jump", ylim=(0, 3.4)
    )
    fourth.set_title("Soft release after a kept first frame", loc="left")
    fourth.legend(frameon=False, title="release", title_fontsize=7.5, ncols=3, loc="upper right")

    bars(fifth, found["colour"], [(t, f"{t}|False|drift", f"{t}|True|drift") for t in (0.2, 0.4, 0.6)], blue, light)
    fifth.set(ylabel="colour drift, ΔE", xlabel="τ end")
    fifth.set_title("Hold colour", loc="left")
    fifth.legend(["off", "on"], frameon=False)

    looks = {"FreeNoise": blue, "windows, repeated noise": orange, "windows": light}
    for way, shade in looks.items():
        frames = np.mean([one[f"{way}|half|frames"] for one in found["long"]], axis=0)
        sixth.plot(np.convolve(frames, np.ones(8) / 8, "valid"), color=shade, label=way)
    sixth.set(xlabel="frame", ylabel="SSIM to the picture", ylim=(0.5, 1))
    sixth.set_title("96 frames, ω = 0.5, τ = 1", loc="left")
    sixth.legend(frameon=False)

    for axes in figure.axes:
        axes.set_title(axes.get_title("left"), loc="left", color=ink, fontsize=10)
        axes.tick_params(colors=ink, labelsize=8)
        axes.xaxis.label.set(color=ink, fontsize=8.5)
        axes.yaxis.label.set(color=ink, fontsize=8.5)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(light)
        for text in axes.get_legend().get_texts():
            text.set(fontsize=7.5, color=ink)
    figure.savefig(path)


def bars(axes: Any, found: list[Figures], pairs: list[tuple[float, str, str]], on: str, off: str) -> None:
    for shift, shade, name in ((-0.2, off, 1), (0.2, on, 2)):
        axes.bar(
            [index + shift for index in range(len(pairs))],
            [average(found, pair[name]) for pair in pairs],
            0.38,
            color=shade,
        )
    axes.set(xticks=range(len(pairs)), xticklabels=[f"{pair[0]:g}" for pair in pairs])


def _one(job: tuple[str, int]) -> tuple[str, int, Figures]:
    name, picture = job
    return name, picture, MEASUREMENTS[name][0](picture)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=MEASUREMENTS, help="these measurements (default: all)")
    parser.add_argument("--pictures", type=int, help="of each measurement (default: as in docs/control.md)")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--results", type=Path, default=ROOT / "out" / "control", help="where the figures are kept")
    parser.add_argument("--report", action="store_true", help="measure nothing, and write page and figure again")
    options = parser.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    everything = {path.stem: json.loads(path.read_text()) for path in options.results.glob("*.json")}
    jobs = []
    for name in () if options.report else options.only or MEASUREMENTS:
        count = 1 if name == "cost" else options.pictures or MEASUREMENTS[name][1]
        jobs += [(name, picture) for picture in range(count) if str(picture) not in everything.get(name, {})]
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        for name, picture, figures in pool.imap_unordered(_one, jobs):
            everything.setdefault(name, {})[str(picture)] = figures
            (options.results / f"{name}.json").write_text(json.dumps(everything[name]))
            print(f"{name}: picture {picture}", flush=True)
    found = {name: [kept[picture] for picture in sorted(kept, key=int)] for name, kept in everything.items()}
    write_tables(found, ROOT / "docs" / "control.md")
    if by_steps(found) and set(TABLES) <= set(found):
        draw(found, ROOT / "docs" / "pictures" / "control.png")


if __name__ == "__main__":
    main()

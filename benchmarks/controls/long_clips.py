"""Clips longer than the model's context, in the windows of AnimateDiff's web UI extension and with diffusers' FreeNoise."""

from __future__ import annotations

import contextlib
import functools
import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

import torch

from lib_noiserect.core import correction
from lib_noiserect.core.noise import noise_order
from lib_noiserect.core.noise_levels import reference_prediction, vp
from lib_noiserect.core.rectify import rectify
from lib_noiserect.core.settings import Settings
from lib_noiserect.media.metrics import motion, ssim_per_frame
from lib_noiserect.pipelines import animation as animating

from .clips import FREE, Figures, made, pipeline, world

LONG, CONTEXT, OVERLAP, GUIDANCE = 96, 16, 4, 7.5
HALF = replace(FREE, omega_start=0.5)
Windows = list[tuple[list[int], torch.Tensor]]


def long(picture: int) -> Figures:
    """Windows with repeated noise, and what the same settings do to a clip of one context."""
    found = {}
    for name, settings, more in _settings():
        found |= _run(picture, f"16 frames|{name}", settings, CONTEXT, **more)
        with windows(), repeated_noise():
            found |= _run(picture, f"repeated|{name}", settings, **more)
    return found


def long_plain(picture: int) -> Figures:
    """Windows where each frame has noise of its own."""
    found = {}
    for name, settings, more in _settings():
        with windows():
            found |= _run(picture, f"plain|{name}", settings, **more)
    return found


def long_chained(picture: int) -> Figures:
    """Each window corrected by the one before it."""
    found = {}
    for way in ("repeated", "plain"):
        with contextlib.ExitStack() as stack:
            last = stack.enter_context(windows())
            stack.enter_context(mock.patch.object(correction, "rectify", functools.partial(chained, last)))
            if way == "repeated":
                stack.enter_context(repeated_noise())
            found |= _run(picture, f"{way}, chained|half", HALF)
    return found


def freenoise(picture: int) -> Figures:
    found: Figures = {}
    pipe, _ = pipeline()
    pipe.enable_free_noise(context_length=CONTEXT, context_stride=CONTEXT // 2)
    try:
        for name, settings, more in _settings():
            found |= _run(picture, f"FreeNoise|{name}", settings, **more)
    finally:
        pipe.disable_free_noise()
    return found


def cost(picture: int) -> Figures:
    """Microseconds a frame of reference and formula, at latents of 64 × 64; seconds a frame of whole clips of 3 steps."""
    found = {}
    for frames in (16, 48, 96):
        x, pivot, predicted = (torch.randn(frames, 4, 64, 64) for _ in range(3))
        clean, omega, times = torch.randn(1, 4, 64, 64), torch.linspace(1, 0.5, frames), []
        for _ in range(60):
            began = time.perf_counter()
            rectify(predicted, reference_prediction("eps", x, pivot, clean, vp(0.5)), omega)
            times.append(time.perf_counter() - began)
        found[f"{frames}"] = statistics.median(times) / frames * 1e6
    made(picture, Settings(), 3)  # the first clip of a process takes longer
    for frames in (48, 96, 192):
        began = time.process_time()
        with windows(), repeated_noise(), mock.patch.object(animating, "most_frames", return_value=None):
            made(picture, Settings(), 3, frames=frames)
        found[f"clip of {frames}"] = (time.process_time() - began) / frames
    return found


def _settings() -> list[tuple[str, Settings, dict[str, Any]]]:
    return [("noising", Settings(), {"method": "noising"}), ("authors", Settings(), {}), ("half", HALF, {})]


def _run(picture: int, name: str, settings: Settings, frames: int = LONG, **more: Any) -> Figures:
    with mock.patch.object(animating, "most_frames", return_value=None):
        clip = made(picture, settings, 12, frames=frames, **more)
    to_picture, quarter = ssim_per_frame(clip, world()[1][picture]), frames // 4
    return {
        f"{name}|ratio": float(to_picture[-quarter:].mean() / to_picture[:quarter].mean()),
        f"{name}|ssim": float(to_picture.mean()),
        f"{name}|motion": motion(clip),
        f"{name}|frames": [round(float(value), 4) for value in to_picture],
    }


def contexts(call: int, frames: int) -> list[list[int]]:
    """The frames of each window, as sd-webui-animatediff has them where nothing is set: it begins elsewhere at each call of
    the model, by the bits of the call's number in reverse order, and goes on from the clip's end to its beginning."""
    begin = round(frames * int(f"{call:064b}"[::-1], 2) / 2**64)
    begins = range(begin, begin + frames - OVERLAP, CONTEXT - OVERLAP)
    return [[(first + index) % frames for index in range(CONTEXT)] for first in begins]


@contextlib.contextmanager
def windows() -> Iterator[Windows]:
    """The model in windows, of one clip; where they overlap the later one counts, as in sd-webui-animatediff.

    What comes back holds the last call's: the frames of each, and its predictions after guidance, frames first.
    """
    pipe, _ = pipeline()
    last: Windows = []
    calls = 0
    original = pipe.unet.forward

    def forward(sample: torch.Tensor, timestep: Any, encoder_hidden_states: torch.Tensor, **more: Any) -> Any:
        nonlocal calls
        words, frames = encoder_hidden_states, sample.shape[2]
        per_frame = words.shape[0] != sample.shape[0]
        each = words.view(sample.shape[0], -1, *words.shape[1:]) if per_frame else words
        predicted = torch.zeros_like(sample)
        last.clear()
        for inside in contexts(calls, frames):
            told = each[:, inside].reshape(-1, *words.shape[1:]) if per_frame else words
            options = {**more, "encoder_hidden_states": told, "return_dict": False}
            answer = original(sample[:, :, inside], timestep, **options)[0]
            predicted[:, :, inside] = answer.to(predicted.dtype)
            free, guided = answer.float().chunk(2)
            last.append((inside, (free + GUIDANCE * (guided - free))[0].movedim(1, 0)))
        calls += 1
        return mock.Mock(sample=predicted)

    pipe.unet.forward = forward
    try:
        yield last
    finally:
        del pipe.unet.forward


@contextlib.contextmanager
def repeated_noise() -> Iterator[None]:
    """As the setting Repeat noise has it."""
    pipe, _ = pipeline()
    original = pipe.prepare_latents

    @functools.wraps(original)
    def prepare_latents(*args: Any, **kwargs: Any) -> torch.Tensor:
        latents = original(*args, **kwargs)
        return latents[:, :, noise_order(latents.shape[2], CONTEXT)].contiguous()

    pipe.prepare_latents = prepare_latents
    try:
        yield
    finally:
        del pipe.prepare_latents


def chained(last: Windows, prediction: Any, reference: Any, omega: Any, keys: Any = None) -> Any:
    """What was tried instead: each window corrected by the one before it, where they overlap, from frame 0's on."""
    owner = max(index for index, (inside, _) in enumerate(last) if 0 in inside)
    # Frames first, and whatever the pipeline has behind them: [F, B, C, H, W].
    gap, gaps = (reference[:1] - prediction[:1]).float(), {}
    for step in range(len(last)):
        index = (owner + step) % len(last)
        (before, one), (inside, other) = last[index - 1], last[index]
        both = [frame for frame in inside if frame in before]
        if step:
            change = [one[before.index(frame)] - other[inside.index(frame)] for frame in both]
            gap = gap + torch.stack(change).mean(0).view_as(gap)
        gaps[index] = gap
    total = torch.zeros_like(reference)
    for index, (inside, _) in enumerate(last):
        total[inside] = gaps[index].to(total)
    weights = omega.view(-1, *[1] * (reference.ndim - 1))
    result = torch.lerp(reference, prediction.to(reference) + total, weights.to(reference))
    result[0] = reference[0]
    return result.to(prediction.dtype)

"""The built-in model on videos longer than its context: in AnimateDiff's windows, or with diffusers' FreeNoise."""

from __future__ import annotations

import contextlib
import functools
import itertools
import types
from collections.abc import Iterator
from typing import Any

import torch

from lib_noiserect.core.noise import noise_order

CONTEXT, OVERLAP, LONG = 16, 4, 96
SHORT, REPEATED, FRESH, FREENOISE = (
    f"{CONTEXT} frames",
    f"{LONG}, windows, repeated noise",
    f"{LONG}, windows, independent noise",
    f"{LONG}, FreeNoise",
)


@contextlib.contextmanager
def made_in(pipe: Any, way: str) -> Iterator[None]:
    """The pipeline as it makes a video in one of the ways above; in any other it stays as it is."""
    if way == FREENOISE:
        pipe.enable_free_noise(context_length=CONTEXT, context_stride=CONTEXT // 2)
        try:
            yield
        finally:
            pipe.disable_free_noise()
    elif way in (REPEATED, FRESH):
        with windows(pipe, repeat_noise=way == REPEATED):
            yield
    else:
        yield


def contexts(call: int, frames: int) -> list[list[int]]:
    """The frames of each window, as in sd-webui-animatediff by default: the windows begin elsewhere at each call of the
    model, by the bits of the call's number in reverse order, and go on from the video's end to its beginning."""
    begin = round(frames * int(f"{call:064b}"[::-1], 2) / 2**64)
    begins = range(begin, begin + frames - OVERLAP, CONTEXT - OVERLAP)
    return [[(first + index) % frames for index in range(CONTEXT)] for first in begins]


@contextlib.contextmanager
def windows(pipe: Any, *, repeat_noise: bool) -> Iterator[None]:
    """The model in windows, of one video; where they overlap the later one counts, as in sd-webui-animatediff.

    Args:
        repeat_noise: as the setting Repeat noise.
    """
    forward, prepare_latents, adapter, calls = (
        pipe.unet.forward,
        pipe.prepare_latents,
        pipe.motion_adapter,
        itertools.count(),
    )

    def in_windows(sample: torch.Tensor, timestep: Any, encoder_hidden_states: torch.Tensor, **more: Any) -> Any:
        words, frames = encoder_hidden_states, sample.shape[2]
        per_frame = words.shape[0] != sample.shape[0]
        each = words.view(sample.shape[0], -1, *words.shape[1:]) if per_frame else words
        predicted = torch.zeros_like(sample)
        for inside in contexts(next(calls), frames):
            told = each[:, inside].reshape(-1, *words.shape[1:]) if per_frame else words
            options = {**more, "encoder_hidden_states": told, "return_dict": False}
            predicted[:, :, inside] = forward(sample[:, :, inside], timestep, **options)[0].to(predicted.dtype)
        return types.SimpleNamespace(sample=predicted)

    @functools.wraps(prepare_latents)
    def repeated(*args: Any, **kwargs: Any) -> torch.Tensor:
        latents: torch.Tensor = prepare_latents(*args, **kwargs)
        return latents[:, :, noise_order(latents.shape[2], CONTEXT)].contiguous()

    pipe.unet.forward = in_windows
    pipe.motion_adapter = None  # whose number of frames limits a window, and not the video
    if repeat_noise:
        pipe.prepare_latents = repeated
    try:
        yield
    finally:
        del pipe.unet.forward
        pipe.motion_adapter = adapter
        pipe.__dict__.pop("prepare_latents", None)

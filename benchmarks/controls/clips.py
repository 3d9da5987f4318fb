"""The clips that are measured: held-out scenes of the toy world, animated with the built-in model; and their figures."""

from __future__ import annotations

import copy
import functools
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lib_noiserect.core.settings import Settings
from lib_noiserect.media.metrics import ssim_per_frame
from lib_noiserect.pipelines import animation as animating
from lib_noiserect.tiny.world import Scenes, pixels_of

Clip = NDArray[np.uint8]
Figures = dict[str, Any]

SEED, MOST_PICTURES = 4242, 32
SAMPLERS, STEPS, NUMBERS = ("ddim", "dpm++ 2m karras", "euler a"), (15, 25, 50), (0.25, 0.5, 0.75)
FREE = Settings(tau_end=1.0, omega="constant", omega_start=1.0)


@functools.cache
def world() -> tuple[Scenes, NDArray[np.uint8], NDArray[np.uint8]]:
    """The scenes, their pictures at the first frame and at the last."""
    scenes = Scenes.draw(MOST_PICTURES, seed=SEED, held_out_captions=True)
    first, last = (pixels_of(scenes.render(torch.full((1,), at))[:, 0]) for at in (0.0, 1.0))
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

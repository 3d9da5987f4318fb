"""Measures of a video against the way that its scene goes on, for images of the built-in model's world.

Similarity to the image punishes motion and does not see ghosts: a still video has the best. The world knows how the image
goes on, though not how fast the video goes. So each frame is compared with the world's own frame at the time that fits best.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..media.metrics import Floats, Pixels
from ..tiny.world import Scenes, held_out_scenes

TIMES = torch.linspace(-0.05, 1.3, 55)
"""The world's times that a frame may show: 0 is the image, 1 the end of a clip of the training."""
# A pixel belongs to the creature where it differs so much from the empty scene: its wake counts too.
_VISIBLE = 0.06
# Fewer pixels have no figure of their own.
_LEAST_PIXELS = 20


@dataclass(frozen=True)
class Truth:
    """The world's own frames of one scene, where the creature comes by."""

    area: NDArray[np.bool_]  # [H, W]: the P pixels that the creature crosses at `TIMES`
    frames: NDArray[np.float32]  # [T, P, 3] in [0, 1]
    creature: NDArray[np.bool_]  # [T, P]: on which of them the creature is
    start: NDArray[np.bool_]  # [P]: the same at time 0

    @classmethod
    def of(cls, scene: Scenes, size: int) -> Truth:
        """The truth of one scene in frames of `size` pixels."""
        frames = scene.render(torch.cat([TIMES, torch.zeros(1)]), size)[0].permute(0, 2, 3, 1).numpy()
        creature = np.abs(frames - scene.empty(size)[0].permute(1, 2, 0).numpy()).max(-1) > _VISIBLE
        area = creature.any(0)
        return cls(area, frames[:-1, area], creature[:-1, area], creature[-1, area])


@functools.lru_cache(maxsize=256)
def held_out_truth(number: int, count: int, size: int) -> Truth:
    """The truth of scene `number` of `held_out_scenes(count)`."""
    return Truth.of(held_out_scenes(count).part(slice(number, number + 1)), size)


def continuation(video: Pixels, truth: Truth) -> dict[str, float]:
    """How well a video, `[F, H, W, 3]` uint8, continues its image, at the times that fit best and never fall.

    `moving_psnr`: PSNR in dB where the creature comes by. `left_psnr`: where it was in the image and is no more, which shows
    ghosts. `creature_psnr`: on the creature. `way`: from the time of the first frame to that of the last, 1 in the world.
    A figure of a place that has (almost) no pixels is nan.
    """
    values = video[:, truth.area].astype(np.float64) / 255
    flat, true = values.reshape(len(video), -1), truth.frames.reshape(len(TIMES), -1).astype(np.float64)
    # |v - t|² = |v|² - 2 v·t + |t|², so that no tensor of all frames times all times is made.
    errors = np.square(flat).sum(1)[:, None] - 2 * flat @ true.T + np.square(true).sum(1)
    times = best_times(errors)
    frames = np.arange(len(video))
    at_times = np.square(values - truth.frames[times]).mean(-1)
    creature = truth.creature[times]
    return {
        "moving_psnr": _decibels(errors[frames, times] / flat.shape[1]),
        "left_psnr": _decibels(_means(at_times, truth.start & ~creature)),
        "creature_psnr": _decibels(_means(at_times, creature)),
        "way": float(TIMES[times[-1]] - TIMES[times[0]]),
    }


def best_times(errors: Floats) -> NDArray[np.intp]:
    """The indices of times, `[F]`, that never fall and have the least sum of `errors`, `[F, T]`."""
    total, back = errors[0], list[list[np.intp]]()
    for row in errors[1:]:  # the best time before each, and the least sum up to it
        back.append([total[: index + 1].argmin() for index in range(len(total))])
        total = row + total[back[-1]]
    path = [int(total.argmin())]
    for best in reversed(back):
        path.append(int(best[path[-1]]))
    return np.array(path[::-1])


def _means(errors: Floats, mask: NDArray[np.bool_]) -> Floats:
    """The mean error in the mask of each frame that has enough of it."""
    enough = mask.sum(1) > _LEAST_PIXELS
    means: Floats = (errors * mask)[enough].sum(1) / mask[enough].sum(1)
    return means


def _decibels(errors: Floats) -> float:
    """PSNR of the mean of some frames' mean square errors of values in [0, 1]; nan without frames."""
    return float(-10 * np.log10(max(errors.mean(), 1e-10))) if errors.size else float("nan")

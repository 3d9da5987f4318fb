"""What rectification and a late start add to a model that sees its image: `python -m benchmarks.rectified_conditioned`.

The built-in model's image-conditioned sibling animates first frames of held-out scenes. The table has means over scenes with
95 % intervals.
"""

from __future__ import annotations

import argparse
import contextlib
from collections import defaultdict

import numpy as np

from lib_noiserect.core.settings import Settings
from lib_noiserect.evaluation.intervals import mean_interval, number
from lib_noiserect.media.metrics import measure, shift
from lib_noiserect.pipelines.rectification import rectified
from lib_noiserect.tiny.world import DIRECTIONS, held_out_scenes, pixels_of

from .image_conditioned import FOLDER, animate_conditioned, load_conditioned, speedy_times

METHODS = {
    "the model alone": (False, 1.0),
    "late start, M = 0.9": (False, 0.9),
    "rectified": (True, 1.0),
    "rectified, M = 0.9": (True, 0.9),
}
MEASURES = {"SSIM to the image": "ssim", "SSIM of frame 0": "first", "way, of the true one": "way", "ghosts": "ghosts"}
FRAMES, _SPEEDS_SEED = 8, 1002


def measured(count: int, steps: int) -> dict[str, dict[str, list[float]]]:
    """The measures of each method, one number per scene.

    `way` is how far things move in the prompted direction, as a share of the true video's; `ghosts` is the warp residual.
    """
    pipe = load_conditioned(FOLDER / "plain.safetensors", "cpu")
    pipe.set_progress_bar_config(disable=True)
    scenes, times = held_out_scenes(count), speedy_times(count, FRAMES, _SPEEDS_SEED)
    figures: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for index in range(count):
        scene = scenes.part(slice(index, index + 1))
        real = pixels_of(scene.render(times[index])[0])
        along = list(DIRECTIONS.values())[int(scene.direction)]
        for method, (rectifies, start_time) in METHODS.items():
            settings = Settings(enabled=rectifies, start_time=start_time if rectifies else 1.0)
            with rectified(pipe, real[0], settings) if rectifies else contextlib.nullcontext():
                video = animate_conditioned(
                    pipe, real[0], scene.captions[0], start_time=1.0 if rectifies else start_time, steps=steps, seed=index
                )
            measures = measure(video, real[0])
            way = float(np.dot(shift(video), along)) / float(np.dot(shift(real), along))
            values = (measures.ssim, measures.ssim_first, way, measures.warp_residual)
            for name, value in zip(MEASURES.values(), values):
                figures[method][name].append(value)
    return figures


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=48, help="number of scenes (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=10, help="sampling steps (default: %(default)s)")
    arguments = parser.parse_args()
    print(f"| method | {' | '.join(MEASURES)} |\n|---|{'---|' * len(MEASURES)}")
    for method, values in measured(arguments.images, arguments.steps).items():
        cells = []
        for name in MEASURES.values():
            estimate = mean_interval(values[name])
            cells.append(f"{number(estimate.mean, 3)} [{number(estimate.low, 3)}, {number(estimate.high, 3)}]")
        print(f"| {method} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()

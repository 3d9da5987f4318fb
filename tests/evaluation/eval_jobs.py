"""Images, videos and figures for tests of the evaluation: what stands for a model and for a scorer."""

import numpy as np

from lib_noiserect.evaluation.captioned_images import CaptionedImage
from lib_noiserect.evaluation.rectification_report import FAMILIES
from lib_noiserect.evaluation.trials import Results

CONDITIONS = {"seed": 0, "steps": 10, "guidance": 2.0, "frames": 3}
WAYS = ("left", "right", "up", "down")


def results_in(folder):
    """The results of the paper's experiments in a folder."""
    return Results(folder, FAMILIES)


def texture(seed, size=32):
    """A smooth random image, `[size, size, 3]` uint8."""
    coarse = np.random.default_rng(seed).uniform(0, 255, (size // 4 + 3, size // 4 + 3, 3))
    fine = np.kron(coarse, np.ones((4, 4, 1)))
    for axis in (0, 1):
        fine = sum(np.roll(fine, shift, axis) for shift in range(4)) / 4
    return fine[4 : 4 + size, 4 : 4 + size].round().astype(np.uint8)


def some_images(count=2):
    return [CaptionedImage(f"p{index}", f"a thing moving {way}", texture(index)) for index, way in zip(range(count), WAYS)]


def make(trial, pixels):
    """The image, drifting to the left; the less of it is kept, the less the trial rectifies."""
    noise = np.random.default_rng(trial.seed).uniform(0, 255, pixels.shape)
    strength = 0.9 if trial.method in ("pivot", "following") else 0.6
    keep = (trial.tau_end - trial.tau_start) * strength if trial.rectifies else 0.1
    frames = [keep * np.roll(pixels, -index, 1) + (1 - keep) * noise for index in range(trial.frames)]
    return np.stack(frames).round().astype(np.uint8)


def score(video, image, caption):
    return {"image_fidelity": 0.5, "clip_model": "none", "clip_weights": caption}

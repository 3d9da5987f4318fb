"""The search for the motion of a target similarity: the short runs, and the similarity itself."""

import numpy as np

from lib_noiserect.core.settings import Settings
from lib_noiserect.pipelines import animation


def test_short_runs_are_small(monkeypatch):
    """At most 8 steps and sides of 256, near the image's proportions in multiples of 64; masks and keyframes too."""
    seen = []

    def made(pipe, picture, prompt, settings, **given):
        seen.append((picture.shape, given))
        return np.stack([picture] * given["frames"]), None

    monkeypatch.setattr(animation, "animate", made)
    picture = np.random.default_rng(0).integers(0, 255, (320, 480, 3), dtype=np.uint8)
    pipe = type(
        "Pipe", (), {"set_progress_bar_config": lambda self, **given: setattr(self, "_progress_bar_config", given)}
    )()
    pipe.set_progress_bar_config(desc="mine")
    settings = Settings(tau_end=1.0, target_ssim=0.5)
    given = {"key_frames": {3: picture}, "mask": np.full((320, 480), 255, np.uint8), "seed": 4}
    found = animation.find_motion_for(pipe, picture, "a fish", settings, **given, steps=25, frames=4)
    assert found.settings.motion == 1.0 and pipe._progress_bar_config == {"desc": "mine"}
    shape, asked = seen.pop()
    assert shape == picture.shape and asked["steps"] == 25 and asked["key_frames"][3] is picture, (
        "the last one is whole"
    )
    for shape, asked in seen:
        assert shape == (192, 256, 3) and asked["key_frames"][3].shape == shape and asked["mask"][0].shape == shape[:2]
        assert asked["steps"] == 8 and asked["frames"] == 4 and asked["seed"] == 4


def test_similarity_is_to_the_nearest_picture():
    random = np.random.default_rng(0)
    one, other = (random.integers(0, 255, (32, 32, 3), dtype=np.uint8) for _ in range(2))
    clip = np.stack([one, one, other, other])
    assert animation.mean_ssim(clip, {0: one, 3: other}) == 1 and animation.mean_ssim(clip, {0: one}) < 0.6
    ring = np.stack([one, one, other, other, one, one])
    assert animation.mean_ssim(ring, {0: one, 2: other}, loop=True) == 1 > animation.mean_ssim(ring, {0: one, 2: other})

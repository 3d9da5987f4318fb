"""The measures against the world's own frames: videos whose figures are known."""

import itertools
import math

import numpy as np
import pytest
import torch

from lib_noiserect.evaluation.continuation import TIMES, Truth, best_times, continuation, held_out_truth
from lib_noiserect.tiny.world import Scenes, held_out_scenes, pixels_of

SCENE = held_out_scenes(4).part(slice(1, 2))


@pytest.fixture(scope="module")
def truth():
    return Truth.of(SCENE, 64)


def true_video(times):
    return pixels_of(SCENE.render(times)[0])


def test_the_worlds_own_video_has_hardly_an_error_and_goes_the_whole_way(truth):
    figures = continuation(true_video(TIMES[2:43:4]), truth)  # 0 to 1
    assert figures["way"] == pytest.approx(1.0)
    assert all(figures[name] > 58 for name in ("moving_psnr", "left_psnr", "creature_psnr"))  # rounding alone


def test_a_still_video_leaves_no_place(truth):
    figures = continuation(true_video(torch.zeros(5)), truth)
    assert figures["way"] == 0 and math.isnan(figures["left_psnr"]) and figures["moving_psnr"] > 58


def test_a_ghost_shows_where_the_creature_was(truth):
    video = true_video(TIMES[2:43:4]).astype(float)
    ground = pixels_of(SCENE.empty()[0]).astype(float)
    ghost = (video + 0.4 * (video[0] - ground)).clip(0, 255).round().astype(np.uint8)
    clean = continuation(video.astype(np.uint8), truth)
    figures = continuation(ghost, truth)
    assert figures["left_psnr"] < 30 < clean["left_psnr"] - 20
    assert figures["way"] == pytest.approx(1.0, abs=0.1)


def test_an_error_of_a_known_size(truth):
    video = true_video(TIMES[2:43:4]).astype(int)
    off = np.where(video > 127, video - 10, video + 10).astype(np.uint8)
    figures = continuation(off, truth)
    assert figures["moving_psnr"] == pytest.approx(20 * math.log10(25.5), abs=0.05)
    assert figures["left_psnr"] == pytest.approx(20 * math.log10(25.5), abs=0.3)


def test_errors_elsewhere_do_not_count(truth):
    video = true_video(TIMES[2:43:4])
    other = np.where(truth.area[:, :, None], video, 0)
    assert continuation(other, truth) == continuation(video, truth)


def test_best_times_are_the_best_of_all_that_never_fall():
    for seed in range(20):
        errors = np.random.default_rng(seed).uniform(size=(4, 5))
        allowed = itertools.combinations_with_replacement(range(5), 4)
        expected = min(allowed, key=lambda path: sum(errors[range(4), path]))
        assert tuple(best_times(errors)) == expected


def test_truth_of_a_held_out_scene_in_another_size():
    small = held_out_truth(1, 4, 32)
    assert small.area.shape == (32, 32) and small.frames.shape == (55, small.area.sum(), 3)
    assert small.start.any() and not small.start.all()
    assert continuation(pixels_of(SCENE.render(TIMES[2:43:4], 32)[0]), small)["way"] == pytest.approx(1.0)


def test_only_the_creature_is_missing_in_an_empty_scene():
    scenes = Scenes.draw(3, 5)
    far = torch.tensor([50.0])  # the creature is out of sight, its wake too
    assert torch.equal(scenes.render(far)[:, 0], scenes.empty())
    assert torch.equal(scenes.render(far, camera=(5.0, -3.0))[:, 0], scenes.empty(camera=(5.0, -3.0)))

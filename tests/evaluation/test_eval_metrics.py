"""Metrics: cases whose figures are known."""

import math

import numpy as np
import pytest
from eval_jobs import texture

from lib_noiserect.media import metrics
from lib_noiserect.media.images import MediaError
from lib_noiserect.tiny.world import DIRECTIONS, Scenes


def still(picture, frames=4):
    return np.repeat(picture[None], frames, axis=0)


def moving(shift, frames=5, size=64):
    """A textured plane that moves by `shift` (right, down) pixels a frame."""
    plane, (right, down) = texture(3, 128), shift
    tops = [(32 - down * index, 32 - right * index) for index in range(frames)]
    return np.stack([plane[top : top + size, left : left + size] for top, left in tops])


def test_the_picture_itself():
    picture = texture(0)
    measures = metrics.measure(still(picture), picture)
    assert measures.pop("ssim") == measures.pop("ssim_first") == pytest.approx(1)
    assert measures.pop("psnr") == measures.pop("psnr_first") == pytest.approx(58.92, abs=0.01)
    assert measures == dict.fromkeys(("gmsd", "colour_drift", "motion", "warp_residual", "ghost"), 0)
    assert metrics.direction(still(picture)) == "still"


def test_figures_are_floats():
    picture = texture(0)
    noisy = np.random.default_rng(0).integers(0, 255, (3, 32, 32, 3)).astype(np.uint8)
    values = metrics.measure(noisy, picture)
    assert all(type(value) is float and math.isfinite(value) for value in values.values())
    assert values["ssim"] < 0.5 and values["gmsd"] > 0.1 and values["warp_residual"] > 5


def test_psnr_by_hand():
    picture = np.full((16, 16, 3), 100, np.uint8)
    clip = still(picture, 2)
    clip[1] += 5  # an error of 25 on average: 10·log10(65025 / 25)
    assert metrics.psnr_per_frame(clip, picture)[1] == pytest.approx(34.1514, abs=1e-4)
    clip[1] = 100
    clip[1, :8] = 120  # 400 on one half
    assert metrics.psnr_per_frame(clip, picture)[1] == pytest.approx(10 * math.log10(255**2 / 200))


def test_each_frame_has_its_own_figure():
    picture = texture(1)
    clip = still(picture, 3)
    clip[1] = 255 - clip[1]
    for per_frame in (metrics.ssim_per_frame, metrics.psnr_per_frame):
        first, inverted, last = per_frame(clip, picture)
        assert first == last > 1.5 * inverted
    # Gradients do not see the inversion, colours do.
    assert metrics.gmsd_per_frame(clip, picture) == pytest.approx([0, 0, 0], abs=1e-3)
    assert metrics.color_drift_per_frame(clip, picture)[[0, 2]] == pytest.approx(0)


def test_colour_drift_of_a_known_tint():
    grey = np.full((16, 16, 3), 119, np.uint8)
    lighter = still(grey + np.uint8(50), 2)
    # L* of sRGB 119 is 50.0 and of 169 is 69.2; greys have a* = b* = 0.
    assert metrics.color_drift_per_frame(lighter, grey) == pytest.approx([19.2, 19.2], abs=0.1)
    # CIELAB of sRGB red is (53.2, 80.1, 67.2).
    red = still(np.full((16, 16, 3), (255, 0, 0), np.uint8), 2)
    assert metrics.color_drift_per_frame(red, grey)[0] == pytest.approx(math.dist((53.2, 80.1, 67.2), (50, 0, 0)), abs=0.2)


@pytest.mark.parametrize("shift, way", [((1, 0), "right"), ((-2, 0), "left"), ((0, -3), "up"), ((1, 2), "down")])
def test_a_known_translation(shift, way):
    clip = moving(shift)
    assert metrics.motion(clip) == pytest.approx(math.hypot(*shift), rel=0.1)
    assert metrics.direction(clip) == way
    unexplained = np.abs(np.diff(clip.astype(float), axis=0)).mean()
    assert metrics.warp_residual(clip) < 0.1 * unexplained


@pytest.mark.parametrize("noise", [0, 12])
def test_direction_of_a_creature_on_a_still_ground(noise):
    scenes = Scenes.draw(12, seed=77)
    clean = scenes.render().permute(0, 1, 3, 4, 2).numpy() * 255
    noisy = clean + np.random.default_rng(1).normal(0, noise, clean.shape)
    found = [metrics.direction(clip) for clip in noisy.clip(0, 255).round().astype(np.uint8)]
    assert found == [list(DIRECTIONS)[index] for index in scenes.direction.tolist()]


def test_noise_on_a_still_picture_has_no_direction():
    noisy = still(texture(0, 64), 8) + np.random.default_rng(0).normal(0, 8, (8, 64, 64, 3))
    assert metrics.direction(noisy.clip(0, 255).astype(np.uint8)) == "still"


@pytest.mark.parametrize(
    "caption, expected",
    [
        ("a red fish moving left over a blue ground", "left"),
        ("Moving UP", "up"),
        ("a man with his left hand up", None),
        ("moving left, then moving right", None),
        ("moving leftovers", None),
    ],
)
def test_the_direction_that_a_caption_names(caption, expected):
    assert metrics.named_direction(caption) == expected


@pytest.mark.parametrize(
    "clip, picture, message",
    [
        (np.zeros((1, 32, 32, 3), np.uint8), np.zeros((32, 32, 3), np.uint8), "at least two frames"),
        (np.zeros((2, 32, 32, 3)), np.zeros((32, 32, 3), np.uint8), "video is float64"),
        (np.zeros((2, 3, 32, 32), np.uint8), np.zeros((3, 32, 32), np.uint8), r"shape \(2, 3, 32, 32\)"),
        (np.zeros((2, 8, 32, 3), np.uint8), np.zeros((8, 32, 3), np.uint8), "32x8 pixels: use at least 16x16"),
        (np.zeros((2, 32, 32, 3), np.uint8), np.zeros((64, 64, 3), np.uint8), "use a uint8 image of their size"),
    ],
)
def test_what_is_no_clip_is_refused(clip, picture, message):
    with pytest.raises(MediaError, match=message):
        metrics.measure(clip, picture)

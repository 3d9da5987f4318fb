"""The measure of ghosts: a disk that crosses a ground and leaves nothing, a print of itself, or its negative."""

import cv2
import numpy as np
import pytest

from lib_noiserect.media.metrics import flow, ghosts


def video(print_share=0.0, frames=10, size=64, ground_seed=0):
    """A textured disk that moves to the right by 3 pixels a frame; what it leaves is a share of its contrast."""
    random = np.random.default_rng(ground_seed)
    ground = cv2.GaussianBlur(random.uniform(0, 255, (size, size, 3)), (0, 0), 2.0)
    ground = 120 + 1.5 * (ground - ground.mean())
    texture = cv2.GaussianBlur(random.uniform(0, 255, (size, size, 3)), (0, 0), 1.2)
    body = np.array([190.0, 60, 50]) + 1.5 * (texture - texture.mean())
    y, x = np.mgrid[:size, :size]
    made = []
    for index in range(frames):
        disk = (np.hypot(x - 16 - 3 * index, y - 32) < 9)[..., None]
        start = (np.hypot(x - 16, y - 32) < 9)[..., None]
        left = ground + print_share * start * (body - ground) * (index > 0)
        made.append(np.where(disk, np.roll(body, 3 * index, 1), left))
    return np.stack(made).clip(0, 255).round().astype(np.uint8)


def test_a_thing_that_leaves_nothing_has_no_ghost():
    assert ghosts(video()) < 0.1


@pytest.mark.parametrize("share", [0.3, -0.3, 0.6])
def test_a_print_shows_by_its_share_whatever_its_sign(share):
    assert ghosts(video(share)) == pytest.approx(abs(share), abs=0.15)
    assert ghosts(video(share)) > ghosts(video(share / 2)) + 0.05


def test_nothing_leaves_a_still_video():
    assert ghosts(np.repeat(video()[:1], 4, 0)) == 0


def test_known_flows_give_the_same_figure():
    made = video(0.3)
    assert ghosts(made, [flow(one, other) for one, other in zip(made[:-1], made[1:])]) == ghosts(made)

"""Motion masks by hand: sizes, soft edges that stay inside, and changes between two of them."""

import pytest
import torch

from lib_noiserect.core.motion_mask import motion_mask
from lib_noiserect.core.settings import SettingsError


def rectangle(height=32, width=48, top=8, bottom=24, left=8, right=32):
    mask = torch.zeros(height, width)
    mask[top:bottom, left:right] = 1.0
    return mask


def test_a_hard_mask_by_hand():
    """48 × 32 pixels to 6 × 4: rows 1 and 2 and columns 1 to 3 are inside."""
    made = motion_mask({0: rectangle()}, 3, 4, 6, feather=0.0)
    assert made.shape == (3, 1, 4, 6) and made.dtype == torch.float32
    expected = torch.zeros(4, 6)
    expected[1:3, 1:4] = 1.0
    assert all(torch.equal(frame[0], expected) for frame in made)


def test_a_latent_pixel_on_the_edge():
    """The mask begins in the middle of a latent pixel: half of it, or nothing where the edge is soft."""
    mask = rectangle(8, 32, 0, 8, 12, 32)
    assert motion_mask({0: mask}, 1, 1, 4, feather=0.0).flatten().tolist() == [0, 0.5, 1, 1]
    assert motion_mask({0: mask}, 1, 1, 4, feather=0.1).flatten().tolist() == pytest.approx([0, 0, 1, 1], abs=1e-5)


def test_grey_moves_half_as_freely():
    assert motion_mask({0: torch.full((8, 8), 0.5)}, 2, 2, 2, feather=0.0).flatten().tolist() == [0.5] * 8


@pytest.mark.parametrize("feather", [0.5, 1.0, 2.0])
def test_a_soft_edge_is_inside(feather):
    """Exactly nothing outside, half of a Gaussian from the edge on (2·Φ(x) - 1), and everything far inside."""
    mask = torch.zeros(24, 32)
    mask[:, 16:] = 1.0
    made = motion_mask({0: mask}, 1, 24, 32, feather=feather)[0, 0]
    assert bool((made[:, :16] == 0).all())
    rising = made[12, 16:]
    assert bool((rising[1:] >= rising[:-1]).all()) and float(rising[-1]) == pytest.approx(1, abs=1e-3)
    normal = torch.distributions.Normal(0.0, feather)
    at_middles = [2 * float(normal.cdf(torch.tensor(index + 0.5))) - 1 for index in range(8)]
    assert rising[:8].tolist() == pytest.approx(at_middles, abs=0.12 if feather < 1 else 0.04)


def test_everything_inside_stays_so_to_the_border():
    assert bool((motion_mask({0: torch.ones(16, 16)}, 1, 4, 4, feather=2.0) > 1 - 1e-6).all())


def test_between_two_masks_each_pixel_changes_linearly():
    left, right = torch.zeros(2, 4), torch.zeros(2, 4)
    left[:, :2] = 1.0
    right[:, 2:] = 1.0
    made = motion_mask({1: left, 5: right}, 7, 2, 4, feather=0.0)[:, 0, 0]
    assert made[:, 0].tolist() == [1, 1, 0.75, 0.5, 0.25, 0, 0]
    assert made[:, 3].tolist() == [0, 0, 0.25, 0.5, 0.75, 1, 1]
    # Round the ring: frames 6 and 0 are a third and two thirds of the way from frame 5 back to frame 1.
    ring = motion_mask({1: left, 5: right}, 7, 2, 4, feather=0.0, loop=True)[:, 0, 0, 0]
    assert [float(ring[6]), float(ring[0])] == pytest.approx([1 / 3, 2 / 3])


@pytest.mark.parametrize("feather", [0.0, 1.0])
def test_an_empty_mask_is_refused(feather):
    with pytest.raises(SettingsError, match="the motion mask of frame 3 is empty"):
        motion_mask({0: torch.ones(8, 8), 3: torch.zeros(8, 8)}, 4, 2, 2, feather=feather)


def test_an_edge_wider_than_the_mask_is_refused():
    mask = rectangle(128, 128, 56, 72, 56, 72)
    assert float(motion_mask({0: mask}, 1, 16, 16, feather=0.5).max()) > 0.5
    with pytest.raises(SettingsError, match="mask_feather = 4 is too wide for the motion mask of frame 0"):
        motion_mask({0: mask}, 1, 16, 16, feather=4.0)


def test_a_mask_of_a_frame_beyond_the_clip_is_refused():
    with pytest.raises(SettingsError, match="keyframe 9 is outside the video of 4 frames"):
        motion_mask({9: torch.ones(8, 8)}, 4, 2, 2, feather=0.0)

"""Follow motion in the stand-in's jobs."""

import pytest
import torch
from PIL import ImageOps
from test_controlled_jobs import encoded
from test_extension import FROZEN, MOVING, rectify

FOLLOW = {**MOVING, "follow_motion": True}


@pytest.fixture
def host(with_extension):
    return with_extension


@pytest.mark.parametrize("sampler", ["Euler a", "DDIM"])
def test_the_first_frame_stays_the_image_and_the_others_change(host, picture, sampler):
    job, still = (rectify(host, picture, settings, sampler=sampler) for settings in (FOLLOW, MOVING))
    torch.testing.assert_close(job.latents[0][0], still.latents[0][0], atol=1e-5, rtol=0)
    assert (job.latents[0][1:] - still.latents[0][1:]).abs().max() > 1e-3
    assert torch.equal(job.latents[0], rectify(host, picture, FOLLOW, sampler=sampler).latents[0])
    assert "Noise Rectification follow motion: True" in job.infotexts[0]
    assert "follow motion" not in still.infotexts[0]


def test_a_frozen_job_is_frozen(host, picture):
    frozen = rectify(host, picture, {**FROZEN, "follow_motion": True})
    assert torch.equal(frozen.latents[0], rectify(host, picture).latents[0])


@pytest.mark.parametrize(
    "more",
    [
        {"loop": True},
        {"release": 0.5, "tau_end": 0.4},
        {"hold_colour": True, "tau_end": 0.4},
        {"motion": 0.5, "omega": "motion"},
    ],
)
def test_it_goes_with_the_other_controls(host, picture, more):
    last = encoded(ImageOps.mirror(ImageOps.invert(picture)))
    follow, still = (
        rectify(host, picture, {**settings, **more, "key_frames": {"3": last}, "pin_first_frame": True}).latents[0]
        for settings in (FOLLOW, MOVING)
    )
    torch.testing.assert_close(follow[[0, 3]], still[[0, 3]], atol=1e-5, rtol=0)
    assert follow.isfinite().all() and not torch.equal(follow, still)

"""Follow motion on stock pipelines with random weights: the exact facts stay, and frames that move change."""

from dataclasses import replace

import pytest
import torch
from test_rectified import FREE, FROZEN, aligned, clip, far, picture, with_scheduler
from tiny_pipelines import shared

from lib_noiserect.pipelines import rectified

FOLLOW = replace(FREE, follow_motion=True)
LAYOUTS = ("AnimateDiff", "CogVideoX", "Wan", "LTX")


def ended(make, settings, images=None, **call):
    pipe, defaults = make()
    with rectified(pipe, images or picture(), settings) as rectification:
        latents = clip(pipe, {**defaults, **call})
    return aligned(latents, rectification), aligned(rectification.pivot, rectification)


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_pipeline_keeps_its_first_frame_and_moves_the_others(name):
    follow, pivot = ended(lambda: shared(name), FOLLOW)
    still, _ = ended(lambda: shared(name), FREE)
    assert far(follow[0], pivot[0]) < 1e-5 and torch.isfinite(follow).all()
    assert (follow[1:] - still[1:]).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["Euler a", "DDIM zero SNR v"])
def test_every_kind_of_scheduler_does(name):
    def make():
        return with_scheduler(name)

    follow, pivot = ended(make, FOLLOW)
    assert far(follow[0], pivot[0]) < 1e-5
    assert torch.equal(follow, ended(make, FOLLOW)[0])


def test_frozen_videos_are_frozen():
    frozen, pivot = ended(lambda: shared("AnimateDiff"), replace(FROZEN, follow_motion=True))
    assert far(frozen, pivot) < 1e-5


def test_every_keyframe_is_its_image():
    follow, pivot = ended(lambda: shared("AnimateDiff"), FOLLOW, {0: picture(), 3: picture(2)})
    assert far(follow[[0, 3]], pivot[[0, 3]]) < 1e-5

"""Clips as rings: all neighbours meet in some call, everything is turned back, and attributes are the model's."""

import pytest
import torch

from lib_noiserect.core.loop import TurnedModel, turn


@pytest.mark.parametrize("num_frames, calls", [(2, 10), (3, 50), (5, 25), (8, 50), (16, 25), (24, 50), (32, 10), (96, 25)])
def test_the_seam_is_never_at_one_place(num_frames, calls):
    """The two frames that are not neighbours in a call are others in most calls, and the first call is not turned."""
    turns = [turn(call, num_frames) for call in range(calls)]
    assert turns[0] == 0 and all(0 <= by < num_frames for by in turns)
    most = max(turns.count(by) for by in set(turns))
    assert most <= -(-calls // num_frames) + 2
    # The seam of the clip, between its last frame and its first, is inside of nearly all calls.
    assert turns.count(0) <= -(-calls // num_frames) + 1
    if num_frames <= calls / 2:
        assert set(turns) == set(range(num_frames)), "every pair of neighbours round the ring"


class Neighbours:
    """Answers with the number of the frame before each in the model's eyes."""

    inner_model = "the wrapped model"

    def __init__(self):
        self.seen = []

    def __call__(self, x, level, scale=1.0):
        self.seen.append(x.flatten().tolist())
        self.last_noise_uncond = x * 10
        return x * scale


def test_the_model_sees_the_clip_turned_and_the_sampler_does_not():
    model, frames = Neighbours(), torch.arange(5.0).view(5, 1, 1, 1)
    turned = TurnedModel(model)
    for call in range(12):
        answer = turned(frames, torch.ones(5), scale=2.0)
        assert torch.equal(answer, frames * 2)
        assert torch.equal(turned.last_noise_uncond, frames * 10), "CFG++ reads this after each call"
        by = turn(call, 5)
        assert model.seen[call] == [float((index - by) % 5) for index in range(5)]
    followers = {(one, other) for seen in model.seen for one, other in zip(seen, seen[1:])}
    assert followers == {(float(index), float((index + 1) % 5)) for index in range(5)}


def test_a_model_that_takes_frames_one_by_one_answers_the_same_bits():
    random = torch.Generator().manual_seed(0)
    weight = torch.randn(4, 4, generator=random)
    model = lambda x, level: torch.einsum("cd,fdhw->fchw", weight, x).tanh()  # noqa: E731
    turned = TurnedModel(model)
    for _ in range(7):
        x = torch.randn(6, 4, 3, 3, generator=random)
        assert torch.equal(turned(x, torch.ones(6)), model(x, torch.ones(6)))


def test_attributes_are_the_models_both_ways():
    model = Neighbours()
    turned = TurnedModel(model)
    turned.cond_scale_miltiplier = 0.08
    assert model.cond_scale_miltiplier == 0.08 and turned.inner_model == "the wrapped model"
    turned.last_noise_uncond = None
    assert model.last_noise_uncond is None and turned.last_noise_uncond is None
    with pytest.raises(AttributeError):
        turned.nothing  # noqa: B018

"""Key frames: hat weights and distances by hand, slerp, and that every key frame ends as its picture."""

import pytest
import torch
from closeness import assert_close
from test_pivot import EVERY, FRAMES, SIGMAS, TOLERANCE, omega_for, sampling
from test_rectify import random

from lib_noiserect.core import noise_levels
from lib_noiserect.core.correction import Correction
from lib_noiserect.core.keyframes import Keyframes
from lib_noiserect.core.pivot import Pivot
from lib_noiserect.core.rectify import pin_keyframes, rectify
from lib_noiserect.core.reference import interpolate, slerp
from lib_noiserect.core.settings import Settings, SettingsError


def test_hat_weights_by_hand():
    assert Keyframes((4, 1), 6).hat_weights == [
        [1, 0],
        [1, 0],
        [pytest.approx(2 / 3), pytest.approx(1 / 3)],
        [pytest.approx(1 / 3), pytest.approx(2 / 3)],
        [0, 1],
        [0, 1],
    ]
    assert Keyframes((0, 2), 4, loop=True).hat_weights == [[1, 0], [0.5, 0.5], [0, 1], [0.5, 0.5]]
    assert Keyframes((1,), 4, loop=True).hat_weights == [[1]] * 4
    assert Keyframes((0,), 3).hat_weights == [[1]] * 3
    # From frame 3 round to frame 1 it is 3 steps: 4 is one of them, 0 two.
    rows = Keyframes((1, 3), 5, loop=True).hat_weights
    assert [*rows[4], *rows[0]] == pytest.approx([1 / 3, 2 / 3, 2 / 3, 1 / 3])


def test_distances_by_hand():
    assert Keyframes((0,), 5).distances() == [0, 0.25, 0.5, 0.75, 1]
    assert Keyframes((0,), 5, loop=True).distances() == [0, 0.5, 1, 1, 0.5]
    assert Keyframes((1, 4), 8).distances() == [1 / 3, 0, 1 / 3, 1 / 3, 0, 1 / 3, 2 / 3, 1]
    assert Keyframes((0,), 1).distances() == [0]
    assert Keyframes(tuple(range(3)), 3).distances() == [0, 0, 0]


def test_slerp_keeps_the_ends_and_the_length():
    one, other = random(4, 3, 3), random(4, 3, 3, seed=1) * 2
    assert slerp(one, other, 0.0) is one and slerp(one, other, 1.0) is other
    middle = slerp(one, other, 0.5)
    assert float(middle.norm()) == pytest.approx(float(one.norm() + other.norm()) / 2)
    # Half way, both are equally far by angle.
    cosines = [float((middle * end).sum() / end.norm()) for end in (one, other)]
    assert cosines[0] == pytest.approx(cosines[1])
    # A quarter turn, by hand.
    turned = slerp(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), 1 / 3)
    assert turned.tolist() == pytest.approx([3**0.5 / 2, 0.5])


@pytest.mark.parametrize("factor", [1.0, -1.0, 0.0, 3.0])
def test_slerp_between_parallel_latents_is_straight(factor):
    one = random(2, 3)
    assert_close(slerp(one, one * factor, 0.25), one * (0.75 + 0.25 * factor))


def test_held_or_turned_between_two_pictures():
    keys, latents = Keyframes((1, 4), 6), random(2, 4, 3, 3)
    stills = latents[:, None].expand(-1, 6, -1, -1, -1)
    held = interpolate(keys, stills, "hold")
    assert [int(frame.equal(latents[1])) for frame in held] == [0, 0, 0, 1, 1, 1]
    turned = interpolate(keys, stills)
    assert turned[0].equal(latents[0]) and turned[1].equal(latents[0]) and turned[5].equal(latents[1])
    assert_close(turned[2], slerp(latents[0], latents[1], 1 / 3))


@pytest.mark.parametrize(
    "frames, message",
    [((), "no keyframe"), ((0, 8), "keyframe 8 .* use 0 to 7"), ((-1,), "-1"), ((2, 2), "two images")],
)
def test_wrong_key_frames_are_refused(frames, message):
    with pytest.raises(SettingsError, match=message):
        Keyframes(frames, 8)


def test_one_key_frame_at_the_start_is_the_paper():
    prediction, reference, omega = random(5, 2, 3, 3), random(5, 2, 3, 3, seed=1), torch.linspace(1, 0, 5)
    assert_close(
        rectify(prediction, reference, omega, Keyframes((0,), 5)), rectify(prediction, reference, omega)
    )


def test_rectified_between_two_key_frames_by_hand():
    prediction, reference = torch.tensor([[1.0], [2.0], [5.0]]), torch.tensor([[2.0], [7.0], [8.0]])
    # The gaps of frames 0 and 2 are 1 and 3, so frame 1 has half of both: 0.5·(2 + 2) + 0.5·7.
    keys = Keyframes((0, 2), 3)
    assert rectify(prediction, reference, torch.full((3,), 0.5), keys).flatten().tolist() == [2, 5.5, 8]
    assert pin_keyframes(prediction, reference, keys).flatten().tolist() == [2, 2, 8]


def run(name, model, clean, noise, plan):
    sampler, kwargs = EVERY[name]
    pivot_run = Pivot(
        sampler, {"disable": True, **kwargs}, x0=clean, level_of=noise_levels.ve, prediction="x0", modules=[sampling]
    )
    return pivot_run(
        model, noise_levels.noised(clean, noise, noise_levels.ve(float(SIGMAS[0]))), plan, pivot_run.steps(model)
    )


@pytest.mark.parametrize("name", ["euler", "dpm_2_a", "dpmpp_3m_sde"])
@pytest.mark.parametrize("frames, loop", [((0, 4), False), ((1, 3), True)])
def test_every_key_frame_is_its_picture(name, frames, loop, toy_model, reference_noise):
    torch.default_generator.manual_seed(11)
    keys, pictures = Keyframes(frames, FRAMES, loop), random(2, 4, 6, 6, seed=5)
    clean = interpolate(keys, pictures[:, None].expand(-1, FRAMES, -1, -1, -1))
    plan = Correction(Settings(tau_end=1.0), omega_for(0.8), keys)
    result = run(name, toy_model, clean, reference_noise, plan)
    assert_close(result[list(frames)], pictures, **TOLERANCE)
    others = [frame for frame in range(FRAMES) if frame not in frames]
    assert (result[others] - clean[others]).abs().amax((1, 2, 3)).min() > 0.01


@pytest.mark.parametrize("name", ["euler", "dpmpp_2m", "euler_a"])
def test_outside_a_mask_nothing_moves(name, toy_model, clean, reference_noise):
    torch.default_generator.manual_seed(11)
    mask = torch.zeros(1, 1, 6, 6, dtype=torch.float64)
    mask[..., 2:5, 1:4] = 1.0
    omega = omega_for([0.9, 0.8, 1.0, 0.5, 0.7]).view(-1, 1, 1, 1) * mask
    result = run(name, toy_model, clean, reference_noise, Correction(Settings(tau_end=1.0), omega))
    still = mask[0, 0] == 0
    assert_close(result[..., still], clean.expand_as(result)[..., still], **TOLERANCE)
    assert (result[1:] - clean)[..., ~still].abs().amax((1, 2)).min() > 0.01


def test_frames_are_let_go_one_after_another():
    """Window to step 4 of 10 and release over 4 steps: frame i of 5 gets 1 - passed/(0.4·(1 - i/4))."""
    plan = Correction(Settings(tau_end=0.4, release=0.4), torch.ones(5))
    held = [[round(float(value), 3) for value in plan._strengths(step, 10)] for step in (4, 5, 6, 8)]
    assert held == [
        [1.0, 1.0, 1.0, 1.0, 0.0],
        [0.75, 0.667, 0.5, 0.0, 0.0],
        [0.5, 0.333, 0.0, 0.0, 0.0],
        [0.0] * 5,
    ]
    prediction, reference = random(5, 1, 2, 2), random(5, 1, 2, 2, seed=1)
    whole = rectify(prediction, reference, torch.ones(5))
    part = plan.at(6, 10, begun=True)(prediction, reference, None)
    assert_close(part[0], (prediction[0] + whole[0]) / 2, atol=1e-4, rtol=1e-4)
    assert part[2:].equal(prediction[2:])
    assert plan.at(8, 10, begun=True) is None
    assert plan.at(6, 10, begun=False) is None
    pinned = Correction(Settings(tau_end=0.4, pin_first_frame=True, release=0.4), torch.ones(5))
    assert pinned.at(6, 10, begun=True)(prediction, reference, None)[0].equal(reference[0])
    assert pinned.at(9, 10, begun=True)(prediction, reference, None)[0].equal(reference[0])

"""The formula against Algorithm 1 as printed, against numbers worked out by hand, and its properties."""

import pytest
import torch
from closeness import assert_close

from lib_noiserect.core import noise_levels
from lib_noiserect.core.correction import Correction
from lib_noiserect.core.keyframes import Keyframes
from lib_noiserect.core.noise_levels import Level, from_x0, reference_prediction, to_x0
from lib_noiserect.core.rectify import hold_color, pin_keyframes, rectify
from lib_noiserect.core.settings import Settings


def algorithm_1(predicted, noise, omega):
    """The paper's line, written as it stands: one frame after another."""
    frames = []
    for i in range(len(predicted)):
        first = omega[i] * (noise[0] - predicted[0])
        own = (1 - omega[i]) * (noise[i] - predicted[i])
        frames.append(predicted[i] + first + own)
    return torch.stack(frames)


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_by_hand():
    predicted = torch.tensor([[1.0], [2.0], [3.0]], dtype=torch.float64)
    noise = torch.tensor([[1.5], [4.0], [-1.0]], dtype=torch.float64)
    omega = torch.tensor([1.0, 0.5, 0.25], dtype=torch.float64)
    # frame 1: 2 + 0.5·0.5 + 0.5·(4-2) = 3.25; frame 2: 3 + 0.25·0.5 + 0.75·(-1-3) = 0.125
    assert rectify(predicted, noise, omega).flatten().tolist() == [1.5, 3.25, 0.125]


def weights(frames, seed):
    """One a frame, from 0 to 1 and both of them among the values."""
    return (2 * random(frames, seed=seed)).clamp(-1, 1) / 2 + 0.5


@pytest.mark.parametrize("frames", [1, 2, 3, 8, 33])
def test_equals_algorithm_1(frames):
    for seed in range(0, 16, 2):
        omega, predicted, noise = weights(frames, seed), random(frames, 2, 3, 3), random(frames, 2, 3, 3, seed=seed + 1)
        assert_close(
            rectify(predicted, noise, omega), algorithm_1(predicted, noise, omega), rtol=1e-12, atol=1e-12
        )


@pytest.mark.parametrize("frames", [1, 2, 3, 33])
def test_frame_0_is_pinned_to_the_bit_for_any_omega(frames):
    for seed, weight in enumerate((0.0, 5e-324, 2**-53, 0.1, 1 / 3, 0.5, 0.7, 1 - 2**-53, 1.0)):
        predicted, reference = random(frames, 2, 2, 2, seed=seed), random(frames, 2, 2, 2, seed=seed + 1)
        assert torch.equal(rectify(predicted, reference, torch.full((frames,), weight))[0], reference[0])


def test_omega_0_is_the_reference_and_omega_1_moves_all_frames_alike():
    predicted, reference = random(3, 2, 2, 2), random(3, 2, 2, 2, seed=1)
    assert torch.equal(rectify(predicted, reference, torch.zeros(3)), reference)
    gap = rectify(predicted, reference, torch.ones(3)) - predicted
    assert_close(gap, (reference[0] - predicted[0]).expand_as(gap))


@pytest.mark.parametrize("factor", [-3.0, -0.1, 0.0, 1.0, 2.7])
def test_is_linear(factor):
    omega = torch.linspace(1, 0, 5, dtype=torch.float64)
    p, q, r, s = (random(5, 1, 2, 2, seed=i) for i in range(4))
    together = rectify(p + factor * q, r + factor * s, omega)
    assert_close(together, rectify(p, r, omega) + factor * rectify(q, s, omega), rtol=1e-9, atol=1e-9)


LEVELS = {"ve": noise_levels.ve(3.0), "vp": noise_levels.vp(0.36), "flow": noise_levels.flow(0.7)}


@pytest.mark.parametrize("space", LEVELS)
@pytest.mark.parametrize("prediction", noise_levels.PREDICTIONS)
def test_every_prediction_in_every_space_is_the_same_rule(space, prediction):
    level = LEVELS[space]
    clean, noise, x = random(1, 2, 3, 3), random(5, 2, 3, 3, seed=1), random(5, 2, 3, 3, seed=2)
    pred_x0, omega = random(5, 2, 3, 3, seed=3), torch.linspace(1, 0.2, 5, dtype=torch.float64)
    pivot = level.a * clean + level.s * noise
    # The paper's line on the noise that the same clean latent stands for.
    expected_noise = algorithm_1((x - level.a * pred_x0) / level.s, noise, omega)
    value = from_x0(prediction, pred_x0, x, level)
    rectified = rectify(value, reference_prediction(prediction, x, pivot, clean, level), omega)
    assert_close(to_x0(prediction, rectified, x, level), (x - level.s * expected_noise) / level.a)


@pytest.mark.parametrize(
    "prediction, by_hand", [("eps", 0.5), ("x0", 2.0), ("v", 0.8 * 0.5 - 0.6 * 2), ("flow", 0.5 - 2)]
)
def test_predictions_by_hand(prediction, by_hand):
    """z = 2 and n = 0.5 at a = 0.8, s = 0.6: x = 1.9."""
    x, pred_x0 = torch.full((1, 1), 1.9, dtype=torch.float64), torch.full((1, 1), 2.0, dtype=torch.float64)
    level = Level(0.8, 0.6)
    value = from_x0(prediction, pred_x0, x, level)
    assert value.item() == pytest.approx(by_hand)
    assert to_x0(prediction, value, x, level).item() == pytest.approx(2.0)
    assert reference_prediction(prediction, x, x, pred_x0, level).item() == pytest.approx(by_hand)


@pytest.mark.parametrize("prediction", noise_levels.PREDICTIONS)
def test_pure_noise_has_a_reference(prediction):
    """Zero-SNR schedules and flow models start at a = 0, where x and x* are the same noise."""
    noise, clean = random(2, 1, 2, 2), random(1, 1, 2, 2, seed=1)
    reference = reference_prediction(prediction, noise, noise, clean, Level(0.0, 1.0))
    expected = {"eps": noise, "x0": clean, "v": -clean, "flow": noise - clean}[prediction]
    assert_close(reference, expected.expand_as(reference))


@pytest.mark.parametrize(("prediction", "pair"), [("eps", (1 / 0.6, -0.8 / 0.6)), ("v", (0.8 / 0.6, -1 / 0.6))])
def test_a_pair_of_factors_is_a_prediction_too(prediction, pair):
    """At a = 0.8, s = 0.6: n = (x - 0.8·D)/0.6 and v = 0.8·n - 0.6·D = (0.8·x - D)/0.6."""
    x, pivot, clean = random(3, 1, 2, 2), random(3, 1, 2, 2, seed=1), random(1, 1, 2, 2, seed=2)
    named = reference_prediction(prediction, x, pivot, clean, Level(0.8, 0.6))
    assert_close(reference_prediction(pair, x, pivot, clean, Level(0.8, 0.6)), named)


def test_no_noise_has_no_eps():
    with pytest.raises(ValueError, match="eps prediction is undefined at noise level s = 0"):
        from_x0("eps", torch.zeros(1), torch.zeros(1), Level(1.0, 0.0))
    with pytest.raises(ValueError, match="prediction = 'epsilon' is unknown: use one of eps, x0, v, flow"):
        from_x0("epsilon", torch.zeros(1), torch.zeros(1), Level(1.0, 1.0))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    predicted, clean = random(5, 4, 8, 8, dtype=torch.float32).to(dtype), random(1, 4, 8, 8, seed=1).to(dtype)
    x, pivot = random(5, 4, 8, 8, seed=2).to(dtype), random(5, 4, 8, 8, seed=3).to(dtype)
    omega = torch.linspace(1, 0.5, 5)
    level = Level(0.9, 0.4)
    rectified = rectify(predicted, reference_prediction("eps", x, pivot, clean, level), omega)
    assert rectified.dtype == dtype
    exact = rectify(
        predicted.double(), reference_prediction("eps", x.double(), pivot.double(), clean.double(), level), omega
    )
    # One rounding at the end, none on the way.
    assert (
        torch.equal(rectified, exact.float().to(dtype))
        or (rectified.double() - exact).abs().max() <= exact.abs().max() * torch.finfo(dtype).eps
    )


def test_inputs_are_left_alone():
    tensors = [random(3, 2, 2, 2, seed=i) for i in range(4)]
    copies = [t.clone() for t in tensors]
    reference = reference_prediction("x0", tensors[0], tensors[1], tensors[2], noise_levels.ve(2.0))
    before = reference.clone()
    rectify(tensors[3], reference, torch.linspace(1, 0, 3))
    pin_keyframes(tensors[3], reference)
    assert all(torch.equal(t, c) for t, c in zip(tensors, copies))
    assert torch.equal(reference, before)


def test_pin_keyframes_changes_frame_0_alone():
    predicted, reference = random(3, 2, 2, 2), random(3, 2, 2, 2, seed=1)
    pinned = pin_keyframes(predicted, reference)
    assert torch.equal(pinned[0], reference[0]) and torch.equal(pinned[1:], predicted[1:])


def test_levels_between_timesteps_are_interpolated_in_log():
    levels = noise_levels.ModelLevels([0.9, 0.4, 0.1])
    assert levels.level(1.0) == noise_levels.vp(0.4)
    assert levels.level(0.5).a == pytest.approx((0.9 * 0.4) ** 0.25)
    assert levels.level(7.0) == noise_levels.vp(0.1) and levels.level(-1.0) == noise_levels.vp(0.9)
    assert noise_levels.ModelLevels([0.5, 0.0]).level(0.75) == noise_levels.vp(0.0)


def test_what_rectify_allocates():
    """No more than its result, one frame and the weights, counted by the tensors that it makes."""
    made = []

    class Watch(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor):
                made.append(result)
            return result

    predicted, reference, omega = (
        random(16, 4, 8, 8),
        random(16, 4, 8, 8, seed=1),
        torch.linspace(1, 0, 16, dtype=torch.float64),
    )
    given_storages = {t.untyped_storage().data_ptr() for t in (predicted, reference, omega)}
    with Watch():
        rectify(predicted, reference, omega)
    new = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in made}
    frame = predicted[0].nbytes
    assert sum(size for storage, size in new.items() if storage not in given_storages) <= 17 * frame


def test_held_colour_by_hand():
    """A gap that is the same everywhere is added whole, to all frames; one that changes from pixel to pixel is not."""
    prediction, checkers = random(3, 2, 8, 12), (torch.arange(8)[:, None] + torch.arange(12)) % 2 * 2.0 - 1
    gap = torch.tensor([0.5, -2.0], dtype=torch.float64).view(2, 1, 1)
    reference = prediction + gap
    assert_close(hold_color(prediction, reference), prediction + gap)
    assert_close(hold_color(prediction, prediction + checkers), prediction)
    assert_close(hold_color(prediction, prediction + gap + checkers), prediction + gap)


def test_light_from_one_side_is_held():
    """A gap that falls evenly from left to right comes back as such, but for the outer cells, where it is level."""
    falling = torch.linspace(1, -1, 32, dtype=torch.float64).expand(32, 32)
    prediction = torch.zeros(2, 1, 32, 32, dtype=torch.float64)
    held = hold_color(prediction, prediction + falling)
    assert_close(held[:, 0, :, 4:28], falling[:, 4:28].expand(2, -1, -1))
    assert held[0, 0, 0, :4].tolist() == pytest.approx([float(falling[0, :8].mean())] * 4)


def test_held_colour_between_key_frames_and_in_any_layout():
    """The gaps of the key frames 1 and -1 by their hat weights; frames of several clips each by their own."""
    keys, prediction = Keyframes((0, 2), 3), torch.zeros(3, 2, 1, 4, 4)
    reference = prediction.clone()
    reference[0, 0], reference[2, 0], reference[2, 1] = 1.0, -1.0, 4.0
    held = hold_color(prediction, reference, keys)
    assert held[:, 0, 0, 0, 0].tolist() == [1, 0, -1] and held[:, 1, 0, 0, 0].tolist() == [0, 2, 4]
    half = hold_color(prediction.half(), reference, keys)
    assert half.dtype == torch.float16 and torch.equal(half.float(), held)


def test_pinned_frames_are_exact_after_their_colour_was_held():
    prediction, reference = random(4, 2, 6, 6), random(4, 2, 6, 6, seed=1)
    plan = Correction(Settings(tau_end=0.5, pin_first_frame=True, hold_colour=True), torch.ones(4))
    changed = plan.at(7, 10, begun=True)(prediction, reference, None)
    assert torch.equal(changed[0], reference[0])
    assert_close(changed[1:], hold_color(prediction, reference)[1:])

import pytest
import torch
from closeness import assert_close

from lib_noiserect.core.correction import Correction
from lib_noiserect.core.correspondence import carry, displacement, sample
from lib_noiserect.core.keyframes import Keyframes
from lib_noiserect.core.noise_levels import PREDICTIONS, from_x0, vp
from lib_noiserect.core.pivot import PivotStep
from lib_noiserect.core.rectify import rectify
from lib_noiserect.core.settings import Settings

SIZES = [(1, 1), (2, 3), (5, 40), (16, 16), (17, 34)]


def texture(height, width, channels=4, seed=0):
    """Waves of many lengths and directions, as pictures have them: `[1, C, H, W]` of about unit variance."""
    generator = torch.Generator().manual_seed(seed)
    spectrum = torch.fft.rfft2(torch.randn(1, channels, height, width, generator=generator))
    down, right = torch.meshgrid(torch.fft.fftfreq(height), torch.fft.rfftfreq(width), indexing="ij")
    frequencies = (down.square() + right.square() + (3 / max(height, width)) ** 2).sqrt()
    waves = torch.fft.irfft2(spectrum / frequencies, (height, width))
    return (waves - waves.mean()) / waves.std().nan_to_num(1.0).clamp(min=1e-3)


def gaps(height, width, seed=1):
    return torch.randn(4, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("height, width", SIZES)
def test_equal_frames_leave_the_gap_where_it_is(height, width):
    gap = gaps(height, width)
    for key in (texture(height, width), torch.zeros(1, 4, height, width), torch.full((1, 4, height, width), 30.0)):
        assert torch.equal(carry(gap, key.expand(3, -1, -1, -1), 1), gap.expand(3, -1, -1, -1))


@pytest.mark.parametrize(
    "size, down, right",
    [(16, 1, -1), (16, 5, 3), (64, 21, -10), (66, 21, 10), pytest.param(128, 42, -42, marks=pytest.mark.slow)],
)
def test_a_texture_that_moves_by_whole_pixels_carries_its_gap_by_just_that_much(size, down, right):
    key, gap = texture(size, size), gaps(size, size)
    moved = torch.roll(key, (down, right), (-2, -1))
    carried = carry(gap, torch.cat([key, moved]), 0)
    assert torch.equal(carried[0], gap)
    exact = (carried[1] == torch.roll(gap, (down, right), (-2, -1))).all(0)
    # What comes in at the border is not in the keyframe.
    border = 3
    inside = exact[max(down, 0) + border : size - border, max(right, 0) + border : size + min(right, 0) - border]
    assert inside.float().mean() > 0.99


def test_half_a_pixel():
    """A step below a latent pixel is found, and the gap is interpolated there."""
    large = torch.nn.functional.interpolate(texture(16, 16), scale_factor=4, mode="bicubic")
    key, frame = large[..., ::2, ::2], large[..., 1::2, ::2]
    found = displacement(frame, key)[0, :, 4:-4, 4:-4]
    assert abs(found[0].mean() - 0.5) < 0.1 and abs(found[1].mean()) < 0.05
    inside = (slice(None), slice(3, -3), slice(3, -3))
    carried = carry(key[0], torch.cat([key, frame]), 0)[1][inside]
    still = (key[0] - frame[0])[inside].square().mean()
    assert (carried - frame[0][inside]).square().mean() < 0.1 * still


def test_sampling_is_catmull_rom():
    """A cubic spline through its points that keeps straight lines: at a quarter of a pixel of a ramp, and of a step."""
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    by = torch.zeros(1, 2, 8, 8)
    by[:, 1] = 0.25
    assert_close(sample(ramp, by)[0, 0, 0, 2:5], torch.tensor([2.25, 3.25, 4.25]))
    step = (torch.arange(8) >= 4).float().expand(1, 1, 8, 8)
    by[:, 1] = 0.5
    assert_close(sample(step, by)[0, 0, 0, 2:5], torch.tensor([-0.0625, 0.5, 1.0625]))
    by[:, 1] = 100.0
    assert sample(ramp, by).eq(7).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30, 3e38])
def test_wild_latents_leave_numbers(value):
    gap, x0 = gaps(16, 16), texture(16, 16).expand(3, -1, -1, -1).clone()
    x0[2, :, 4:8] = value
    carried = carry(gap, x0, 0)
    assert carried.isfinite().all() and torch.equal(carried[:2], gap.expand(2, -1, -1, -1))
    x0[:] = value
    assert torch.equal(carry(gap, x0, 0), gap.expand(3, -1, -1, -1))


def test_half_precision_and_videos_beside_each_other():
    key, other, gap = texture(16, 16), texture(16, 16, seed=3), gaps(16, 16)
    one = torch.cat([key, torch.roll(key, 2, -1)])
    two = torch.cat([other, torch.roll(other, -3, -2)])
    both = carry(torch.stack([gap, gap]), torch.stack([one, two], 1), 0)
    assert torch.equal(both[:, 0], carry(gap, one, 0)) and torch.equal(both[:, 1], carry(gap, two, 0))
    half = carry(gap.half(), one.half(), 0)
    assert half.dtype == torch.float16
    assert_close(half.float(), carry(gap, one, 0), atol=2e-2, rtol=0)


def test_chunks_and_threads_do_not_matter(monkeypatch):
    x0 = torch.cat([torch.roll(texture(12, 12), by, -1) for by in range(6)])
    whole = carry(gaps(12, 12), x0, 0)
    assert torch.equal(whole, carry(gaps(12, 12), x0, 0))
    threads = torch.get_num_threads()
    monkeypatch.setattr("lib_noiserect.core.correspondence._ON_CPU", (1, 2))
    torch.set_num_threads(2)
    try:
        assert_close(carry(gaps(12, 12), x0, 0), whole, atol=1e-5, rtol=0)
    finally:
        torch.set_num_threads(threads)


def moving(frames=4, size=16):
    key = texture(size, size)
    return torch.cat([torch.roll(key, frame, -1) for frame in range(frames)])


def test_the_rule_follows():
    x0 = moving()
    reference, omega = torch.randn(4, 4, 16, 16), torch.tensor([1.0, 1.0, 0.5, 0.0])
    result = rectify(x0, reference, omega, pred_x0=x0)
    assert torch.equal(result[0], reference[0]) and torch.equal(result[3], reference[3])
    gap = carry(reference[0] - x0[0], x0, 0)
    assert_close(result[1], x0[1] + gap[1])
    assert_close(result[2], (reference[2] + x0[2] + gap[2]) / 2)
    assert not torch.equal(result[1], rectify(x0, reference, omega)[1])


def test_each_keyframe_has_its_own_way():
    x0, reference, keys = moving(), torch.randn(4, 4, 16, 16), Keyframes((0, 3), 4)
    result = rectify(x0, reference, torch.ones(4), keys, x0)
    assert all(torch.equal(result[frame], reference[frame]) for frame in (0, 3))
    first, last = (carry(reference[frame] - x0[frame], x0, frame) for frame in (0, 3))
    assert_close(result[1], x0[1] + first[1] * 2 / 3 + last[1] / 3)


@pytest.mark.parametrize("kind", PREDICTIONS)
def test_every_prediction_follows_its_own_x0(kind):
    """The rule on any prediction is the rule on x0."""
    x0, level = moving().double(), vp(0.4)
    z, x = torch.randn(4, 4, 16, 16).double(), torch.randn(4, 4, 16, 16).double()
    step = PivotStep(z, Correction(Settings(tau_end=1.0, follow_motion=True), torch.full((4,), 0.7).double()), 10)
    still = PivotStep(z, Correction(Settings(tau_end=1.0), torch.full((4,), 0.7).double()), 10)
    pivot = torch.randn(4, 4, 16, 16).double()
    x[0] = pivot[0]
    corrected, _ = step(from_x0(kind, x0, x, level), x, pivot, level, kind, 0)
    wanted, _ = step(x0, x, pivot, level, "x0", 0)
    assert_close(corrected, from_x0(kind, wanted, x, level), atol=1e-5, rtol=1e-5)
    paper, _ = still(x0, x, pivot, level, "x0", 0)
    assert torch.equal(paper[0], wanted[0]) and (paper[1:] - wanted[1:]).abs().max() > 0.1


def test_a_state_of_pure_noise_has_the_papers_rule():
    """At zero terminal SNR the noise says nothing of x0."""
    noise, z = torch.randn(3, 4, 16, 16), torch.randn(3, 4, 16, 16)
    level = vp(0.0)
    results = []
    for follow in (False, True):
        step = PivotStep(z, Correction(Settings(tau_end=1.0, follow_motion=follow), torch.full((3,), 0.7)), 10)
        results.append(step(noise * 0.9, noise, noise, level, "eps", 0)[0])
    assert torch.equal(*results)

"""TimeNoise's distribution, against scipy's and by hand."""

import math

import pytest
import torch
from scipy import stats

from lib_noiserect.methods.timenoise import BETA_M, BETA_M_SVD, MU_M_VIDEOCRAFTER, A, picture_noise_level, with_time_noise

DRAWS = 20_000


def levels(t, seed=0, **settings):
    time = torch.full((DRAWS,), t, dtype=torch.float64)
    return picture_noise_level(time, **settings, generator=torch.Generator().manual_seed(seed))


def test_the_papers_defaults():
    assert (A, BETA_M, BETA_M_SVD) == (5.0, 100.0, 15.0)


@pytest.mark.parametrize("a", [5.0, 1.0, 0.1])
@pytest.mark.parametrize("t", [0.0, 0.3, 0.9, 1.0])
def test_it_is_the_logit_normal_distribution(a, t):
    """The logit of β_s/β_m is normal: mean 2·t^a - 1, deviation 1 (Kolmogorov and Smirnov's test; the seed is fixed)."""
    drawn = levels(t, a=a, beta_m=7.0)
    assert drawn.min() > 0 and drawn.max() < 7
    logits = torch.logit(drawn / 7).numpy()
    assert stats.kstest(logits, stats.norm(loc=2 * t**a - 1).cdf).pvalue > 0.01


@pytest.mark.parametrize("t", [0.0, 0.9])
def test_videocrafters_center_is_8_times_t_to_the_a_minus_4(t):
    logits = torch.logit(levels(t, mu_m=MU_M_VIDEOCRAFTER, beta_m=1.0))
    assert float(logits.mean()) == pytest.approx(8 * t**5 - 4, abs=0.03) and float(logits.std()) == pytest.approx(1, abs=0.03)
    with pytest.raises(ValueError, match="mu_m = -1 is out of range: use 0 or more"):
        levels(t, mu_m=-1)


def test_quantiles_by_hand():
    """A normal y at its quartiles -1 ± 0.6745, where t is 0: β_m·sigmoid of that."""
    quartiles = torch.quantile(levels(0.0, beta_m=1.0), torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64))
    by_hand = [1 / (1 + math.exp(1.6745)), 1 / (1 + math.e), 1 / (1 + math.exp(0.3255))]
    assert quartiles.tolist() == pytest.approx(by_hand, abs=0.006)


def test_the_same_draw_rises_with_t_and_beta_m_and_falls_with_a():
    by_t = torch.stack([levels(t) for t in (0.0, 0.25, 0.5, 0.75, 1.0)])
    assert (by_t.diff(dim=0) > 0).all()
    by_a = torch.stack([levels(0.5, a=a) for a in (0.1, 1.0, 5.0)])
    assert (by_a.diff(dim=0) < 0).all()
    assert torch.equal(levels(0.5, beta_m=200.0), 2 * levels(0.5, beta_m=100.0))


def test_where_t_is_0_or_1_the_exponent_does_not_matter():
    for t in (0.0, 1.0):
        assert torch.equal(levels(t, a=5.0), levels(t, a=0.1))


def test_the_level_is_of_the_times_shape_and_type():
    for dtype in (torch.float16, torch.float32, torch.float64):
        level = picture_noise_level(torch.rand(2, 3, dtype=dtype))
        assert level.shape == (2, 3) and level.dtype == dtype


def test_the_noise_that_is_added_has_the_level_that_is_drawn():
    picture, time = torch.zeros(6, 4, 64, 64), torch.linspace(0, 1, 6)
    level = picture_noise_level(time, beta_m=3.0, generator=torch.Generator().manual_seed(5))
    noisy = with_time_noise(picture, time, beta_m=3.0, generator=torch.Generator().manual_seed(5))
    assert noisy.std((1, 2, 3)).tolist() == pytest.approx(level.tolist(), rel=0.03)
    assert noisy.mean((1, 2, 3)).abs().max() < 0.1
    moved = with_time_noise(picture + 2, time, beta_m=3.0, generator=torch.Generator().manual_seed(5))
    assert torch.allclose(moved, noisy + 2, atol=1e-5), "the picture itself is not scaled"


def test_without_noise_the_picture_is_as_it_was():
    picture = torch.rand(2, 4, 8, 8)
    assert torch.equal(with_time_noise(picture, torch.rand(2), beta_m=0.0), picture)


def test_pictures_keep_their_type():
    assert with_time_noise(torch.zeros(2, 4, 8, 8, dtype=torch.bfloat16), torch.rand(2)).dtype == torch.bfloat16


@pytest.mark.parametrize(
    "settings", [{"a": 0.0}, {"a": -1.0}, {"a": math.nan}, {"beta_m": -0.1}, {"beta_m": math.inf}], ids=str
)
def test_values_out_of_range_are_named(settings):
    (name,) = settings
    with pytest.raises(ValueError, match=f"{name} = "):
        picture_noise_level(torch.rand(2), **settings)


@pytest.mark.parametrize(
    "time", [torch.tensor([500]), torch.tensor([500.0]), torch.tensor([-0.1]), torch.tensor([math.nan])]
)
def test_timesteps_that_are_no_fractions_are_refused(time):
    with pytest.raises(ValueError, match="fractions of T"):
        picture_noise_level(time)


def test_one_time_a_picture():
    with pytest.raises(ValueError, match="one number for each of 3 images"):
        with_time_noise(torch.zeros(3, 4, 8, 8), torch.rand(2))

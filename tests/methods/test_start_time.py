"""Start time: which timestep M means, and schedules that are respaced to begin there."""

import math

import pytest

from lib_noiserect.core.noise_levels import ModelLevels
from lib_noiserect.core.settings import SettingsError
from lib_noiserect.methods.start_time import respaced_sigmas, respaced_whole, start_timestep, trailing_timesteps

# Stable Diffusion's: β rises from 0.00085 to 0.012, evenly in √β.
ALPHAS = []
for index in range(1000):
    root = 0.00085**0.5 + (0.012**0.5 - 0.00085**0.5) * index / 999
    ALPHAS.append((ALPHAS[-1] if ALPHAS else 1.0) * (1 - root**2))


@pytest.fixture(scope="module")
def scale():
    return ModelLevels(ALPHAS)


def test_m_is_a_timestep_counted_from_0():
    assert [start_timestep(m, 1000) for m in (1.0, 0.94, 0.9, 0.86, 0.82)] == [999, 939, 899, 859, 819]
    assert start_timestep(0.94, 50) == 46 and start_timestep(0.001, 100) == 0


def test_the_authors_spacing_of_940_timesteps():
    """np.flip(np.round(np.arange(940, 0, -940/8))) - 1, by hand: 940, 822.5, 705, 587.5, 470, 352.5, 235, 117.5."""
    assert trailing_timesteps(939, 8) == [939, 821, 704, 587, 469, 351, 234, 117]


@pytest.mark.parametrize("last", [499, 819, 919, 999])
def test_spacing_has_every_step_once(last):
    for steps in (1, 2, 7, 25, 50, 333, last + 1):
        timesteps = trailing_timesteps(last, steps)
        assert len(timesteps) == len(set(timesteps)) == steps and timesteps[0] == last and timesteps[-1] >= 0
        assert timesteps == sorted(timesteps, reverse=True)
    with pytest.raises(SettingsError, match=f"leaves {last + 1} timesteps, too few for {last + 2} steps"):
        trailing_timesteps(last, last + 2)


def test_whole_timesteps_keep_their_order_and_begin_at_m():
    """A1111's DDIM with 20 steps: 1, 51 … 951, of which it begins at 901."""
    given = list(range(1, 1000, 50))
    moved = respaced_whole(given, first=901, start=899, largest=999)
    assert moved[18] == 899 and moved[0] == 1 and moved[19] == 949 and len(set(moved)) == 20
    assert respaced_whole(given, first=901, start=819, largest=999)[:3] == [1, 46, 92]
    with pytest.raises(SettingsError, match="start_time leaves 500 timesteps, too few for 1000 steps"):
        respaced_whole(range(1000), first=999, start=499, largest=999)


def test_sigma_and_timestep_are_each_others_inverse(scale):
    for timestep in (0, 1, 98.25, 500, 899, 998.5, 999):
        assert scale.timestep(scale.sigma(timestep)) == pytest.approx(timestep, abs=1e-9)
    assert scale.sigma(899) == pytest.approx(math.sqrt((1 - ALPHAS[899]) / ALPHAS[899]), rel=1e-12)
    assert scale.sigma(98.5) == pytest.approx(math.sqrt(scale.sigma(98) * scale.sigma(99)), rel=1e-12)


def test_beyond_the_ends_the_order_is_kept(scale):
    levels = [40.0, 20.0, scale.sigma(999), 1.0, scale.sigma(0), 0.01]
    back = [scale.timestep(sigma) for sigma in levels]
    assert back == sorted(back, reverse=True) and back[0] > 999 and back[-1] < 0
    assert [scale.sigma(timestep) for timestep in back] == pytest.approx(levels)


def karras(count):
    low, high = 0.0292 ** (1 / 7), 14.6146 ** (1 / 7)
    return [(high + index / (count - 1) * (low - high)) ** 7 for index in range(count)] + [0.0]


@pytest.mark.parametrize("m", [0.94, 0.9, 0.82, 0.5])
def test_a_schedule_of_sigmas_begins_at_m_and_has_as_many(scale, m):
    for sigmas in (karras(20), [14.6, 6.5, 3.9, 2.7, 1.9, 0.03], [20.0, 14.7, 14.6, 1.0, 0.0292, 0.0]):
        moved = respaced_sigmas(scale, sigmas, m)
        assert len(moved) == len(sigmas) and (moved[-1] == 0) is (sigmas[-1] == 0)
        assert moved[0] == scale.sigma(round(1000 * m) - 1)
        assert moved == sorted(moved, reverse=True) and len(set(moved)) == len(moved)


def test_timesteps_keep_their_proportions(scale):
    """From 999, 749.25, 499.5 and 249.75 to 899 and three, two and one quarter of it."""
    sigmas = [scale.sigma(999 * share) for share in (1, 0.75, 0.5, 0.25)]
    moved = respaced_sigmas(scale, [*sigmas, 0.0], 0.9)
    assert [scale.timestep(sigma) for sigma in moved[:4]] == pytest.approx([899, 674.25, 449.5, 224.75])

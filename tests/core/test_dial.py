"""The motion dial: against its formulas, and against runs in which the motion that survives is measured."""

import itertools

import pytest
import torch
from test_pivot import EVERY, SIGMAS, sampling

from lib_noiserect.core import noise_levels
from lib_noiserect.core.correction import Correction
from lib_noiserect.core.keyframes import Keyframes
from lib_noiserect.core.motion_dial import OMEGAS, Dial, UnreachableMotionError, moving_x0
from lib_noiserect.core.pivot import Pivot
from lib_noiserect.core.schedule import omega_weights
from lib_noiserect.core.settings import Settings, SettingsError

CLEAN = torch.zeros(1, 1, 1, 1, dtype=torch.float64)


def euler_dial(sigmas, tau=(0.0, 1.0)):
    run = Pivot(
        sampling.sample_euler,
        {"sigmas": sigmas},
        x0=CLEAN,
        level_of=noise_levels.ve,
        prediction="x0",
        modules=[sampling],
    )
    settings = Settings(omega="motion", tau_start=tau[0], tau_end=tau[1])
    return run.dial(None, settings, run.steps(None))


def product(sigmas, omega, inside):
    """1 - Π(1 - ω(1 - σ_{k+1}/σ_k)) over the rectified steps, and with ω = 1 over the others."""
    left = 1.0
    for index, (above, below) in enumerate(itertools.pairwise(sigmas.tolist())):
        left *= 1 - (omega if inside(index) else 1.0) * (1 - below / above)
    return 1 - left


@pytest.mark.parametrize("tau_end", [1.0, 0.5])
def test_far_above_the_pictures_own_variance_euler_is_a_product(tau_end):
    """Above σ of 300 a state shows nothing of itself: the answer is the motion, and each step goes its part of the way."""
    sigmas = torch.tensor([30000.0, 15000.0, 4000.0, 2000.0, 300.0], dtype=torch.float64)
    dial = euler_dial(sigmas, (0.0, tau_end))
    for index in (0, 7, 20, 40, 64):
        whole = [product(sigmas, omega, lambda step: step < 4 * tau_end) for omega in (OMEGAS[index], 1.0)]
        assert dial.shares[index] == pytest.approx(whole[0] / whole[1], abs=1e-4)


def test_with_small_steps_it_is_a_power():
    """1 - (σ_end/σ_start)^ω, and so ω = log(1 - share)/log(σ_end/σ_start)."""
    sigmas = torch.logspace(5, 2.5, 200, dtype=torch.float64)
    dial, ratio = euler_dial(sigmas), 10**-2.5
    for omega in (0.1, 0.3, 0.7):
        share = (1 - ratio**omega) / (1 - ratio)
        assert dial.omega(share) == pytest.approx(omega, abs=0.01)


def test_one_answer_by_hand():
    """At a = 0.5 and s = 1, v is 4; a difference of 1 is 2 of a clean latent, so the model says (2 + 4)/5."""
    level, difference = noise_levels.Level(0.5, 1.0), torch.tensor([1.0, 1.0, 1.0])
    omega = torch.tensor([0.0, 0.25, 1.0])
    assert moving_x0(difference, level, omega, inside=True).tolist() == pytest.approx([2.0, 1.8, 1.2])
    assert moving_x0(difference, level, omega, inside=False).tolist() == pytest.approx([1.2] * 3)
    nothing = noise_levels.Level(0.0, 1.0)
    assert moving_x0(difference, nothing, omega, inside=True).tolist() == [0.0, 0.25, 1.0]
    assert moving_x0(difference, nothing, omega, inside=False).tolist() == [1.0] * 3


FRAMES, SIZE, MOTION = 3, 24, 6.0
# Deterministic, stochastic with two calls per step, overshooting, and with steps of its own.
REPRESENTATIVES = ("euler", "dpmpp_2s_a", "dpmpp_3m_sde", "dpm_adaptive")


def gaussian_model(picture, moves):
    """Answers for clips that are Gaussian around the picture and what has moved, with the unit variance of latents."""

    def model(x, sigma, **extra):
        mean = picture + moves
        return mean + (x - mean) / (1 + sigma.view(-1, 1, 1, 1) ** 2)

    return model


def measured(name, omega, tau, seed=3):
    """How much of each frame's motion a run ends with; what else the frames hold is independent of it."""
    random = torch.Generator().manual_seed(seed)
    picture = torch.randn(1, 4, SIZE, SIZE, generator=random, dtype=torch.float64)
    noise = torch.randn(FRAMES, 4, SIZE, SIZE, generator=random, dtype=torch.float64)
    moves = MOTION * torch.randn(FRAMES, 4, SIZE, SIZE, generator=random, dtype=torch.float64).sign()
    moves[0] = 0.0
    sampler, kwargs = EVERY[name]
    run = Pivot(
        sampler,
        {"disable": True, **kwargs},
        x0=picture,
        level_of=noise_levels.ve,
        prediction="x0",
        modules=[sampling],
    )
    model = gaussian_model(picture, moves)
    torch.default_generator.manual_seed(11)
    weights = torch.as_tensor(omega, dtype=torch.float64).expand(FRAMES)
    plan = Correction(Settings(tau_start=tau[0], tau_end=tau[1]), weights)
    x = noise_levels.noised(picture, noise, noise_levels.ve(float(SIGMAS[0])))
    ended = run(model, x, plan, run.steps(model)) - picture
    return [float((ended[frame] * moves[frame]).mean()) / MOTION**2 for frame in range(1, FRAMES)]


@pytest.mark.parametrize("name, tau", [("euler", (0.0, 1.0)), *((name, (0.0, 0.6)) for name in REPRESENTATIVES)])
def test_the_share_that_survives_is_the_number(name, tau):
    """The dial knows the sampler alone; what it says is measured in a run with pictures, noise, pivot and rectification."""
    sampler, kwargs = EVERY[name]
    run = Pivot(sampler, kwargs, x0=CLEAN, level_of=noise_levels.ve, prediction="x0", modules=[sampling])
    dial = run.dial(None, Settings(tau_start=tau[0], tau_end=tau[1]), run.steps(None))
    free = measured(name, 1.0, tau)
    # DPM adaptive takes as many steps as its model makes it take.
    tolerance = 0.06 if "adaptive" in name else 0.02
    for share in (0.25, 0.6):
        if share >= dial.shares[0]:
            found = [kept / whole for kept, whole in zip(measured(name, dial.omega(share), tau), free)]
            assert found == pytest.approx([share] * (FRAMES - 1), abs=tolerance)


@pytest.mark.parametrize("name", REPRESENTATIVES)
def test_shares_rise_from_the_least_to_all_and_back_to_omega(name):
    sampler, kwargs = EVERY[name]
    run = Pivot(sampler, kwargs, x0=CLEAN, level_of=noise_levels.ve, prediction="x0", modules=[sampling])
    before = torch.get_rng_state()
    dial = run.dial(None, Settings(tau_end=1.0), run.steps(None))
    assert torch.equal(torch.get_rng_state(), before), "later draws must be what they would have been"
    assert dial.shares[0] == pytest.approx(0, abs=1e-6) and dial.shares[-1] == 1
    assert all(one <= other for one, other in itertools.pairwise(dial.shares))
    assert dial.omega(0.0) == 0 and dial.omega(1.0) == 1
    for index in (1, 9, 20, 30):
        # Where a sampler overshoots, several ω have one share: the first of them is taken.
        assert dial.omega(dial.shares[index]) == pytest.approx(OMEGAS[dial.shares.index(dial.shares[index])], abs=1e-6)


def test_a_share_that_tau_does_not_let_through_is_refused():
    """Half of the way in log σ is free, and what is left of the motion comes back there."""
    dial = euler_dial(torch.tensor([1e6, 1e5, 1e4, 1e3, 1e2], dtype=torch.float64), (0.0, 0.5))
    assert dial.shares[0] == pytest.approx(0.99, abs=0.001)
    with pytest.raises(UnreachableMotionError) as caught:
        dial.check(0.5)
    assert str(caught.value) == (
        "motion = 0.5 is below the minimum 0.99 for this sampler and window: end the window later, or use a motion of "
        "0.99 or more"
    )
    dial.check(0.99)
    assert dial.omega(0.5) == 0.0


def test_a_sampler_that_forgets_everything_is_refused():
    for ends in ([0.0] * len(OMEGAS), [float("nan")] * len(OMEGAS), [float("inf")] * len(OMEGAS)):
        with pytest.raises(SettingsError, match="no motion survives even with ω = 1"):
            Dial.of(torch.tensor(ends))


def test_shares_rise_with_the_distance_to_the_nearest_key_frame():
    settings = Settings(omega="motion", motion=0.6)
    assert omega_weights(settings, 4) == [0.6] * 4
    assert omega_weights(settings, Keyframes((0, 4), 5)) == pytest.approx([0.0, 0.3, 0.6, 0.3, 0.0])
    assert omega_weights(Settings(omega="motion", motion=0.6, loop=True), 4) == pytest.approx([0.0, 0.3, 0.6, 0.3])
    dial = Dial(tuple(omega**0.5 for omega in OMEGAS))
    assert omega_weights(settings, 2, dial.omega) == pytest.approx([0.36] * 2, abs=1e-3)

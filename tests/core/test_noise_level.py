"""Windows by noise level: the same levels are rectified whatever the sampler, its schedule and the number of steps."""

import math

import pytest
import torch
from test_pivot import EVERY, FRAMES, omega_for, sampling

from lib_noiserect.core import noise_levels
from lib_noiserect.core.correction import Correction
from lib_noiserect.core.pivot import Pivot
from lib_noiserect.core.settings import Settings

# The β of Stable Diffusion.
ALPHAS = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2, 0)
PROGRESS = noise_levels.ModelLevels(ALPHAS.tolist()).progress
SIGMAS = ((1 - ALPHAS) / ALPHAS).sqrt()


def test_progress_by_hand():
    """At timestep t of T it is 1 - (t+1)/T, for either space; between two timesteps in a straight line of log σ."""
    for timestep in (0, 1, 399, 998, 999):
        expected = 1 - (timestep + 1) / 1000
        assert PROGRESS(noise_levels.ve(float(SIGMAS[timestep]))) == pytest.approx(expected, abs=1e-9)
        assert PROGRESS(noise_levels.vp(float(ALPHAS[timestep]))) == pytest.approx(expected, abs=1e-9)
    middle = noise_levels.ve(float((SIGMAS[399] * SIGMAS[400]).sqrt()))
    assert PROGRESS(middle) == pytest.approx(0.5995)
    assert PROGRESS(noise_levels.ve(1000.0)) == 0 and PROGRESS(noise_levels.ve(0.0)) == pytest.approx(0.999)
    assert PROGRESS(noise_levels.Level(0.0, 1.0)) == 0, "zero-SNR schedules begin without any signal"


def rectified_levels(name, schedule, tau, model, clean, noise):
    """The levels of the rectified calls and of all calls."""
    sampler, kwargs = EVERY[name]
    kwargs = (
        {**kwargs, "sigmas": schedule}
        if "sigmas" in kwargs
        else {**kwargs, "sigma_max": schedule[0], "sigma_min": schedule[-2]}
    )
    seen = []
    run = Pivot(
        sampler,
        {"disable": True, **kwargs},
        x0=clean,
        level_of=noise_levels.ve,
        prediction="x0",
        modules=[sampling],
        progress=PROGRESS,
    )
    after = lambda prediction, x, sigma, level: seen.append(float(sigma[0])) or prediction  # noqa: E731
    x = noise_levels.noised(clean, noise, noise_levels.ve(float(schedule[0])))
    run(model, x, Correction(Settings(tau_start=tau[0], tau_end=tau[1]), omega_for(0.7)), run.steps(model), after=after)
    return seen, run.report


def schedules(count):
    high, low = float(SIGMAS[-1]), float(SIGMAS[0])
    every = torch.linspace(999, 0, count).round().long()
    return {
        "karras": sampling.get_sigmas_karras(count, low, high).double(),
        "by timestep": torch.cat([SIGMAS[every], torch.zeros(1, dtype=torch.float64)]),
    }


@pytest.mark.parametrize("kind", ["karras", "by timestep"])
@pytest.mark.parametrize("tau", [(0.0, 0.6), (0.2, 0.7), (0.0, 1.0)])
def test_the_levels_inside_are_those_of_the_window(kind, tau, toy_model, clean, reference_noise):
    """Inside is a level whose timestep is one: τ = [0, 0.6] is timesteps 999 to 400, whatever the steps."""
    count = 11
    schedule = schedules(count)[kind]
    seen, report = rectified_levels("euler", schedule, tau, toy_model, clean, reference_noise)
    high, low = (
        (math.inf if tau[0] == 0 else SIGMAS[799]),
        (0.0 if tau[1] == 1 else SIGMAS[299 if tau[1] == 0.7 else 399]),
    )
    assert seen == [float(sigma) for sigma in schedule[:-1] if low < sigma * (1 - 1e-6) and sigma <= high * (1 + 1e-6)]
    assert (report.rectified, report.steps) == (len(seen), count)


def test_two_schedules_of_one_length_cover_other_steps_and_the_same_range(toy_model, clean, reference_noise):
    found = {
        kind: rectified_levels("euler", schedule, (0.0, 0.6), toy_model, clean, reference_noise)[0]
        for kind, schedule in schedules(25).items()
    }
    assert len(found["karras"]) < len(found["by timestep"]) == 15
    assert min(found["karras"]) > SIGMAS[399] < min(found["by timestep"])


@pytest.mark.parametrize("name", ["heun", "dpm_2", "dpmpp_2s_a"])
def test_both_calls_of_a_step_are_alike(name, toy_model, clean, reference_noise):
    """Placed by the step's first call: the second one is lower and may be below the window."""
    torch.default_generator.manual_seed(11)
    schedule = schedules(10)["karras"]
    seen, report = rectified_levels(name, schedule, (0.0, 0.6), toy_model, clean, reference_noise)
    inside = sum(bool(SIGMAS[399] < sigma) for sigma in schedule)
    assert report.rectified == inside and report.steps == 10
    assert len(seen) == 2 * inside


@pytest.mark.parametrize("name", ["euler", "dpmpp_2s_a", "dpm_adaptive"])
def test_all_of_the_noise_is_all_of_the_steps(name, toy_model, clean, reference_noise):
    torch.default_generator.manual_seed(11)
    schedule = schedules(6)["karras"]
    seen, report = rectified_levels(name, schedule, (0.0, 1.0), toy_model, clean, reference_noise)
    assert report.rectified == report.steps > 0 and len(seen) == len(toy_model.calls)
    assert toy_model.mix.shape[0] == FRAMES

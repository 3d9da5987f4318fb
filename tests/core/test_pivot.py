"""The pivot against Algorithm 1 on k-diffusion's own samplers, in float64: exact facts, sampler by sampler."""

import functools
import inspect
import itertools
import types
from dataclasses import replace

import pytest
import torch
from closeness import assert_close
from test_rectify import algorithm_1
from toy_model import ToyModel

from lib_noiserect.core import noise_levels
from lib_noiserect.core.correction import Correction
from lib_noiserect.core.keyframes import Keyframes
from lib_noiserect.core.motion_dial import OMEGAS, Dial, UnreachableMotionError
from lib_noiserect.core.noise import NotTwinError, Twin, noise_order
from lib_noiserect.core.pivot import Pivot, PivotStep
from lib_noiserect.core.reference import Reference
from lib_noiserect.core.settings import Settings

sampling = pytest.importorskip("k_diffusion.sampling")

FRAMES, STEPS = 5, 4
SIGMAS = sampling.get_sigmas_karras(STEPS, 0.03, 15.0).double()
RANGE = {"sigma_min": SIGMAS[-2], "sigma_max": SIGMAS[0]}

DETERMINISTIC = {
    "euler": (sampling.sample_euler, {"sigmas": SIGMAS}),
    "heun": (sampling.sample_heun, {"sigmas": SIGMAS}),
    "dpm_2": (sampling.sample_dpm_2, {"sigmas": SIGMAS}),
    "lms": (sampling.sample_lms, {"sigmas": SIGMAS}),
    "dpmpp_2m": (sampling.sample_dpmpp_2m, {"sigmas": SIGMAS}),
    "euler_a, eta 0": (sampling.sample_euler_ancestral, {"sigmas": SIGMAS, "eta": 0.0}),
    "dpmpp_2s_a, eta 0": (sampling.sample_dpmpp_2s_ancestral, {"sigmas": SIGMAS, "eta": 0.0}),
    "dpm_fast, eta 0": (sampling.sample_dpm_fast, {**RANGE, "n": 9, "eta": 0.0}),
    "dpm_adaptive, eta 0": (sampling.sample_dpm_adaptive, {**RANGE, "eta": 0.0}),
}
STOCHASTIC = {
    "euler_a": (sampling.sample_euler_ancestral, {"sigmas": SIGMAS}),
    "euler, churn": (sampling.sample_euler, {"sigmas": SIGMAS, "s_churn": 3.0}),
    "heun, churn": (sampling.sample_heun, {"sigmas": SIGMAS, "s_churn": 3.0, "s_tmin": 0.1, "s_tmax": 10.0}),
    "dpm_2, churn": (sampling.sample_dpm_2, {"sigmas": SIGMAS, "s_churn": 3.0, "s_noise": 1.01}),
    "dpm_2_a": (sampling.sample_dpm_2_ancestral, {"sigmas": SIGMAS}),
    "dpmpp_2s_a": (sampling.sample_dpmpp_2s_ancestral, {"sigmas": SIGMAS}),
    "dpmpp_sde": (sampling.sample_dpmpp_sde, {"sigmas": SIGMAS}),
    "dpmpp_2m_sde": (sampling.sample_dpmpp_2m_sde, {"sigmas": SIGMAS}),
    "dpmpp_2m_sde heun": (sampling.sample_dpmpp_2m_sde, {"sigmas": SIGMAS, "solver_type": "heun"}),
    "dpmpp_3m_sde": (sampling.sample_dpmpp_3m_sde, {"sigmas": SIGMAS}),
    "dpm_fast": (sampling.sample_dpm_fast, {**RANGE, "n": 9, "eta": 1.0}),
    "dpm_adaptive": (sampling.sample_dpm_adaptive, {**RANGE, "eta": 1.0}),
}
EVERY = {**DETERMINISTIC, **STOCHASTIC}
STOPS_ABOVE_ZERO = ("dpm_fast", "dpm_adaptive")
# float32 in k-diffusion's own log σ.
TOLERANCE = {"rtol": 1e-5, "atol": 1e-6}


@pytest.fixture(autouse=True)
def seeded():
    """Without `torch.manual_seed`, which notes a stack trace for each GPU that might come."""
    torch.default_generator.manual_seed(11)


def omega_for(weights):
    return torch.as_tensor(weights, dtype=torch.float64).expand(FRAMES)


def run(name, model, clean, noise, *, omega=1.0, tau=(0.0, 1.0), pin=False, **more):
    sampler, kwargs = EVERY[name]
    pivot_run = Pivot(
        sampler,
        {"disable": True, "extra_args": {}, "callback": None, **kwargs, **more},
        x0=clean,
        level_of=noise_levels.ve,
        prediction="x0",
        modules=[sampling],
    )
    x = noise_levels.noised(clean, noise, noise_levels.ve(float(SIGMAS[0])))
    settings = Settings(tau_start=tau[0], tau_end=tau[1], pin_first_frame=pin)
    result = pivot_run(model, x, Correction(settings, omega_for(omega)), pivot_run.steps(model))
    return result, pivot_run.report


def plain(name, model, clean, noise):
    sampler, kwargs = EVERY[name]
    return sampler(model, noise_levels.noised(clean, noise, noise_levels.ve(float(SIGMAS[0]))), disable=True, **kwargs)


def floor(name, clean, noise):
    """Where the sampler ends when the model answers the clean latent at every call."""
    torch.default_generator.manual_seed(11)
    return plain(name, lambda x, sigma: clean.expand_as(x), clean, noise)


@pytest.mark.parametrize("name", EVERY)
def test_frozen_frames_and_frame_0_are_the_picture_and_others_move(name, toy_model, clean, reference_noise):
    result, report = run(name, toy_model, clean, reference_noise, omega=[1.0, 1.0, 0.7, 0.2, 0.0])
    still = result[[0, -1]]
    if name == "dpm_adaptive":
        # It took other steps than with a model that answers z, so its last noise is another draw of the same size.
        assert all((frame - clean[0]).pow(2).mean().sqrt() == pytest.approx(0.03, rel=0.3) for frame in still)
    else:
        assert_close(still, floor(name, clean, reference_noise)[[0, -1]], **TOLERANCE)
    if not name.startswith(STOPS_ABOVE_ZERO):
        assert_close(still, clean.expand_as(still), **TOLERANCE)
    assert ((result[1:-1] - clean).abs().amax((1, 2, 3)) > 0.01).all(), "the other frames must move"
    assert report.rectified == report.steps > 0


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_deterministic_samplers_equal_algorithm_1(name, toy_model, clean, reference_noise):
    """The remembered noise fixed, as printed; nothing of the product but the window's place is used."""
    omega = omega_for([1.0, 0.8, 0.5, 0.3, 0.0])

    def printed(x, sigma):
        s = sigma.view(-1, 1, 1, 1)
        predicted = (x - toy_model(x, sigma)) / s
        return x - s * algorithm_1(predicted, reference_noise, omega)

    result, _ = run(name, toy_model, clean, reference_noise, omega=omega)
    expected = plain(name, printed, clean, reference_noise)
    assert (result - expected).norm() <= 1e-5 * expected.norm()


# Which step each call belongs to, from the definition of the samplers: Heun and the DPM2 kind call twice a step but for
# the last, the others once.
TWICE = [0, 0, 1, 1, 2, 2, 3]
STEP_OF_CALL = {
    "euler": range(STEPS),
    "lms": range(STEPS),
    "dpmpp_2m": range(STEPS),
    "heun": TWICE,
    "dpm_2": TWICE,
    "euler_a": range(STEPS),
    "dpm_2_a": TWICE,
    "dpmpp_2s_a": TWICE,
    "dpmpp_sde": TWICE,
    "dpmpp_2m_sde": range(STEPS),
    "dpmpp_3m_sde": range(STEPS),
    "euler, churn": range(STEPS),
    "heun, churn": TWICE,
    "dpm_fast": [0, 0, 0, 1, 1, 1, 2, 2, 3],
    "dpm_fast, eta 0": [0, 0, 0, 1, 1, 1, 2, 2, 3],
}


@pytest.mark.parametrize("name", STEP_OF_CALL)
def test_calls_of_a_step_are_told_apart(name, toy_model, clean):
    sampler, kwargs = EVERY[name]
    steps = Pivot(sampler, kwargs, x0=clean, level_of=noise_levels.ve, prediction="x0", modules=[sampling]).steps(
        toy_model
    )
    next_call = steps.follow()
    begun = itertools.accumulate(next_call(level)[0] for level in steps.levels)
    assert [count - 1 for count in begun] == list(STEP_OF_CALL[name])
    assert toy_model.calls == []


@pytest.mark.parametrize("name", ["euler", "heun", "dpmpp_2m"])
@pytest.mark.parametrize("tau", [(0.0, 0.17), (0.34, 0.67), (0.5, 1.0)])
def test_windows_equal_algorithm_1_step_by_step(name, tau, toy_model, clean, reference_noise):
    omega = omega_for([1.0, 0.8, 0.5, 0.3, 0.0])
    calls = iter(STEP_OF_CALL[name])
    num_steps = max(STEP_OF_CALL[name]) + 1
    inside = {step for step in range(num_steps) if num_steps * tau[0] - 1e-5 <= step < num_steps * tau[1] - 1e-5}
    assert 0 < len(inside) < num_steps

    def printed(x, sigma):
        s = sigma.view(-1, 1, 1, 1)
        predicted = (x - toy_model(x, sigma)) / s
        return x - s * (algorithm_1(predicted, reference_noise, omega) if next(calls) in inside else predicted)

    # A late window needs the pivot of the paper's fixed noise: after free steps x* is still z + σ·n.
    result, report = run(name, toy_model, clean, reference_noise, omega=omega, tau=tau)
    expected = plain(name, printed, clean, reference_noise)
    assert (result - expected).norm() <= 1e-5 * expected.norm()
    assert (report.rectified, report.steps) == (len(inside), num_steps)


@pytest.mark.parametrize("name", ["euler", "dpmpp_2m", "heun, churn", "dpmpp_sde", "dpm_fast", "dpm_adaptive"])
def test_an_empty_window_changes_no_bit(name, toy_model, clean, reference_noise):
    expected = plain(name, toy_model, clean, reference_noise)
    torch.default_generator.manual_seed(11)
    result, report = run(name, toy_model, clean, reference_noise, tau=(0.5, 0.5), pin=True)
    if "adaptive" in name:
        # Its error norm is over all rows; the √2 that takes the pivot's out again is rounded.
        assert_close(result, expected, rtol=1e-4, atol=1e-4)
    else:
        assert torch.equal(result, expected)
    assert report.rectified == 0


# One draws by randn_like, one from a Brownian path, one between the calls of a step.
@pytest.mark.parametrize("name", ["euler_a", "dpmpp_2m_sde", "heun, churn"])
def test_stochastic_samplers_draw_what_they_would_draw(name, toy_model, clean, reference_noise):
    """The global generator ends where it would without rectification: later jobs are not disturbed."""
    plain(name, toy_model, clean, reference_noise)
    expected = torch.get_rng_state()
    torch.default_generator.manual_seed(11)
    run(name, toy_model, clean, reference_noise)
    assert torch.equal(torch.get_rng_state(), expected)


@pytest.mark.parametrize("name", ["euler_a", "dpmpp_sde", "dpmpp_2m_sde"])
def test_the_authors_fixed_noise_drifts_and_the_pivot_does_not(name, toy_model, clean, reference_noise):
    def fixed(x, sigma):
        s = sigma.view(-1, 1, 1, 1)
        predicted = (x - toy_model(x, sigma)) / s
        return x - s * algorithm_1(predicted, reference_noise, omega_for(0.0))

    drifted = plain(name, fixed, clean, reference_noise)
    torch.default_generator.manual_seed(11)
    result, _ = run(name, toy_model, clean, reference_noise, omega=0.0)
    assert (drifted - clean).pow(2).mean().sqrt() > 0.5
    assert (result - clean).pow(2).mean().sqrt() < 1e-6


def test_a_given_noise_sampler_is_asked_once_for_both_halves(toy_model, clean, reference_noise):
    asked = []

    def noise_sampler(sigma, sigma_next):
        asked.append((float(sigma), float(sigma_next)))
        return torch.randn(FRAMES, 4, 6, 6, dtype=torch.float64)

    result, _ = run("dpmpp_2m_sde", toy_model, clean, reference_noise, omega=0.0, noise_sampler=noise_sampler)
    assert_close(result, clean.expand_as(result), **TOLERANCE)
    assert len(asked) == STEPS - 1


def test_a_hosts_own_noise_with_f_rows_is_doubled(toy_model, clean, reference_noise, monkeypatch):
    """Web UIs replace `k_diffusion.sampling.torch` by an object whose noise has F rows whatever it is asked."""
    asked = []
    host = types.SimpleNamespace(
        randn_like=lambda x: asked.append(tuple(x.shape)) or torch.randn(FRAMES, 4, 6, 6, dtype=torch.float64)
    )
    facade = type(
        "Facade", (), {"__getattr__": lambda self, name: getattr(host if name == "randn_like" else torch, name)}
    )()
    monkeypatch.setattr(sampling, "torch", facade)
    result, _ = run("euler_a", toy_model, clean, reference_noise, omega=0.0)
    assert_close(result, clean.expand_as(result), **TOLERANCE)
    assert asked == [(FRAMES, 4, 6, 6)] * (STEPS - 1)
    assert sampling.torch is facade


def test_a_default_noise_with_a_generator_of_its_own_is_the_same_for_both(toy_model, clean, reference_noise):
    """ComfyUI's k-diffusion, which Forge and reForge carry beside the other: its default draws by `torch.randn`."""
    module = types.ModuleType("patched")

    def default_noise_sampler(x, seed=None):
        generator = torch.Generator().manual_seed(seed)
        return lambda sigma, below: torch.randn(x.size(), dtype=x.dtype, generator=generator)

    def sampler(model, x, sigmas, extra_args=None, callback=None, disable=None, noise_sampler=None):
        noise_sampler = noise_sampler or module.default_noise_sampler(x, seed=7)
        for sigma, below in zip(sigmas[:-1], sigmas[1:]):
            drawn.append(noise_sampler(sigma, below))
            x = model(x, sigma * x.new_ones(x.shape[0])) + below * drawn[-1]
        return x

    drawn = []
    vars(module).update(torch=torch, default_noise_sampler=default_noise_sampler)
    pivot_run = Pivot(
        sampler, {"sigmas": SIGMAS}, x0=clean, level_of=noise_levels.ve, prediction="x0", modules=[module]
    )
    x = noise_levels.noised(clean, reference_noise, noise_levels.ve(float(SIGMAS[0])))
    steps = pivot_run.steps(toy_model)
    drawn.clear()
    result = pivot_run(toy_model, x, Correction(Settings(tau_end=1.0), omega_for(0.0)), steps)
    assert_close(result, clean.expand_as(result), **TOLERANCE)
    expected = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(7))
    assert torch.equal(drawn[0][:FRAMES], expected), "the frames' draw is what it is without the pivot"
    assert torch.equal(drawn[0][FRAMES:], expected)
    assert module.default_noise_sampler is default_noise_sampler


def test_a_sampler_that_asks_the_model_for_more_is_refused_before_its_first_call(toy_model, clean):
    """ComfyUI's CFG++ takes the unguided answer from inside the model, by a function that it hands in."""

    def sampler(model, x, sigmas, extra_args=None, callback=None, disable=None):
        return model(x, sigmas[0] * x.new_ones(x.shape[0]), model_options={"sampler_post_cfg_function": []})

    pivot_run = Pivot(
        sampler, {"sigmas": SIGMAS}, x0=clean, level_of=noise_levels.ve, prediction="x0", modules=[sampling]
    )
    with pytest.raises(NotTwinError, match="asks the model for more than its prediction \\(model_options\\)"):
        pivot_run.steps(toy_model)


def test_a_sampler_that_takes_the_frames_apart_is_refused(toy_model, clean, reference_noise):
    """reForge's ODE samplers solve each row by itself."""

    def sampler(model, x, sigmas, extra_args=None, callback=None, disable=None):
        return torch.cat([model(row[None], sigmas[:1]) for row in x])

    pivot_run = Pivot(
        sampler, {"sigmas": SIGMAS}, x0=clean, level_of=noise_levels.ve, prediction="x0", modules=[sampling]
    )
    steps = pivot_run.steps(toy_model)
    x = noise_levels.noised(clean, reference_noise, noise_levels.ve(float(SIGMAS[0])))
    with pytest.raises(NotTwinError, match="single frames and not for the whole video: choose another sampler"):
        pivot_run(toy_model, x, Correction(Settings(tau_end=1.0), omega_for(0.0)), steps)


def test_noise_that_is_not_twin_is_noticed(toy_model, clean, reference_noise):
    def sampler(model, x, sigmas, extra_args=None, callback=None, disable=None):
        for sigma, below in zip(sigmas[:-1], sigmas[1:]):
            x = model(x, sigma * x.new_ones(x.shape[0])) + below * torch.randn(*x.shape, dtype=x.dtype)
        return x

    pivot_run = Pivot(
        sampler, {"sigmas": SIGMAS}, x0=clean, level_of=noise_levels.ve, prediction="x0", modules=[sampling]
    )
    x = noise_levels.noised(clean, reference_noise, noise_levels.ve(float(SIGMAS[0])))
    with pytest.raises(NotTwinError, match="choose another sampler"):
        pivot_run(toy_model, x, Correction(Settings(tau_end=1.0), omega_for(1.0)), pivot_run.steps(toy_model))


def test_one_step_by_hand():
    """At a = 1 with x* = x0 + n: R = x - n. ω = 0.5 takes half of P_1 + (R_0 - P_0), and half of R_1."""
    correction = Correction(Settings(tau_end=0.5, pin_first_frame=True), torch.tensor([1.0, 0.5]))
    step = PivotStep(torch.zeros(1, 1, 1, 1), correction, num_steps=2)
    prediction, x, pivot = (torch.tensor(values).view(2, 1, 1, 1) for values in ([0.5, 2.0], [1.0, 3.0], [1.0, 1.0]))
    level = noise_levels.ve(2.0)
    before, _ = step(prediction, x, pivot, level, "x0", 1)
    assert before is prediction, "nothing is pinned before the window"
    corrected, at_pivot = step(prediction, x, pivot, level, "x0", 0)
    assert corrected.flatten().tolist() == [0.0, 0.5 * 2.0 + 0.5 * (2.0 - 0.5)] and at_pivot.flatten().tolist() == [
        0,
        0,
    ]
    after, at_pivot = step(prediction, x, pivot, level, "eps", 1)
    assert after.flatten().tolist() == [0.5, 2.0] and at_pivot.flatten().tolist() == [0.5, 0.5]


def test_a_correction_of_settings():
    mask = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2).expand(3, -1, -1, -1)
    reference = Reference(torch.zeros(1, 1, 1, 2), Keyframes((0,), 3), mask)
    settings = Settings(tau_end=0.8, omega=(1.0, 0.5, 0.25), release=0.1, hold_colour=True)
    correction = Correction.of(
        settings, reference, find_dial=lambda: pytest.fail("only the preset motion needs a dial")
    )
    assert correction.omega.flatten().tolist() == [0, 1, 0, 0.5, 0, 0.25]
    assert correction.settings == settings and correction.keyframes == reference.keyframes
    dial = Dial(tuple(omega**0.5 for omega in OMEGAS))
    correction = Correction.of(Settings(omega="motion", motion=0.5), replace(reference, mask=None), lambda: dial)
    assert correction.omega.tolist() == pytest.approx([0.25] * 3, abs=1e-3)
    with pytest.raises(UnreachableMotionError):
        Correction.of(Settings(omega="motion", motion=0.5), reference, lambda: Dial((0.9,) * 64 + (1.0,)))


def test_everything_is_put_back_when_the_model_fails(clean, reference_noise):
    before = (sampling.torch, sampling.BrownianTreeNoiseSampler)

    def failing(x, sigma):
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        run("dpmpp_sde", failing, clean, reference_noise)
    assert (sampling.torch, sampling.BrownianTreeNoiseSampler) == before


def test_the_callback_sees_the_frames_only(toy_model, clean, reference_noise):
    seen = []
    run("euler", toy_model, clean, reference_noise, callback=seen.append)
    assert [info["i"] for info in seen] == list(range(STEPS))
    assert all(info["x"].shape == info["denoised"].shape == (FRAMES, 4, 6, 6) for info in seen)


def test_attributes_go_to_the_model_and_come_from_it(clean, reference_noise):
    class Guided(ToyModel):
        inner_model = "the wrapped model"

    model, read = Guided(), []

    def sampler(model, x, sigmas, extra_args=None, callback=None, disable=None):
        model.cond_scale_miltiplier = 0.08
        read.append(model.inner_model)
        return sampling.sample_euler(model, x, sigmas, disable=True)

    pivot_run = Pivot(
        sampler, {"sigmas": SIGMAS}, x0=clean, level_of=noise_levels.ve, prediction="x0", modules=[sampling]
    )
    steps = pivot_run.steps(model)
    assert not hasattr(model, "cond_scale_miltiplier"), "the rehearsal must leave the model alone"
    pivot_run(
        model,
        noise_levels.noised(clean, reference_noise, noise_levels.ve(float(SIGMAS[0]))),
        Correction(Settings(tau_end=1.0), omega_for(1.0)),
        steps,
    )
    assert model.cond_scale_miltiplier == 0.08 and read == ["the wrapped model"] * 2


def test_the_first_frame_stays_pinned_after_the_window(toy_model, clean, reference_noise):
    free, _ = run("euler", toy_model, clean, reference_noise, tau=(0.0, 0.5))
    pinned, report = run("euler", toy_model, clean, reference_noise, tau=(0.0, 0.5), pin=True)
    assert (free[0] - clean[0]).abs().max() > 0.01
    assert_close(pinned[0], clean[0], **TOLERANCE)
    assert report.rectified == STEPS / 2


def test_key_frames_have_their_own_clean_latent(toy_model, reference_noise):
    per_frame = torch.randn(FRAMES, 4, 6, 6, dtype=torch.float64)
    result, _ = run("euler_a", toy_model, per_frame, reference_noise, omega=0.0)
    assert_close(result, per_frame, **TOLERANCE)


@pytest.mark.parametrize("frames", [1, 2, 3, 33])
def test_any_number_of_frames(frames, clean):
    noise = torch.randn(frames, 4, 6, 6, dtype=torch.float64)
    pivot_run = Pivot(
        sampling.sample_dpmpp_2s_ancestral,
        {"sigmas": SIGMAS, "disable": True},
        x0=clean,
        level_of=noise_levels.ve,
        prediction="x0",
        modules=[sampling],
    )
    model = ToyModel(frames=frames)
    plan = Correction(Settings(tau_end=1.0), torch.linspace(1, 0.5, frames, dtype=torch.float64))
    result = pivot_run(
        model, noise_levels.noised(clean, noise, noise_levels.ve(float(SIGMAS[0]))), plan, pivot_run.steps(model)
    )
    assert result.shape == (frames, 4, 6, 6)
    assert_close(result[0], clean[0], **TOLERANCE)


def restart(model, x, sigmas, extra_args=None, callback=None, disable=None):
    """A sampler that goes back up: down to σ_2, back to σ_1 with fresh noise, and down to the end."""
    down = functools.partial(sampling.sample_euler, model, disable=True, callback=callback)
    x = down(x, sigmas[:3])
    x = x + sampling.torch.randn_like(x) * (sigmas[1] ** 2 - sigmas[2] ** 2) ** 0.5
    return down(x, sigmas[1:])


def test_what_goes_back_up_is_rectified_again(toy_model, clean, reference_noise):
    pivot_run = Pivot(
        restart,
        {"sigmas": SIGMAS, "callback": None},
        x0=clean,
        level_of=noise_levels.ve,
        prediction="x0",
        modules=[sampling],
    )
    steps = pivot_run.steps(toy_model)
    assert steps.num_steps == STEPS and steps.positions() == [0, 1, 1, 2, 3]
    x = noise_levels.noised(clean, reference_noise, noise_levels.ve(float(SIGMAS[0])))
    result = pivot_run(toy_model, x, Correction(Settings(tau_end=1.0), omega_for(0.0)), steps)
    assert_close(result, clean.expand_as(result), **TOLERANCE)
    pivot_run(toy_model, x, Correction(Settings(tau_end=0.5), omega_for(0.5)), steps)
    assert (pivot_run.report.rectified, pivot_run.report.steps) == (3, 5)  # steps 0 1 and, after the way up, 1


def test_dpm_adaptive_is_placed_by_the_level_of_each_call(toy_model, clean, reference_noise):
    rectified = []
    sampler, kwargs = EVERY["dpm_adaptive, eta 0"]
    pivot_run = Pivot(
        sampler, {**kwargs, "disable": True}, x0=clean, level_of=noise_levels.ve, prediction="x0", modules=[sampling]
    )
    after = lambda prediction, x, sigma, level: rectified.append(float(sigma[0])) or prediction  # noqa: E731
    plan = Correction(Settings(tau_end=0.5), omega_for(0.7))
    pivot_run(
        toy_model,
        noise_levels.noised(clean, reference_noise, noise_levels.ve(15.0)),
        plan,
        pivot_run.steps(toy_model),
        after=after,
    )
    middle = float((SIGMAS[0] * SIGMAS[-2]) ** 0.5)  # half way in log σ
    assert rectified == [sigma for sigma in toy_model.calls if sigma > middle * 1.001]
    assert len(rectified) < len(toy_model.calls)


@pytest.mark.parametrize("name", ["dpm_adaptive", "dpm_adaptive, eta 0"])
def test_dpm_adaptive_is_inside_a_window_that_ends_with_the_steps(name, toy_model, clean, reference_noise):
    _, report = run(name, toy_model, clean, reference_noise, omega=0.9)
    assert 0 < report.rectified == report.steps <= len(toy_model.calls)


@pytest.mark.parametrize("state, answer", [(torch.float32, torch.float16), (torch.float16, torch.float16)])
def test_half_precision(state, answer, clean, reference_noise):
    """A model in half precision under a sampler in float32 (the web UI), and everything in half precision (diffusers)."""
    model = ToyModel(dtype=torch.float32)
    halved = lambda x, sigma: model(x.float(), sigma.float()).to(answer)  # noqa: E731
    pivot_run = Pivot(
        sampling.sample_euler_ancestral,
        {"sigmas": SIGMAS.to(state), "disable": True},
        x0=clean.to(state),
        level_of=noise_levels.ve,
        prediction="x0",
        modules=[sampling],
    )
    x = noise_levels.noised(clean, reference_noise.to(state), noise_levels.ve(float(SIGMAS[0])))
    omega = torch.linspace(1, 0, FRAMES, dtype=state)
    result = pivot_run(halved, x, Correction(Settings(tau_end=1.0), omega), pivot_run.steps(halved))
    assert result.dtype == state
    ends = result[[0, -1]].double() - clean  # ω of the last frame is 0
    assert ends.abs().max() <= (1e-5 if state == torch.float32 else 2e-2)


def test_a_long_video_gets_fresh_noise_in_order():
    """Each later block has the noise of the first context, in another order; the same for the frames and the pivot."""
    order = noise_order(12, 4)
    assert order[:4] == [0, 1, 2, 3] != order[4:8] and sorted(order[4:8]) == sorted(order[8:]) == [0, 1, 2, 3]
    draw = Twin(12, [], order).noise_sampler(lambda: torch.arange(12.0))
    assert draw().tolist() == [*order, *order]


def test_a_sampler_without_a_schedule_is_refused(toy_model, clean):
    def sampler(model, x, extra_args=None, callback=None, disable=None):
        return x

    with pytest.raises(ValueError, match="its steps are not known"):
        Pivot(sampler, {}, x0=clean, level_of=noise_levels.ve, prediction="x0", modules=[sampling]).steps(toy_model)


def test_every_sampler_of_k_diffusion_is_covered():
    """A new release of k-diffusion must not slip in untested."""
    offered = {
        function for name, function in inspect.getmembers(sampling, inspect.isfunction) if name.startswith("sample_")
    }
    assert offered - {sampler for sampler, _ in EVERY.values()} == set()

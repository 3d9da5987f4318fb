"""lvdm's sampler: the exact facts on a sampler of its calling convention, and on a checkout where one is given."""

import importlib
import os
import sys
from dataclasses import replace
from pathlib import Path

import lvdm_sampler
import pytest
import torch
from lvdm_sampler import DDIMSampler, Model

from lib_noiserect.core.settings import Settings, SettingsError
from lib_noiserect.methods.analytic_init import Statistics
from lib_noiserect.pipelines import PipelineError
from lib_noiserect.pipelines.lvdm import late_start, rectified_lvdm

FROZEN = Settings(enabled=True, tau_end=1.0, omega="frozen")
FREE = Settings(enabled=True, tau_end=1.0, omega="constant", omega_start=1.0)
SHAPE = (4, 5, 6, 6)
MODELS = {
    "eps": {},
    "v, zero SNR": {"parameterization": "v", "zero_snr": True},
    "DynamiCrafter": {"parameterization": "v", "scaled": "dynamic", "zero_snr": True},
    "VideoCrafter1": {"scaled": "fixed"},
}


def picture(seed=1):
    return torch.randn(1, 4, 1, 6, 6, generator=torch.Generator().manual_seed(seed)).double()


def noise(seed=2):
    return torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(seed)).double()


def sampled(sampler, steps=8, **options):
    torch.manual_seed(4)
    call = {"unconditional_guidance_scale": 3.0, "x_T": noise(), **options}
    return sampler.sample(S=steps, batch_size=1, shape=SHAPE, conditioning=torch.full((1, 1, 1, 1, 1), 0.3).double(), **call)


def far(left, right):
    return float((left - right).abs().max() / right.abs().max())


@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_frozen_frames_end_at_the_pivot_and_free_ones_behind_a_pinned_first(model, eta):
    sampler = DDIMSampler(Model(**model))
    with rectified_lvdm(sampler, picture(), FROZEN) as rectification:
        ended, more = sampled(sampler, eta=eta)
    assert far(ended, rectification.pivot) < 1e-9 and rectification.reports[0].rectified == 8
    clean = picture() * (sampler.ddim_scale_arr_prev[0] if model.get("scaled") == "dynamic" else 1)
    assert far(more["pred_x0"], clean.expand(1, *SHAPE)) < 1e-9
    # The sampler ends at ᾱ_0.
    assert (ended - rectification.x0 * sampler.ddim_scale_arr_prev[0] ** (model.get("scaled") is not None)).std() < 0.04
    with rectified_lvdm(sampler, picture(), FREE) as rectification:
        ended, _ = sampled(sampler, eta=eta)
    assert far(ended[:, :, 0], rectification.pivot[:, :, 0]) < 1e-9
    assert far(ended[:, :, -1], rectification.pivot[:, :, -1]) > 0.01


def test_off_and_an_empty_window_are_the_samplers_own_bits():
    sampler = DDIMSampler(Model())
    plain, _ = sampled(sampler)
    with rectified_lvdm(sampler, picture(), Settings()):
        assert torch.equal(sampled(sampler)[0], plain)
    empty = Settings(enabled=True, tau_start=0.0, tau_end=0.0)
    with rectified_lvdm(sampler, picture(), empty) as rectification:
        ended, _ = sampled(sampler)
    start = late_start(sampler.model, picture(), noise(), 8)
    assert torch.equal(start.reference_noise, rectification.reference_noise)
    assert torch.equal(sampled(sampler, x_T=start.x_T)[0], ended)
    assert vars(sampler).keys().isdisjoint({"ddim_sampling", "p_sample_ddim"})


@pytest.mark.parametrize("window", [0.6, 1.0])
def test_algorithm_1_with_eps(window):
    """As printed, with DDIM at η = 0, where lvdm's list of ᾱ ends at ᾱ_0."""
    sampler, omega = DDIMSampler(Model()), (1.0, 0.8, 0.5, 0.25, 0.1)
    settings = Settings(enabled=True, tau_end=window, omega=omega)
    with rectified_lvdm(sampler, picture(), settings) as rectification:
        ended, _ = sampled(sampler)
    powers, model, remembered = sampler.model.alphas_cumprod, Model(), noise()
    weights = torch.tensor(omega, dtype=torch.float64)[None, None, :, None, None]
    times = [*reversed(sampler.ddim_timesteps.tolist()), 0]
    x = powers[999].sqrt() * picture() + (1 - powers[999]).sqrt() * remembered
    for index, (now, before) in enumerate(zip(times, times[1:])):
        free, told = (model.apply_model(x, torch.tensor([now]), c) for c in (0.0, 0.3))
        predicted = free + 3.0 * (told - free)
        if index < 8 * window:
            gap = remembered[:, :, :1] - predicted[:, :, :1]
            predicted = predicted + weights * gap + (1 - weights) * (remembered - predicted)
        clean = (x - (1 - powers[now]).sqrt() * predicted) / powers[now].sqrt()
        x = powers[before].sqrt() * clean + (1 - powers[before]).sqrt() * predicted
    assert far(ended, x) < 1e-6  # ω is float32
    assert rectification.reports[0].rectified == (5 if window == 0.6 else 8)


def test_a_late_start_takes_all_steps_from_m_on_with_the_scale_in_the_level():
    sampler = DDIMSampler(Model(**MODELS["DynamiCrafter"]))
    statistics = Statistics("mean", {"mean": noise(7)[0].transpose(0, 1).float(), "variance": torch.tensor(0.7)}, frames=5)
    settings = replace(FROZEN, start_time=0.9)
    with rectified_lvdm(sampler, picture(), settings, statistics=statistics) as rectification:
        ended, _ = sampled(sampler)
    assert far(ended, rectification.pivot) < 1e-9
    start = late_start(sampler.model, picture(), noise(), 8, 0.9, statistics)
    assert sampler.model.calls[::2] == start.timesteps[::-1] and start.timesteps[-1] == 899 and len(start.timesteps) == 8
    a, s = 0.7 * sampler.model.alphas_cumprod[899].sqrt(), (1 - sampler.model.alphas_cumprod[899]).sqrt()
    by_hand = a * statistics.values["mean"].transpose(0, 1)[None] + (s**2 + a**2 * 0.7).sqrt() * noise()
    assert far(start.x_T, by_hand) < 1e-6
    assert len(lvdm_sampler.make_ddim_timesteps("uniform_trailing", 8, 1000)) == 8  # as before


def test_a_chosen_motion_survives():
    ended = []
    for motion in (0.4, 1.0):
        sampler = DDIMSampler(Model())
        settings = replace(FREE, omega="motion", motion=motion)
        with rectified_lvdm(sampler, picture(), settings) as rectification:
            ended.append((sampled(sampler)[0] - rectification.pivot)[:, :, -1].abs().mean())
    assert 0.1 < ended[0] / ended[1] < 0.8


@pytest.mark.parametrize(
    ("change", "call", "error", "message"),
    [
        ({"loop": True}, {}, PipelineError, "loop does not work with lvdm's sampler"),
        ({"omega": (1.0, 0.5)}, {}, SettingsError, "omega has 2 entries and the video has 5 frames"),
        ({}, {"mask": torch.ones(1)}, PipelineError, "mask is set"),
        ({}, {"timesteps": 3}, PipelineError, "timesteps is set"),
    ],
)
def test_what_cannot_be_rectified_is_refused_before_the_model_runs(change, call, error, message):
    sampler = DDIMSampler(Model())
    with pytest.raises(error, match=message), rectified_lvdm(sampler, picture(), replace(FREE, **change)):
        sampled(sampler, **call)
    assert sampler.model.calls == []


def test_other_objects_and_latents_are_refused():
    with pytest.raises(PipelineError, match="object has no make_schedule"), rectified_lvdm(object(), picture(), FREE):
        pass
    sampler = DDIMSampler(Model())
    with pytest.raises(PipelineError, match=r"latent is \(1, 4, 1, 5, 6\)"):
        late_start(sampler.model, picture()[..., 1:, :], noise(), 8)
    with pytest.raises(PipelineError, match="made no video"), rectified_lvdm(sampler, picture(), FREE):
        pass


@pytest.mark.skipif("NOISERECT_LVDM" not in os.environ, reason="NOISERECT_LVDM names no folder with lvdm")
@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_the_real_sampler(model, eta, monkeypatch):
    """The contract with a checkout: lvdm's own DDIMSampler around the toy model."""
    monkeypatch.syspath_prepend(os.environ["NOISERECT_LVDM"])
    name = "ddim_videocrafter" if model.get("scaled") == "fixed" else "ddim"
    if not (Path(os.environ["NOISERECT_LVDM"]) / "lvdm" / "models" / "samplers" / f"{name}.py").is_file():
        pytest.skip(f"this lvdm has no {name}")
    module = importlib.import_module(f"lvdm.models.samplers.{name}")
    toy = Model(**model)
    toy.device, toy.alphas_cumprod_prev = torch.device("cpu"), torch.cat([torch.ones(1), toy.alphas_cumprod[:-1]])
    toy.predict_eps_from_z_and_v = lambda x, t, v: _roots(toy, t)[0] * v + _roots(toy, t)[1] * x
    toy.predict_start_from_z_and_v = lambda x, t, v: _roots(toy, t)[0] * x - _roots(toy, t)[1] * v
    sampler = module.DDIMSampler(toy)
    monkeypatch.setattr(sampler, "register_buffer", lambda name, value: setattr(sampler, name, value))
    none = torch.zeros(1, 1, 1, 1, 1).double()
    more = {"unconditional_conditioning": none, "unconditional_conditioning_img_nonetext": none, "verbose": False}
    for settings in (FROZEN, FREE):
        with rectified_lvdm(sampler, picture(), settings) as rectification:
            ended, _ = sampled(sampler, eta=eta, timestep_spacing="uniform_trailing", **more)
        kept = slice(None) if settings is FROZEN else slice(1)
        assert far(ended[:, :, kept], rectification.pivot[:, :, kept]) < 1e-5
    sys.modules.pop(module.__name__)


def _roots(model, t):
    power = model.alphas_cumprod[int(t[0])]
    return power.sqrt(), (1 - power).sqrt()

"""Start time and the analytic start on stock pipelines: first call, steps, off, the picture, Algorithm 1; refusals."""

import copy
import math
from dataclasses import replace

import diffusers
import pytest
import torch
from test_rectified import (
    FREE,
    FROZEN,
    STOPS_ABOVE_ZERO,
    VE_AND_VP,
    aligned,
    clip,
    far,
    in_float64,
    picture,
    scheduler_of,
    with_scheduler,
)
from tiny_pipelines import shared

from lib_noiserect.core.settings import Settings, SettingsError
from lib_noiserect.methods import statistics_file
from lib_noiserect.methods.analytic_init import Statistics
from lib_noiserect.pipelines import PipelineError, rectified
from lib_noiserect.pipelines.start_time import start_late


class Watched:
    """What the model and the scheduler were given: the timesteps of all calls, and the first state."""

    def __init__(self, pipe):
        self.timesteps, self.start = [], None
        network = pipe.transformer if getattr(pipe, "transformer", None) is not None else pipe.unet
        self.handle = network.register_forward_pre_hook(self.seen, with_kwargs=True)
        self.pipe = pipe

    def seen(self, module, args, kwargs):
        timestep = kwargs["timestep"] if "timestep" in kwargs else args[1]
        self.timesteps.append(float(torch.as_tensor(timestep).flatten()[0]))

    def watch_start(self):
        stand_in, step = self.pipe.scheduler, self.pipe.scheduler.step

        def watched(output, timestep, sample, *args, **kwargs):
            if self.start is None:
                self.start = sample.clone()
            return step(output, timestep, sample, *args, **kwargs)

        stand_in.step = watched


def run(pipe, call, settings, steps=6, seed=5, **options):
    watched = Watched(pipe)
    with rectified(pipe, picture(), settings, **options) as rectification:
        watched.watch_start()
        ended = clip(pipe, call, num_inference_steps=steps, seed=seed)
    watched.handle.remove()
    return ended, rectification, watched


def edm_sigma(start_time):
    """EDM's ρ-schedule from 80 to 0.002 with ρ = 7, at the share of it that is left."""
    return (80 ** (1 / 7) + (1 - start_time) * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7


def level_by_hand(name, timestep):
    """(a, s) at a timestep of AnimateDiff's linear schedule, whose states are VE for k-diffusion's family."""
    betas = torch.linspace(0.00085, 0.012, 1000, dtype=torch.float64)
    alpha = float((1 - betas).cumprod(0)[timestep])
    if name == "DDIM zero SNR v":
        roots = (1 - betas).cumprod(0).sqrt()
        alpha = float(((roots[timestep] - roots[-1]) * roots[0] / (roots[0] - roots[-1])) ** 2)
    is_ve = name.split()[0] in ("Euler", "Heun", "KDPM2", "LMS") or "SDE" in name and "2M" not in name
    return (1.0, math.sqrt((1 - alpha) / alpha)) if is_ve else (math.sqrt(alpha), math.sqrt(1 - alpha))


# One of each class: what a scheduler predicts has no say in where it begins.
ONE_OF_EACH = [
    name
    for name in VE_AND_VP
    if not any(
        part in name for part in (" v", "parallel", "sample", "unseeded", "Runge", "EDM DPM", "DPM++ 2M ", "DPM 2M")
    )
]


@pytest.mark.parametrize("name", [*ONE_OF_EACH, "DDIM zero SNR v"])
def test_every_scheduler_begins_at_m_with_all_its_steps_and_freezes_to_its_floor(name):
    pipe, call = with_scheduler(name)
    seed = None if "unseeded" in name else 5
    ended, rectification, watched = run(pipe, call, replace(FROZEN, start_time=0.9), steps=2, seed=seed)
    if name.startswith("EDM"):
        level = (1.0, edm_sigma(0.9))
        assert watched.timesteps[0] == pytest.approx(0.25 * math.log(level[1]), abs=1e-5)
    else:
        level = level_by_hand(name, 899)
        assert watched.timesteps[0] == pytest.approx(899, abs=1e-3)
    by_hand = level[0] * rectification.x0 + level[1] * rectification.reference_noise
    assert far(watched.start, by_hand) < 1e-5
    report = rectification.reports[0]
    assert report.rectified == report.steps == 2
    plain = with_scheduler(name)[0].scheduler
    plain.set_timesteps(2)
    assert len(watched.timesteps) == len(plain.timesteps)
    assert far(ended, rectification.pivot) < 1e-5
    left = (ended - rectification.x0).square().mean().sqrt()
    # A schedule whose last timestep is not the one before the first ends at the picture with a zero-SNR model too.
    stops = name in STOPS_ABOVE_ZERO - {"DDIM zero SNR v"}
    assert (0.02 < left < 0.04) if stops else left < 1e-4


@pytest.mark.parametrize("name", [name for name in ONE_OF_EACH if not name.startswith("EDM")])
def test_no_step_is_lost_or_added_where_they_do_not_divide(name):
    """np.arange(820, 0, -820/25) has 26 entries."""
    original = scheduler_of(name)
    for steps in (7, 25):
        plain = copy.deepcopy(original)
        plain.set_timesteps(steps)
        for start_time in (0.82, 0.92, 0.97):
            late = copy.deepcopy(original)
            start_late(late, start_time)
            late.set_timesteps(steps)
            assert len(late.timesteps) == len(plain.timesteps)
            assert float(late.timesteps[0]) == pytest.approx(1000 * start_time - 1, abs=1e-3)
            assert float(late.timesteps.min()) >= 0
            if hasattr(late, "sigmas"):
                assert len(late.sigmas) == len(plain.sigmas) and late.sigmas[-1] == plain.sigmas[-1]


@pytest.mark.parametrize("name", ["ModelScope", "LTX", "Wan", "CogVideoX"])
def test_other_pipelines_begin_at_m(name):
    pipe, call = shared(name)
    ended, rectification, watched = run(pipe, call, replace(FROZEN, start_time=0.9), steps=2)
    # Timesteps of flow models are σ·T, and UniPC's are whole.
    assert watched.timesteps[0] == pytest.approx({"LTX": 900, "Wan": 900}.get(name, 899), abs=1)
    assert far(aligned(ended, rectification), aligned(rectification.x0, rectification)) < 1e-5
    if name in ("LTX", "Wan"):
        by_hand = 0.1 * rectification.x0 + 0.9 * rectification.reference_noise
        assert far(watched.start, by_hand) < 1e-5


@pytest.mark.parametrize("name", ["DDIM", "EDM Euler"])
def test_a_start_time_of_1_is_as_without(name):
    ended = []
    for settings in (FREE, replace(FREE, start_time=1.0, statistics="none")):
        pipe, call = with_scheduler(name)
        clip_made, _, watched = run(pipe, call, settings, steps=2)
        ended.append(clip_made)
        plain = with_scheduler(name)[0].scheduler
        plain.set_timesteps(2)
        assert watched.timesteps == plain.timesteps.tolist()  # the scheduler's own, to the bit
    assert torch.equal(*ended)


def test_the_scheduler_is_as_it_was_afterwards():
    pipe, call = with_scheduler("DDIM")
    scheduler = pipe.scheduler
    plain = clip(pipe, call)
    assert not torch.equal(run(pipe, call, replace(FREE, start_time=0.9), steps=4)[0], plain)
    assert pipe.scheduler is scheduler and type(scheduler).__name__ == "DDIMScheduler"
    assert scheduler.config.num_train_timesteps == 1000
    assert torch.equal(clip(pipe, call), plain)


def test_denoising_strength_takes_the_last_steps_of_the_late_schedule():
    pipe, call = with_scheduler("DDIM")
    settings = replace(FROZEN, start_time=0.8)
    ended, rectification, watched = run(pipe, call, settings, steps=8, strength=0.5)
    assert watched.timesteps == [399, 299, 199, 99]
    assert far(ended, rectification.x0) < 1e-5 and rectification.reports[0].steps == 4


def test_the_window_in_noise_levels_counts_the_models_own_timesteps():
    """A start at 0.8 is at 0.2 of the noise levels: 799, 699 … 99 are at 0.2, 0.3 … 0.9."""
    pipe, call = with_scheduler("DDIM")
    settings = replace(FROZEN, start_time=0.8, tau_unit="noise level", tau_start=0.25, tau_end=0.45)
    _, rectification, _ = run(pipe, call, settings, steps=8)
    assert rectification.reports[0].rectified == 2


def statistics(kind, frames=5, size=8, seed=2):
    generator = torch.Generator().manual_seed(seed)

    def randn(*shape):
        return torch.randn(shape, generator=generator)

    if kind == "mean":
        values = {"mean": randn(frames, 4, size, size), "variance": torch.tensor(0.7)}
    elif kind == "conditional":
        later = (torch.arange(frames) > 0).float()
        values = {"mean": 0.3 * randn(frames, 4, size, size) * later.view(-1, 1, 1, 1), "variance": 0.2 * later}
    else:
        values = {"power": torch.linspace(60, 0, 24).expand(frames, 4, 24) * (torch.arange(frames) > 0)[:, None, None]}
    return Statistics(kind, values, frames=frames)


KINDS = ("mean", "conditional", "spectral")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["DDIM", "Euler a"])
def test_rectification_is_exact_from_a_start_that_is_drawn_from_statistics(name, kind):
    pipe, call = with_scheduler(name)
    settings = replace(FROZEN, start_time=0.9)
    ended, rectification, watched = run(pipe, call, settings, steps=3, statistics=statistics(kind))
    assert far(ended, rectification.x0) < 1e-5
    level = level_by_hand(name, 899)
    by_hand = level[0] * rectification.x0 + level[1] * rectification.reference_noise
    assert far(watched.start, by_hand) < 1e-5
    drawn = torch.randn(1, 4, 5, 8, 8, generator=torch.Generator().manual_seed(5))
    assert far(rectification.reference_noise, drawn) > 0.01
    if kind != "mean":  # frame 0 begins as the noised picture
        assert torch.allclose(rectification.reference_noise[:, :, 0], drawn[:, :, 0], atol=1e-6)
    ended, rectification, _ = run(pipe, call, replace(FREE, start_time=0.9), steps=3, statistics=statistics(kind))
    assert far(ended[:, :, 0], rectification.x0[:, :, 0]) < 1e-5
    assert far(ended[:, :, -1], rectification.x0[:, :, -1]) > 0.01


def test_the_papers_start_is_drawn_by_its_formula():
    """μ = √ᾱ·E[x_0] and σ² = 1 - ᾱ + ᾱ·tr Cov/d, as the authors' `image_guided_synthesis_analytic` has it."""
    pipe, call = with_scheduler("DDIM")
    given = statistics("mean")
    _, _, watched = run(pipe, call, replace(FREE, start_time=0.94), steps=2, statistics=given)
    a, s = level_by_hand("DDIM", 939)
    drawn = torch.randn(1, 4, 5, 8, 8, generator=torch.Generator().manual_seed(5))
    by_hand = a * given.values["mean"].transpose(0, 1)[None] + math.sqrt(s * s + a * a * 0.7) * drawn
    assert far(watched.start, by_hand) < 1e-5


@pytest.mark.parametrize("kind", [None, "mean"])  # of the kinds, that which changes all frames
def test_ddim_equals_algorithm_1_given_the_remembered_noise(kind):
    """In float64; 900 timesteps do not divide into 8 steps."""
    pipe, call = in_float64()
    omega = (1.0, 0.8, 0.5, 0.25, 0.1)
    settings = Settings(enabled=True, tau_end=0.75, omega=omega, start_time=0.9)
    with rectified(pipe, picture(), settings, statistics=kind and statistics(kind)) as rectification:
        ended = clip(pipe, call, num_inference_steps=8)
    z, n = rectification.x0.double(), rectification.reference_noise.double()
    timesteps = [899, 787, 674, 561, 449, 337, 224, 111, -1]  # 900·(8-k)/8 - 1, halves to even
    powers = (1 - torch.linspace(0.00085, 0.012, 1000)).cumprod(0).double()
    weights = torch.tensor(omega, dtype=torch.float64)[None, None, :, None, None]
    x = powers[899].sqrt() * z + (1 - powers[899]).sqrt() * n
    with torch.no_grad():
        for index, (timestep, before) in enumerate(zip(timesteps, timesteps[1:])):
            words = torch.cat([call["negative_prompt_embeds"], call["prompt_embeds"]]).repeat_interleave(5, 0)
            free, told = pipe.unet(torch.cat([x, x]), timestep, encoder_hidden_states=words).sample.chunk(2)
            predicted = free + 3.0 * (told - free)
            if index < 6:
                gap = n[:, :, :1] - predicted[:, :, :1]
                predicted = predicted + weights * gap + (1 - weights) * (n - predicted)
            power = powers[before] if before >= 0 else torch.tensor(1.0, dtype=torch.float64)
            clean = (x - (1 - powers[timestep]).sqrt() * predicted) / powers[timestep].sqrt()
            x = power.sqrt() * clean + (1 - power).sqrt() * predicted
    assert (ended - x).norm() / x.norm() < 1e-5


def test_statistics_by_the_name_of_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(statistics_file, "FOLDER", tmp_path)
    statistics_file.save(statistics("spectral"), tmp_path / "clips.safetensors")
    ended = []
    for given in ({"statistics": statistics("spectral")}, {"statistics": tmp_path / "clips.safetensors"}, {}):
        pipe, call = with_scheduler("DDIM")
        name = "none" if given else "clips.safetensors"
        ended.append(run(pipe, call, replace(FREE, statistics=name), steps=2, **given)[0])
    assert torch.equal(ended[0], ended[1]) and torch.equal(ended[0], ended[2])
    pipe, call = with_scheduler("DDIM")
    with pytest.raises(
        SettingsError, match=r"'other.safetensors' is not in the extension's folder.*\(clips.safetensors\)"
    ):
        run(pipe, call, replace(FREE, statistics="other.safetensors"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (statistics("mean", frames=6), "videos of 6 frames, and this one has 5"),
        (statistics("conditional", frames=4), "at most 4 frames"),
        (statistics("mean", size=7), "latents of 7x7, and this job's are 8x8"),
        (replace(statistics("spectral"), vae_scale=0.13025), "scaling factor 0.13025, and this model's has 0.18215"),
        (Statistics("spectral", {"power": torch.zeros(5, 16, 24)}), "16 channels, and this model's have 4"),
    ],
)
def test_statistics_of_something_else_are_refused_before_the_model_runs(given, message):
    pipe, call = with_scheduler("DDIM")
    watched = Watched(pipe)
    with pytest.raises(SettingsError, match=message), rectified(pipe, picture(), FREE, statistics=given):
        clip(pipe, call)
    assert watched.timesteps == []


def test_what_packs_its_latents_has_no_statistics():
    pipe, call = shared("LTX")
    with pytest.raises(PipelineError, match="packs its latents"):
        run(pipe, call, FREE, statistics=statistics("spectral"))


@pytest.mark.parametrize("name", ["DPM++ 2M", "DDPM", "LCM"])
def test_a_schedule_of_the_callers_own_is_refused_with_a_start_time(name):
    late = copy.deepcopy(scheduler_of(name))
    with pytest.raises(PipelineError, match="start_time = 0.9 and FlowMapEulerDiscreteScheduler has no alphas_cumprod"):
        start_late(diffusers.FlowMapEulerDiscreteScheduler(), 0.9)
    start_late(late, 0.9)
    with pytest.raises(PipelineError, match="start_time = 0.9 .* begins at another noise level"):
        late.set_timesteps(timesteps=[799, 499, 199])


def test_more_steps_than_are_left_are_refused():
    pipe, call = with_scheduler("LCM")
    with pytest.raises((SettingsError, ValueError)), rectified(pipe, picture(), replace(FREE, start_time=0.5)):
        clip(pipe, call, num_inference_steps=600)


def test_a_shorter_clip_takes_the_first_distances():
    pipe, call = with_scheduler("DDIM")
    kept = run(pipe, call, FREE, steps=2, statistics=statistics("spectral", frames=5))[0]
    longer = statistics("spectral", frames=9)
    pipe, call = with_scheduler("DDIM")
    assert torch.equal(run(pipe, call, FREE, steps=2, statistics=longer)[0], kept)

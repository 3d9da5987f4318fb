"""The stand-in's own behaviour during sampling: masks, levels, noise, prompts, interruption."""

import pytest
import torch
from PIL import Image
from standin import Host


def _clean(x, level, host):
    return host.denoiser.init_latent[:1].expand_as(x)


@pytest.mark.parametrize("settings, fails", [({}, True), ({"pad_cond_uncond": True}, False)])
def test_prompts_of_unequal_length_need_padding(a1111, picture, settings, fails):
    if not fails:
        assert len(a1111.img2img(picture, prompt="word " * 80, override_settings=settings).images) == 4
        return
    with pytest.raises(IndexError):
        a1111.img2img(picture, prompt="word " * 80, override_settings=settings)


def test_prompts_composed_with_and(a1111, picture):
    rows = []
    from modules import script_callbacks

    script_callbacks.on_cfg_denoiser(lambda params: rows.append(len(params.x)))
    a1111.img2img(picture, prompt="a ball AND a square :0.5", animatediff=None, steps=2)
    assert rows == [12, 12]


def test_long_clips_run_in_contexts(a1111, picture):
    sizes = []

    def model(x, level, host):
        sizes.append(len(x))
        return _clean(x, level, host)

    a1111.model = model
    job = a1111.img2img(picture, steps=2, animatediff={"video_length": 10, "batch_size": 4, "overlap": 1})
    assert len(job.images) == 10
    assert set(sizes) == {4}


def test_freeinit_samples_several_times_without_the_hook(a1111, picture):
    a1111.recorder = True
    job = a1111.img2img(picture, steps=2, animatediff={"freeinit_enable": True, "freeinit_iters": 3})
    names = [event[0] for event in job.events]
    assert names.count("sampler_func") == 3
    assert "process_before_every_sampling" not in names


@pytest.mark.parametrize("sampler", ["Euler", "DDIM"])
def test_protected_latents_stay(host, picture, sampler):
    mask = Image.new("L", (64, 64))
    mask.paste(255, (0, 0, 32, 64))
    job = host.img2img(picture, sampler=sampler, mask=mask, mask_blur=0, inpainting_fill=1)
    protected = (slice(None), slice(None), slice(None), slice(4, None))
    assert torch.equal(job.latents[0][protected], job.p.init_latent[protected])


def test_scripts_see_every_blend(a1111, picture):
    mask = Image.new("L", (64, 64), 255)
    a1111.img2img(picture, steps=4, mask=mask, inpainting_fill=1)
    assert a1111.blends == [False] * 4 + [True]


def test_k_samplers_give_the_network_unmasked_states_and_timestep_samplers_masked_ones(a1111, picture):
    mask = Image.new("L", (64, 64))
    found = {}

    def model(x, level, host):
        found.setdefault("distance", (x - host.denoiser.init_latent).abs().max())
        return _clean(x, level, host)

    a1111.model = model
    for sampler, expected in (("Euler", False), ("DDIM", True)):
        found.clear()
        a1111.img2img(picture, sampler=sampler, mask=mask, mask_blur=0, inpainting_fill=1)
        assert (found["distance"] == 0) == expected


def test_timestep_samplers_start_one_level_too_high(a1111, picture):
    """Noised at the level of timestep 831, first called at 665."""
    seen = []
    a1111.on_model_call = lambda k, x, level: seen.append((x, level, a1111.sd_model.alphas_cumprod))
    job = a1111.img2img(picture, sampler="DDIM", steps=6, seed=1, animatediff=None)
    x, level, alphas_cumprod = seen[0]
    assert level == 665.0
    above = alphas_cumprod[831]
    noise = (x - above.sqrt() * job.p.init_latent) / (1 - above).sqrt()
    seeded = torch.randn((4, 8, 8), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(noise[0], seeded, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["a1111", "forge"])
def test_timestep_samplers_get_eps_from_the_model(name, picture):
    """Forge too: inside it works with σ and the clean latent, and hands eps out."""
    answers = []
    with Host(name) as host:
        host.model = _clean

        def remember(k, x, level):
            if k == 0:
                forward = type(host.denoiser).forward

                def watched(denoiser, state, timestep, **kwargs):
                    alpha_bar = host.sd_model.alphas_cumprod[int(timestep[0])]
                    answer = forward(denoiser, state, timestep, **kwargs)
                    clean = denoiser.init_latent[:1]
                    answers.append((answer, (state - alpha_bar.sqrt() * clean) / (1 - alpha_bar).sqrt()))
                    return answer

                host.denoiser.forward = watched.__get__(host.denoiser)

        host.on_model_call = remember
        host.img2img(picture, sampler="DDIM", steps=6)
    assert len(answers) == 3
    for answer, eps in answers:
        torch.testing.assert_close(answer, eps, rtol=1e-4, atol=1e-4)


def test_more_rows_than_the_job_has_frames_are_refused(a1111, picture):
    def double(k, x, level):
        denoiser = a1111.denoiser
        arguments = a1111.state.sampler_arguments
        a1111.on_model_call = None
        denoiser(torch.cat([x, x]), torch.full((8,), level), **arguments)

    a1111.on_model_call = double
    from modules import sd_samplers_kdiffusion

    original = sd_samplers_kdiffusion.CFGDenoiser.forward

    def forward(self, x, sigma, **kwargs):
        a1111.state.sampler_arguments = kwargs
        return original(self, x, sigma, **kwargs)

    sd_samplers_kdiffusion.CFGDenoiserKDiffusion.forward = forward
    with pytest.raises(RuntimeError, match="must match the size"):
        a1111.img2img(picture)


def test_noise_is_each_frames_own_and_has_the_jobs_rows(a1111, picture):
    noises = []

    def watch(k, x, level):
        import k_diffusion.sampling as sampling

        if k == 0:
            noises.append(sampling.torch.randn_like(torch.zeros(2, 1)))

    a1111.on_model_call = watch
    a1111.img2img(picture, frames=4, seed=1, animatediff=None)
    a1111.img2img(picture, frames=4, seed=2, animatediff=None)
    first, second = noises
    assert first.shape == (4, 4, 8, 8)
    assert torch.equal(first[1:], second[:-1])


def test_a_variation_seed_gives_all_frames_one_seed(a1111, picture):
    job = a1111.img2img(picture, seed=7, subseed=3, subseed_strength=0.2)
    assert job.p.all_seeds == [7] * 4
    assert job.p.all_subseeds == [3, 4, 5, 6]
    assert "Variation seed: 3" in job.infotexts[0]


def test_extra_noise_goes_through_the_callback(a1111, picture):
    """The spy's callback takes the noise away, so that only the infotext tells of it."""
    torch.manual_seed(0)  # of the encoder's noise
    without = a1111.img2img(picture, animatediff=None)
    torch.manual_seed(0)
    job = a1111.img2img(picture, animatediff=None, override_settings={"img2img_extra_noise": 0.5})
    assert "Extra noise: 0.5" in job.infotexts[0]
    assert torch.equal(job.latents[0], without.latents[0])


def test_an_interrupt_returns_the_last_prediction(a1111, picture):
    a1111.on_model_call = lambda k, x, level: a1111.state.interrupt() if k == 2 else None
    job = a1111.img2img(picture)
    assert a1111.model_calls == 3
    assert len(job.images) == 4
    assert not a1111.state.interrupted


def test_the_uncond_answer_is_separate(a1111, picture):
    """CFG++ steps along the answer to the negative prompt."""
    a1111.model = _clean
    same = a1111.img2img(picture, sampler="DDIM CFG++", animatediff=None)
    a1111.uncond_model = lambda x, level, host: torch.zeros_like(x)
    other = a1111.img2img(picture, sampler="DDIM CFG++", animatediff=None)
    assert (same.latents[0] - other.latents[0]).abs().max() > 0.01
    guided = a1111.img2img(picture, sampler="Euler", animatediff=None)
    torch.testing.assert_close(guided.latents[0], guided.p.init_latent[:1].expand(4, -1, -1, -1), atol=1e-5, rtol=0)


def test_a_refiner_takes_the_motion_module_away(a1111, picture):
    from modules import sd_models

    sd_models.checkpoints_list["other"] = sd_models.CheckpointInfo("other")
    connected = []
    a1111.model = lambda x, level, host: connected.append(host.frames_are_connected()) or _clean(x, level, host)
    a1111.img2img(picture, refiner_checkpoint="other", refiner_switch_at=0.5)
    assert connected[0] and not connected[-1]

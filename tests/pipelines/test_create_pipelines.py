"""I4VGen with a small network in float64: each stage against a loop of its own, written from the paper's formulas."""

import functools

import numpy as np
import pytest
import torch
from diffusers import UNetMotionModel
from PIL import Image
from tiny_pipelines import motion_adapter, unet_2d, wan

import lib_noiserect.pipelines.i4vgen as create_module
from lib_noiserect.core.settings import Settings
from lib_noiserect.methods.i4vgen import num_updates, step_sizes
from lib_noiserect.pipelines.i4vgen import animate_still, create, denoising_gains
from lib_noiserect.pipelines.loading import load, use_sampler
from lib_noiserect.pipelines.model_visits import without_motion
from lib_noiserect.pipelines.rectification import rectified
from lib_noiserect.pipelines.reference import EncodedVideo
from lib_noiserect.pipelines.schedulers import PipelineError

PROMPT = "a red fish moving left over a blue ground"
FRAMES, STEPS, GUIDANCE = 3, 5, 7.5
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}
SIZE = {"width": 64, "height": 64}


@pytest.fixture(scope="module")
def pipe():
    """The built-in model with a network of random weights in place of its own, which is forty times as large."""
    pipe = load(device="cpu")
    built_in = pipe.unet.config
    torch.manual_seed(0)
    channels = {"in_channels": built_in.in_channels, "out_channels": built_in.out_channels}
    network = unet_2d(sample_size=built_in.sample_size, cross_attention_dim=built_in.cross_attention_dim, **channels)
    pipe.unet = UNetMotionModel.from_unet2d(network, motion_adapter())
    for name, weights in pipe.unet.named_parameters():
        if "motion_modules" in name and "proj_out" in name:  # they begin as nothing
            torch.nn.init.normal_(weights, std=0.2)
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(torch.float64)


@pytest.fixture(scope="module")
def embeddings(pipe):
    with torch.no_grad():
        return pipe.encode_prompt(PROMPT, "cpu", 1, True, negative_prompt="")


def predicted_noise(pipe, embeddings, x, t, frames, guidance=GUIDANCE):
    """ε̂ with guidance, from the UNet itself; the built-in model predicts v."""
    conditional, unconditional = (each.repeat_interleave(frames, 0) for each in embeddings)
    with torch.no_grad():
        u, c = (pipe.unet(x, t, encoder_hidden_states=text).sample for text in (unconditional, conditional))
    v = u + guidance * (c - u)
    alpha_bar = float(pipe.scheduler.alphas_cumprod[t])
    return alpha_bar**0.5 * v + (1 - alpha_bar) ** 0.5 * x, alpha_bar


def ddim(pipe, embeddings, x, timesteps, frames):
    for t, following in zip(timesteps, [*timesteps[1:], None]):
        noise, alpha_bar = predicted_noise(pipe, embeddings, x, t, frames)
        clean = (x - (1 - alpha_bar) ** 0.5 * noise) / alpha_bar**0.5
        after = float(pipe.scheduler.alphas_cumprod[following]) if following is not None else 1.0
        if following is None:
            after = float(pipe.scheduler.final_alpha_cumprod)
        x = after**0.5 * clean + (1 - after) ** 0.5 * noise
    return x


def timesteps_of(pipe, steps):
    scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config)
    scheduler.set_timesteps(steps)
    return [int(t) for t in scheduler.timesteps]


def noise_of(seed, shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_candidates_are_pictures_of_the_image_model_alone(pipe, embeddings):
    timesteps = timesteps_of(pipe, 3)
    start = noise_of(3, (1, 8, 2, 8, 8))
    with without_motion(pipe):
        made = pipe(
            PROMPT, num_frames=2, num_inference_steps=3, guidance_scale=GUIDANCE, latents=start,
            output_type="latent", **SIZE,
        ).frames  # fmt: skip
        expected = torch.cat(
            [ddim(pipe, embeddings, start[:, :, i : i + 1], timesteps, 1) for i in range(2)], dim=2
        )
    torch.testing.assert_close(made, expected, **TOLERANCE)
    assert pipe.unet.down_blocks[0].motion_modules[0].forward.__name__ == "forward", "the modules are back"


@pytest.mark.parametrize(
    "pinned, steps, guidance",
    [(True, STEPS, GUIDANCE), (False, STEPS, 1.0), (False, 43, GUIDANCE)],
)
def test_the_animated_still_is_the_authors(pipe, embeddings, pinned, steps, guidance):
    """z ← z - λ·(1-ᾱ)·(ε̂ - ε) with one ε, λ = 10, 10, 10, 1, 1 …; pinned, less frame 0's. Theirs ends at 41 steps."""
    frames = FRAMES if steps == STEPS else 2
    still = noise_of(1, (1, 8, 1, 8, 8)).expand(-1, -1, frames, -1, -1)
    call = functools.partial(pipe, prompt=PROMPT, guidance_scale=guidance, **SIZE)
    generator = torch.Generator().manual_seed(5)
    sizes = step_sizes(num_updates(steps, 0.6))
    made = animate_still(pipe, still, call, steps, sizes, generator, pin_first_frame=pinned)
    noise = torch.randn(still.shape, generator=torch.Generator().manual_seed(5)).double()
    clean = still.clone()
    visited = timesteps_of(pipe, steps)[: {STEPS: 4, 43: 26}[steps]]
    for t, size in zip(visited, [10, 10, 10, *[1] * 23]):
        alpha_bar = float(pipe.scheduler.alphas_cumprod[t])
        x = alpha_bar**0.5 * clean + (1 - alpha_bar) ** 0.5 * noise
        predicted, _ = predicted_noise(pipe, embeddings, x, t, frames, guidance)
        gradient = (1 - alpha_bar) * (predicted - noise)
        if pinned:
            gradient = gradient - gradient[:, :, :1]
        clean = clean - size * gradient
    torch.testing.assert_close(made, clean, **TOLERANCE)
    assert torch.equal(made[:, :, 0], still[:, :, 0]) == pinned


def test_a_batch_is_animated_as_its_clips_are_alone(pipe):
    stills = noise_of(1, (2, 8, 1, 8, 8)).expand(-1, -1, 2, -1, -1)
    prompts = [PROMPT, "a white ray moving up over a green ground"]
    noises = torch.randn(stills.shape, generator=torch.Generator().manual_seed(5))

    def animated(still, prompt, noise):
        call = functools.partial(pipe, prompt=prompt, guidance_scale=GUIDANCE, **SIZE)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("lib_noiserect.pipelines.i4vgen.torch.randn", lambda *args, **options: noise)
            sizes = step_sizes(num_updates(STEPS, 0.6))
            return animate_still(pipe, still, call, STEPS, sizes, torch.Generator(), pin_first_frame=True)

    together = animated(stills, prompts, noises)
    for index, prompt in enumerate(prompts):
        alone = animated(stills[index : index + 1], prompt, noises[index : index + 1])
        torch.testing.assert_close(together[index : index + 1], alone, **TOLERANCE)


def test_the_seed_decides_everything(pipe):
    """Candidates, choice, animation and regeneration, whatever else has drawn numbers before."""
    clips = []
    for seed, other in ((3, 0), (3, 1), (4, 0)):
        torch.manual_seed(other)
        np.random.seed(other)
        clips.append(create(pipe, PROMPT, steps=1, frames=2, candidates=2, seed=seed))
    assert np.array_equal(clips[0].clip, clips[1].clip) and clips[0].scores == clips[1].scores
    assert not np.array_equal(clips[0].clip, clips[2].clip) and clips[0].scores != clips[2].scores


@pytest.mark.parametrize("sampler", ["euler a", "dpm++ 2m", "lcm"])
def test_any_sampler_makes_candidates_and_clip(pipe, sampler):
    """And the animation in between has DDIM's timesteps all the same, from the same noise."""
    scheduler, visited = pipe.scheduler, []
    original = create_module.visiting

    def watched(pipe, timesteps, answer):
        visited.append(list(timesteps))
        return original(pipe, timesteps, answer)

    try:
        use_sampler(pipe, sampler)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(create_module, "visiting", watched)
            ours = Settings(enabled=True, tau_end=1.0)
            made = create(pipe, PROMPT, steps=2, frames=2, candidates=2, score=lambda *_: [1, 0], rectification=ours)
    finally:
        pipe.scheduler = scheduler
    assert visited == [timesteps_of(pipe, 2)]
    assert np.abs(made.clip[0].astype(int) - np.asarray(made.anchor).astype(int)).mean() < 1.5
    assert made.calls == {"candidates": 2, "animation": 2, "regeneration": 2}


def started(pipe, still, alpha_bar, seed):
    noise = torch.randn(still.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return alpha_bar**0.5 * still + (1 - alpha_bar) ** 0.5 * noise, noise


def regenerated(pipe, still, settings, seed):
    """The latents of stage 4, with whatever `regenerate` does."""
    call = functools.partial(pipe, prompt=PROMPT, guidance_scale=GUIDANCE, **SIZE)
    with rectified(pipe, EncodedVideo(still), settings):
        return call(
            num_frames=FRAMES,
            num_inference_steps=STEPS,
            generator=torch.Generator().manual_seed(seed),
            output_type="latent",
        ).frames


def test_stage_4_as_the_authors_have_it_in_latents(pipe, embeddings):
    still = noise_of(1, (1, 8, FRAMES, 16, 16))
    timesteps = timesteps_of(pipe, STEPS)
    x, _ = started(pipe, still, float(pipe.scheduler.alphas_cumprod[timesteps[0]]), 4)
    made = regenerated(pipe, still, Settings(enabled=True, tau_start=0.0, tau_end=0.0), 4)
    torch.testing.assert_close(made, ddim(pipe, embeddings, x, timesteps, FRAMES), **TOLERANCE)


def test_stage_4_rectified_is_algorithm_1_with_a_picture_for_each_frame(pipe, embeddings):
    """ñ_i = n̂_i + ω_i (n_0 - n̂_0) + (1-ω_i)(n_i - n̂_i) in the first three of five steps, x = a·z_i + s·n_i."""
    still = noise_of(1, (1, 8, FRAMES, 16, 16))
    timesteps = timesteps_of(pipe, STEPS)
    x, n = started(pipe, still, float(pipe.scheduler.alphas_cumprod[timesteps[0]]), 4)
    omega = torch.tensor([1.0, 0.5, 0.5], dtype=torch.float64)[:, None, None]  # the authors' for three frames
    for index, (t, following) in enumerate(zip(timesteps, [*timesteps[1:], None])):
        predicted, alpha_bar = predicted_noise(pipe, embeddings, x, t, FRAMES)
        if index < 3:
            gap = (n - predicted)[:, :, :1]
            predicted = predicted + omega * gap + (1 - omega) * (n - predicted)
        clean = (x - (1 - alpha_bar) ** 0.5 * predicted) / alpha_bar**0.5
        after = float(
            pipe.scheduler.final_alpha_cumprod if following is None else pipe.scheduler.alphas_cumprod[following]
        )
        x = after**0.5 * clean + (1 - after) ** 0.5 * predicted
    made = regenerated(pipe, still, Settings(enabled=True), 4)
    assert (made - x).norm() < 1e-5 * x.norm()


def test_regeneration_is_plain_denoising_from_the_noised_clip(pipe, embeddings):
    """The authors' last stage, p_re = 1: everything that is drawn comes from the seed, in order."""
    picture = Image.new("RGB", (64, 64), (200, 40, 40))
    made = create(pipe, PROMPT, picture=picture, share=0.0, steps=2, guidance=GUIDANCE, frames=2, seed=4)
    assert made.calls == {"regeneration": 2} and made.chosen is None and made.clip.shape == (2, 64, 64, 3)
    again = create(pipe, PROMPT, picture=picture, share=0.0, steps=2, guidance=GUIDANCE, frames=2, seed=4)
    other = create(pipe, PROMPT, picture=picture, share=0.0, steps=2, guidance=GUIDANCE, frames=2, seed=5)
    assert np.array_equal(made.clip, again.clip) and not np.array_equal(made.clip, other.clip)


def test_the_clip_is_denoised_from_the_noised_animated_still(pipe, embeddings):
    """Stage 4 with p_re = 1: x = a·z + s·n with fresh noise at the first timestep, then DDIM."""
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    made = create(pipe, PROMPT, picture=picture, share=0.0, steps=STEPS, guidance=GUIDANCE, frames=FRAMES, seed=4)
    pixels = torch.from_numpy(np.array(picture)).double().movedim(2, 0)[None] / 127.5 - 1
    timesteps = timesteps_of(pipe, STEPS)
    alpha_bar = float(pipe.scheduler.alphas_cumprod[timesteps[0]])
    with torch.no_grad():
        z = pipe.vae.encode(pixels).latent_dist.mode() * pipe.vae.config.scaling_factor
        z = z[:, :, None].expand(-1, -1, FRAMES, -1, -1)
        noise = torch.randn(z.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
        x = alpha_bar**0.5 * z + (1 - alpha_bar) ** 0.5 * noise
        clip = pipe.decode_latents(ddim(pipe, embeddings, x, timesteps, FRAMES))[0].movedim(0, -1)
    expected = ((clip / 2 + 0.5).clamp(0, 1) * 255).numpy()
    assert np.abs(made.clip - expected).max() < 0.6


def test_frame_0_stays_the_anchor_with_rectification(pipe):
    ours = Settings(enabled=True, tau_end=1.0)
    made = create(pipe, PROMPT, steps=3, frames=2, candidates=2, rectification=ours)
    assert len(made.candidates) == len(made.scores) == 2 and made.chosen == int(np.argmax(made.scores))
    assert made.calls == {"candidates": 3, "choice": 4, "animation": 2, "regeneration": 3}
    first = made.clip[0].astype(int) - np.asarray(made.anchor).astype(int)
    assert np.abs(first).mean() < 1.5  # DDIM stops just above zero noise
    assert np.abs(made.clip[1:].astype(int) - made.clip[:1]).mean() > 0.5
    plain = create(pipe, PROMPT, steps=3, frames=2, candidates=2)
    assert np.abs(plain.clip[0].astype(int) - np.asarray(plain.anchor)).mean() > 5


def test_a_score_of_ones_own_chooses(pipe):
    made = create(
        pipe, PROMPT, steps=2, frames=2, candidates=3, share=0.0, score=lambda pictures, prompt: [0.0, 2.0, 1.0]
    )
    assert made.chosen == 1 and made.anchor is made.candidates[1] and "choice" not in made.calls


def test_a_model_that_returns_no_numbers_is_refused(pipe, monkeypatch):
    """As half precision does that is not enough: the clip would be black."""
    monkeypatch.setattr(pipe, "decode_latents", lambda latents, *_: torch.full((1, 3, 2, 64, 64), torch.nan))
    with pytest.raises(PipelineError, match="values that are not numbers"):
        create(pipe, PROMPT, picture=Image.new("RGB", (64, 64)), steps=1, frames=2, share=0)


@pytest.mark.parametrize("wrong", [[0.0], [0.0, float("nan")]])
def test_a_score_without_a_number_for_each_candidate_is_refused(pipe, wrong):
    with pytest.raises(PipelineError, match=r"scores = \[0.0.* for 2 candidates"):
        create(pipe, PROMPT, steps=1, frames=2, candidates=2, score=lambda pictures, prompt: wrong)


def test_the_models_own_score_is_its_error_without_the_prompt_less_that_with_it(pipe, embeddings):
    latents = noise_of(2, (1, 8, 2, 8, 8))
    gains = denoising_gains(pipe, latents, PROMPT, "", torch.Generator().manual_seed(6), SIZE)
    noise = torch.randn((1, 8, 1, 8, 8), generator=torch.Generator().manual_seed(6)).double()
    expected = torch.zeros(2, dtype=torch.float64)
    for t in (899, 699, 500, 300):
        alpha_bar = float(pipe.scheduler.alphas_cumprod[t])
        x = alpha_bar**0.5 * latents + (1 - alpha_bar) ** 0.5 * noise
        for text, sign in ((embeddings[0], -1), (embeddings[1], 1)):
            with torch.no_grad(), without_motion(pipe):
                v = pipe.unet(x, t, encoder_hidden_states=text.repeat_interleave(2, 0)).sample
            predicted = alpha_bar**0.5 * v + (1 - alpha_bar) ** 0.5 * x
            expected += sign * (predicted - noise).square().mean((0, 1, 3, 4)) / 4
    assert gains.mean(0).tolist() == pytest.approx(expected.tolist(), rel=1e-4)


def test_part_of_the_noise_keeps_more_of_the_animated_still(pipe):
    picture = Image.new("RGB", (64, 64), (200, 40, 40))
    distances = []
    for regeneration in (0.4, 1.0):
        made = create(pipe, PROMPT, picture=picture, steps=STEPS, frames=2, share=0.0, regeneration=regeneration)
        distances.append(np.abs(made.clip.astype(int) - np.asarray(picture)).mean())
        assert made.calls["regeneration"] == STEPS * regeneration
    assert distances[0] < distances[1]


@pytest.mark.parametrize("wrong", [{"omega": (1.0, 0.5)}, {"target_ssim": 0.5}])
def test_what_the_last_stage_would_refuse_costs_nothing(pipe, wrong, monkeypatch):
    monkeypatch.setattr(pipe.unet, "forward", None)  # called, it would be another error
    with pytest.raises(ValueError, match="omega has 2 entries|target_ssim = 0.5"):
        create(pipe, PROMPT, frames=FRAMES, rectification=Settings(enabled=True, **wrong))


def test_a_pipeline_without_motion_modules_needs_a_picture():
    pipe, _ = wan()
    with pytest.raises(PipelineError, match="no separate motion modules"), without_motion(pipe):
        pass

"""LaVie's interface: rectified, and I4VGen with candidates that are videos of one frame each."""

import diffusers
import numpy as np
import pytest
import torch
from every_pipeline import FREE, FROZEN, far, made, picture
from lavie_pipeline import VideoGenPipeline
from tiny_pipelines import animatediff, words

from lib_noiserect.core.settings import Settings
from lib_noiserect.methods.i4vgen import step_sizes
from lib_noiserect.pipelines import PipelineError, animate, create, rectified
from lib_noiserect.pipelines.model_visits import levels_of

CALL = {"steps": 5, "guidance": 3.0, "frames": 4, "width": 16, "height": 16, "seed": 3}


@pytest.mark.parametrize("settings", [FROZEN, FREE])
def test_the_exact_facts(settings):
    pipe = VideoGenPipeline()
    states = []
    with rectified(pipe, picture(), settings) as rectification:
        step = pipe.scheduler.step
        pipe.scheduler.step = lambda *args, **kwargs: states.append(step(*args, **kwargs)) or states[-1]
        pipe("a cup", video_length=4, num_inference_steps=5)
    kept = slice(None) if settings is FROZEN else slice(1)
    assert far(states[-1].prev_sample[:, :, kept], rectification.x0[:, :, kept]) < 1e-5
    video, _ = animate(pipe, np.array(picture()), "a cup", settings, steps=2, frames=4)
    assert video.shape == (4, 16, 16, 3) and video.dtype == np.uint8


def authors(pipe, prompt, steps, frames, guidance, seed, share=0.6, regeneration=0.8):
    """I4VGen's stages for LaVie as its program has them: candidates as a batch, λ = 1, the last steps of the schedule."""
    generator, words = torch.Generator().manual_seed(seed), pipe.words(["", prompt])
    drawn = torch.randn(1, 4, frames, 8, 8, generator=generator)
    pipe.scheduler.set_timesteps(steps)
    times, levels = pipe.scheduler.timesteps, levels_of(pipe, pipe.scheduler.timesteps.tolist())

    def guided(x, t, temporal=True):
        forward = pipe.unet.block.attn_temp.forward
        pipe.unet.block.attn_temp.forward = forward if temporal else torch.zeros_like
        both = pipe.unet(torch.cat([x, x]), t, words.repeat_interleave(len(x), 0)).sample
        pipe.unet.block.attn_temp.forward = forward
        free, told = both.chunk(2)
        return free + guidance * (told - free)

    images = drawn.transpose(0, 2)
    for t in times:
        images = pipe.scheduler.step(guided(images, t, temporal=False), t, images).prev_sample
    still = images[1:2].expand(-1, -1, frames, -1, -1)
    noise = torch.randn(still.shape, generator=generator)
    for t, level in list(zip(times, levels))[: int(steps * share) + 1]:
        still = still - level.s**2 * (guided(level.a * still + level.s * noise, t) - noise)
    first = steps - int(steps * regeneration)
    level = levels[first]
    x = level.a * still + level.s * torch.randn(still.shape, generator=generator)
    for t in times[first:]:
        x = pipe.scheduler.step(guided(x, t), t, x).prev_sample
    return images.transpose(0, 2), x


def test_create_has_the_values_of_the_authors():
    pipe = VideoGenPipeline()
    kept = []
    decode = pipe.decode_latents
    pipe.decode_latents = lambda latents: kept.append(latents) or decode(latents)
    creation = create(pipe, "a cup", score=lambda images, prompt: [0, 1, 0, 0], sizes="lavie", regeneration=0.8, **CALL)
    with torch.no_grad():
        images, ended = authors(VideoGenPipeline(), "a cup", 5, 4, 3.0, 3)
    assert far(kept[0], images) < 1e-5 and far(kept[1], ended) < 1e-5
    assert creation.chosen == 1 and creation.clip.shape == (4, 16, 16, 3) and len(creation.candidates) == 4
    assert pipe.unet.seen[0][0] == (8, 4, 1, 8, 8) and pipe.unet.seen[-1][0] == (2, 4, 4, 8, 8)


def test_the_models_own_score_takes_the_candidates_one_by_one():
    pipe = VideoGenPipeline()
    creation = create(pipe, "a cup", share=0.0, regeneration=0.2, **CALL)
    assert len(creation.scores) == 4 and np.isfinite(creation.scores).all()
    assert ((4, 4, 1, 8, 8), 899) in pipe.unet.seen


def test_sizes_of_the_updates():
    assert step_sizes(5) == [10, 10, 10, 1, 1] and step_sizes(5, 2.0, ()) == [2.0] * 5
    pipe, _ = animatediff()
    with pytest.raises(PipelineError, match="sizes = 'other' is unknown: use one of animatediff, lavie"):
        create(pipe, "a cup", sizes="other")


@pytest.mark.parametrize("name", ["PIA", "Latte"])
def test_create_refuses_other_pipelines_before_anything_runs(name):
    pipe, _ = made(name)
    for image in (None, picture()):
        with pytest.raises(PipelineError, match="use one of the Stable Diffusion family"):
            create(pipe, "a cup", picture=image, **CALL)


def test_create_on_modelscope_needs_a_picture():
    pipe, _ = made("ModelScope")
    pipe.encode_prompt = lambda *args, **kwargs: (words(7), words(8))
    creation = create(pipe, "a cup", picture=picture(), rectification=FROZEN, share=0.5, **CALL)
    assert creation.clip.shape == (4, 16, 16, 3) and creation.calls == {"animation": 3, "regeneration": 5}
    with pytest.raises(PipelineError, match="has no separate motion modules: pass your own image"):
        create(pipe, "a cup", **CALL)
    pipe.scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    with pytest.raises(PipelineError, match="has no alphas_cumprod"):
        create(pipe, "a cup", picture=picture(), rectification=Settings(), **CALL)

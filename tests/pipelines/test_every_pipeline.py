"""Layouts, chunks and copies of other pipelines; on demand the exact facts of all video pipelines; the table in the docs."""

import copy
import re
from pathlib import Path

import diffusers
import every_pipeline
import pytest
import torch
from every_pipeline import FREE, FROZEN, PIPELINES, far, made, measure, picture, run
from tiny_pipelines import animatediff

from lib_noiserect.core.settings import Settings
from lib_noiserect.pipelines import PipelineError, rectified

PAGE = Path(__file__).parents[2] / "docs" / "pipelines.md"
# Channels last, with conditions behind them; packed, with a frame that is kept. Other tests have frames at axis 1.
EACH_RUN = ("Kandinsky 5", "LTX I2V")


@pytest.mark.filterwarnings("ignore::UserWarning")  # of Mochi and Kandinsky 5 themselves, on tiny models and CPUs
@pytest.mark.parametrize("name", PIPELINES)
def test_frozen_frames_are_the_picture_and_the_first_is_pinned(name, request):
    if name not in EACH_RUN and not request.config.getoption("--slow"):
        pytest.skip("on demand: --slow")
    try:
        values = measure(name)
    except PipelineError as error:
        assert f"| refused | {error} |" in PAGE.read_text(encoding="utf-8")
        return
    except TypeError:
        pytest.skip("the pipeline fails in this version of diffusers by itself")
    limits = (1e-4, 1e-4, 1.01 / 255 if name == "Cosmos" else 1e-4)  # Cosmos shows its video in 8 bits
    assert all(value is None or value < limit for value, limit in zip(values, limits))


def test_the_table_has_every_video_pipeline_of_its_version(request):
    if not request.config.getoption("--slow"):
        pytest.skip("on demand, since it imports all of diffusers: --slow")
    text = PAGE.read_text(encoding="utf-8")
    if f"diffusers {diffusers.__version__}." not in text:
        pytest.skip("the table is of another version of diffusers")
    listed = set(re.findall(r"^\| (\w+Pipeline) \|", text, re.MULTILINE))
    assert set(every_pipeline.video_classes()) <= listed


def test_as_many_frames_as_channels():
    """The shape does not tell which axis is which: the pipeline is asked for one frame."""
    for name in ("AnimateDiff", "Stable Video Diffusion"):
        pipe, call = made(name)
        kept = torch.random.get_rng_state()
        _, rectification, ended = run(pipe, {**call, "num_frames": 4}, FREE, steps=2, output_type="latent")
        x0 = rectification._reference.x0
        assert x0.shape[:3] == (4, 1, 4) and torch.equal(torch.random.get_rng_state(), kept)
        assert far(ended[0], x0[0]) < 1e-5 and far(ended[-1], x0[-1]) > 0.01


def test_a_frame_axis_that_cannot_be_told_is_refused():
    pipe, call = animatediff()
    prepare = pipe.prepare_latents

    def always_four(batch_size, num_channels_latents, num_frames, height, width, *others):
        return prepare(batch_size, num_channels_latents, 4, height, width, *others)

    pipe.prepare_latents = always_four
    with pytest.raises(PipelineError, match="the axis of their frames cannot be told: use another"):
        run(pipe, {**call, "num_frames": 4}, FREE, steps=1, output_type="latent")


def no_call(*given):
    raise AssertionError("the model runs")


@pytest.mark.parametrize("several", ["Wan Animate, one segment", "Framepack, one section", "Helios, one chunk"])
def test_several_chunks_are_refused_before_the_model_runs(several, request):
    if several != "Wan Animate, one segment" and not request.config.getoption("--slow"):
        pytest.skip("on demand: --slow")
    pipe, call = made(several)
    pipe.transformer.register_forward_pre_hook(no_call)
    more = (
        {"num_frames": 2 * call["num_frames"]}
        if "num_frames" in call
        else {"pose_video": call["pose_video"] * 2, "face_video": call["face_video"] * 2}
    )
    with pytest.raises(PipelineError, match=r"at once, in chunks: ask for at most \d+ frames"):
        run(pipe, {**call, **more}, FREE, steps=1, output_type="latent")


def test_a_second_video_in_one_block_is_refused():
    pipe, call = animatediff()
    with (
        pytest.raises(PipelineError, match="prepares latents a second time: make one video in each block"),
        rectified(pipe, picture(), FREE),
    ):
        for _ in range(2):
            pipe(**call, num_inference_steps=1, output_type="latent")


def test_a_vae_that_encodes_in_tiles_alone_is_refused_before_the_model_runs():
    pipe, call = made("Allegro")
    pipe.vae.disable_tiling()
    pipe.transformer.register_forward_pre_hook(no_call)
    with pytest.raises(PipelineError, match=r"AutoencoderKLAllegro does not .*: call pipe.vae.enable_tiling\(\) first"):
        run(pipe, call, FREE, steps=1, output_type="latent")


def test_a_copy_of_the_scheduler_rectifies_nothing_and_takes_no_models_along():
    pipe, _ = animatediff()
    with pytest.raises(PipelineError, match="made no video"), rectified(pipe, picture(), FREE):
        copied = copy.deepcopy(pipe.scheduler)
        assert type(copied) is type(pipe.scheduler) and not {"step", "set_timesteps", "__deepcopy__"} & set(vars(copied))
        copied.set_timesteps(2)
        sample = torch.ones(1, 4, 2, 2)
        assert copied.step(sample, copied.timesteps[0], sample).prev_sample.shape == sample.shape
    late = Settings(enabled=True, start_time=0.9)
    with pytest.raises(PipelineError, match="leave start_time at 1"), rectified(pipe, picture(), late):
        copy.deepcopy(pipe.scheduler)


@pytest.mark.parametrize("broken", [object(), diffusers.DDIMScheduler()])
def test_objects_that_are_no_pipelines_are_refused(broken):
    with (
        pytest.raises(PipelineError, match="has no prepare_latents, scheduler and VAE"),
        rectified(broken, picture(), FROZEN),
    ):
        pass

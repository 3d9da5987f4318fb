"""Models that see the picture: the joined channels, their weights beside the built-in model's, where they start."""

import copy
import json

import pytest
import torch
from torch import nn

from benchmarks.image_conditioned import (
    FOLDER,
    PLAIN_WEIGHTS,
    PictureConv,
    animate_conditioned,
    changed_weights,
    conditioned_on,
    load_conditioned,
    predicted_clean,
    save_changed,
    speedy_times,
    widen,
)
from lib_noiserect.core.noise_levels import from_x0, vp
from lib_noiserect.core.settings import SettingsError
from lib_noiserect.media.metrics import ssim_per_frame
from lib_noiserect.methods.analytic_init import Statistics
from lib_noiserect.pipelines.loading import BUILT_IN, load
from lib_noiserect.pipelines.schedulers import PipelineError
from lib_noiserect.pipelines.start_time import starting_late
from lib_noiserect.tiny.world import Scenes, pixels_of


@pytest.fixture(scope="module")
def pipe():
    pipe = load_conditioned()
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="module")
def plain():
    return load()


@pytest.fixture(scope="module")
def pictures():
    scenes = Scenes.draw(2, 73, held_out_captions=True)
    return pixels_of(scenes.render(torch.zeros(1))[:, 0]), scenes.captions


def calls_of(pipe, **call):
    """Timesteps and samples of the model's calls while a clip is made."""
    calls = []
    forward = pipe.unet.forward

    def spy(sample, timestep, *args, **kwargs):
        calls.append((int(timestep), sample.clone()))
        return forward(sample, timestep, *args, **kwargs)

    pipe.unet.forward = spy
    try:
        clip = animate_conditioned(pipe, **call)
    finally:
        del pipe.unet.forward
    return calls, clip


# The joined channels.


def test_two_convolutions_are_one_of_joined_channels():
    torch.manual_seed(0)
    widened = PictureConv(nn.Conv2d(3, 5, 3, padding=1))
    nn.init.normal_(widened.of_picture.weight)
    joined = nn.Conv2d(6, 5, 3, padding=1)
    joined.weight.data = torch.cat([widened.own.weight, widened.of_picture.weight], dim=1)
    joined.bias.data = widened.own.bias.data
    rows, picture = torch.randn(4, 3, 8, 8), torch.randn(1, 3, 8, 8)
    widened.condition = picture
    assert torch.allclose(widened(rows), joined(torch.cat([rows, picture.expand(4, -1, -1, -1)], dim=1)), atol=1e-5)


def test_a_widened_model_is_what_it_was(plain):
    unet = copy.deepcopy(plain.unet)
    call = torch.randn(1, 8, 2, 16, 16), torch.tensor(500), torch.randn(2, 16, 64)
    with torch.no_grad():
        before = unet(*call).sample
        widen(unet).condition = torch.randn(1, 8, 16, 16)
        assert torch.equal(unet(*call).sample, before)
    assert widen(unet) is unet.conv_in, "widening twice is widening once"


def test_without_a_picture_nothing_is_made(pipe):
    with pytest.raises(PipelineError, match="needs an image"):
        pipe("a red fish moving left over a blue ground", num_frames=8, num_inference_steps=1)


def test_a_condition_is_one_picture_or_one_a_frame():
    widened = PictureConv(nn.Conv2d(3, 5, 1))
    widened.condition = torch.zeros(3, 3, 4, 4)
    with pytest.raises(PipelineError, match="3 images for 4 frames"):
        widened(torch.zeros(4, 3, 4, 4))


# Weights.


def test_the_sibling_differs_from_the_built_in_model_where_it_was_trained(pipe, plain):
    unet, own = pipe.unet, plain.unet.state_dict()
    changed = changed_weights(unet)
    for name, value in unet.state_dict().items():
        same = name in own and torch.equal(value, own[name])
        assert same == (name not in changed) or name.endswith("pos_embed.pe"), name
    assert json.loads((FOLDER / "training.json").read_text(encoding="utf-8"))[PLAIN_WEIGHTS.stem]["steps"] >= 400


def test_weights_are_read_as_they_were_written(pipe, tmp_path):
    save_changed(pipe.unet, tmp_path / "again.safetensors")
    again = load_conditioned(tmp_path / "again.safetensors").unet.state_dict()
    assert all(torch.equal(value, again[name]) for name, value in pipe.unet.state_dict().items())


def test_files_that_are_none_of_these_are_refused(tmp_path):
    with pytest.raises(PipelineError, match="missing.safetensors is missing: train it by .*--conditioned"):
        load_conditioned(tmp_path / "missing.safetensors")
    (tmp_path / "text.safetensors").write_bytes(b"not weights")
    with pytest.raises(PipelineError, match="is unreadable"):
        load_conditioned(tmp_path / "text.safetensors")
    with pytest.raises(PipelineError, match="another model"):
        load_conditioned(BUILT_IN / "vae" / "diffusion_pytorch_model.safetensors")


# Clips.


@pytest.mark.slow
def test_clips_begin_with_what_their_picture_shows(pipe, pictures):
    shown, captions = pictures
    clips = [animate_conditioned(pipe, picture, captions[0], steps=6) for picture in shown]
    assert all(clip.shape == (8, 64, 64, 3) for clip in clips)
    for one, other in ((0, 1), (1, 0)):  # with one caption for both, only the picture can tell
        own, others = (ssim_per_frame(clips[one], shown[index])[0] for index in (one, other))
        assert own > others + 0.2
    assert pipe.unet.conv_in.condition is None


@pytest.mark.parametrize("steps", [1, 3])
def test_it_starts_at_m_with_all_steps(pipe, pictures, steps):
    shown, captions = pictures
    calls, _ = calls_of(pipe, picture=shown[0], prompt=captions[0], start_time=0.82, steps=steps)
    assert len(calls) == steps and calls[0][0] == 819
    with starting_late(pipe, 1.0):
        assert type(pipe.scheduler).__name__ == "DDIMScheduler" and pipe.scheduler.config.num_train_timesteps == 1000


def test_m_of_1_is_the_stock_pipelines_own_clip(pipe, pictures):
    shown, captions = pictures
    scheduler = pipe.scheduler
    with starting_late(pipe, 1.0):
        assert pipe.scheduler is scheduler
    with starting_late(pipe, 0.9):
        assert pipe.scheduler is not scheduler
    assert pipe.scheduler is scheduler and pipe.scheduler.config.num_train_timesteps == 1000


def test_the_analytic_start_is_drawn_from_its_statistics(pipe, pictures):
    """At t = 899 the first call's state is a·(z + δ_i) + √(s² + a²·v_i)·ε, and a·z + s·ε in frame 0."""
    shown, captions = pictures
    mean, variance = torch.randn(8, 8, 16, 16), torch.linspace(0, 1, 8)
    mean[0] = 0
    statistics = Statistics("conditional", {"mean": mean, "variance": variance}, frames=8)
    call = {"picture": shown[0], "prompt": captions[0], "start_time": 0.9, "steps": 1, "seed": 3}
    plain, _ = calls_of(pipe, **call)
    analytic, _ = calls_of(pipe, **call, statistics=statistics)
    epsilon = plain[0][1]
    with conditioned_on(pipe, shown[0]) as clean:
        pass
    a, s = vp(float(pipe.scheduler.alphas_cumprod[899]))
    spread = (s**2 + a**2 * variance).sqrt()[None, None, :, None, None]
    by_hand = a * (clean[:, :, None] + mean.movedim(0, 1)[None]) + spread * epsilon
    assert analytic[0][0] == 899 and torch.allclose(analytic[0][1], by_hand, atol=1e-4)


def test_statistics_of_other_clips_are_refused(pipe, pictures):
    shown, captions = pictures
    statistics = Statistics("mean", {"mean": torch.zeros(8, 4, 16, 16), "variance": torch.tensor(1.0)}, frames=8)
    with pytest.raises(SettingsError, match="4 channels"):
        animate_conditioned(pipe, shown[0], captions[0], statistics=statistics, steps=1)
    assert pipe.unet.conv_in.condition is None


def test_what_is_no_picture_is_refused(pipe, plain, pictures):
    with pytest.raises(PipelineError, match="float64"), conditioned_on(pipe, pictures[0][0] / 255):
        pass
    with pytest.raises(PipelineError, match="no channels for an image"), conditioned_on(plain, pictures[0][0]):
        pass


def test_a_prediction_is_turned_to_the_clean_clip(pipe, monkeypatch):
    """A model that knows the clip answers with its velocity, and that is the clip again."""
    latents, noise = torch.randn(1, 8, 3, 16, 16), torch.randn(1, 8, 3, 16, 16)
    seen = {}

    def knowing(mixed, timestep, texts):
        seen.update(timestep=int(timestep), condition=pipe.unet.conv_in.condition, texts=texts)
        level = vp(float(pipe.scheduler.alphas_cumprod[timestep]))
        return type("Output", (), {"sample": from_x0("v", latents, mixed, level)})

    monkeypatch.setattr(pipe.unet, "forward", knowing)
    picture = torch.randn(1, 8, 16, 16)
    found = predicted_clean(pipe, latents, picture, 940, "a red fish moving left over a blue ground", noise)
    assert torch.allclose(found, latents, atol=1e-3)
    assert seen["timestep"] == 940 and seen["condition"] is picture and len(seen["texts"]) == 3
    assert pipe.unet.conv_in.condition is None


# The world's clips that they learn from.


def test_clips_have_a_speed_each():
    times = speedy_times(500, 8, seed=1)
    assert times.shape == (500, 8) and times.min() >= 0 and times.max() <= 1
    speeds = times[:, -1] - times[:, 0]
    assert 0.45 < speeds.mean() < 0.55 and speeds.min() < 0.02 and speeds.max() > 0.98
    assert torch.allclose(times.diff(dim=1), (speeds / 7)[:, None].expand(-1, 7), atol=1e-6)
    assert torch.equal(speedy_times(3, 8, 1, speed=1.0), torch.linspace(0, 1, 8).expand(3, -1))
    assert (speedy_times(3, 8, 1, speed=0.0).diff(dim=1) == 0).all()


def test_some_of_the_scenes_are_those_scenes():
    scenes = Scenes.draw(5, 3)
    assert scenes.part(slice(1, 3)).captions == scenes.captions[1:3]
    assert torch.equal(scenes.part(slice(4, 5)).render(), scenes.render()[4:])

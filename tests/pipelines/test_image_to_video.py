"""Pipelines that see the picture themselves: Stable Video Diffusion's late start and statistics, frames that are kept."""

import functools
from dataclasses import replace
from pathlib import Path

import diffusers
import numpy as np
import pytest
import torch
from every_pipeline import FREE, FROZEN, far, made, run
from PIL import Image
from tiny_pipelines import animatediff

from lib_noiserect.__main__ import main
from lib_noiserect.core.settings import Settings
from lib_noiserect.methods.analytic_init import Statistics
from lib_noiserect.pipelines import PipelineError, animate, rectified, starting_late
from lib_noiserect.pipelines.loading import native_size

SAMPLE = Path(__file__).parents[2] / "docs" / "pictures" / "sample.png"


@functools.cache
def svd():
    return made("Stable Video Diffusion")


def sampled(pipe, call):
    arguments = {"num_inference_steps": 3, "output_type": "latent", **call}
    with torch.no_grad():
        return pipe(**arguments, generator=torch.Generator().manual_seed(5), return_dict=False)[0]


def statistics(kind="mean"):
    mean = torch.randn(5, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    return Statistics(kind, {"mean": mean, "variance": torch.tensor(0.7)}, frames=5)


def test_a_lower_sigma_max_is_the_schedule_of_the_authors_to_the_bit():
    pipe, call = svd()
    with starting_late(pipe, sigma_max=100):
        late = sampled(pipe, call)
    former = pipe.scheduler
    plain = sampled(pipe, call)
    pipe.scheduler = diffusers.EulerDiscreteScheduler.from_config(former.config, sigma_max=100.0)
    assert torch.equal(late, sampled(pipe, call)) and not torch.equal(late, plain)
    pipe.scheduler = former
    assert former.config.sigma_max == 700.0


def test_the_start_from_statistics_is_the_papers_formula():
    """x = E[x_0] + √(σ² + tr Cov/d)·ε, with a = 1 and the pipeline's own ε."""
    pipe, _ = svd()
    with starting_late(pipe, sigma_max=100, statistics=statistics()):
        pipe.scheduler.set_timesteps(3)
        sizes = {"batch_size": 1, "num_frames": 5, "num_channels_latents": 8, "height": 16, "width": 16}
        start = pipe.prepare_latents(**sizes, dtype=torch.float32, device="cpu", generator=torch.Generator().manual_seed(1))
    noise = torch.randn(1, 5, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    assert far(start, statistics().values["mean"][None] + (100.0**2 + 0.7) ** 0.5 * noise) < 1e-5


@pytest.mark.parametrize("settings", [FROZEN, FREE])
def test_rectification_from_a_late_start(settings):
    pipe, call = svd()
    _, rectification, ended = run(pipe, call, replace(settings, start_time=0.8), output_type="latent")
    kept = slice(None) if settings is FROZEN else slice(1)
    assert far(ended[kept], rectification._reference.x0[kept]) < 1e-5
    assert float(rectification.scheduler.sigmas[0]) == pytest.approx(
        (700 ** (1 / 7) + 0.2 * (0.002 ** (1 / 7) - 700 ** (1 / 7))) ** 7, rel=1e-5
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sigma_max": 0.001}, "sigma_max = 0.001 and EulerDiscreteScheduler: use above 0.002"),
        ({"statistics": statistics("conditional")}, "are conditional and need the image: use rectified"),
        ({"statistics": Statistics("mean", {"mean": torch.zeros(6, 4, 8, 8)})}, r"for latents of \(6, 4, 8, 8\)"),
    ],
)
def test_starts_that_do_not_fit_are_refused(given, message):
    pipe, call = svd()
    with pytest.raises(PipelineError, match=message), starting_late(pipe, **given):
        pipe(**{**call, "num_inference_steps": 1})


def test_other_schedules_have_no_sigma_max_and_other_objects_no_start():
    pipe, _ = animatediff()
    with (
        pytest.raises(PipelineError, match="use start_time, since the schedule has timesteps"),
        starting_late(pipe, sigma_max=9),
    ):
        pass
    with pytest.raises(PipelineError, match="object has no scheduler"), starting_late(object(), 0.9):
        pass


def test_blocks_in_each_other_are_refused():
    pipe, _ = svd()
    blocks = [lambda: rectified(pipe, None, FREE), lambda: starting_late(pipe, 0.9)]
    for outer in blocks:
        for inner in blocks:
            with pytest.raises(PipelineError, match="in another block of rectified or starting_late"), outer(), inner():
                pass
    with starting_late(pipe, 1.0):
        assert "set_timesteps" not in vars(pipe.scheduler)


def test_animate_hands_the_image_to_the_pipeline():
    pipe, _ = svd()
    image = np.random.default_rng(1).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    video, rectification = animate(pipe, image, "", replace(FREE, start_time=0.9), steps=1, frames=3, guidance=2.0)
    assert video.shape == (3, 16, 16, 3) and rectification.reports[0].rectified == 1
    assert float(pipe.guidance_scale.max()) == 2.0
    animate(pipe, image, "", FREE, steps=1, frames=3)
    assert float(pipe.guidance_scale.max()) == 3.0, "the pipeline's own"


def test_the_command_animates_a_folder_of_stable_video_diffusion(tmp_path, capsys):
    pipe, _ = svd()
    assert native_size(pipe) == (1024, 576)
    pipe.save_pretrained(tmp_path / "svd")
    command = ["animate", str(SAMPLE), "--prompt", "", "--model", str(tmp_path / "svd"), "--start-time", "0.7"]
    command += ["--width", "16", "--height", "16", "--frames", "3", "--steps", "2", "-o", str(tmp_path / "video.gif")]
    assert main(command) == 0, capsys.readouterr().err
    with Image.open(tmp_path / "video.gif") as video:
        assert video.n_frames == 3


def test_a_frame_that_the_pipeline_keeps_stays_its_own():
    pipe, call = made("LTX I2V")
    result, rectification, moving = run(pipe, call, FROZEN, output_type="latent")
    assert len(moving) == rectification._layout.frames - 1 == 2
    plain = sampled(pipe, call)
    first = rectification._layout.frames_first(result)[0]
    assert torch.equal(first, rectification._layout.frames_first(plain)[0])


def test_a_loop_is_refused_where_the_pipeline_conditions_the_frames():
    pipe, _ = svd()
    with (
        pytest.raises(PipelineError, match="conditions the frames on their places"),
        rectified(pipe, None, Settings(enabled=True, loop=True)),
    ):
        pass

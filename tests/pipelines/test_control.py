"""Masks, loops, motion dial, windows by noise level, held colours and key frames on stock pipelines with random weights."""

import functools
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from test_rectified import FREE, aligned, clip, far, picture, with_scheduler
from tiny_pipelines import PIPELINES, animatediff, shared

from lib_noiserect.core.motion_dial import UnreachableMotionError
from lib_noiserect.core.settings import Settings, SettingsError
from lib_noiserect.media.images import MediaError
from lib_noiserect.pipelines import PipelineError, rectified
from lib_noiserect.pipelines.latents import as_mask
from lib_noiserect.pipelines.loading import load
from lib_noiserect.pipelines.schedulers import progress

NEVER = Settings(enabled=True, tau_start=0.5, tau_end=0.5)
MOTION = Settings(enabled=True, tau_end=1.0, omega="motion", motion=0.4)
HARD = replace(FREE, mask_feather=0.0)


def left_half(pipe_call, rows=4):
    """A mask of the picture's shape whose left half may move."""
    mask = np.zeros((40, 32), dtype=np.uint8)
    mask[:, :16] = 255
    return Image.fromarray(mask)


def grids(latents, rectification):
    """`[F, C, h, w]` of the one clip."""
    return rectification._layout.frames_first(latents)[:, 0]


# Masks.


@pytest.mark.parametrize("name", ["AnimateDiff", "ModelScope", "Wan", "CogVideoX"])
def test_outside_a_mask_is_the_picture(name):
    pipe, call = shared(name)
    with rectified(pipe, picture(), HARD, mask=left_half(call)) as rectification:
        ended = grids(clip(pipe, call), rectification)
    wanted, middle = grids(rectification.x0, rectification), ended.shape[-1] // 2
    scale = float(wanted.abs().max())
    assert float((ended - wanted)[..., middle:].abs().max()) < 1e-5 * scale
    assert float((ended - wanted)[1:, ..., :middle].abs().max()) > 0.01 * scale


@pytest.mark.parametrize("name", ["Euler a", "DPM++ 2M Karras", "Heun", "DDIM zero SNR v"])
def test_outside_a_mask_every_scheduler_ends_as_its_pivot(name):
    pipe, call = with_scheduler(name)
    with rectified(pipe, picture(), HARD, mask=left_half(call)) as rectification:
        ended = clip(pipe, call, num_inference_steps=4)
    assert far(ended[..., 4:], rectification.pivot[..., 4:]) < 1e-5
    assert far(ended[:, :, 1:, :, :4], rectification.pivot[:, :, 1:, :, :4]) > 0.01


def test_a_soft_edge_is_inside_of_the_mask():
    pipe, call = with_scheduler("DDIM")
    call = {**call, "height": 32, "width": 32}
    outside = []
    for feather in (0.0, 2.0):
        settings = replace(FREE, mask_feather=feather)
        with rectified(pipe, picture(), settings, mask=left_half(call)) as rectification:
            ended = clip(pipe, call)
        outside.append((ended - rectification.x0)[..., 8:].abs().max())
        inside = (ended - rectification.x0)[:, :, 1:, :, :8].abs().mean((0, 1, 2, 3))
        assert bool((inside[:4] > 0.01).all())
    assert max(outside) < 1e-4


def test_a_mask_for_each_of_two_frames():
    pipe, call = with_scheduler("DDIM")
    right = Image.fromarray(255 - np.asarray(left_half(call)))
    with rectified(pipe, picture(), HARD, mask={1: left_half(call), 3: right}) as rectification:
        ended = clip(pipe, call)
    moved = (ended - rectification.x0)[0].abs().amax((0, 2))
    assert moved[1, 4:].max() < 1e-4 < 0.01 < moved[1, :4].max()
    assert moved[3, :4].max() < 1e-4 < 0.01 < moved[3, 4:].max()
    assert moved[2].min() > 1e-3 and moved[4, :4].max() < 1e-4


@pytest.mark.parametrize(
    "given",
    [
        np.tile(np.repeat([True, False], 16), (40, 1)),
        np.tile(np.repeat([1.0, 0.0], 16), (40, 1)),
        torch.tensor(np.tile(np.repeat([1.0, 0.0], 16), (40, 1))),
        torch.tensor(np.tile(np.repeat([255, 0], 16), (40, 1)).astype(np.uint8)),
    ],
)
def test_masks_in_any_form(given):
    assert torch.equal(as_mask(given, 40, 32), as_mask(left_half(None), 40, 32))


def test_a_resized_mask_does_not_ring():
    """A whole factor keeps the edge exactly, another one mixes no more than the pixel that it goes through."""
    for height, width in ((20, 16), (80, 64), (30, 24), (50, 40)):
        made = as_mask(left_half(None), height, width)
        assert made[0].tolist() == [1.0] * (width // 2) + [0.0] * (width // 2)
    made = as_mask(left_half(None), 35, 28)
    assert float(made[:, :14].min()) == 1 and float(made[:, 14:].max()) == 0
    assert as_mask(left_half(None), 25, 25)[0].tolist() == pytest.approx([1.0] * 12 + [0.5] + [0.0] * 12, abs=0.01)


@pytest.mark.parametrize(
    "mask, error, message",
    [
        (Image.new("L", (32, 32), 255), PipelineError, "the motion mask of frame 0 is 32x32 and the image 32x40"),
        (Image.new("L", (32, 40)), SettingsError, "the motion mask of frame 0 is empty"),
        (
            {7: Image.new("L", (32, 40), 255)},
            SettingsError,
            "motion mask of frame 7 is outside the video of 5 frames: use 0 to 4",
        ),
        (np.ones((40, 32, 3)), PipelineError, r"a motion mask is float64 of shape \(40, 32, 3\)"),
        (np.ones((40, 32), dtype=np.int64), MediaError, "a motion mask is int64"),
        (np.full((40, 32), 1.5), MediaError, "a motion mask is float64 .* with values from 1.5 to 1.5: use"),
        ("mask.png", PipelineError, "a motion mask is str"),
    ],
)
def test_wrong_masks_are_refused(mask, error, message):
    pipe, call = with_scheduler("DDIM")
    with pytest.raises(error, match=message), rectified(pipe, picture(), FREE, mask=mask):
        clip(pipe, call)


def test_two_masks_of_one_latent_frame_are_refused():
    pipe, call = shared("Wan")
    masks = {1: left_half(call), 2: left_half(call)}
    with (
        pytest.raises(PipelineError, match="the motion masks of frames 1 and 2 are in one latent frame"),
        rectified(pipe, picture(), FREE, mask=masks),
    ):
        clip(pipe, call)


def test_packed_latents_hold_their_color():
    pipe, call = shared("LTX")
    ends = []
    for settings in (replace(FREE, tau_end=0.3), replace(FREE, tau_end=0.3, hold_colour=True)):
        with rectified(pipe, picture(), settings) as rectification:
            ends.append(grids(clip(pipe, call), rectification))
        kept = (ends[-1] - grids(rectification.x0, rectification)).mean((-2, -1)).abs().mean()
        ends[-1] = float(kept)
    assert ends[1] < 0.8 * ends[0]


# Loops.


def no_motion_modules(pipe):
    """Without them each frame is denoised by itself."""
    for name, module in pipe.unet.named_modules():
        if name.endswith("motion_modules"):
            for motion_module in module:
                motion_module.proj_out.weight.data.zero_()
                motion_module.proj_out.bias.data.zero_()


@pytest.mark.parametrize("name", ["AnimateDiff with IP-Adapter", "AnimateDiff SDXL"])
def test_a_loop_is_turned_back(name):
    """A model that takes frames one by one makes of a turned clip the turned one: with the same ω, the same clip."""
    pipe, call = PIPELINES[name]()
    no_motion_modules(pipe)
    weights = (1.0, 0.7, 0.9, 0.4, 0.8)
    ended = []
    for loop in (False, True):
        with rectified(pipe, picture(), replace(FREE, omega=weights, loop=loop)):
            ended.append(clip(pipe, call, num_inference_steps=3))
    torch.testing.assert_close(*ended, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["AnimateDiff", "ModelScope"])
def test_the_model_sees_the_clip_turned(name):
    pipe, call = PIPELINES[name]()
    for module in pipe.unet.modules():
        if type(module).__name__ == "TemporalConvLayer":  # ModelScope's begin as nothing
            torch.nn.init.normal_(module.conv4[-1].weight, std=0.1)
    weights, ended = (1.0, 0.7, 0.9, 0.4, 0.8), []
    for loop in (False, True):
        with rectified(pipe, picture(), replace(FREE, omega=weights, loop=loop)) as rectification:
            ended.append(clip(pipe, call, num_inference_steps=3))
        assert far(aligned(ended[-1], rectification)[0], aligned(rectification.x0, rectification)[0]) < 1e-5
    assert far(*ended) > 1e-3


def test_a_loop_of_two_key_frames_ends_at_both():
    pipe, call = with_scheduler("DDIM")
    settings = replace(FREE, omega="motion", motion=0.5, loop=True)
    with rectified(pipe, {1: picture(), 3: picture(2)}, settings) as rectification:
        ended = clip(pipe, call)
    for frame in (1, 3):
        assert far(ended[:, :, frame], rectification.x0[:, :, frame]) < 1e-5
    assert far(ended[:, :, [0, 2, 4]], rectification.x0[:, :, [0, 2, 4]]) > 1e-3


@pytest.mark.parametrize(
    "name, message",
    [
        ("LTX", "loop is on and LTXPipeline's VAE joins several frames into one"),
        ("Wan", "loop is on and WanPipeline's VAE joins several frames into one"),
        ("CogVideoX", "loop is on and CogVideoXPipeline's VAE joins several frames into one"),
        (
            "AnimateDiff ControlNet",
            "loop is on and AnimateDiffControlNetPipeline has a ControlNet, whose frames cannot be turned",
        ),
    ],
)
def test_what_cannot_be_a_loop_is_refused(name, message):
    pipe, call = shared(name)
    scheduler = pipe.scheduler
    with pytest.raises(PipelineError, match=message), rectified(pipe, picture(), replace(FREE, loop=True)):
        clip(pipe, call)
    assert pipe.scheduler is scheduler and "prepare_latents" not in vars(pipe)


def test_a_loop_whose_prompt_changes_is_refused():
    pipe, _ = with_scheduler("DDIM")
    prompts = ({0: "day", 4: "night"}, {0: "blur"}, None, None, 5)
    with (
        pytest.raises(PipelineError, match="the prompt changes between the frames, which a loop turns"),
        rectified(pipe, picture(), replace(FREE, loop=True)),
    ):
        pipe._check_inputs_free_noise(*prompts)
    pipe._check_inputs_free_noise(*prompts)
    with pytest.raises(PipelineError, match="made no video"), rectified(pipe, picture(), replace(FREE, loop=True)):
        pipe._check_inputs_free_noise({0: "day"}, {0: "blur"}, None, None, 5)
    assert "_check_inputs_free_noise" not in vars(pipe)


# The motion dial.


@pytest.mark.parametrize("name", ["DPM++ 2M Karras", "DPM++ SDE", "EDM Euler"])
def test_the_dial_is_a_list_of_omega_and_draws_nothing(name):
    """The same noise gives the same bits with the number and with the ω that was found for it."""
    pipe, call = with_scheduler(name)
    with rectified(pipe, picture(), MOTION) as rectification:
        ended = clip(pipe, call, num_inference_steps=4)
        weights = tuple(rectification._pivot_step.correction.omega.tolist())
    assert 0.0 < weights[0] < 1.0 and len(set(weights)) == 1
    pipe, call = with_scheduler(name)
    with rectified(pipe, picture(), replace(MOTION, omega=weights)) as rectification:
        again = clip(pipe, call, num_inference_steps=4)
    assert torch.equal(ended, again)
    assert far(ended[:, :, 0], rectification.pivot[:, :, 0]) < 1e-5


@pytest.mark.parametrize("name", ["AnimateDiff SDXL", "ModelScope", "LTX", "Wan", "CogVideoX"])
def test_the_dial_in_every_pipeline(name):
    found = []
    for motion in (0.2, 0.6, 1.0):
        pipe, call = shared(name)
        with rectified(pipe, picture(), replace(MOTION, motion=motion)) as rectification:
            clip(pipe, call)
        found.append(float(rectification._pivot_step.correction.omega[-1]))
    assert 0 < found[0] < found[1] < found[2] == 1


def test_nothing_and_everything():
    for motion, other in ((0.0, replace(FREE, omega="frozen")), (1.0, FREE)):
        ended = []
        for settings in (replace(MOTION, motion=motion), other):
            pipe, call = with_scheduler("Euler a")
            with rectified(pipe, picture(), settings):
                ended.append(clip(pipe, call, num_inference_steps=3))
        assert torch.equal(*ended)


def test_fresh_noise_by_eta_is_in_the_dial():
    found = []
    for eta in (0.0, 1.0):
        pipe, call = with_scheduler("DDIM")
        with rectified(pipe, picture(), MOTION) as rectification:
            clip(pipe, call, eta=eta, num_inference_steps=4)
        found.append(float(rectification._pivot_step.correction.omega[0]))
    assert abs(found[0] - found[1]) > 0.01


def test_motion_that_tau_does_not_let_through_is_refused():
    pipe, call = with_scheduler("DDIM")
    settings = replace(MOTION, tau_end=0.2, motion=0.05)
    with (
        pytest.raises(UnreachableMotionError, match=r"motion = 0.05 is below the minimum .* end the window later"),
        rectified(pipe, picture(), settings),
    ):
        clip(pipe, call, num_inference_steps=10)


def test_global_random_numbers_are_left_as_without():
    left = []
    for settings in (MOTION, replace(FREE, loop=True, hold_colour=True, tau_end=0.5), Settings()):
        pipe, call = with_scheduler("Euler a")
        torch.manual_seed(11)
        with rectified(pipe, picture(), settings):
            clip(pipe, call, seed=None)
        left.append(torch.rand(1))
    assert left[0] == left[1] == left[2]


def test_a_target_takes_more_than_one_clip():
    pipe, call = with_scheduler("DDIM")
    with (
        pytest.raises(PipelineError, match="target_ssim = 0.8 takes several videos"),
        rectified(pipe, picture(), replace(FREE, target_ssim=0.8)),
    ):
        clip(pipe, call)


# Windows by noise level.


@pytest.mark.parametrize(
    "name, steps",
    [
        *((name, 7) for name in ("Euler Karras trailing", "Heun", "KDPM2 a", "PNDM", "UniPC")),
        *((name, 5) for name in ("PNDM with Runge-Kutta", "LCM")),
    ],
)
def test_the_steps_inside_are_those_of_the_window(name, steps):
    """τ = [0, 0.6] is timesteps 999 to 400, where a step's first call is."""
    pipe, call = with_scheduler(name)
    with rectified(pipe, picture(), replace(FREE, tau_end=0.6, tau_unit="noise level")) as rectification:
        clip(pipe, call, num_inference_steps=steps, guidance_scale=1.0)
        timesteps = [float(timestep) for timestep in pipe.scheduler.timesteps]
        step_of_call = rectification._steps
    firsts = {step: timesteps[step_of_call.index(step)] for step in step_of_call}
    report = rectification.reports[0]
    assert report.rectified == sum(timestep > 399 for timestep in firsts.values()) and report.steps == len(firsts)


@pytest.mark.parametrize("name", ["EDM Euler", "EDM DPM++ 2M"])
def test_edm_has_its_own_levels(name):
    """No timesteps, but a schedule by σ^(1/7) that is its own: τ in steps and by noise level are the same there."""
    pipe, call = with_scheduler(name)
    with rectified(pipe, picture(), replace(FREE, tau_end=0.6, tau_unit="noise level")) as rectification:
        clip(pipe, call, num_inference_steps=6)
        places = [progress(pipe.scheduler, index) for index in range(6)]
    assert places == pytest.approx([index / 5 for index in range(6)], abs=1e-4)
    assert rectification.reports[0].rectified == 3


@pytest.mark.parametrize("name", ["Wan", "CogVideoX", "LTX"])
def test_levels_of_flow_and_zero_snr(name):
    pipe, call = shared(name)
    with rectified(pipe, picture(), replace(FREE, tau_end=0.5, tau_unit="noise level")) as rectification:
        clip(pipe, call, num_inference_steps=10)
        timesteps = [float(timestep) for timestep in pipe.scheduler.timesteps]
    assert 0 < rectification.reports[0].rectified == sum(timestep > 499 for timestep in timesteps) < 10


def test_all_of_the_noise_is_all_of_the_steps():
    ended = []
    for unit in ("steps", "noise level"):
        pipe, call = with_scheduler("DPM++ 2M Karras")
        with rectified(pipe, picture(), replace(MOTION, tau_unit=unit)):
            ended.append(clip(pipe, call, num_inference_steps=4))
    assert torch.equal(*ended)


# Held colours, soft release and key frames.


def test_a_held_colour_is_the_pictures_in_the_first_frame():
    """What is added after τ is the same for all frames: the first frame's distance to its picture in each quarter."""
    pipe, call = with_scheduler("DDIM")
    ended = {}
    for hold in (False, True):
        settings = replace(FREE, tau_end=0.5, hold_colour=hold)
        with rectified(pipe, picture(), settings) as rectification:
            ended[hold] = clip(pipe, call)
    means = {hold: (latents - rectification.x0)[:, :, 0].mean((-1, -2)).abs().max() for hold, latents in ended.items()}
    assert means[True] < 1e-4 < 0.01 < means[False]
    assert far(ended[True][:, :, 0], rectification.x0[:, :, 0]) > 0.01, "details of the first frame are free"


def test_a_soft_release_lets_go_later():
    pipe, call = with_scheduler("DDIM")
    kept = []
    for release in (0.0, 0.5):
        settings = replace(FREE, omega="constant", omega_start=0.3, tau_end=0.5, release=release, pin_first_frame=True)
        with rectified(pipe, picture(), settings) as rectification:
            ended = clip(pipe, call, num_inference_steps=6)
        kept.append((ended - rectification.x0).abs().mean((0, 1, 3, 4)))
        assert kept[-1][0] < 1e-5
    assert kept[1][1] < 0.97 * kept[0][1]


def test_between_key_frames_the_nearest_is_held():
    pipe, call = with_scheduler("DDIM")
    made = {}
    for way in ("slerp", "hold"):
        settings = replace(FREE, interpolation=way)
        with rectified(pipe, {0: picture(), 4: picture(2)}, settings) as rectification:
            ended = clip(pipe, call)
        made[way] = rectification.x0
        for frame in (0, 4):
            assert far(ended[:, :, frame], rectification.x0[:, :, frame]) < 1e-5
    held = made["hold"]
    assert torch.equal(held[:, :, 1], held[:, :, 0]) and torch.equal(held[:, :, 2], held[:, :, 4])
    assert torch.equal(held[:, :, 3], held[:, :, 4]) and not torch.equal(made["slerp"][:, :, 1], held[:, :, 0])
    assert torch.equal(held[:, :, [0, 4]], made["slerp"][:, :, [0, 4]])


@pytest.mark.parametrize("name", ["DPM++ 2M Karras", "Euler a"])
@pytest.mark.parametrize("settings", [FREE, replace(MOTION, hold_colour=True, tau_end=0.5, motion=0.97, loop=True)])
def test_key_frames_under_autocast(name, settings):
    """The model computes in bfloat16, latents and rectification do not."""
    pipe, call = with_scheduler(name)
    mask = {0: left_half(call), 4: left_half(call)}
    with (
        torch.autocast("cpu", torch.bfloat16),
        rectified(pipe, {0: picture(), 4: picture(2)}, settings, mask=mask) as rectification,
    ):
        ended = clip(pipe, call)
    assert bool(ended.isfinite().all())
    if settings is FREE:
        exact = 1e-5 if ended.dtype == torch.float32 else 1e-2  # Euler a hands on what the model's type is
        for frame in (0, 4):
            assert far(ended[:, :, frame], rectification.pivot[:, :, frame]) < exact
        assert far(ended[..., 6:], rectification.pivot[..., 6:]) < exact


def test_a_batch_has_one_plan():
    pipe, call = with_scheduler("DDIM")
    pair = {key: value.repeat(2, 1, 1) if isinstance(value, torch.Tensor) else value for key, value in call.items()}
    generators = [torch.Generator().manual_seed(seed) for seed in (5, 6)]
    settings = replace(MOTION, loop=True, hold_colour=True, tau_end=0.75, motion=0.8, mask_feather=0.0)
    more = {"num_inference_steps": 4, "guidance_scale": 3.0, "output_type": "latent"}
    with rectified(pipe, [picture(1), picture(2)], settings, mask=left_half(call)), torch.no_grad():
        both = pipe(**pair, **more, generator=generators).frames
    with rectified(pipe, picture(2), settings, mask=left_half(call)):
        alone = clip(pipe, call, seed=6)
    assert far(both[1:], alone) < 1e-3


def test_the_pipelines_own_prepare_latents_stays():
    pipe, call = animatediff()
    asked, original = [], pipe.prepare_latents

    @functools.wraps(original)
    def prepare_latents(*args, **kwargs):
        asked.append(1)
        return original(*args, **kwargs)

    pipe.prepare_latents = prepare_latents
    with rectified(pipe, picture(), FREE):
        clip(pipe, call)
    assert pipe.prepare_latents is prepare_latents and asked == [1]
    with pytest.raises(SettingsError), rectified(pipe, {9: picture()}, FREE):
        clip(pipe, call)
    assert pipe.prepare_latents is prepare_latents


def test_an_empty_window_is_noising_alone_with_every_control():
    """Nothing is rectified, so nothing is held, let go or masked."""
    ended = []
    for changes in ({}, {"hold_colour": True, "release": 0.5, "pin_first_frame": True, "tau_unit": "noise level"}):
        pipe, call = with_scheduler("Euler")
        with rectified(pipe, picture(), replace(NEVER, **changes), mask=left_half(call) if changes else None):
            ended.append(clip(pipe, call))
    assert torch.equal(*ended)


def test_longer_clips_by_free_noise():
    """Frames beyond the motion modules' own length: outside the mask the picture, and the first frame whole."""
    pipe = load(device="cpu")
    pipe.set_progress_bar_config(disable=True)
    pipe.enable_free_noise(context_length=8, context_stride=4)
    inside = np.zeros((64, 64), dtype=np.uint8)
    inside[:, :32] = 255
    call = {"num_frames": 12, "num_inference_steps": 2, "guidance_scale": 1.0, "output_type": "latent"}
    call |= {"height": 64, "width": 64, "generator": torch.Generator().manual_seed(1)}
    settings = replace(HARD, loop=True, hold_colour=True)
    with rectified(pipe, picture().resize((64, 64)), settings, mask=inside) as rectification:
        ended = pipe(prompt="a red fish", **call).frames
    middle = ended.shape[-1] // 2
    assert far(ended[:, :, 0], rectification.x0[:, :, 0]) < 1e-4
    assert far(ended[..., middle:], rectification.x0[..., middle:]) < 1e-4
    assert (ended - rectification.x0)[:, :, 1:, :, :middle].abs().amax((0, 1, 3, 4)).min() > 0.01
    with (
        pytest.raises(PipelineError, match="the prompt changes between the frames"),
        rectified(pipe, picture().resize((64, 64)), settings),
    ):
        pipe(prompt={0: "a red fish", 11: "a blue fish"}, **call)

"""The exact facts on stock pipelines with random weights: off, frozen, first frame, Algorithm 1; all schedulers; refusals."""

import copy
import functools
import inspect

import diffusers
import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_utils import KarrasDiffusionSchedulers
from PIL import Image
from tiny_pipelines import PIPELINES, animatediff, cogvideox, ddim, shared, smallest, wan

from lib_noiserect.core.noise_levels import from_x0, to_x0
from lib_noiserect.core.settings import Settings, SettingsError
from lib_noiserect.media.images import MediaError
from lib_noiserect.pipelines import PipelineError, rectified
from lib_noiserect.pipelines.latents import encode, preprocess
from lib_noiserect.pipelines.schedulers import check_ends_at_x0, read, run_alone, take_last_steps

FROZEN = Settings(enabled=True, tau_end=1.0, omega="frozen")
FREE = Settings(enabled=True, tau_end=1.0, omega="constant", omega_start=1.0)
NEVER = Settings(enabled=True, tau_start=0.9, tau_end=0.95)


def picture(seed=1):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 32, 3), dtype=np.uint8))


def clip(pipe, call, seed=5, **changes):
    """The latents that the pipeline ends with, and those that its scheduler returned last (packed, where it packs)."""
    arguments = {"num_inference_steps": 4, "guidance_scale": 3.0, "output_type": "latent", **call, **changes}
    if getattr(pipe, "image_encoder", None) is not None:
        arguments["ip_adapter_image"] = picture(9).resize((8, 8))
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    with torch.no_grad():
        return pipe(**arguments, generator=generator, return_dict=False)[0]


def aligned(latents, rectification):
    """`[F, …]` of latents in the pipeline's or in its scheduler's layout."""
    return rectification._layout.frames_first(latents).flatten(1)


def far(left, right):
    return (left - right).abs().max().item() / right.abs().max().item()


@pytest.fixture(params=PIPELINES)
def made(request):
    return shared(request.param)


# One of each layout of latents: frames third, as rows, packed, and second with several frames in one.
each_layout = pytest.mark.parametrize("made", ["AnimateDiff", "ModelScope", "LTX", "CogVideoX"], indirect=True)


@each_layout
def test_off_and_before_and_after_are_the_same_bits(made):
    pipe, call = made
    scheduler, state = pipe.scheduler, copy.deepcopy(pipe.scheduler.__dict__)
    plain = clip(pipe, call)
    pipe.scheduler.__dict__.update(state)
    with rectified(pipe, picture(), Settings(enabled=False)):
        assert torch.equal(clip(pipe, call), plain)
    untouched = str(scheduler.__dict__)
    with rectified(pipe, picture(), FREE):
        assert not torch.equal(clip(pipe, call), plain)
    assert pipe.scheduler is scheduler and str(scheduler.__dict__) == untouched
    assert "prepare_latents" not in vars(pipe)
    assert torch.equal(clip(pipe, call), plain)


def test_frozen_frames_are_the_picture(made):
    pipe, call = made
    with rectified(pipe, picture(), FROZEN) as rectification:
        ended = clip(pipe, call)
    assert rectification.reports[0].rectified == rectification.reports[0].steps == 4
    assert far(aligned(ended, rectification), aligned(rectification.x0, rectification)) < 1e-5


def test_the_first_frame_is_the_picture_and_the_others_move(made):
    pipe, call = made
    with rectified(pipe, picture(), FREE) as rectification:
        ended = clip(pipe, call)
    frames, clean = aligned(ended, rectification), aligned(rectification.x0, rectification)
    assert far(frames[0], clean[0]) < 1e-5
    assert far(frames[-1], clean[-1]) > 0.01


@pytest.mark.parametrize("made", ["AnimateDiff", "ModelScope", "Wan"], indirect=True)
def test_the_first_frame_stays_pinned_after_the_window(made):
    pipe, call = made
    for pinned in (True, False):
        half = Settings(enabled=True, tau_end=0.5, omega="constant", pin_first_frame=pinned)
        with rectified(pipe, picture(), half) as rectification:
            ended = clip(pipe, call)
        clean = aligned(rectification.x0, rectification)
        assert (far(aligned(ended, rectification)[0], clean[0]) < 1e-5) is pinned
        assert rectification.reports[0].rectified == 2


@each_layout
def test_a_window_that_holds_no_step_is_noising_alone_and_said_so(made, caplog):
    pipe, call = made
    with rectified(pipe, picture(), NEVER) as rectification:
        ended = clip(pipe, call)
    assert "holds none of the 4 steps" in caplog.text
    if "prompt_attention_mask" in call or "Wan" in type(pipe).__name__ or "ControlNet" in type(pipe).__name__:
        return  # these scale given latents in their own ways; the noised picture is checked on the others
    level = 1.0 / pipe.scheduler.init_noise_sigma
    start = noised_by_hand(pipe, rectification)
    again = clip(pipe, call, latents=start * level)
    assert far(again, ended) < 1e-5


def noised_by_hand(pipe, rectification):
    scheduler = copy.deepcopy(pipe.scheduler)
    scheduler.set_timesteps(4)
    power = scheduler.alphas_cumprod[int(scheduler.timesteps[0])].double()
    z, n = rectification.x0.double(), rectification.reference_noise.double()
    return (power.sqrt() * z + (1 - power).sqrt() * n).float()


VE_AND_VP = {
    "DDIM": lambda c: diffusers.DDIMScheduler.from_config(c),
    "DDIM parallel": lambda c: diffusers.DDIMParallelScheduler.from_config(c),
    "DDIM zero SNR v": lambda c: diffusers.DDIMScheduler.from_config(
        c, rescale_betas_zero_snr=True, timestep_spacing="trailing", prediction_type="v_prediction"
    ),
    "DDIM sample": lambda c: diffusers.DDIMScheduler.from_config(c, prediction_type="sample"),
    "DDPM": lambda c: diffusers.DDPMScheduler.from_config(c),
    "DDPM v": lambda c: diffusers.DDPMScheduler.from_config(c, prediction_type="v_prediction"),
    "DDPM parallel": lambda c: diffusers.DDPMParallelScheduler.from_config(c),
    "PNDM": lambda c: diffusers.PNDMScheduler.from_config(c, skip_prk_steps=True),
    "PNDM with Runge-Kutta": lambda c: diffusers.PNDMScheduler.from_config(c, skip_prk_steps=False),
    "LCM": lambda c: diffusers.LCMScheduler.from_config(c),
    "TCD": lambda c: diffusers.TCDScheduler.from_config(c),
    "Euler": lambda c: diffusers.EulerDiscreteScheduler.from_config(c),
    "Euler v": lambda c: diffusers.EulerDiscreteScheduler.from_config(c, prediction_type="v_prediction"),
    "Euler sample": lambda c: diffusers.EulerDiscreteScheduler.from_config(c, prediction_type="sample"),
    "Euler Karras trailing": lambda c: diffusers.EulerDiscreteScheduler.from_config(
        c, use_karras_sigmas=True, timestep_spacing="trailing"
    ),
    "Euler a": lambda c: diffusers.EulerAncestralDiscreteScheduler.from_config(c),
    "Euler a v": lambda c: diffusers.EulerAncestralDiscreteScheduler.from_config(c, prediction_type="v_prediction"),
    "Heun": lambda c: diffusers.HeunDiscreteScheduler.from_config(c),
    "KDPM2": lambda c: diffusers.KDPM2DiscreteScheduler.from_config(c),
    "KDPM2 a": lambda c: diffusers.KDPM2AncestralDiscreteScheduler.from_config(c),
    "LMS": lambda c: diffusers.LMSDiscreteScheduler.from_config(c),
    "DPM++ SDE": lambda c: diffusers.DPMSolverSDEScheduler.from_config(c, noise_sampler_seed=3),
    "DPM++ SDE unseeded": lambda c: diffusers.DPMSolverSDEScheduler.from_config(c),
    "DPM++ 2M": lambda c: diffusers.DPMSolverMultistepScheduler.from_config(c),
    "DPM++ 2M Karras": lambda c: diffusers.DPMSolverMultistepScheduler.from_config(c, use_karras_sigmas=True),
    "DPM++ 2M v": lambda c: diffusers.DPMSolverMultistepScheduler.from_config(c, prediction_type="v_prediction"),
    "DPM 2M": lambda c: diffusers.DPMSolverMultistepScheduler.from_config(
        c, algorithm_type="dpmsolver", final_sigmas_type="sigma_min"
    ),
    "DPM++ 2M SDE": lambda c: diffusers.DPMSolverMultistepScheduler.from_config(c, algorithm_type="sde-dpmsolver++"),
    "DPM++ singlestep": lambda c: diffusers.DPMSolverSinglestepScheduler.from_config(c),
    "DEIS": lambda c: diffusers.DEISMultistepScheduler.from_config(c),
    "UniPC": lambda c: diffusers.UniPCMultistepScheduler.from_config(c),
    "SA-Solver": lambda c: diffusers.SASolverScheduler.from_config(c),
    "EDM Euler": lambda c: diffusers.EDMEulerScheduler(),
    "EDM DPM++ 2M": lambda c: diffusers.EDMDPMSolverMultistepScheduler(),
}
# These end at their lowest noise level, 0.03 of the noise; the others end at the picture.
STOPS_ABOVE_ZERO = {"DDIM zero SNR v", "PNDM", "PNDM with Runge-Kutta", "TCD", "DPM 2M", "DEIS", "SA-Solver"}


@functools.cache
def scheduler_of(name):
    """Some take a second to make, since they make a schedule of 1,000 steps first."""
    return VE_AND_VP[name](ddim().config)


def test_every_scheduler_that_diffusers_lists_as_interchangeable_is_tested():
    tested = {type(scheduler_of(name)).__name__ for name in VE_AND_VP}
    assert {listed.name for listed in KarrasDiffusionSchedulers} <= tested


def with_scheduler(name):
    pipe, call = smallest()
    pipe.scheduler = copy.deepcopy(scheduler_of(name))
    return pipe, dict(call)


@pytest.mark.parametrize("name", VE_AND_VP)
def test_every_scheduler_freezes_to_its_own_floor_and_pins_the_first_frame(name):
    """In one run: frame 0 is pinned at ω = 1, frames 1 to 3 are frozen, and frame 4 is free."""
    pipe, call = with_scheduler(name)
    steps = 6 if name == "DDIM zero SNR v" else 4  # it stops above zero where 1,000 is not a multiple
    weights = Settings(enabled=True, tau_end=1.0, omega=(1.0, 0.0, 0.0, 0.0, 1.0))
    with rectified(pipe, picture(), weights) as rectification:
        ended = clip(pipe, call, num_inference_steps=steps, seed=None if "unseeded" in name else 5)
    report = rectification.reports[0]
    assert report.rectified == report.steps == steps
    assert far(ended[:, :, :4], rectification.pivot[:, :, :4]) < 1e-5
    assert far(ended[:, :, 4], rectification.pivot[:, :, 4]) > 0.01
    left = (rectification.pivot - rectification.x0).square().mean().sqrt()
    assert (0.02 < left < 0.04) if name in STOPS_ABOVE_ZERO else left < 1e-4


@pytest.mark.parametrize("strength", [0.5, 0.8])
@pytest.mark.parametrize("name", [name for name in VE_AND_VP if not name.startswith("PNDM")])
def test_denoising_strength_takes_the_last_steps_of_every_scheduler(name, strength):
    """By hand as in diffusers' image-to-image pipelines: the scheduler keeps its list, and its steps begin within it."""
    short, whole = copy.deepcopy(scheduler_of(name)), copy.deepcopy(scheduler_of(name))
    take_last_steps(short, strength)
    for scheduler in (short, whole):
        scheduler.set_timesteps(5)
    left_out = {0.5: 3, 0.8: 1}[strength] * (2 if getattr(whole, "order", 1) == 2 else 1)
    assert short.timesteps.tolist() == whole.timesteps.tolist()[left_out:]
    if hasattr(whole, "set_begin_index"):
        whole.set_begin_index(left_out)

    def answer(x, level, call=None):
        return 0.7 * torch.tanh(x / (level.a**2 + level.s**2) ** 0.5) + 0.1

    level, _ = read(whole, whole.timesteps[left_out])
    x = noise = level.s * torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    for scheduler in (short, whole):
        if name == "LMS":  # it warns otherwise
            scheduler.scale_model_input(noise, whole.timesteps[left_out])
    torch.manual_seed(2)
    ended = run_alone(short, noise, answer, {})
    for timestep in whole.timesteps[left_out:]:
        level, kind = read(whole, timestep)
        x = whole.step(from_x0(kind, answer(x, level), x, level), timestep, x, return_dict=False)[0]
    assert torch.equal(ended, x) and ended.isfinite().all()
    check_ends_at_x0(short, noise)


def test_denoising_strength_of_plms_repeats_its_own_first_step():
    """That of Runge-Kutta is refused: its first four calls belong together."""
    scheduler = copy.deepcopy(scheduler_of("PNDM"))
    take_last_steps(scheduler, 0.5)
    scheduler.set_timesteps(10)
    assert scheduler.timesteps.tolist() == [400, 300, 300, 200, 100, 0]
    check_ends_at_x0(scheduler, torch.zeros(1, 4, 5, 8, 8))
    pipe, call = with_scheduler("PNDM with Runge-Kutta")
    with pytest.raises(PipelineError, match="does not end at the image"), rectified(pipe, picture(), FREE, strength=0.5):
        clip(pipe, call, num_inference_steps=10)


@pytest.mark.parametrize("name", ["DDPM", "Euler a", "DPM++ SDE"])
def test_the_published_rule_loses_the_picture_where_noise_is_fresh(name):
    pipe, call = with_scheduler(name)
    with rectified(pipe, picture(), FROZEN, follow_noise=False) as rectification:
        ended = clip(pipe, call, num_inference_steps=4)
    assert (ended - rectification.x0).abs().mean() > 0.1


@pytest.mark.parametrize("name", ["DDIM", "TCD"])
@pytest.mark.parametrize("eta", [0.0, 0.3])
def test_fresh_noise_by_eta(name, eta):
    pipe, call = with_scheduler(name)
    ended = []
    for follow in (True, False):
        with rectified(pipe, picture(), FROZEN, follow_noise=follow) as rectification:
            ended.append(clip(pipe, call, eta=eta, num_inference_steps=4))
    left = [(latents - rectification.x0).abs().mean() for latents in ended]
    assert left[0] < 0.03
    assert bool(left[1] > 0.1) is (eta > 0)


def algorithm_1(pipe, prompt, negative, z, noise, omega, steps, window, guidance):
    """The paper's Algorithm 1 as printed, with DDIM at η = 0, over the pipeline's UNet; `[1, C, F, H, W]` in float64."""
    scheduler = ddim()
    scheduler.set_timesteps(steps)
    powers = scheduler.alphas_cumprod.double()
    x = powers[scheduler.timesteps[0]].sqrt() * z + (1 - powers[scheduler.timesteps[0]]).sqrt() * noise
    for index, timestep in enumerate(scheduler.timesteps.tolist()):
        words = torch.cat([negative, prompt]).repeat_interleave(x.shape[2], 0)
        free, told = pipe.unet(torch.cat([x, x]), timestep, encoder_hidden_states=words).sample.chunk(2)
        predicted = free + guidance * (told - free)
        if window[0] <= index / steps < window[1]:
            gap = noise[:, :, :1] - predicted[:, :, :1]
            own_gap = noise - predicted
            weights = torch.tensor(omega, dtype=torch.float64)[None, None, :, None, None]
            predicted = predicted + weights * gap + (1 - weights) * own_gap
        power = powers[timestep]
        before = timestep - 1000 // steps
        power_before = powers[before] if before >= 0 else torch.tensor(1.0, dtype=torch.float64)
        clean = (x - (1 - power).sqrt() * predicted) / power.sqrt()
        x = power_before.sqrt() * clean + (1 - power_before).sqrt() * predicted
    return x


@functools.cache
def in_float64():
    pipe, call = animatediff()
    pipe.unet.double()
    return pipe, {key: value.double() if isinstance(value, torch.Tensor) else value for key, value in call.items()}


@pytest.mark.parametrize("window", [(0.0, 1.0), (0.0, 0.6), (0.25, 0.75)])
def test_ddim_equals_algorithm_1(window):
    pipe, call = in_float64()
    omega = (1.0, 0.8, 0.5, 0.25, 0.1)
    settings = Settings(enabled=True, tau_start=window[0], tau_end=window[1], omega=omega)
    with rectified(pipe, picture(), settings) as rectification, torch.no_grad():
        ended = clip(pipe, call, num_inference_steps=4)
        expected = algorithm_1(
            pipe,
            call["prompt_embeds"],
            call["negative_prompt_embeds"],
            rectification.x0,
            rectification.reference_noise,
            omega,
            4,
            window,
            3.0,
        )
    assert ended.dtype == torch.float64
    assert (ended - expected).norm() / expected.norm() < 1e-5


@pytest.mark.parametrize("name", ["DDIM", "Euler v", "DPM++ 2M"])
def test_published_rule_and_pivot_agree_where_nothing_is_random(name):
    ended = []
    for follow in (True, False):
        pipe, call = with_scheduler(name)
        with rectified(pipe, picture(), Settings(enabled=True), follow_noise=follow):
            ended.append(clip(pipe, call))
    assert far(*ended) < 1e-4


def test_a_batch_of_prompts_with_one_picture_each():
    pipe, call = with_scheduler("DDIM")
    pair = {
        **call,
        "prompt_embeds": call["prompt_embeds"].repeat(2, 1, 1),
        "negative_prompt_embeds": call["negative_prompt_embeds"].repeat(2, 1, 1),
    }
    generators = [torch.Generator().manual_seed(seed) for seed in (5, 6)]
    with rectified(pipe, [picture(1), picture(2)], FREE) as rectification, torch.no_grad():
        both = pipe(**pair, num_inference_steps=4, guidance_scale=3.0, output_type="latent", generator=generators).frames
    assert far(both[:, :, 0], rectification.x0[:, :, 0]) < 1e-5
    with rectified(pipe, picture(2), FREE):
        alone = clip(pipe, call, seed=6)
    assert far(both[1:], alone) < 1e-4
    with pytest.raises(PipelineError, match="3 images were given for 1 videos"), rectified(pipe, [picture()] * 3, FREE):
        clip(pipe, call)


def test_global_random_numbers_are_left_as_without():
    pipe, call = with_scheduler("Euler a")
    left = []
    for settings in (FREE, Settings()):
        torch.manual_seed(11)
        with rectified(pipe, picture(), settings):
            clip(pipe, call, seed=None)
        left.append(torch.rand(1))
    assert torch.equal(*left)


def test_half_precision():
    pipe, call = animatediff()
    pipe.scheduler = copy.deepcopy(scheduler_of("Euler a"))
    pipe.to(torch.bfloat16)
    call = {key: value.bfloat16() if isinstance(value, torch.Tensor) else value for key, value in call.items()}
    with rectified(pipe, picture(), FROZEN) as rectification:
        ended = clip(pipe, call)
    assert torch.equal(ended, rectification.pivot) and ended.dtype == torch.bfloat16
    assert (ended - rectification.x0).abs().max() < 0.05


@pytest.mark.parametrize("name", ["Euler", "Euler v", "Euler sample", "Euler a v", "DDIM zero SNR v"])
def test_what_a_prediction_stands_for_is_what_the_scheduler_takes_it_for(name):
    scheduler = copy.deepcopy(scheduler_of(name))
    scheduler.set_timesteps(6)
    timestep, shape = scheduler.timesteps[2], (1, 4, 3, 2, 2)
    x, output = torch.randn(shape), torch.randn(shape)
    scheduler.scale_model_input(x, timestep)
    level, kind = read(scheduler, timestep)
    wanted = scheduler.step(output, timestep, x).pred_original_sample
    torch.testing.assert_close(to_x0(kind, output, x, level), wanted, atol=1e-4, rtol=1e-4)


def test_given_latents_are_the_noise():
    pipe, call = with_scheduler("Euler")
    noise = torch.randn(1, 4, 5, 8, 8, generator=torch.Generator().manual_seed(8))
    kept = noise.clone()
    with rectified(pipe, picture(), FROZEN) as rectification:
        clip(pipe, call, latents=noise)
    assert far(rectification.reference_noise, noise) < 1e-6
    assert torch.equal(noise, kept)


def test_free_init_runs_are_rectified_each():
    pipe, call = animatediff()
    pipe.enable_free_init(num_iters=2)
    with rectified(pipe, picture(), FROZEN) as rectification:
        ended = clip(pipe, call)
    assert [report.rectified for report in rectification.reports] == [4, 4]
    assert far(ended, rectification.x0) < 1e-5


@pytest.mark.parametrize(
    "scheduler",
    [
        diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
        diffusers.FlowMatchHeunDiscreteScheduler(),
        diffusers.FlowMatchLCMScheduler(),
        diffusers.LTXEulerAncestralRFScheduler(),
        diffusers.FlowMatchEulerDiscreteScheduler(stochastic_sampling=True),
        diffusers.DPMSolverMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0),
        diffusers.DEISMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True),
        diffusers.UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0),
    ],
    ids=lambda scheduler: type(scheduler).__name__,
)
def test_flow_schedulers(scheduler):
    for settings in (FROZEN, FREE):
        pipe, call = wan(scheduler)
        with rectified(pipe, picture(), settings) as rectification:
            ended = clip(pipe, call)
            pipe_scheduler = pipe.scheduler
        kept = slice(None) if settings is FROZEN else slice(1)
        assert far(ended[:, :, kept], rectification.pivot[:, :, kept]) < 1e-5
        left = float(pipe_scheduler.sigmas[-1])  # DEIS stops far above zero
        expected = (1 - left) * rectification.x0 + left * rectification.reference_noise
        assert (rectification.pivot - expected).abs().max() < 2e-3
        assert far(ended[:, :, -1], rectification.pivot[:, :, -1]) > 0.01 or settings is FROZEN


@pytest.mark.parametrize("spacing", ["trailing", "leading"])
def test_cogvideox_dpm(spacing):
    scheduler = diffusers.CogVideoXDPMScheduler(
        prediction_type="v_prediction", rescale_betas_zero_snr=spacing == "trailing", timestep_spacing=spacing
    )
    pipe, call = cogvideox(scheduler)
    with rectified(pipe, picture(), FROZEN) as rectification:
        ended = clip(pipe, call)
    assert far(ended, rectification.x0) < 1e-4


def test_shift_and_statistics_of_the_vae_are_read():
    pictures = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(2)) * 2 - 1
    pipe, _ = animatediff(scaling_factor=1.0)
    with torch.no_grad():
        plain = encode(pipe.vae, pictures, 3)
        pipe.vae.register_to_config(scaling_factor=0.5, shift_factor=0.1)
        assert torch.allclose(encode(pipe.vae, pictures, 3), (plain - 0.1) * 0.5)
        pipe.vae.register_to_config(latents_mean=[0.1, 0.2, 0.3, 0.4], latents_std=[1.0, 2.0, 4.0, 8.0], scaling_factor=2.0)
        by_hand = (plain - torch.tensor([0.1, 0.2, 0.3, 0.4])[:, None, None, None]) * 2
        assert torch.allclose(encode(pipe.vae, pictures, 3), by_hand / torch.tensor([1.0, 2, 4, 8])[:, None, None, None])


@each_layout
def test_the_frozen_clip_decodes_to_the_picture(made):
    """Scaling and layout are right where the pipeline shows what its own VAE makes of the picture, or of a still clip."""
    pipe, call = made
    with rectified(pipe, picture(), FROZEN), torch.no_grad():
        shown = clip(pipe, call, output_type="pt")[0]
    pixels = preprocess(picture(), call["height"], call["width"])
    with torch.no_grad():
        if any(isinstance(module, torch.nn.Conv3d) for module in pipe.vae.encoder.modules()):
            still = pixels[:, :, None].expand(-1, -1, call["num_frames"], -1, -1)
            expected = pipe.vae.decode(pipe.vae.encode(still).latent_dist.mode()).sample[0].transpose(0, 1)
        else:
            expected = pipe.vae.decode(pipe.vae.encode(pixels).latent_dist.mode()).sample
    assert shown.shape[0] == call["num_frames"]
    assert (shown - (expected / 2 + 0.5).clamp(0, 1)).abs().max() < 1e-4
    assert shown.std() > 1e-3


def test_refusals_name_what_is_wrong():
    pipe, call = with_scheduler("DDIM")
    pipe.scheduler = diffusers.DDIMScheduler()  # its clip_sample is on by default
    with pytest.raises(PipelineError, match="set its clip_sample to False"), rectified(pipe, picture(), FREE):
        clip(pipe, call)
    assert type(pipe.scheduler).__name__ == "DDIMScheduler" and "step" not in vars(pipe.scheduler)
    pipe.scheduler = diffusers.IPNDMScheduler()
    with pytest.raises(PipelineError, match="IPNDMScheduler is not supported"), rectified(pipe, picture(), FREE):
        clip(pipe, call)
    with pytest.raises(PipelineError, match="the rectified block made no video"), rectified(pipe, picture(), FREE):
        pass
    with pytest.raises(SettingsError, match="omega has 2 entries and the video has 5 frames"):
        pipe.scheduler = ddim()
        with rectified(pipe, picture(), Settings(enabled=True, omega=(1.0, 0.5))):
            clip(pipe, call)
    with pytest.raises(PipelineError, match="is str"), rectified(pipe, "cat.png", FREE):
        clip(pipe, call)
    for wrong in (np.full((4, 4, 3), 1.5), np.zeros((3, 8, 8)), np.zeros((4, 4, 3), dtype=np.int64)):
        with pytest.raises(MediaError, match=f"an image is {wrong.dtype} of shape"), rectified(pipe, wrong, FREE):
            clip(pipe, call)
    video = diffusers.AnimateDiffVideoToVideoPipeline.__new__(diffusers.AnimateDiffVideoToVideoPipeline)
    video.scheduler = video.vae = pipe.scheduler
    with pytest.raises(PipelineError, match="makes its latents from a video"), rectified(video, picture(), FREE):
        pass


def test_schedulers_keep_their_signatures_and_classes():
    pipe, call = with_scheduler("DDIM")
    before = inspect.signature(pipe.scheduler.step)
    with rectified(pipe, picture(), FREE):
        assert isinstance(pipe.scheduler, diffusers.DDIMScheduler)
        assert inspect.signature(pipe.scheduler.step) == before
        clip(pipe, call)


@each_layout
def test_every_key_frame_is_its_picture(made):
    """The last latent frame as well as the first, also where one latent frame stands for several pictures."""
    pipe, call = made
    last = call["num_frames"] - 1
    with rectified(pipe, {0: picture(), last: picture(2)}, FREE) as rectification:
        ended = aligned(clip(pipe, call), rectification)
    wanted = aligned(rectification.x0, rectification)
    with rectified(pipe, picture(2), FREE) as other:
        clip(pipe, call)
    begin, end = rectification.keyframes
    assert end == len(wanted) - 1
    for frame in (begin, end):
        assert far(ended[frame], wanted[frame]) < 1e-5
    assert far(wanted[end], aligned(other.x0, other)[end]) < 1e-6
    assert far(wanted[end], wanted[begin]) > 0.1
    assert far(ended[begin + 1 : end], wanted[begin + 1 : end]) > 1e-3


@pytest.mark.parametrize(
    "pictures, error, message",
    [
        ({}, SettingsError, "no keyframe"),
        ({0: 1, 99: 2}, SettingsError, "keyframe 99 is outside the video"),
        ({1: 1, 2: 2}, PipelineError, "keyframes 1 and 2 are in one latent frame"),
    ],
)
def test_wrong_key_frames_are_refused(pictures, error, message):
    pipe, call = shared("Wan")
    with pytest.raises(error, match=message), rectified(pipe, {n: picture(s) for n, s in pictures.items()}, FREE):
        clip(pipe, call)

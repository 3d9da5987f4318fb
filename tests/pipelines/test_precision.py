"""Half precision and devices without float64: what overflows is named early, and latents need no float64."""

from dataclasses import replace

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image
from tiny_pipelines import animatediff
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lib_noiserect.core import noise_levels
from lib_noiserect.core.correction import Correction
from lib_noiserect.core.correspondence import carry
from lib_noiserect.core.finite import NotFiniteError
from lib_noiserect.core.noise import NotTwinError
from lib_noiserect.core.pivot import PivotStep
from lib_noiserect.core.settings import Settings
from lib_noiserect.methods.analytic_init import Statistics
from lib_noiserect.pipelines import rectified
from lib_noiserect.pipelines.latents import encode, encode_video
from lib_noiserect.pipelines.loading import use_sampler
from lib_noiserect.pipelines.schedulers import random_states, rewind

FREE = Settings(enabled=True, tau_end=1.0, omega="constant", omega_start=1.0)


def picture(seed=1):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8))


def run(pipe, call, settings=FREE, images=None, seed=5, **more):
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    arguments = {"num_inference_steps": 3, "guidance_scale": 1.0, "output_type": "latent", **call}
    with torch.no_grad(), rectified(pipe, images or picture(), settings, **more) as rectification:
        pipe(**arguments, generator=generator)
    return rectification


def overflowing(vae):
    """A VAE whose first activations are beyond float16, and which normalizes them at once, as SDXL's."""
    with torch.no_grad():
        vae.encoder.conv_in.weight.mul_(1e6 / vae.encoder.conv_in.weight.abs().max()).clamp_(-6e4, 6e4)
    return vae.half()


@pytest.fixture(scope="module")
def made():
    return animatediff()


def test_a_vae_that_overflows_encodes_in_float32():
    pipe, call = animatediff(force_upcast=True)
    vae, images = overflowing(pipe.vae), torch.rand(1, 3, 16, 16) * 2 - 1
    with torch.no_grad():
        half, still = encode(vae, images, 2), encode_video(vae, images)
        assert half.isfinite().all() and still.isfinite().all() and vae.dtype == torch.float16
        exact = encode(vae.float(), images, 2)
    assert torch.equal(half, exact)


def test_a_latent_that_overflows_is_refused_before_the_first_model_call():
    pipe, call = animatediff(force_upcast=False)
    overflowing(pipe.vae)
    calls = []
    pipe.unet.register_forward_pre_hook(lambda *_: calls.append(1))
    with pytest.raises(NotFiniteError, match="the latent of the image is not finite .*: use full precision"):
        run(pipe, call)
    assert not calls


@pytest.mark.parametrize("settings", [FREE, Settings(enabled=True, tau_start=0.0, tau_end=0.0)])
def test_a_prediction_that_is_not_finite_ends_the_run_at_its_step(made, settings):
    pipe, call = made
    calls = []

    def broken(module, arguments, output):
        calls.append(1)
        return type(output)(sample=output.sample * float("nan")) if len(calls) == 2 else output

    hook = pipe.unet.register_forward_hook(broken)
    try:
        with pytest.raises(NotFiniteError, match="the model's prediction in step 2 of 3 is not finite"):
            run(pipe, call, settings)
    finally:
        hook.remove()
    assert len(calls) == 2


class NoFloat64(TorchDispatchMode):
    """Refuses float64 for images of latent size, as Apple's GPUs refuse it for all."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            if isinstance(value, torch.Tensor) and value.dtype == torch.float64 and value.ndim > 1 and value.numel() >= 64:
                raise TypeError(f"{func} made float64 {tuple(value.shape)}")
        return result


def test_the_mode_refuses_float64():
    with pytest.raises(TypeError), NoFloat64():
        torch.zeros(8, 8).double()


def statistics(kind):
    shapes = {"conditional": {"mean": (5, 4, 8, 8), "variance": (5,)}, "spectral": {"power": (5, 4, 24)}}
    values = {name: torch.ones(shape) for name, shape in shapes[kind].items()}
    for value in values.values():
        value[0] = 0
    return Statistics(kind, values, frames=5)


CONTROLS = {
    "keyframes, mask, color": (
        replace(FREE, tau_end=0.5, hold_colour=True, pin_first_frame=True, release=0.3),
        {"images": {0: picture(), 4: picture(2)}, "mask": np.repeat(np.arange(16)[None] < 10, 16, 0)},
    ),
    "motion, loop, noise level": (
        replace(FREE, omega="motion", motion=0.95, loop=True, tau_unit="noise level", start_time=0.9),
        {"images": {1: picture(), 3: picture(2)}, "statistics": statistics("spectral")},
    ),
    "conditional": (replace(FREE, interpolation="hold"), {"statistics": statistics("conditional")}),
}


@pytest.mark.parametrize(
    "controls, sampler",
    [
        *(("motion, loop, noise level", sampler) for sampler in ("ddim", "euler a", "heun", "dpm++ 2m sde", "lcm")),
        *(("keyframes, mask, color", sampler) for sampler in ("ddim", "dpm++ 2m sde")),
        ("conditional", "lcm"),
    ],
)
def test_no_control_needs_float64(made, controls, sampler):
    pipe, call = made
    settings, more = CONTROLS[controls]
    before = pipe.scheduler
    try:
        use_sampler(pipe, sampler)
        with NoFloat64():
            run(pipe, call, settings, **more)
    finally:
        pipe.scheduler = before


def test_the_generators_of_other_devices_are_rewound(monkeypatch):
    own, second = torch.Generator().manual_seed(1), torch.Generator().manual_seed(2)
    monkeypatch.setattr(torch.xpu, "default_generators", (own, second))
    before = random_states(torch.device("xpu", 1))
    drawn = torch.rand(3, generator=second)
    rewind(before)
    assert torch.equal(torch.rand(3, generator=second), drawn)
    assert [len(random_states(torch.device(name))) for name in ("cpu", "xpu", "meta")] == [1, 2, 1]


class HiddenNoise(diffusers.EulerAncestralDiscreteScheduler):
    """Draws from a generator that nobody knows, as on a device whose generator is out of reach."""

    hidden = torch.Generator().manual_seed(3)

    def step(self, model_output, timestep, sample, generator=None, return_dict=True):
        return super().step(model_output, timestep, sample, self.hidden, return_dict)


def test_other_noise_for_the_pivot_is_noticed(made):
    pipe, call = made
    before = pipe.scheduler
    try:
        pipe.scheduler = HiddenNoise.from_config(pipe.scheduler.config)
        with pytest.raises(NotTwinError, match="different noise for the frames and for the pivot.*draw the noise on the CPU"):
            run(pipe, call, seed=None)
    finally:
        pipe.scheduler = before


@pytest.mark.parametrize("follow", (False, True))
def test_a_step_reads_no_value_before_it_is_settled(follow):
    """Each read makes the host wait for a GPU. Tensors of the device meta have no values to read."""
    x0, x, prediction = (torch.empty(5, 4, 24, 16, device="meta") for _ in range(3))
    correction = Correction(Settings(tau_end=1.0, follow_motion=follow), torch.empty(5, device="meta"))
    step = PivotStep(x0, correction, num_steps=2)
    step.checks.prediction(prediction, 1, 2)
    corrected, at_pivot = step(prediction, x, x, noise_levels.vp(0.5), "eps", 0)
    assert corrected.shape == at_pivot.shape == x.shape
    with pytest.raises(RuntimeError, match="meta"):
        step.checks.settle()


class Asked(TorchDispatchMode):
    """Counts what a device is asked to compute; views cost it nothing."""

    VIEWS = ("expand", "view", "select", "slice", "split", "unbind", "permute", "unsqueeze", "detach", "alias", "transpose")

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += not function.__name__.startswith(self.VIEWS)
        return function(*args, **(kwargs or {}))


def test_a_gpu_is_asked_few_times_and_never_waited_for():
    """Latents of 512x512 pixels, on the device meta, which has no values that one could wait for."""
    with Asked() as asked:
        carried = carry(torch.empty(4, 64, 64, device="meta"), torch.empty(16, 4, 64, 64, device="meta"), 0)
    assert carried.shape == (16, 4, 64, 64) and 50 < asked.count < 320

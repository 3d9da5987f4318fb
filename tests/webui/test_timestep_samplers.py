"""DDIM, PLMS and UniPC, which step in timesteps and take noise predictions, against Algorithm 1 as printed, in float64."""

import functools
import types

import pytest
import torch
from standin import Host

from lib_noiserect.core import noise_levels
from lib_noiserect.core.correction import Correction
from lib_noiserect.core.pivot import Pivot
from lib_noiserect.core.settings import Settings

FRAMES = 5
ALPHAS_CUMPROD = torch.cumprod(1 - torch.linspace(0.00085, 0.012, 1000, dtype=torch.float64), 0)
TIMESTEPS = torch.tensor([1, 167, 333, 499, 665, 831])
# Which step each model call belongs to: PLMS calls twice in its first, UniPC once in each of its six.
STEP_OF_CALL = {"ddim": range(5), "plms": [0, 0, 1, 2, 3, 4], "unipc": range(6)}
KWARGS = {"ddim": {"eta": 0.0}, "plms": {}, "unipc": {"is_img2img": True}}


class Model:
    """Predicts noise, every frame dependent on all."""

    def __init__(self):
        self.inner_model = types.SimpleNamespace(inner_model=types.SimpleNamespace(alphas_cumprod=ALPHAS_CUMPROD))
        self.mix = torch.rand(FRAMES, FRAMES, generator=torch.Generator().manual_seed(1), dtype=torch.float64) / FRAMES

    def __call__(self, x, timestep, **extra):
        assert x.shape[0] == FRAMES, "the model must never see the pivot"
        return torch.tanh(torch.einsum("fg,gchw->fchw", self.mix, x)) + 0.3 * x.roll(1, -1) * (timestep / 1000).view(
            -1, 1, 1, 1
        )


@pytest.fixture(params=STEP_OF_CALL)
def sampler(request):
    with Host("a1111"):
        from modules import sd_samplers_timesteps_impl as samplers

        yield request.param, functools.partial(getattr(samplers, request.param))


@pytest.mark.parametrize("tau", [(0.0, 1.0), (0.0, 0.6), (0.4, 0.8)])
def test_equals_algorithm_1(sampler, tau):
    import k_diffusion.sampling

    name, function = sampler
    model, calls = Model(), iter(STEP_OF_CALL[name])
    num_steps = max(STEP_OF_CALL[name]) + 1
    inside = {i for i in range(num_steps) if num_steps * tau[0] - 1e-5 <= i < num_steps * tau[1] - 1e-5}
    generator = torch.Generator().manual_seed(2)
    clean = torch.randn(1, 4, 6, 6, generator=generator, dtype=torch.float64)
    noise = torch.randn(FRAMES, 4, 6, 6, generator=generator, dtype=torch.float64)
    omega = torch.linspace(1, 0, FRAMES, dtype=torch.float64)
    weight = omega.view(-1, 1, 1, 1)

    class Printed(Model):
        def __call__(self, x, timestep, **extra):
            predicted = super().__call__(x, timestep)
            if next(calls) not in inside:
                return predicted
            return predicted + weight * (noise[:1] - predicted[:1]) + (1 - weight) * (noise - predicted)

    level_of = noise_levels.ModelLevels(ALPHAS_CUMPROD.tolist()).level
    x = noise_levels.noised(clean, noise, level_of(float(TIMESTEPS[-1])))
    arguments = {
        "timesteps": TIMESTEPS,
        "extra_args": {},
        "callback": lambda info: None,
        "disable": True,
        **KWARGS[name],
    }
    expected = function(Printed(), x.clone(), **arguments)
    run = Pivot(function, arguments, x0=clean, level_of=level_of, prediction="eps", modules=[k_diffusion.sampling])
    result = run(model, x, Correction(Settings(tau_start=tau[0], tau_end=tau[1]), omega), run.steps(model))
    assert (result - expected).norm() <= 1e-5 * expected.norm()
    assert (run.report.rectified, run.report.steps) == (len(inside), num_steps)

"""Values that are not finite end a run where they appear first, with the step, the cause and the remedy."""

import pytest
import torch
from k_diffusion import sampling

from lib_noiserect.core import noise_levels
from lib_noiserect.core.correction import Correction
from lib_noiserect.core.finite import NotFiniteError, check_finite
from lib_noiserect.core.keyframes import Keyframes
from lib_noiserect.core.motion_search import find_motion
from lib_noiserect.core.pivot import Pivot
from lib_noiserect.core.rectify import cells
from lib_noiserect.core.reference import Reference, slerp
from lib_noiserect.core.settings import Settings

SIGMAS = torch.tensor([8.0, 3.0, 1.0, 0.3, 0.0])


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_one_wrong_number_is_enough(bad):
    check_finite(torch.tensor([65504.0, -1.0], dtype=torch.float16), "the latent")
    with pytest.raises(NotFiniteError, match=r"the latent is not finite \(NaN or infinity\), mostly from half.*: use full"):
        check_finite(torch.tensor([0.0, bad], dtype=torch.float16), "the latent")


def test_a_reference_is_finite(clean):
    clean[0, 1, 2, 3] = float("nan")
    with pytest.raises(NotFiniteError, match="the latent of the image is not finite"):
        Reference(clean, Keyframes((0,), 5))


@pytest.mark.parametrize("sampler, calls", [("sample_euler", 2), ("sample_heun", 3)])
@pytest.mark.parametrize("tau", [(0.0, 1.0), (0.9, 0.9)])
def test_the_step_is_named(toy_model, clean, reference_noise, sampler, calls, tau):
    """Heun calls the model twice a step: its third call belongs to step 2. No later call is made, inside τ or outside."""

    def model(x, sigma):
        return toy_model(x, sigma) * (float("nan") if len(toy_model.calls) >= calls else 1)

    settings = Settings(tau_start=tau[0], tau_end=tau[1])
    kwargs = {"sigmas": SIGMAS, "disable": True, "extra_args": {}, "callback": None}
    pivot = Pivot(
        getattr(sampling, sampler),
        kwargs,
        x0=clean,
        level_of=noise_levels.ve,
        prediction="x0",
        modules=[sampling],
    )
    with pytest.raises(NotFiniteError, match="the model's prediction in step 2 of 4 is not finite"):
        pivot(model, clean + 8 * reference_noise, Correction(settings, torch.ones(5)), pivot.steps(model))
    assert len(toy_model.calls) == calls


def test_a_similarity_of_nan_is_no_low_similarity():
    with pytest.raises(NotFiniteError, match="the similarity of a test video is not finite"):
        find_motion(Settings(enabled=True, target_ssim=0.5), lambda settings: float("nan"))


@pytest.mark.parametrize("degrees", [1, 60, 179])
def test_float32_is_enough_for_every_angle(degrees):
    """On the unit circle, a third of the way is a third of the angle, also where an arc cosine loses half its digits."""
    angle = torch.deg2rad(torch.tensor(float(degrees), dtype=torch.float64))
    start, end = torch.tensor([1.0, 0.0]), torch.stack([angle.cos(), angle.sin()]).float()
    wanted = torch.stack([(angle / 3).cos(), (angle / 3).sin()]).float()
    assert torch.allclose(slerp(start, end, 1 / 3), wanted, atol=2e-6)


@pytest.mark.parametrize("length", [3, 7, 8, 10])
def test_the_grid_of_color_has_uneven_cells_too(length):
    """As `adaptive_avg_pool2d`, which Apple's GPUs have for multiples of the grid alone."""
    values = torch.rand(1, 1, 1, length)
    wanted = torch.nn.functional.adaptive_avg_pool2d(values, (1, 4)).flatten()
    assert torch.allclose(torch.stack([values[..., cell].mean() for cell in cells(length)]), wanted)

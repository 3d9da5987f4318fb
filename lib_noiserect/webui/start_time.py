"""Start noise level M in the host: the sampler's schedule, respaced to begin there with all its steps."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from ..core.noise_levels import ModelLevels
from ..core.stand_in import replaced
from ..methods.start_time import respaced_sigmas, respaced_whole, start_timestep
from .errors import NoiseRectificationError


@contextlib.contextmanager
def late_start(sampler: Any, start_time: float) -> Iterator[None]:
    """Inside the block the schedules that `sampler` makes begin at M; M = 1 changes nothing.

    The host's schedule is respaced: its timesteps, also those of its σ, keep their proportions. So the host's settings for it
    count (Karras, a largest σ, the penultimate σ left out), and Denoising strength takes its last steps as usual.

    Raises:
        NoiseRectificationError: the sampler makes its schedule by other means.
    """
    if start_time == 1.0:
        yield
        return
    for name, respaced in (("get_sigmas", _sigmas), ("get_timesteps", _timesteps)):
        original = getattr(sampler, name, None)
        if original is not None:
            late = functools.wraps(original)(functools.partial(respaced, sampler, start_time, original))
            with replaced(sampler, **{name: late}):
                yield
            return
    raise NoiseRectificationError(
        f"start_time = {start_time:g} does not work with this sampler, which makes its schedule by other means: "
        "choose another sampler, or set start_time to 1"
    )


def _sigmas(sampler: Any, start_time: float, original: Any, p: Any, steps: int, *args: Any, **kwargs: Any) -> Tensor:
    sigmas: Tensor = original(p, steps, *args, **kwargs)
    late = respaced_sigmas(ModelLevels(alphas(sampler.model_wrap_cfg)), sigmas.tolist(), start_time)
    return torch.tensor(late, dtype=sigmas.dtype, device=sigmas.device)


def _timesteps(sampler: Any, start_time: float, original: Any, p: Any, steps: int, *args: Any, **kwargs: Any) -> Tensor:
    from modules import sd_samplers_common

    timesteps: Tensor = original(p, steps, *args, **kwargs)
    # The host takes strength 1 for 0.999, and so leaves out the timesteps after this one.
    _, t_enc = sd_samplers_common.setup_img2img_steps(SimpleNamespace(steps=steps, denoising_strength=1.0))
    count = len(alphas(sampler.model_wrap_cfg))
    first, start = int(timesteps[max(t_enc - 1, 0)]), start_timestep(start_time, count)
    moved = respaced_whole(timesteps.tolist(), first, start, count - 1)
    return torch.tensor(moved, dtype=timesteps.dtype, device=timesteps.device)


def alphas(model: Any) -> list[float]:
    """ᾱ of the timesteps; while a job samples these are AnimateDiff's."""
    alphas_cumprod: list[float] = model.inner_model.inner_model.alphas_cumprod.float().tolist()
    return alphas_cumprod

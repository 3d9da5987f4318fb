"""The hook on the job's own sampler: each call of its sampler function, on a schedule that begins at the start level M."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from modules import sd_samplers_common
from torch import Tensor

from ..core.noise_levels import ModelLevels
from ..core.stand_in import replaced
from ..methods.start_time import respaced_sigmas, respaced_whole, start_timestep
from .errors import NoiseRectificationError


@dataclass(frozen=True)
class SamplerCall:
    """One call of a sampler function by the host, with the latent and the noise of its start."""

    func: Any  # the sampler function, of k-diffusion's calling convention
    model: Any  # the host's denoiser
    kwargs: dict[str, Any]  # the other arguments by name, without `model` and `x`
    x: Tensor | None  # the host's noised start, `[F, C, H, W]`; None if `reference_noise` alone gives the start
    init_latent: Tensor | None  # the latent inside `x`
    reference_noise: Tensor  # the noise that the host drew, `[F, C, H, W]`, in the type of `x`


@contextmanager
def sampler_hook(sampler: Any, start_time: float, sample: Callable[[SamplerCall], Tensor]) -> Iterator[None]:
    """Inside the block `sample` makes the samples of `sampler`, whose schedules begin at `start_time`, M."""
    original = sampler.sample_img2img
    arguments = inspect.signature(original)

    @functools.wraps(original)
    def sample_img2img(*args: Any, **kwargs: Any) -> Any:
        bound, func = arguments.bind(*args, **kwargs).arguments, sampler.func

        @functools.wraps(func)  # the host reads the signature
        def stand_in(*args: Any, **kwargs: Any) -> Tensor:
            by_name = {**dict(zip(inspect.signature(func).parameters, args)), **kwargs}
            model, x = by_name.pop("model"), by_name.pop("x")
            return sample(SamplerCall(func, model, by_name, x, bound["x"].to(x.dtype), bound["noise"].to(x.dtype)))

        with replaced(sampler, func=stand_in):
            return original(*args, **kwargs)

    with replaced(sampler, sample_img2img=sample_img2img), late_start(sampler, start_time):
        yield


@contextmanager
def late_start(sampler: Any, start_time: float) -> Iterator[None]:
    """Inside the block the schedules that `sampler` makes begin at M with all their steps; M = 1 changes nothing.

    The host's schedule is respaced: its timesteps, also those of its σ, keep their proportions. So the host's settings for it
    count (Karras, a largest σ, the penultimate σ left out), and Denoising strength takes its last steps as usual. Raises
    `NoiseRectificationError` if the sampler makes its schedule by other means.
    """
    if start_time == 1.0:
        yield
        return
    name = next((name for name in ("get_sigmas", "get_timesteps") if hasattr(sampler, name)), None)
    if name is None:
        raise NoiseRectificationError(
            f"start_time = {start_time:g} does not work with this sampler, which makes its schedule by other means: "
            "choose another sampler, or set start_time to 1"
        )
    original = getattr(sampler, name)

    @functools.wraps(original)
    def late(p: Any, steps: int, *args: Any, **kwargs: Any) -> Tensor:
        schedule: Tensor = original(p, steps, *args, **kwargs)
        levels = alphas(sampler.model_wrap_cfg)
        moved: Sequence[float]
        if name == "get_sigmas":
            moved = respaced_sigmas(ModelLevels(levels), schedule.tolist(), start_time)
        else:
            # The host takes strength 1 for 0.999, and so leaves out the timesteps after this one.
            _, t_enc = sd_samplers_common.setup_img2img_steps(SimpleNamespace(steps=steps, denoising_strength=1.0))
            first, start = int(schedule[max(t_enc - 1, 0)]), start_timestep(start_time, len(levels))
            moved = respaced_whole(schedule.tolist(), first, start, len(levels) - 1)
        return torch.tensor(moved, dtype=schedule.dtype, device=schedule.device)

    with replaced(sampler, **{name: late}):
        yield


def alphas(model: Any) -> list[float]:
    """ᾱ of the timesteps; while a job samples these are AnimateDiff's."""
    alphas_cumprod: list[float] = model.inner_model.inner_model.alphas_cumprod.float().tolist()
    return alphas_cumprod

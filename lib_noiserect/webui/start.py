"""Start time M in the host: the schedule of one job's sampler, respaced to begin there with all its steps."""

from __future__ import annotations

import functools
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from ..methods.start_time import NoiseScale, respaced_whole, start_timestep
from .errors import NoiseRectificationError


class LateStart:
    """Replaces the method of one sampler object that makes its schedule.

    What the host's own schedule is of (Karras, a setting for the largest σ, the penultimate σ left out) stays, since the
    schedule is respaced and not made anew: its timesteps, those of its σ, keep their proportions. Denoising strength then
    takes the last steps of it, as ever.
    """

    def __init__(self, sampler: Any, start_time: float) -> None:
        self._sampler, self._start_time = sampler, start_time

    def put_on(self) -> None:
        """Raises `NoiseRectificationError` for a sampler whose schedule is made elsewhere."""
        for name, respaced in (("get_sigmas", self._sigmas), ("get_timesteps", self._timesteps)):
            original = getattr(self._sampler, name, None)
            if original is not None:
                setattr(self._sampler, name, functools.wraps(original)(functools.partial(respaced, original)))
                return
        raise NoiseRectificationError(
            f"start_time = {self._start_time:g} and this sampler makes its schedule in a way of its own: "
            "choose another sampler, or set start_time to 1"
        )

    def take_off(self) -> None:
        for name in ("get_sigmas", "get_timesteps"):
            self._sampler.__dict__.pop(name, None)

    def _sigmas(self, original: Any, p: Any, steps: int, *args: Any, **kwargs: Any) -> Tensor:
        sigmas: Tensor = original(p, steps, *args, **kwargs)
        scale = NoiseScale(alphas(self._sampler.model_wrap_cfg))
        return torch.tensor(scale.respaced(sigmas.tolist(), self._start_time), dtype=sigmas.dtype, device=sigmas.device)

    def _timesteps(self, original: Any, p: Any, steps: int, *args: Any, **kwargs: Any) -> Tensor:
        from modules import sd_samplers_common

        timesteps: Tensor = original(p, steps, *args, **kwargs)
        # Even the whole strength leaves out what comes after this one: the host takes it for 0.999.
        whole = SimpleNamespace(steps=steps, denoising_strength=1.0)
        _, t_enc = sd_samplers_common.setup_img2img_steps(whole)
        known = len(alphas(self._sampler.model_wrap_cfg))
        moved = respaced_whole(
            timesteps.tolist(),
            int(timesteps[max(t_enc - 1, 0)]),
            start_timestep(self._start_time, known),
            known - 1,
        )
        return torch.tensor(moved, dtype=timesteps.dtype, device=timesteps.device)


def alphas(model: Any) -> list[float]:
    """ᾱ as the samplers read them too: AnimateDiff has put its own there by now."""
    alphas_cumprod: list[float] = model.inner_model.inner_model.alphas_cumprod.float().tolist()
    return alphas_cumprod

"""The motion search of a job with a target similarity: short runs of its own sampler, smaller ones where that is possible."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from modules import shared
from PIL import Image
from torch import Tensor
from torch.nn import functional

from ..core.motion_search import MAX_PROBES, PROBE_SIDE, PROBE_STEPS, Found, Probe, find_motion, probe_size
from ..core.settings import Settings
from ..core.stand_in import Delegate, replaced
from ..media.comparison_sheet import spaced_frames
from ..media.metrics import nearest_ssim
from .host import control_hints, noise_modules
from .job import Job
from .reference import Reference, decoded, encode, x0_of
from .sampler_hook import SamplerCall

# Frames of a short run that are decoded and compared, spread over the video.
_COMPARED = 5


class _SizeError(Exception):
    """A short run of a smaller size failed, and one of the job's size may succeed."""


@dataclass(frozen=True)
class MotionSearch:
    """Finds the settings whose video has the target similarity."""

    job: Job
    reference: Reference  # of the job, with which the runs are compared
    sampler: Any  # the host's
    call: SamplerCall  # of the job's sampler function; the short runs change its steps and its size
    run: Callable[[SamplerCall, Reference], Callable[[Settings], Tensor]]  # makes the function that returns the latents

    def __call__(self) -> Found:
        short, num_steps = _shortened(self.call)
        size = size_of_short_runs(self.job.p, self.call.kwargs.get("extra_args") or {})
        if size is not None:
            try:
                return replace(self._find(self._small_run(short, *size), num_steps), probe_size=size)
            except _SizeError as error:
                self.job.log.warn(
                    f"short runs of {size[1]}x{size[0]} failed ({error}), so they were repeated in the job's size: "
                    "another extension may hold tensors of that size"
                )
        return self._find(functools.partial(self._similarity, short, self.reference), num_steps)

    def _find(self, of_short_run: Callable[[Settings], float], num_steps: int) -> Found:
        """Search with short runs of `num_steps` steps; the check at the end has the job's own steps and size."""
        model, state = self.call.model, shared.state

        def on_probe(count: int, most: int, probe: Probe) -> None:
            state.sampling_step = count * num_steps
            state.textinfo = (
                f"Noise Rectification: motion {probe.motion:.2f} has SSIM {probe.ssim:.3f} ({count} of at most {most})"
            )

        exact = functools.partial(self._similarity, self.call, self.reference)
        shown = {"sampling_steps": MAX_PROBES * num_steps, "textinfo": "Noise Rectification: finding the motion"}
        with replaced(model, step=0), replaced(state, sampling_step=0, **shown):
            return find_motion(self.job.settings, of_short_run, exact=exact, on_probe=on_probe)

    def _similarity(self, call: SamplerCall, reference: Reference, settings: Settings) -> float:
        """The mean SSIM of some frames, each with the image of its nearest keyframe."""
        call.model.step = 0  # the host's denoiser counts the steps of one run
        hidden = {"callback": lambda info: None, "disable": True}  # UniPC needs a callback
        with ExitStack() as stack:
            for module in noise_modules(call.func):  # the search leaves the job's own draws as they were
                stack.enter_context(replaced(module, torch=_SeparateNoise(module.torch)))
            latents = self.run(replace(call, kwargs={**call.kwargs, **hidden}), reference)(settings)
        frames = spaced_frames(self.job.animatediff.video_length or len(latents), _COMPARED)
        if len(frames) == 1:  # SSIM compares videos of at least two frames
            frames = [0, 0]
        video = np.stack([np.asarray(image) for image in decoded(self.job.p, latents[frames])])
        keyframes = reference.keyframes
        images, nearest = [np.asarray(reference.images[frame]) for frame in keyframes.frames], keyframes.nearest()
        return nearest_ssim(video, images, [nearest[frame] for frame in frames])

    def _small_run(self, call: SamplerCall, height: int, width: int) -> Callable[[Settings], float]:
        """The similarity of short runs of `height` × `width` pixels, whose reference is made of the resized images."""
        p, keyframes, mask, size = self.job.p, self.reference.keyframes, self.reference.mask, (width, height)
        images = {frame: image.resize(size, Image.Resampling.LANCZOS) for frame, image in self.reference.images.items()}
        latents = torch.cat([encode(p, images[frame]) for frame in keyframes.frames]).to(self.reference.x0)
        small_mask = None if mask is None else functional.adaptive_avg_pool2d(mask, latents.shape[-2:])
        reference = Reference(x0_of(keyframes, latents, self.job.settings), keyframes, small_mask, images)
        noise = _noise_like(p, call.reference_noise, reference.x0)
        kwargs = call.kwargs
        if kwargs.get("noise_sampler") is not None:  # Brownian noise has a size
            noise_sampler = self.sampler.create_noise_sampler(noise, kwargs["sigmas"], p)
            kwargs = {**kwargs, "noise_sampler": noise_sampler}
        small = replace(call, kwargs=kwargs, x=None, init_latent=None, reference_noise=noise)

        def similarity(settings: Settings) -> float:
            with _resized_denoiser(call.model, self.sampler, reference.x0.to(noise)):
                try:
                    return self._similarity(small, reference, settings)
                except RuntimeError as error:  # torch's, where shapes do not fit
                    raise _SizeError(str(error).splitlines()[0][:200]) from error

        return similarity


def size_of_short_runs(p: Any, extra_args: dict[str, Any]) -> tuple[int, int] | None:
    """Height and width in pixels; None if the job is small already, or holds tensors made for its size.

    SDXL's size embedding stays the job's, so that the model draws as it does in large images.
    """
    size = probe_size(p.height, p.width, 2 * PROBE_SIDE if getattr(p.sd_model, "is_sdxl", False) else PROBE_SIDE)
    seen = extra_args.get("image_cond")  # of models for inpainting, depth and editing; one pixel for the others
    is_of_size = isinstance(seen, Tensor) and seen.ndim == 4 and max(seen.shape[-2:]) > 1
    is_filled = getattr(p, "nmask", None) is not None and p.inpainting_fill != 1
    has_hint = any(isinstance(hint, Tensor) and hint.ndim >= 4 for hint in control_hints(p))
    return None if size == (p.height, p.width) or is_of_size or is_filled or has_hint else size


def _shortened(call: SamplerCall) -> tuple[SamplerCall, int]:
    """The call with at most `PROBE_STEPS` of its steps, and their number."""
    for name in ("sigmas", "sigma_sched", "timesteps"):
        levels = call.kwargs.get(name)
        if isinstance(levels, Tensor):
            count = min(len(levels), PROBE_STEPS + 1)
            kept = torch.linspace(0, len(levels) - 1, count, device=levels.device).round().long()
            return replace(call, kwargs={**call.kwargs, name: levels[kept]}), max(count - 1, 1)
    return call, PROBE_STEPS


class _SeparateNoise(Delegate):
    """The torch of a sampler's module, which draws fresh noise from another generator."""

    def __init__(self, target: Any) -> None:
        super().__init__(target)
        self._generator = torch.Generator().manual_seed(0)

    def randn_like(self, x: Tensor, **kwargs: Any) -> Tensor:
        return torch.randn(x.shape, generator=self._generator, dtype=torch.float32).to(x)


def _noise_like(p: Any, noise: Tensor, x0: Tensor) -> Tensor:
    """Noise of the size of `x0`, the same in every search, and the same in all frames where the job's `noise` is."""
    is_shared = len(noise) > 1 and torch.equal(noise, noise[:1].expand_as(noise))
    shape = (1 if is_shared else len(noise), *x0.shape[1:])
    small = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(noise).expand(len(noise), -1, -1, -1)
    return small * float(getattr(p, "initial_noise_multiplier", None) or 1.0)


@contextmanager
def _resized_denoiser(model: Any, sampler: Any, latents: Tensor) -> Iterator[None]:
    """Inside the block the host's denoiser blends an inpainting mask in the size of `latents`, `[F, C, h, w]`."""
    small = {}
    for name in ("mask", "nmask"):
        mask = getattr(model, name, None)  # `[C, H, W]` or `[F, C, H, W]`
        if isinstance(mask, Tensor):
            small[name] = functional.adaptive_avg_pool2d(mask.float(), latents.shape[-2:]).to(mask.dtype)
    # An interrupt decodes `last_latent`.
    with replaced(sampler, last_latent=latents), replaced(model, init_latent=latents, **small):
        yield

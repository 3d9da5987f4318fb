"""Short runs in a smaller size: what such a run is held to, its noise, and what the host's denoiser holds while it lasts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from ..core.motion_search import PROBE_SIDE, probe_size
from ..core.settings import Settings
from .host import control_hints
from .reference import Clean, between, encoded


def size_of_short_runs(p: Any, extra_args: Mapping[str, Any]) -> tuple[int, int] | None:
    """Height and width in pixels; None where the job is small enough, or holds something that is made for its own size.

    SDXL's embedding of the size stays the job's, which asks for pictures that look like large ones.
    """
    size = probe_size(p.height, p.width, 2 * PROBE_SIDE if getattr(p.sd_model, "is_sdxl", False) else PROBE_SIDE)
    seen = extra_args.get("image_cond")  # of models for inpainting, depth and editing; one pixel for the others
    is_of_size = isinstance(seen, Tensor) and seen.ndim == 4 and max(seen.shape[-2:]) > 1
    is_filled = getattr(p, "nmask", None) is not None and p.inpainting_fill != 1
    has_hint = any(isinstance(hint, Tensor) and hint.ndim >= 4 for hint in control_hints(p))
    return None if size == (p.height, p.width) or is_of_size or is_filled or has_hint else size


def smaller(p: Any, clean: Clean, settings: Settings, height: int, width: int) -> Clean:
    """What the frames are held to in a run of `height` × `width` pixels: the pictures are resized and encoded anew."""
    pictures = {
        frame: picture.resize((width, height), Image.Resampling.LANCZOS) for frame, picture in clean.pictures.items()
    }
    latents = torch.cat([encoded(p, pictures[frame]) for frame in clean.keys.frames]).to(clean.latents)
    mask = None if clean.mask is None else functional.interpolate(clean.mask, latents.shape[-2:], mode="area")
    return Clean(between(clean.keys, latents, settings), clean.keys, pictures, mask)


def noise_like(p: Any, drawn: Tensor, latents: Tensor) -> Tensor:
    """Noise for as many frames as `drawn` has, in the size of `latents`; the same in all frames where the job's is.

    It is drawn from elsewhere than the job's, and the same in each run.
    """
    num_frames, channels = drawn.shape[:2]
    is_shared = num_frames > 1 and torch.equal(drawn, drawn[:1].expand_as(drawn))
    shape = (1 if is_shared else num_frames, channels, *latents.shape[-2:])
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(drawn).expand(num_frames, -1, -1, -1)
    return noise * float(getattr(p, "initial_noise_multiplier", None) or 1.0)


@contextmanager
def held(model: Any, sampler: Any, latents: Tensor) -> Iterator[None]:
    """Inside, the host's denoiser blends what an inpainting mask protects in the size of `latents`, `[F, C, h, w]`."""
    names = ("init_latent", "mask", "nmask")
    kept, last = {name: getattr(model, name, None) for name in names}, sampler.last_latent
    model.init_latent = sampler.last_latent = latents
    for name in names[1:]:
        if isinstance(kept[name], Tensor):
            setattr(model, name, _resized(kept[name], latents))
    try:
        yield
    finally:
        sampler.last_latent = last  # what the host decodes after an interrupt
        for name, value in kept.items():
            setattr(model, name, value)


def _resized(mask: Tensor, latents: Tensor) -> Tensor:
    """A mask `[C, H, W]` or `[F, C, H, W]`."""
    frames = mask if mask.ndim == 4 else mask[None]
    small = functional.interpolate(frames.float(), latents.shape[-2:], mode="area").to(mask.dtype)
    return small if mask.ndim == 4 else small[0]

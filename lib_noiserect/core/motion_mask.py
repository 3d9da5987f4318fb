"""Motion masks: where things may move, as a factor of ω for each latent pixel."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from .keyframes import Keyframes
from .settings import SettingsError


def motion_mask(
    masks: Mapping[int, Tensor], num_frames: int, height: int, width: int, *, feather: float, loop: bool = False
) -> Tensor:
    """The factor of ω, `[F, 1, H, W]` in [0, 1] and float32.

    It is exactly 0 where a mask is 0: the soft edge lies inside the moving area. Raises `SettingsError` if a mask lets
    nothing move, or is for a frame that is not in the video.

    Args:
        masks: by the numbers of their frames, `[h, w]` in [0, 1] of any size, 1 where things may move. Between two of
            them each pixel changes linearly; one alone serves all frames.
        num_frames, height, width: F, H and W of the latents.
        feather: the standard deviation of the edge, in latent pixels; 0 is a hard one.
        loop: whether frame F is frame 0 again.
    """
    keys = Keyframes(tuple(masks), num_frames, loop)
    small = torch.stack([_small(masks[frame], frame, height, width, feather) for frame in keys.frames])
    hats = torch.tensor(keys.hat_weights, dtype=torch.float32)
    # Frame by frame: all at once would take F times the memory of the masks.
    return torch.stack([(row[:, None, None] * small).sum(0, keepdim=True) for row in hats]).clamp(0.0, 1.0)


def _small(mask: Tensor, frame: int, height: int, width: int, feather: float) -> Tensor:
    whole = mask.detach().to("cpu", torch.float32)[None, None]
    small = functional.interpolate(whole, size=(height, width), mode="area")
    if not bool((small > 0).any()):
        raise SettingsError(f"the motion mask of frame {frame} is empty, so nothing could move: paint where things may move")
    if feather > 0:
        # A latent pixel with both is outside.
        small = small * (functional.interpolate(1 - whole, size=(height, width), mode="area") < 1e-3)
        small = torch.minimum(small, (2 * _blurred(small, feather) - 1).clamp(min=0.0))
        if float(small.max()) < 0.5:
            raise SettingsError(
                f"mask_feather = {feather:g} is too wide for the motion mask of frame {frame}: "
                "use a smaller one, or a larger mask"
            )
    return small[0, 0]


def _blurred(image: Tensor, deviation: float) -> Tensor:
    """`[1, 1, H, W]` blurred with a Gaussian; the border is repeated."""
    reach = math.ceil(3 * deviation)
    kernel = torch.exp(-(torch.arange(-reach, reach + 1, dtype=torch.float32) ** 2) / (2 * deviation**2))
    kernel = kernel / kernel.sum()
    padded = functional.pad(image, (reach,) * 4, mode="replicate")
    return functional.conv2d(functional.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))

"""TimeNoise (Zhao et al., arXiv 2406.15735): noise on the condition image in training, most of it at large timesteps.

An image-to-video model sees a clean image beside the noised video. At large t the video says almost nothing and the
image almost everything: the model learns to copy the image, and its videos hardly move (conditional image leakage).
TimeNoise hides the image there.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

A = 5.0  # the paper's exponent: the noise stays low until late and rises steeply then
MU_M = 1.0  # the paper's bound of μ(t), also the authors' for DynamiCrafter and SVD
MU_M_VIDEOCRAFTER = 4.0  # the authors' for VideoCrafter1, where the noise goes onto the CLIP embedding of the image
BETA_M = 100.0  # the authors' β_m for DynamiCrafter and VideoCrafter1, whose latents have about unit variance
BETA_M_SVD = 15.0  # the authors' for SVD, whose unscaled condition latents have a deviation 1/0.18215 times the others'


def picture_noise_level(
    time: Tensor, *, a: float = A, mu_m: float = MU_M, beta_m: float = BETA_M, generator: Generator | None = None
) -> Tensor:
    """The noise level β_s = β_m·sigmoid(y) of each image, with y ~ N(μ(t), 1) and μ(t) = 2·μ_m·t^a - μ_m.

    This is the logit-normal distribution of the paper (section 4.2) and of the authors' code. The result is in (0, β_m), with
    the shape and type of `time`. Raises `ValueError` for a value out of its range.

    Args:
        time: t, the timestep as a fraction of T, in [0, 1], of any shape and a floating type. For SVD the authors take σ/700.
        a: above 0; smaller values give more noise at all t between 0 and 1.
        mu_m: the bound of μ(t); 0 or more.
        beta_m: the upper bound of all levels, in units of the image; 0 or more.
        generator: on the device of `time`.
    """
    if not (math.isfinite(a) and a > 0):
        raise ValueError(f"a = {a} is out of range: use a number above 0")
    for name, bound in (("mu_m", mu_m), ("beta_m", beta_m)):
        if not (math.isfinite(bound) and bound >= 0):
            raise ValueError(f"{name} = {bound} is out of range: use 0 or more")
    if not time.is_floating_point():
        raise ValueError(f"time has the type {time.dtype}: use timesteps as fractions of T")
    if not bool(((time >= 0) & (time <= 1)).all()):
        raise ValueError(f"time = {time.flatten()[:8].tolist()} is not in [0, 1]: use timesteps as fractions of T")
    center = mu_m * (2 * time**a - 1)
    y = center + torch.randn(time.shape, generator=generator, device=time.device, dtype=time.dtype)
    return beta_m * torch.sigmoid(y)


def with_time_noise(picture: Tensor, time: Tensor, *, generator: Generator | None = None, **law: float) -> Tensor:
    """The noised condition images z + β_s·ε, ε ~ N(0, I), variance exploding.

    All frames see the same ε of an image. (The authors' code draws one per frame for DynamiCrafter, whose mean over 16
    frames the model could take, and one number per image for SVD.)

    Args:
        picture: latents of the condition images, or their CLIP embeddings for VideoCrafter1, `[B, …]`.
        time: `[B]`; like `generator` and `law` (`a`, `mu_m`, `beta_m`) as `picture_noise_level` takes it.
    """
    if time.shape != picture.shape[:1]:
        raise ValueError(f"time has the shape {tuple(time.shape)}: use one number for each of {len(picture)} images")
    level = picture_noise_level(time, generator=generator, **law)
    noise = torch.randn(picture.shape, generator=generator, device=picture.device, dtype=picture.dtype)
    return picture + level.view(-1, *[1] * (picture.ndim - 1)).to(picture.dtype) * noise

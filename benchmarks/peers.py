"""Other ways to start a text-to-video model from an image, as their authors have them, on the noise of the pipeline.

All formulas are for a sampler whose initial noise has deviation 1, such as DDIM.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lib_noiserect.core.errors import UserError
from lib_noiserect.core.noise_levels import noised
from lib_noiserect.core.reference import slerp
from lib_noiserect.core.settings import Settings
from lib_noiserect.media.metrics import Pixels
from lib_noiserect.pipelines.latents import encode, preprocess, video_pixels
from lib_noiserect.pipelines.rectification import rectified
from lib_noiserect.pipelines.reference import EncodedVideo
from lib_noiserect.pipelines.schedulers import read

FRAMES, GUIDANCE = 16, 7.5
_ONLY_NOISED = Settings(enabled=True, tau_start=0.0, tau_end=0.0)
# FrameInit's filter in the published configuration of ConsistI2V: a Gaussian in space and time.
_CUTOFF = 0.25
# AnimateDiff draws the noise of its latents apart from the sampler's.
_BLEND_SEED = 7_000_000


@dataclass(frozen=True)
class Start:
    """How a video starts from an image.

    Attributes:
        kind: "picture": the noised image, corrected as `settings` ask. "blend": AnimateDiff's image-to-video, whose clean
            latents have the share i^power / scale of noise in frame i. "slerp": frame i starts as noise that is turned by
            i/F·(1 - strength) towards the image's latents, as the image-to-video port of diffusers has it. "low": FrameInit,
            noise with the low frequencies of the image that is noised to the timestep strength·T - 1.
        settings: of "picture" alone; without them the noised image is denoised freely.
    """

    kind: str
    settings: Settings | None = None
    power: float = 1.0
    scale: float = 32.0


def animated(
    pipe: Any, image: Pixels, prompt: str, start: Start, *, steps: int, strength: float = 1.0, seed: int = 0
) -> Pixels:
    """The video `[F, H, W, 3]` uint8 of an image, `[H, W, 3]` uint8. All starts get the same noise from the same seed.

    Args:
        strength: for "picture" and "blend" the denoising strength, which leaves out the first steps; see `Start`.

    Raises:
        UserError: the sampler scales its noise, which "slerp" and "low" do not fit.
    """
    height, width = image.shape[:2]
    call = {"num_frames": FRAMES, "height": height, "width": width, "num_inference_steps": steps, "output_type": "np"}
    call |= {"prompt": prompt, "guidance_scale": GUIDANCE, "generator": torch.Generator().manual_seed(seed)}
    if start.kind == "picture":
        with rectified(pipe, image, start.settings or _ONLY_NOISED, strength=strength):
            return video_pixels(pipe(**call).frames)
    with torch.no_grad():
        x0 = encode(pipe.vae, preprocess(image, height, width).to(pipe.device), FRAMES).float().cpu()
    if start.kind == "blend":
        noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(_BLEND_SEED + seed))
        blended = EncodedVideo(blend(x0, noise, start.power, start.scale))
        with rectified(pipe, blended, _ONLY_NOISED, strength=strength):
            return video_pixels(pipe(**call).frames)
    if abs(float(pipe.scheduler.init_noise_sigma) - 1.0) > 1e-6:
        raise UserError(f"{type(pipe.scheduler).__name__} scales its noise: use ddim for the start {start.kind!r}")
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(seed))
    if start.kind == "slerp":
        latents = turned_noise(x0, noise, strength)
    else:
        timestep = max(round(strength * pipe.scheduler.config.num_train_timesteps) - 1, 0)
        level, _ = read(pipe.scheduler, timestep)
        latents = low_frequencies(noised(x0, noise, level), noise)
    return video_pixels(pipe(**call, latents=latents).frames)


def blend(x0: Tensor, noise: Tensor, power: float, scale: float) -> Tensor:
    """AnimateDiff's latents: α_i·z + (1 - α_i)·ε with α_i = max(1 - i^power / scale, 0); `[B, C, F, h, w]`."""
    shares = 1 - torch.arange(x0.shape[2], dtype=x0.dtype) ** power / scale
    alpha = shares.clamp(min=0).view(-1, 1, 1)
    return alpha * x0 + (1 - alpha) * noise


def turned_noise(x0: Tensor, noise: Tensor, strength: float) -> Tensor:
    """Noise whose frame i is turned towards the image's latents by i/F·(1 - strength) of their angle; `[B, C, F, h, w]`."""
    frames = x0.shape[2]
    turned = [slerp(noise[:, :, i], x0[:, :, i], i / frames * (1 - strength)) for i in range(frames)]
    return torch.stack(turned, dim=2)


def low_frequencies(low: Tensor, high: Tensor, cutoff: float = _CUTOFF) -> Tensor:
    """The low frequencies of one tensor in space and time with the high ones of another, `[B, C, F, h, w]` (FreeInit)."""
    axes = (-3, -2, -1)
    distance = torch.zeros(low.shape[-3:])
    for axis in axes:
        frequency = 2 * torch.fft.fftfreq(low.shape[axis])  # 1 is the highest
        distance = distance + frequency.square().view(-1, *[1] * (-axis - 1))
    kept = torch.exp(-distance / (2 * cutoff**2))
    mixed = torch.fft.fftn(low, dim=axes) * kept + torch.fft.fftn(high, dim=axes) * (1 - kept)
    result: Tensor = torch.fft.ifftn(mixed, dim=axes).real
    return result

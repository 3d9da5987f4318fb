"""What each frame of a job is held to: the clean latents of its pictures, and where things may move."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from modules import images, sd_samplers_common, shared
from PIL import Image
from torch import Tensor

from ..core.keyframes import Keyframes
from ..core.motion_mask import motion_mask
from ..core.reference import interpolate
from ..core.settings import Settings, SettingsError
from .errors import NoiseRectificationError
from .image_inputs import Pictures, decoded

if TYPE_CHECKING:
    from .animatediff import AnimateDiff
    from .session import Job


@dataclass(frozen=True)
class Clean:
    """Attributes:
    latents: z, `[F, C, H, W]`, or `[1, C, H, W]` where the job's picture is the only one.
    keys: which frames are pictures.
    pictures: those, RGB and in the job's size, by their frames' numbers.
    mask: the factor of ω, `[F, 1, H, W]`; None where everything may move.
    """

    latents: Tensor
    keys: Keyframes
    pictures: Mapping[int, Image.Image]
    mask: Tensor | None


def clean_of(p: Any, pictures: Pictures, animatediff: AnimateDiff, job: Job) -> Clean:
    """Called when the host has encoded the job's picture, and AnimateDiff has not yet mixed noise into it.

    Raises:
        SettingsError, NoiseRectificationError: a frame's number or a mask is wrong, or the job cannot have them.
    """
    # The host encodes each frame for itself, with noise of its own. One frame is the picture.
    first, num_frames = p.init_latent[:1].clone(), p.init_latent.shape[0]
    length = int(animatediff.option("video_length") or num_frames)
    several = pictures.key_frames or pictures.motion_masks or animatediff.option("last_frame") is not None
    if (
        p.inpaint_full_res
        and p.image_mask is not None
        and (several or pictures.inpaint_mask or job.settings.target_ssim)
    ):
        raise NoiseRectificationError(
            "key frames, motion masks and a wanted SSIM are for the whole picture, and only the masked area is inpainted: "
            "choose Inpaint area: Whole picture"
        )
    given = _key_frames(pictures, animatediff, length)
    check_loop(job.settings, animatediff, length, num_frames)
    keys = Keyframes((0, *given), num_frames, job.settings.loop)
    fitted = {0: fit(p, p.init_images[0])}
    for frame, picture in sorted(given.items()):
        _say_if_cropped(p, f"the key frame {frame}", picture, job)
        fitted[frame] = fit(p, picture)
    latents = torch.cat([first, *(encoded(p, fitted[frame]).to(first) for frame in keys.frames[1:])])
    clean = between(keys, latents, job.settings)
    return Clean(clean, keys, fitted, _mask(p, pictures, job, length, num_frames))


def between(keys: Keyframes, latents: Tensor, settings: Settings) -> Tensor:
    """z of every frame, `[F, C, H, W]`, from those of the key frames, `[K, C, H, W]`; these where there is only one."""
    if len(keys.frames) == 1:
        return latents
    return interpolate(keys, latents[:, None].expand(-1, keys.num_frames, -1, -1, -1), settings.interpolation)


def _key_frames(pictures: Pictures, animatediff: AnimateDiff, length: int) -> dict[int, Image.Image]:
    """The key frames beside the job's picture; AnimateDiff's optional last frame is the last one."""
    given = dict(pictures.key_frames)
    last = animatediff.option("last_frame")
    if 0 in given:
        raise SettingsError(
            "key_frames has a picture for frame 0, which is the picture of the job: leave one of them out"
        )
    for frame in given:
        if frame >= length:
            raise SettingsError(f"key frame {frame} is not in the clip of {length} frames: use 1 to {length - 1}")
    if last is not None:
        if length - 1 in given:
            raise SettingsError(
                f"key frame {length - 1} is given twice, as AnimateDiff's last frame too: clear one of them"
            )
        if isinstance(last, np.ndarray):
            last = Image.fromarray(last)
        given[length - 1] = last if isinstance(last, Image.Image) else decoded("AnimateDiff's last_frame", last)
    return given


def check_loop(settings: Settings, animatediff: AnimateDiff, length: int, num_frames: int) -> None:
    """Raises `SettingsError` for a loop that the clip of `length` frames, of which so many are made, cannot be."""
    if not settings.loop:
        return
    if length < num_frames:
        raise SettingsError(
            f"loop is on and AnimateDiff makes {num_frames} frames, of which the clip is the first {length}: "
            f"use a context batch size of at most {length}"
        )
    if getattr(animatediff.option("prompt_scheduler"), "prompt_map", None) is not None:
        raise SettingsError("loop is on and the prompt travels over the frames, which a loop turns: use one prompt")


def fit(p: Any, picture: Image.Image) -> Image.Image:
    """A picture as the host makes its own fit the job, RGB."""
    flat = images.flatten(picture, shared.opts.img2img_background_color)
    if flat.size != (p.width, p.height):
        # Mode 3 resizes the latent, which stretches.
        flat = images.resize_image(p.resize_mode if p.resize_mode != 3 else 0, flat, p.width, p.height)
    return flat.convert("RGB")


def _say_if_cropped(p: Any, name: str, picture: Image.Image, job: Job) -> None:
    if abs(picture.width * p.height - picture.height * p.width) > max(*picture.size, p.width, p.height):
        modes = ("stretched", "cropped", "filled up at the sides", "stretched")
        done = modes[p.resize_mode] if p.resize_mode < len(modes) else "resized"
        job.warn(f"{name} is {picture.width}x{picture.height} and the clip {p.width}x{p.height}: it was {done}")


def encoded(p: Any, picture: Image.Image) -> Tensor:
    """The clean latent of a picture, `[1, C, h, w]`."""
    pixels = torch.from_numpy(np.moveaxis(np.array(picture).astype(np.float32) / 255.0, 2, 0)[None])
    method = sd_samplers_common.approximation_indexes.get(shared.opts.sd_vae_encode_method)
    with torch.random.fork_rng():  # the host draws from the global generator there, which the job goes on drawing from
        latent: Tensor = sd_samplers_common.images_tensor_to_samples(pixels.to(shared.device), method, p.sd_model)
    return latent


def _mask(p: Any, pictures: Pictures, job: Job, length: int, num_frames: int) -> Tensor | None:
    settings = job.settings
    height, width = p.init_latent.shape[-2:]
    if pictures.inpaint_mask:
        masks = {0: _inpaint_mask(p)}
    elif pictures.motion_masks:
        for frame in pictures.motion_masks:
            if frame >= length:
                raise SettingsError(f"motion mask {frame} is not in the clip of {length} frames: use 0 to {length - 1}")
        masks = {frame: _as_numbers(p, frame, mask) for frame, mask in pictures.motion_masks.items()}
    else:
        return None
    mask = motion_mask(masks, num_frames, height, width, feather=settings.mask_feather, loop=settings.loop)
    return mask.to(p.init_latent.device)


def _inpaint_mask(p: Any) -> Tensor:
    """The job's own mask, 1 where it is painted; the host is then not to inpaint it."""
    if getattr(p, "nmask", None) is None:
        raise NoiseRectificationError(
            "inpaint_mask is on and the job has no mask: paint one in the Inpaint tab, or switch it off"
        )
    if p.inpainting_fill != 1:
        raise NoiseRectificationError(
            "inpaint_mask is on and the picture is emptied under the mask: choose Masked content: original"
        )
    mask: Tensor = p.nmask[0].float()
    p.mask = p.nmask = p.mask_for_overlay = p.overlay_images = None
    return mask


def _as_numbers(p: Any, frame: int, mask: Image.Image) -> Tensor:
    picture = p.init_images[0]
    if abs(mask.width * picture.height - mask.height * picture.width) > max(*mask.size, *picture.size):
        raise SettingsError(
            f"the motion mask of frame {frame} is {mask.width}x{mask.height} and the picture "
            f"{picture.width}x{picture.height}: use a mask of the picture's shape"
        )
    # What is transparent is not painted.
    flat = Image.alpha_composite(Image.new("RGBA", mask.size, "black"), mask.convert("RGBA"))
    grey = np.array(fit(p, flat).convert("L"), dtype=np.float32) / 255.0
    return torch.from_numpy(grey)

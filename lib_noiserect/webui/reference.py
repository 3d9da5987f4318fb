"""The reference of a job: the clean latents that its frames are corrected towards, and where things may move."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from modules import devices, images, processing, sd_samplers_common, shared
from PIL import Image
from torch import Tensor

from ..core import reference
from ..core.keyframes import Keyframes
from ..core.motion_mask import motion_mask
from ..core.settings import Settings, SettingsError
from ..media.images import same_shape
from .errors import NoiseRectificationError
from .image_inputs import StoredImage
from .job import Job


@dataclass(frozen=True)
class Reference(reference.Reference):
    """The core's reference with x0 of every frame, `[F, C, H, W]`, and the images of the keyframes."""

    images: Mapping[int, Image.Image] = field(default_factory=dict)  # RGB and in the job's size, by frame


def reference_of(job: Job) -> Reference:
    """Make the reference when the host has encoded the job's image, before AnimateDiff mixes noise into the latent.

    Raises `UserError` if a keyframe or a mask does not fit the video or the job.
    """
    p, settings = job.p, job.settings
    num_frames = p.init_latent.shape[0]
    length = job.animatediff.video_length or num_frames
    later_images = _keyframe_images(job, length)
    for frame in job.images.motion_masks:
        if frame >= length:
            raise SettingsError(f"motion mask {frame} is outside the video of {length} frames: use 0 to {length - 1}")
    only_masked = p.inpaint_full_res and p.image_mask is not None
    if only_masked and (later_images or job.images.motion_masks or job.images.inpaint_mask or settings.target_ssim):
        raise NoiseRectificationError(
            "keyframes, motion masks and a target similarity need the whole image, and Inpaint area is Only masked: "
            "choose Whole picture"
        )
    check_loop(job, length, num_frames)
    keyframes = Keyframes((0, *later_images), num_frames, settings.loop)
    fitted = {0: fit(p, p.init_images[0])}
    for frame, image in sorted(later_images.items()):
        width, height = image.size
        if not same_shape((width, height), (p.width, p.height)):
            modes = ("stretched", "cropped", "padded at the sides", "stretched")
            done = modes[p.resize_mode] if p.resize_mode < len(modes) else "resized"
            job.log.warn(f"keyframe {frame} is {width}x{height} and the video {p.width}x{p.height}: it was {done}")
        fitted[frame] = fit(p, image.read(p.width, p.height))
    # The host encodes each frame by itself, with its own random draw: frame 0's latent stands for all of them.
    first = p.init_latent[:1].clone()
    latents = torch.cat([first, *(encode(p, fitted[frame]).to(first) for frame in keyframes.frames[1:])])
    return Reference(x0_of(keyframes, latents, settings), keyframes, _mask(job, num_frames), fitted)


def x0_of(keyframes: Keyframes, latents: Tensor, settings: Settings) -> Tensor:
    """z of every frame, `[F, C, H, W]`, from the latents of the keyframes, `[K, C, H, W]`."""
    stills = latents[:, None].expand(-1, keyframes.num_frames, -1, -1, -1)
    return reference.interpolate(keyframes, stills, settings.interpolation)


def _keyframe_images(job: Job, length: int) -> dict[int, StoredImage]:
    """The images of the keyframes after frame 0; AnimateDiff's optional last frame is one of them."""
    by_frame = dict(job.images.key_frames)
    if 0 in by_frame:
        raise SettingsError("key_frames has an image for frame 0, which is the job's own image: remove one of them")
    for frame in by_frame:
        if frame >= length:
            raise SettingsError(f"keyframe {frame} is outside the video of {length} frames: use 1 to {length - 1}")
    last = job.animatediff.option("last_frame")
    if last is not None:
        if length - 1 in by_frame:
            raise SettingsError(f"keyframe {length - 1} is also AnimateDiff's optional last frame: remove one of them")
        if isinstance(last, np.ndarray):
            last = Image.fromarray(last)
        by_frame[length - 1] = StoredImage.of("AnimateDiff's last_frame", last)
    return by_frame


def check_loop(job: Job, length: int, num_frames: int) -> None:
    """Raises `SettingsError` for a loop that a video of `length` frames, the first of `num_frames`, cannot have."""
    if not job.settings.loop:
        return
    if length < num_frames:
        raise SettingsError(
            f"loop is on and AnimateDiff generates {num_frames} frames for a video of {length}: "
            f"set Context batch size to {length} or lower"
        )
    if getattr(job.animatediff.option("prompt_scheduler"), "prompt_map", None) is not None:
        raise SettingsError("loop is on and the prompt changes between frames: use one prompt")


def fit(p: Any, image: Image.Image, size: tuple[int, int] | None = None) -> Image.Image:
    """An image, RGB, fitted to `size` (the job's size if None) as the host fits the job's own image."""
    flat = images.flatten(image, shared.opts.img2img_background_color)
    size = size or (p.width, p.height)
    if flat.size != size:
        # Mode 3 resizes the latent, which stretches.
        flat = images.resize_image(p.resize_mode if p.resize_mode != 3 else 0, flat, *size)
    return flat.convert("RGB")


def encode(p: Any, image: Image.Image) -> Tensor:
    """The clean latent of an image, `[1, C, h, w]`."""
    pixels = torch.from_numpy(np.moveaxis(np.array(image).astype(np.float32) / 255.0, 2, 0)[None])
    method = sd_samplers_common.approximation_indexes.get(shared.opts.sd_vae_encode_method)
    with torch.random.fork_rng():  # the host draws from the global generator here, and the job draws from it afterwards
        latent: Tensor = sd_samplers_common.images_tensor_to_samples(pixels.to(shared.device), method, p.sd_model)
    return latent


def decoded(p: Any, latents: Tensor) -> list[Image.Image]:
    """Images of latents `[F, C, H, W]`, as the host makes them of its samples."""
    pixels = processing.decode_latent_batch(p.sd_model, latents, target_device=devices.cpu, check_for_nans=True)
    pixels = torch.clamp((torch.stack(list(pixels)).float() + 1.0) / 2.0, min=0.0, max=1.0)
    return [Image.fromarray((255.0 * np.moveaxis(one.cpu().numpy(), 0, 2)).astype(np.uint8)) for one in pixels]


def _mask(job: Job, num_frames: int) -> Tensor | None:
    p, settings, inputs = job.p, job.settings, job.images
    masks = {frame: _mask_values(p, frame, mask) for frame, mask in inputs.motion_masks.items()}
    if inputs.inpaint_mask:
        masks = {0: _inpaint_mask(p)}
    if not masks:
        return None
    height, width = p.init_latent.shape[-2:]
    mask = motion_mask(masks, num_frames, height, width, feather=settings.mask_feather, loop=settings.loop)
    return mask.to(p.init_latent.device)


def _inpaint_mask(p: Any) -> Tensor:
    """Take the job's own mask, 1 where it is painted, away from the host, which then inpaints nothing."""
    if getattr(p, "nmask", None) is None:
        raise NoiseRectificationError(
            "inpaint_mask is on and the job has no mask: paint one in the Inpaint tab, or turn inpaint_mask off"
        )
    if p.inpainting_fill != 1:
        raise NoiseRectificationError("inpaint_mask is on and Masked content is not original: choose original")
    mask: Tensor = p.nmask[0].float()
    p.mask = p.nmask = p.mask_for_overlay = p.overlay_images = None
    return mask


def _mask_values(p: Any, frame: int, stored: StoredImage) -> Tensor:
    image = p.init_images[0]
    if not same_shape(stored.size, image.size):
        width, height = stored.size
        raise SettingsError(
            f"the motion mask of frame {frame} is {width}x{height} and the image "
            f"{image.width}x{image.height}: use a mask of the image's aspect ratio"
        )
    # Transparent areas are not painted.
    mask = stored.read(p.width, p.height)
    flat = Image.alpha_composite(Image.new("RGBA", mask.size, "black"), mask.convert("RGBA"))
    return torch.from_numpy(np.array(fit(p, flat).convert("L"), dtype=np.float32) / 255.0)

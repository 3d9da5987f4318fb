"""Images, videos and masks as a pipeline takes them, and their latents."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from diffusers.image_processor import VaeImageProcessor
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor, nn

from ..media.images import image_of, normalize, same_shape
from .schedulers import PipelineError

logger = logging.getLogger(__name__)


def preprocess(images: Any, height: int, width: int) -> Tensor:
    """One image or a sequence of them as `[B, 3, H, W]` in [-1, 1]; the middle is cropped where the shape differs.

    They are PIL images, arrays `[H, W, 3]` or tensors `[3, H, W]`: uint8, uint16, or floating-point in [0, 1].
    """
    processor = VaeImageProcessor(vae_scale_factor=1)
    return processor.preprocess(as_images(images), height, width, resize_mode="crop")  # type: ignore[no-any-return]


def as_images(images: Any) -> list[Image.Image]:
    """One image or a sequence of them as RGB, read as files are. Raises `PipelineError` for another type."""
    several = images if isinstance(images, Sequence) and not isinstance(images, str) else [images]
    pil_images = [_pil_image("an image", image) for image in several]
    if any(image.has_transparency_data for image in pil_images):
        logger.warning("an image is transparent: it is put on a white background")
    return [normalize(image, "an image") for image in pil_images]


def _pil_image(name: str, image: Any) -> Image.Image:
    if isinstance(image, Tensor):
        image = image.detach().cpu()
        image = (image.float() if image.dtype == torch.bfloat16 else image).numpy()
        image = np.moveaxis(image, 0, -1) if image.ndim == 3 else image
    if isinstance(image, np.ndarray):
        return image_of(image, name)
    if not isinstance(image, Image.Image):
        raise PipelineError(f"{name} is {type(image).__name__}: use a PIL image, an array or a tensor")
    return image


def video_pixels(videos: Any) -> NDArray[np.uint8]:
    """The video `[F, H, W, 3]` uint8 of a pipeline's result for one prompt, `[1, F, H, W, 3]` in [0, 1].

    Raises `PipelineError` for values that are not finite.
    """
    video: NDArray[Any] = np.asarray(videos)[0]
    if video.dtype != np.uint8:  # as LaVie's is
        if not np.isfinite(video).all():
            raise PipelineError("the model returned values that are not numbers: try another sampler or full precision")
        video = (video * 255).round().clip(0, 255).astype(np.uint8)
    return video


def check_shapes(images: Mapping[int, Sequence[Image.Image]], masks: Mapping[int, Any], height: int, width: int) -> None:
    """Log which images will be cropped. Raises `PipelineError` for a mask of other proportions than the first image's."""
    first = next(iter(images.values()))[0]
    for number, batch in images.items():
        size = batch[0].size
        if not same_shape(size, (width, height)):
            logger.warning(
                "the image of frame %d is %dx%d and the video %dx%d: it is cropped around its center",
                *(number, *size, width, height),
            )
    for number, mask in masks.items():
        size = _pil_mask(mask).size
        if not same_shape(size, first.size):
            raise PipelineError(
                f"the motion mask of frame {number} is {size[0]}x{size[1]} and the image {first.width}x{first.height}: "
                "use a mask of the image's proportions"
            )


def as_mask(mask: Any, height: int, width: int) -> Tensor:
    """A motion mask as float32 `[H, W]` in [0, 1], in the video's size and cropped like the images.

    It is a PIL image, or an array or tensor `[H, W]`: boolean, uint8, uint16, or floating-point in [0, 1].
    """
    # The means of areas: the filter for images would let pixels move a little outside of the mask.
    fitted = ImageOps.fit(_pil_mask(mask), (width, height), Image.Resampling.BOX)
    return torch.from_numpy(np.array(fitted, dtype=np.float32) / 255)


def _pil_mask(mask: Any) -> Image.Image:
    name = "a motion mask"
    if isinstance(mask, (Tensor, np.ndarray)) and mask.ndim != 2:
        raise PipelineError(f"{name} is {mask.dtype} of shape {tuple(mask.shape)}: use [H, W]")
    return normalize(_pil_image(name, mask), name, background="black", to_srgb=False).convert("L")


def compresses_time(vae: Any) -> bool:
    """Whether a VAE works over space and time, so that a latent frame may stand for several frames."""
    return any(isinstance(module, nn.Conv3d) for module in vae.encoder.modules())


def encode(vae: Any, images: Tensor, num_frames: int) -> Tensor:
    """z of every frame of a still video, `[B, C, F, h, w]`, scaled like the pipeline's latents.

    It is the mode of the VAE's posterior, which the image alone decides. A VAE over space and time gets the whole still
    video of `num_frames` frames: its first latent frame stands for one frame, and each later one for several. `images` are
    `[B, 3, H, W]` in [-1, 1], on the pipeline's device, to which the VAE may move only when it is called.
    """
    if compresses_time(vae):
        return _encoded(vae, [images[:, :, None].expand(-1, -1, num_frames, -1, -1)])
    return _encoded(vae, [images]).expand(-1, -1, num_frames, -1, -1)


def encode_video(vae: Any, frames: Tensor) -> Tensor:
    """The latents of a video `[F, 3, H, W]` in [-1, 1], `[F, C, h, w]`, with the mode and scale of `encode`.

    A VAE over space and time returns fewer latent frames.
    """
    if compresses_time(vae):
        return _encoded(vae, [frames.transpose(0, 1)[None]])[0].transpose(0, 1)
    return _encoded(vae, frames.split(1))[:, :, 0]


def _encoded(vae: Any, batches: Sequence[Tensor]) -> Tensor:
    """z of batches of videos `[B, 3, F, H, W]`, or of images `[B, 3, H, W]` as videos of one frame: `[B, C, F, h, w]`.

    A VAE that overflows in half precision, as SDXL's does, computes in float32.
    """
    half = vae.dtype == torch.float16 and bool(vae.config.get("force_upcast"))
    if half:
        vae.to(torch.float32)
    try:
        encoded = [vae.encode(batch.to(dtype=vae.dtype)) for batch in batches]
    except NotImplementedError as error:  # Allegro's
        raise PipelineError(f"{type(vae).__name__} does not encode ({error}): call pipe.vae.enable_tiling() first") from error
    finally:
        if half:
            vae.to(torch.float16)
    z = torch.cat([each.latent_dist.mode() if hasattr(each, "latent_dist") else each.latents for each in encoded])
    z = z if z.ndim == 5 else z[:, :, None]
    mean, deviation = (_statistic(vae, name, z) for name in ("latents_mean", "latents_std"))
    scaling = float(vae.config.get("scaling_factor") or 1.0)
    if mean is not None and deviation is not None:
        return (z - mean) * scaling / deviation
    return (z - float(vae.config.get("shift_factor") or 0.0)) * scaling


def _statistic(vae: Any, name: str, z: Tensor) -> Tensor | None:
    value = vae.config.get(name)
    value = vars(vae).get("_buffers", {}).get(name) if value is None else value  # as LTX keeps them
    if value is None:
        return None
    # Cosmos has one for each channel and frame.
    return torch.as_tensor(value).to(z).view(1, z.shape[1], -1, 1, 1)[:, :, : z.shape[2]]

"""Images and masks as a pipeline's latents, and the axes of the frames in its tensors."""

from __future__ import annotations

import contextlib
import inspect
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor, nn

from ..core.keyframes import Keyframes
from ..media.images import image_of, normalize, same_shape
from .schedulers import PipelineError, random_states, rewind

logger = logging.getLogger(__name__)

# They hand the scheduler all frames but the first, which is the latent of their own image.
_KEEP_FIRST_FRAME = (
    "LTXImageToVideoPipeline",
    "LTX2ImageToVideoPipeline",
    "SanaImageToVideoPipeline",
    "Kandinsky5I2VPipeline",
)


def preprocess(images: Any, height: int, width: int) -> Tensor:
    """One image or a sequence of them as `[B, 3, H, W]` in [-1, 1]; the middle is cropped where the shape differs.

    Args:
        images: PIL images, arrays `[H, W, 3]` or tensors `[3, H, W]`: uint8, uint16, or floating-point in [0, 1].
    """
    pixels = np.stack([np.asarray(_cropped(image, width, height), dtype=np.float32) for image in as_images(images)])
    return torch.from_numpy(pixels / 255).movedim(-1, 1) * 2 - 1


def _cropped(image: Image.Image, width: int, height: int) -> Image.Image:
    """The image, resized and then cropped around its center, as VaeImageProcessor's "crop", which old diffusers lack."""
    size = image.width * height // image.height, height
    if width * image.height > height * image.width:
        size = width, image.height * width // image.width
    left, top = size[0] // 2 - width // 2, size[1] // 2 - height // 2
    return image.resize(size, Image.Resampling.LANCZOS).crop((left, top, left + width, top + height))


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

    Raises:
        PipelineError: some values are not finite.
    """
    video = np.asarray(videos)[0]
    if video.dtype == np.uint8:  # LaVie's
        made: NDArray[np.uint8] = video
        return made
    if not np.isfinite(video).all():
        raise PipelineError("the model returned values that are not numbers: try another sampler or full precision")
    pixels: NDArray[np.uint8] = (video * 255).round().clip(0, 255).astype(np.uint8)
    return pixels


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

    Args:
        mask: a PIL image, or an array or tensor `[H, W]`: boolean, uint8, uint16, or floating-point in [0, 1].
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
    video: its first latent frame stands for one frame, and each later one for several.

    Args:
        images: `[B, 3, H, W]` in [-1, 1], on the pipeline's device, to which the VAE may move only when it is called.
        num_frames: of the video; F is smaller where the VAE compresses time.
    """
    with _upcast(vae):
        images = images.to(dtype=vae.dtype)
        if compresses_time(vae):
            z = _mode(vae.encode(images[:, :, None].expand(-1, -1, num_frames, -1, -1)))
        else:
            z = _mode(vae.encode(images))[:, :, None].expand(-1, -1, num_frames, -1, -1)
    return _scaled(vae, z)


def encode_video(vae: Any, frames: Tensor) -> Tensor:
    """A video's latents, `[F, C, h, w]`, scaled like the pipeline's; the mode of the posterior, as in `encode`.

    Args:
        frames: `[F, 3, H, W]` in [-1, 1]. A VAE over space and time returns fewer latent frames.
    """
    with _upcast(vae):
        frames = frames.to(dtype=vae.dtype)
        if compresses_time(vae):
            z = _mode(vae.encode(frames.transpose(0, 1)[None]))
        else:
            z = torch.cat([_mode(vae.encode(frame)) for frame in frames.split(1)]).transpose(0, 1)[None]
    return _scaled(vae, z)[0].transpose(0, 1)


@contextlib.contextmanager
def _upcast(vae: Any) -> Iterator[None]:
    """Let a VAE that overflows in half precision, as SDXL's does, compute in float32 inside the block."""
    half = vae.dtype == torch.float16 and bool(vae.config.get("force_upcast"))
    if half:
        vae.to(torch.float32)
    try:
        yield
    except NotImplementedError as error:  # Allegro's
        raise PipelineError(f"{type(vae).__name__} does not encode ({error}): call pipe.vae.enable_tiling() first") from error
    finally:
        if half:
            vae.to(torch.float16)


def _scaled(vae: Any, z: Tensor) -> Tensor:
    mean, deviation = (_statistic(vae, name, z) for name in ("latents_mean", "latents_std"))
    scaling = float(vae.config.get("scaling_factor") or 1.0)
    if mean is not None and deviation is not None:
        return (z - mean) * scaling / deviation
    return (z - float(vae.config.get("shift_factor") or 0.0)) * scaling


def _mode(encoded: Any) -> Tensor:
    mode: Tensor = encoded.latent_dist.mode() if hasattr(encoded, "latent_dist") else encoded.latents
    return mode


def _statistic(vae: Any, name: str, z: Tensor) -> Tensor | None:
    value = vae.config.get(name)
    value = vars(vae).get("_buffers", {}).get(name) if value is None else value  # as LTX keeps them
    if value is None:
        return None
    # Cosmos has one for each channel and frame.
    return torch.as_tensor(value).to(z).view(1, z.shape[1], -1, 1, 1)[:, :, : z.shape[2]]


@dataclass(frozen=True)
class Layout:
    """The layout of a pipeline's latents, and of the tensors that its scheduler gets.

    Attributes:
        batch: B.
        frames: F, in latent frames.
        channels: C, of the image's latents. A pipeline may keep conditions in further channels.
        axes: the axes of the frames and of the channels in five-dimensional latents.
        kept: the number of first frames that the pipeline itself holds at its image; they are not noised.
        packing: the pipeline whose latents are packed; None where they are not.
        patches: rows and columns of the packed patches of a frame.
    """

    batch: int
    frames: int
    channels: int
    axes: tuple[int, int]
    kept: int = 0
    packing: Any = None
    patches: tuple[int, int] = (0, 0)

    def frames_first(self, latents: Tensor) -> Tensor:
        """`[F, B, C, H, W]` of five-dimensional latents, of `[B·F, C, H, W]`, or of packed `[B, F·H·W, C]`.

        It is a view, but for latents that the pipeline unpacks for its scheduler.
        """
        frames = self.frames
        if latents.ndim == 5:
            if self.packing is None:
                return latents.narrow(self.axes[1], 0, self.channels).movedim(self.axes, (0, 2))
            frames, latents = latents.shape[2], pack(self.packing, latents)
        if latents.ndim == 4:
            return latents.reshape(self.batch, frames, *latents.shape[1:]).movedim(1, 0)
        return latents.reshape(self.batch, -1, *self.patches, latents.shape[2]).movedim((1, 4), (0, 2))

    def restore(self, frames_first: Tensor, like: Tensor) -> Tensor:
        """The inverse of `frames_first`, in the layout of `like`."""
        if self.packing is not None and like.ndim == 5:
            packed = frames_first.movedim((0, 2), (1, 4)).flatten(1, 3)
            unpacked: Tensor = self.packing._unpack_latents(packed, *like.shape[2:], *_patches(self.packing))
            return unpacked
        if like.ndim == 5:
            return frames_first.movedim((0, 2), self.axes)
        if like.ndim == 3:
            return frames_first.movedim((0, 2), (1, 4)).reshape(like.shape)
        return frames_first.movedim(0, 1).reshape(like.shape)

    def keyframes(
        self, numbers: Sequence[int], num_frames: int, compressed: int, loop: bool, subject: str = "keyframes"
    ) -> Keyframes:
        """The latent frames of some frames of the video.

        Args:
            numbers: the frames, in [0, `num_frames`).
            compressed: F of the VAE's latents: its first latent frame stands for one frame, each later one for several.
            subject: of the message.

        Raises:
            PipelineError: two of them are in one latent frame.
        """
        stride = (num_frames - 1) / max(compressed - 1, 1)
        latent = [self.frames - compressed + math.ceil(number / stride if stride else 0) for number in numbers]
        for index, frame in enumerate(latent):
            if frame in latent[:index]:
                raise PipelineError(
                    f"{subject} {numbers[latent.index(frame)]} and {numbers[index]} are in one latent frame: "
                    f"use at most one in {stride:g} frames"
                )
        return Keyframes(tuple(latent), self.frames, loop)


def prepared_again(prepare: Callable[..., Any], call: inspect.BoundArguments, device: torch.device, axis: str) -> Tensor:
    """Latents that `prepare_latents` makes of one frame, or with twice the channels; generators are left as they are.

    Args:
        call: of `prepare`.
        axis: `"frames"` or `"channels"`.
    """
    values = dict(call.arguments)
    changes = {"num_frames": 1, "video_length": 1}
    if axis == "channels":
        changes = {"num_channels_latents": 2 * int(values.get("num_channels_latents", 0))}
    changed = {name: value for name, value in {**changes, "generator": None, "latents": None}.items() if name in values}
    other = inspect.BoundArguments(call.signature, call.arguments | changed)
    before = random_states(device)
    latents = prepare(*other.args, **other.kwargs)
    rewind(before)
    return latents[0] if isinstance(latents, tuple) else latents  # type: ignore[no-any-return]


def layout_of(pipe: Any, prepared: Tensor, z: Tensor, prepare_again: Callable[[str], Tensor]) -> Layout:
    """The layout of the latents that the pipeline has prepared, read from their shape.

    Args:
        z: the image's latents, `[B, C, F, h, w]`.
        prepare_again: `prepared_again` of an axis, which tells it where the shape does not.

    Raises:
        PipelineError: the latents are of other images, or the axis of their frames cannot be told.
    """
    channels, frames, height, width = z.shape[1:]
    kept = int(_keeps_first_frame(pipe))
    if prepared.ndim == 3 and hasattr(pipe, "_pack_latents") and prepared.shape[1:] == pack(pipe, z).shape[1:]:
        side = _patches(pipe)[0]
        return Layout(prepared.shape[0], frames, channels, (2, 1), kept, pipe, (height // side, width // side))
    places = list[tuple[int, int]]()
    if prepared.ndim == 5:
        orders: list[tuple[int, int]] = [(2, 1), (1, 2), (1, 4)]
        for axes in orders:
            shape = prepared.movedim(axes, (0, 2)).shape
            # Kandinsky appends its conditions to the last axis, and CogVideoX pads the video in front.
            fits = shape[2] == channels or (axes[1] == 4 and shape[2] > channels)
            if fits and shape[3:] == (height, width) and shape[0] >= frames:
                places.append(axes)
    if not places:
        raise PipelineError(
            f"the image's latents are {tuple(z.shape)} and {type(pipe).__name__}'s are {tuple(prepared.shape)}: "
            "use a pipeline whose latents come from its own VAE"
        )
    for index, axis in enumerate(("frames", "channels")):
        if len({axes[index] for axes in places}) > 1:
            try:
                other = prepare_again(axis)
            except (TypeError, ValueError, RuntimeError):  # it makes no others
                other = prepared
            places = [axes for axes in places if other.shape[axes[index]] != prepared.shape[axes[index]]]
    if len(places) != 1:
        raise PipelineError(
            f"the latents of {type(pipe).__name__} are {tuple(prepared.shape)} and the axis of their frames cannot be told: "
            f"use another size, or another number of frames, which makes other than {frames} latent frames"
        )
    return Layout(prepared.shape[0], prepared.shape[places[0][0]], channels, places[0], kept)


def _keeps_first_frame(pipe: Any) -> bool:
    """Whether the pipeline holds the first frame at its image and denoises only the others."""
    if any(base.__name__ in _KEEP_FIRST_FRAME for base in type(pipe).__mro__):
        return True
    if getattr(getattr(getattr(pipe, "transformer", None), "config", None), "image_condition_type", "") == "token_replace":
        return True
    takes_image = "image" in inspect.signature(pipe.prepare_latents).parameters
    return takes_image and bool(getattr(pipe.config, "expand_timesteps", False))  # Wan 2.2 with 5 billion parameters


def _patches(pipe: Any) -> tuple[int, int]:
    return pipe.transformer_spatial_patch_size, pipe.transformer_temporal_patch_size


def pack(pipe: Any, latents: Tensor) -> Tensor:
    """Latents `[B, C, F, h, w]` as the pipeline packs them, `[B, F·h·w, D]`."""
    packed: Tensor = pipe._pack_latents(latents, *_patches(pipe))
    return packed


def in_layout(z: Tensor, prepared: Tensor, layout: Layout) -> Tensor:
    """`z`, `[B or 1, C, F, h, w]`, as `layout.frames_first` has the pipeline's latents, in their type.

    Raises:
        PipelineError: there are images for another number of videos.
    """
    missing = layout.frames - z.shape[2]
    if missing > 0:  # CogVideoX pads the video in front, and cuts the padding off again
        z = torch.cat([z[:, :, :1].expand(-1, -1, missing, -1, -1), z], dim=2)
    if z.shape[0] != layout.batch:
        if z.shape[0] != 1:
            raise PipelineError(f"{z.shape[0]} images were given for {layout.batch} videos: use one, or one per video")
        z = z.expand(layout.batch, -1, -1, -1, -1)
    z = z.to(device=prepared.device, dtype=prepared.dtype)
    return layout.frames_first(z) if layout.packing is not None else z.movedim(2, 0)

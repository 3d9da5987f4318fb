"""The axes of the frames and of the channels in a pipeline's latents, read from their shape."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..core.keyframes import Keyframes
from .schedulers import PipelineError, random_states, rewind

# They hand the scheduler all frames but the first, which is the latent of their own image.
_KEEP_FIRST_FRAME = (
    "LTXImageToVideoPipeline",
    "LTX2ImageToVideoPipeline",
    "SanaImageToVideoPipeline",
    "Kandinsky5I2VPipeline",
)


@dataclass(frozen=True)
class Layout:
    """The layout of a pipeline's latents, and of the tensors that its scheduler gets."""

    batch: int
    frames: int  # F, in latent frames
    channels: int  # C, of the image's latents; a pipeline may keep conditions in further channels
    axes: tuple[int, int]  # of the frames and of the channels in five-dimensional latents
    kept: int  # the number of first frames that the pipeline itself holds at its image; they are not noised
    packing: Any = None  # the pipeline whose latents are packed
    patches: tuple[int, int] = (0, 0)  # rows and columns of the packed patches of a frame

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
            return self.packing._unpack_latents(packed, *like.shape[2:], *_patches(self.packing))  # type: ignore[no-any-return]
        if like.ndim == 5:
            return frames_first.movedim((0, 2), self.axes)
        if like.ndim == 3:
            return frames_first.movedim((0, 2), (1, 4)).reshape(like.shape)
        return frames_first.movedim(0, 1).reshape(like.shape)

    def is_whole(self, state: Tensor, x0: Tensor) -> bool:
        """Whether the scheduler's state is the whole video `x0`, `[F, …]`, or all of it that the pipeline does not keep."""
        fits = state.numel() in [x0[first:].numel() for first in range(self.kept + 1)]
        if state.ndim == 5 and self.packing is None:
            return fits and state.movedim(self.axes, (0, 2)).shape[1:] == x0.shape[1:]
        return fits

    def keyframes(
        self, numbers: Sequence[int], num_frames: int, compressed: int, loop: bool, subject: str = "keyframes"
    ) -> Keyframes:
        """The latent frames of the frames `numbers`, each in [0, `num_frames`), of the video.

        `compressed` is F of the VAE's latents: its first latent frame stands for one frame, each later one for several.
        Raises `PipelineError`, whose message is about `subject`, for two frames in one latent frame.
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


class Preparation:
    """One call of a pipeline's `prepare_latents`, and its result."""

    def __init__(self, prepare: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self._prepare, self._call = prepare, inspect.signature(prepare).bind(*args, **kwargs)
        self._call.apply_defaults()
        self.arguments = self._call.arguments
        self._result = prepare(*args, **kwargs)
        self.latents: Tensor = self._result[0] if isinstance(self._result, tuple) else self._result

    def result(self, latents: Tensor) -> Any:
        """The result with other latents; some pipelines return their conditions with them."""
        return (latents, *self._result[1:]) if isinstance(self._result, tuple) else latents

    def again(self, axis: str) -> Tensor:
        """Latents of one frame (`axis` is `"frames"`), or with twice the channels (`"channels"`).

        The generators are left as they are.
        """
        values, changes = self.arguments, {"num_frames": 1, "video_length": 1}
        if axis == "channels":
            changes = {"num_channels_latents": 2 * int(values.get("num_channels_latents", 0))}
        changed = {name: value for name, value in {**changes, "generator": None, "latents": None}.items() if name in values}
        other = inspect.BoundArguments(self._call.signature, values | changed)
        before = random_states(self.latents.device)
        latents = self._prepare(*other.args, **other.kwargs)
        rewind(before)
        return latents[0] if isinstance(latents, tuple) else latents  # type: ignore[no-any-return]


def layout_of(pipe: Any, preparation: Preparation, z: Tensor) -> Layout:
    """The layout of the latents that the pipeline has prepared, read from their shape, or from that of other ones.

    `z` are the image's latents, `[B, C, F, h, w]`. Raises `PipelineError` if the pipeline's are of other images, or if the
    axis of their frames cannot be told.
    """
    prepared = preparation.latents
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
                other = preparation.again(axis)
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
    return pipe._pack_latents(latents, *_patches(pipe))  # type: ignore[no-any-return]


def in_layout(z: Tensor, prepared: Tensor, layout: Layout) -> Tensor:
    """`z`, `[B or 1, C, F, h, w]`, as `layout.frames_first` has the pipeline's latents, in their type.

    Raises `PipelineError` if there are images for another number of videos.
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

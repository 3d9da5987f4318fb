"""The reference of a pipeline's video: images, keyframes or an encoded video, and motion masks, as latents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..core.keyframes import Keyframes
from ..core.motion_mask import motion_mask
from ..core.reference import Reference, interpolate
from ..core.settings import Settings, SettingsError
from ..methods.analytic_init import Statistics
from .latents import as_images, as_mask, check_shapes, encode, preprocess
from .layout import Layout, Preparation, in_layout, layout_of
from .schedulers import PipelineError


class EncodedVideo(NamedTuple):
    """An encoded video in the place of an image: `x0` is `[B, C, F, h, w]`, scaled like the pipeline's latents."""

    x0: Tensor


def reference_for(
    pipe: Any, image: Any, masks: Mapping[int, Any] | None, settings: Settings, frames: int, preparation: Preparation
) -> tuple[Reference, Layout]:
    """The reference of a `rectified` block, whose tensors have the frames first, and the layout of the latents.

    `image` and `masks` are as `rectified` takes them, the masks by the numbers of their frames, of which the video has
    `frames`. Raises `PipelineError` if the pipeline's latents do not fit the images, and `SettingsError` for a keyframe or a
    mask outside the video, or of another shape.
    """
    prepared = preparation.latents
    height, width = (int(preparation.arguments[name]) for name in ("height", "width"))
    if isinstance(image, EncodedVideo):
        stills, numbers = [image.x0.to(prepared.device)], Keyframes((0,), frames)
    else:
        images = dict(sorted(image.items())) if isinstance(image, Mapping) else {0: image}
        numbers = Keyframes(tuple(images), frames)  # refuses numbers outside the video before anything is encoded
        images = {number: as_images(each) for number, each in images.items()}
        check_shapes(images, masks or {}, height, width)
        with torch.no_grad():
            pixels = [preprocess(each, height, width).to(prepared.device) for each in images.values()]
            # Cosmos is trained on latents of the deviation that its scheduler names.
            scale = float(pipe.scheduler.config.sigma_data) if type(pipe).__name__.startswith("Cosmos") else 1.0
            stills = [encode(pipe.vae, each, frames) * scale for each in pixels]
    layout = layout_of(pipe, preparation, stills[0])
    x0s = [in_layout(still, prepared, layout) for still in stills]
    compressed = stills[0].shape[2]
    keyframes = layout.keyframes(numbers.frames, frames, compressed, settings.loop)
    x0 = x0s[0]
    if len(x0s) > 1:  # the latents of each video of a batch turn by an angle of their own
        videos = [interpolate(keyframes, video, settings.interpolation) for video in torch.stack(x0s).unbind(2)]
        x0 = torch.stack(videos, dim=1)
    if masks is None:
        return Reference(x0, keyframes), layout
    for number in masks:
        if not 0 <= number < frames:
            raise SettingsError(
                f"the motion mask of frame {number} is outside the video of {frames} frames: use 0 to {frames - 1}"
            )
    masked = layout.keyframes(sorted(masks), frames, compressed, settings.loop, "the motion masks of frames").frames
    fitted = {frame: as_mask(masks[number], height, width) for frame, number in zip(masked, sorted(masks))}
    mask = motion_mask(fitted, layout.frames, *x0.shape[-2:], feather=settings.mask_feather, loop=settings.loop)
    return Reference(x0, keyframes, mask[:, None].to(x0.device)), layout


def check_statistics(pipe: Any, statistics: Statistics, layout: Layout, reference: Reference) -> None:
    """Raise `PipelineError` for latents that are no images, and `SettingsError` for statistics of other latents."""
    if layout.packing is not None:
        raise PipelineError(f"{type(pipe).__name__} packs its latents, and statistics need images: leave them out")
    statistics.check(reference.x0.shape[-3:], reference.keyframes, float(pipe.vae.config.get("scaling_factor") or 0.0))

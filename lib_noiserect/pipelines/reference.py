"""What a clip is held to, in the layout of a pipeline's latents: a picture, key frames or an encoded clip, and masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..core.keyframes import Keyframes
from ..core.motion_mask import motion_mask
from ..core.reference import interpolate
from ..core.settings import Settings, SettingsError
from ..methods.analytic_init import Statistics
from .latents import Layout, as_images, as_mask, check_shapes, encode, in_layout, layout_of, preprocess
from .schedulers import PipelineError


class LatentClip(NamedTuple):
    """An encoded clip in the place of a picture: `z` is `[B, C, F, h, w]`, scaled as the pipeline's latents are."""

    z: Tensor


class Given(NamedTuple):
    """What the frames are held to.

    Attributes:
        clean: z in the layout of the pipeline's latents; between key frames, their interpolation.
        layout: of these latents.
        keys: the latent frames that are pictures.
        mask: the motion mask as a factor of ω, for latents whose frames are first; or None.
    """

    clean: Tensor
    layout: Layout
    keys: Keyframes
    mask: Tensor | None


def held_to(
    pipe: Any,
    picture: Any,
    masks: Mapping[int, Any] | None,
    settings: Settings,
    prepared: Tensor,
    height: int,
    width: int,
    frames: int,
) -> Given:
    """Encode what a `rectified` block was given.

    Args:
        picture, masks: as `rectified` takes them, the masks by the numbers of their frames.
        prepared: the latents that the pipeline has made.
        height, width, frames: of the clip, in pixels.

    Raises:
        PipelineError: the pipeline's latents cannot be held to that.
        SettingsError: a key frame or a mask is not in the clip, or has another shape.
    """
    if isinstance(picture, LatentClip):
        stills, numbers = [picture.z.to(prepared.device)], Keyframes((0,), frames)
    else:
        pictures = dict(sorted(picture.items())) if isinstance(picture, Mapping) else {0: picture}
        numbers = Keyframes(tuple(pictures), frames)  # refuses what is not in the clip, before anything is encoded
        pictures = {number: as_images(one) for number, one in pictures.items()}
        check_shapes(pictures, masks or {}, height, width)
        with torch.no_grad():
            stills = [
                encode(pipe.vae, preprocess(one, height, width).to(prepared.device), frames)
                for one in pictures.values()
            ]
    layout = layout_of(pipe, prepared, stills[0])
    laid_out = [in_layout(pipe, still, prepared, layout) for still in stills]
    compressed = stills[0].shape[2]
    keys = layout.key_frames(numbers.frames, frames, compressed, settings.loop)
    clean = laid_out[0]
    if len(stills) > 1:
        first = torch.stack([layout.frames_first(still) for still in laid_out])
        # Each clip of a batch turns by an angle of its own.
        clips = [interpolate(keys, one, settings.interpolation) for one in first.unbind(2)]
        clean = layout.as_given(torch.stack(clips, dim=1), clean)
    if prepared.ndim == 3 and (masks is not None or settings.hold_colour):
        what = "hold_colour" if masks is None else "a motion mask"
        raise PipelineError(f"{type(pipe).__name__} packs its latents to rows, and {what} needs pictures: leave it out")
    mask = None if masks is None else _in_latents(masks, settings, layout, prepared, frames, compressed, height, width)
    return Given(clean, layout, keys, mask)


def _in_latents(
    masks: Mapping[int, Any],
    settings: Settings,
    layout: Layout,
    prepared: Tensor,
    frames: int,
    compressed: int,
    height: int,
    width: int,
) -> Tensor:
    for number in masks:
        if not 0 <= number < frames:
            raise SettingsError(
                f"the motion mask of frame {number} is not in the clip of {frames} frames: use 0 to {frames - 1}"
            )
    numbers = tuple(sorted(masks))
    keys = layout.key_frames(numbers, frames, compressed, settings.loop, "the motion masks of frames")
    ready = {frame: as_mask(masks[number], height, width) for frame, number in zip(keys.frames, numbers, strict=True)}
    # Frames that CogVideoX puts in front are cut off again.
    mask = motion_mask(ready, layout.frames, *prepared.shape[-2:], feather=settings.mask_feather, loop=settings.loop)
    return mask[:, None].to(prepared.device)


def check_statistics(pipe: Any, statistics: Statistics, layout: Layout, keys: Keyframes, prepared: Tensor) -> None:
    """Refuse statistics of other latents than the pipeline's."""
    if prepared.ndim == 3:
        raise PipelineError(
            f"{type(pipe).__name__} packs its latents to rows, and statistics need pictures: leave them out"
        )
    shape = layout.frames_first(prepared).shape[-3:]
    statistics.check(shape, keys, float(pipe.vae.config.get("scaling_factor") or 0.0))

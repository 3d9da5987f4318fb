"""Clips from video files, a file at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..cli.errors import optional_package
from .images import MAX_MEGAPIXELS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    Pixels = NDArray[np.uint8]


class ClipError(Exception):
    """This file gives no clip; the message, without its name, says why."""


def read_clip(path: Path, frames: int, fps: float, width: int, height: int) -> Pixels:
    """The first `frames` frames of a video at about `fps` frames a second, `[F, height, width, 3]` uint8.

    As the authors do, every round(rate/fps)-th frame is taken, from the first on; here the middle is cut out in the clip's
    proportions, where theirs stretch. Any format that FFmpeg reads, and animated WebP.

    Raises:
        ClipError: it is no video, damaged, too short or too large.
    """
    import numpy as np
    from PIL import Image, ImageOps

    found: list[Pixels] = []
    for picture in _every(path, frames, fps):
        if picture.width * picture.height > MAX_MEGAPIXELS * 1e6:
            raise ClipError(f"{picture.width}x{picture.height}, of more than {MAX_MEGAPIXELS} megapixels")
        fitted = ImageOps.fit(picture.convert("RGB"), (width, height), Image.Resampling.LANCZOS)
        found.append(np.array(fitted))
    if len(found) < frames:
        raise ClipError(f"too short: {len(found)} of {frames} frames at {fps:g} a second")
    return np.stack(found)


def _every(path: Path, frames: int, fps: float) -> Iterator[Image.Image]:
    """The frames of the clip as they come, as many as there are."""
    if path.suffix.lower() == ".webp":
        yield from _of_webp(path, frames, fps)
        return
    av = optional_package("av", "av", "reading video files")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ClipError("no video in it")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            stride = max(1, round(float(stream.average_rate or fps) / fps))
            for index, frame in enumerate(container.decode(stream)):
                if index % stride == 0:
                    yield frame.to_image()
                if index >= (frames - 1) * stride:
                    return
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise ClipError(f"no video that can be read ({str(error)[:60]})") from None


def _of_webp(path: Path, frames: int, fps: float) -> Iterator[Image.Image]:
    from PIL import Image, ImageSequence

    try:
        with Image.open(path, formats=["WEBP"]) as image:
            image.load()
            stride = max(1, round(1000 / (image.info.get("duration") or 1000 / fps) / fps))
            for index, frame in enumerate(ImageSequence.Iterator(image)):
                if index % stride == 0:
                    yield frame
                if index >= (frames - 1) * stride:
                    return
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ClipError(f"no video that can be read ({str(error)[:60]})") from None

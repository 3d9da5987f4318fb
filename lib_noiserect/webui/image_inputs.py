"""The images of a job beside its own: first their frame numbers, then their headers, and pixels one image at a time."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from ..core.errors import printable, shown
from ..core.settings import SettingsError
from ..media.images import normalize, open_image, upright_size

MAX_IMAGES = 256
MAX_TOTAL_MEGAPIXELS = 512


@dataclass(frozen=True)
class Input:
    """One input beside the settings."""

    label: str
    help: str


# By their names in the API.
INPUTS = {
    "key_frames": Input(
        "Keyframes",
        "Add images for later frames: end each file name with its frame number (boat-15.png). Your image is frame 0.",
    ),
    "motion_mask": Input(
        "Motion mask",
        "Paint white where things may move. For several masks, end each file name with its frame number: mask-8.png.",
    ),
    "inpaint_mask": Input(
        "Use the inpaint mask as motion mask",
        "Take the mask of the Inpaint tab as the motion mask; the image under it stays.",
    ),
}


@dataclass(frozen=True)
class StoredImage:
    """An image that is not decoded yet."""

    name: str  # the image in messages
    source: str | Path | Image.Image  # a string in base64, a file of the tab, or an image of another extension
    size: tuple[int, int]  # width and height in pixels, upright

    @classmethod
    def of(cls, name: str, source: Any) -> StoredImage:
        """Read the header. Raises `UserError` if the source is no base64, no image, or an image of too many pixels."""
        if isinstance(source, Image.Image):
            return cls(name, source, source.size)
        if not isinstance(source, (str, Path)):
            raise SettingsError(f"{name} is not a string: use an image in base64")
        with _opened(name, source) as image:
            return cls(name, source, upright_size(image))

    def read(self, width: int, height: int) -> Image.Image:
        """The image as the host treats its own: upright, without color profile, RGB, or RGBA if transparent.

        A JPEG is decoded in a fraction of its size if it is far larger than `width` × `height`, its size in the job.
        """
        if isinstance(self.source, Image.Image):
            return normalize(self.source, self.name, background=None, to_srgb=False)
        with _opened(self.name, self.source) as image:
            # More than three times the size does not show after the host's own resampling.
            image.draft(None, (3 * max(width, height),) * 2)
            return normalize(image, self.name, background=None, to_srgb=False)


@dataclass(frozen=True)
class ImageInputs:
    """The images of a job beside its own, by frame."""

    key_frames: Mapping[int, StoredImage]
    motion_masks: Mapping[int, StoredImage]  # a single one serves all frames
    inpaint_mask: bool  # whether the job's own mask is the motion mask


def images_of(inputs: Mapping[str, Any]) -> ImageInputs:
    """The images of INPUTS, by name.

    Raises `UserError` if an input has the wrong type, cannot be read, or names no frame, or there are too many.
    """
    inpaint_mask = False if inputs.get("inpaint_mask") is None else inputs["inpaint_mask"]
    if not isinstance(inpaint_mask, bool):
        raise SettingsError(f"inpaint_mask = {shown(inpaint_mask)} is not a boolean: use true or false")
    masks = _sources("motion_mask", inputs.get("motion_mask"), one_for_all=True)
    if masks and inpaint_mask:
        raise SettingsError("inpaint_mask and motion_mask are both set: use one of them")
    keys = _sources("key_frames", inputs.get("key_frames"), one_for_all=False)
    images: tuple[dict[int, StoredImage], dict[int, StoredImage]] = {}, {}
    total = 0
    for by_frame, sources in zip(images, (keys, masks)):
        for frame, (name, source) in sources.items():
            by_frame[frame] = StoredImage.of(name, source)
            total += by_frame[frame].size[0] * by_frame[frame].size[1]
            if total > MAX_TOTAL_MEGAPIXELS * 10**6:
                raise SettingsError(
                    f"key_frames and motion_mask have more than {MAX_TOTAL_MEGAPIXELS} megapixels in all: use smaller images"
                )
    return ImageInputs(*images, inpaint_mask)


def check_count(name: str, count: int) -> None:
    """Raise `SettingsError` for more images than a job may have."""
    if count > MAX_IMAGES:
        raise SettingsError(f"{name} has {count} images: use at most {MAX_IMAGES}")


def frames_of(name: str, keys: Mapping[Any, object]) -> dict[int, Any]:
    """The values of an object of a request, by the numbers that its keys spell.

    Raises `SettingsError` if a key is no number, two keys are the same number, or there are too many.
    """
    check_count(name, len(keys))
    by_frame = dict[int, Any]()
    for key, value in keys.items():
        if not (isinstance(key, str) and re.fullmatch(r"[0-9]{1,6}", key)):
            raise SettingsError(f'{name} has the frame {shown(key)}: use a number such as "15"')
        if int(key) in by_frame:
            raise _twice(name, int(key))
        by_frame[int(key)] = value
    return by_frame


def frame_number(path: str) -> int | None:
    """The number at the end of a file's name: 15 for boat-15.png."""
    number = re.search(r"([0-9]{1,6})$", Path(path).stem)
    return None if number is None else int(number[1])


def _sources(name: str, value: Any, *, one_for_all: bool) -> dict[int, tuple[str, Any]]:
    """Name and source of each image, by frame; nothing is opened."""
    if value is None or value == "":
        return {}
    if isinstance(value, str):
        if not one_for_all:
            raise SettingsError(f"{name} is a string: use an object of frame numbers and base64 images")
        return {0: (name, value)}
    if isinstance(value, Mapping):
        return {frame: (f"{name}['{frame}']", text) for frame, text in frames_of(name, value).items()}
    if not isinstance(value, (list, tuple)):
        raise SettingsError(f"{name} = {shown(value)} is not an object: use an object of frame numbers and base64 images")
    check_count(name, len(value))
    by_frame = dict[int, tuple[str, Any]]()
    for file in value:
        # A file of the tab has a path that gradio chose. A string of a request has none: no path is read from a request.
        path = getattr(file, "name", None)
        if not isinstance(path, str):
            raise SettingsError(f"{name} contains a {type(file).__name__}: use an object of frame numbers and base64 images")
        number, said = frame_number(path), printable(Path(path).name)
        if number is None and not (one_for_all and len(value) == 1):
            raise SettingsError(
                f"{name} has the file {said} without a frame number: end its name with one, such as boat-15.png"
            )
        if (number or 0) in by_frame:
            raise _twice(name, number or 0)
        by_frame[number or 0] = (f"{name}, {said},", Path(path))
    return by_frame


def _twice(name: str, frame: int) -> SettingsError:
    return SettingsError(f"{name} has frame {frame} twice: use one image for each frame")


def _opened(name: str, source: str | Path) -> Image.Image:
    if isinstance(source, Path):
        return open_image(source, name)
    try:
        text = source.partition(",")[2] if source.startswith("data:") else source
        content = base64.b64decode(text, validate=True)
    except ValueError:
        raise SettingsError(f"{name} is not base64: use an image in base64") from None
    return open_image(io.BytesIO(content), name)

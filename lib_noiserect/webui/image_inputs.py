"""The pictures beside the settings: key frames and motion masks, from the tab's files or an API request's base64."""

from __future__ import annotations

import base64
import binascii
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from ..core.settings import FIELDS, SettingsError

MAX_PICTURES = 256
MAX_PIXELS = 64_000_000
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")


@dataclass(frozen=True)
class Input:
    """One input that is no setting: its name in the API, its label and its explanation."""

    name: str
    label: str
    help: str


INPUTS: dict[str, Input] = {
    row.name: row
    for row in (
        Input(
            "key_frames",
            "Keyframes",
            "Add images for later frames: end each file name with its frame number (boat-15.png). Your image is frame 0.",
        ),
        Input(
            "motion_mask",
            "Motion mask",
            "Paint white where things may move. For several masks, end each file name with its frame number: mask-8.png.",
        ),
        Input(
            "inpaint_mask",
            "Use the inpaint mask as motion mask",
            "Take the mask of the Inpaint tab as the motion mask; the image under it stays.",
        ),
    )
}


@dataclass(frozen=True)
class Pictures:
    """What a job was given beside its settings and its picture.

    Attributes:
        key_frames: more pictures, by the numbers of the frames that they are to be.
        motion_masks: by the numbers of their frames; one alone is for all frames.
        inpaint_mask: whether the job's own mask is the motion mask.
    """

    key_frames: Mapping[int, Image.Image] = field(default_factory=dict)
    motion_masks: Mapping[int, Image.Image] = field(default_factory=dict)
    inpaint_mask: bool = False


def pictures_from_args(args: Sequence[object]) -> Pictures:
    """The inputs of a job: by name in a dict as first item, or behind the values of FIELDS.

    Raises:
        SettingsError: one is of a wrong kind, is no picture, or says no frame.
    """
    if args and isinstance(args[0], Mapping):
        given = {name: args[0].get(name) for name in INPUTS}
    else:
        given = dict(zip(INPUTS, args[len(FIELDS) :]))
    inpaint_mask = given.get("inpaint_mask") or False
    if not isinstance(inpaint_mask, bool):
        raise SettingsError(f"inpaint_mask = {inpaint_mask!r:.80} is not a boolean: use true or false")
    masks = _pictures("motion_mask", given.get("motion_mask"), one_for_all=True)
    if masks and inpaint_mask:
        raise SettingsError("inpaint_mask is on and motion_mask is given: use one of them")
    return Pictures(_pictures("key_frames", given.get("key_frames"), one_for_all=False), masks, inpaint_mask)


def _pictures(name: str, given: Any, *, one_for_all: bool) -> dict[int, Image.Image]:
    if not given:
        return {}
    if isinstance(given, str):
        if not one_for_all:
            raise SettingsError(f"{name} is a text: use an object of frame numbers and base64 pictures")
        return {0: decoded(name, given)}
    if len(given) > MAX_PICTURES:
        raise SettingsError(f"{name} has {len(given)} pictures: use at most {MAX_PICTURES}")
    if isinstance(given, Mapping):
        return {_number(name, key): decoded(f"{name}[{key!r:.20}]", text) for key, text in given.items()}
    found = dict[int, Image.Image]()
    for file in given:
        # What the tab hands over has a path that gradio chose; a text of a request has none, and no path is taken from it.
        path = getattr(file, "name", None)
        if not isinstance(path, str):
            raise SettingsError(
                f"{name} holds a {type(file).__name__}: use an object of frame numbers and base64 pictures"
            )
        number = re.search(r"(\d{1,6})$", Path(path).stem)
        if number is None and not (one_for_all and len(given) == 1):
            raise SettingsError(
                f"{name} has the file {Path(path).name}, which says no frame: end its name with a number, such as boat-15.png"
            )
        frame = 0 if number is None else int(number[1])
        if frame in found:
            raise SettingsError(f"{name} has frame {frame} twice: give each frame one picture")
        found[frame] = _opened(f"{name}, {Path(path).name},", path)
    return found


def _number(name: str, key: object) -> int:
    if not (isinstance(key, str) and re.fullmatch(r"\d{1,6}", key)):
        raise SettingsError(f'{name} has the frame {key!r:.80}: use a number such as "15"')
    return int(key)


def decoded(name: str, text: object) -> Image.Image:
    """The picture of a base64 text, with or without `data:image/png;base64,` before it.

    Raises:
        SettingsError: it is no text, no base64, or no picture.
    """
    if not isinstance(text, str):
        raise SettingsError(f"{name} is not text: use a picture in base64")
    try:
        content = base64.b64decode(text.split(",", 1)[1] if text.startswith("data:") else text, validate=True)
    except (ValueError, IndexError, binascii.Error):
        raise SettingsError(f"{name} is not base64: use a picture in base64") from None
    return _opened(name, io.BytesIO(content))


def _opened(name: str, source: Any) -> Image.Image:
    try:
        picture = Image.open(source, formats=_FORMATS)
        if picture.width * picture.height > MAX_PIXELS:
            raise SettingsError(
                f"{name} is {picture.width}x{picture.height}: use at most {MAX_PIXELS // 10**6} million pixels"
            )
        picture.load()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, SettingsError):
            raise
        raise SettingsError(f"{name} is not a picture that can be read: use {', '.join(_FORMATS)}") from None
    return picture

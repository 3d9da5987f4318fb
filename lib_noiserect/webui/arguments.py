"""Settings and images of a job from the arguments of the script: the tab's values in order, or the API's dict."""

from __future__ import annotations

import base64
import binascii
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from ..core.settings import FIELDS, Settings, SettingsError
from ..media.images import normalize, open_image

MAX_IMAGES = 256


@dataclass(frozen=True)
class Input:
    """One input beside the settings: its name in the API, its label and its help."""

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
class ImageInputs:
    """The images of a job beside its own.

    Attributes:
        key_frames: images of later frames, by frame.
        motion_masks: by frame; a single one serves all frames.
        inpaint_mask: whether the job's own mask is the motion mask.
    """

    key_frames: Mapping[int, Image.Image] = field(default_factory=dict)
    motion_masks: Mapping[int, Image.Image] = field(default_factory=dict)
    inpaint_mask: bool = False


def settings_from_args(
    args: Sequence[object], changes: Mapping[str, object] | None = None, *, is_img2img: bool = True
) -> Settings | None:
    """Read the settings of a job; None for a plain job, of which nothing but the master switch is read.

    The master switch is `enabled` in img2img, and `create` in txt2img, where there is no image to rectify toward. In a
    tab, the other one counts only while the master switch is on; named in a dict or a grid, it counts as it is.

    Args:
        args: a dict of named settings as first item (the API's convention; the host fills the rest of the list with the
            UI's defaults, which are ignored), or one value for each of FIELDS and then of INPUTS, which are not read here.
        changes: the settings that a cell of an X/Y/Z plot replaces, by name.
        is_img2img: whether the job has an image.

    Raises:
        SettingsError: a value is wrong, the list has the wrong length, or the values contradict each other.
    """
    changes = changes or {}
    is_dict = bool(args) and isinstance(args[0], Mapping)
    if is_dict:
        assert isinstance(args[0], Mapping)
        values = {**{name: value for name, value in args[0].items() if name not in INPUTS}, **changes}
    elif len(args) in (len(FIELDS), len(FIELDS) + len(INPUTS)):
        values = {**dict(zip(FIELDS, args)), **changes}
    else:
        raise SettingsError(f"args has {len(args)} entries: use a dict, or the {len(FIELDS)} values {', '.join(FIELDS)}")
    switches = _switches(values, changes, is_dict=is_dict, is_img2img=is_img2img)
    if not any(switches.values()):
        if not values.keys() & switches.keys():  # one may be misspelled
            Settings.from_mapping({name: value for name, value in values.items() if name not in FIELDS})
        return None
    settings = Settings.from_mapping({**values, **switches})
    if is_dict and "pick" in values and settings.pick >= 0 and settings.scorer != "pick":
        raise SettingsError(
            f"pick = {settings.pick} needs the scorer pick, and scorer = {settings.scorer!r}: use the scorer pick"
        )
    if not is_img2img and not settings.create:
        raise SettingsError("enabled is on and txt2img has no image to rectify toward: turn create on, or use img2img")
    return settings


def _switches(
    values: Mapping[str, object], changes: Mapping[str, object], *, is_dict: bool, is_img2img: bool
) -> dict[str, bool]:
    """`enabled` and `create` as they count."""
    switches = {name: FIELDS[name].parse(values.get(name, FIELDS[name].default)) for name in ("enabled", "create")}
    if is_dict and "enabled" not in values:
        return {**switches, "enabled": switches["create"]}
    master, other = ("enabled", "create") if is_img2img else ("create", "enabled")
    if not is_dict and not switches[master] and other not in changes:
        switches[other] = False
    return switches


def switch_forgotten(args: Sequence[object], changes: Mapping[str, object] | None = None) -> bool:
    """Whether an API dict or a grid's axes set settings of a plain job and no master switch, which may be an oversight."""
    named = {*(args[0] if args and isinstance(args[0], Mapping) else ()), *(changes or {})}
    return bool(named) and not named & {"enabled", "create"}


def images_from_args(args: Sequence[object]) -> ImageInputs:
    """Read the inputs of a job: by name from a dict as first item, or after the values of FIELDS.

    Raises:
        SettingsError, MediaError: an input has the wrong type, cannot be read, or names no frame.
    """
    if args and isinstance(args[0], Mapping):
        inputs = {name: args[0].get(name) for name in INPUTS}
    else:
        inputs = dict(zip(INPUTS, args[len(FIELDS) :]))
    inpaint_mask = inputs.get("inpaint_mask") or False
    if not isinstance(inpaint_mask, bool):
        raise SettingsError(f"inpaint_mask = {inpaint_mask!r:.80} is not a boolean: use true or false")
    masks = _images_by_frame("motion_mask", inputs.get("motion_mask"), one_for_all=True)
    if masks and inpaint_mask:
        raise SettingsError("inpaint_mask and motion_mask are both set: use one of them")
    return ImageInputs(_images_by_frame("key_frames", inputs.get("key_frames"), one_for_all=False), masks, inpaint_mask)


def _images_by_frame(name: str, value: Any, *, one_for_all: bool) -> dict[int, Image.Image]:
    if not value:
        return {}
    if isinstance(value, str):
        if not one_for_all:
            raise SettingsError(f"{name} is a string: use an object of frame numbers and base64 images")
        return {0: decode_image(name, value)}
    if len(value) > MAX_IMAGES:
        raise SettingsError(f"{name} has {len(value)} images: use at most {MAX_IMAGES}")
    if isinstance(value, Mapping):
        return {_frame(name, key): decode_image(f"{name}[{key!r:.20}]", text) for key, text in value.items()}
    by_frame = dict[int, Image.Image]()
    for file in value:
        # A file of the tab has a path that gradio chose. A string of a request has none: no path is read from a request.
        path = getattr(file, "name", None)
        if not isinstance(path, str):
            raise SettingsError(f"{name} contains a {type(file).__name__}: use an object of frame numbers and base64 images")
        number = frame_number(path)
        if number is None and not (one_for_all and len(value) == 1):
            raise SettingsError(
                f"{name} has the file {Path(path).name} without a frame number: end its name with one, such as boat-15.png"
            )
        frame = number or 0
        if frame in by_frame:
            raise SettingsError(f"{name} has frame {frame} twice: use one image for each frame")
        by_frame[frame] = _read(f"{name}, {Path(path).name},", path)
    return by_frame


def frame_number(path: str) -> int | None:
    """The number at the end of a file's name: 15 for boat-15.png."""
    number = re.search(r"(\d{1,6})$", Path(path).stem)
    return None if number is None else int(number[1])


def _frame(name: str, key: object) -> int:
    if not (isinstance(key, str) and re.fullmatch(r"\d{1,6}", key)):
        raise SettingsError(f'{name} has the frame {key!r:.80}: use a number such as "15"')
    return int(key)


def decode_image(name: str, text: object) -> Image.Image:
    """The image of a base64 string, with or without `data:image/png;base64,` before it; RGB, or RGBA if transparent.

    Raises:
        SettingsError, MediaError: `text` is no string, no base64, or no image.
    """
    if not isinstance(text, str):
        raise SettingsError(f"{name} is not a string: use an image in base64")
    try:
        content = base64.b64decode(text.split(",", 1)[1] if text.startswith("data:") else text, validate=True)
    except (ValueError, IndexError, binascii.Error):
        raise SettingsError(f"{name} is not base64: use an image in base64") from None
    return _read(name, io.BytesIO(content))


def read_image(image: Image.Image, name: str) -> Image.Image:
    """An image as the host treats its own: upright, without color profile, RGB, or RGBA if transparent."""
    return normalize(image, name, background=None, to_srgb=False)


def _read(name: str, source: Any) -> Image.Image:
    with open_image(source, name) as image:
        return read_image(image, name)

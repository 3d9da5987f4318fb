"""The images of an experiment and their captions: those of a folder, or scenes of the built-in model's world."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..core.errors import UserError
from ..media.metrics import Pixels
from ..tiny.world import held_out_scenes, pixels_of

MAX_CAPTION = 2000
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


@dataclass(frozen=True, eq=False)
class CaptionedImage:
    """An image in the size of the videos with its caption."""

    name: str
    caption: str  # one line
    pixels: Pixels  # [H, W, 3] uint8
    scene: tuple[int, int] | None = None  # in the built-in model's world: its scene's number, and how many were drawn

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 3 or self.pixels.shape[2] != 3:
            raise UserError(f"image {self.name} is {self.pixels.dtype} of shape {self.pixels.shape}: give uint8, [H, W, 3]")
        if not self.caption.strip():
            raise UserError(f"image {self.name} has an empty caption: write what should happen in it")
        if len(self.caption) > MAX_CAPTION or not self.caption.isprintable():
            raise UserError(f"the caption of image {self.name} is no plain text of up to {MAX_CAPTION} characters: change it")

    @property
    def id(self) -> str:
        """The name with eight hex digits of the pixels, so that a changed image of the same name is another one."""
        content = str(self.pixels.shape).encode() + np.ascontiguousarray(self.pixels).tobytes()
        return f"{self.name}-{hashlib.sha256(content).hexdigest()[:8]}"


def by_id(images: Sequence[CaptionedImage]) -> dict[str, CaptionedImage]:
    """The images by their `id`. Raises `UserError` if there are none, or two of the same name."""
    names = [image.name for image in images]
    double = sorted({name for name in names if names.count(name) > 1})
    if double or not images:
        raise UserError(f"two images are called {double[0]}: rename one" if double else "there are no images")
    return {image.id: image for image in images}


def scenes(count: int) -> list[CaptionedImage]:
    """First frames of scenes that the built-in model was not trained on."""
    held_out = held_out_scenes(count)
    pixels = pixels_of(held_out.render(torch.zeros(1))[:, 0])
    return [
        CaptionedImage(f"scene-{index:03d}", caption, image, (index, count))
        for index, (caption, image) in enumerate(zip(held_out.captions, pixels))
    ]


def images_in(folder: Path, read: Callable[[Path], Pixels]) -> list[CaptionedImage]:
    """The images of a folder, by name, with captions from `captions.json`, `captions.csv` or `<name>.txt` beside them.

    `captions.json` holds an object, file to caption; `captions.csv` has the columns `file` and `caption`. A file's ending may
    be left out. Of the three the first that exists counts, for every image. `read` gives a file's pixels, `[H, W, 3]` uint8
    in the videos' size. Raises `UserError` if the folder, its images or a caption are missing, two images have the same name,
    or a caption belongs to no image.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: give one with images and captions")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS)
    if not files:
        raise UserError(f"{folder} has no images: put files there that end in {', '.join(ENDINGS)}")
    captions = _captions(folder, files)
    for path in files:
        if not captions.get(path.stem, "").strip():
            raise UserError(f"{path.name} has no caption: write {path.stem}.txt, or list it in captions.json or captions.csv")
    # Line breaks of a text file are not part of the caption.
    images = [CaptionedImage(path.stem, " ".join(captions[path.stem].split()), read(path)) for path in files]
    by_id(images)
    return images


def _captions(folder: Path, files: list[Path]) -> dict[str, str]:
    """Captions by the image's name without its ending."""
    table, read = folder / "captions.json", _from_json
    if not table.is_file():
        table, read = folder / "captions.csv", _from_csv
    if not table.is_file():
        texts = [path.with_suffix(".txt") for path in files]
        return {path.stem: _text(path) for path in texts if path.is_file()}
    listed = read(table)
    stems = {path.name: path.stem for path in files} | {path.stem: path.stem for path in files}
    unknown = sorted(name for name in listed if name not in stems)
    if unknown:
        raise UserError(f"{table} has a caption for {unknown[0]}, which does not exist: remove it, or add the image")
    return {stems[name]: caption for name, caption in listed.items()}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path} is not a text in UTF-8: save it as UTF-8") from None


def _from_json(path: Path) -> dict[str, str]:
    text = _text(path)
    try:
        captions = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON ({error}): write an object, file to caption") from None
    if isinstance(captions, dict) and all(isinstance(caption, str) for caption in captions.values()):
        return captions
    raise UserError(f"{path} is not an object of texts: write an object, file to caption")


def _from_csv(path: Path) -> dict[str, str]:
    table = csv.DictReader(_text(path).splitlines(keepends=True))
    try:
        if {"file", "caption"} <= set(table.fieldnames or ()):
            return {line["file"]: line["caption"] or "" for line in table}
    except csv.Error as error:
        raise UserError(f"{path} is not CSV ({error}): write the columns file and caption") from None
    raise UserError(f"{path} has the columns {table.fieldnames}: name two of them file and caption")

"""The pictures of an experiment and their captions: from a folder, or as a list."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..media.metrics import Pixels
from .errors import EvaluationError

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture, `[H, W, 3]` uint8 of the size of the clips that are made from it, and its caption, one line."""

    name: str
    caption: str
    pixels: Pixels

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 3 or self.pixels.shape[2] != 3:
            raise EvaluationError(
                f"picture {self.name} is {self.pixels.dtype} of shape {self.pixels.shape}: give uint8, [H, W, 3]"
            )
        if not self.caption.strip():
            raise EvaluationError(f"picture {self.name} has an empty caption: write what should happen in it")

    @property
    def id(self) -> str:
        """The name with eight hex digits of the pixels: a picture that was changed under its name is another one."""
        content = str(self.pixels.shape).encode() + np.ascontiguousarray(self.pixels).tobytes()
        return f"{self.name}-{hashlib.sha256(content).hexdigest()[:8]}"


def by_id(pictures: Sequence[Picture]) -> dict[str, Picture]:
    """The pictures by their `id`.

    Raises:
        EvaluationError: there is none, or two have the same name.
    """
    names = [picture.name for picture in pictures]
    double = sorted({name for name in names if names.count(name) > 1})
    if double or not pictures:
        raise EvaluationError(f"two pictures are called {double[0]}: rename one" if double else "there are no pictures")
    return {picture.id: picture for picture in pictures}


def pictures_in(folder: Path, read: Callable[[Path], Pixels]) -> list[Picture]:
    """The pictures of a folder, by name, with captions from `captions.json`, `captions.csv` or `<name>.txt` beside them.

    Args:
        folder: `captions.json` holds an object, file to caption; `captions.csv` has the columns `file` and `caption`.
            A file may be written without its ending. Of the three the first that exists counts, for every picture.
        read: gives a file's pixels, `[H, W, 3]` uint8 in the size of the clips.

    Raises:
        EvaluationError: there is no such folder, it has no pictures or two of the same name, a caption is missing, or
            one belongs to no picture.
    """
    if not folder.is_dir():
        raise EvaluationError(f"{folder} is not a folder: give one with pictures and captions")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS)
    if not files:
        raise EvaluationError(f"{folder} has no pictures: put files there that end in {', '.join(ENDINGS)}")
    captions = _captions(folder, files)
    pictures = []
    for path in files:
        if not captions.get(path.stem, "").strip():
            raise EvaluationError(
                f"{path.name} has no caption: write {path.stem}.txt, or list it in captions.json or captions.csv"
            )
        # A text file's end of line is not part of the caption, and results are kept one to a line.
        pictures.append(Picture(path.stem, " ".join(captions[path.stem].split()), read(path)))
    by_id(pictures)
    return pictures


def _captions(folder: Path, files: list[Path]) -> dict[str, str]:
    """Captions by the picture's name without its ending."""
    table = folder / "captions.json"
    if table.is_file():
        listed = _from_json(table)
    elif (table := folder / "captions.csv").is_file():
        listed = _from_csv(table)
    else:
        texts = [path.with_suffix(".txt") for path in files]
        return {path.stem: path.read_text(encoding="utf-8") for path in texts if path.is_file()}
    stems = {path.name: path.stem for path in files} | {path.stem: path.stem for path in files}
    unknown = sorted(name for name in listed if name not in stems)
    if unknown:
        raise EvaluationError(
            f"{table} has a caption for {unknown[0]}, which is not there: remove it, or add the picture"
        )
    return {stems[name]: caption for name, caption in listed.items()}


def _from_json(path: Path) -> dict[str, str]:
    try:
        captions = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise EvaluationError(f"{path} is not JSON ({error}): write an object, file to caption") from None
    if not isinstance(captions, dict) or not all(isinstance(caption, str) for caption in captions.values()):
        raise EvaluationError(f"{path} is not an object of texts: write an object, file to caption")
    return captions


def _from_csv(path: Path) -> dict[str, str]:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        table = csv.DictReader(lines)
        if not {"file", "caption"} <= set(table.fieldnames or ()):
            raise EvaluationError(f"{path} has the columns {table.fieldnames}: name two of them file and caption")
        return {line["file"]: line["caption"] or "" for line in table}

"""A sheet that compares clips: the picture at the left, and every clip as a row of its frames with what was measured."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    Pixels: TypeAlias = NDArray[np.uint8]

FontOfSize: TypeAlias = "Callable[[int], Any]"
"""A scalable font of Pillow by its size in pixels."""
Row: TypeAlias = "tuple[str, Pixels, dict[str, float | str]]"
"""A clip of a sheet: its title, its frames `[F, H, W, 3]` uint8, and its figures by name."""

_MAX_WIDTH = 1800
_SMALLEST_TILE = 128
# All in pixels.
_MARGIN, _TILE_GAP, _PICTURE_GAP, _ROW_GAP, _FIGURE_GAP, _VALUE_GAP = 40, 6, 40, 28, 30, 7
_TITLE_SIZE, _TITLE_LINE, _TEXT_SIZE, _TEXT_LINE, _NUMBER_SIZE, _NUMBER_LINE = 20, 28, 16, 23, 15, 26
_NEXT_LINE = 20  # of a caption
_HEADER_GAP = 9
_INK, _GREY, _OUTLINE = "#1c1f24", "#6b7380", "#dfe2e6"
# Pillow's own font has ASCII and these; the letters of a formula are called by their names instead.
_ALSO_IN_FONT = "·…“”‘’"
_IN_ASCII = str.maketrans(
    {"ω": "omega", "τ": "tau", "σ": "sigma", "×": "x", "–": "-", "—": "-", "−": "-", "→": "->", "≤": "<=", "≥": ">="}
)


@dataclass(frozen=True)
class _Block:
    """What is drawn together: a title and figures over a line of tiles, each with a text below it."""

    left: int
    width: int
    title: str
    figures: dict[str, float | str]
    tiles: list[Image.Image]
    below: list[str]


def plain(text: str, keep: str = "") -> str:
    """`text` in ASCII and the characters of `keep`: Greek letters by name, accents dropped, `?` for what is left."""
    letters = ""
    for letter in text:
        parts = letter if letter in keep else unicodedata.normalize("NFKD", letter.translate(_IN_ASCII))
        kept = [part for part in parts if not unicodedata.combining(part)]
        letters += "".join(part if part.isascii() or part in keep else "?" for part in kept)
    return letters


def spaced_frames(count: int, columns: int) -> list[int]:
    """The indices of at most `columns` evenly spaced frames of `count`, the first and the last among them."""
    shown = min(count, columns)
    return [round(index * (count - 1) / max(shown - 1, 1)) for index in range(shown)]


def comparison_sheet(
    picture: Pixels,
    rows: Sequence[Row],
    columns: int = 8,
    *,
    captions: Sequence[Sequence[str]] | None = None,
    font: FontOfSize | None = None,
) -> Image.Image:
    """Draw a picture and what became of it.

    Small frames are enlarged by a whole factor with their pixels kept, and large ones are reduced, so that the sheet is at
    most 1800 pixels wide.

    Args:
        picture: `[H, W, 3]` uint8.
        rows: the clips. They may differ in their frames and in their size; all are drawn equally wide.
        columns: the most frames that are shown of a clip, 2 to 64.
        captions: for every row, what stands below each frame that is shown, in one line or several; their numbers if None.
        font: what all text is drawn with; Pillow's own font if None, which takes Pillow 10.1.

    Raises:
        ValueError: there is no row, a row has no frames, `columns` is out of range, or the captions do not fit the frames.
    """
    from PIL import Image

    _check(rows, columns)
    indices = [spaced_frames(len(frames), columns) for _, frames, _ in rows]
    if captions is None:
        captions = [["frame 0", *map(str, numbers[1:])] for numbers in indices]
    if list(map(len, captions)) != list(map(len, indices)):
        raise ValueError(
            f"captions are for {list(map(len, captions))} frames and {list(map(len, indices))} are shown: give one a frame"
        )
    font = font or _own_font
    shown = max(map(len, indices))
    tile_width = _tile_width(rows[0][1].shape[2], shown)
    strip_width = shown * (tile_width + _TILE_GAP) - _TILE_GAP
    strip_left = _MARGIN + tile_width + _PICTURE_GAP
    places, figure_lines = _figure_places([figures for _, _, figures in rows], strip_width, font)
    header = _TITLE_LINE + figure_lines * _TEXT_LINE + _HEADER_GAP

    below = f"{picture.shape[1]} x {picture.shape[0]}"
    picture_block = _Block(_MARGIN, tile_width, "Picture", {}, [_resized(picture, tile_width)], [below])
    blocks = []
    for (title, frames, figures), numbers, texts in zip(rows, indices, captions):
        tiles = [_resized(frames[index], tile_width) for index in numbers]
        blocks.append(_Block(strip_left, strip_width, title, figures, tiles, list(texts)))
    more_lines = max(text.count("\n") for block in blocks for text in block.below)
    heights = [header + block.tiles[0].height + _NUMBER_LINE + more_lines * _NEXT_LINE for block in blocks]
    heights[0] = max(heights[0], header + picture_block.tiles[0].height + _NUMBER_LINE)
    tops = [_MARGIN + sum(heights[:index]) + index * _ROW_GAP for index in range(len(rows))]

    sheet = Image.new("RGB", (strip_left + strip_width + _MARGIN, tops[-1] + heights[-1] + _MARGIN), "white")
    for block, top in zip([picture_block, *blocks], [tops[0], *tops]):
        _draw(block, sheet, top, header, places, font)
    return sheet


def _draw(
    block: _Block, sheet: Image.Image, top: int, header: int, places: dict[str, tuple[int, int]], font: FontOfSize
) -> None:
    from PIL import ImageDraw

    pen, text_font, number_font = ImageDraw.Draw(sheet), font(_TEXT_SIZE), font(_NUMBER_SIZE)
    pen.text((block.left, top), _fitted(block.title, block.width, font), fill=_INK, font=font(_TITLE_SIZE))
    for name, value in block.figures.items():
        x, line = places[name]
        left, text_top = block.left + x, top + _TITLE_LINE + line * _TEXT_LINE
        pen.text((left, text_top), _in_font(name), fill=_GREY, font=text_font)
        pen.text((left + _name_width(name, font), text_top), _value(value), fill=_INK, font=text_font)
    for index, (tile, text) in enumerate(zip(block.tiles, block.below)):
        x, y = block.left + index * (tile.width + _TILE_GAP), top + header
        pen.rectangle((x - 1, y - 1, x + tile.width, y + tile.height), outline=_OUTLINE)
        sheet.paste(tile, (x, y))
        for line, words in enumerate(text.split("\n")):
            middle = x + tile.width // 2, y + tile.height + 7 + line * _NEXT_LINE
            pen.text(middle, _in_font(words), fill=_GREY, font=number_font, anchor="ma")


def _check(rows: Sequence[Row], columns: int) -> None:
    if not rows:
        raise ValueError("rows is empty: use at least one video")
    if not 2 <= columns <= 64:
        raise ValueError(f"columns = {columns} is out of range: use 2 to 64")
    for title, frames, _ in rows:
        if frames.ndim != 4 or not frames.size:
            raise ValueError(f"the video {title!r} has the shape {list(frames.shape)}: use [F, H, W, 3]")


def _tile_width(frame_width: int, shown: int) -> int:
    room = (_MAX_WIDTH - 2 * _MARGIN - _PICTURE_GAP - (shown - 1) * _TILE_GAP) // (shown + 1)
    if frame_width > room:
        return room
    return frame_width * min(-(-_SMALLEST_TILE // frame_width), room // frame_width)


def _resized(pixels: Pixels, width: int) -> Image.Image:
    from PIL import Image

    image = Image.fromarray(pixels)
    whole_factor = width % image.width == 0
    # Enlarged smoothly, a small frame looks blurred by the model rather than by the sheet.
    method = Image.Resampling.NEAREST if whole_factor else Image.Resampling.LANCZOS
    return image.resize((width, max(1, round(image.height * width / image.width))), method)


def _figure_places(
    rows: Sequence[dict[str, float | str]], width: int, font: FontOfSize
) -> tuple[dict[str, tuple[int, int]], int]:
    """Where each figure stands, as (x, line), one below the other in all rows; and how many lines that takes."""
    names = list(dict.fromkeys(name for figures in rows for name in figures))
    places: dict[str, tuple[int, int]] = {}
    x = line = 0
    for name in names:
        values = [_value(figures[name]) for figures in rows if name in figures]
        needed = _name_width(name, font) + int(max(font(_TEXT_SIZE).getlength(value) for value in values)) + 1
        if x and x + needed > width:
            x, line = 0, line + 1
        places[name] = x, line
        x += needed + _FIGURE_GAP
    return places, line + 1 if names else 0


def _name_width(name: str, font: FontOfSize) -> int:
    return int(font(_TEXT_SIZE).getlength(_in_font(name))) + _VALUE_GAP


def _value(value: float | str) -> str:
    if isinstance(value, str):
        return _in_font(value)
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _in_font(text: str) -> str:
    return plain(text, keep=_ALSO_IN_FONT)


def _fitted(text: str, width: int, font: FontOfSize) -> str:
    """`text`, cut with an ellipsis where it is wider than `width`."""
    text, title_font = _in_font(text), font(_TITLE_SIZE)
    if title_font.getlength(text) <= width:
        return text
    while text and title_font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text.rstrip()}…"


def _own_font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)

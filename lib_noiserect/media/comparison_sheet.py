"""A sheet that compares videos: the image at the left, and for each video a row of frames with its measures."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from .images import Pixels

FontOfSize: TypeAlias = "Callable[[int], Any]"
"""Returns a scalable font of Pillow for a size in pixels."""
Row: TypeAlias = "tuple[str, Pixels, dict[str, float | str]]"
"""A video on the sheet: its title, its frames `[F, H, W, 3]` uint8, and its measures by name."""

_MAX_WIDTH = 1800
_SMALLEST_TILE = 128
# All in pixels.
_MARGIN, _TILE_GAP, _IMAGE_GAP, _ROW_GAP, _MEASURE_GAP, _VALUE_GAP = 40, 6, 40, 28, 30, 7
_TITLE_SIZE, _TITLE_LINE, _TEXT_SIZE, _TEXT_LINE, _NUMBER_SIZE, _NUMBER_LINE = 20, 28, 16, 23, 15, 26
_NEXT_LINE = 20  # of a caption
_HEADER_GAP = 9
_INK, _GRAY, _OUTLINE = "#1c1f24", "#6b7380", "#dfe2e6"
# Pillow's own font has ASCII and these; Greek letters are spelled out.
_ALSO_IN_FONT = "·…“”‘’"
_IN_ASCII = str.maketrans(
    {"ω": "omega", "τ": "tau", "σ": "sigma", "×": "x", "–": "-", "—": "-", "−": "-", "→": "->", "≤": "<=", "≥": ">="}
)


@dataclass(frozen=True)
class _Block:
    """A title and measures over a line of tiles, each with a text below it."""

    left: int
    width: int
    title: str
    measures: dict[str, float | str]
    tiles: list[Image.Image]
    below: list[str]


def plain(text: str) -> str:
    """`text` in the letters of Pillow's own font: Greek letters are spelled out, accents dropped, others become `?`."""
    letters = ""
    for letter in text:
        parts = letter if letter in _ALSO_IN_FONT else unicodedata.normalize("NFKD", letter.translate(_IN_ASCII))
        kept = [part for part in parts if not unicodedata.combining(part)]
        letters += "".join(part if part.isascii() or part in _ALSO_IN_FONT else "?" for part in kept)
    return letters


def spaced_frames(count: int, columns: int) -> list[int]:
    """The indices of at most `columns` evenly spaced frames of `count`, including the first and the last."""
    shown = min(count, columns)
    return [round(index * (count - 1) / max(shown - 1, 1)) for index in range(shown)]


def comparison_sheet(
    image: Pixels,
    rows: Sequence[Row],
    columns: int = 8,
    *,
    captions: Sequence[Sequence[str]] | None = None,
    font: FontOfSize | None = None,
) -> Image.Image:
    """Draw an image and the videos that were made of it.

    Small frames are enlarged by a whole factor without smoothing, and large ones are reduced: the sheet is at most 1800
    pixels wide.

    Args:
        image: `[H, W, 3]` uint8.
        rows: the videos, at least one. Their lengths and sizes may differ; all frames are drawn equally wide.
        columns: the largest number of frames per video, 2 to 64.
        captions: for each row, the text below each shown frame, in one line or several; frame numbers if None.
        font: the font of all text; Pillow's own font if None, which needs Pillow 10.1.
    """
    indices = [spaced_frames(len(frames), columns) for _, frames, _ in rows]
    if captions is None:
        captions = [["frame 0", *map(str, numbers[1:])] for numbers in indices]
    font = font or ImageFont.load_default
    shown = max(map(len, indices))
    tile_width = _tile_width(rows[0][1].shape[2], shown)
    strip_width = shown * (tile_width + _TILE_GAP) - _TILE_GAP
    strip_left = _MARGIN + tile_width + _IMAGE_GAP
    places, measure_lines = _measure_places([measures for _, _, measures in rows], strip_width, font)
    header = _TITLE_LINE + measure_lines * _TEXT_LINE + _HEADER_GAP

    below = f"{image.shape[1]} x {image.shape[0]}"
    image_block = _Block(_MARGIN, tile_width, "Image", {}, [_resized(image, tile_width)], [below])
    blocks = []
    for (title, frames, measures), numbers, texts in zip(rows, indices, captions):
        tiles = [_resized(frames[index], tile_width) for index in numbers]
        blocks.append(_Block(strip_left, strip_width, title, measures, tiles, list(texts)))
    more_lines = max(text.count("\n") for block in blocks for text in block.below)
    heights = [header + block.tiles[0].height + _NUMBER_LINE + more_lines * _NEXT_LINE for block in blocks]
    heights[0] = max(heights[0], header + image_block.tiles[0].height + _NUMBER_LINE)
    tops = [_MARGIN + sum(heights[:index]) + index * _ROW_GAP for index in range(len(rows))]

    sheet = Image.new("RGB", (strip_left + strip_width + _MARGIN, tops[-1] + heights[-1] + _MARGIN), "white")
    for block, top in zip([image_block, *blocks], [tops[0], *tops]):
        _draw(block, sheet, top, header, places, font)
    return sheet


def _draw(
    block: _Block, sheet: Image.Image, top: int, header: int, places: dict[str, tuple[int, int]], font: FontOfSize
) -> None:
    pen, text_font, number_font = ImageDraw.Draw(sheet), font(_TEXT_SIZE), font(_NUMBER_SIZE)
    pen.text((block.left, top), _fitted(block.title, block.width, font), fill=_INK, font=font(_TITLE_SIZE))
    for name, value in block.measures.items():
        x, line = places[name]
        left, text_top = block.left + x, top + _TITLE_LINE + line * _TEXT_LINE
        pen.text((left, text_top), plain(name), fill=_GRAY, font=text_font)
        pen.text((left + _name_width(name, font), text_top), _value(value), fill=_INK, font=text_font)
    for index, (tile, text) in enumerate(zip(block.tiles, block.below)):
        x, y = block.left + index * (tile.width + _TILE_GAP), top + header
        pen.rectangle((x - 1, y - 1, x + tile.width, y + tile.height), outline=_OUTLINE)
        sheet.paste(tile, (x, y))
        for line, words in enumerate(text.split("\n")):
            middle = x + tile.width // 2, y + tile.height + 7 + line * _NEXT_LINE
            pen.text(middle, plain(words), fill=_GRAY, font=number_font, anchor="ma")


def _tile_width(frame_width: int, shown: int) -> int:
    room = (_MAX_WIDTH - 2 * _MARGIN - _IMAGE_GAP - (shown - 1) * _TILE_GAP) // (shown + 1)
    if frame_width > room:
        return room
    return frame_width * min(-(-_SMALLEST_TILE // frame_width), room // frame_width)


def _resized(pixels: Pixels, width: int) -> Image.Image:
    image = Image.fromarray(pixels)
    whole_factor = width % image.width == 0
    # Enlarged smoothly, a small frame looks blurred by the model rather than by the sheet.
    method = Image.Resampling.NEAREST if whole_factor else Image.Resampling.LANCZOS
    return image.resize((width, max(1, round(image.height * width / image.width))), method)


def _measure_places(
    rows: Sequence[dict[str, float | str]], width: int, font: FontOfSize
) -> tuple[dict[str, tuple[int, int]], int]:
    """The place of each measure, (x, line), the same in all rows; and the number of lines."""
    names = list(dict.fromkeys(name for measures in rows for name in measures))
    places: dict[str, tuple[int, int]] = {}
    x = line = 0
    for name in names:
        values = [_value(measures[name]) for measures in rows if name in measures]
        needed = _name_width(name, font) + int(max(font(_TEXT_SIZE).getlength(value) for value in values)) + 1
        if x and x + needed > width:
            x, line = 0, line + 1
        places[name] = x, line
        x += needed + _MEASURE_GAP
    return places, line + 1 if names else 0


def _name_width(name: str, font: FontOfSize) -> int:
    return int(font(_TEXT_SIZE).getlength(plain(name))) + _VALUE_GAP


def _value(value: float | str) -> str:
    if isinstance(value, str):
        return plain(value)
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _fitted(text: str, width: int, font: FontOfSize) -> str:
    """`text`, shortened with an ellipsis if it is wider than `width`."""
    text, title_font = plain(text), font(_TITLE_SIZE)
    if title_font.getlength(text) <= width:
        return text
    while text and title_font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text.rstrip()}…"

"""A sheet that compares videos: the image at the left, and for each video a row of frames with its measures."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from .images import Pixels

Row: TypeAlias = "tuple[str, Pixels, dict[str, str]]"
"""A video on the sheet: its title, its frames `[F, H, W, 3]` uint8, and its measures by name."""

_MAX_WIDTH = 1800
_SMALLEST_TILE = 128
# All in pixels.
_MARGIN, _TILE_GAP, _IMAGE_GAP, _ROW_GAP, _MEASURE_GAP, _HEADER_GAP, _CAPTION_GAP = 40, 6, 40, 28, 30, 9, 7
_TITLE_SIZE, _TITLE_LINE, _TEXT_SIZE, _TEXT_LINE, _CAPTION_SIZE, _CAPTION_LINE = 20, 28, 16, 23, 15, 20
_INK, _GRAY, _OUTLINE = "#1c1f24", "#6b7380", "#dfe2e6"
# Pillow's own font has ASCII and these; Greek letters are spelled out.
_ALSO_IN_FONT = "·…“”‘’"
_IN_ASCII = str.maketrans(
    {"ω": "omega", "τ": "tau", "σ": "sigma", "×": "x", "–": "-", "—": "-", "−": "-", "→": "->", "≤": "<=", "≥": ">="}
)


def plain(text: str) -> str:
    """`text` in the letters of Pillow's own font: Greek letters are spelled out, accents dropped, others become `?`."""
    letters = unicodedata.normalize("NFD", text.translate(_IN_ASCII))
    kept = (letter for letter in letters if not unicodedata.combining(letter))
    return "".join(letter if letter.isascii() or letter in _ALSO_IN_FONT else "?" for letter in kept)


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
    font: Callable[[int], Any] = ImageFont.load_default,
) -> Image.Image:
    """Draw an image, `[H, W, 3]` uint8, and the videos that were made of it.

    Small frames are enlarged by a whole factor without smoothing, and large ones are reduced: the sheet is at most 1800
    pixels wide.

    Args:
        rows: the videos, at least one. Their lengths and sizes may differ; all frames are drawn equally wide.
        columns: the largest number of frames per video, 2 to 64.
        captions: for each row, the text below each shown frame, in one line or several; frame numbers if None.
        font: a scalable font of Pillow for a size in pixels. Pillow's own font needs Pillow 10.1.
    """
    blocks: list[Row] = [("Image", image[None], {}), *rows]
    indices = [spaced_frames(len(frames), columns) for _, frames, _ in blocks]
    if captions is None:
        captions = [["frame 0", *map(str, numbers[1:])] for numbers in indices[1:]]
    captions = [[f"{image.shape[1]} x {image.shape[0]}"], *captions]
    shown = max(map(len, indices))
    tile_width = _tile_width(rows[0][1].shape[2], shown)
    tiles = [[_resized(frames[i], tile_width) for i in numbers] for (_, frames, _), numbers in zip(blocks, indices)]
    title_font, text_font, caption_font = font(_TITLE_SIZE), font(_TEXT_SIZE), font(_CAPTION_SIZE)

    # Measures stand in columns of one width, so that rows can be compared.
    row_left, row_width = _MARGIN + tile_width + _IMAGE_GAP, shown * (tile_width + _TILE_GAP) - _TILE_GAP
    words = [plain(f"{name}  {value}") for _, _, measures in rows for name, value in measures.items()]
    measure_width = int(max(map(text_font.getlength, words), default=0)) + _MEASURE_GAP
    per_line = max((row_width + _MEASURE_GAP) // measure_width, 1)
    measure_lines = -(-max(len(measures) for _, _, measures in rows) // per_line)
    header = _TITLE_LINE + measure_lines * _TEXT_LINE + _HEADER_GAP
    tile_height = max(tile.height for row in tiles for tile in row)
    caption_lines = 1 + max(text.count("\n") for texts in captions for text in texts)
    row_height = header + tile_height + _CAPTION_GAP + caption_lines * _CAPTION_LINE

    height = 2 * _MARGIN + len(rows) * (row_height + _ROW_GAP) - _ROW_GAP
    sheet = Image.new("RGB", (row_left + row_width + _MARGIN, height), "white")
    pen = ImageDraw.Draw(sheet)
    for number, (title, _, measures) in enumerate(blocks):
        left = row_left if number else _MARGIN
        top = _MARGIN + max(number - 1, 0) * (row_height + _ROW_GAP)
        title = plain(title)
        while title_font.getlength(title) > row_width:
            title = f"{title[:-2]}…"
        pen.text((left, top), title, fill=_INK, font=title_font)
        for index, (name, value) in enumerate(measures.items()):
            x, y = left + index % per_line * measure_width, top + _TITLE_LINE + index // per_line * _TEXT_LINE
            pen.text((x, y), plain(name), fill=_GRAY, font=text_font)
            pen.text((x + int(text_font.getlength(plain(f"{name}  "))), y), plain(value), fill=_INK, font=text_font)
        for index, (tile, text) in enumerate(zip(tiles[number], captions[number])):
            x, y = left + index * (tile_width + _TILE_GAP), top + header
            pen.rectangle((x - 1, y - 1, x + tile.width, y + tile.height), outline=_OUTLINE)
            sheet.paste(tile, (x, y))
            below = x + tile_width // 2, y + tile.height + _CAPTION_GAP
            pen.text(below, plain(text), fill=_GRAY, font=caption_font, anchor="ma", align="center")
    return sheet


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

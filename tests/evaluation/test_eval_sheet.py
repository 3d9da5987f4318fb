"""The comparison sheet: which frames it shows, where they stand, and that it stays small enough to look at."""

import numpy as np
import pytest

from lib_noiserect.media.comparison_sheet import comparison_sheet, plain, spaced_frames

RED, GREEN = (255, 0, 0), (0, 160, 0)


def clip(frames, height, width, colour=GREEN):
    return np.full((frames, height, width, 3), colour, dtype=np.uint8)


def areas(sheet, colour):
    """Widths and heights of the runs of columns in which the colour stands, left to right."""
    found = (np.array(sheet) == colour).all(-1)
    columns = np.flatnonzero(found.any(0))
    runs = np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1)
    return [(len(run), int(found[:, run[0]].sum())) for run in runs]


@pytest.mark.parametrize(
    "count, columns, expected",
    [(16, 8, [0, 2, 4, 6, 9, 11, 13, 15]), (16, 2, [0, 15]), (9, 3, [0, 4, 8]), (5, 8, [0, 1, 2, 3, 4]), (1, 8, [0])],
)
def test_frames_are_evenly_spaced_from_first_to_last(count, columns, expected):
    assert spaced_frames(count, columns) == expected


def test_small_frames_are_enlarged_by_a_whole_factor():
    sheet = comparison_sheet(clip(1, 64, 64, RED)[0], [("Rectified", clip(16, 64, 64), {"fidelity": "0.98"})])
    assert areas(sheet, RED) == [(128, 128)]
    assert areas(sheet, GREEN) == [(128, 128)] * 8


def test_large_frames_are_reduced():
    rows = [("A", clip(8, 256, 512), {"fidelity": "0.5"}), ("B", clip(8, 256, 512, (0, 0, 255)), {"fidelity": "0.75"})]
    sheet = comparison_sheet(clip(1, 256, 512, RED)[0], rows)
    assert 1700 < sheet.width <= 1800
    widths = {width for width, _ in areas(sheet, GREEN) + areas(sheet, RED)}
    assert len(widths) == 1 and len(areas(sheet, GREEN)) == 8


def test_pixels_stay_apart_when_enlarged():
    board = np.indices((16, 16)).sum(0)[..., None] % 2 * np.full(3, 255, dtype=np.uint8)
    sheet = np.array(comparison_sheet(clip(1, 16, 16, RED)[0], [("Board", board[None].astype(np.uint8), {})]))
    top, left = np.argwhere((sheet == RED).all(-1))[0]
    tile = sheet[top : top + 128, left + 128 + 40 : left + 2 * 128 + 40]
    assert np.array_equal(tile, board.repeat(8, 0).repeat(8, 1))


def test_clips_of_different_length_and_size_share_a_sheet():
    rows = [("Long", clip(12, 8, 8), {}), ("Short and wide", clip(3, 8, 16, (0, 0, 255)), {"motion": "1.0"})]
    sheet = comparison_sheet(clip(1, 8, 8, RED)[0], rows, columns=6)
    assert areas(sheet, GREEN) == [(128, 128)] * 6
    assert areas(sheet, (0, 0, 255)) == [(128, 64)] * 3


def test_many_figures_take_more_lines_and_no_more_width():
    few, many = ({f"figure {index}": "1" for index in range(count)} for count in (1, 20))
    small, large = (comparison_sheet(clip(1, 8, 8)[0], [("Row", clip(2, 8, 8), figures)]) for figures in (few, many))
    assert small.width == large.width and small.height < large.height


def test_captions_take_the_place_of_the_numbers_and_as_many_lines_as_they_have():
    clips = [("A", clip(2, 8, 8), {}), ("B", clip(2, 8, 8), {})]
    below = [["frame 0\nSSIM 0.99", "frame 9"], ["frame 0", "frame 9"]]
    numbered, captioned = (comparison_sheet(clip(1, 8, 8)[0], clips, captions=texts) for texts in (None, below))
    assert captioned.height - numbered.height == 2 * 20 and captioned.width == numbered.width
    assert areas(captioned, GREEN)[1:] == [(128, 2 * 128)] * 2


def test_a_font_from_outside_draws_all_text():
    from PIL import ImageFont

    sizes = []

    def font(size):
        sizes.append(size)
        return ImageFont.load_default(size)

    rows = [("A", clip(2, 8, 8), {"motion": "1.0"})]
    assert comparison_sheet(clip(1, 8, 8)[0], rows, font=font) == comparison_sheet(clip(1, 8, 8)[0], rows)
    assert set(sizes) == {20, 16, 15}


def test_text_that_the_font_does_not_have():
    assert plain("ω = 0.5 × τ – café → ☃") == "omega = 0.5 x tau - cafe -> ?"
    assert plain("a · b …") == "a · b …"

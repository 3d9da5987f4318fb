"""Embedded color profiles, also those of printing, on the command line's and the pipelines' way to an image."""

import struct

import numpy as np
import pytest
from PIL import Image
from test_images import display_p3

from lib_noiserect.media.images import read_image


def cmyk_profile():
    """A press whose black ink covers all, and whose other inks are gray: L = 50 for cyan, magenta and yellow alike.

    One table of two points for each ink, from CMYK to Lab (ICC.1:2001, lut8Type); L = 100 is white paper.
    """
    corners = [[c, m, y, k] for c in (0, 1) for m in (0, 1) for y in (0, 1) for k in (0, 1)]
    lightness = [0 if k else 255 if c + m + y == 0 else 128 for c, m, y, k in corners]
    ramp = bytes(range(256))
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
    table += ramp * 4 + b"".join(bytes([level, 128, 128]) for level in lightness) + ramp * 3
    table += b"\0" * (-len(table) % 4)
    size = 128 + 4 + 12 + len(table)
    header = struct.pack(">I4xI4s4s4s12x4s", size, 0x02400000, b"prtr", b"CMYK", b"Lab ", b"acsp")
    header += b"\0" * (68 - len(header)) + struct.pack(">3i", 63190, 65536, 54061)
    return header + b"\0" * (128 - len(header)) + struct.pack(">I4sII", 1, b"A2B0", 144, len(table)) + table


def test_a_cmyk_profile_is_applied(tmp_path):
    """L = 100 · 128/255 = 50.2 is 119 to 120 in sRGB; without its profile, cyan would be (0, 255, 255)."""
    image = Image.new("CMYK", (3, 1))
    image.putdata([(0, 0, 0, 0), (255, 0, 0, 0), (0, 0, 0, 255)])
    for ending in ("tiff", "jpg"):
        options = {"quality": 100} if ending == "jpg" else {}
        image.resize((48, 16), Image.Resampling.NEAREST).save(
            tmp_path / f"press.{ending}", icc_profile=cmyk_profile(), **options
        )
        white, cyan, black = read_image(tmp_path / f"press.{ending}")[8, [8, 24, 40]].astype(int)
        assert white.min() >= 253 and black.max() <= 3
        assert np.abs(cyan - 120).max() <= 2


def test_the_pipelines_apply_profiles_too():
    """sRGB's red is (234, 51, 35) in Display P3; the pipelines take [-1, 1]."""
    preprocess = pytest.importorskip("lib_noiserect.pipelines.latents").preprocess
    image = Image.new("RGB", (8, 8), (234, 51, 35))
    image.info["icc_profile"] = display_p3()
    red = (preprocess(image, 8, 8)[0, :, 0, 0] + 1) * 127.5
    assert np.abs(red.numpy() - (255, 0, 0)).max() <= 1

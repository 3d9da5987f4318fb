"""Images of every kind are read as a viewer shows them, and wrong input is named. The numbers are worked out by hand."""

import io
import logging
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from lib_noiserect.media.images import MediaError, fit_image, image_of, normalize, open_image, read_image, read_mask

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


@pytest.fixture
def frames():
    """Five different frames of 9 × 12 pixels with many colors."""
    return np.random.default_rng(0).integers(0, 256, (5, 9, 12, 3), dtype=np.uint8)


def saved(image, path, **options):
    image.save(path, **options)
    return path


def row_of(mode, *pixels):
    image = Image.new(mode, (len(pixels), 1))
    image.putdata(pixels)
    return image


def pixels_of(image):
    """The pixels of the first row or column, as tuples or numbers."""
    pixels = np.asarray(image)
    return [tuple(pixel) if np.ndim(pixel) else pixel for pixel in pixels.reshape(-1, *pixels.shape[2:]).tolist()]


def turned(image):
    """EXIF orientation 6: the camera was turned, and viewers turn the image by 90° clockwise."""
    exif = Image.Exif()
    exif[0x0112] = 6
    image.info["exif"] = exif.tobytes()
    return image


def display_p3():
    """An ICC profile of Display P3: Pillow's own of sRGB, under another name and with the primaries of P3 (D50)."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    primaries = {
        b"rXYZ": (0.51512, 0.24120, -0.00105),
        b"gXYZ": (0.29198, 0.69225, 0.04189),
        b"bXYZ": (0.15710, 0.06657, 0.78407),
    }
    for index in range(struct.unpack_from(">I", profile, 128)[0]):
        tag, offset, _ = struct.unpack_from(">4sII", profile, 132 + 12 * index)
        if tag in primaries:
            struct.pack_into(">3i", profile, offset + 8, *(round(value * 65536) for value in primaries[tag]))
    return bytes(profile).replace("sRGB".encode("utf-16-be"), "P3  ".encode("utf-16-be"))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "LA", "1", "I;16", "CMYK"])
def test_any_mode_becomes_rgb(tmp_path, mode):
    gray = Image.new("L", (4, 3), 255)
    image = Image.fromarray(np.full((3, 4), 65535, dtype=np.uint16)) if mode == "I;16" else gray.convert(mode)
    pixels = read_image(saved(image, tmp_path / "image.tiff"))
    assert pixels.shape == (3, 4, 3) and pixels.dtype == np.uint8
    assert (pixels == 255).all()


def test_plain_rgb_stays_as_it_is(tmp_path, frames):
    for image in (Image.fromarray(frames[0]), open_image(saved(Image.fromarray(frames[0]), tmp_path / "a.png"), "a")):
        for background in ("white", "black", None):
            read = normalize(image, "image", background=background)
            assert read.mode == "RGB" and np.array_equal(np.asarray(read), frames[0])


def test_16_bits_are_scaled_and_not_clipped(tmp_path):
    """257 · 100 = 25700 is 100; 300 / 257 = 1.17 is 1, and not the white of a mask."""
    values = np.array([[0, 257, 300, 25700, 65535]], dtype=np.uint16)
    for ending in ("png", "tiff"):
        path = saved(Image.fromarray(values), tmp_path / f"deep.{ending}")
        assert read_image(path)[0].tolist() == [[0] * 3, [1] * 3, [1] * 3, [100] * 3, [255] * 3]
        assert read_mask(path).tolist() == [[0, 1, 1, 100, 255]]


def test_16_bit_color_is_scaled(tmp_path):
    """A PNG of one pixel, (65535, 25700, 300), written by hand since Pillow writes no 16-bit color."""
    import zlib

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" + struct.pack(">3H", 65535, 25700, 300))
    (tmp_path / "deep.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )
    assert read_image(tmp_path / "deep.png").tolist() == [[[255, 100, 1]]]


def test_a_transparent_gray_of_16_bits(tmp_path):
    values = np.array([[0, 257, 65535]], dtype=np.uint16)
    path = saved(Image.fromarray(values), tmp_path / "deep.png", transparency=257)
    assert read_image(path)[0].tolist() == [[0] * 3, [255] * 3, [255] * 3]
    assert read_mask(path).tolist() == [[0, 0, 255]]


def test_pixels_of_no_known_range_are_refused(tmp_path):
    path = saved(Image.fromarray(np.array([[0.0, 0.5]], dtype=np.float32)), tmp_path / "deep.tiff")
    with pytest.raises(MediaError, match=r"deep.tiff has pixel values from 0 to 0.5 in mode 'F': save it with"):
        read_image(path)
    path = saved(Image.fromarray(np.array([[0, 255]], dtype=np.int32)), tmp_path / "long.tiff")
    with pytest.raises(MediaError, match=r"long.tiff has pixel values from 0 to 255 in mode 'I': save it with 8 or 16"):
        read_image(path)
    with pytest.raises(MediaError, match=r"mine has pixel values from 0 to 255 in mode 'I'"):
        normalize(Image.fromarray(np.array([[0, 255]], dtype=np.int32)), "mine")


def test_transparency_is_the_background(tmp_path):
    """Black at 51/255: a fifth of it over white is 255 · 0.8 = 204; over black it is 0."""
    path = saved(row_of("RGBA", (*RED, 255), (*RED, 0), (0, 0, 0, 51)), tmp_path / "alpha.png")
    assert read_image(path)[0].tolist() == [list(RED), list(WHITE), [204, 204, 204]]
    image = open_image(path, "image")
    assert pixels_of(normalize(image, "image", background="#0000ff")) == [RED, BLUE, (0, 0, 204)]
    kept = normalize(image, "image", background=None)
    assert kept.mode == "RGBA" and pixels_of(kept) == [(*RED, 255), (*RED, 0), (0, 0, 0, 51)]


@pytest.mark.parametrize("transparency", [1, b"\xff\x00"])
def test_a_palettes_transparent_color_is_the_background(tmp_path, transparency):
    image = row_of("P", 0, 1)
    image.putpalette([*RED, *BLUE])
    path = saved(image, tmp_path / "palette.png", transparency=transparency)
    assert read_image(path)[0].tolist() == [list(RED), list(WHITE)]
    assert pixels_of(normalize(open_image(path, "image"), "image", background="lime")) == [RED, GREEN]


def test_a_transparent_mask_is_black(tmp_path):
    path = saved(row_of("LA", (255, 255), (255, 0), (255, 51)), tmp_path / "mask.png")
    assert read_mask(path).tolist() == [[255, 0, 51]]


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tiff"])
def test_exif_turns_the_image(tmp_path, ending):
    image = Image.new("RGB", (32, 16), RED)
    image.paste(BLUE, (16, 0, 32, 16))
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = read_image(saved(image, tmp_path / f"turned.{ending}", exif=exif)).astype(int)
    assert pixels.shape == (32, 16, 3)
    assert np.abs(pixels[4, 8] - RED).max() < 3 and np.abs(pixels[28, 8] - BLUE).max() < 3


def test_a_second_reading_changes_nothing():
    """What was turned and converted once is not turned and converted again."""
    image = turned(row_of("RGB", (234, 51, 35), (234, 51, 35)))
    image.info["icc_profile"] = display_p3()
    once = normalize(image, "image")
    again = normalize(once, "image")
    assert once.size == again.size == (1, 2) and pixels_of(once) == pixels_of(again)


def test_damaged_exif_is_left_out(tmp_path):
    image = row_of("RGB", RED, BLUE)
    image.info["exif"] = b"Exif\0\0damaged"
    assert pixels_of(normalize(image, "image")) == [RED, BLUE]


def test_colors_are_converted_to_srgb(tmp_path):
    """sRGB's red is (0.9175, 0.2003, 0.1387) in Display P3, and 255 times that is (234, 51, 35)."""
    image = row_of("RGB", (234, 51, 35), WHITE, (128, 128, 128))
    for ending in ("png", "tiff"):
        path = saved(image, tmp_path / f"p3.{ending}", icc_profile=display_p3())
        red, white, gray = read_image(path)[0].astype(int)
        assert np.abs(red - RED).max() <= 1 and white.tolist() == [255] * 3 and np.abs(gray - 128).max() <= 1
        kept = normalize(open_image(path, "image"), "image", to_srgb=False)
        assert pixels_of(kept) == pixels_of(image)


def test_transparency_and_a_profile_together(tmp_path):
    path = saved(row_of("RGBA", (234, 51, 35, 255), (*BLUE, 0)), tmp_path / "p3.png", icc_profile=display_p3())
    red, clear = read_image(path)[0].astype(int)
    assert np.abs(red - RED).max() <= 1 and clear.tolist() == list(WHITE)


def test_profiles_that_change_nothing(tmp_path, frames, caplog):
    """sRGB itself; a profile of another color space, which an earlier conversion left; and a damaged one, with a note."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    for profile in (srgb, lab):
        path = saved(Image.fromarray(frames[0]), tmp_path / "a.png", icc_profile=profile)
        assert np.array_equal(read_image(path), frames[0]) and not caplog.records
    path = saved(Image.fromarray(frames[0]), tmp_path / "damaged.png", icc_profile=b"damaged")
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(read_image(path), frames[0])
    assert "damaged.png has a damaged color profile" in caplog.text


def test_arrays():
    """0.5 · 255 = 127.5 is rounded to the even 128; 25700 of 65535 is 100."""
    assert pixels_of(image_of(np.array([[[255, 0, 0], [0, 0, 255]]], dtype=np.uint8), "x")) == [RED, BLUE]
    assert pixels_of(image_of(np.array([[0.0, 0.5, 1.0]]), "x")) == [0, 128, 255]
    assert pixels_of(image_of(np.array([[True, False]]), "x")) == [255, 0]
    assert pixels_of(image_of(np.array([[[65535, 25700, 300]]], dtype=np.uint16), "x")) == [(255, 100, 1)]
    assert pixels_of(image_of(np.array([[[7]]], dtype=np.uint8), "x")) == [7]


@pytest.mark.parametrize(
    "values, message",
    [
        (
            np.array([[0.0, 1.5]]),
            r"mine is float64 of shape \(1, 2\) with values from 0 to 1.5: use \[0, 1\], or uint8",
        ),
        (np.array([[-0.1, 1.0]], dtype=np.float32), "with values from -0.1 to 1"),
        (np.array([[float("nan"), 1.0]]), "with values from nan to nan"),
        (np.array([[255]]), r"mine is int64 of shape \(1, 1\): use uint8, uint16 or floating-point"),
        (np.zeros((3, 8, 8)), r"of shape \(3, 8, 8\): use \[H, W, 3\]"),
        (np.zeros((0, 8, 3), np.uint8), r"of shape \(0, 8, 3\)"),
        (np.zeros(3), r"of shape \(3,\)"),
    ],
)
def test_arrays_of_another_kind(values, message):
    with pytest.raises(MediaError, match=message):
        image_of(values, "mine")


def test_resizing_crops_around_the_center(tmp_path):
    """A wide image of three squares, asked for as a square."""
    image = Image.new("RGB", (24, 8), RED)
    image.paste(GREEN, (8, 0, 16, 8))
    image.paste(BLUE, (16, 0, 24, 8))
    path = saved(image, tmp_path / "wide.png")
    pixels = read_image(path, width=8, height=8)
    assert pixels.shape == (8, 8, 3) and (pixels == GREEN).all()
    assert read_image(path, width=4, height=6).shape == (6, 4, 3)
    assert read_image(path, width=12).shape == (4, 12, 3)
    assert read_image(path, height=16).shape == (16, 48, 3)
    assert read_image(path).shape == (8, 24, 3)


@pytest.mark.parametrize("size", [{"width": 0}, {"height": -1}, {"width": 100_000, "height": 100_000}])
def test_impossible_sizes(size):
    with pytest.raises(MediaError, match="use at"):
        fit_image(Image.new("RGB", (8, 8)), **size)


def test_no_image_there(tmp_path):
    with pytest.raises(MediaError, match="missing.png does not exist: use an image file"):
        read_image(tmp_path / "missing.png")
    with pytest.raises(MediaError, match="is a folder: use one image file"):
        read_image(tmp_path)
    with pytest.raises(MediaError, match="cannot be read .File name too long."):
        read_image(tmp_path / ("x" * 300))
    (tmp_path / "text.png").write_text("no image", encoding="utf-8")
    with pytest.raises(MediaError, match="text.png is not an image that can be read: use PNG, JPEG"):
        read_image(tmp_path / "text.png")


@pytest.mark.parametrize("ending", ["eps", "ico", "ppm", "tga"])
def test_other_formats_stay_closed(tmp_path, ending):
    with pytest.raises(MediaError, match="is not an image that can be read: use PNG, JPEG, WebP, BMP, GIF or TIFF"):
        read_image(saved(Image.new("RGB", (16, 16)), tmp_path / f"other.{ending}"))


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "gif"])
def test_a_truncated_image(tmp_path, frames, ending):
    path = saved(Image.fromarray(np.tile(frames[0], (8, 8, 1))), tmp_path / f"whole.{ending}")
    cut = tmp_path / f"cut.{ending}"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(MediaError, match=rf"cut.{ending} (cannot be read|is not an image)"):
        read_image(cut)
    with pytest.raises(MediaError, match="bytes (cannot be read|is not an image)"):
        normalize(open_image(io.BytesIO(cut.read_bytes()), "bytes"), "bytes")


@pytest.mark.parametrize("ending", ["gif", "webp", "png", "tiff"])
def test_an_animated_image(tmp_path, frames, ending):
    first, *others = map(Image.fromarray, frames)
    path = saved(first, tmp_path / f"moving.{ending}", save_all=True, append_images=others)
    with pytest.raises(MediaError, match=rf"moving.{ending} has 5 frames: save one of them"):
        read_image(path)


def test_a_phones_photo_with_a_second_image(tmp_path, frames):
    first, second, *_ = map(Image.fromarray, frames)
    path = saved(first, tmp_path / "photo.jpg", format="MPO", save_all=True, append_images=[second])
    assert read_image(path).shape == (9, 12, 3)


def test_too_many_pixels_are_refused_before_decoding(tmp_path, monkeypatch):
    path = saved(Image.new("1", (9000, 8000)), tmp_path / "large.png")
    monkeypatch.setattr(Image.Image, "load", lambda image: pytest.fail("decoded"))
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda image: pytest.fail("decoded"))
    with pytest.raises(MediaError, match=r"large.png has 9000 x 8000 = 72.0 megapixels: use at most 64"):
        read_image(path)


def test_pillows_own_limit_is_an_error_of_ours_too(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(MediaError, match="bomb.png is too large: use an image of at most 64 megapixels"):
        read_image(saved(Image.new("RGB", (9, 9)), tmp_path / "bomb.png"))

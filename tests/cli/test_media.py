"""Pictures of every kind are read as what a viewer shows, clips come back as they were written, and wrong input is named."""

import sys

import numpy as np
import pytest
from PIL import Image, ImageSequence

from lib_noiserect.cli.errors import UsageError
from lib_noiserect.media import images as media
from lib_noiserect.media.images import check_output, read_picture, write_clip

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


@pytest.fixture
def clip():
    """Five different frames of 9 × 12 pixels with many colours."""
    return np.random.default_rng(0).integers(0, 256, (5, 9, 12, 3), dtype=np.uint8)


def saved(image, path, **options):
    image.save(path, **options)
    return path


def frames_of(path):
    with Image.open(path) as image:
        return np.stack([np.array(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)])


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "LA", "1", "I;16", "CMYK"])
def test_any_mode_becomes_rgb(tmp_path, mode):
    grey = Image.new("L", (4, 3), 255)
    image = Image.fromarray(np.full((3, 4), 65535, dtype=np.uint16)) if mode == "I;16" else grey.convert(mode)
    picture = read_picture(saved(image, tmp_path / "picture.tiff"))
    assert picture.shape == (3, 4, 3) and picture.dtype == np.uint8
    assert (picture == 255).all()


def test_16_bits_are_scaled_and_not_cut(tmp_path):
    values = np.array([[0, 257, 25700, 65535]], dtype=np.uint16)
    for ending in ("png", "tiff"):
        picture = read_picture(saved(Image.fromarray(values), tmp_path / f"deep.{ending}"))
        assert picture[0].tolist() == [[0] * 3, [1] * 3, [100] * 3, [255] * 3]


def test_floating_point_pixels_are_refused(tmp_path):
    path = saved(Image.fromarray(np.array([[0.0, 0.5]], dtype=np.float32)), tmp_path / "deep.tiff")
    with pytest.raises(UsageError, match=r"deep.tiff has pixel values from 0 to 0.5 in mode 'F': save it as"):
        read_picture(path)


def test_transparency_is_white(tmp_path):
    image = Image.new("RGBA", (3, 1))
    image.putdata([(*RED, 255), (*RED, 0), (0, 0, 0, 51)])
    picture = read_picture(saved(image, tmp_path / "alpha.png"))
    assert picture[0].tolist() == [list(RED), list(WHITE), [204, 204, 204]]


def test_a_palettes_transparent_colour_is_white(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *BLUE])
    image.putdata([0, 1])
    picture = read_picture(saved(image, tmp_path / "palette.png", transparency=1))
    assert picture[0].tolist() == [list(RED), list(WHITE)]


def test_exif_turns_the_picture(tmp_path):
    """Orientation 6: the camera was turned, and the picture is shown turned by 90° clockwise."""
    image = Image.new("RGB", (2, 1))
    image.putdata([RED, BLUE])
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = read_picture(saved(image, tmp_path / "turned.png", exif=exif))
    assert picture.tolist() == [[list(RED)], [list(BLUE)]]


def test_resizing_cuts_the_middle_out(tmp_path):
    """A wide picture of three squares, asked for as a square."""
    image = Image.new("RGB", (24, 8), RED)
    image.paste(GREEN, (8, 0, 16, 8))
    image.paste(BLUE, (16, 0, 24, 8))
    path = saved(image, tmp_path / "wide.png")
    picture = read_picture(path, width=8, height=8)
    assert picture.shape == (8, 8, 3) and (picture == GREEN).all()
    assert read_picture(path, width=4, height=6).shape == (6, 4, 3)
    assert read_picture(path, width=12).shape == (4, 12, 3)
    assert read_picture(path, height=16).shape == (16, 48, 3)
    assert read_picture(path).shape == (8, 24, 3)


@pytest.mark.parametrize("size", [{"width": 0}, {"height": -1}, {"width": 100_000, "height": 100_000}])
def test_impossible_sizes(tmp_path, size):
    with pytest.raises(UsageError, match="use at"):
        read_picture(saved(Image.new("RGB", (8, 8)), tmp_path / "picture.png"), **size)


def test_no_picture_there(tmp_path):
    with pytest.raises(UsageError, match="missing.png does not exist: give a picture file"):
        read_picture(tmp_path / "missing.png")
    with pytest.raises(UsageError, match="is a folder: give one picture file"):
        read_picture(tmp_path)
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(UsageError, match="text.png is not a picture: give a PNG"):
        read_picture(tmp_path / "text.png")


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "gif"])
def test_a_truncated_picture(tmp_path, clip, ending):
    path = saved(Image.fromarray(np.tile(clip[0], (8, 8, 1))), tmp_path / f"whole.{ending}")
    cut = tmp_path / f"cut.{ending}"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(UsageError, match=rf"cut.{ending} (cannot be read|is not a picture)"):
        read_picture(cut)


@pytest.mark.parametrize("ending", ["gif", "webp", "png", "tiff"])
def test_an_animated_picture(tmp_path, clip, ending):
    first, *others = map(Image.fromarray, clip)
    path = saved(first, tmp_path / f"moving.{ending}", save_all=True, append_images=others)
    with pytest.raises(UsageError, match=rf"moving.{ending} has 5 frames: give one frame"):
        read_picture(path)


def test_a_phones_photograph_with_a_second_picture(tmp_path, clip):
    first, second, *_ = map(Image.fromarray, clip)
    path = saved(first, tmp_path / "photograph.jpg", format="MPO", save_all=True, append_images=[second])
    assert read_picture(path).shape == (9, 12, 3)


def test_too_many_pixels_are_refused_before_decoding(tmp_path, monkeypatch):
    path = saved(Image.new("1", (9000, 8000)), tmp_path / "large.png")
    monkeypatch.setattr(Image.Image, "load", lambda image: pytest.fail("decoded"))
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda image: pytest.fail("decoded"))
    with pytest.raises(UsageError, match=r"large.png has 9000 x 8000 = 72.0 megapixels: use at most 64"):
        read_picture(path)


def test_pillows_own_limit_is_a_usage_error_too(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(UsageError, match="bomb.png is too large: give a picture of at most 64 megapixels"):
        read_picture(saved(Image.new("RGB", (9, 9)), tmp_path / "bomb.png"))


def test_pngs_are_exact(tmp_path, clip):
    write_clip(clip, tmp_path / "frames")
    names = [f"frame_{index:04d}.png" for index in range(5)]
    assert sorted(path.name for path in (tmp_path / "frames").iterdir()) == names
    np.testing.assert_array_equal([read_picture(tmp_path / "frames" / name) for name in names], clip)


def test_gif_and_webp_keep_frames_size_and_time(tmp_path, clip):
    for ending in (".gif", ".webp"):
        write_clip(clip, tmp_path / f"clip{ending}", fps=8, scale=3)
        shown = frames_of(tmp_path / f"clip{ending}")
        assert shown.shape == (5, 27, 36, 3)
        with Image.open(tmp_path / f"clip{ending}") as image:
            assert image.info["loop"] == 0
    np.testing.assert_array_equal(shown, clip.repeat(3, axis=1).repeat(3, axis=2), "small WebP is lossless")
    with Image.open(tmp_path / "clip.gif") as image:
        durations = [frame.info["duration"] for frame in ImageSequence.Iterator(image)]
    assert set(durations) == {120, 130} and abs(sum(durations) - 5 * 125) <= 5


@pytest.mark.parametrize("colours", [1, 2, 255])
def test_a_gif_of_few_colours_is_exact(tmp_path, clip, colours):
    palette = np.random.default_rng(1).permutation(256 * 3).reshape(256, 3).astype(np.uint8)[:colours]
    few = palette[clip[..., 0] % colours]
    write_clip(few, tmp_path / "clip.gif")
    np.testing.assert_array_equal(frames_of(tmp_path / "clip.gif"), few if colours > 1 else few[:1])


def test_a_gifs_colours_do_not_flicker():
    """One pixel in a corner changes; everything else has the same colour index in every frame."""
    still = np.random.default_rng(2).integers(0, 256, (1, 40, 40, 3), dtype=np.uint8).repeat(6, axis=0)
    still[:, 0, 0] = np.arange(6)[:, None] * 50
    indices, palette = media._quantized(still)
    assert (indices[:, 1:] == indices[:1, 1:]).all() and len(palette) <= 255
    distances = ((palette[None].astype(int) - still[0].reshape(-1, 1, 3)) ** 2).sum(-1)
    np.testing.assert_array_equal(distances.min(1), distances[np.arange(1600), indices[0].ravel()])


def test_mp4(tmp_path, clip):
    av = pytest.importorskip("av")
    grey = np.full((5, 31, 45, 3), 128, dtype=np.uint8)
    grey[2] = 60
    write_clip(grey, tmp_path / "clip.mp4", fps=12)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        stream = container.streams.video[0]
        shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert (stream.average_rate, stream.codec_context.pix_fmt) == (12, "yuv420p")
    assert np.shape(shown) == (5, 32, 46, 3)
    np.testing.assert_allclose([frame.mean() for frame in shown], [128, 128, 60, 128, 128], atol=3)


def test_an_mp4s_colours(tmp_path):
    av = pytest.importorskip("av")
    write_clip(np.full((3, 32, 32, 3), (200, 40, 30), dtype=np.uint8), tmp_path / "clip.mp4")
    with av.open(str(tmp_path / "clip.mp4")) as container:
        frame = next(container.decode(video=0))
        assert int(frame.colorspace) == 1, "BT.709 is named in the file"
        shown = frame.reformat(format="rgb24", src_colorspace="ITU709").to_ndarray()
    np.testing.assert_allclose(shown[16, 16], (200, 40, 30), atol=4)


def test_mp4_without_av_is_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UsageError, match="an MP4 clip needs av .*: run  python -m pip install av"):
        check_output(tmp_path / "new" / "clip.mp4")
    assert not (tmp_path / "new").exists()


def test_check_output_makes_the_folder(tmp_path):
    for name in ("clip.gif", "CLIP.WEBP", "frames"):
        check_output(tmp_path / "deep" / "er" / name)
    assert list((tmp_path / "deep" / "er").iterdir()) == []


@pytest.mark.parametrize(
    "name, message",
    [
        ("clip.avi", "unknown ending '.avi': use .gif, .webp, .mp4, or none for a folder of PNGs"),
        ("clip.png", "unknown ending '.png'"),
        ("folder.gif", "is a folder: give the name of a file"),
        ("file", "is a file: give the name of a new folder"),
        ("full", "is not empty: give the name of a new folder"),
        ("file/clip.gif", "the folder .*file cannot be made"),
    ],
)
def test_impossible_outputs(tmp_path, clip, name, message):
    (tmp_path / "folder.gif").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    (tmp_path / "file").touch()
    for function in (check_output, lambda path: write_clip(clip, path)):
        with pytest.raises(UsageError, match=message):
            function(tmp_path / name)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"fps": 0}, "fps = 0 is not possible for clip.gif: use 0.1 to 50"),
        ({"fps": float("nan")}, "fps = nan"),
        ({"fps": 60}, "use 0.1 to 50"),
        ({"scale": 0}, "scale = 0 is not possible for this clip: use 1 to 1365"),
        ({"scale": 1366}, "scale = 1366"),
    ],
)
def test_impossible_speeds_and_sizes(tmp_path, clip, options, message):
    with pytest.raises(UsageError, match=message):
        write_clip(clip, tmp_path / "clip.gif", **options)


@pytest.mark.parametrize(
    "frames", [np.zeros((2, 4, 4)), np.zeros((4, 4, 3), np.uint8), np.zeros((0, 4, 4, 3), np.uint8)]
)
def test_frames_of_another_kind_are_a_mistake_of_the_program(tmp_path, frames):
    with pytest.raises(ValueError, match=r"use uint8 \[F, H, W, 3\]"):
        write_clip(frames, tmp_path / "clip.gif")


@pytest.mark.parametrize("name", ["clip.gif", "frames"])
def test_a_failed_write_leaves_what_was_there(tmp_path, clip, monkeypatch, name):
    write_clip(clip[:1], tmp_path / "clip.gif")
    before = (tmp_path / "clip.gif").read_bytes()

    def fail_half_way(image, path, **options):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail_half_way)
    with pytest.raises(UsageError, match=rf"{name} cannot be written \(No space left on device\)"):
        write_clip(clip, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.gif"]
    assert (tmp_path / "clip.gif").read_bytes() == before


def test_an_existing_clip_is_replaced(tmp_path, clip):
    (tmp_path / "frames").mkdir()
    for name in ("clip.gif", "clip.gif", "frames"):
        write_clip(clip, tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.gif", "frames"]

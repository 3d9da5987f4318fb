"""Videos come back as they were written, and wrong input is named."""

import struct
import sys

import numpy as np
import pytest
from PIL import Image, ImageSequence

from lib_noiserect.core.errors import MissingPackageError
from lib_noiserect.media import videos as media
from lib_noiserect.media.images import MediaError, read_image
from lib_noiserect.media.videos import check_output, read_video, write_video


@pytest.fixture
def video():
    """Five different frames of 9 × 12 pixels with many colors."""
    return np.random.default_rng(0).integers(0, 256, (5, 9, 12, 3), dtype=np.uint8)


def frames_of(path):
    with Image.open(path) as image:
        return np.stack([np.array(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)])


def test_pngs_are_exact(tmp_path, video):
    write_video(video, tmp_path / "frames")
    names = [f"frame_{index:04d}.png" for index in range(5)]
    assert sorted(path.name for path in (tmp_path / "frames").iterdir()) == names
    np.testing.assert_array_equal([read_image(tmp_path / "frames" / name) for name in names], video)


def test_gif_and_webp_keep_frames_size_and_time(tmp_path, video):
    for ending in (".gif", ".webp"):
        write_video(video, tmp_path / f"clip{ending}", fps=8, scale=3)
        shown = frames_of(tmp_path / f"clip{ending}")
        assert shown.shape == (5, 27, 36, 3)
        with Image.open(tmp_path / f"clip{ending}") as image:
            assert image.info["loop"] == 0
    np.testing.assert_array_equal(shown, video.repeat(3, axis=1).repeat(3, axis=2), "small WebP is lossless")
    with Image.open(tmp_path / "clip.gif") as image:
        durations = [frame.info["duration"] for frame in ImageSequence.Iterator(image)]
    assert set(durations) == {120, 130} and abs(sum(durations) - 5 * 125) <= 5


@pytest.mark.parametrize("colors", [1, 2, 255])
def test_a_gif_of_few_colors_is_exact(tmp_path, video, colors):
    palette = np.random.default_rng(1).permutation(256 * 3).reshape(256, 3).astype(np.uint8)[:colors]
    few = palette[video[..., 0] % colors]
    write_video(few, tmp_path / "clip.gif")
    np.testing.assert_array_equal(frames_of(tmp_path / "clip.gif"), few if colors > 1 else few[:1])


def test_a_gifs_colors_do_not_flicker():
    """One pixel in a corner changes; everything else has the same color index in every frame."""
    still = np.random.default_rng(2).integers(0, 256, (1, 40, 40, 3), dtype=np.uint8).repeat(6, axis=0)
    still[:, 0, 0] = np.arange(6)[:, None] * 50
    indices, palette = media._quantized(still)
    assert (indices[:, 1:] == indices[:1, 1:]).all() and len(palette) <= 255
    distances = ((palette[None].astype(int) - still[0].reshape(-1, 1, 3)) ** 2).sum(-1)
    np.testing.assert_array_equal(distances.min(1), distances[np.arange(1600), indices[0].ravel()])


def test_mp4(tmp_path, video):
    av = pytest.importorskip("av")
    grey = np.full((5, 31, 45, 3), 128, dtype=np.uint8)
    grey[2] = 60
    write_video(grey, tmp_path / "clip.mp4", fps=12)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        stream = container.streams.video[0]
        shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert (stream.average_rate, stream.codec_context.pix_fmt) == (12, "yuv420p")
    assert np.shape(shown) == (5, 32, 46, 3)
    np.testing.assert_allclose([frame.mean() for frame in shown], [128, 128, 60, 128, 128], atol=3)


def test_an_mp4s_colors(tmp_path):
    av = pytest.importorskip("av")
    write_video(np.full((3, 32, 32, 3), (200, 40, 30), dtype=np.uint8), tmp_path / "clip.mp4")
    with av.open(str(tmp_path / "clip.mp4")) as container:
        frame = next(container.decode(video=0))
        assert int(frame.colorspace) == 1, "BT.709 is named in the file"
        shown = frame.reformat(format="rgb24", src_colorspace="ITU709").to_ndarray()
    np.testing.assert_allclose(shown[16, 16], (200, 40, 30), atol=4)


def turned_by_its_matrix(path):
    """The MP4 with a display matrix of 90° clockwise, as a phone writes it: the 2 × 3 numbers are 16.16, the last 2.30."""
    content = path.read_bytes()
    track = content.index(b"tkhd")
    identity = struct.pack(">9I", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    at = content.index(identity, track)
    clockwise = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 32 << 16, 0, 1 << 30)
    path.write_bytes(content[:at] + clockwise + content[at + len(clockwise) :])


def test_a_phones_video_is_upright(tmp_path):
    """Stored wide, white at the left; turned clockwise, the left becomes the top."""
    pytest.importorskip("av")
    wide = np.zeros((3, 32, 64, 3), dtype=np.uint8)
    wide[:, :, :32] = 255
    write_video(wide, tmp_path / "phone.mp4")
    turned_by_its_matrix(tmp_path / "phone.mp4")
    upright = read_video(tmp_path / "phone.mp4", 3, 8, 32, 64)
    assert upright[:, :24].mean() > 240 and upright[:, 40:].mean() < 15


def test_mp4_without_av_is_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingPackageError, match="writing an MP4 video needs av .*: run  python -m pip install av"):
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
        ("folder.gif", "is a folder: use the name of a file"),
        ("file", "is a file: use the name of a new folder"),
        ("full", "is not empty: use the name of a new folder"),
        ("file/clip.gif", "the folder .*file cannot be made"),
    ],
)
def test_impossible_outputs(tmp_path, video, name, message):
    (tmp_path / "folder.gif").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    (tmp_path / "file").touch()
    for function in (check_output, lambda path: write_video(video, path)):
        with pytest.raises(MediaError, match=message):
            function(tmp_path / name)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"fps": 0}, "fps = 0 is out of range for clip.gif: use 0.1 to 50"),
        ({"fps": float("nan")}, "fps = nan"),
        ({"fps": 60}, "use 0.1 to 50"),
        ({"scale": 0}, "scale = 0 is out of range for 5 frames of 12x9, 0 megapixels in all: use 1 to 486"),
        ({"scale": 1366}, "scale = 1366"),
    ],
)
def test_impossible_speeds_and_sizes(tmp_path, video, options, message):
    with pytest.raises(MediaError, match=message):
        write_video(video, tmp_path / "clip.gif", **options)


@pytest.mark.parametrize("frames", [np.zeros((2, 4, 4)), np.zeros((4, 4, 3), np.uint8), np.zeros((0, 4, 4, 3), np.uint8)])
def test_frames_of_another_kind_are_a_mistake_of_the_program(tmp_path, frames):
    with pytest.raises(ValueError, match=r"use uint8 \[F, H, W, 3\]"):
        write_video(frames, tmp_path / "clip.gif")


@pytest.mark.parametrize("name", ["clip.gif", "frames"])
def test_a_failed_write_leaves_what_was_there(tmp_path, video, monkeypatch, name):
    write_video(video[:1], tmp_path / "clip.gif")
    before = (tmp_path / "clip.gif").read_bytes()

    def fail_half_way(image, path, **options):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail_half_way)
    with pytest.raises(MediaError, match=rf"{name} cannot be written \(No space left on device\): use another place$"):
        write_video(video, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.gif"]
    assert (tmp_path / "clip.gif").read_bytes() == before


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("another kind")])
def test_a_failed_write_keeps_the_frames(tmp_path, video, monkeypatch, error):
    def fail(frames, path, fps):
        raise error

    monkeypatch.setattr(media, "_write_gif", fail)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(MediaError, match=r"clip.gif cannot be written .*; the frames are in ") as caught:
        write_video(video, tmp_path / "new" / "clip.gif", scale=2)
    kept = sorted(next(tmp_path.glob("noise-rectification-*")).glob("frames/*"))
    assert str(kept[0].parent) in str(caught.value)
    np.testing.assert_array_equal([read_image(path) for path in kept], video)


def test_an_existing_clip_is_replaced(tmp_path, video):
    (tmp_path / "frames").mkdir()
    for name in ("clip.gif", "clip.gif", "frames"):
        write_video(video, tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.gif", "frames"]


@pytest.mark.parametrize("ending", [".gif", ".webp", ".mp4"])
def test_frames_are_taken_at_the_rate_that_is_asked_for(ending, tmp_path):
    gray = np.arange(20, 220, 10, dtype=np.uint8)[:, None, None, None].repeat(16, 1).repeat(16, 2).repeat(3, 3)
    write_video(gray, tmp_path / f"clip{ending}", 20)
    for fps, stride in ((20, 1), (10, 2), (30, 1), (5, 4)):
        read = read_video(tmp_path / f"clip{ending}", 4, fps, 16, 16)
        assert read.shape == (4, 16, 16, 3) and read.dtype == np.uint8
        assert np.abs(read.mean((1, 2, 3)) - gray[: 4 * stride : stride, 0, 0, 0]).max() < 4


def test_frames_are_cropped_around_their_center(tmp_path):
    wide = np.zeros((3, 16, 48, 3), dtype=np.uint8)
    wide[:, :, 16:32] = np.array([200, 210, 220])[:, None, None, None]
    write_video(wide, tmp_path / "wide.webp")
    assert (read_video(tmp_path / "wide.webp", 3, 8, 16, 16) > 180).mean() > 0.85


def test_files_that_are_no_videos(tmp_path, video):
    write_video(video[:4].repeat(2, axis=1).repeat(2, axis=2), tmp_path / "short.mp4")
    (tmp_path / "text.mp4").write_text("no video", encoding="utf-8")
    whole = (tmp_path / "short.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 3])
    (tmp_path / "text.webp").write_text("no video", encoding="utf-8")
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\n" + str(tmp_path / "short.mp4") + "\n#EXT-X-ENDLIST\n"
    (tmp_path / "list.m3u8").write_text(playlist, encoding="utf-8")
    (tmp_path / "readme.txt").write_text("A terminal full of letters, as FFmpeg would draw it.\n" * 100, encoding="utf-8")
    for name, message in (
        ("list.m3u8", "no video that can be read"),
        ("readme.txt", "no video that can be read"),
        ("short.mp4", "too short: 4 of 5 frames"),
        ("text.mp4", "no video that can be read"),
        ("cut.mp4", "no video that can be read"),
        ("text.webp", "no video that can be read"),
    ):
        with pytest.raises(MediaError, match=message):
            read_video(tmp_path / name, 5, 8, 16, 16)

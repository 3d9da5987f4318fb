"""Reads and writes videos: GIF, WebP, MP4 and folders of PNGs."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageSequence

from ..core.errors import UserError, need
from .files import check_writable, replacing
from .images import MAX_MEGAPIXELS, MediaError, Pixels, fit_image, normalize

ENDINGS = (".gif", ".webp", ".mp4")
# The smallest limit of all formats: WebP's width and height.
_MAX_SIDE = 16383
# Pixels of all frames of an enlarged video: writing a GIF takes up to 50 bytes for each.
_MAX_ENLARGED = 128_000_000
# Players show a GIF's frames of less than 20 ms for 100 ms instead.
_MIN_FPS, _MAX_FPS, _MAX_GIF_FPS = 0.1, 240, 50
# Pillow uses the last of a GIF's 256 colors for "as in the frame before".
_GIF_COLORS = 255
# Of larger videos, lossless WebP makes files that are several times as large and look the same.
_LOSSLESS_PIXELS = 16 * 256 * 256
# FFmpeg also draws text files as terminals, and follows playlists to other files and addresses.
_CONTAINERS = "mov,mp4,matroska,webm,avi,gif,mpegts,mpeg,flv,ogg,asf"


def read_video(path: Path, frames: int, fps: float, width: int, height: int) -> Pixels:
    """The first `frames` frames of a video at about `fps` frames per second, `[F, height, width, 3]` uint8, upright.

    As in the authors' code, every round(rate/fps)-th frame is taken from the first on; here frames are cropped around their
    center, where theirs are stretched. Reads animated WebP, and the containers of `_CONTAINERS` through FFmpeg.

    Raises `MediaError` if the file is no video, damaged, too short or too large; the message does not name the file.
    """
    read: list[Pixels] = []
    try:
        for image in (_frames_of_webp if path.suffix.lower() == ".webp" else _frames_of)(path, frames, fps):
            if image.width * image.height > MAX_MEGAPIXELS * 1e6:
                raise MediaError(f"{image.width}x{image.height} is more than {MAX_MEGAPIXELS} megapixels")
            read.append(np.array(fit_image(image, width, height)))
    except UserError:
        raise
    except Exception as error:  # each decoder raises errors of its own
        raise MediaError(f"no video that can be read ({str(error)[:60]})") from error
    if len(read) < frames:
        raise MediaError(f"too short: {len(read)} of {frames} frames at {fps:g} per second")
    return np.stack(read)


def _frames_of(path: Path, frames: int, fps: float) -> Iterator[Image.Image]:
    """The frames as RGB images, as many as there are."""
    av = need("av", "av", "reading video files")
    options = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}
    with av.open(str(path), options=options) as container:
        if not container.streams.video:
            raise MediaError("the file has no video stream")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        stride = max(1, round(float(stream.average_rate or fps) / fps))
        for frame in islice(container.decode(stream), 0, (frames - 1) * stride + 1, stride):
            # Phones store the frames as the sensor lies, and beside them by how much players turn them.
            turn = getattr(frame, "rotation", 0)
            yield frame.to_image().rotate(turn, expand=True) if turn else frame.to_image()


def _frames_of_webp(path: Path, frames: int, fps: float) -> Iterator[Image.Image]:
    with Image.open(path, formats=["WEBP"]) as image:
        image.load()
        stride = max(1, round(1000 / (image.info.get("duration") or 1000 / fps) / fps))
        for index, frame in enumerate(islice(ImageSequence.Iterator(image), 0, (frames - 1) * stride + 1, stride)):
            yield normalize(frame, f"frame {index * stride}")


def check_output(path: Path | str, fps: float = 8) -> None:
    """Refuse early a path or a rate that `write_video` would refuse, and make the folder that the video goes into.

    Raises `MediaError` for an unknown ending, a folder that cannot be made, a path that is taken by something else, or a
    rate that the format cannot have, and `MissingPackageError` if the format needs a package that is not installed.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending and ending not in ENDINGS:
        raise MediaError(
            f"{path} has the unknown ending {path.suffix!r}: use {', '.join(ENDINGS)}, or none for a folder of PNGs"
        )
    if ending and path.is_dir():
        raise MediaError(f"{path} is a folder: use the name of a file")
    if not ending and path.exists() and not path.is_dir():
        raise MediaError(f"{path} is a file: use the name of a new folder, or one of the endings {', '.join(ENDINGS)}")
    if not ending and path.is_dir() and any(path.iterdir()):
        raise MediaError(f"{path} is not empty: use the name of a new folder for the PNGs")
    most_fps = _MAX_GIF_FPS if ending == ".gif" else _MAX_FPS
    if not _MIN_FPS <= fps <= most_fps:
        raise MediaError(f"fps = {fps:g} is out of range for {path.name}: use {_MIN_FPS} to {most_fps}")
    if ending == ".mp4":
        av = need("av", "av", "writing an MP4 video")
        try:
            av.Codec("h264", "w")
        except av.error.FFmpegError as error:
            raise MediaError(f"av has no H.264 encoder ({error}): use {ENDINGS[0]} or {ENDINGS[1]}") from error
    check_writable(path)


def check_scale(width: int, height: int, scale: int, frames: int) -> None:
    """Raises `MediaError` for a factor that makes frames too large for the formats, or all of them for the memory."""
    largest = min(_MAX_SIDE // max(width, height), math.isqrt(_MAX_ENLARGED // (frames * width * height)))
    if not 1 <= scale <= max(largest, 1):
        raise MediaError(
            f"scale = {scale} is out of range for {frames} frames of {width}x{height}, "
            f"{frames * width * height * scale**2 / 1e6:.0f} megapixels in all: use 1 to {max(largest, 1)}"
        )


def write_video(frames: Pixels, path: Path | str, fps: float = 8, scale: int = 1) -> None:
    """Write a video, `[F, H, W, 3]` uint8, in the format of the path's ending, whole or not at all; it replaces a file.

    GIF and WebP repeat forever, and show equal neighboring frames as one that stays longer. All frames of a GIF share one
    palette and are not dithered, so that still areas do not flicker; up to 255 colors are kept exactly. A path without an
    ending becomes a folder of `frame_0000.png`, `frame_0001.png` …

    `fps` is 0.1 to 50 frames per second for a GIF and to 240 for the others; a folder does not store it. `scale` is the side
    of the square that each pixel becomes, from 1. Raises `MediaError` if one of them or `path` is not possible, or the file
    cannot be written; then the frames are in a temporary folder, which the message names.
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or not frames.size or str(frames.dtype) != "uint8":
        raise ValueError(f"frames = {frames.dtype} {list(frames.shape)} is no video: use uint8 [F, H, W, 3]")
    path = Path(path)
    check_output(path, fps)
    check_scale(frames.shape[2], frames.shape[1], scale, len(frames))
    write = {".gif": _write_gif, ".webp": _write_webp, ".mp4": _write_mp4}.get(path.suffix.lower(), _write_pngs)
    try:
        with replacing(path) as unfinished:
            write(frames.repeat(scale, axis=1).repeat(scale, axis=2), unfinished, fps)
    except Exception as error:
        try:
            rescue = Path(tempfile.mkdtemp(prefix="noise-rectification-"), "frames")
            _write_pngs(frames, rescue, fps)
        except OSError:
            raise error from None
        problem = error if isinstance(error, MediaError) else f"{path} cannot be written ({error}): use another format"
        raise MediaError(f"{problem}; the frames are in {rescue}") from error


def _write_pngs(frames: Pixels, folder: Path, fps: float) -> None:
    folder.mkdir()
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"frame_{index:04d}.png")


def _write_gif(frames: Pixels, path: Path, fps: float) -> None:
    indices, palette = _quantized(frames)
    colors = palette.tobytes()
    first, *others = [Image.fromarray(frame) for frame in indices]
    for image in (first, *others):
        image.putpalette(colors)
    times = _milliseconds(len(frames), fps, unit=10)
    first.save(path, save_all=True, append_images=others, duration=times, loop=0, palette=colors, optimize=True)


def _quantized(frames: Pixels) -> tuple[Pixels, Pixels]:
    """The index of each pixel's nearest color, `[F, H, W]`, in one palette for all frames, `[n, 3]` with n up to 255."""
    packed = frames.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.uint32)
    codes, positions = np.unique(packed, return_inverse=True)
    colors = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1).astype(np.uint8)
    if len(colors) <= _GIF_COLORS:
        palette, nearest = colors, np.arange(len(colors))
    else:
        sample = frames.reshape(-1, 3)[:: max(1, packed.size // 1_000_000)]
        reduced = Image.fromarray(sample[None]).quantize(_GIF_COLORS, Image.Quantize.MEDIANCUT, kmeans=1)
        palette = np.unique(np.array(reduced.getpalette(), dtype=np.uint8).reshape(-1, 3)[:_GIF_COLORS], axis=0)
        # Pillow's own search for the nearest color drops the lower bits, which increases the error by half.
        points = palette.astype(np.float32)
        blocks = np.array_split(colors.astype(np.float32), len(colors) // 65536 + 1)
        nearest = np.concatenate([((points**2).sum(1) - 2 * block @ points.T).argmin(1) for block in blocks])
    return nearest.astype(np.uint8)[positions].reshape(packed.shape), palette


def _write_webp(frames: Pixels, path: Path, fps: float) -> None:
    first, *others = [Image.fromarray(frame) for frame in frames]
    quality: dict[str, Any] = {"lossless": True} if frames[..., 0].size <= _LOSSLESS_PIXELS else {"quality": 90}
    durations = _milliseconds(len(frames), fps, unit=1)
    first.save(path, save_all=True, append_images=others, duration=durations, loop=0, **quality)


def _milliseconds(count: int, fps: float, unit: int) -> list[int]:
    """How long each frame is shown, in multiples of `unit` ms; rounding errors do not add up over the video."""
    ends = [round(1000 * (index + 1) / fps / unit) * unit for index in range(count)]
    return [end - begin for begin, end in zip([0, *ends], ends)]


def _write_mp4(frames: Pixels, path: Path, fps: float) -> None:
    av = need("av", "av", "writing an MP4 video")
    height, width = frames.shape[1:3]
    # Every player has H.264 with yuv420p, which needs even sizes.
    even = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("h264", rate=Fraction(fps).limit_denominator(1000), options={"crf": "15"})
        stream.height, stream.width = even.shape[1:3]
        stream.pix_fmt = "yuv420p"
        # Without these, players guess and show different colors: 1 is BT.709, and the limited range.
        codec = stream.codec_context
        codec.colorspace = codec.color_primaries = codec.color_trc = codec.color_range = 1
        for pixels in even:
            rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            yuv = rgb.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            container.mux(stream.encode(yuv))
        container.mux(stream.encode())

"""Pictures in and clips out: files that people have, and files that people can play."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..cli.errors import UsageError, optional_package

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    Pixels = NDArray[np.uint8]

MAX_MEGAPIXELS = 64
ENDINGS = (".gif", ".webp", ".mp4")
# The smallest of what the formats can hold: WebP's width and height.
_MAX_SIDE = 16383
# Players show a GIF's frames of less than 20 ms for 100 ms instead.
_MIN_FPS, _MAX_FPS, _MAX_GIF_FPS = 0.1, 240, 50
# One of a GIF's 256 colours is left to Pillow, which writes "as in the frame before" with it.
_GIF_COLOURS = 255
# Of larger clips, lossless WebP makes files that are several times as large and look the same.
_LOSSLESS_PIXELS = 16 * 256 * 256


def read_picture(
    path: Path | str, width: int | None = None, height: int | None = None, *, ground: str = "white"
) -> Pixels:
    """A picture file, upright, as 8-bit RGB on white: `[H, W, 3]` uint8.

    Args:
        path: any still picture that Pillow reads.
        width, height: pixels. With both, the middle of the picture is cut out in their proportions and resized (Lanczos);
            with one, the other follows from the picture.
        ground: what is where the picture is transparent.

    Raises:
        UsageError: the file is missing, a folder, no picture, damaged, animated or over 64 megapixels, has floating-point
            pixels, or the size asked for is not possible.
    """
    import numpy as np
    from PIL import Image, ImageOps, UnidentifiedImageError

    path = Path(path)
    if not path.exists():
        raise UsageError(f"{path} does not exist: give a picture file")
    if path.is_dir():
        raise UsageError(f"{path} is a folder: give one picture file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below is lower than Pillow's
            image = Image.open(path)
    except Image.DecompressionBombError:
        raise UsageError(f"{path} is too large: give a picture of at most {MAX_MEGAPIXELS} megapixels") from None
    except UnidentifiedImageError:
        raise UsageError(f"{path} is not a picture: give a PNG, JPEG or WebP file") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror or error}): give a readable picture file") from None
    with image:
        _check_megapixels(str(path), *image.size)
        try:
            _check_one_frame(image, path)
            picture = _on_ground(ImageOps.exif_transpose(image), path, ground)
        except UsageError:
            raise
        except Exception as error:  # what a decoder raises is up to the damage
            raise UsageError(f"{path} cannot be read ({error}): give a whole PNG, JPEG or WebP file") from error
    size = _asked_size(picture.size, width, height)
    if size != picture.size:
        picture = ImageOps.fit(picture, size, Image.Resampling.LANCZOS)
    return np.array(picture)


def _check_megapixels(name: str, width: int, height: int) -> None:
    megapixels = width * height / 1e6
    if megapixels > MAX_MEGAPIXELS:
        raise UsageError(f"{name} has {width} x {height} = {megapixels:.1f} megapixels: use at most {MAX_MEGAPIXELS}")


def _check_one_frame(image: Image.Image, path: Path) -> None:
    frames = getattr(image, "n_frames", 1)
    # A phone's photograph (MPO) has more of them, a depth map or another lens, and the first is the photograph.
    if frames > 1 and image.format != "MPO":
        raise UsageError(f"{path} has {frames} frames: give one frame of it, as a picture file")


def _on_ground(image: Image.Image, path: Path, ground: str) -> Image.Image:
    """`image` of any mode as RGB, with the colour `ground` where it is transparent."""
    import numpy as np
    from PIL import Image

    if image.mode.startswith(("I", "F")):  # Pillow's own conversion cuts these at 255 instead of scaling them
        values = np.asarray(image)
        low, high = values.min(), values.max()
        if image.mode == "F" or low < 0 or high > 65535:
            raise UsageError(
                f"{path} has pixel values from {low:g} to {high:g} in mode {image.mode!r}: "
                "save it as a picture of 8 or 16 bits"
            )
        return Image.fromarray((values / 257.0).round().astype(np.uint8)).convert("RGB")
    if "transparency" not in image.info and not image.mode.endswith(("A", "a")):
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, ground), rgba).convert("RGB")


def _asked_size(size: tuple[int, int], width: int | None, height: int | None) -> tuple[int, int]:
    for name, value in (("width", width), ("height", height)):
        if value is not None and value < 1:
            raise UsageError(f"{name} = {value} is not possible: use at least 1 pixel")
    own_width, own_height = size
    if width is None:
        width = own_width if height is None else max(1, round(own_width * height / own_height))
    if height is None:
        height = max(1, round(own_height * width / own_width))
    _check_megapixels("the size asked for", width, height)
    return width, height


def same_shape(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two sizes, width and height, have the same proportions, but for rounding to pixels."""
    return abs(one[0] * other[1] - one[1] * other[0]) <= max(*one, *other)


def check_output(path: Path | str) -> None:
    """Refuse early what `write_clip` could not write, and make the folder that the clip goes into.

    Raises:
        UsageError: an unknown ending, a folder that cannot be made, a place that is taken by something else, or
            a format that needs a package that is not installed.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending and ending not in ENDINGS:
        raise UsageError(
            f"{path} has the unknown ending {path.suffix!r}: use {', '.join(ENDINGS)}, or none for a folder of PNGs"
        )
    if ending and path.is_dir():
        raise UsageError(f"{path} is a folder: give the name of a file")
    if not ending and path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file: give the name of a new folder, or one of the endings {', '.join(ENDINGS)}")
    if not ending and path.is_dir() and any(path.iterdir()):
        raise UsageError(f"{path} is not empty: give the name of a new folder for the PNGs")
    if ending == ".mp4":
        av = optional_package("av", "av", "an MP4 clip")
        try:
            av.Codec("h264", "w")
        except av.error.FFmpegError as error:
            raise UsageError(f"av has no H.264 encoder ({error}): use {ENDINGS[0]} or {ENDINGS[1]}") from error
    make_folder(path.parent)


def make_folder(folder: Path) -> None:
    """Make a folder and its parents. Raises `UsageError` where that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"the folder {folder} cannot be made ({error.strerror}): give another place") from error
    if not os.access(folder, os.W_OK):
        raise UsageError(f"the folder {folder} is write-protected: give another place")


def write_clip(frames: Pixels, path: Path | str, fps: float = 8, scale: int = 1) -> None:
    """Write a clip in the format of the path's ending, whole or not at all; an existing file is replaced.

    GIF and WebP loop for ever, and show equal neighbouring frames as one that stays longer. All frames of a GIF share one
    palette and are not dithered, so that what stands still does not flicker; up to 255 colours are kept exactly. A path
    without an ending becomes a folder of `frame_0000.png`, `frame_0001.png` …

    Args:
        frames: `[F, H, W, 3]` uint8.
        path: as `check_output` allows.
        fps: frames a second, 0.1 to 50 for a GIF and to 240 for the others; a folder does not hold it.
        scale: how many pixels wide and high a pixel is drawn, from 1.

    Raises:
        UsageError: `path`, `fps` or `scale` is not possible, or the file cannot be written.
        ValueError: `frames` has another shape or type.
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or not frames.size or str(frames.dtype) != "uint8":
        raise ValueError(f"frames = {frames.dtype} {list(frames.shape)} is no clip: use uint8 [F, H, W, 3]")
    path = Path(path)
    check_output(path)
    ending = path.suffix.lower()
    most_fps = _MAX_GIF_FPS if ending == ".gif" else _MAX_FPS
    if not _MIN_FPS <= fps <= most_fps:
        raise UsageError(f"fps = {fps:g} is not possible for {path.name}: use {_MIN_FPS} to {most_fps}")
    if scale < 1 or scale * max(frames.shape[1:3]) > _MAX_SIDE:
        largest = _MAX_SIDE // max(frames.shape[1:3])
        raise UsageError(f"scale = {scale} is not possible for this clip: use 1 to {largest}")
    write = {".gif": _write_gif, ".webp": _write_webp, ".mp4": _write_mp4}.get(ending, _write_pngs)
    with replacing(path) as unfinished:
        write(frames.repeat(scale, axis=1).repeat(scale, axis=2), unfinished, fps)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside `path` to write a file or folder to, which takes the place of `path` if nothing goes wrong.

    Raises:
        UsageError: writing failed with an `OSError`.
    """
    unfinished = path.with_name(f".{path.stem}-unfinished-{os.getpid()}{path.suffix}")
    try:
        yield unfinished
        if unfinished.is_dir() and path.is_dir():
            path.rmdir()  # Windows renames over a file, but not over a folder
        unfinished.replace(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror or error}): give another place") from error
    finally:
        if unfinished.is_dir():
            shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.unlink(missing_ok=True)


def _milliseconds(count: int, fps: float, unit: int) -> list[int]:
    """How long each frame is shown, in multiples of `unit` ms, with no error that adds up over the clip."""
    ends = [round(1000 * (index + 1) / fps / unit) * unit for index in range(count)]
    return [end - begin for begin, end in zip([0, *ends], ends)]


def _write_pngs(frames: Pixels, folder: Path, fps: float) -> None:
    from PIL import Image

    folder.mkdir()
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"frame_{index:04d}.png")


def _write_gif(frames: Pixels, path: Path, fps: float) -> None:
    from PIL import Image

    indices, palette = _quantized(frames)
    images = []
    for frame in indices:
        image = Image.fromarray(frame)
        image.putpalette(palette.tobytes())
        images.append(image)
    durations = _milliseconds(len(frames), fps, unit=10)
    shared: dict[str, Any] = {"palette": palette.tobytes(), "optimize": True}
    images[0].save(path, save_all=True, append_images=images[1:], duration=durations, loop=0, **shared)


def _quantized(frames: Pixels) -> tuple[Pixels, Pixels]:
    """The index of each pixel's nearest colour, `[F, H, W]`, in one palette for all frames, `[n, 3]` with n up to 255."""
    import numpy as np
    from PIL import Image

    packed = frames.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.uint32)
    codes, positions = np.unique(packed, return_inverse=True)
    colours = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1).astype(np.uint8)
    if len(colours) <= _GIF_COLOURS:
        palette, nearest = colours, np.arange(len(colours))
    else:
        sample = frames.reshape(-1, 3)[:: max(1, packed.size // 1_000_000)]
        reduced = Image.fromarray(sample[None]).quantize(_GIF_COLOURS, Image.Quantize.MEDIANCUT, kmeans=1)
        palette = np.unique(np.array(reduced.getpalette(), dtype=np.uint8).reshape(-1, 3)[:_GIF_COLOURS], axis=0)
        # Pillow's own search for the nearest colour drops the lower bits, at half again the error.
        points = palette.astype(np.float32)
        blocks = np.array_split(colours.astype(np.float32), len(colours) // 65536 + 1)
        nearest = np.concatenate([((points**2).sum(1) - 2 * block @ points.T).argmin(1) for block in blocks])
    return nearest.astype(np.uint8)[positions].reshape(packed.shape), palette


def _write_webp(frames: Pixels, path: Path, fps: float) -> None:
    from PIL import Image

    first, *others = [Image.fromarray(frame) for frame in frames]
    quality: dict[str, Any] = {"lossless": True} if frames[..., 0].size <= _LOSSLESS_PIXELS else {"quality": 90}
    durations = _milliseconds(len(frames), fps, unit=1)
    first.save(path, save_all=True, append_images=others, duration=durations, loop=0, **quality)


def _write_mp4(frames: Pixels, path: Path, fps: float) -> None:
    import numpy as np

    av = optional_package("av", "av", "an MP4 clip")
    height, width = frames.shape[1:3]
    # H.264 with yuv420p, the one kind that every player has, wants even sizes.
    even = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("h264", rate=Fraction(fps).limit_denominator(1000), options={"crf": "15"})
        stream.height, stream.width = even.shape[1:3]
        stream.pix_fmt = "yuv420p"
        # Named in the file, since players guess differently and then show other colours: 1 is BT.709 and the limited range.
        codec = stream.codec_context
        codec.colorspace = codec.color_primaries = codec.color_trc = codec.color_range = 1
        for pixels in even:
            rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            yuv = rgb.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            container.mux(stream.encode(yuv))
        container.mux(stream.encode())

"""The one reader of images, for every surface: upright 8-bit RGB in sRGB, from a file, an array or a Pillow image."""

from __future__ import annotations

import io
import logging
import os
import warnings
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from ..core.errors import UserError

Pixels: TypeAlias = NDArray[np.uint8]

MAX_MEGAPIXELS = 64
# Every other format stays closed: Pillow would hand PostScript to Ghostscript, for one.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
_ANY_FORMAT = "PNG, JPEG, WebP, BMP, GIF or TIFF"
# The mode of an image that an ICC profile of each color space describes.
_MODE_OF_SPACE = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}

logger = logging.getLogger(__name__)


class MediaError(UserError):
    """An image or a video cannot be read or written; the message is one line and says what to do."""


def read_image(path: Path | str, width: int | None = None, height: int | None = None) -> Pixels:
    """A still image file as `[H, W, 3]` uint8, on white where it is transparent, in a size as `fit_image` takes it.

    Raises `MediaError` if the file is missing, a folder, no image, damaged, animated or over 64 megapixels, has
    floating-point pixels, or the size is not possible.
    """
    return np.array(fit_image(_read(Path(path), "white", to_srgb=True), width, height))


def read_mask(path: Path | str) -> Pixels:
    """A mask file as `[H, W]` uint8, 0 where it is transparent. Raises `MediaError` as `read_image` does."""
    return np.array(_read(Path(path), "black", to_srgb=False).convert("L"))


def _read(path: Path, background: str, *, to_srgb: bool) -> Image.Image:
    if os.path.isdir(path):  # Path.is_dir raises for names that are too long
        raise MediaError(f"{path} is a folder: use one image file")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our limit is lower than Pillow's
        image = open_image(path, str(path))
    with image:
        try:
            frames = getattr(image, "n_frames", 1)
        except Exception as error:
            raise _unreadable(str(path), error) from error
        # A phone's photo (MPO) may have a depth map or a second lens behind it; the first image is the photo.
        if frames > 1 and image.format != "MPO":
            raise MediaError(f"{path} has {frames} frames: save one of them as an image file")
        return normalize(image, str(path), background=background, to_srgb=to_srgb)


def open_image(source: Any, name: str) -> Image.Image:
    """An image whose header is read and whose pixels are not, from a path or an open binary file; `name` is for messages.

    Raises `MediaError` if the file is missing, no image in one of `FORMATS`, or over 64 megapixels.
    """
    try:
        image = Image.open(source, formats=FORMATS)
    except FileNotFoundError:
        raise MediaError(f"{name} does not exist: use an image file") from None
    except Image.DecompressionBombError:
        raise MediaError(f"{name} is too large: use an image of at most {MAX_MEGAPIXELS} megapixels") from None
    except UnidentifiedImageError:
        raise MediaError(f"{name} is not an image that can be read: use {_ANY_FORMAT}") from None
    except Exception as error:
        raise _unreadable(name, error) from error
    try:
        _check_megapixels(name, *image.size)
    except MediaError:
        image.close()
        raise
    return image


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height of an opened image as `normalize` turns it."""
    try:  # Pillow decodes a PNG to look for EXIF data behind its pixels
        has_exif = image.format != "PNG" or "exif" in image.info
        is_on_its_side = has_exif and image.getexif().get(0x0112) in (5, 6, 7, 8)
    except Exception:  # damaged EXIF data says nothing about the pixels
        is_on_its_side = False
    return (image.height, image.width) if is_on_its_side else image.size


def normalize(image: Image.Image, name: str, *, background: str | None = "white", to_srgb: bool = True) -> Image.Image:
    """An image of any mode, decoded here, as a new upright 8-bit RGB image; 16-bit values are divided by 257.

    `name` is the image in messages. `background` is the color behind transparent pixels; None keeps them, and the result is
    RGBA where any pixel is transparent. `to_srgb` applies an embedded ICC profile. Raises `MediaError` if the file is
    damaged, or the pixels are of a type without a known range (32-bit, floating-point).
    """
    try:
        image.load()
        try:
            upright = ImageOps.exif_transpose(image)
        except Exception:  # damaged EXIF data says nothing about the pixels
            upright = image.copy()
        color, alpha = _color_and_alpha(upright, name, is_png=image.format == "PNG")
        color = _to_srgb(color, image.info.get("icc_profile"), name) if to_srgb else color.convert("RGB")
    except MediaError:
        raise
    except Exception as error:  # each decoder raises errors of its own
        raise _unreadable(name, error) from error
    color.info.clear()  # so that a second call changes nothing
    if alpha is None or alpha.getextrema()[0] == 255:
        return color
    color.putalpha(alpha)
    if background is None:
        return color
    return Image.alpha_composite(Image.new("RGBA", color.size, background), color).convert("RGB")


def image_of(values: NDArray[Any], name: str) -> Image.Image:
    """A Pillow image of an array `[H, W]` or `[H, W, 1, 3 or 4]`: boolean, uint8, uint16, or floating-point in [0, 1].

    Raises `MediaError` for another shape or type, or a value outside [0, 1].
    """
    described = f"{name} is {values.dtype} of shape {values.shape}"
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.ndim not in (2, 3) or not values.size or (values.ndim == 3 and values.shape[2] not in (3, 4)):
        raise MediaError(f"{described}: use [H, W, 3]")
    if values.dtype == np.bool_:
        values = values * np.uint8(255)
    elif values.dtype == np.uint16:
        values = _scaled(values)
    elif np.issubdtype(values.dtype, np.floating):
        if not (values.min() >= 0 and values.max() <= 1):  # NaN fails too
            raise MediaError(f"{described} with values from {values.min():g} to {values.max():g}: use [0, 1], or uint8")
        values = (values * 255).round().astype(np.uint8)
    elif values.dtype != np.uint8:
        raise MediaError(f"{described}: use uint8, uint16 or floating-point values in [0, 1]")
    return Image.fromarray(np.ascontiguousarray(values))


def fit_image(image: Image.Image, width: int | None = None, height: int | None = None) -> Image.Image:
    """An RGB image in another size: cropped around its center to the new proportions, then resized (Lanczos).

    Width or height in pixels, if None, follows from the image's proportions.
    """
    for name, value in (("width", width), ("height", height)):
        if value is not None and value < 1:
            raise MediaError(f"{name} = {value} is out of range: use at least 1 pixel")
    if width is None:
        width = image.width if height is None else max(1, round(image.width * height / image.height))
    if height is None:
        height = max(1, round(image.height * width / image.width))
    _check_megapixels("the requested size", width, height)
    return image if image.size == (width, height) else ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS)


def same_shape(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two sizes, (width, height), have the same proportions up to rounding to pixels."""
    return abs(one[0] * other[1] - one[1] * other[0]) <= max(*one, *other)


def _color_and_alpha(image: Image.Image, name: str, *, is_png: bool) -> tuple[Image.Image, Image.Image | None]:
    transparent = image.info.get("transparency")
    if image.mode.startswith(("I", "F")):  # Pillow's own conversion clips these at 255
        values = np.asarray(image)
        low, high = values.min(), values.max()
        # Older versions of Pillow open PNG files of 16 bits in mode I; elsewhere, its values may have any range.
        if image.mode == "F" or low < 0 or high > 65535 or (image.mode == "I" and not is_png):
            raise MediaError(
                f"{name} has pixel values from {low:g} to {high:g} in mode {image.mode!r}: save it with 8 or 16 bits"
            )
        alpha = None
        if isinstance(transparent, int):
            alpha = Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8))
        return Image.fromarray(_scaled(values)), alpha
    if transparent is not None or image.mode in ("PA", "RGBa"):
        image = image.convert("RGBA")
    elif image.mode == "La":
        image = image.convert("LA")
    if image.mode in ("LA", "RGBA"):
        return image.convert(image.mode[:-1]), image.getchannel("A")
    return image, None


def _to_srgb(image: Image.Image, icc_profile: bytes | None, name: str) -> Image.Image:
    """`image` as RGB, its colors converted from the ICC profile to sRGB."""
    if icc_profile:
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
            space = profile.profile.xcolor_space.strip()
            if space == "RGB" and image.mode != "CMYK":
                image = image.convert("RGB")
            # A profile of another color space describes the image before someone converted it. A profile that is called
            # sRGB leaves every value as it is, up to the rounding of the conversion, which would change files for nothing.
            if image.mode == _MODE_OF_SPACE.get(space) and "sRGB" not in (profile.profile.profile_description or ""):
                converted = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
                assert converted is not None  # it is None in place only
                return converted
        except (ImageCms.PyCMSError, OSError) as error:
            logger.warning("%s has a damaged color profile (%s): its colors are read as sRGB", name, error)
    return image.convert("RGB")


def _scaled(values: NDArray[Any]) -> Pixels:
    """16 bits to 8: 65535 becomes 255."""
    scaled = np.empty(values.shape, np.uint8)
    for row in range(0, len(values), 256):  # the intermediate values take eight times the memory
        scaled[row : row + 256] = (values[row : row + 256] / 257.0).round()
    return scaled


def _check_megapixels(name: str, width: int, height: int) -> None:
    megapixels = width * height / 1e6
    if megapixels > MAX_MEGAPIXELS:
        raise MediaError(f"{name} has {width} x {height} = {megapixels:.1f} megapixels: use at most {MAX_MEGAPIXELS}")


def _unreadable(name: str, error: Exception) -> MediaError:
    reason = (getattr(error, "strerror", None) or str(error) or type(error).__name__).splitlines()[0]
    return MediaError(f"{name} cannot be read ({reason}): use an undamaged {_ANY_FORMAT} file")

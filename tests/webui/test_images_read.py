"""Keyframes and masks of a request are read by the one reader, and treated as the host treats its own image."""

import base64
import importlib
import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageCms

from lib_noiserect.media.images import MediaError
from lib_noiserect.webui.image_inputs import images_of

RED, BLUE = (255, 0, 0), (0, 0, 255)


def encoded(image, ending="png", **options):
    content = io.BytesIO()
    image.save(content, ending, **options)
    return base64.b64encode(content.getvalue()).decode()


def keyframe(image, ending="png", **options):
    return images_of({"key_frames": {"3": encoded(image, ending, **options)}}).key_frames[3].read(64, 64)


def red_and_blue(mode="RGB"):
    image = Image.new("RGB", (2, 1), RED)
    image.putpixel((1, 0), BLUE)
    return image.quantize(2) if mode == "P" else image.convert(mode)


def test_a_phones_photo_is_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: viewers turn it by 90° clockwise
    assert np.asarray(keyframe(red_and_blue(), exif=exif)).tolist() == [[list(RED)], [list(BLUE)]]


def test_16_bits_are_scaled():
    """25700 of 65535 is 100 of 255, and a mask of 300 is nearly black."""
    deep = Image.fromarray(np.array([[0, 25700, 65535]], dtype=np.uint16))
    assert np.asarray(keyframe(deep))[0].tolist() == [[0] * 3, [100] * 3, [255] * 3]
    nearly_black = Image.fromarray(np.array([[0, 300, 65535]], dtype=np.uint16))
    mask = images_of({"motion_mask": encoded(nearly_black)}).motion_masks[0].read(64, 64)
    assert np.asarray(mask.convert("L"))[0].tolist() == [0, 1, 255]


def test_profiles_are_left_out_as_the_host_leaves_them_out():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile.replace("sRGB".encode("utf-16-be"), "mine".encode("utf-16-be")).replace(b"rXYZ", b"tXYZ")
    profile = profile.replace(b"bXYZ", b"rXYZ").replace(b"tXYZ", b"bXYZ")  # red and blue change places
    assert np.asarray(keyframe(red_and_blue(), icc_profile=profile))[0].tolist() == [list(RED), list(BLUE)]


@pytest.mark.parametrize("ending", ["gif", "webp", "png"])
def test_the_first_frame_of_an_animated_image_counts_as_in_the_host(ending):
    red, blue = (Image.new("RGB", (16, 16), color) for color in (RED, BLUE))
    lossless = {"lossless": True} if ending == "webp" else {}
    image = keyframe(red, ending, save_all=True, append_images=[blue], **lossless)
    assert image.size == (16, 16) and image.convert("RGB").getcolors() == [(256, RED)]


@pytest.mark.parametrize("background", ["#ffffff", "#00ff00"])
def test_a_transparent_palette_is_flattened_on_the_hosts_background(with_extension, monkeypatch, background):
    palette = red_and_blue("P")
    clear = palette.getpixel((1, 0))
    image = keyframe(palette, transparency=clear)
    assert image.mode == "RGBA"
    reference = importlib.import_module("lib_noiserect.webui.reference")
    monkeypatch.setitem(reference.shared.opts.data, "img2img_background_color", background)
    fitted = reference.fit(SimpleNamespace(width=2, height=1, resize_mode=0), image)
    expected = [int(background[index : index + 2], 16) for index in (1, 3, 5)]
    assert np.asarray(fitted)[0].tolist() == [list(RED), expected]


def test_other_formats_stay_closed():
    with pytest.raises(MediaError, match=r"key_frames\['3'\] is not an image that can be read: use PNG, JPEG"):
        keyframe(Image.new("RGB", (8, 8)), "tga")

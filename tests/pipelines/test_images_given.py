"""Images and masks that pipelines get are read by the one reader; what it makes of them is in tests/media."""

import numpy as np
import pytest
import torch
from diffusers.image_processor import VaeImageProcessor
from PIL import Image

from lib_noiserect.media.images import MediaError
from lib_noiserect.pipelines import PipelineError
from lib_noiserect.pipelines.latents import as_mask, preprocess

RED = (255, 0, 0)


def bytes_of(image):
    """The pixels of `preprocess` as bytes, `[H, W, 3]`: it gives [-1, 1]."""
    height, width = image.shape[-2:] if isinstance(image, torch.Tensor) else np.shape(image)[:2]
    return ((preprocess(image, height, width)[0].movedim(0, -1) + 1) * 127.5).round().int().tolist()


def test_the_8_bit_rgb_image_is_itself():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    for given in (pixels, Image.fromarray(pixels), torch.from_numpy(pixels).movedim(-1, 0)):
        assert bytes_of(given) == pixels.tolist()
    assert bytes_of(torch.from_numpy(pixels).movedim(-1, 0).double() / 255) == pixels.tolist()
    assert bytes_of(torch.ones(3, 1, 1, dtype=torch.bfloat16)) == [[[255] * 3]]


@pytest.mark.parametrize("size", [(16, 8), (7, 30), (31, 16), (40, 33), (8, 8)])
def test_images_are_cropped_as_diffusers_crops_them(size):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8))
    for width, height in ((16, 8), (8, 16), (16, 16)):
        expected = VaeImageProcessor(vae_scale_factor=1).preprocess(image, height, width, resize_mode="crop")
        assert torch.equal(preprocess(image, height, width), expected)


def test_a_uint8_tensor_is_not_white():
    assert bytes_of(torch.tensor([[[100]], [[1]], [[0]]], dtype=torch.uint8)) == [[[100, 1, 0]]]


def test_transparency_is_white_and_said_so(caplog):
    image = Image.new("RGBA", (2, 1), (*RED, 0))
    image.putpixel((1, 0), (*RED, 255))
    assert bytes_of(image) == [[[255] * 3, list(RED)]]
    assert "an image is transparent: it is put on a white background" in caplog.text


def test_16_bits_and_orientation():
    """25700 of 65535 is 100 of 255; orientation 6 is shown turned by 90° clockwise."""
    deep = Image.fromarray(np.array([[0, 25700, 65535]], dtype=np.uint16))
    assert bytes_of(deep) == [[[0] * 3, [100] * 3, [255] * 3]]
    turned = Image.new("RGB", (2, 1), RED)
    turned.putpixel((1, 0), (0, 0, 255))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.info["exif"] = exif.tobytes()
    ready = preprocess(turned, 2, 1)
    assert ready[0, :, :, 0].T.tolist() == [[1, -1, -1], [-1, -1, 1]]


def test_masks_of_16_bits_and_transparent_masks():
    """300 of 65535 is 1 of 255, and not white; what is transparent is not painted."""
    deep = Image.fromarray(np.array([[0, 300, 65535]], dtype=np.uint16))
    assert as_mask(deep, 1, 3)[0].tolist() == pytest.approx([0, 1 / 255, 1])
    assert as_mask(np.array([[0, 300, 65535]], dtype=np.uint16), 1, 3)[0].tolist() == pytest.approx([0, 1 / 255, 1])
    clear = Image.new("LA", (2, 1), (255, 0))
    clear.putpixel((1, 0), (255, 255))
    assert as_mask(clear, 1, 2)[0].tolist() == [0, 1]


@pytest.mark.parametrize(
    "given, error, message",
    [
        (torch.full((3, 2, 2), 255.0), MediaError, "with values from 255 to 255: use .0, 1., or uint8"),
        (torch.full((3, 2, 2), -0.5), MediaError, "an image is float32 .* with values from -0.5 to -0.5"),
        (torch.zeros(3, 2, 2, dtype=torch.int32), MediaError, "an image is int32"),
        ("cat.png", PipelineError, "an image is str: use a PIL image, an array or a tensor"),
    ],
)
def test_what_cannot_be_an_image_is_refused(given, error, message):
    with pytest.raises(error, match=message):
        preprocess(given, 2, 2)

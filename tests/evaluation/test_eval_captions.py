"""The images of an experiment and their captions."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from eval_jobs import texture
from PIL import Image

from lib_noiserect.core.errors import UserError
from lib_noiserect.evaluation import rectification
from lib_noiserect.evaluation.captioned_images import CaptionedImage, by_id, images_in


@pytest.fixture
def folder(tmp_path):
    for name in ("b.png", "a.jpg"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def read(path):
    return texture(ord(path.stem))


def captions(folder):
    return {image.name: image.caption for image in images_in(folder, read)}


def test_captions_beside_the_pictures(folder):
    (folder / "a.txt").write_text("an\napple\n", encoding="utf-8")
    (folder / "b.txt").write_text(" a bird ", encoding="utf-8")
    assert list(captions(folder).items()) == [("a", "an apple"), ("b", "a bird")]
    (folder / "captions.csv").write_text('caption,file\n"a pear, ripe",a\na boat,b.png\n', encoding="utf-8-sig")
    assert captions(folder) == {"a": "a pear, ripe", "b": "a boat"}
    (folder / "captions.json").write_text(json.dumps({"a.jpg": "an ant", "b": "a bee"}), encoding="utf-8")
    assert captions(folder) == {"a": "an ant", "b": "a bee"}


@pytest.mark.parametrize(
    "files, message",
    [
        ({}, "a.jpg has no caption: write a.txt"),
        ({"a.txt": "an apple", "b.txt": " \n"}, "b.png has no caption"),
        ({"captions.json": '{"a": "x", "b": "y", "c": "z"}'}, "a caption for c, which does not exist"),
        ({"captions.json": "{"}, "captions.json is not JSON"),
        ({"captions.json": '["a"]'}, "is not an object of texts"),
        ({"captions.csv": "name,text\na,b\n"}, r"has the columns \['name', 'text'\]"),
        ({"a.webp": "", "captions.json": '{"a": "x", "b": "y"}'}, "two images are called a"),
    ],
)
def test_what_is_wrong_with_the_captions_is_said(folder, files, message):
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        images_in(folder, read)


def test_what_is_no_folder_of_pictures_is_refused(tmp_path):
    with pytest.raises(UserError, match="is not a folder"):
        images_in(tmp_path / "missing", read)
    with pytest.raises(UserError, match="has no images"):
        images_in(tmp_path, read)
    with pytest.raises(UserError, match="there are no images"):
        by_id([])


def test_a_changed_picture_is_another():
    assert (
        CaptionedImage("p0", "x", texture(0)).id
        == CaptionedImage("p0", "y", texture(0)).id
        != CaptionedImage("p0", "x", texture(1)).id
    )
    wide, high = (CaptionedImage("p0", "x", np.zeros(shape, np.uint8)) for shape in ((16, 32, 3), (32, 16, 3)))
    assert wide.id != high.id
    with pytest.raises(UserError, match="is float64"):
        CaptionedImage("p0", "x", texture(0) / 255)


def test_the_command_reads_images_as_every_surface_does(tmp_path):
    """16 bits are scaled: 25700 of 65535 is 100 of 255. What the reader does else is in tests/media."""
    Image.fromarray(np.full((16, 16), 25700, dtype=np.uint16)).save(tmp_path / "deep.png")
    (tmp_path / "deep.txt").write_text("a gray square", encoding="utf-8")
    arguments = SimpleNamespace(folder=tmp_path, model=None, width=16, height=16, pictures=2)
    (image,) = rectification._images(arguments, None)
    assert image.pixels.shape == (16, 16, 3) and (image.pixels == 100).all()

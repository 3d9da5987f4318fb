"""The comparison and the page of settings in the real web UI."""

import base64
import io
import json

import pytest
import requests
from client import FRAMES, SIZE
from PIL import Image

OPTION = "noise_rectification_comparison"
WANTED = {"override_settings": {OPTION: True}}
MOVING = {"tau_end": 1.0, "omega": "constant"}


@pytest.fixture
def options(webui):
    """Sets options as the settings page does, and then the comparison's default: the web UI's answer does not list it."""

    def set_options(**values):
        requests.post(webui.url + "/sdapi/v1/options", json=values, timeout=30).raise_for_status()

    yield set_options
    set_options(**{OPTION: False})


def answered(webui, settings, formats, **job):
    """The files of the answer, and its `info`."""
    response = webui.post(settings, animatediff={"format": formats}, steps=3, **job)
    assert response.status_code == 200, response.text[:2000]
    body = response.json()
    return [base64.b64decode(image) for image in body["images"]], json.loads(body["info"])


@pytest.mark.parametrize("formats, clips", [(["GIF"], 1), (["PNG"], FRAMES), (["GIF", "PNG"], 1)], ids=str)
def test_a_request_that_asks_gets_the_sheet_as_its_last_picture(webui, formats, clips):
    files, info = answered(webui, MOVING, formats, **WANTED)
    assert len(files) == clips + 1
    with Image.open(io.BytesIO(files[-1])) as sheet:
        assert sheet.format == "PNG" and sheet.width > 5 * SIZE
        assert sheet.text["parameters"] == info["infotexts"][clips]
    assert "Noise Rectification steps: 3 of 3" in info["infotexts"][clips]
    assert "Noise Rectification warning" not in info["extra_generation_params"]


def test_each_clip_of_several_batches_has_its_own(webui):
    files, _ = answered(webui, MOVING, ["GIF"], n_iter=2, **WANTED)
    assert [file[:3] == b"GIF" for file in files] == [True, True, False, False]


def test_a_request_that_does_not_ask_gets_none(webui, options):
    options(**{OPTION: True})
    assert len(answered(webui, MOVING, ["PNG"])[0]) == FRAMES


def test_a_plain_clip_has_none(webui):
    assert len(answered(webui, {"enabled": False}, ["PNG"], **WANTED)[0]) == FRAMES


def test_no_cell_of_a_grid_has_one(webui):
    """Both cells and the grid, as without the option."""
    scripts = webui.get("/sdapi/v1/script-info")
    [plot] = [info for info in scripts if info["name"] == "x/y/z plot" and info["is_img2img"]]
    axis = plot["args"][0]["choices"].index("[Noise Rectification] Ending Step (τ)")
    script_args = [axis, "0.5, 1", [], 0, "", [], 0, "", [], False, True, False, False, False, False, False, 0, True]
    grid = {"script_name": "x/y/z plot", "script_args": script_args}
    files, _ = answered(webui, {}, ["PNG"], **grid, **WANTED)
    plain, _ = answered(webui, {}, ["PNG"], **grid)
    sizes = [[Image.open(io.BytesIO(file)).size for file in answer] for answer in (files, plain)]
    assert sizes[0] == sizes[1] == [(2 * SIZE, SIZE), (SIZE, SIZE), (SIZE, SIZE)]


def test_no_request_changes_the_longest_list(webui, options):
    """The option belongs to the settings page of the web UI: its address for options leaves it alone."""
    options(noise_rectification_api_omega_entries=3)
    assert webui.post({"omega": [0.5] * FRAMES}).status_code == 200
    schema = webui.get("/noise-rectification/settings")
    assert schema["properties"]["omega"]["oneOf"][-1]["maxItems"] > 3

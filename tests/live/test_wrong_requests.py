"""Images as people have them, wrong requests, and what they leave behind, in the web UI itself."""

import base64
import io

import numpy as np
import pytest
import requests
from client import FRAMES, draw_picture, encode
from PIL import Image

FROZEN = {"tau_end": 1.0, "omega": "frozen"}
KEY = encode(draw_picture())


def phone_photo():
    """The picture, which lies on its side in a JPEG whose EXIF data turn it upright."""
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    draw_picture().rotate(90).save(stream, "JPEG", exif=exif, quality=95)
    return base64.b64encode(stream.getvalue()).decode()


def mean_difference(one, other):
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


def test_a_keyframe_by_exif_is_the_hosts_own_upright_picture(webui):
    if webui.patches:
        pytest.skip("Forge 0.0.17 does not turn its own image")
    photo = phone_photo()
    own = webui.run(FROZEN, init_images=[photo]).frames[0]
    keyframe = webui.run({**FROZEN, "key_frames": {str(FRAMES - 1): photo}}, init_images=[KEY]).frames[FRAMES - 1]
    upright, on_its_side = mean_difference(own, keyframe), mean_difference(np.rot90(own), keyframe)
    print(f"mean difference {upright:.2f} of 255, on its side {on_its_side:.2f}")
    assert upright < 2 < 10 < on_its_side


WRONG = {
    "a wrong value": ([{"enabled": True, "tau_end": 7}], "tau_end = 7 is out of range"),
    "a second dict": ([{"enabled": True}, {"tau_end": 1.0}], "args has a second dict"),
    "a lone surrogate": ([{"enabled": True, "\ud800": 1}], "unknown setting \\ud800"),
    "400 digits": ([{"enabled": True, "motion": 10**400}], "motion = 1000"),
    "two spellings": ([{"enabled": True, "key_frames": {"3": KEY, "03": KEY}}], "key_frames has frame 3 twice"),
    "a frame outside": ([{"enabled": True, "key_frames": {"99": KEY}}], "keyframe 99 is outside the video"),
    "no image": ([{"enabled": True, "motion_mask": "AAAA"}], "motion_mask is not an image"),
    "a number for an object": ([{"enabled": True, "key_frames": 5}], "key_frames = 5 is not an object"),
    "too little motion": ([{"enabled": True, "omega": "motion", "motion": 0.001, "tau_end": 0.5}], "below"),
}


@pytest.fixture(scope="module")
def plain(webui):
    webui.run()  # the host encodes with what the last job left in the global random generator
    return webui.run().png


@pytest.mark.parametrize("settings, message", WRONG.values(), ids=WRONG)
def test_a_wrong_request_gets_422_and_changes_no_later_job(webui, plain, settings, message):
    response = webui.post(settings)
    assert response.status_code == 422 and message in response.json()["detail"]
    webui.run()
    assert webui.run().png == plain


@pytest.mark.parametrize("given", [{"enabled": True}, {"args": {"enabled": True}}], ids=str)
@pytest.mark.parametrize("tab", ["img2img", "txt2img"])
def test_settings_that_the_host_would_drop_are_refused(webui, given, tab):
    response = webui.post(scripts={"Noise Rectification": given}, tab=tab)
    assert response.status_code == 422 and 'use {"args": [{"enabled": true}]}' in response.json()["detail"]


def test_a_preview_can_always_be_answered(webui):
    for request in ({"denoising_strength": 10**400}, {"\ud800": 1}, {"settings": {"\ud800": 1}}, {"frames": 10**400}):
        response = requests.post(f"{webui.url}/noise-rectification/preview", json=request, timeout=30)
        assert response.status_code == 422 and response.json()["detail"]

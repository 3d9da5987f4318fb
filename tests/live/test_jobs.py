"""Whole jobs in the real web UI: off, windows, batches, masks, long clips, FreeInit, grids, interrupts and errors."""

import io
import json
import threading
import time

import numpy as np
import pytest
import requests
from client import FRAMES, SIZE, encode
from PIL import Image

FROZEN = {"tau_end": 1.0, "omega": "frozen"}


def pixels_without_text(png):
    return Image.open(io.BytesIO(png)).convert("RGB").tobytes()


@pytest.fixture(scope="module")
def plain(webui):
    """A job without Noise Rectification. The host encodes the picture with whatever the last job left in the global
    random generator, so a job is repeated before it is compared."""
    webui.run()
    return webui.run()


def test_off_after_on_is_identical_to_the_byte(webui, plain):
    webui.run({"tau_end": 1.0})
    webui.run({"enabled": False})
    assert webui.run({"enabled": False}).png == plain.png


def test_a_window_that_is_never_hit_changes_no_pixel(webui, plain):
    webui.run({"tau_start": 0.5, "tau_end": 0.5, "omega": "frozen"})
    result = webui.run({"tau_start": 0.5, "tau_end": 0.5, "omega": "frozen"})
    assert [pixels_without_text(png) for png in result.png] == [pixels_without_text(png) for png in plain.png]
    assert "Noise Rectification warning: " in result.infotext and "widen τ" in result.infotext
    assert "Noise Rectification steps: 0 of 5" in result.infotext


def test_the_flat_list_of_the_ui_and_the_dict_are_the_same_job(webui):
    webui.run(FROZEN)
    as_dict = webui.run(FROZEN)
    webui.run([True, 0.0, 1.0, "frozen", 1.0, 0.5, False, False])
    assert webui.run([True, 0.0, 1.0, "frozen", 1.0, 0.5, False, False]).png == as_dict.png


def test_every_batch_of_n_iter_is_rectified(webui, picture):
    result = webui.run(FROZEN, n_iter=2)
    # A grid of all frames comes first when there are several batches.
    frames = [frame for frame in result.pictures if frame.shape == picture.shape]
    assert len(frames) == 2 * FRAMES
    assert all(np.abs(frame - picture).max() <= 1 for frame in frames)


@pytest.mark.parametrize("sampler", ["Euler", "DDIM"])
def test_a_masks_protected_area_stays_what_it_was(webui, picture, sampler):
    mask = Image.new("L", (SIZE, SIZE), 0)
    mask.paste(255, (0, 0, SIZE // 2, SIZE))
    options = {
        "mask": encode(mask),
        "mask_blur": 0,
        "inpaint_full_res": False,
        "inpainting_fill": 1,
        "sampler_name": sampler,
        "override_settings": {"overlay_inpaint": False},
    }
    far_right = slice(SIZE * 3 // 4, None)  # the VAE carries an edge a little way
    plain = webui.run(**options).frames[:, :, far_right]
    result = webui.run({"tau_end": 1.0, "omega": "constant"}, **options)
    assert np.abs(result.frames[0] - picture).max() <= (1 if sampler == "Euler" else 40)
    # The decoder's receptive field spans the picture, so the protected area is compared with what the host leaves there.
    assert np.abs(result.frames[:, :, far_right] - picture[:, far_right]).mean() <= (
        np.abs(plain - picture[:, far_right]).mean() + 1
    )
    assert np.abs(result.frames[1:, :, : SIZE // 4] - picture[:, : SIZE // 4]).mean() > 5


@pytest.mark.parametrize("sampler", ["Euler a", "DDIM", "DPM++ 2M", "LCM", "UniPC"])
def test_following_the_motion_changes_all_frames_but_the_first(webui, sampler):
    if sampler not in webui.samplers:
        pytest.skip(f"this web UI has no {sampler}")
    paper, first, second = (
        webui.run({"tau_end": 1.0, "omega": "constant", "follow_motion": follow}, sampler_name=sampler, steps=4)
        for follow in (False, True, True)
    )
    assert first.png == second.png, "the same seed gives the same bytes"
    away = np.abs(first.frames - paper.frames).reshape(len(paper.frames), -1)
    assert away[0].max() <= 1 and (away[1:].mean(1) > 1).all()
    assert "Noise Rectification follow motion: True" in first.infotext and "follow motion" not in paper.infotext


def test_clips_longer_than_the_context(webui, picture):
    result = webui.run(FROZEN, animatediff={"video_length": 2 * FRAMES, "overlap": 2})
    assert len(result.frames) == 2 * FRAMES
    assert np.abs(result.frames - picture).max() <= 1


def test_freeinit_runs_the_sampler_again_each_with_its_own_pivot(webui, picture):
    if webui.patches:
        pytest.skip("this AnimateDiff has no FreeInit")
    result = webui.run(FROZEN, animatediff={"freeinit_enable": True, "freeinit_iters": 2})
    assert np.abs(result.frames - picture).max() <= 1


@pytest.mark.parametrize(
    "options",
    [
        {"denoising_strength": 1.0},
        {"denoising_strength": 0.3},
        {"scheduler": "Karras", "sampler_name": "Heun"},
        {"scheduler": "Uniform", "sampler_name": "DPM++ 2M SDE"},
        {"scheduler": "Align Your Steps", "sampler_name": "DPM++ SDE"},
        {"s_churn": 5.0},
        {"override_settings": {"img2img_extra_noise": 0.1}},
        {"override_settings": {"img2img_fix_steps": True}, "denoising_strength": 0.5},
        {"override_settings": {"eta_ancestral": 0.7, "eta_noise_seed_delta": 31337}, "sampler_name": "Euler a"},
        {"override_settings": {"no_dpmpp_sde_batch_determinism": True}, "sampler_name": "DPM++ SDE"},
        {"initial_noise_multiplier": 1.2},
        {"subseed_strength": 0.5, "subseed": 3},
    ],
    ids=str,
)
def test_frozen_is_the_picture_whatever_the_hosts_options(webui, picture, options):
    result = webui.run(FROZEN, **options)
    assert np.abs(result.frames - picture).max() <= 1
    assert ("same noise" in result.infotext) == ("subseed" in options)


def test_a_grid_has_its_own_values_in_each_cell(webui, picture):
    """X/Y/Z plot over denoising strength: every cell is its own job, and no cell leaves anything for the next."""
    result = webui.run(
        FROZEN,
        script_name="x/y/z plot",
        # The axes x, y (nothing) and z (nothing); legend, lone images, sub-grids, four about seeds, margin, values as text.
        script_args=[*_axis(webui, "Denoising", "0.5, 1.0"), 0, "", [], 0, "", []]
        + [False, True, False, False, False, False, False, 0, True],
    )
    cells = [cell for cell in result.pictures if cell.shape == picture.shape]
    assert len(cells) >= 2
    assert all(np.abs(cell - picture).max() <= 1 for cell in cells)


def _axis(webui, label, values):
    scripts = webui.get("/sdapi/v1/script-info")
    [plot] = [info for info in scripts if info["name"] == "x/y/z plot" and info["is_img2img"]]
    return plot["args"][0]["choices"].index(label), values, []


def test_an_interrupt_leaves_nothing_behind(webui, plain):
    thread = threading.Thread(target=lambda: webui.post({"tau_end": 1.0}, steps=40))
    thread.start()
    for _ in range(200):
        if webui.get("/sdapi/v1/progress?skip_current_image=true")["state"]["sampling_step"] >= 1:
            break
        time.sleep(0.1)
    requests.post(webui.url + "/sdapi/v1/interrupt", timeout=30)
    thread.join(timeout=120)
    assert not thread.is_alive()
    webui.run()
    assert webui.run().png == plain.png


# What sd-webui-animatediff cannot do and the AnimateDiff of Forge can.
ONE_NETWORK_ONLY = [
    ({}, {"s_min_uncond": 3.0}, "Negative Guidance minimum sigma is above 0"),
    ({}, {"override_settings": {"skip_early_cond": 0.5}}, "Ignore negative prompt during early sampling is on"),
    ({}, {"prompt": "word " * 100}, "differ in length (77 and 154 tokens)"),
]
REFUSED = [
    *ONE_NETWORK_ONLY,
    ({"tau_end": 1.5}, {}, "tau_end = 1.5 is out of range: use a number from 0 to 1"),
    ({"tau_end": True}, {}, "tau_end = True is not a number"),
    ({"tau_start": "soon"}, {}, "tau_start = 'soon' is not a number"),
    ({"omega": [[1.0]]}, {}, "omega = [1.0] is not a number"),
    ({"omega": [1.0, 0.5]}, {}, "omega has 2 entries and the video has 4 frames"),
    ({"omega": [0.5] * 5000}, {}, "omega has 5000 entries: use 1 to 4096"),
    ({"tau_start": 0.9}, {}, "tau_start = 0.9 is after tau_end = 0.6"),
    ({"tau": 0.9}, {}, "unknown setting tau: use enabled, tau_start"),
    ({}, {"animatediff": False}, "AnimateDiff is off in this job: enable AnimateDiff"),
    ({}, {"animatediff": {"enable": False}}, "AnimateDiff is off in this job: enable AnimateDiff"),
    ({}, {"animatediff": {"model": "no such file"}}, "its motion module"),
    ({}, {"animatediff": {"fps": 0}}, "AnimateDiff's setup failed"),
    ({}, {"prompt": "a ball AND a square"}, "the prompt contains AND"),
    ({}, {"init_images": "two"}, "this img2img batch has different images"),
]


@pytest.mark.parametrize("settings, job, message", REFUSED, ids=[message[:40] for *_, message in REFUSED])
def test_what_cannot_be_done_is_refused_and_leaves_nothing_behind(webui, plain, settings, job, message):
    if webui.patches and (settings, job, message) in ONE_NETWORK_ONLY:
        pytest.skip("this AnimateDiff can do it")
    if job.get("init_images"):
        job = {"init_images": [encode(Image.new("RGB", (SIZE, SIZE), colour)) for colour in ("red", "blue")]}
    begin = time.monotonic()
    response = webui.post(settings, **job)
    assert response.status_code == 422, response.text[:500]
    assert message in response.json()["detail"]
    assert time.monotonic() - begin < 20, "refused before any work"


def test_after_all_refusals_a_plain_job_is_what_it_was(webui, plain):
    webui.run()
    assert webui.run().png == plain.png


def test_a_long_prompt_works_with_padding(webui, picture):
    options = {} if webui.patches else {"override_settings": {"pad_cond_uncond": True}}
    result = webui.run(FROZEN, prompt="word " * 100, **options)
    assert np.abs(result.frames - picture).max() <= 1


def test_json_cannot_smuggle_in_nan(webui):
    """Python's JSON reader takes NaN and Infinity."""
    for value in ("NaN", "Infinity", "1e999"):
        picture = encode(Image.new("RGB", (SIZE, SIZE)))
        settings = json.dumps({"enabled": True, "tau_end": "VALUE"}).replace('"VALUE"', value)
        body = (
            f'{{"init_images": ["{picture}"], "steps": 2, "width": 64, "height": 64, "alwayson_scripts": '
            f'{{"Noise Rectification": {{"args": [{settings}]}}}}}}'
        )
        response = requests.post(
            webui.url + "/sdapi/v1/img2img", data=body, headers={"Content-Type": "application/json"}, timeout=60
        )
        assert response.status_code == 422
        assert "tau_end" in response.json()["detail"]


def test_over_forges_api_animatediff_comes_to_no_clip_and_the_job_is_told(webui, picture):
    """Its set-up fails on the built-in ControlNet's units, unless there is a folder to take their pictures from."""
    if not webui.patches:
        pytest.skip("Forge's AnimateDiff")
    result = webui.run(FROZEN)
    assert "AnimateDiff's setup is incomplete" in result.infotext
    assert np.abs(result.frames - picture).max() <= 1
    result = webui.run(FROZEN, animatediff={"video_path": "javascript"})  # any with as many files as frames
    assert "setup is incomplete" not in result.infotext
    assert len(result.frames) == FRAMES and np.abs(result.frames - picture).max() <= 1


def test_a_clip_shorter_than_forges_context_is_refused(webui):
    if not webui.patches:
        pytest.skip("sd-webui-animatediff makes a whole context")
    response = webui.post(FROZEN, animatediff={"video_length": FRAMES - 1})
    assert response.status_code == 422 and "is below Context batch size (4)" in response.json()["detail"]

"""Other extensions, and other ways of the host, in the same job as a rectified one in the real web UI.

Each neighbour has to change the clip (else nothing is shown), and frozen frames and frame 0 have to be the picture still.
What the web UI under test does not have is skipped.
"""

import base64
import io
import threading
import time

import numpy as np
import pytest
import requests
import torch
from client import SIZE, draw_picture, encode
from PIL import Image
from test_exact_facts import difference

FROZEN = {"tau_end": 1.0, "omega": "frozen"}
MOVING = {"tau_end": 1.0, "omega": "constant"}
CLIP = 3
SHORT = {"sampler_name": "Euler a", "steps": 2, "animatediff": {"video_length": CLIP, "batch_size": CLIP}}
TRAVEL = "a ball\n0: red\n2: blue, upside down"
DYNAMIC, REGIONAL, FREEU = "Dynamic Thresholding (CFG Scale Fix)", "Regional Prompter", "FreeU"
NEIGHBOURS = {
    "dynamic thresholding": (DYNAMIC, [True, 4.0, 95.0], {"cfg_scale": 15}, "Dynamic thresholding enabled: True"),
    "FreeU": (
        FREEU,
        [{"enable": True, "stage_infos": [{"backbone_factor": 1.4, "skip_factor": 0.2}] * 2}],
        {},
        "FreeU",
    ),
    "token merging": (None, [], {"override_settings": {"token_merging_ratio_img2img": 0.6}}, "Token merging ratio"),
    "prompt travel": (None, [], {"prompt": TRAVEL}, "2: blue"),
    "regional prompter": (
        REGIONAL,
        [True, False, "Matrix", "Columns", "Mask", "Prompt", "1,1", "0.2"],
        {"prompt": "a red square BREAK a blue ball", "override_settings": {"pad_cond_uncond": True}},
        "RP Active: True",
    ),
}


@pytest.fixture(scope="module")
def without(webui):
    return webui.run(MOVING, **SHORT)


def _job(webui, name):
    """The job's arguments with the neighbour in it, and what its infotext has to say."""
    title, args, job, text = NEIGHBOURS[name]
    if title is not None and not webui.has_script(title):
        pytest.skip(f"this web UI has no {title}")
    options = job.get("override_settings", {})
    if not set(options) <= set(webui.get("/sdapi/v1/options")):
        pytest.skip(f"this web UI has no setting {', '.join(options)}")
    scripts = {} if title is None else {title: {"args": args}}
    return {**SHORT, **job, "scripts": scripts}, text


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_a_neighbour_changes_the_clip_and_not_the_facts(webui, picture, without, rows, name):
    job, text = _job(webui, name)
    moving, frozen = webui.run(MOVING, **job), webui.run(FROZEN, **job)
    changed = difference(moving.frames[1:], without.frames[1:])
    first, still = difference(moving.frames[0], picture), difference(frozen.frames, picture)
    rows[name] = {"changed": changed, "frame_0": first, "frozen": still}
    assert text in moving.infotext and "Noise Rectification steps: 2 of 2" in moving.infotext
    assert changed[1] > 0.5, "the neighbour is at work"
    assert first[0] <= 1 and still[0] <= 1


@pytest.mark.parametrize(
    "options, message",
    [
        ({}, "prompt and negative prompt differ in length (77 and 154 tokens)"),
        ({"calc": "Latent"}, "the prompt contains AND, which AnimateDiff does not support"),
    ],
    ids=["attention", "latent"],
)
def test_regional_prompts_that_animatediff_cannot_do_are_refused(webui, options, message):
    job, _ = _job(webui, "regional prompter")
    args = [*job["scripts"][REGIONAL]["args"], False, False, False, options.get("calc", "Attention")]
    job["scripts"] = {REGIONAL: {"args": args}}
    job["override_settings"] = {}
    response = webui.post(FROZEN, **job)
    assert response.status_code == 422 and message in response.json()["detail"]


def test_soft_inpainting(webui, picture):
    """Frames that are frozen are the picture, whatever blend there is; what moves goes over softly into what is protected.

    At the end soft inpainting lays the given picture over the frames by a mask of its own, whatever the settings say: each
    pixel lies between that picture and its round trip.
    """
    if not webui.has_script("Soft Inpainting"):
        pytest.skip("this web UI has no soft inpainting (before 1.8)")
    mask = Image.linear_gradient("L").rotate(90).resize((SIZE, SIZE))
    job = {
        **SHORT,
        "mask": encode(mask),
        "mask_blur": 4,
        "inpaint_full_res": False,
        "inpainting_fill": 1,
        "override_settings": {"overlay_inpaint": False},
    }
    hard = webui.run(MOVING, **job)
    soft = {"Soft Inpainting": {"args": [True, 1, 0.5, 4, 0, 0.5, 2]}}
    moving, frozen = (webui.run(settings, scripts=soft, **job) for settings in (MOVING, FROZEN))
    assert "Soft inpainting enabled: True" in moving.infotext
    assert np.abs(moving.frames[1:] - hard.frames[1:]).mean() > 0.5
    given = np.asarray(draw_picture(), dtype=np.int16)
    for frames in (frozen.frames, moving.frames[:1]):
        assert (frames >= np.minimum(given, picture) - 1).all() and (frames <= np.maximum(given, picture) + 1).all()


def _started(webui, send, condition):
    """A job in a thread of its own, once `condition` holds for the web UI's progress."""
    thread = threading.Thread(target=send)
    thread.start()
    for _ in range(3000):
        if condition(webui.get("/sdapi/v1/progress?skip_current_image=true")["state"]) or not thread.is_alive():
            break
        time.sleep(0.1)
    return thread


@pytest.mark.parametrize("way_out", ["interrupt", "skip"])
def test_what_was_rectified_so_far_is_what_an_interrupt_leaves(webui, picture, way_out):
    answers = []
    job = {**SHORT, "steps": 12}
    thread = _started(
        webui, lambda: answers.append(webui.run(FROZEN, **job)), lambda state: state["sampling_step"] >= 2
    )
    requests.post(f"{webui.url}/sdapi/v1/{way_out}", timeout=300).raise_for_status()
    thread.join(timeout=600)
    [result] = answers
    assert difference(result.frames, picture)[0] <= 1


def test_live_previews_are_of_rectified_frames(webui, picture):
    options = {"live_previews_enable": True, "show_progress_every_n_steps": 1, "show_progress_type": "Full"}
    before = {name: webui.get("/sdapi/v1/options")[name] for name in options}
    requests.post(webui.url + "/sdapi/v1/options", json=options, timeout=60).raise_for_status()
    answers, previews = [], []
    try:
        job = {**SHORT, "steps": 6}
        thread = _started(
            webui, lambda: answers.append(webui.run(FROZEN, **job)), lambda state: state["sampling_step"] > 0
        )
        while thread.is_alive():
            shown = requests.get(webui.url + "/sdapi/v1/progress", timeout=300).json()
            # Step 0 is the last job's preview, or none.
            if shown["current_image"] and 1 <= shown["state"]["sampling_step"] < 5:
                image = Image.open(io.BytesIO(base64.b64decode(shown["current_image"])))
                previews.append(np.asarray(image.convert("RGB"), dtype=np.int16))
            time.sleep(0.2)
        thread.join()
    finally:
        requests.post(webui.url + "/sdapi/v1/options", json=before, timeout=60).raise_for_status()
    assert previews and difference(answers[0].frames, picture)[0] <= 1
    for preview in previews:
        tiles = preview.reshape(preview.shape[0] // SIZE, SIZE, preview.shape[1] // SIZE, SIZE, 3).swapaxes(1, 2)
        tiles = np.concatenate(list(tiles))[:CLIP]  # the grid has room for more
        assert difference(tiles, picture)[0] <= 2


def test_two_clients_at_the_same_time_each_get_their_own_job(webui, picture):
    """One freezes, one moves with a module of its own settings, one is a plain job: the host does them one by one."""
    answers = {}
    jobs = {"frozen": FROZEN, "moving": MOVING, "plain": None}

    def send(name):
        answers[name] = webui.run(jobs[name], **{**SHORT, "seed": len(name)})

    threads = [threading.Thread(target=send, args=(name,)) for name in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=900)
    assert difference(answers["frozen"].frames, picture)[0] <= 1
    assert difference(answers["moving"].frames[0], picture)[0] <= 1
    assert difference(answers["moving"].frames[1:], picture)[1] > 5
    assert "omega: frozen" in answers["frozen"].infotext and "omega: constant" in answers["moving"].infotext
    assert "Noise Rectification" not in answers["plain"].infotext
    assert difference(answers["plain"].frames[:1], picture)[1] > 5


def test_adetailer_repaints_what_it_finds_and_nothing_else(webui, picture):
    """It takes AnimateDiff out and puts it in again between two batches, by calling all scripts with copies of the job."""
    if not webui.has_script("ADetailer"):
        pytest.skip("this web UI has no ADetailer")
    models = requests.get(webui.url + "/adetailer/v1/ad_model", timeout=60).json()["ad_model"]
    small = [name for name in models if "random" in name or "face_yolov8n" in name]
    if not small:
        pytest.skip("ADetailer has no model of its detectors that is called random… or face_yolov8n…")
    detail = {"ad_model": small[0], "ad_confidence": 0.0, "ad_mask_k": 1, "ad_mask_max_ratio": 0.3}
    job = {**SHORT, "n_iter": 2, "scripts": {"ADetailer": {"args": [True, False, detail]}}}
    # Its first job changes the rounding of all later ones: the detector's package sets torch's threads.
    webui.run(**job)
    before = [webui.run(**SHORT) for _ in range(2)][1]  # the host encodes pictures with unseeded noise
    result = webui.run(FROZEN, **job)
    assert len(result.frames) == 2 * CLIP
    for frame, infotext in zip(result.frames, result.info["infotexts"][-2 * CLIP :], strict=True):
        repainted = (np.abs(frame - picture) > 1).any(-1)
        assert 0 < repainted.mean() < 0.9, "a part was repainted, and the rest is the picture"
        assert "Noise Rectification steps: 2 of 2" in infotext and "ADetailer model" in infotext
    assert [webui.run(**SHORT) for _ in range(2)][1].png == before.png, "nothing is left of it in the next job"


def embedding():
    """Of a picture, as ControlNet's API takes it: what its CLIP vision tower says, here random numbers."""
    saved = io.BytesIO()
    torch.save({"image_embeds": torch.randn(1, 1024, generator=torch.Generator().manual_seed(1))}, saved)
    return base64.b64encode(saved.getvalue()).decode()


@pytest.mark.parametrize("wanted", [["canny"], ["ip-adapter"], ["canny", "ip-adapter"]], ids=" and ".join)
def test_controlnet(webui, picture, without, rows, wanted):
    """By the API AnimateDiff fails on its units, and a rectified job is refused; as the page has them, they guide it."""
    if not webui.has_script("ControlNet"):
        pytest.skip("this web UI has no ControlNet")
    models = [name for name in webui.get("/controlnet/model_list")["model_list"] if "sd15" in name]
    found = [name for part in wanted for name in models if part in name][: len(wanted)]
    if len(found) < len(wanted):
        pytest.skip(f"ControlNet has no model of SD 1.5 for {' and '.join(wanted)}")
    common = {"enabled": True, "weight": 1.0, "image": encode(draw_picture()), "batch_images": ""}
    of_adapter = {"module": "ip-adapter_clip_sd15", "ipadapter_input": [embedding()]}
    args = [{**common, "model": name, **(of_adapter if "ip-adapter" in name else {"module": "none"})} for name in found]
    units = {"ControlNet": {"args": args}}
    refused = webui.post(FROZEN, scripts=units, **SHORT)
    assert refused.status_code == 422 and "AnimateDiff's setup failed" in refused.json()["detail"]
    if not webui.has_script("Units As Objects"):
        pytest.skip("the units as the page has them need tests/live/probe among the web UI's extensions")
    units["Units As Objects"] = {"args": [True]}
    moving, frozen = (webui.run(settings, scripts=units, **SHORT) for settings in (MOVING, FROZEN))
    clip, still = (result.frames[:CLIP] for result in (moving, frozen))  # the edges that it saw come behind them
    changed = difference(clip[1:], without.frames[1:])
    rows[" and ".join(wanted)] = {
        "changed": changed,
        "frozen": difference(still, picture),
        "frame_0": difference(clip[0], picture),
    }
    assert changed[1] > 0.5 and f"ControlNet {len(wanted) - 1}" in moving.infotext
    assert difference(still, picture)[0] <= 1 and difference(clip[0], picture)[0] <= 1

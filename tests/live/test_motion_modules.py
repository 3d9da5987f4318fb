"""Each kind of motion module in the real web UI: those that it has, for the checkpoint that they are made for.

A module is found by its file's name, and a checkpoint by a part of its name: `xl` is of SDXL's kind, and `vpred` predicts v.
With a text encoder of random weights, set *Emphasis mode* to "No norm": "Original" divides by the mean of its output, which
is 0 then.
"""

import contextlib

import numpy as np
import pytest
import requests
from test_exact_facts import STOPS_ABOVE_ZERO, difference

FROZEN = {"tau_end": 1.0, "omega": "frozen"}
MOVING = {"tau_end": 1.0, "omega": "constant"}
CLIP = 3
SAMPLERS = ["Euler a", "DPM++ 2M SDE", "DDIM"]
V1, V2, V3 = (f"mm_sd15_v{version}.safetensors" for version in (1, 2, 3))
MODULES = {
    V1: "sd15",
    V2: "sd15",
    V3: "sd15",
    "mm_sd15_AnimateLCM.safetensors": "sd15",
    "mm_sdxl_v10_beta.safetensors": "xl",
    "mm_sdxl_hs.safetensors": "xl",
}
NO_PAIRS = {"batch_cond_uncond": False}


@contextlib.contextmanager
def checkpoint(webui, part):
    """With a checkpoint loaded whose name has `part` in it."""
    names = [model["title"] for model in webui.get("/sdapi/v1/sd-models")]
    before = webui.get("/sdapi/v1/options")["sd_model_checkpoint"]
    wanted = next((name for name in names if part in name and ("vpred" in name) == ("vpred" in part)), None)
    if wanted is None:
        pytest.skip(f"this web UI has no checkpoint with {part} in its name")
    if wanted != before:
        _load(webui, wanted)
    yield


def _load(webui, name):
    given = {"sd_model_checkpoint": name}
    requests.post(webui.url + "/sdapi/v1/options", json=given, timeout=1200).raise_for_status()


@pytest.fixture(scope="module", autouse=True)
def own_checkpoint(webui):
    before = webui.get("/sdapi/v1/options")["sd_model_checkpoint"]
    yield
    if webui.get("/sdapi/v1/options")["sd_model_checkpoint"] != before:
        _load(webui, before)


@pytest.fixture(scope="session")
def round_trips():
    return {}


@pytest.fixture(scope="session")
def floors():
    return {}


def _frames(module):
    return 8 if "_hs" in module else CLIP


def _job(module, sampler="Euler a", **animatediff):
    frames = _frames(module)
    given = {"model": module, "video_length": frames, "batch_size": frames, **animatediff}
    return {"sampler_name": sampler, "steps": 3 if sampler == "DDIM" else 2, "animatediff": given}


def _checked_facts(webui, rows, name, module, sampler, round_trips, floors, **job):
    """Frozen frames and a pinned frame 0; skips where the module is not there."""
    begun = webui.post(FROZEN, **_job(module, sampler), **job)
    if begun.status_code == 422 and "did not put its motion module" in begun.text:
        pytest.skip(f"this web UI has no motion module {module}")
    assert begun.status_code == 200, begun.text[:2000]
    frozen = webui.result(begun)
    loaded = webui.get("/sdapi/v1/options")["sd_model_checkpoint"]
    if loaded not in round_trips:
        round_trips[loaded] = webui.round_trip()
    picture = round_trips[loaded]
    moving = webui.run(MOVING, **_job(module, sampler), **job)
    row = rows.setdefault(f"{name}, {sampler}", {})
    row["steps"] = frozen.infotext.split("Noise Rectification steps: ")[1].split(",")[0]
    row["frozen_largest"], row["frozen_mean"] = difference(frozen.frames, picture)
    row["moving_frame_0_largest"], row["moving_frame_0_mean"] = difference(moving.frames[0], picture)
    row["others_mean"] = difference(moving.frames[1:], picture)[1]
    assert len(frozen.frames) == _frames(module) and row["others_mean"] > 5
    end = picture
    if sampler in STOPS_ABOVE_ZERO:
        if not webui.has_script("Clean Answer"):
            pytest.skip("the floors need tests/live/probe among the web UI's extensions")
        key = (loaded, module, sampler)
        if key not in floors:
            floors[key] = webui.run(scripts={"Clean Answer": {"args": [True]}}, **_job(module, sampler), **job).frames
        end = floors[key]
    row["frozen_to_floor_largest"] = difference(frozen.frames, end)[0]
    assert row["frozen_to_floor_largest"] <= 1
    assert difference(moving.frames[0], end[0] if end.ndim == 4 else end)[0] <= 1


@pytest.mark.parametrize("module, sampler", [
    (module, sampler) for module in MODULES for sampler in (["LCM", "Euler a"] if "LCM" in module else SAMPLERS)
])  # fmt: skip
def test_frozen_frames_and_frame_0(webui, rows, round_trips, floors, module, sampler):
    with checkpoint(webui, MODULES[module]):
        _checked_facts(webui, rows, module.removesuffix(".safetensors"), module, sampler, round_trips, floors)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_checkpoint_that_predicts_v(webui, rows, round_trips, floors, sampler):
    with checkpoint(webui, "vpred"):
        _checked_facts(webui, rows, "mm_sd15_v3 and v-prediction", V3, sampler, round_trips, floors)


@pytest.fixture
def sd15(webui):
    with checkpoint(webui, "sd15"):
        yield webui


@pytest.fixture
def has_v1(sd15):
    response = sd15.post(FROZEN, **_job(V1))
    if "did not put its motion module" in response.text:
        pytest.skip(f"this web UI has no motion module {V1}")
    return sd15


def test_v1_with_the_prompts_one_after_the_other(has_v1, picture):
    """Its GroupNorm is over halves of the batch, which are halves of the clip then: an odd one has none."""
    if has_v1.has_script("Regional Prompter"):  # which sets the option back in each job: then nothing is refused
        assert difference(has_v1.run(FROZEN, override_settings=NO_PAIRS, **_job(V1)).frames, picture)[0] <= 1
        pytest.skip("regional prompter sets Batch cond/uncond back")
    plain = has_v1.post(override_settings=NO_PAIRS, **_job(V1))
    assert plain.status_code == 500 and "EinopsError" in plain.text, "without the extension it fails in its first step"
    refused = has_v1.post(FROZEN, override_settings=NO_PAIRS, **_job(V1))
    assert refused.status_code == 422 and f"fail on an odd Context batch size ({CLIP})" in refused.json()["detail"]
    even = _job(V1, video_length=2, batch_size=2)
    together, apart = (has_v1.run(MOVING, override_settings=given, **even) for given in ({}, NO_PAIRS))
    assert np.abs(together.frames[1:] - apart.frames[1:]).mean() > 1, "the halves are normalised apart"
    assert "treat the halves of a video as two videos" in apart.infotext and "warning" not in together.infotext
    for result in (together, apart):
        assert np.abs(result.frames[0] - picture).max() <= 1
    even = _job(V3, video_length=2, batch_size=2)
    assert "warning" not in has_v1.run(FROZEN, override_settings=NO_PAIRS, **even).infotext


@pytest.mark.parametrize("module, most", [(V1, 24), (V3, 32)])
def test_a_context_that_the_module_does_not_know_is_refused(has_v1, module, most):
    refused = has_v1.post(FROZEN, **_job(module, video_length=most + 1, batch_size=most + 1))
    assert refused.status_code == 422
    assert f"Context batch size is {most + 1} and the motion module supports {most} frames" in refused.json()["detail"]


def test_a_clip_shorter_than_the_context(sd15, picture):
    """AnimateDiff makes a whole context."""
    job = _job(V3, batch_size=CLIP + 1)
    assert len(sd15.run(**job).frames) == CLIP + 1, "without the extension too"
    result = sd15.run(MOVING, **job)
    assert len(result.frames) == CLIP + 1 and np.abs(result.frames[0] - picture).max() <= 1
    assert f"AnimateDiff makes {CLIP + 1} frames and mixes up those of prompt and negative prompt" in result.infotext


def test_a_motion_lora(sd15, picture):
    names = [lora["name"] for lora in sd15.get("/sdapi/v1/loras") if lora["name"].startswith("mm_sd15_v2_lora")]
    if not names:
        pytest.skip("this web UI has no motion LoRA for v2")
    prompt = f"a red square and a blue ball <lora:{names[0]}:1>"
    without, beside = sd15.run(MOVING, **_job(V2)), sd15.run(MOVING, prompt=prompt, **_job(V2))
    assert np.abs(without.frames[1:] - beside.frames[1:]).mean() > 1, "it moves the clip"
    assert np.abs(beside.frames[0] - picture).max() <= 1
    assert np.abs(sd15.run(FROZEN, prompt=prompt, **_job(V2)).frames - picture).max() <= 1


def test_prompt_travel(sd15, picture):
    prompt = "a ball\n0: red\n2: blue, upside down\nin the sun"
    without, travelling = sd15.run(MOVING, **_job(V3)), sd15.run(MOVING, prompt=prompt, **_job(V3))
    assert np.abs(without.frames[1:] - travelling.frames[1:]).mean() > 1, "it changes the clip"
    assert np.abs(travelling.frames[0] - picture).max() <= 1 and "2: blue" in travelling.infotext
    assert np.abs(sd15.run(FROZEN, prompt=prompt, **_job(V3)).frames - picture).max() <= 1
    # One prompt is longer than the others and their negative ones: as long as the longest, or refused.
    longer = f"a ball\n0: red\n2: {'blue ' * 90}"
    refused = sd15.post(FROZEN, prompt=longer, **_job(V3))
    assert refused.status_code == 422 and "differ in length (77 and 154 tokens)" in refused.json()["detail"]
    both = {"prompt": longer, "negative_prompt": "dull " * 90}
    assert np.abs(sd15.run(FROZEN, **both, **_job(V3)).frames - picture).max() <= 1

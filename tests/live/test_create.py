"""Clips created through a picture, in the real web UI: the stages, what is in the UNet in each, and every way out."""

import json
import re

import numpy as np
import pytest
import requests
from client import FRAMES

STEPS = 4
UPDATES = int(STEPS * 0.6) + 1
LOOKS = 4
# By the first call of each stage.
STAGES = {"candidates": 0, "choice": STEPS, "animation": STEPS + LOOKS, "regeneration": STEPS + LOOKS + UPDATES}
WHOLE = {"create": True, "tau_end": 1.0}
SHOWN = {"override_settings": {"noise_rectification_candidates": True}}
SAMPLERS = ["Euler", "Euler a", "DPM++ 2M SDE", "Heun", "Restart", "LCM"]
STOPS_ABOVE_ZERO = ["DDIM", "UniPC"]


@pytest.fixture(autouse=True)
def _probe(webui):
    if "watched calls" not in webui.get("/sdapi/v1/scripts")["txt2img"]:
        pytest.skip("link tests/live/probe into the web UI's extensions")


def post(webui, settings=None, watched=None, tab="txt2img", **job):
    scripts = {"Watched Calls": {"args": [watched or {}]}}
    return webui.post(settings, tab=tab, scripts=scripts, **{"steps": STEPS, "sampler_name": "Euler", **job})


def run(webui, *args, **kwargs):
    from client import Result

    response = post(webui, *args, **kwargs)
    assert response.status_code == 200, response.text[:2000]
    return Result(response.json())


def calls(webui):
    return webui.get("/watched-calls")


def told(infotext, key):
    found = re.search(rf'Noise Rectification {key}: ("(?:\\.|[^"\\])*"|[^,\n]+)', infotext)
    return found and json.loads(found[1]) if found and found[1].startswith('"') else found and found[1]


@pytest.fixture(scope="module")
def before(webui):
    """A plain job, to which plain jobs after others are compared."""
    return run(webui)


def nothing_is_left(webui, before):
    assert run(webui).png == before.png
    seen = calls(webui)
    assert len(seen) == STEPS and all(call["motion"] for call in seen)
    # The model itself: a job without AnimateDiff finds no motion module and the checkpoint's own levels.
    run(webui, animatediff=False)
    seen = calls(webui)
    assert not any(call["motion"] for call in seen) and seen[0]["final"] == pytest.approx(0.00466, rel=1e-3)


def test_the_stages(webui, before):
    result = run(webui, {"create": True})
    seen = calls(webui)
    assert [call["rows"] for call in seen] == [FRAMES] * (2 * STEPS + LOOKS + UPDATES)
    assert [call["motion"] for call in seen] == [False] * STAGES["animation"] + [True] * (UPDATES + STEPS)
    assert len({call["final"] for call in seen}) == 1, "the motion modules' own levels in all stages"
    levels = [call["level"] for call in seen]
    for stage, count in (("candidates", STEPS), ("choice", LOOKS), ("animation", UPDATES), ("regeneration", STEPS)):
        part = levels[STAGES[stage] :][:count]
        assert part == sorted(part, reverse=True)
        assert all(stage[:9] in call["textinfo"] for call in seen[STAGES[stage] :][:count])
    places = [(call["progress"][0] + call["progress"][2] / STEPS) / call["progress"][1] for call in seen]
    assert places == sorted(places) and places[0] == 0 and 0.6 < places[-1] < 1
    assert (
        told(result.infotext, "calls")
        == f"candidates {STEPS}, choice {LOOKS}, animation {UPDATES}, regeneration {STEPS}"
    )
    assert told(result.infotext, "steps") == "3 of 4" and len(result.png) == FRAMES
    nothing_is_left(webui, before)


@pytest.mark.parametrize("sampler", [*SAMPLERS, *STOPS_ABOVE_ZERO])
def test_frame_0_is_the_candidate(webui, sampler):
    result = run(webui, WHOLE, sampler_name=sampler, **SHOWN)
    frames, candidates = result.frames[:FRAMES], result.frames[FRAMES:]
    assert len(candidates) == FRAMES
    anchor = candidates[int(told(result.infotext, "candidate"))]
    most = np.abs(frames[0] - anchor).max()
    assert most <= (40 if sampler in STOPS_ABOVE_ZERO else 1), most
    assert np.abs(frames[1:] - anchor).mean() > 3, "the others move"


def test_the_authors_variant_leaves_frame_0(webui):
    result = run(webui, {**WHOLE, "enabled": False}, **SHOWN)
    anchor = result.frames[FRAMES:][int(told(result.infotext, "candidate"))]
    assert np.abs(result.frames[0] - anchor).mean() > 3 and told(result.infotext, "steps") is None


def test_ones_own_picture(webui, picture):
    result = run(webui, WHOLE, tab="img2img")
    seen = calls(webui)
    assert [call["motion"] for call in seen] == [True] * (UPDATES + STEPS)
    assert told(result.infotext, "calls") == f"animation {UPDATES}, regeneration {STEPS}"
    assert np.abs(result.frames[0] - picture).max() <= 1 and np.abs(result.frames[1:] - picture).mean() > 3


def test_candidates_alone_and_then_the_clip_of_one(webui, before):
    shown = run(webui, {**WHOLE, "scorer": "pick", "candidates": FRAMES + 2})
    assert len(shown.png) == FRAMES + 2 and [call["rows"] for call in calls(webui)] == [FRAMES] * STEPS + [2] * STEPS
    number = FRAMES + 1
    text = shown.info["infotexts"][number]
    assert (told(text, "candidate"), told(text, "pick"), told(text, "scorer")) == (str(number), str(number), "pick")
    settings = {**WHOLE, "scorer": "pick", "pick": number, "candidates": FRAMES + 2}
    result = run(webui, settings, **SHOWN)
    assert [call["rows"] for call in calls(webui)] == [1] * STEPS + [FRAMES] * (UPDATES + STEPS)
    # A batch of another size may round otherwise.
    assert np.abs(result.frames[FRAMES] - shown.frames[number]).max() <= 1
    assert np.abs(result.frames[0] - shown.frames[number]).max() <= 1
    again = run(webui, infotext=text, seed=None, prompt=None)
    assert np.abs(again.frames[0] - shown.frames[number]).max() <= 1 and told(again.infotext, "pick") == str(number)
    nothing_is_left(webui, before)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("what", ["interrupt", "fail"])
def test_a_stop_in_each_stage(webui, before, stage, what):
    at = STAGES[stage] + 1
    response = post(webui, {"create": True}, {what: at})
    assert response.status_code == (200 if what == "interrupt" else 500), response.text[:500]
    assert len(calls(webui)) == at + 1
    if what == "fail":
        assert "the watched call fails" in response.json()["errors"]
    nothing_is_left(webui, before)


def test_a_skip_ends_one_batch(webui, before):
    result = run(webui, {"create": True}, {"skip": STAGES["animation"] + 1}, n_iter=2)
    second = STAGES["animation"] + 2
    assert len(calls(webui)) == second + 2 * STEPS + LOOKS + UPDATES and len(result.png) >= FRAMES
    nothing_is_left(webui, before)


@pytest.mark.parametrize(
    "message, settings, job",
    [
        ("enabled is on and txt2img has no image to rectify toward", {"enabled": True}, {}),
        ("pick = 9 is out of range for 4 candidates: use -1 to 3", {"create": True, "scorer": "pick", "pick": 9}, {}),
        ("pick = 1 needs the scorer pick, and scorer = 'model': use the scorer pick", {"create": True, "pick": 1}, {}),
        ("create is on and FreeInit is on", {"create": True}, {"freeinit_enable": True}),
    ],
)
def test_refusals_cost_nothing(webui, before, message, settings, job):
    if webui.patches and job:
        pytest.skip("AnimateDiff has no FreeInit here")
    response = post(webui, settings, animatediff=job)
    assert response.status_code == 422 and message in response.json()["detail"]
    assert requests.get(f"{webui.url}/watched-calls", timeout=30).json() == []
    assert run(webui).png == before.png

"""The exact facts, sampler by sampler, in the real web UI with the real AnimateDiff."""

import numpy as np
import pytest

SAMPLERS = [
    "DPM++ 2M", "DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 2S a", "DPM++ 3M SDE", "Euler a", "Euler", "LMS",
    "Heun", "DPM2", "DPM2 a", "DPM fast", "DPM adaptive", "Restart", "DDIM", "DDIM CFG++", "PLMS", "UniPC", "LCM",
]  # fmt: skip
# Before 1.9 with the schedule in the name, and those that Forge adds.
OTHER_SAMPLERS = [
    "DPM++ 2M Karras", "DPM++ SDE Karras", "DPM++ 2M SDE Exponential", "DPM++ 2M SDE Karras", "DPM++ 2M SDE Heun Karras",
    "DPM++ 2M SDE Heun Exponential", "DPM++ 3M SDE Karras", "DPM++ 3M SDE Exponential", "LMS Karras", "DPM2 Karras",
    "DPM2 a Karras", "DPM++ 2S a Karras", "DDPM", "DDPM Karras", "Euler A Turbo", "DPM++ 2M Turbo", "DPM++ 2M SDE Turbo",
    "LCM Karras", "Euler SGMUniform", "Euler A SGMUniform", "DPM++ 2M SGMUniform", "DPM++ 2M SDE SGMUniform",
]  # fmt: skip
STOPS_ABOVE_ZERO = {"DPM fast", "DPM adaptive", "DDIM", "DDIM CFG++", "PLMS", "UniPC"}


# DPM adaptive takes a hundred small steps through a random model's answers, so its moving job is a shorter and tamer one.
MOVING_JOB = {"DPM adaptive": {"denoising_strength": 0.3, "cfg_scale": 1}}


def difference(frames, picture):
    """(largest, mean) absolute difference, in 255ths."""
    gap = np.abs(frames - picture)
    return int(gap.max()), float(gap.mean())


@pytest.fixture(params=[*SAMPLERS, *OTHER_SAMPLERS])
def sampler(request, webui):
    if request.param not in webui.samplers:
        pytest.skip(f"this web UI has no {request.param}")
    return request.param


@pytest.fixture(scope="session")
def floors(webui):
    """What a sampler leaves of the picture when the model answers the clean latent at every call."""
    if not webui.has_script("Clean Answer"):
        pytest.skip("the floors need tests/live/probe among the web UI's extensions")
    known = {}

    def floor(sampler, **job):
        key = (sampler, *job.items())
        if key not in known:
            known[key] = webui.run(sampler_name=sampler, scripts={"Clean Answer": {"args": [True]}}, **job).frames
        return known[key]

    return floor


def test_frozen_frames_are_the_picture(sampler, webui, picture, floors, rows):
    result = webui.run({"tau_end": 1.0, "omega": "frozen"}, sampler_name=sampler)
    floor = floors(sampler)
    largest, mean = difference(result.frames, picture)
    floor_largest, floor_mean = difference(floor, picture)
    row = rows.setdefault(sampler, {})
    row.update(frozen_largest=largest, frozen_mean=mean, floor_largest=floor_largest, floor_mean=floor_mean)
    row["frozen_to_floor_largest"] = difference(result.frames, floor)[0]
    row["steps"] = result.infotext.split("Noise Rectification steps: ")[1].split(",")[0]
    rectified, steps = row["steps"].split(" of ")
    assert rectified == steps
    assert difference(result.frames, floor)[0] <= 1
    if sampler not in STOPS_ABOVE_ZERO:
        assert largest <= 1


def test_frame_0_is_the_picture_when_all_move(sampler, webui, picture, floors, rows):
    job = MOVING_JOB.get(sampler, {})
    result = webui.run({"tau_end": 1.0, "omega": "constant", "omega_start": 1.0}, sampler_name=sampler, **job)
    largest, mean = difference(result.frames[0], picture)
    rows.setdefault(sampler, {}).update(moving_frame_0_largest=largest, moving_frame_0_mean=mean)
    if sampler == "DPM adaptive":  # its steps depend on what moves, so its last noise is another draw of the same size
        assert mean <= 1.5 * difference(floors(sampler, **job)[0], picture)[1] + 0.5
    else:
        assert difference(result.frames[0], floors(sampler)[0])[0] <= 1
    assert difference(result.frames[1:], picture)[1] > 5, "the other frames must move"


def test_still_frames_beside_moving_ones(sampler, webui, picture, floors, rows):
    """Both facts in one job, for a host that is slow: frame 0 and those with ω = 0 are the picture, and one moves."""
    job = MOVING_JOB.get(sampler, {})
    result = webui.run({"tau_end": 1.0, "omega": [1, 0, 1, 0]}, sampler_name=sampler, **job)
    ends_at_the_picture = sampler not in STOPS_ABOVE_ZERO
    expected = picture if ends_at_the_picture else floors(sampler, **job)
    largest, mean = difference(result.frames[[0, 1, 3]], picture)
    row = rows.setdefault(sampler, {})
    row.update(still_largest=largest, still_mean=mean, moving_mean=difference(result.frames[2], picture)[1])
    if not ends_at_the_picture:
        row.update(floor_largest=difference(expected, picture)[0], floor_mean=difference(expected, picture)[1])
    row["steps"] = result.infotext.split("Noise Rectification steps: ")[1].split(",")[0]
    rectified, steps = row["steps"].split(" of ")
    assert rectified == steps
    if sampler == "DPM adaptive":  # as above: another draw of its last noise
        assert mean <= 1.5 * row["floor_mean"] + 0.5
    else:
        row["still_to_floor"] = difference(result.frames[[0, 1, 3]], expected[:3] if expected.ndim == 4 else expected)[
            0
        ]
        assert row["still_to_floor"] <= 1
    assert row["moving_mean"] > 5, "the other frame must move"

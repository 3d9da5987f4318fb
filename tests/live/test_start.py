"""Start time and the analytic start in the real web UI: every sampler's first call, its steps, the picture, off, refusals."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import requests
import torch
from client import FRAMES, SIZE
from test_exact_facts import STOPS_ABOVE_ZERO, difference
from test_exact_facts import floors as floors
from test_exact_facts import sampler as sampler

from lib_noiserect.methods import statistics_file
from lib_noiserect.methods.analytic_init import Statistics

FROZEN = {"tau_end": 1.0, "omega": "frozen"}
MOVING = {"tau_end": 1.0, "omega": "constant"}
ON_TIMESTEPS = {"DDIM", "DDIM CFG++", "PLMS", "UniPC"}
JOB = {"denoising_strength": 1, "steps": 5}
SCHEDULES = ["Uniform", "Karras", "SGM Uniform", "KL Optimal", "Align Your Steps", "Simple", "Normal", "DDIM", "Beta"]


def sigma_of(timestep):
    """AnimateDiff's linear schedule, by hand."""
    product = math.prod(1 - (0.00085 + (0.012 - 0.00085) * t / 999) for t in range(timestep + 1))
    return math.sqrt((1 - product) / product)


def calls(webui, settings, **job):
    """(result, number of model calls, level of the first, steps by the infotext)."""
    if not webui.has_script("Model Calls"):
        pytest.skip("the calls need tests/live/probe among the web UI's extensions")
    result = webui.run(settings, scripts={"Model Calls": {"args": [True]}}, **{**JOB, **job})
    count, first = re.search(r"Model calls: (\d+) from ([\d.e+-]+)", result.infotext).groups()
    steps = re.search(r"Noise Rectification steps: (\d+) of (\d+)", result.infotext)
    return result, int(count), float(first), steps and int(steps[2])


def planned(webui, sampler, scheduler="Automatic"):
    """How many steps the host's own schedule has, without a start time."""
    request = {"settings": FROZEN, "steps": JOB["steps"], "sampler": sampler, "scheduler": scheduler}
    response = requests.post(webui.url + "/noise-rectification/preview", json=request, timeout=60)
    response.raise_for_status()
    steps = response.json()["rectified_steps"]
    return None if steps is None else len(steps)


def test_every_sampler_begins_at_m_with_all_its_steps(sampler, webui, picture, rows):
    result, count, first, steps = calls(webui, {**FROZEN, "start_time": 0.9}, sampler_name=sampler)
    wanted = 899 if sampler in ON_TIMESTEPS else sigma_of(899)
    largest, mean = difference(result.frames, picture)
    row = rows.setdefault(sampler, {})
    row.update(start_first=first, start_wanted=wanted, start_calls=count, start_steps=steps)
    row.update(start_frozen_largest=largest, start_frozen_mean=mean)
    assert first == pytest.approx(wanted, rel=1e-4)
    assert planned(webui, sampler) in (None, steps)
    if sampler not in STOPS_ABOVE_ZERO:
        assert largest <= 1
    else:  # its own floor, at its lowest level: 0.041 of a latent's spread, or less
        assert mean < 4


@pytest.mark.parametrize("scheduler", SCHEDULES)
def test_every_schedule_begins_at_m_with_all_its_steps(scheduler, webui, picture):
    result, _, first, steps = calls(webui, {**FROZEN, "start_time": 0.86}, sampler_name="Euler", scheduler=scheduler)
    assert first == pytest.approx(sigma_of(859), rel=1e-4) and steps == planned(webui, "Euler", scheduler)
    assert difference(result.frames, picture)[1] < (4 if scheduler == "KL Optimal" else 0.1)


@pytest.mark.parametrize("sampler", ["Euler a", "DDIM"])
def test_a_start_time_of_1_is_as_without_to_the_byte(sampler, webui):
    webui.run(MOVING, sampler_name=sampler, **JOB)  # the host encodes a picture alike only after a job like it
    without = webui.run(MOVING, sampler_name=sampler, **JOB)
    late = webui.run({**MOVING, "start_time": 0.9}, sampler_name=sampler, **JOB)
    off = webui.run({**MOVING, "start_time": 1, "statistics": "none"}, sampler_name=sampler, **JOB)
    assert off.png == without.png and late.png != without.png
    assert "start time" not in off.infotext and "statistics" not in off.infotext


def test_denoising_strength_takes_the_last_steps_of_the_late_schedule(webui):
    _, whole, _, _ = calls(webui, {**FROZEN, "start_time": 0.9}, sampler_name="Euler", steps=10)
    _, half, first, _ = calls(
        webui, {**FROZEN, "start_time": 0.9}, sampler_name="Euler", steps=10, denoising_strength=0.5
    )
    # Ten timesteps from 899 to 0, of which the last six are left.
    assert (whole, half) == (10, 6) and first == pytest.approx(sigma_at(899 * 5 / 9), rel=1e-3)


def sigma_at(timestep):
    below, above = sigma_of(math.floor(timestep)), sigma_of(math.ceil(timestep))
    part = timestep - math.floor(timestep)
    return math.exp(math.log(below) * (1 - part) + math.log(above) * part)


# The analytic start. The files are put where the tested extension has them: this checkout's own folder.


@pytest.fixture
def folder():
    made = []
    statistics_file.FOLDER.mkdir(exist_ok=True)

    def put(name, statistics):
        path = Path(statistics_file.FOLDER / name)
        assert not path.exists()
        statistics_file.save(statistics, path)
        made.append(path)

    yield put
    for path in made:
        path.unlink()


def make(kind, size=SIZE // 8, frames=FRAMES, **header):
    later = (torch.arange(frames) > 0).float()
    mean = torch.randn(frames, 4, size, size, generator=torch.Generator().manual_seed(3))
    values = {
        "mean": {"mean": mean, "variance": torch.tensor(30.0)},
        "conditional": {"mean": mean * later.view(-1, 1, 1, 1), "variance": 30 * later},
        "spectral": {"power": torch.linspace(90, 0, 24) * later.view(-1, 1, 1).expand(-1, 4, 24)},
    }
    return Statistics(kind, values[kind], frames=frames, **header)


@pytest.mark.parametrize("sampler", ["Euler", "DPM++ 2M SDE", "UniPC"])
@pytest.mark.parametrize("kind", ["mean", "conditional", "spectral"])
def test_a_start_from_statistics_is_rectified_exactly(kind, sampler, webui, picture, folder):
    folder("zz-test.safetensors", make(kind, vae_scale=0.18215))
    settings = {"start_time": 0.9, "statistics": "zz-test.safetensors"}
    frozen = webui.run({**FROZEN, **settings}, sampler_name=sampler, **JOB)
    largest, mean = difference(frozen.frames, picture)
    assert largest <= 1 or (sampler in STOPS_ABOVE_ZERO and mean < 4)
    assert "Noise Rectification statistics: zz-test.safetensors" in frozen.infotext
    if sampler == "Euler":
        moving = webui.run({**MOVING, **settings}, sampler_name=sampler, **JOB)
        plain = webui.run({**MOVING, "start_time": 0.9}, sampler_name=sampler, **JOB)
        assert np.abs(moving.frames[0] - picture).max() <= 1
        assert difference(moving.frames[1:], plain.frames[1:])[1] > 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (make("mean", frames=FRAMES + 1), f"videos of {FRAMES + 1} frames, and this one has {FRAMES}"),
        (make("conditional", size=6), "latents of 6x6, and this job's are 8x8"),
        (make("spectral", vae_scale=0.13025), "scaling factor 0.13025, and this model's has 0.18215"),
    ],
)
def test_statistics_of_something_else_are_refused(given, message, webui, folder):
    folder("zz-test.safetensors", given)
    response = webui.post({**FROZEN, "statistics": "zz-test.safetensors"}, **JOB)
    assert response.status_code == 422 and message in response.json()["detail"]


@pytest.mark.parametrize("name", ["../CHANGELOG.safetensors", "/etc/passwd", "missing.safetensors"])
def test_the_api_takes_names_of_the_folder_only(name, webui):
    response = webui.post({**FROZEN, "statistics": name}, **JOB)
    assert response.status_code == 422 and "statistics = " in response.json()["detail"]

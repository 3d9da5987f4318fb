"""The stand-in against the traces of two real hosts, event by event, for every job in them."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from standin import used_host

TRACES = Path(__file__).parent / "traces"
SAMPLER_EVENTS = ("sampler_func", "sampler_done", "model_call", "model_get", "model_set", "randn_like", "noise_sampler")

RELATIVE = 1e-4
# DPM adaptive chooses its levels by an estimate of its own error, which is rounding noise where the model's answer is
# constant.
ADAPTIVE_RELATIVE = 1e-3
# The noise of a job is one draw of 1024 numbers: its rms differs from 1 by up to some percent from host to host.
NOISE_RELATIVE = 0.08
# The traces' network had random weights. Where it answered, it added some noise of its own to the end.
NETWORK_RELATIVE = 0.2

VARIATIONS = {
    "eta_churn": {"steps": 4, "s_churn": 5.0, "eta": 0.7},
    "n_iter2": {"steps": 3, "n_iter": 2},
    "20": {"steps": 24},
}


def _jobs():
    for path in sorted(TRACES.glob("*.json")):
        trace = json.loads(path.read_text(encoding="utf-8"))
        host = trace["about"]["host"].split()[0].lower()
        host = {"automatic1111": "a1111"}.get(host, host)
        for name, events in trace["jobs"].items():
            yield pytest.param(host, name, events, id=f"{path.stem}-{name}")


def _arguments(name):
    """`name` is sampler__denoising strength or variation; p stands for + and _ for a space in the sampler."""
    sampler, _, rest = name.partition("__")
    sampler = sampler.replace("CFGpp", "CFG++").replace("DPMpp", "DPM++").replace("_", " ")
    if rest in VARIATIONS:
        return {"sampler": sampler, "denoising_strength": 1.0, **VARIATIONS[rest]}
    return {"sampler": sampler, "denoising_strength": float(rest), "steps": 6}


def _predicts_no_noise(x, level, host):
    """Near to what a network with random weights amounts to."""
    a, _ = host.scales(level)
    return x / a


def _answers_first_frame(x, level, host):
    return host.denoiser.init_latent[:1].expand_as(x)


def _network_answered(host_name, sampler):
    timestep_sampler = sampler in ("DDIM", "DDIM CFG++", "PLMS", "UniPC")
    return sampler == "DDIM CFG++" or (host_name == "forge" and timestep_sampler)


@pytest.mark.parametrize("host_name, name, expected", list(_jobs()))
def test_job_gives_the_events_of_the_real_host(host_name, name, expected, picture):
    arguments = _arguments(name)
    with used_host(host_name) as host:
        network_answered = _network_answered(host_name, arguments["sampler"])
        host.model = _predicts_no_noise if network_answered else _answers_first_frame
        host.recorder = True
        job = host.img2img(picture, is_api=True, frames=4, **arguments)
    events = job.events
    if all(event[0] in SAMPLER_EVENTS for event in expected):
        events = [event for event in events if event[0] in SAMPLER_EVENTS]
    assert [event[0] for event in events] == [event[0] for event in expected]
    comparison = Comparison(
        relative=ADAPTIVE_RELATIVE if arguments["sampler"] == "DPM adaptive" else RELATIVE,
        end_relative=NETWORK_RELATIVE if network_answered else NOISE_RELATIVE,
    )
    for place, (event, wanted) in enumerate(zip(events, expected)):
        comparison.same(event, wanted, f"event {place} ({wanted[0]})")


@dataclass(frozen=True)
class Comparison:
    relative: float
    end_relative: float

    def same(self, value, wanted, where):
        if isinstance(wanted, dict):
            assert set(value) == set(wanted), where
            for key in wanted:
                self.same_named(key, value[key], wanted[key], f"{where}.{key}")
        elif isinstance(wanted, list):
            assert len(value) == len(wanted), where
            for index, (one, other) in enumerate(zip(value, wanted)):
                self.same(one, other, f"{where}[{index}]")
        elif isinstance(wanted, float):
            close = math.isclose(value, wanted, rel_tol=self.relative, abs_tol=1e-6)
            assert close, f"{where}: {value} is not {wanted}"
        else:
            assert value == wanted and type(value) is type(wanted), f"{where}: {value!r} is not {wanted!r}"

    def same_named(self, key, value, wanted, where):
        """Values that come from the picture and from random weights are compared by what they say."""
        if key == "rms_clean":
            assert value > 0, where
        elif key == "rms_from_clean" and wanted == 0.0:
            assert value <= 2e-6, where
        elif key == "rms_from_clean":
            close = math.isclose(value, wanted, rel_tol=self.end_relative)
            assert close, f"{where}: {value} is not about {wanted}"
        elif key == "frame_corr":
            # How far the frames differ is up to the VAE's weights. That they differ is in `frames_equal`.
            assert len(value) == len(wanted), where
            assert value[0] == wanted[0] == 1.0, where
            assert all(-1.0 <= one <= 1.0 for one in value), where
        else:
            self.same(value, wanted, where)


def test_every_job_of_both_hosts_is_there():
    names = [job.id for job in _jobs()]
    assert sum(name.startswith("a1111") for name in names) == 28
    assert sum(name.startswith("forge") for name in names) == 26


def test_levels_come_from_the_betas():
    """The highest σ of the two schedules, in closed form from their betas."""

    def highest(betas):
        alpha_bar = torch.cumprod(1 - betas.double(), 0)[-1]
        return float(((1 - alpha_bar) / alpha_bar).sqrt())

    assert highest(torch.linspace(0.00085, 0.012, 1000)) == pytest.approx(25.1461, rel=1e-4)
    assert highest(torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2) == pytest.approx(14.6146, rel=1e-4)

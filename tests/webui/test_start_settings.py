"""Start time and the analytic start in the stand-in of the web UI: every sampler and schedule, off, refusals, the API."""

import math

import pytest
import torch
from test_extension import (
    FROZEN,
    K_SAMPLERS,
    MOVING,
    SCHEDULERS,
    STOP_ABOVE_ZERO,
    TIMESTEP_SAMPLERS,
    clean_latent,
    plain,
    rectify,
    same,
)
from test_extension import host as host  # a fixture

from lib_noiserect.methods import statistics_file
from lib_noiserect.methods.analytic_init import Statistics

LATE = {**FROZEN, "start_time": 0.9}


def alpha_bar(timestep):
    """AnimateDiff's linear schedule, by hand."""
    product = 1.0
    for t in range(timestep + 1):
        product *= 1 - (0.00085 + (0.012 - 0.00085) * t / 999)
    return product


def sigma_of(timestep):
    alpha = alpha_bar(timestep)
    return math.sqrt((1 - alpha) / alpha)


def watched(host, picture, settings, **job):
    """(job, levels of all model calls, the state of the first)."""
    levels, first = [], []

    def see(call, x, level):
        levels.append(level)
        if not first:
            first.append(x.clone())

    host.on_model_call = see
    try:
        return rectify(host, picture, settings, **job), levels, first[0]
    finally:
        host.on_model_call = None


def noise_of(state, clean, sampler, timestep):
    a, s = 1.0, sigma_of(timestep)
    if sampler in TIMESTEP_SAMPLERS:
        a, s = math.sqrt(alpha_bar(timestep)), math.sqrt(1 - alpha_bar(timestep))
    return (state - a * clean) / s


# One of each way to make a schedule.
@pytest.mark.parametrize(
    "sampler", ["Euler", "DPM++ 2M SDE", "DPM2", "Restart", "DPM fast", "DPM adaptive", "DDIM", "PLMS", "UniPC"]
)
def test_every_sampler_begins_at_m_with_all_its_steps(host, picture, sampler):
    clean = clean_latent(host, picture, sampler=sampler)
    _, reference, _ = watched(host, picture, FROZEN, sampler=sampler, steps=8)
    _, _, state = watched(host, picture, FROZEN, sampler="Euler", steps=8)
    drawn = noise_of(state, clean, "Euler", 999)
    start_time, timestep = 0.82, 819
    settings = {**FROZEN, "start_time": start_time}
    job, levels, state = watched(host, picture, settings, sampler=sampler, steps=8)
    first = timestep if sampler in TIMESTEP_SAMPLERS else sigma_of(timestep)
    assert levels[0] == pytest.approx(first, rel=2e-5)
    assert max(levels) <= levels[0] * (1 + 1e-6)
    if sampler != "DPM adaptive":
        assert len(levels) == len(reference)
    same(noise_of(state, clean, sampler, timestep), drawn, tolerance=1e-3)
    if sampler in STOP_ABOVE_ZERO:
        assert (job.latents[0] - clean).square().mean().sqrt() < 0.06
    else:
        same(job.latents[0], clean)
    assert f"Noise Rectification start time: {start_time:g}" in job.infotexts[0]
    _, again, _ = watched(host, picture, FROZEN, sampler=sampler, steps=8)
    assert again == reference  # nothing is left on the sampler or the host


@pytest.mark.parametrize("sampler, scheduler", [*(("Euler", scheduler) for scheduler in SCHEDULERS), ("DPM2", "Exponential")])
def test_every_schedule_begins_at_m_with_all_its_steps(host, picture, sampler, scheduler):
    _, reference, _ = watched(host, picture, FROZEN, sampler=sampler, scheduler=scheduler)
    job, levels, _ = watched(host, picture, LATE, sampler=sampler, scheduler=scheduler)
    assert levels[0] == pytest.approx(sigma_of(899), rel=2e-5) and len(levels) == len(reference)
    clean = clean_latent(host, picture)
    same(job.latents[0], clean, tolerance=0.2 if scheduler == "KL Optimal" else 2e-5)  # whose end is σ_min


@pytest.mark.parametrize("options", [{"sigma_max": 10.0}, {"always_discard_next_to_last_sigma": True}])
@pytest.mark.parametrize("sampler", ["DPM++ 2M", "DDIM"])
def test_the_hosts_own_settings_of_schedules_do_not_move_the_start(host, picture, sampler, options):
    _, levels, _ = watched(host, picture, LATE, sampler=sampler, steps=8, override_settings=options)
    assert levels[0] == pytest.approx(899 if sampler == "DDIM" else sigma_of(899), rel=2e-5)


@pytest.mark.parametrize("sampler", ["Euler", "DDIM", "UniPC"])
def test_the_first_frame_is_the_picture_where_all_move(host, picture, sampler):
    job = rectify(host, picture, {**MOVING, "start_time": 0.86}, sampler=sampler)
    clean = clean_latent(host, picture, sampler=sampler)
    rest = (job.latents[0] - clean).square().mean((1, 2, 3)).sqrt()
    assert rest[0] < (0.06 if sampler in STOP_ABOVE_ZERO else 1e-5) and rest[-1] > 0.1


@pytest.mark.parametrize(("sampler", "fixed"), [("Euler", False), ("Euler", True), ("DDIM", False)])
def test_denoising_strength_takes_the_last_steps_of_the_late_schedule(host, picture, sampler, fixed):
    job = {"sampler": sampler, "steps": 8, "override_settings": {"img2img_fix_steps": fixed}}
    _, whole, _ = watched(host, picture, LATE, **{**job, "steps": 16 if fixed else 8})
    _, half, _ = watched(host, picture, LATE, denoising_strength=0.5, **job)
    assert half == pytest.approx(whole[-len(half) :], rel=1e-5) and 0 < len(half) < len(whole)


@pytest.mark.parametrize("sampler", ["Euler a", "DDIM", "UniPC"])
def test_a_start_time_of_1_is_as_without(host, picture, sampler):
    without = rectify(host, picture, MOVING, sampler=sampler)
    off = rectify(host, picture, {**MOVING, "start_time": 1, "statistics": ""}, sampler=sampler)
    assert all(torch.equal(one, other) for one, other in zip(without.latents, off.latents))
    assert without.infotexts == off.infotexts and "start time" not in off.infotexts[0]


@pytest.mark.parametrize("job", [{}, {"override_settings": {"sigma_max": 10.0}}, {"denoising_strength": 0.5}], ids=str)
@pytest.mark.parametrize("sampler", ["Euler a", "DDIM", "UniPC"])
def test_with_a_start_time_of_1_every_call_is_at_the_hosts_own_level(host, picture, sampler, job):
    """To the bit, where the host's own may begin below its model's last timestep."""
    levels = []
    host.on_model_call = lambda call, x, level: levels.append(level)
    plain(host, picture, sampler=sampler, steps=8, **job)
    host.on_model_call = None
    assert watched(host, picture, {**FROZEN, "start_time": 1}, sampler=sampler, steps=8, **job)[1] == levels


@pytest.mark.parametrize("sampler", ["Euler", "DDIM"])
def test_without_a_window_the_start_is_still_late(host, picture, sampler):
    nothing = {"enabled": True, "tau_start": 0.0, "tau_end": 0.0}
    job, levels, state = watched(host, picture, {**nothing, "start_time": 0.9}, sampler=sampler)
    assert levels[0] == pytest.approx(899 if sampler == "DDIM" else sigma_of(899), rel=2e-5)
    assert noise_of(state, clean_latent(host, picture, sampler=sampler), sampler, 899).std() == pytest.approx(1, abs=0.1)
    assert "nothing was rectified" in job.infotexts[0]
    never = rectify(host, picture, nothing, sampler=sampler)
    assert all(torch.equal(one, other) for one, other in zip(never.latents, plain(host, picture, sampler=sampler).latents))


def test_too_many_steps_for_what_is_left(host, picture):
    settings = {**FROZEN, "start_time": 0.5}
    with pytest.raises(Exception, match=r"Start noise level \(M\) leaves 500 timesteps, too few for"):
        rectify(host, picture, settings, sampler="DDIM", steps=900)
    assert not host.frames_are_connected()


def test_a_sampler_with_a_schedule_of_its_own_is_refused(host, picture, monkeypatch):
    from modules import sd_samplers_kdiffusion

    monkeypatch.delattr(sd_samplers_kdiffusion.KDiffusionSampler, "get_sigmas")
    with pytest.raises(Exception, match=r"Start noise level \(M\) = 0.9 does not work with this sampler"):
        rectify(host, picture, LATE)
    assert not host.frames_are_connected()


def test_the_next_job_starts_as_ever_after_one_that_failed(host, picture):
    _, reference, _ = watched(host, picture, FROZEN)

    def fail(call, x, level):
        raise KeyError("failed")

    host.on_model_call = fail
    with pytest.raises(KeyError):
        rectify(host, picture, LATE)
    host.on_model_call = None
    assert watched(host, picture, FROZEN)[1] == reference


# The analytic start.


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(statistics_file, "FOLDER", tmp_path)
    return tmp_path


def make(kind, frames=4, size=8, **header):
    generator = torch.Generator().manual_seed(3)
    later = (torch.arange(frames) > 0).float()
    mean = torch.randn(frames, 4, size, size, generator=generator)
    values = {
        "mean": {"mean": mean, "variance": torch.tensor(30.0)},
        "conditional": {"mean": mean * later.view(-1, 1, 1, 1), "variance": 30 * later},
        "spectral": {"power": torch.linspace(90, 0, 24) * later.view(-1, 1, 1).expand(-1, 4, 24)},
    }
    return Statistics(kind, values[kind], frames=frames, **header)


@pytest.mark.parametrize(
    "sampler, kind",
    [
        *(("Euler", kind) for kind in ("mean", "conditional", "spectral")),
        ("Euler a", "spectral"), ("DDIM", "conditional"), ("UniPC", "mean"),
    ],
)  # fmt: skip
def test_the_start_is_drawn_from_statistics_and_rectified_exactly(host, picture, folder, sampler, kind):
    statistics_file.save(make(kind), folder / "clips.safetensors")
    settings = {**LATE, "statistics": "clips.safetensors"}
    job, _, state = watched(host, picture, settings, sampler=sampler)
    _, _, plain_state = watched(host, picture, LATE, sampler=sampler)
    clean = clean_latent(host, picture, sampler=sampler)
    drawn, ours = (noise_of(one, clean, sampler, 899) for one in (plain_state, state))
    a, s = (math.sqrt(alpha_bar(899)), math.sqrt(1 - alpha_bar(899)))
    if sampler not in TIMESTEP_SAMPLERS:
        a, s = 1.0, sigma_of(899)
    by_hand = make(kind).noise(clean, drawn, statistics_level(a, s), picture_frames(4))
    same(ours, by_hand, tolerance=2e-3)
    assert (ours - drawn)[1:].abs().max() > 0.05
    if kind != "mean":
        same(ours[0], drawn[0], tolerance=1e-3)
    if sampler in STOP_ABOVE_ZERO:
        assert (job.latents[0] - clean).square().mean().sqrt() < 0.06
    else:
        same(job.latents[0], clean, tolerance=1e-4)
    assert "Noise Rectification statistics: clips.safetensors" in job.infotexts[0]
    moving = rectify(host, picture, {**MOVING, "start_time": 0.9, "statistics": "clips.safetensors"}, sampler=sampler)
    assert (moving.latents[0][0] - clean[0]).square().mean().sqrt() < (0.06 if sampler in STOP_ABOVE_ZERO else 1e-4)


def statistics_level(a, s):
    from lib_noiserect.core.noise_levels import Level

    return Level(a, s)


def picture_frames(frames):
    from lib_noiserect.core.keyframes import Keyframes

    return Keyframes((0,), frames)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (make("mean", frames=5), "videos of 5 frames, and this one has 4"),
        (make("conditional", frames=3), "use at most 3 frames"),
        (make("mean", size=6, width=48, height=48), r"6x6 \(48x48 pixels\), and this job's are 8x8"),
        (make("spectral", vae_scale=0.5), "scaling factor 0.5"),
    ],
)
def test_statistics_of_something_else_are_refused_before_sampling(host, picture, folder, given, message):
    statistics_file.save(given, folder / "other.safetensors")
    host.on_model_call = lambda *_: pytest.fail("the model was called")
    with pytest.raises(Exception, match=message):
        rectify(host, picture, {**FROZEN, "statistics": "other.safetensors"})
    host.on_model_call = None
    assert not host.frames_are_connected()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.safetensors", "'missing.safetensors' is not in the extension's folder"),
        ("../secret.safetensors", "'../secret.safetensors' is not a valid file name"),
        ("/etc/passwd", "'/etc/passwd' is not a valid file name"),
        ("C:\\\\x.safetensors", "is not a valid file name"),
        ("a" * 200 + ".safetensors", "is not a valid file name"),
        (".hidden.safetensors", "is not a valid file name"),
        (["clips.safetensors"], "is not text"),
        ("broken.safetensors", "cannot be used: it is no safetensors file"),
    ],
)
def test_the_api_takes_names_only(host, payload, folder, name, message):
    (folder / "broken.safetensors").write_bytes(b"damaged")
    scripts = {
        "AnimateDiff": {"args": [{"enable": True, "video_length": 4, "batch_size": 4}]},
        "Noise Rectification": {"args": [{"enabled": True, "statistics": name}]},
    }
    status, body = host.api_img2img({**payload, "alwayson_scripts": scripts})
    assert status == 422 and message in body["detail"] and str(folder) not in body["detail"]


def test_the_api_starts_late(host, payload, folder):
    statistics_file.save(make("spectral"), folder / "clips.safetensors")
    levels = []
    host.on_model_call = lambda call, x, level: levels.append(level)
    scripts = {
        "AnimateDiff": {"args": [{"enable": True, "video_length": 4, "batch_size": 4}]},
        "Noise Rectification": {"args": [{**LATE, "statistics": "clips.safetensors"}]},
    }
    status, body = host.api_img2img({**payload, "alwayson_scripts": scripts})
    assert status == 200 and levels[0] == pytest.approx(sigma_of(899), rel=2e-5)
    assert "start time: 0.9, Noise Rectification statistics: clips.safetensors" in body["info"]


# Files through the page.


class Uploaded:
    def __init__(self, path):
        self.name = str(path)


def test_an_uploaded_file_is_looked_at_and_kept(host, folder, tmp_path_factory):
    from lib_noiserect.webui import ui_statistics

    elsewhere = tmp_path_factory.mktemp("uploaded")
    statistics_file.save(make("spectral", clips=12), elsewhere / "clips.safetensors")
    update, said = ui_statistics.receive(Uploaded(elsewhere / "clips.safetensors"))
    assert update["value"] == "clips.safetensors" and update["choices"] == ["none", "clips.safetensors"]
    assert "clips.safetensors: spectral, 12 clips, 4 frames" in said
    assert statistics_file.named("clips.safetensors").clips == 12
    assert ui_statistics.receive(Uploaded(elsewhere / "clips.safetensors"))[0]["value"] == "clips.safetensors"  # again
    statistics_file.save(make("mean"), elsewhere / "clips.safetensors")
    update, said = ui_statistics.receive(str(elsewhere / "clips.safetensors"))
    assert "value" not in update and "already exists with other content" in said
    assert statistics_file.named("clips.safetensors").kind == "spectral"
    assert ui_statistics.receive(None) == ({"__type__": "update"}, "")


@pytest.mark.parametrize("name", ["clips.pt", "&lt;b&gt;.safetensors", "wrong.safetensors"])
def test_what_is_no_file_of_statistics_is_not_kept(host, folder, tmp_path_factory, name):
    from lib_noiserect.webui import ui_statistics

    path = tmp_path_factory.mktemp("uploaded") / name
    path.write_bytes(b"<b>damaged</b>")
    update, said = ui_statistics.receive(Uploaded(path))
    assert "value" not in update and "wrong" in said and "<b>" not in said
    assert list(folder.iterdir()) == []


def test_a_file_that_is_too_large_is_not_kept(host, folder, tmp_path_factory, monkeypatch):
    from lib_noiserect.webui import ui_statistics

    path = tmp_path_factory.mktemp("uploaded") / "large.safetensors"
    statistics_file.save(make("mean", size=80), path)
    monkeypatch.setattr(statistics_file, "MAX_BYTES", 2**18)
    update, said = ui_statistics.receive(Uploaded(path))
    assert "value" not in update and "it has 0 MB, and 0 are allowed" in said
    assert list(folder.iterdir()) == []


def test_the_folder_does_not_grow_without_bound(host, folder, tmp_path_factory, monkeypatch):
    from lib_noiserect.webui import ui_statistics

    monkeypatch.setattr(ui_statistics, "MAX_FILES", 1)
    elsewhere = tmp_path_factory.mktemp("uploaded")
    for name in ("a.safetensors", "b.safetensors"):
        statistics_file.save(make("spectral"), elsewhere / name)
    assert ui_statistics.receive(Uploaded(elsewhere / "a.safetensors"))[0]["value"] == "a.safetensors"
    assert "the folder statistics has 1 files" in ui_statistics.receive(Uploaded(elsewhere / "b.safetensors"))[1]


def test_the_list_is_looked_up_again(host, folder):
    control = host.script("Noise Rectification").controls
    [dropdown] = [one for one in control if str(one.elem_id).endswith("statistics")]
    statistics_file.save(make("mean"), folder / "new.safetensors")
    from lib_noiserect.webui import ui_statistics

    assert dropdown.value == "none" and ui_statistics.choices() == ["none", "new.safetensors"]


def test_a_grid_over_start_times(host, picture):
    firsts = []
    host.on_model_call = lambda call, x, level: firsts.append(level) if call % 4 == 0 else None
    host.model_calls = 0
    axes = [("[Noise Rectification] Start noise level (M)", "1"), ("[Noise Rectification] Start noise level (M)", "0.9")]
    jobs = host.xyz(
        {"picture": picture, "steps": 4, "script_args": {"Noise Rectification": [FROZEN]}}, [[axis] for axis in axes]
    )
    assert len(jobs) == 2 and [f"start time: {value}" in job.infotexts[0] for value, job in zip(("1", "0.9"), jobs)]
    assert "Noise Rectification start time: 0.9" in jobs[1].infotexts[0]
    assert K_SAMPLERS

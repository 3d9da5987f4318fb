"""Hostile and odd requests: refused by name, bounded in memory and in the answer, and without an effect on other jobs."""

import base64
import os
import struct
import threading
import time
import zlib
from types import SimpleNamespace

import pytest
import torch
from faults import Trial, encoded, picture
from standin import Host
from test_extension import FROZEN, SCRIPT, payload

from lib_noiserect.core.settings import FIELDS, Settings, SettingsError
from lib_noiserect.methods import statistics_file
from lib_noiserect.methods.analytic_init import Statistics

TITLE = "Noise Rectification"


@pytest.fixture(scope="module")
def host():
    with Host("a1111") as host:
        host.load_script(SCRIPT)
        yield host
        assert not [log for log in host.logs if "noise_rectification" in str(log[0])], "a hook of ours failed"


def asked(host, settings, **request):
    """(status, detail) of a job."""
    status, body = host.api_img2img(payload(picture(), settings, **request))
    return status, body.get("detail", "")


def previewed(host, request):
    from modules.api import api

    [route] = [route for route in host.app.routes if route.path == "/noise-rectification/preview"]
    try:
        answer = 200, route.endpoint(request)
    except Exception as error:
        answer = api.handle_exception(error)
    return answer[0], api.rendered(answer[1]).decode()


def header(width, height):
    """A PNG in base64 whose header is all that it has."""
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", b""))
    made = (struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks)
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(made)).decode()


KEY = encoded(picture())
ODD = {
    "second dict": ([{"enabled": True}, {"tau_end": 1.0}], "args has a second dict: put all settings into the first one"),
    "two spellings": ({"key_frames": {"3": KEY, "03": KEY}}, "key_frames has frame 3 twice: use one image for each frame"),
    "another script": ({"key_frames": {"٣": KEY}}, "key_frames has the frame '٣': use a number"),
    "a number": ({"key_frames": 5}, "key_frames = 5 is not an object: use an object of frame numbers and base64 images"),
    "zero": ({"key_frames": 0}, "key_frames = 0 is not an object"),
    "mask is a number": ({"motion_mask": 0.5}, "motion_mask = 0.5 is not an object"),
    "inpaint 0": ({"inpaint_mask": 0}, "inpaint_mask = 0 is not a boolean: use true or false"),
    "inpaint {}": ({"inpaint_mask": {}}, "inpaint_mask = {} is not a boolean: use true or false"),
    "digits": ({"tau_end": "٠.٥"}, "tau_end = '٠.٥' is not a number"),
    "underscore": ({"tau_end": "0_1"}, "tau_end = '0_1' is not a number"),
    "yes": ({"pin_first_frame": "yes"}, "pin_first_frame = 'yes' is not a boolean: use true or false"),
    "device": ({"statistics": "CON.safetensors"}, "statistics = 'CON.safetensors' is not a valid file name"),
    "device 2": ({"statistics": "lpt1.x.safetensors"}, "statistics = 'lpt1.x.safetensors' is not a valid file name"),
    "surrogate name": ({"\ud800": 1}, "unknown setting \\ud800: use enabled"),
    "surrogate value": ({"scorer": "\udfff"}, "scorer = '\\udfff' is not allowed"),
    "surrogate frame": ({"key_frames": {"\ud800": KEY}}, "key_frames has the frame '\\ud800'"),
    "number first": ({"key_frames": {"9": header(8, 8)}}, "keyframe 9 is outside the video of 4 frames: use 1 to 3"),
    "mask's number first": (
        {"key_frames": {"3": header(8, 8)}, "motion_mask": {"9": KEY}},
        "motion mask 9 is outside the video of 4 frames: use 0 to 3",
    ),
    "sum": (
        {"key_frames": {str(frame): header(8000, 8000) for frame in range(1, 6)}, "motion_mask": {
            str(frame): header(8000, 8000) for frame in range(4)}},
        "key_frames and motion_mask have more than 512 megapixels in all",
    ),
    "pixels last": ({"key_frames": {"3": header(64, 64)}}, "key_frames['3'] cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("settings, message", ODD.values(), ids=ODD)
def test_refused_by_name(host, settings, message):
    settings = settings if isinstance(settings, list) else [{"enabled": True, **settings}]
    status, detail = asked(host, settings)
    assert (status, detail[: len(TITLE) + 2]) == (422, f"{TITLE}: ") and message in detail


def test_many_unknown_names_make_a_short_message(host):
    status, detail = asked(host, {"enabled": True, **{f"name {number}": 1 for number in range(100_000)}})
    assert status == 422 and "unknown setting name 0, name 1" in detail and len(detail) < 1000
    status, answer = previewed(host, {f"name {number}": 1 for number in range(100_000)})
    assert status == 422 and len(answer) < 1000


def test_text_is_read_as_an_infotext(host):
    """As docs/api.md says."""
    text = {"enabled": "true", "tau_end": "1", "omega": "0, 0, 0, 0"}
    torch.manual_seed(1)
    spelled = host.api_img2img(payload(picture(), text))[1]
    torch.manual_seed(1)
    assert spelled["images"] == host.api_img2img(payload(picture(), {**FROZEN, "omega": [0, 0, 0, 0]}))[1]["images"]


DROPPED = [{"enabled": True}, {"args": {"enabled": True}}, {"args": [], "tau_end": 1}, {"args": "on"}, [FROZEN], "on", None]


@pytest.mark.parametrize("given", DROPPED, ids=str)
@pytest.mark.parametrize("name", [TITLE, TITLE.lower()])
def test_settings_that_the_host_would_drop_are_refused(host, given, name):
    request = payload(picture(), FROZEN)
    scripts = request["alwayson_scripts"]
    del scripts[TITLE]
    scripts[name] = given
    status, body = host.api_img2img(request)
    assert status == 422 and 'alwayson_scripts["Noise Rectification"] is ' in body["detail"]
    assert 'use {"args": [{"enabled": true}]}' in body["detail"]


def test_an_entry_without_settings_is_a_plain_job(host):
    request = payload(picture(), FROZEN)
    for nothing in ({}, {"args": []}):
        request["alwayson_scripts"][TITLE] = nothing
        status, body = host.api_img2img(request)
        assert status == 200 and TITLE not in body["info"]


def test_values_behind_the_dict_count_and_the_dict_has_the_last_word(host):
    """In the order of the table: tau_start, tau_end, omega."""
    args = [{"enabled": True, "omega": "frozen"}, 0.0, 1.0, "linear"]
    infotext = host.api_img2img(payload(picture(), args))[1]["info"]
    assert f"{TITLE} tau end: 1," in infotext and f"{TITLE} omega: frozen" in infotext


def test_a_request_does_not_lift_the_limit_for_requests(host):
    from modules import shared

    name = "noise_rectification_api_omega_entries"
    shared.opts.set(name, 2)
    try:
        lifted = {"override_settings": {name: 4096}}
        status, detail = asked(host, {"enabled": True, "omega": [1, 1, 1, 1]}, **lifted)
    finally:
        shared.opts.set(name, 4096)
    assert status == 422 and "omega has 4 entries: use 1 to 2" in detail


def test_the_refusal_names_the_client_that_sends_animatediff_twice(host):
    request = payload(picture(), {"enabled": True})
    request["alwayson_scripts"]["animatediff"] = {"args": [False]}
    status, body = host.api_img2img(request)
    assert status == 422 and "has AnimateDiff twice, and the last one, False, counts: webuiapi adds it" in body["detail"]


@pytest.mark.parametrize("is_img2img", [True, False])
@pytest.mark.parametrize("animatediff", [{}, None])
def test_an_accordion_that_is_off_is_not_read(host, is_img2img, animatediff):
    """Emptied and wrong controls."""
    controls = host.script(TITLE, is_img2img).controls
    for odd in (None, "x", -1, [object()]):
        values = [odd] * len(controls)
        values[[*FIELDS].index("enabled" if is_img2img else "create")] = False
        of_tab = picture() if is_img2img else None
        job = host.img2img(of_tab, script_args={TITLE: values}, animatediff=animatediff, frames=2, steps=2)
        assert TITLE not in job.infotexts[0]


def test_another_extensions_odd_notes_make_no_plain_clip(host):
    job = host.img2img(picture(), script_args={TITLE: [FROZEN]}, extra_generation_params={5: object(), None: 1, "a": None})
    assert f"{TITLE} steps: 6 of 6" in job.infotexts[0]


HUGE = (10**400, -(10**400), 10**5000, 1e400, float("nan"), True, "9" * 5000, [[1] * 9], {"\ud800": 1}, None, "\ud800")


NAMES = ["settings", "frames", "steps", "sampler", "scheduler", "denoising_strength", "picture", "\ud800"]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_each_preview_can_be_sent(host, name):
    for value in HUGE:
        status, answer = previewed(host, {name: value})
        assert status == (200 if (name, value) == ("picture", True) else 422), (value, answer)
        assert len(answer) < 2500
    for setting in FIELDS:
        for value in HUGE:
            assert previewed(host, {"settings": {setting: value}})[0] in (200, 422)


def test_a_preview_is_bounded_and_linear_in_its_keyframes(host):
    began = time.perf_counter()
    request = {"frames": 4096, "settings": {"omega": "linear", "key_frames": {str(frame * 16): "" for frame in range(256)}}}
    assert previewed(host, request)[0] == 200
    assert time.perf_counter() - began < 1
    request["settings"]["key_frames"] = {str(frame): "" for frame in range(4096)}
    assert previewed(host, request)[0] == 422
    request["settings"]["key_frames"] = {"3": "", "03": ""}
    assert "key_frames has frame 3 twice" in previewed(host, request)[1]


AXES = {
    "0x5-1": False, "0-1 [0]": False, "0-1 [100000]": False, "0-1 (+0)": False, "0-1 (+0.00001)": False,
    "0-1 [3]": True, "0.5-1 (+0.25)": True, "0.5": True, "0-1": True,
}  # fmt: skip


@pytest.mark.parametrize("text, is_read", AXES.items())
def test_ranges_that_the_hosts_parser_cannot_read(host, text, is_read):
    axis = next(option for option in host.script("X/Y/Z plot").current_axis_options if option.label.endswith("Motion amount"))
    if is_read:
        assert axis.prepare(text) == [text]
        return
    with pytest.raises(ValueError, match="is not a number: use a number from 0 to 1") as caught:
        axis.prepare(text)
    assert caught.value.status_code == 422


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(statistics_file, "FOLDER", tmp_path / "statistics")
    statistics_file.FOLDER.mkdir()
    return statistics_file.FOLDER


def statistics(value):
    mean = torch.full((2, 4, 8, 8), float(value))
    return Statistics("mean", {"mean": mean, "variance": torch.ones(())}, "", 0.0, 0, 0, 2, 0, "")


def test_of_uploads_under_one_name_at_once_one_is_kept(host, folder, tmp_path):
    from lib_noiserect.webui import ui_statistics

    paths = [tmp_path / str(number) / "clips.safetensors" for number in range(8)]
    for number, path in enumerate(paths):
        path.parent.mkdir()
        statistics_file.save(statistics(number), path)
    together, said = threading.Barrier(len(paths)), {}

    def upload(path):
        together.wait()
        said[path] = ui_statistics.receive(SimpleNamespace(name=str(path)))[1]

    threads = [threading.Thread(target=upload, args=[path]) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [kept] = [path for path, words in said.items() if "wrong" not in words]
    assert torch.equal(*(statistics_file.load(path).values["mean"] for path in (folder / "clips.safetensors", kept)))
    assert sum("already exists with other content" in words for words in said.values()) == len(paths) - 1
    assert [path.name for path in folder.iterdir()] == ["clips.safetensors"]


def test_names_that_no_setting_can_have_are_not_listed(host, folder):
    from lib_noiserect.webui import ui_statistics

    for name in (b"\xff\xfe", b"con", b".hidden", b"a\nb", b"good"):
        (folder / os.fsdecode(name + b".safetensors")).write_bytes(b"")
    assert ui_statistics.choices() == ["none", "good.safetensors"]
    status, detail = asked(host, {"enabled": True, "statistics": "other.safetensors"})
    assert status == 422 and "(good.safetensors)" in detail


@pytest.mark.parametrize("name", ["con", "Console", "com10", "nul", "a.con"])
def test_names_of_devices(name):
    if name in ("con", "nul"):
        with pytest.raises(SettingsError):
            Settings(statistics=f"{name}.safetensors")
    else:
        assert Settings(statistics=f"{name}.safetensors").statistics == f"{name}.safetensors"


@pytest.fixture(scope="module", params=["a1111", "forge"])
def either(request):
    with Host(request.param) as host:
        host.load_script(SCRIPT)
        yield host


@pytest.mark.parametrize(
    "settings, job, call, subject",
    [
        ({"enabled": True}, {"sampler": "Heun"}, 3, "the model's prediction in step 2 of 3"),  # two calls a step
        ({"enabled": True, "tau_end": 0.3}, {"sampler": "DDIM", "steps": 5}, 3, "the model's prediction in step 3 of 3"),
        ({"enabled": True, "target_ssim": 0.5}, {"sampler": "Euler"}, 3, "the model's prediction in step 3 of 3"),
        ({"create": True, "candidates": 1}, {"tab": "txt2img"}, 3, "a candidate's latent"),
        ({"create": True, "candidates": 2, "scorer": "model"}, {"tab": "txt2img"}, 7, "a candidate's score"),
        ({"create": True, "candidates": 1}, {"tab": "txt2img"}, 4, "the model's prediction in step 1 of 2"),
        ({"create": True, "enabled": False, "candidates": 1}, {"tab": "txt2img"}, 8, "the video's latent"),
        ({"create": True, "enabled": True}, {}, 4, "the model's prediction in step 2 of 3"),
    ],
    ids=["corrected", "behind the window", "test video", "candidate", "score", "animation", "plain", "animated image"],
)
def test_a_prediction_that_is_not_finite_ends_the_job(either, settings, job, call, subject):
    """One number is enough, and the host's own check, which looks for results that are NaN throughout, is silent."""
    kept, trial = either.model, Trial(either, settings, **job)
    plain = trial.run()

    def damaged(x, level, host):
        answer = kept(x, level, host)
        answer[-1, 0, 0, 0] *= float("nan") if host.model_calls == call else 1.0
        return answer

    either.model = damaged
    try:
        error, calls = trial.asked().error, either.model_calls
    finally:
        either.model = kept
    assert f"{subject} is not finite (NaN or infinity), mostly from half precision or damaged weights: " in error
    assert "use full precision (start the web UI with --no-half), or another checkpoint, motion module or VAE" in error
    assert calls == call and trial.run() == plain

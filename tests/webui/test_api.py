"""The extension's own addresses: their answers against the jobs themselves, their guard, and what they refuse."""

import base64
import itertools
import json
import logging
import re
from pathlib import Path

import pytest
from standin import Host
from standin.server import answer_of
from test_extension import ALL_SAMPLERS, REPRESENTATIVES, SCHEDULERS

from lib_noiserect.core.noise_levels import ModelLevels
from lib_noiserect.core.settings import FIELDS, INTERPOLATIONS, OMEGA_PRESETS, PRESETS, TAU_UNITS, Settings
from lib_noiserect.webui.arguments import INPUTS

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "noise_rectification.py"
SETTINGS, PREVIEW = "/noise-rectification/settings", "/noise-rectification/preview"
PAGE = f"{PREVIEW}/page"
EXAMPLE = {"settings": {}, "frames": 16, "steps": 25, "sampler": "Euler", "scheduler": "Automatic"}


@pytest.fixture
def host(with_extension):
    return with_extension


def ask(host, authorization=None, **request):
    return answer_of(host, "POST", PREVIEW, authorization, json.dumps(request).encode())


def test_the_example_of_the_documentation(host):
    """16 frames: ω falls from 1 to 0.5 over frames 0 to 7; 25 steps: those below 15 are inside τ = [0, 0.6]."""
    status, body = ask(host, **EXAMPLE)
    assert status == 200 and set(body) == {"omega", "motion_shares", "rectified_steps", "unet_calls", "summary"}
    assert body["motion_shares"] is None and body["unet_calls"] is None
    assert body["omega"] == pytest.approx([1 - 0.5 * frame / 7 for frame in range(8)] + [0.5] * 8)
    assert body["rectified_steps"] == list(range(15))
    assert body["summary"] == (
        "steps 1–15 of 25 rectified, first frame free after step 15, ω falls from 0.929 at frame 1 to 0.5 at frame 7"
    )
    assert ask(host) == (status, body)  # all of it is the default


def test_what_a_clip_through_a_picture_costs(host):
    """The authors' setting has 66 calls, of which none is for the choice; with one's own picture 41."""
    status, body = ask(host, settings={"create": True}, picture=False)
    assert (status, body["unet_calls"]) == (200, {"candidates": 25, "choice": 4, "animation": 16, "regeneration": 25})
    assert body["summary"].startswith("about 70 UNet calls on 16 frames: candidates 25, choice 4, animation 16, ")
    _, body = ask(host, settings={"create": True, "scorer": "clip"}, picture=False)
    assert sum(body["unet_calls"].values()) == 66
    _, body = ask(host, settings={"create": True, "scorer": "pick", "pick": 3}, picture=False)
    assert body["unet_calls"]["candidates"] == 25 / 16
    _, body = ask(host, settings={"create": True})
    assert body["unet_calls"] == {"animation": 16, "regeneration": 25}
    _, body = ask(host, settings={"create": True, "regeneration": 0.5}, sampler="Heun")
    assert body["unet_calls"] == {"animation": 16, "regeneration": 26}
    assert ask(host, picture="no")[0] == 422


def test_a_share_of_motion_is_no_weight(host):
    """Which ω it takes depends on the job's sampler; in a loop, frames have less of it towards the first one."""
    status, body = ask(host, settings={"omega": "motion", "motion": 0.3}, frames=3)
    assert (status, body["omega"], body["motion_shares"]) == (200, None, [0.3, 0.3, 0.3])
    assert body["summary"].endswith("first frame free after step 15, 30 % of the model's motion")
    _, body = ask(host, settings={"omega": "motion", "motion": 0.3, "loop": True}, frames=4)
    assert body["motion_shares"] == [0.0, 0.15, 0.3, 0.15]
    assert body["summary"].endswith("30 % of the model's motion, seamless loop")


@pytest.mark.parametrize("omega", ["linear", "motion", [1, 0.5, 0.2]])
def test_what_is_to_be_found_is_not_known(host, omega):
    status, body = ask(host, settings={"omega": omega, "target_ssim": 0.8}, frames=3)
    assert (status, body["omega"], body["motion_shares"]) == (200, None, None)
    assert body["summary"].endswith("motion tuned for SSIM 0.8")


def test_nobody_counts_steps_in_noise_levels(host):
    status, body = ask(host, settings={"tau_unit": "noise level", "tau_end": 0.5})
    assert (status, body["rectified_steps"]) == (200, None)
    assert body["summary"].startswith("rectified from 0 % to 50 % of the noise levels, first frame free after 50 %, ω")


def test_key_frames_are_seen_by_their_numbers(host):
    """linear: from ω end at a picture to ω start in the middle between two."""
    settings = {"omega": "linear", "omega_end": 0.0, "key_frames": {"4": "<base64>"}, "motion_mask": "<base64>"}
    status, body = ask(host, settings=settings, frames=5)
    assert (status, body["omega"]) == (200, [0.0, 0.5, 1.0, 0.5, 0.0])


@pytest.mark.parametrize(
    "sampler, steps, strength",
    [
        *((sampler, 15, 0.5) for sampler in ALL_SAMPLERS),
        *((sampler, 19, 0.3) for sampler in (*REPRESENTATIVES, "UniPC")),
        *((sampler, 10, 1.0) for sampler in (*REPRESENTATIVES, "UniPC", "DPM fast")),
        ("Restart", 25, 1.0),
    ],
)
def test_the_steps_are_those_of_the_job(host, picture, sampler, steps, strength):
    """The job itself counts, in its infotext."""
    settings = {"enabled": True, "tau_end": 0.5}
    status, body = ask(host, settings=settings, frames=2, steps=steps, sampler=sampler, denoising_strength=strength)
    assert status == 200
    counted = _counted(host, picture, settings, sampler=sampler, steps=steps, denoising_strength=strength)
    if sampler == "DPM adaptive":
        assert body["rectified_steps"] is None
        assert "DPM adaptive chooses its own steps" in body["summary"]
        return
    planned = len(body["rectified_steps"]), int(body["summary"].split(" rectified")[0].rpartition(" of ")[2].split()[0])
    if sampler == "Restart" and planned[1] >= 20:  # by noise level: what is done again is rectified again
        assert planned == (13, 25) and "some steps twice" in body["summary"]
        assert counted[1] == 25
        return
    assert planned == counted
    assert ("instead of" in body["summary"]) == (counted[1] != steps)


@pytest.mark.parametrize(
    "sampler, scheduler",
    [
        *(("Euler a", scheduler) for scheduler in SCHEDULERS),
        *((sampler, scheduler) for sampler in ("LCM", "DPM2") for scheduler in ("Karras", "DDIM")),
    ],
)
def test_the_steps_of_every_scheduler(host, picture, sampler, scheduler):
    """30 steps: the scheduler DDIM makes 31 of 1000 levels, and 50 of LCM's 50."""
    job = {"sampler": sampler, "scheduler": scheduler, "steps": 30}
    settings = {"enabled": True, "tau_end": 0.5}
    status, body = ask(host, settings=settings, frames=2, **job)
    assert status == 200
    rectified, count = _counted(host, picture, settings, **job)
    assert len(body["rectified_steps"]) == rectified
    assert f" of {count} rectified" in body["summary"]
    assert (count != 30) == (scheduler == "DDIM")


def _counted(host, picture, settings, **job):
    finished = host.img2img(picture, script_args={"Noise Rectification": [settings]}, frames=2, **job)
    rectified, count = finished.infotexts[0].split("Noise Rectification steps: ")[1].split(",")[0].split(" of ")
    return int(rectified), int(count)


def test_a_preview_leaves_a_running_job_alone(host, picture):
    """It neither draws from the job's noise nor asks for a model."""
    from modules import shared

    def run():
        import torch

        torch.manual_seed(5)
        return host.img2img(picture, sampler="Euler a", steps=6).latents[0]

    expected = run()
    asked = []

    def preview(k, x, level):
        kept, shared.sd_model = shared.sd_model, None  # what looks at the model now fails
        # Each call of the job a part of them.
        asked.extend(ask(host, sampler=name)[0] for name in ALL_SAMPLERS[k::6])
        asked.extend(ask(host, scheduler=name)[0] for name in SCHEDULERS[k::6])
        shared.sd_model = kept

    host.on_model_call = preview
    result = run()
    assert result.equal(expected)
    assert len(asked) == len(ALL_SAMPLERS) + len(SCHEDULERS) and set(asked) == {200}


def test_names_of_before_1_9(host):
    assert ask(host, sampler="DPM++ 2M Karras") == ask(host, sampler="DPM++ 2M", scheduler="Karras")
    assert ask(host, sampler="DPM++ 2M Karras")[0] == 200


def test_a_host_without_schedulers():
    with Host("a1111-1.8", script=SCRIPT) as host:
        assert ask(host, sampler="DPM++ 2M Karras")[0] == 200
        status, body = ask(host, scheduler="Karras")
        assert status == 422 and "scheduler = 'Karras' is not known: use Automatic" in body["detail"]


@pytest.mark.parametrize("request_, message", [
    ({"frames": 4097}, "frames = 4097 is not allowed: use a whole number from 1 to 4096"),
    ({"frames": 0}, "frames = 0 is not allowed: use a whole number from 1 to 4096"),
    ({"frames": True}, "frames = True is not allowed: use a whole number"),
    ({"frames": 16.0}, "frames = 16.0 is not allowed: use a whole number"),
    ({"frames": 10**400}, "frames = 1000"),
    ({"steps": 10001}, "steps = 10001 is not allowed: use a whole number from 1 to 10000"),
    ({"steps": "25"}, "steps = '25' is not allowed: use a whole number from 1 to 10000"),
    ({"steps": 2000, "sampler": "DDIM"}, "steps = 2000 is not possible with DDIM and the scheduler Automatic"),
    ({"sampler": "Oiler"}, "sampler = 'Oiler' is not known: use DPM++ 2M, DPM++ SDE"),
    ({"sampler": "Euler Oiler"}, "sampler = 'Euler Oiler' is not known: use DPM++ 2M, DPM++ SDE"),
    ({"sampler": 3}, "sampler = 3 is not text: use a sampler's name"),
    ({"scheduler": "Kerras"}, "scheduler = 'Kerras' is not known: use Automatic, Uniform, Karras"),
    ({"scheduler": None}, "scheduler = None is not text"),
    ({"denoising_strength": 0}, "denoising_strength = 0 is out of range: use a number above 0, to 1"),
    ({"denoising_strength": float("nan")}, "denoising_strength = nan is out of range"),
    ({"denoising_strength": "1"}, "denoising_strength = '1' is not a number"),
    ({"settings": [1]}, "settings = [1] is not a dict: use enabled, tau_start"),
    ({"settings": {"tau_end": 2}}, "tau_end = 2 is out of range: use a number from 0 to 1"),
    ({"settings": {"tau_start": 0.7}}, "tau_start = 0.7 is after tau_end = 0.6"),
    ({"settings": {"tau": 2}}, "unknown setting tau: use enabled, tau_start"),
    ({"settings": {"omega": [1, 0]}}, "omega has 2 entries and the video has 16 frames: give 16 entries"),
    ({"frame": 3}, "unknown frame: use settings, frames, steps, sampler, scheduler, denoising_strength"),
])  # fmt: skip
def test_bad_input_gets_422_with_name_value_and_what_is_allowed(host, request_, message):
    status, body = ask(host, **request_)
    assert status == 422
    assert body["detail"].startswith(f"Noise Rectification: {message}")
    assert len(body["detail"]) < 700


def test_the_largest_request_is_done_in_a_moment(host):
    status, body = ask(host, frames=4096, steps=10000, settings={"tau_end": 1.0})
    assert status == 200 and len(body["omega"]) == 4096
    assert len(body["rectified_steps"]) == 9991  # img2img's int(0.999 * 10000) + 1
    assert "Euler takes 9991 steps instead of 10000" in body["summary"]


def test_the_schema_is_fields(host):
    status, schema = answer_of(host, "GET", SETTINGS)
    assert status == 200
    assert json.loads(json.dumps(schema)) == schema
    assert schema["type"] == "object" and schema["additionalProperties"] is False
    assert list(schema["properties"]) == [*FIELDS, *INPUTS]
    settings = {name: schema["properties"][name] for name in FIELDS}
    for name, described in settings.items():
        row = FIELDS[name]
        assert (described["title"], described["description"], described["default"]) == (row.label, row.help, row.default)
    assert {name: (described.get("type"), described.get("minimum"), described.get("maximum"))
            for name, described in settings.items()} == {
        "enabled": ("boolean", None, None),
        "tau_start": ("number", 0.0, 1.0),
        "tau_end": ("number", 0.0, 1.0),
        "omega": (None, None, None),
        "omega_start": ("number", 0.0, 1.0),
        "omega_end": ("number", 0.0, 1.0),
        "omega_resample": ("boolean", None, None),
        "pin_first_frame": ("boolean", None, None),
        "follow_motion": ("boolean", None, None),
        "motion": ("number", 0.0, 1.0),
        "target_ssim": ("number", 0.0, 1.0),
        "tau_unit": (None, None, None),
        "release": ("number", 0.0, 1.0),
        "hold_colour": ("boolean", None, None),
        "loop": ("boolean", None, None),
        "interpolation": (None, None, None),
        "repeat_noise": ("boolean", None, None),
        "mask_feather": ("number", 0.0, 16.0),
        "create": ("boolean", None, None),
        "candidates": ("integer", 0, 64),
        "scorer": (None, None, None),
        "pick": ("integer", -1, 63),
        "animation_share": ("number", 0.0, 1.0),
        "animation_strength": ("number", 0.0, 2.0),
        "regeneration": ("number", 0.05, 1.0),
        "start_time": ("number", 0.5, 1.0),
        "statistics": ("string", None, None),
    }  # fmt: skip
    for name, choices in (("tau_unit", TAU_UNITS), ("interpolation", INTERPOLATIONS)):
        assert {choice["const"]: choice["description"] for choice in settings[name]["oneOf"]} == choices
    *presets, weights = schema["properties"]["omega"]["oneOf"]
    assert {preset["const"]: preset["description"] for preset in presets} == OMEGA_PRESETS
    assert (weights["type"], weights["minItems"], weights["maxItems"]) == ("array", 1, 4096)
    defaults = {name: described["default"] for name, described in settings.items()}
    assert Settings.from_mapping(defaults) == Settings()


def test_the_schema_has_the_pictures(host):
    _, schema = answer_of(host, "GET", SETTINGS)
    pictures = {name: schema["properties"][name] for name in INPUTS}
    assert {name: described["title"] for name, described in pictures.items()} == {
        name: row.label for name, row in INPUTS.items()
    }
    assert all(described["description"].endswith(".") for described in pictures.values())
    base64_, by_frame = pictures["motion_mask"]["oneOf"]
    assert base64_ == {"type": "string", "contentEncoding": "base64"}
    assert by_frame.items() <= pictures["key_frames"].items()
    assert (by_frame["type"], by_frame["additionalProperties"]) == ("object", base64_)
    assert (pictures["inpaint_mask"]["type"], pictures["inpaint_mask"]["default"]) == ("boolean", False)


def test_the_schema_lists_the_presets(host):
    _, schema = answer_of(host, "GET", SETTINGS)
    assert [(name, preset["description"]) for name, preset in schema["presets"].items()] == [
        (name, preset.help) for name, preset in PRESETS.items()
    ]
    assert schema["presets"]["Faithful"]["values"] == {
        "tau_start": 0.0,
        "tau_end": 1.0,
        "omega": "authors",
        "omega_start": 0.6,
        "omega_end": 0.3,
        "pin_first_frame": True,
        "follow_motion": True,
    }
    of_json = {"boolean": bool, "number": float, None: str}
    for name, preset in schema["presets"].items():
        values = preset["values"]
        assert values == dict(PRESETS[name].values)
        assert {field: type(value) for field, value in values.items()} == {
            field: of_json[schema["properties"][field].get("type")] for field in values
        }
        assert Settings.from_mapping({"enabled": True, **values}).enabled  # they do for a job as they stand


def test_one_of_each_address_also_after_reload_ui(host):
    for _ in range(3):
        host.load_script(SCRIPT)
        paths = [route.path for route in host.app.routes]
        assert paths.count(SETTINGS) == paths.count(PREVIEW) == paths.count(PAGE) == 1


def test_only_the_pages_address_where_the_host_has_no_api():
    with Host("a1111", api=False, script=SCRIPT) as host:
        assert [route.path for route in host.app.routes] == [PAGE] and not host.logs
        assert ask_for_page(host)[0] == 200


def _basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def ask_for_page(host, token=None, **changes):
    from lib_noiserect.webui import api

    request = {
        "token": api.PAGE_TOKEN if token is None else token, "tab": "img2img", "settings": {}, "frames": 16, "key_frames": [],
        "sampler": "Euler", "scheduler": "Automatic", "steps": 25, "denoising_strength": 1.0, **changes,
    }  # fmt: skip
    return answer_of(host, "POST", PAGE, None, json.dumps(request).encode())


def told(parts):
    """The text of a phrase's parts, as the page makes it in English."""
    template, *values = parts
    return re.sub(r"\{(\d+)\}", lambda at: v if isinstance(v := values[int(at[1])], str) else told(v), template)


def test_the_page_gets_what_the_api_says(host):
    status, body = ask_for_page(host, settings={"tau_end": "0.5", "omega": "linear"}, sampler="DPM++ 2M", steps=20)
    _, expected = ask(host, settings={"tau_end": 0.5, "omega": "linear"}, sampler="DPM++ 2M", steps=20)
    assert status == 200 and body["problem"] is None
    assert [told(parts) for parts in body["sentences"]] == [expected["summary"]]
    assert body["curve"] == expected["omega"]
    assert body["positions"] == [step / 20 for step in range(20)]
    assert body["noise"] == sorted(body["noise"], reverse=True) and 0.02 < body["noise"][-1] < body["noise"][0] < 1
    rectified = [step for step, position in enumerate(body["positions"]) if position < 0.5 - 1e-5 / 20]
    assert rectified == expected["rectified_steps"]


def test_the_page_gets_the_curve_of_the_whole_motion(host):
    """The slider scales it; the API's shares are those of the slider."""
    _, body = ask_for_page(host, settings={"omega": "motion", "motion": "0.2", "loop": True}, frames=4)
    assert body["curve"] == [0.0, 0.5, 1.0, 0.5]
    assert told(body["sentences"][0]).endswith("20 % of the model's motion, seamless loop")


def test_the_page_gets_keyframes_by_the_names_of_their_files(host):
    names = ["boat-4.png", "boat.png", "2024-99.png", "no-ending-2"]
    settings = {"omega": "linear", "omega_end": "0"}
    _, body = ask_for_page(host, settings=settings, frames=5, key_frames=names)
    assert body["curve"] == [0.0, 1.0, 0.0, 1.0, 0.0]
    _, body = ask_for_page(host, key_frames=[f"{frame}.png" for frame in range(257)], frames=4096)
    assert body["problem"] == "Keyframes has 257 images: use at most 256"
    assert ask(host, settings={"key_frames": {str(frame): "" for frame in range(257)}}, frames=4096)[0] == 422


@pytest.mark.parametrize("wrong, message", [
    ({"settings": {"tau_end": "2"}}, "Ending Step (τ) = '2' is out of range: use a number from 0 to 1"),
    ({"settings": {"omega": "1, 0.5, 0"}}, "Motion per frame (ω) has 3 entries and the video has 16 frames"),
    ({"settings": "x" * 9000}, None),
    ({"settings": {"tau": "2"}}, "unknown setting tau"),
    ({"steps": 100_000}, "steps = 100000 is not allowed"),
    ({"steps": None, "settings": {"create": True}}, "steps = None is not allowed"),
    ({"sampler": None}, "sampler = None is not text"),
    ({"scheduler": "Kerras"}, "scheduler = 'Kerras' is not known"),
    ({"denoising_strength": 0}, "denoising_strength = 0 is out of range"),
    ({"frames": 10**9}, "frames = 1000000000 is not allowed"),
    ({"frames": "16"}, "frames = '16' is not allowed"),
    ({"key_frames": {"a": 1}}, None),
])  # fmt: skip
def test_the_page_gets_a_problem_and_curves_to_go_on_with(host, wrong, message):
    from lib_noiserect.webui.errors import in_labels

    status, body = ask_for_page(host, **wrong)
    assert status == 200 and body["curve"] and len(body["noise"]) == len(body["positions"])
    assert (body["problem"] or "").startswith(in_labels(message or "")) and (body["problem"] is None) == (message is None)
    assert (body["sentences"] == []) == (message is not None)
    if "omega" in wrong.get("settings", {}):
        assert body["curve"] == pytest.approx([1 - frame / 15 for frame in range(16)])


@pytest.mark.parametrize("token", ["", "wrong", "ä", 5])
def test_only_the_page_is_answered_at_its_address(host, token):
    assert ask_for_page(host, token=token)[0] == 403


def test_the_page_needs_no_password_of_the_api():
    with Host("a1111") as host:
        from modules import shared

        shared.cmd_opts.api_auth = "ann:secret"
        host.load_script(SCRIPT)
        assert ask_for_page(host)[0] == 200 and ask(host)[0] == 401


@pytest.mark.parametrize("sampler", ["Euler", "DPM2", "LCM", "DDIM", "PLMS", "UniPC", "DPM fast"])
@pytest.mark.parametrize("start_time, strength", [(1.0, 1.0), (0.9, 0.5)])
def test_the_drawn_levels_are_those_of_the_job(host, picture, sampler, start_time, strength):
    """The level of the first model call of each step."""
    called = []

    def remember(call, x, level):
        """Timesteps by ᾱ of AnimateDiff, which the model has only during the job."""
        scale = ModelLevels(host.sd_model.alphas_cumprod.tolist())
        called.append(scale.sigma(float(level)) if sampler in ("DDIM", "PLMS", "UniPC") else level)

    host.on_model_call = remember
    settings = {"enabled": True, "start_time": start_time}
    job = {"sampler": sampler, "steps": 12, "denoising_strength": strength}
    host.img2img(picture, script_args={"Noise Rectification": [settings]}, frames=2, **job)
    host.on_model_call = None
    _, body = ask_for_page(host, settings=settings, frames=2, **job)
    count = len(body["noise"])
    # Model calls of each step: DPM fast takes three together, and the rest in the last one, or in two where none is left.
    fast = [3] * (count - 1) if len(called) % 3 else [3] * (count - 2) + [2]
    orders = {"DPM2": [2] * count, "DPM fast": fast, "PLMS": [2] + [1] * (count - 1)}
    starts = itertools.accumulate([0, *orders.get(sampler, [1] * count)][:count])
    calls = [called[start] for start in starts]
    assert body["noise"] == pytest.approx([level / (1 + level**2) ** 0.5 for level in calls], rel=2e-3)


def test_window_positions_in_noise_levels(host):
    """Karras spends more than half of its steps on the second half of the noise levels."""
    _, body = ask_for_page(host, settings={"tau_unit": "noise level"}, sampler="DPM++ 2M", steps=25)
    positions = body["positions"]
    assert positions == sorted(positions) and positions[0] == pytest.approx(0, abs=1e-3) and positions[12] > 0.5


@pytest.mark.parametrize("method, path", [("GET", SETTINGS), ("POST", PREVIEW)])
def test_they_follow_api_auth(method, path):
    with Host("a1111") as host:
        from modules import shared

        shared.cmd_opts.api_auth = "ann:secret,bob:other"
        host.load_script(SCRIPT)
        for given, expected in [
            (None, 401), (_basic("ann", "other"), 401), (_basic("eve", "secret"), 401),
            (_basic("ann", "secret"), 200), (_basic("bob", "other"), 200),
        ]:  # fmt: skip
            assert answer_of(host, method, path, given, b"{}")[0] == expected


def test_without_the_hosts_guard_nothing_is_opened():
    with Host("a1111") as host:
        from modules import shared

        host.load_script(SCRIPT)
        shared.cmd_opts.api_auth = "ann:secret"
        from lib_noiserect.webui import api

        paths = [route.path for route in host.app.routes]
        with pytest.raises(RuntimeError, match="no guard to reuse"):
            api.add_routes(None, host.app)
        assert [route.path for route in host.app.routes] == [*paths, PAGE]


def test_the_callback_costs_no_walk_through_the_stack(host, monkeypatch):
    """`on_app_started` would search all loaded modules for the calling file, 50 ms at start-up."""
    from modules import script_callbacks

    def refuse(*args, **kwargs):
        raise AssertionError("searched")

    monkeypatch.setattr(script_callbacks, "_calling_file", refuse)
    script = host.script("Noise Rectification")
    entries = script_callbacks.callback_map["callbacks_app_started"]
    assert len(entries) == 2  # the API has called ui() twice more
    entries.clear()
    script.ui(True)
    script.ui(True)
    assert len(entries) == 2 and {entry.script for entry in entries} == {script.filename}


@pytest.fixture(autouse=True)
def quiet():
    logging.getLogger("noise_rectification").setLevel(logging.ERROR)

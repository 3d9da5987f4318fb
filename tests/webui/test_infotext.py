"""The infotext's round trip: by the paste button, and by the API's field."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from standin import Host, used_host
from test_extension import payload

from lib_noiserect.core.settings import FIELDS, Settings
from lib_noiserect.webui.arguments import INPUTS

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "noise_rectification.py"
# As version 0.1 wrote it under a picture, AnimateDiff's entry and all.
OLD = (
    "a sailing boat, waves\nNegative prompt: people\nSteps: 25, Sampler: Euler a, Schedule type: Automatic, CFG scale: 7, "
    "Seed: 7, Size: 64x64, Model hash: 0123456789, Model: toy, Denoising strength: 0.9, "
    'AnimateDiff: "model: mm_sd15_v3.safetensors, video_length: 4, fps: 8", '
    "Noise Rectification enabled: True, Noise Rectification tau start: 0.1, Noise Rectification tau end: 0.8, "
    'Noise Rectification omega: "1, 0.5, 0.25, 0", Noise Rectification omega start: 0.9, '
    "Noise Rectification omega end: 0.4, Noise Rectification omega resample: True, "
    "Noise Rectification pin first frame: True, Noise Rectification steps: 17 of 25, Version: v1.10.1"
)
OLD_VALUES = [True, 0.1, 0.8, "1, 0.5, 0.25, 0", 0.9, 0.4, True, True]
# What it did not have is at its default: that is how it made clips.
OLD_VALUES += [row.default for row in list(FIELDS.values())[len(OLD_VALUES) :]]


@pytest.fixture(params=["a1111", "a1111-1.8"])
def host(request):
    with used_host(request.param, script=SCRIPT) as host:
        yield host


def pasted(host, infotext):
    """The values of the settings' controls, in their order; None where a control is left as it is."""
    controls = host.script("Noise Rectification").controls
    found = [(component, value) for component, value in host.paste(infotext) if component in controls]
    assert [component for component, _ in found] == controls[: len(FIELDS)]
    return [value for _, value in found]


def test_what_the_first_version_wrote(host):
    values = pasted(host, OLD)
    assert values == OLD_VALUES
    assert [type(value) for value in values] == [type(row.default) for row in FIELDS.values()]


# A setting that an infotext does not name means this value for good: an entry never changes, whatever FIELDS has later.
FIRST_DEFAULTS = {
    "enabled": False, "tau_start": 0.0, "tau_end": 0.6, "omega": "authors", "omega_start": 1.0, "omega_end": 0.5,
    "omega_resample": False, "pin_first_frame": False, "follow_motion": False, "motion": 0.5, "target_ssim": 0.0,
    "tau_unit": "steps", "release": 0.0, "hold_colour": False, "loop": False, "interpolation": "slerp", "repeat_noise": True,
    "mask_feather": 1.0, "create": False,
    "candidates": 0, "scorer": "model", "pick": -1, "animation_share": 0.6, "animation_strength": 1.0, "regeneration": 1.0,
    "start_time": 1.0, "statistics": "none",
}  # fmt: skip
# One other value of each setting, which goes together with all the others.
OTHERS = {
    "tau_start": 0.1, "tau_end": 0.9, "omega": "1, 0.5, 0.25, 0", "omega_start": 0.9, "omega_end": 0.4,
    "omega_resample": True, "pin_first_frame": True, "follow_motion": True, "motion": 0.25, "target_ssim": 0.7,
    "tau_unit": "noise level", "release": 0.2, "hold_colour": True, "loop": True, "interpolation": "hold",
    "repeat_noise": False, "mask_feather": 2.5, "create": True, "candidates": 4, "scorer": "pick", "pick": 3,
    "animation_share": 0.5, "animation_strength": 1.5, "regeneration": 0.9, "start_time": 0.9,
    "statistics": "clips.safetensors",
}  # fmt: skip


def test_the_first_defaults_stay(host):
    from lib_noiserect.webui import infotext

    assert infotext.FIRST_DEFAULTS == FIRST_DEFAULTS and list(OTHERS) == list(FIELDS)[1:]


def test_settings_that_differ_are_named_and_the_rest_is_read_back(host):
    from lib_noiserect.webui import infotext

    for names in [[], *([name] for name in OTHERS), list(OTHERS)]:
        settings = Settings.from_mapping({"enabled": True, **{name: OTHERS[name] for name in names}})
        job = SimpleNamespace(extra_generation_params={"Other": "1", f"{infotext.PREFIX} found": "of an earlier job"})
        infotext.write_settings(job, settings)
        assert set(job.extra_generation_params) == {"Other", *(infotext.key(name) for name in ("enabled", *names))}
        params = {"Steps": "20", **job.extra_generation_params}
        read = {name: infotext.reader(name)(params) for name in FIELDS}
        assert Settings.from_mapping(read) == settings, names
        # As older versions wrote it.
        every = {infotext.key(name): infotext.text(getattr(settings, name)) for name in FIELDS}
        assert {name: infotext.reader(name)({"Steps": "20", **every}) for name in FIELDS} == read, names


def test_the_result_of_a_search_replaces_what_asked_for_it(host):
    from lib_noiserect.webui import infotext

    job = SimpleNamespace(extra_generation_params={})
    infotext.write_settings(job, Settings(enabled=True, target_ssim=0.8, omega="linear"))
    infotext.write_found(job, Settings(enabled=True, omega="motion", motion=0.5), "motion 0.5")
    assert job.extra_generation_params == {
        f"{infotext.PREFIX} {name}": value
        for name, value in {"enabled": "True", "omega": "motion", "found": "motion 0.5"}.items()
    }


def test_a_plain_run_of_a_job_names_nothing_of_its_rectified_run(host, picture):
    """Some scripts run one job several times."""
    p = host.img2img(picture, script_args={"Noise Rectification": [{"enabled": True}]}).p
    assert "Noise Rectification enabled" in p.extra_generation_params
    host.script("Noise Rectification").process(p, {"enabled": False})
    assert not [name for name in p.extra_generation_params if name.startswith("Noise Rectification")]


@pytest.mark.parametrize(
    "settings",
    [
        {"enabled": True},
        {"enabled": True, "tau_start": 0.25, "tau_end": 1.0, "omega": "linear", "pin_first_frame": True},
        {"enabled": True, "omega": [1, 0.5, 0.25, 0], "omega_start": 0.0, "omega_end": 1.0, "omega_resample": True},
        {"enabled": True, "omega": "motion", "motion": 0.375, "loop": True, "release": 0.2, "repeat_noise": False},
        {"enabled": True, "tau_unit": "noise level", "interpolation": "hold", "hold_colour": True, "mask_feather": 2.5},
    ],
)
def test_every_setting_is_what_it_was(host, picture, settings):
    job = host.img2img(picture, script_args={"Noise Rectification": [settings]})
    expected = {**{name: row.default for name, row in FIELDS.items()}, **settings}
    if isinstance(expected["omega"], list):
        expected["omega"] = ", ".join(f"{weight:g}" for weight in expected["omega"])
    for infotext in job.infotexts:
        assert pasted(host, infotext) == list(expected.values())
    torch.manual_seed(5)
    first = host.img2img(picture, script_args={"Noise Rectification": [settings]})
    torch.manual_seed(5)
    again = host.img2img(picture, script_args={"Noise Rectification": pasted(host, job.infotexts[0])})
    assert torch.equal(again.latents[0], first.latents[0]) and again.infotexts == first.infotexts


def test_a_plain_jobs_infotext_switches_it_off_and_leaves_the_rest(host, picture):
    """A plain job leaves no line, so that off is as not installed."""
    job = host.img2img(picture, script_args={"Noise Rectification": [{"enabled": False, "tau_end": 1.0}]})
    assert "Noise Rectification" not in job.infotexts[0]
    assert pasted(host, job.infotexts[0]) == [False if name in ("enabled", "create") else None for name in FIELDS]


@pytest.mark.parametrize("infotext", ["a prompt alone", "a prompt\nNegative prompt: another"])
def test_a_prompt_alone_changes_nothing(host, infotext):
    assert pasted(host, infotext) == [None] * len(FIELDS)


def test_some_lines_alone_change_those_settings_alone(host):
    some = "a boat\nSteps: 20, Sampler: Euler, Seed: 1, Noise Rectification tau end: 0.9"
    assert pasted(host, some) == [None, None, 0.9, *[None] * (len(FIELDS) - 3)]


def test_what_else_a_job_writes_is_no_setting(host):
    """What was found is in the settings' own lines, and pictures are not in an infotext."""
    others = (
        ', Noise Rectification found: "motion 0.37 found by SSIM in 5 short runs (tried 0: 0.970, 1: 0.710)", '
        "Noise Rectification key frames: 15, Noise Rectification motion mask: 1 picture, Noise Rectification motion: 0.37"
    )
    values = dict(zip(FIELDS, OLD_VALUES)) | {"motion": 0.37}
    assert pasted(host, OLD + others) == list(values.values())


def test_pictures_are_not_saved_with_the_tabs_defaults(host):
    controls = dict(zip([*FIELDS, *INPUTS], host.script("Noise Rectification").controls, strict=True))
    saved = [name for name, control in controls.items() if not getattr(control, "do_not_save_to_config", False)]
    assert saved == [name for name in FIELDS if name != "statistics"]  # whose file may not be there another day


def test_animatediffs_own_entry_is_still_there_for_it(host):
    from modules import script_callbacks

    seen = {}
    script_callbacks.on_infotext_pasted(lambda infotext, params: seen.update(params))
    assert pasted(host, OLD) == OLD_VALUES
    assert seen["AnimateDiff fps"] == "8" and seen["AnimateDiff video_length"] == "4"


def test_a_wrong_value_is_left_out_and_told(host):
    wrong = OLD.replace("tau end: 0.8", "tau end: 8")
    assert pasted(host, wrong) == [*OLD_VALUES[:2], None, *OLD_VALUES[3:]]
    assert "Ending Step (τ) = '8' is out of range: use a number from 0 to 1" in str(host.logs)


@pytest.fixture
def api():
    """The API has its field `infotext` since 1.9."""
    with Host("a1111", script=SCRIPT) as host:
        yield host


def by_infotext(host, picture, infotext, args=None):
    request = payload(picture, args or {}, infotext=infotext)
    if args is None:
        del request["alwayson_scripts"]["Noise Rectification"]
    torch.manual_seed(5)
    return host.api_img2img(request)


def directly(host, picture, settings):
    torch.manual_seed(5)
    return host.api_img2img(payload(picture, settings))


def test_the_apis_infotext_field(api, picture):
    """The seed and the steps of the request are its own, so only our lines make the difference."""
    settings = {
        **dict(zip(FIELDS, OLD_VALUES)),
        "omega": [1, 0.5, 0.25, 0],
    }
    status, body = by_infotext(api, picture, OLD)
    assert status == 200
    assert body["images"] == directly(api, picture, settings)[1]["images"]
    assert body["images"] != directly(api, picture, {"enabled": True})[1]["images"]
    assert body["images"] != directly(api, picture, {})[1]["images"]


def test_the_apis_infotext_field_of_a_plain_job(api, picture):
    plain = OLD.partition(", Noise Rectification")[0]
    status, body = by_infotext(api, picture, plain)
    assert status == 200
    assert body["images"] == directly(api, picture, {})[1]["images"]


def test_the_requests_own_settings_have_the_last_word(api, picture):
    settings = {"enabled": True, "omega": "frozen", "tau_end": 1.0}
    status, body = by_infotext(api, picture, OLD, settings)
    assert status == 200
    assert body["images"] == directly(api, picture, {**dict(zip(FIELDS, OLD_VALUES)), **settings})[1]["images"]


def test_a_disabled_line_is_no_enabled_job(api, picture):
    """bool("False") is True, and that is what the host does with text."""
    status, body = by_infotext(api, picture, OLD.replace("enabled: True", "enabled: False"))
    assert status == 200
    assert body["images"] == directly(api, picture, {})[1]["images"]


def test_a_wrong_value_in_the_apis_infotext_gets_422(api, picture):
    status, body = by_infotext(api, picture, OLD.replace("tau end: 0.8", "tau end: 8"))
    assert status == 422
    assert body["detail"] == (
        "Noise Rectification: in the infotext, tau_end = '8' is out of range: use a number from 0 to 1"
    )
    assert api.model_calls == 0

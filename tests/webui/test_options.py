"""The page of settings: what is on it, what it changes, and that a damaged settings file breaks nothing."""

import json
import logging
import re
from pathlib import Path

import pytest
from standin.server import answer_of

from lib_noiserect.core.settings import FIELDS
from lib_noiserect.webui.arguments import INPUTS

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "noise_rectification.py"
PREFIX = "noise_rectification_"
DEFAULTS = {f"{PREFIX}comparison": False, f"{PREFIX}candidates": True, f"{PREFIX}api_omega_entries": 4096}


@pytest.fixture
def host(with_extension):
    return with_extension


@pytest.fixture
def warnings(caplog):
    logger = logging.getLogger("noise_rectification")
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


def reload_with(host, **values):
    """The host reads its settings file before it makes the page; Reload UI makes the page anew."""
    host.opts.data.update({f"{PREFIX}{name}": value for name, value in values.items()})
    host.load_script(SCRIPT)
    return host.script("Noise Rectification").controls


def own(data):
    return {name: value for name, value in data.items() if name.startswith(PREFIX)}


def test_the_page(host):
    labels = own(host.opts.data_labels)
    assert list(labels) == list(DEFAULTS)
    assert own(host.opts.data) == DEFAULTS == {name: info.default for name, info in labels.items()}
    for info in labels.values():
        assert info.section == ("noise_rectification", "Noise Rectification")
        assert info.label and info.comment_after.startswith("(")
        # What the settings page does with it.
        info.component(label=info.label, value=info.default, **(info.component_args or {}))


def test_the_documentation_names_options_that_are_there():
    page = (SCRIPT.parents[1] / "docs" / "api.md").read_text(encoding="utf-8")
    assert set(re.findall(rf'"({PREFIX}\w+)": true', page)) == {f"{PREFIX}comparison", f"{PREFIX}candidates"}


def test_the_longest_list_by_the_api(host, picture, payload):
    """Checked before the list is compared with the clip; the tab is the user's own and has the library's bound only."""
    host.opts.data[f"{PREFIX}api_omega_entries"] = 3
    settings = {"enabled": True, "omega": [0.5] * 4}
    animatediff = {"args": [{"enable": True, "video_length": 4, "batch_size": 4}]}

    def post(**changes):
        scripts = {"AnimateDiff": animatediff, "Noise Rectification": {"args": [{**settings, **changes}]}}
        return host.api_img2img({**payload, "alwayson_scripts": scripts})

    message = (
        "omega has 4 entries: use 1 to 3, or change Settings → Noise Rectification → Longest list of ω in an API request"
    )
    for status, body in (post(), post(omega="0.5, 0.5, 0.5, 0.5")):
        assert (status, body["detail"]) == (422, f"Noise Rectification: {message}")
    status, body = _preview(host, settings=settings, frames=4)
    assert (status, body["detail"]) == (422, f"Noise Rectification: {message}")

    assert post(omega=[0.5] * 3, omega_resample=True)[0] == 200 == post(omega="constant")[0]
    assert _preview(host, settings={"omega": "constant"}, frames=16)[0] == 200
    schema = answer_of(host, "GET", "/noise-rectification/settings")[1]
    assert schema["properties"]["omega"]["oneOf"][-1]["maxItems"] == 3
    host.img2img(picture, script_args={"Noise Rectification": [settings]}, frames=4)


def _preview(host, **request):
    return answer_of(host, "POST", "/noise-rectification/preview", None, json.dumps(request).encode())


BROKEN = {
    "comparison": ["yes", 1, None, [], {}],
    "candidates": ["no", 0],
    "api_omega_entries": [0, -1, 4097, 10**400, 2.5, float("nan"), float("inf"), "16", None, True, [16]],
}


def test_a_damaged_settings_file(host, picture, warnings):
    from lib_noiserect.webui import settings_page

    for name, values in BROKEN.items():
        for value in values:
            warnings.clear()
            host.opts.data[f"{PREFIX}{name}"] = value
            settings_page.add_options()  # as each tab does
            assert own(host.opts.data) == DEFAULTS
            [message] = warnings.messages
            assert message.startswith(f"the setting {PREFIX}{name} is ") and len(message) < 200
            assert f"{DEFAULTS[PREFIX + name]!r} is used" in message
    # The page and a job go on.
    controls = reload_with(host, **{name: values[0] for name, values in BROKEN.items()})
    assert len(controls) == len(FIELDS) + len(INPUTS) and own(host.opts.data) == DEFAULTS
    assert host.img2img(picture, script_args={"Noise Rectification": [{"enabled": True}]}).images


def test_a_damaged_value_that_comes_later(host, payload, picture, warnings):
    """By POST /sdapi/v1/options, or by a request's override_settings."""
    host.opts.data[f"{PREFIX}api_omega_entries"] = "many"
    host.opts.data[f"{PREFIX}comparison"] = {}
    payload["alwayson_scripts"] = {
        "AnimateDiff": {"args": [{"enable": True, "video_length": 4, "batch_size": 4}]},
        "Noise Rectification": {"args": [{"enabled": True, "omega": [0.5] * 4}]},
    }
    assert host.api_img2img(payload)[0] == 200
    assert host.img2img(picture, script_args={"Noise Rectification": [{"enabled": True}]}).images
    wrong = [message for message in warnings.messages if "which is not allowed" in message]
    assert len(wrong) == 2


def test_the_log_level_is_the_hosts_option(host, monkeypatch):
    from modules import shared

    from lib_noiserect.webui import settings_page

    for option, level in ((None, "INFO"), ("debug", "DEBUG"), ("ERROR", "ERROR"), ("LOUD", "INFO")):
        monkeypatch.setattr(shared.cmd_opts, "loglevel", option, raising=False)
        settings_page.add_options()
        assert logging.getLogger("noise_rectification").level == getattr(logging, level)
    monkeypatch.undo()
    settings_page.add_options()

"""The report that a user attaches to an issue: versions, settings and messages, and nothing private."""

from types import SimpleNamespace

import pytest
from standin import Host
from test_api import ask_for_page
from test_extension import SCRIPT, rectify

from lib_noiserect.core.report import MAX_MESSAGES, VERSION, report, without_files


@pytest.fixture
def host():
    with Host("a1111", script=SCRIPT) as host:
        yield host


def test_the_page_gets_versions_settings_and_messages(host, picture, tmp_path):
    from modules import extensions

    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "animatediff.py").touch()
    installed = SimpleNamespace(name="my folder", path=str(tmp_path), enabled=True, branch="master", version="0123abcd")
    installed.read_info_from_repo = lambda: None
    extensions.extensions.append(installed)
    rectify(host, picture, prompt="a secret prompt")
    asked = {"tau_end": "0.8", "omega": "nonsense", "motion": "0.5", "statistics": "my videos.safetensors"}
    status, body = ask_for_page(
        host, settings=asked, report=["status line of C:\\Users\\Me Too\\out.gif"], key_frames=["me 3.png"]
    )
    extensions.extensions.remove(installed)
    lines = body["report"].splitlines()
    assert status == 200 and lines[0] == f"Noise Rectification {VERSION}"
    assert lines[1] == "web UI: v1.10.1, gradio 3.41.2, tab 'img2img'"
    assert lines[2] == "AnimateDiff: master 0123abcd"
    assert "settings: tau_end = 0.8; omega = 'nonsense' (rejected); statistics = (a file)" in lines
    assert any(line.startswith("message: INFO: 6 of 6 steps rectified") for line in lines)
    assert lines[-1] == "message: status line of (a file)"
    for private in ("secret", "me 3", "my folder", "my videos", str(tmp_path), "Users"):
        assert private not in body["report"]


def test_a_request_of_any_form_is_answered(host):
    for told, settings in ((None, []), ({"a": 1}, {"omega": {"x": ["y"] * 9999}}), (["x" * 9999] * 99, {"tau_end": None})):
        status, body = ask_for_page(host, settings=settings, report=told)
        assert status == 200 and body["report"].startswith("Noise Rectification") and len(body["report"]) < 10_000


def test_only_the_page_may_ask(host):
    assert ask_for_page(host, token="other", report=[])[0] == 403


@pytest.mark.parametrize(
    "text, expected",
    [
        ("/home/me/my videos is write-protected: use another place", "(a file)"),
        ("cannot read 'my dog.PNG': use another", "cannot read (a file): use another"),
        ("D:\\pictures of me\\x is gone", "(a file)"),
        ("see ~/secret or ../secret", "see (a file)"),
        ("boat_12.jpeg, 2.5 of 1/32", "(a file), 2.5 of 1/32"),
        ("Settings → Optimizations → Pad prompt/negative prompt: v1.10.1", None),
        ("tau_end = '8' is out of range: use a number from 0 to 1", None),
    ],
)
def test_paths_and_file_names_are_left_out(text, expected):
    assert without_files(text) == (expected or text)


def test_the_last_messages_are_kept():
    lines = report({}, {}, map(str, range(100))).splitlines()
    assert lines[-MAX_MESSAGES:] == [f"message: {number}" for number in range(100 - MAX_MESSAGES, 100)]
    assert "settings: the defaults" in lines


def test_the_version_in_the_infotext_and_in_the_schema(host, picture):
    from lib_noiserect.webui import api

    infotext = rectify(host, picture).infotexts[0]
    assert f"Noise Rectification version: {VERSION}" in infotext
    assert api.settings_schema()["api_version"] == VERSION
    plain = host.img2img(picture).infotexts[0]
    assert "Noise Rectification" not in plain

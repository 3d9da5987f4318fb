"""The examples of docs/api.md, run as they stand against the stand-in of the web UI; only the port is another."""

import functools
import json
import re
from pathlib import Path

import pytest
from api_examples import EXAMPLES, PAGE, example, finished
from PIL import Image
from standin import Server, used_host

ROOT = Path(__file__).resolve().parents[2]


def test_these_are_all_examples():
    """A new one is not forgotten here."""
    assert [(heading, language) for heading, language, _ in EXAMPLES] == [
        ("A job", "sh"),
        ("A job", "python"),
        ("A job", "python"),
        ("Keyframes and masks", "json"),
        ("Text → image → video", "python"),
        ("From an infotext", "python"),
        ("Settings as JSON Schema", "sh"),
        ("Preview", "sh"),
        ("X/Y/Z plot", "python"),
    ]


@pytest.fixture
def host():
    with used_host("a1111", script=ROOT / "scripts" / "noise_rectification.py") as host:
        yield host
        assert not [log for log in host.logs if "noise_rectification" in str(log[0])], "a hook of ours failed"


@pytest.fixture
def run(host, picture, tmp_path):
    """Runs an example in a folder with a picture.png, and gives what it prints."""
    picture.save(tmp_path / "picture.png")
    # The latents of 512x512 are not needed to see that a request works.
    host_sizes = {"width": 64, "height": 64}
    seen = []

    def small(answer, payload):
        payload = {**payload, **host_sizes}
        seen.append(payload)
        return answer(payload)

    host.api_img2img = functools.partial(small, host.api_img2img)
    host.api_txt2img = functools.partial(small, host.api_txt2img)

    def run(code, language):
        with Server(host) as address:
            port = address.rpartition(":")[2]
            assert "7860" in code
            process = finished(code.replace("7860", port), language, tmp_path)
        assert process.returncode == 0, process.stdout[-2000:] + process.stderr
        return process.stdout

    run.seen, run.folder = seen, tmp_path
    return run


def test_a_job_by_curl(run):
    body = json.loads(run(example("A job", "sh"), "sh"))
    assert len(body["images"]) == 16
    infotext = json.loads(body["info"])["infotexts"][0]
    assert "Noise Rectification enabled: True, Noise Rectification steps: 14 of 23" in infotext


def test_a_job_by_requests(run):
    infotext = run(example("A job", "python", "import requests"), "python")
    assert "Noise Rectification tau end: 1," in infotext and "Noise Rectification omega: constant" in infotext
    assert "Noise Rectification steps: 23 of 23" in infotext


def test_a_wrong_value_by_requests_is_told(run):
    code = example("A job", "python", "import requests").replace('"tau_end": 1.0', '"tau_end": 7')
    with pytest.raises(AssertionError, match="Noise Rectification: tau_end = 7 is out of range: use a number from 0 to 1"):
        run(code, "python")
    assert "tau_end = 7 is out of\nrange: use a number from 0 to 1" in PAGE


def test_jobs_by_webuiapi(run):
    pytest.importorskip("webuiapi")
    printed = run(example("A job", "python", "import webuiapi"), "python")
    assert re.findall(r"^16 a sailing boat", printed, re.MULTILINE) == ["16 a sailing boat"] * 2
    assert re.findall(r"Noise Rectification tau end: ([0-9.]+)", printed) == ["0.4", "0.8"]
    assert len(run.seen) == 2


def test_the_settings_with_pictures_are_those_of_the_schema(host):
    from lib_noiserect.core.settings import Settings
    from lib_noiserect.webui.api import settings_schema
    from lib_noiserect.webui.arguments import INPUTS

    given = json.loads(example("Keyframes and masks", "json"))
    assert set(given) <= set(settings_schema()["properties"]) and set(given) & set(INPUTS)
    assert Settings.from_mapping({name: value for name, value in given.items() if name not in INPUTS}).enabled
    table = PAGE.partition("| in `args[0]` |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(INPUTS)


def test_a_clip_through_a_picture(run):
    assert run(example("Text → image → video", "python"), "python").split() == ["16"]
    assert run.seen[0]["alwayson_scripts"]["Noise Rectification"]["args"][0]["create"] is True


def test_a_job_from_an_infotext(run):
    info = run(example("From an infotext", "python"), "python")
    assert "Noise Rectification tau end: 0.8" in info and "Noise Rectification omega: linear" in info


def test_the_settings_by_curl(run):
    schema = json.loads(run(example("Settings as JSON Schema", "sh"), "sh"))
    assert schema["properties"]["tau_end"]["default"] == 0.6


def test_the_preview_by_curl(run):
    body = json.loads(run(example("Preview", "sh"), "sh"))
    assert body["rectified_steps"] == list(range(15)) and len(body["omega"]) == 16


def test_a_grid_by_requests(run, host):
    run(example("X/Y/Z plot", "python"), "python")
    with Image.open(run.folder / "grid.png") as grid:
        assert grid.size == (9 * 64, 64)  # the stand-in puts the cells in a row
    legends = host.script("X/Y/Z plot").standin_legends
    assert legends[0] == [f"[Noise Rectification] Ending Step (τ): {tau}" for tau in (0.4, 0.7, 1.0)]
    assert legends[1] == [f"[Noise Rectification] Constant ω: {omega}" for omega in (0.0, 0.5, 1.0)]


def test_the_steps_in_the_text(host):
    from lib_noiserect.webui.planned_steps import planned_steps

    for sampler, count in (("DDIM", 23), ("PLMS", 23), ("UniPC", 24), ("DPM fast", 9)):
        assert planned_steps(sampler, "Automatic", 25, 1.0, 1.0).count == count
    text = " ".join(PAGE.split())
    assert "DDIM and PLMS take 23 in img2img, UniPC takes 24, and DPM fast takes 9 large ones" in text


def test_the_axes_in_the_text():
    import importlib.util

    assert importlib.util.find_spec("modules") is None  # the table is read from the host's list in test_xyz.py
    axes = re.findall(r"^\| ([^|`]+) \| [^|]+ \|$", PAGE.partition("| axis | values |")[2], re.MULTILINE)
    from test_xyz import LABELS

    assert sorted(name for row in axes for name in row.split(", ")) == sorted(LABELS)
    named = {
        page: re.findall(r"^\| `\[Noise Rectification\] ([^`]+)` \|", (ROOT / "docs" / page).read_text("utf-8"), re.MULTILINE)
        for page in ("webui.md", "recipes.md")
    }
    assert sorted(named["webui.md"]) == sorted(LABELS)
    assert named["recipes.md"] and set(named["recipes.md"]) <= set(LABELS)


def test_the_settings_page_in_the_text(host):
    from modules import shared

    page = (ROOT / "docs" / "webui.md").read_text(encoding="utf-8").partition("## Settings → Noise Rectification")[2]
    ours = [info for name, info in shared.opts.data_labels.items() if name.startswith("noise_rectification")]
    assert ours and re.findall(r"^- \*(.+?)\*", page, re.MULTILINE) == [info.label for info in ours]


def test_the_formats_in_the_text():
    """`PNG` alone leaves the frames in the answer: in every example of this page and of the README."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    formats = re.findall(r'"format": (\[[^\]]*\])', PAGE + readme)
    assert set(formats) == {'["PNG"]'}

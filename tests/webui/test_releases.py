"""Infotexts and requests of every release are still read: see releases/README.md."""

import json
import re
from pathlib import Path

import pytest
from standin import Host
from test_api import PREVIEW, answer_of
from test_extension import SCRIPT
from test_infotext import FIRST_DEFAULTS

from lib_noiserect.core.report import VERSION
from lib_noiserect.core.settings import FIELDS, Settings

RELEASES = sorted(folder for folder in (Path(__file__).parent / "releases").iterdir() if folder.is_dir())
release = pytest.mark.parametrize("folder", RELEASES, ids=lambda folder: folder.name)


def read(folder, name):
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def host():
    with Host("a1111", script=SCRIPT) as host:
        yield host


def test_each_release_has_a_folder():
    changelog = (SCRIPT.parents[1] / "CHANGELOG.md").read_text(encoding="utf-8")
    assert {folder.name for folder in RELEASES} == set(re.findall(r"^## ([\d.]+)", changelog, re.MULTILINE)) >= {VERSION}


@release
@pytest.mark.parametrize("tab", ["img2img", "txt2img"])
def test_infotexts(host, folder, tab):
    controls = host.script("Noise Rectification", is_img2img=tab == "img2img").controls
    infotext = (folder / f"{tab}.txt").read_text(encoding="utf-8")
    pasted = [value for control, value in host.paste(infotext, is_img2img=tab == "img2img") if control in controls]
    expected = Settings.from_mapping({**FIRST_DEFAULTS, **read(folder, "settings")[tab]})
    assert Settings.from_mapping(dict(zip(FIELDS, pasted, strict=True))) == expected


@release
def test_requests(host, folder, payload):
    request = read(folder, "request")
    status, body = host.api_img2img({**request["body"], "init_images": payload["init_images"]})
    assert status == 200, body
    assert request["infotext"] in json.loads(body["info"])["infotexts"][0]


@release
def test_previews(host, folder):
    preview = read(folder, "preview")
    status, body = answer_of(host, "POST", PREVIEW, None, json.dumps(preview["body"]).encode())
    assert status == 200, body
    assert {name: body[name] for name in preview["answer"]} == preview["answer"]

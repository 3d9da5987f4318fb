"""Fixtures for a running web UI: `pytest tests/live --webui-url http://127.0.0.1:7860`."""

import json
import pathlib

import pytest
import requests
from client import OVERRIDDEN, WebUI
from webui_page import chromium_browser


@pytest.fixture(scope="session")
def chromium(webui):
    with chromium_browser() as browser:
        yield browser


@pytest.fixture(scope="session")
def webui(request):
    url = request.config.getoption("--webui-url")
    if not url:
        pytest.skip("needs a running web UI: --webui-url http://127.0.0.1:7860")
    webui = WebUI(url, json.loads(request.config.getoption("--webui-job")))
    assert webui.has_script("Noise Rectification") and webui.has_script("AnimateDiff")
    options = webui.get("/sdapi/v1/options")
    kept = {name: options[name] for name in OVERRIDDEN if name in options}
    requests.post(webui.url + "/sdapi/v1/options", json=kept, timeout=30).raise_for_status()
    return webui


@pytest.fixture(scope="session")
def picture(webui):
    """The picture's VAE round trip."""
    return webui.round_trip()


@pytest.fixture(scope="session")
def rows():
    """Figures by sampler, for `--host-results`."""
    return {}


@pytest.fixture(autouse=True)
def write_rows(request, rows):
    """After each test: on a slow machine the last of them may never be reached."""
    yield
    path = request.config.getoption("--host-results")
    if path and rows:
        pathlib.Path(path).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")

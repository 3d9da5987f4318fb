"""Forge 2, where AnimateDiff does not load, and reForge's branch main, where it has no effect: refusals, and the page."""

import pytest
import requests
from client import WebUI
from webui_page import ACCORDION, PATIENCE, WebUITab, chromium_browser

WORKING = "Supported: AUTOMATIC1111 1.8.0 to 1.10.1, Forge 0.0.17 and the branch main-old of reForge"


@pytest.fixture(scope="module")
def failing(request):
    url = request.config.getoption("--webui-url")
    webui = WebUI(url) if url else None
    if webui is None or (webui.has_script("AnimateDiff") and not request.config.getoption("--animatediff-fails")):
        pytest.skip("needs a running web UI in which AnimateDiff fails: --webui-url … --animatediff-fails")
    return webui


def test_a_job_is_refused_with_what_works(failing):
    response = failing.post({}, animatediff=None if failing.has_script("AnimateDiff") else False)
    assert response.status_code == 422, response.text[:500]
    detail = response.json()["detail"]
    assert WORKING in detail
    if failing.has_script("AnimateDiff"):
        assert "AnimateDiff has no effect in this job: its motion modules were not called" in detail
    else:
        assert "AnimateDiff (" in detail and "failed to load" in detail


def test_a_plain_job_runs(failing):
    assert failing.run(animatediff=False, steps=2).frames.shape[0] == 1


def test_the_accordion_works_and_the_page_shows_the_refusal(failing):
    complaints = []
    with chromium_browser() as browser:
        context = browser.new_context(viewport={"width": 1400, "height": 1400})
        tab = WebUITab.open(context, failing.url, complaints)
        tab.page.set_default_timeout(PATIENCE)
        tab.show_img2img()
        tab.page.locator(f"{ACCORDION}-visible-checkbox").set_checked(True)
        tab.page.locator(f"{ACCORDION} > .label-wrap").click()
        tab.page.wait_for_function("NoiseRectification.instance.answer !== null", timeout=PATIENCE)
        tab.open_fold("curves_fold")
        tab.settings(tau_end=0.75)
        shown = tab.shown_settings()
        assert shown["enabled"] is True and float(shown["tau_end"]) == 0.75
        settings = requests.get(f"{failing.url}/noise-rectification/settings", timeout=60)
        assert settings.status_code == 200
        if failing.has_script("AnimateDiff"):
            tab.small_job()
        else:
            tab.upload_picture()
        tab.page.locator("#img2img_generate").click()
        tab.page.locator("#html_log_img2img").get_by_text(WORKING).first.wait_for(timeout=PATIENCE)
        assert complaints == []

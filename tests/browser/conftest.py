"""A gradio page of each version in a headless Chromium.

Each gradio has an environment of its own, since the two exclude each other: `.venv-gradio3` and `.venv-gradio4` in the
repository (from `tests/browser/requirements-gradio*.txt`), or a Python named by NOISERECT_GRADIO3_PYTHON and
NOISERECT_GRADIO4_PYTHON. Chromium is NOISERECT_CHROMIUM, or the first one on the path. `python dev.py test` makes all but
Chromium. Without that the tests are skipped, on CI too, and the end of the run says so.
"""

import importlib.util
import os
import sys

import pytest
from browser_tab import ACCORDION, HEIGHT, HERE, NO_CHROMIUM, Server, Tab, chromium_browser, listened_page, python_with_gradio

import dev
from lib_noiserect.core.settings import AUTHORS_PRESET


def obstacle(gradio):
    """Why there can be no test with a gradio version; None where nothing is missing."""
    if not dev.chromium():
        return NO_CHROMIUM
    if importlib.util.find_spec("playwright") is None:
        return "NOT TESTED in a browser: playwright is missing, which `python dev.py test tests/browser` installs"
    if gradio and not (python := python_with_gradio(gradio)).is_file():
        return f"NOT TESTED with gradio {gradio}: {python} is missing, which `python dev.py test tests/browser` makes"
    return None


def pytest_collection_modifyitems(items):
    """Skip what cannot be tested. On CI the set-up has made all but Chromium, so there nothing else may be missing."""
    for item in items:
        if HERE in item.path.parents:
            reason = obstacle(item.callspec.params.get("server") if hasattr(item, "callspec") else None)
            if reason and (reason == NO_CHROMIUM or not os.environ.get("CI")):
                item.add_marker(pytest.mark.skip(reason=reason))  # by a mark, since those are summed up in one line


@pytest.fixture(scope="session")
def chromium():
    if reason := obstacle(None):
        pytest.fail(reason)
    with chromium_browser() as browser:
        yield browser


@pytest.fixture(scope="session")
def previews():
    """The process that answers the pages' questions for a preview."""
    started = Server(sys.executable, "preview_server.py")
    yield started
    started.stop()


@pytest.fixture(scope="session", params=[3, 4], ids=["gradio3", "gradio4"])
def server(request, chromium, previews):
    if reason := obstacle(request.param):
        pytest.fail(reason)
    started = Server(python_with_gradio(request.param), "page.py", previews.address)
    started.name = f"gradio{request.param}"
    for process in (previews, started):
        process.wait()
    yield started
    started.stop()


# The tab with AnimateDiff on, and Denoising strength at 1.
READY = """() => {
    for (const tab of ["img2img", "txt2img"]) document.querySelector(`#${tab}-ad-enable input`).click();
    const strength = document.querySelector("#img2img_denoising_strength input[type=number]");
    strength.value = "1";
    strength.dispatchEvent(new Event("input", {bubbles: true}));
}"""


# Before the page's own scripts, so that nothing of the page before can write there any more; not at a reload.
BEGIN = """() => {
    const begun = sessionStorage.getItem("begin");
    if (!begun) return;
    sessionStorage.clear();
    localStorage.clear();
    for (const [name, value] of Object.entries(JSON.parse(begun))) localStorage.setItem(name, value);
}"""


@pytest.fixture(scope="session")
def page(chromium, server):
    """The page that the tests load anew, and its complaints: another one would begin without the browser's cache."""
    complaints = []
    made = listened_page(chromium.new_context(viewport={"width": 1000, "height": HEIGHT}), complaints)
    made.add_init_script(f"({BEGIN})()")
    made.goto(f"{server.address}/internal/progress/none")
    yield made, complaints
    made.context.close()


@pytest.fixture
def open_tab(page, server, request):
    """Opens the tab with its accordion open; at the end, nothing may have been said on the console."""
    page, complaints = page
    complaints.clear()

    def open_it(width=1000, theme="light", unfold=True, ready=True, curves=True, preset=AUTHORS_PRESET):
        page.set_viewport_size({"width": width, "height": HEIGHT})
        stored = {"noise-rectification-curves": "open" if curves else "closed"}
        if preset:
            stored["noise-rectification-preset"] = preset
        page.evaluate("(begin) => sessionStorage.setItem('begin', JSON.stringify(begin))", stored)
        page.goto(f"{server.address}/?__theme={theme}")
        tab = Tab(page, server.name)
        tab.takes_screenshots = request.config.option.slow
        tab.until_loaded()
        if ready:
            page.evaluate(READY)
        if unfold:
            page.locator(f"{ACCORDION} > .label-wrap").click()
            tab.until("NoiseRectification.instance.answer !== null")
        return tab

    yield open_it
    page.unroute_all()
    assert complaints == []

"""A gradio page of each version in a headless Chromium.

Each gradio has an environment of its own, since the two exclude each other: `.venv-gradio3` and `.venv-gradio4` in the
repository (from `tests/browser/requirements-gradio*.txt`), or a Python named by NOISERECT_GRADIO3_PYTHON and
NOISERECT_GRADIO4_PYTHON. Chromium is NOISERECT_CHROMIUM, or the first one on the path.
"""

import pytest
from browser_tab import ACCORDION, Server, Tab, chromium_browser, listened_page


@pytest.fixture(scope="session")
def chromium():
    with chromium_browser() as browser:
        yield browser


@pytest.fixture(scope="session", params=[3, 4], ids=["gradio3", "gradio4"])
def server(request, chromium):
    started = Server(request.param)
    started.name = f"gradio{request.param}"
    yield started
    started.stop()


@pytest.fixture
def open_tab(chromium, server):
    """Opens the tab with its accordion open; at the end, nothing may have been said on the console."""
    contexts, complaints = [], []

    def open_it(width=1000, theme="light", address=None, touch=False, unfold=True):
        context = chromium.new_context(viewport={"width": width, "height": 1400}, has_touch=touch)
        contexts.append(context)
        page = listened_page(context, complaints)
        page.goto(f"{address or server.address}/?__theme={theme}")
        page.wait_for_selector("body[data-loaded]")
        tab = Tab(page, server.name)
        if unfold:
            page.locator(f"{ACCORDION} .label-wrap").click()
            tab.until("NoiseRectification.instance.drawMs.length > 0")
        return tab

    yield open_it
    for context in contexts:
        context.close()
    assert complaints == []

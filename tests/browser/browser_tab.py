"""The page server and the img2img tab that the browser tests drive."""

import json
import os
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

import dev

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PICTURES = HERE / "out"
ACCORDION = "#script_noise_rectification_accordion"


def python_with_gradio(major):
    named = os.environ.get(f"NOISERECT_GRADIO{major}_PYTHON")
    return Path(named) if named else dev.python_of(dev.gradio_environment(major))


class Server:
    """`page.py` in a process of its own."""

    def __init__(self, major, *arguments):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        quiet = {"GRADIO_ANALYTICS_ENABLED": "False", "no_proxy": "127.0.0.1"}
        command = [python_with_gradio(major), HERE / "page.py", str(port), *arguments]
        PICTURES.mkdir(exist_ok=True)
        self.log = PICTURES / f"server-gradio{major}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **quiet}, stdout=log, stderr=log)
        self._wait()

    def _wait(self):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        for _ in range(300):
            if self.process.poll() is not None:
                break
            try:
                opener.open(self.address, timeout=5).close()
                return
            except OSError:
                time.sleep(0.2)
        self.stop()
        pytest.fail(f"the gradio page did not start:\n{self.log.read_text()}")

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=20)


class Tab:
    """The img2img tab in a browser, and what a test does with it."""

    def __init__(self, page, name):
        self.page, self.name = page, name

    def field(self, name):
        return self.page.locator(f"#script_noise_rectification_{name} :is(input, textarea)").first

    def value(self, name):
        return self.field(name).input_value()

    def host(self, elem_id, value):
        """Type into a control of the host or of AnimateDiff."""
        control = self.page.locator(f"#{elem_id} input[type=number]").first
        control.fill(str(value))
        control.press("Tab")

    def status(self):
        return self.page.locator(f"{ACCORDION} .noise-rectification-status p").all_inner_texts()

    def until(self, expression):
        """Wait until a JavaScript expression is true."""
        self.page.wait_for_function(expression, timeout=10_000)

    def until_status(self, part):
        self.page.locator(f"{ACCORDION} .noise-rectification-status", has_text=part).wait_for(timeout=10_000)

    def points(self):
        return self.page.locator(f"{ACCORDION} .point")

    def button(self, name):
        return self.page.locator(ACCORDION).get_by_role("button", name=name, exact=True)

    def choose_preset(self, name):
        box = self.page.locator("#script_noise_rectification_preset input").first
        box.click()
        self.page.locator("ul[role=listbox] li, .options li").filter(has_text=name).first.click()

    def arguments(self):
        """What a job would get: the values in the order of FIELDS."""
        self.page.locator("#arguments textarea").fill("")
        self.page.locator("#img2img_generate").click()
        self.until("document.querySelector('#arguments textarea').value.startsWith('[')")
        return json.loads(self.page.locator("#arguments textarea").input_value())

    def screenshot(self, what):
        self.page.locator(ACCORDION).screenshot(path=PICTURES / f"{self.name}-{what}.png")

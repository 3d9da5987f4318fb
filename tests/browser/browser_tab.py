"""Chromium, the page server and the img2img tab that the browser tests drive; the tests of the real page use them too."""

import contextlib
import json
import os
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

import dev

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PICTURES = HERE / "out"
ACCORDION = "#script_noise_rectification_accordion"
HEIGHT = 600  # of the window: a quarter of the processor time goes into what is painted in one of 1400
FOLDS = ("keyframes_fold", "window_fold", "auto_tune_fold", "advanced_fold")


# For facts of the extension's own scripts, which no gradio has a part in: half of them beside each.
ON_GRADIO_3, ON_GRADIO_4 = (
    pytest.mark.parametrize("server", [major], ids=[f"gradio{major}"], indirect=True) for major in (3, 4)
)
NO_CHROMIUM = "NOT TESTED in a browser: install Chromium (Debian: apt install chromium), or name one in NOISERECT_CHROMIUM"


@contextlib.contextmanager
def chromium_browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="NOT TESTED in a browser: playwright is not installed")
    path = dev.chromium()
    if not path:
        pytest.skip(NO_CHROMIUM)
    with sync_api.sync_playwright() as playwright:
        # What a page wants from elsewhere, such as fonts, fails at once. A route of playwright would take the cache away.
        nowhere = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"
        switches = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", nowhere]
        browser = playwright.chromium.launch(executable_path=path, args=switches)
        yield browser
        browser.close()


def listened_page(context, complaints):
    """A page whose errors are put into `complaints`, but for those about addresses elsewhere, which cannot be reached."""
    page = context.new_page()
    page.set_default_timeout(30_000)

    def listen(text, address=""):
        if not re.search(r"https?://(?!127\.0\.0\.1|localhost)", f"{text} {address}"):
            complaints.append(text)

    page.on("console", lambda it: listen(it.text, it.location["url"]) if it.type == "error" else None)
    page.on("pageerror", lambda error: listen(str(error)))
    return page


def python_with_gradio(major):
    named = os.environ.get(f"NOISERECT_GRADIO{major}_PYTHON")
    return Path(named) if named else dev.python_of(dev.gradio_environment(major))


class Server:
    """A program of this folder in a process of its own, which serves at the port that it gets."""

    def __init__(self, python, program, *arguments):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        quiet = {"GRADIO_ANALYTICS_ENABLED": "False", "no_proxy": "127.0.0.1"}
        command = [python, HERE / program, str(port), *arguments]
        PICTURES.mkdir(exist_ok=True)
        self.log = PICTURES / f"{Path(program).stem}-{port}.log"
        with self.log.open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **quiet}, stdout=log, stderr=log)

    def wait(self):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        for _ in range(600):
            if self.process.poll() is not None:
                break
            try:
                opener.open(self.address, timeout=5).close()
                return
            except urllib.error.HTTPError:  # it answers, but not to GET
                return
            except OSError:
                time.sleep(0.2)
        said = self.log.read_text("utf-8")
        self.stop()
        pytest.fail(f"{self.process.args[1]} did not start:\n{said}")

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=20)
        self.log.unlink()


class Tab:
    """The img2img tab in a browser, and what a test does with it."""

    takes_screenshots = True

    def __init__(self, page, name):
        self.page, self.name = page, name

    def field(self, name):
        return self.page.locator(f"#script_noise_rectification_{name} :is(input, textarea)").first

    def value(self, name):
        return self.field(name).input_value()

    def host(self, elem_id, value):
        """Set a control of the host or of AnimateDiff, whose accordion is closed."""
        self.page.evaluate(
            """([id, value]) => {
                const control = document.querySelector(`#${id} input[type=number]`);
                control.value = value;
                control.dispatchEvent(new Event("input", {bubbles: true}));
            }""",
            [elem_id, str(value)],
        )

    def status(self):
        return self.page.locator(f"{ACCORDION} .noise-rectification-status p").all_inner_texts()

    def until(self, expression):
        """Wait until a JavaScript expression is true."""
        self.page.wait_for_function(expression, timeout=30_000, polling=50)

    def until_loaded(self):
        self.until("document.body?.dataset.loaded")

    def until_status(self, part, accordion=ACCORDION):
        """Wait for a part of the status. A locator would look each half second alone."""
        self.page.wait_for_function(
            """([selector, part]) => [...document.querySelectorAll(selector)].some((element) =>
                element.checkVisibility() && element.textContent.replace(/\\s+/g, " ").includes(part))""",
            arg=[f"{accordion} .noise-rectification-status", part],
            timeout=30_000,
            polling=50,
        )

    def drag(self, locator, dx, dy):
        locator.evaluate("(point) => point.scrollIntoView({block: 'center'})")
        box = locator.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        for part in (0.3, 0.7, 1):
            self.page.mouse.move(x + dx * part, y + dy * part)
        self.page.mouse.up()

    def nameless_controls(self):
        """The controls that a screen reader could only call `button` or `slider`."""
        return self.page.evaluate(
            """selector => [...document.querySelector(selector).querySelectorAll("input, textarea, button, [role=slider]")]
                .filter((e) => e.checkVisibility() && !e.labels?.length && !e.getAttribute("aria-label")
                    && !e.textContent.trim() && !e.closest("label"))
                .map((e) => e.outerHTML.slice(0, 200))""",
            ACCORDION,
        )

    def listeners_and_figures(self, loads):
        """After so many more loads: the listeners that are not yet taken off again, and the figures."""
        return self.page.evaluate(
            """(loads) => {
                const add = EventTarget.prototype.addEventListener;
                let count = 0;
                EventTarget.prototype.addEventListener = function(event, handler, options) {
                    if (options?.signal) { count++; options.signal.addEventListener("abort", () => count--); }
                    return add.call(this, event, handler, options);
                };
                const counts = [];
                for (let i = 0; i < loads; i++) {
                    NoiseRectification.load();
                    const figures = document.querySelectorAll(".noise-rectification-figure").length;
                    counts.push([count, figures]);
                }
                EventTarget.prototype.addEventListener = add;
                return counts;
            }""",
            loads,
        )

    def colours(self):
        """How light the text and its ground are, from 0 to 1."""
        return self.page.evaluate(
            """selector => ["figcaption output", "figure"].map((part) => {
                const style = getComputedStyle(document.querySelector(`${selector} ${part}`));
                const channels = (part === "figure" ? style.backgroundColor : style.color).match(/[\\d.]+/g).map(Number);
                return (channels[0] + channels[1] + channels[2]) / 765;
            })""",
            ACCORDION,
        )

    def overflow(self, accordion=ACCORDION):
        """How much wider the content is than the accordion, in pixels."""
        return self.page.evaluate(
            "selector => { const box = document.querySelector(selector); return box.scrollWidth - box.clientWidth; }",
            accordion,
        )

    def points(self):
        return self.page.locator(f"{ACCORDION} .point")

    def button(self, name):
        return self.page.locator(ACCORDION).get_by_role("button", name=name, exact=True)

    def choose_preset(self, name):
        self.choose("script_noise_rectification_preset", name)

    def choose(self, elem_id, option):
        """Choose from a dropdown."""
        self.page.locator(f"#{elem_id} input").first.click()
        self.page.locator(f'li[aria-label="{option}"]').first.click()

    def open_fold(self, name):
        self.page.locator(f"#script_noise_rectification_{name} .label-wrap").click()

    def next_job(self, **ends):
        """How the stand-in's next job ends: `infotext` or `error`, and `waits`, where it waits for `release`."""
        self.page.locator("#next_job textarea").fill(json.dumps(ends))

    def until_running(self):
        self.until("getComputedStyle(document.querySelector('#img2img_interrupt')).display === 'block'")

    def until_ended(self):
        self.until("getComputedStyle(document.querySelector('#img2img_interrupt')).display === 'none'")

    def release(self):
        self.page.evaluate("fetch('./internal/release')")

    def arguments(self):
        """What a job would get: the values in the order of FIELDS and INPUTS."""
        self.page.locator("#arguments textarea").fill("")
        self.page.locator("#img2img_generate").click()
        return self.sent()

    def sent(self):
        """The values that the last job got."""
        self.until("document.querySelector('#arguments textarea').value.startsWith('[')")
        self.until_ended()
        return json.loads(self.page.locator("#arguments textarea").input_value())

    def screenshot(self, what, accordion=ACCORDION):
        """A picture of the accordion, which takes as long as half of a test."""
        if self.takes_screenshots:
            self.page.locator(accordion).screenshot(path=PICTURES / f"{self.name}-{what}.png")

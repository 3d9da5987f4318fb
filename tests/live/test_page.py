"""The accordion in the real page of a running web UI."""

import io
import itertools
import json
import re
import socket
import time
import urllib.parse

import numpy as np
import pytest
import requests
from client import SIZE
from PIL import Image
from webui_page import ACCORDION, FIELD, PATIENCE, WebUITab

from lib_noiserect.core.settings import FIELDS, PRESETS


def shown(settings):
    return {name: value if isinstance(value, (bool, str)) else f"{value:g}" for name, value in settings.items()}


DEFAULTS = shown({name: row.default for name, row in FIELDS.items()})
# What is typed or clicked: the switch is the accordion's own, candidates are of the txt2img tab, and files are chosen from.
TYPED = {
    name: DEFAULTS[name] for name in FIELDS if name not in ("enabled", "candidates", "scorer", "pick", "statistics")
}
# None at its default but what would change the length of the job, and a list as ω.
OWN = {"enabled": True, "tau_start": 0.1, "tau_end": 0.9, "omega": "1, 0.75, 0.5", "omega_start": 0.9}
OWN |= {"omega_end": 0.25, "omega_resample": True, "pin_first_frame": True, "motion": 0.3, "target_ssim": 0.0}
OWN |= {"tau_unit": "noise level", "release": 0.2, "hold_colour": True, "loop": True, "interpolation": "hold"}
OWN |= {"repeat_noise": False, "mask_feather": 2.5, "start_time": 0.9, "animation_share": 0.4}
OWN |= {"animation_strength": 1.5, "regeneration": 0.9, "follow_motion": True}
FRAMES, STEPS = 2, 4
ANIMATEDIFF = {"video_length": FRAMES, "batch_size": FRAMES}


@pytest.fixture(scope="module")
def open_tab(webui, chromium):
    contexts, complaints = [], []

    def open_it(width=1400, theme="light", script=None):
        context = chromium.new_context(viewport={"width": width, "height": 1400})
        contexts.append(context)
        context.add_init_script("localStorage.setItem('noise-rectification-curves', 'open')")
        if script:
            context.add_init_script(script)
        tab = WebUITab.open(context, webui.url, complaints, theme)
        tab.complaints = complaints
        tab.show_img2img()
        return tab

    yield open_it
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def opened(open_tab):
    """One page for the tests that bring their own values: it takes the host ten seconds to load."""
    tab = open_tab()
    tab.unfold_all()
    return tab


@pytest.fixture
def tab(opened):
    """The page with every control of ours at its default and a known job; nothing may be said on the console."""
    opened.complaints.clear()
    opened.page.locator(f"{ACCORDION}-visible-checkbox").set_checked(True)
    opened.show_img2img()
    if not opened.page.locator(f"{FIELD}omega textarea").is_visible():
        opened.page.locator(f"{ACCORDION} > .label-wrap").click()
    opened.settings(**TYPED)
    opened.animatediff(True)
    opened.job(steps=20, denoising_strength=0.75, frames=16, context=16, sampler="Euler", scheduler="Automatic")
    yield opened
    assert opened.complaints == []


def preview(webui, **request):
    response = requests.post(f"{webui.url}/noise-rectification/preview", json=request, timeout=60)
    return response.json()["summary"] if response.ok else None


def capitalised(sentence):
    return sentence[0].upper() + sentence[1:]


def test_it_is_closed_and_off_at_first_and_then_asks_for_a_preview_alone(open_tab):
    tab = open_tab()
    requested = []
    # The browser takes a part of the page's own font when it first meets one of its letters, such as τ and ω.
    tab.page.on("request", lambda request: requested.append(request.url) if "/fonts/" not in request.url else None)
    tab.page.evaluate("switch_to_txt2img()")
    creation = tab.page.locator("#script_txt2img_noise_rectification_accordion")
    assert creation.is_visible() and not creation.locator(".point").first.is_visible()
    tab.show_img2img()
    assert tab.shown_settings() == DEFAULTS
    assert not tab.page.locator(f"{FIELD}omega").is_visible()
    tab.unfold()
    tab.until_status("Steps 1–")
    assert tab.page.locator(f"{ACCORDION}-visible-checkbox").is_checked() and tab.shown_settings()["enabled"]
    tab.page.wait_for_timeout(1000)
    assert {address.partition("/noise-rect")[2] for address in requested} == {"ification/preview/page"}
    tab.page.locator(f"{ACCORDION} > .label-wrap").click()
    tab.until(f"!document.querySelector('{ACCORDION}-visible-checkbox').checked")
    assert not tab.shown_settings()["enabled"]
    assert tab.complaints == []
    assert tab.page.evaluate("Object.keys(window).filter((name) => /rectif/i.test(name))") == []
    assert tab.page.evaluate("typeof NoiseRectification") == "function"


# The page's own question, with its address and its token.
ASK = """async (body) => {
    const {address, token} = NoiseRectification.instance.config.preview;
    const answer = await fetch(address, {method: "POST", headers: {"Content-Type": "application/json"},
        body: JSON.stringify({token, ...body})});
    return (await answer.json()).sentences[0] ?? null;
}"""


def test_the_line_says_what_the_api_says_for_every_sampler_and_scheduler(tab, webui):
    listed = requests.get(f"{webui.url}/sdapi/v1/schedulers", timeout=60)
    schedulers = [scheduler["label"] for scheduler in listed.json()] if listed.ok else ["Automatic"]  # before 1.9
    cases = list(itertools.product(webui.samplers, schedulers, [1, 25], [0.3, 1.0]))
    settings = {"enabled": True, "tau_start": 0.1, "tau_end": 0.6}
    names = ("sampler", "scheduler", "steps", "denoising_strength")
    with requests.Session() as session:
        answers = [
            session.post(
                f"{webui.url}/noise-rectification/preview",
                json={"settings": settings, **dict(zip(names, case))},
                timeout=60,
            )
            for case in cases
        ]
    sentences = []
    for case in cases:
        body = {"tab": "img2img", "settings": settings, "frames": 16, "key_frames": [], **dict(zip(names, case))}
        parts = tab.page.evaluate(ASK, body)
        sentences.append(parts and tab.page.evaluate("parts => NoiseRectification.instance.say(...parts)", parts))
    can_be_done = [
        (case, answer.json()["summary"], said) for case, answer, said in zip(cases, answers, sentences) if answer.ok
    ]
    assert all(answer.ok or answer.status_code == 422 for answer in answers)
    assert len(can_be_done) > 0.9 * len(cases)
    assert [entry for entry in can_be_done if entry[1] != entry[2]] == []


def test_the_line_follows_the_real_controls(tab, webui):
    """The host's steps, strength, sampler and scheduler, and AnimateDiff's frames, context and switch."""
    job = {"steps": 20, "denoising_strength": 0.75, "frames": 16, "sampler": "Euler", "scheduler": "Automatic"}
    for change in (
        {"steps": 33},
        {"denoising_strength": 0.4},
        {"sampler": "DDIM"},
        {"sampler": "LCM", "scheduler": "DDIM"},
        {"sampler": "DPM fast"},
        {"sampler": "DPM adaptive"},
        {"sampler": "Restart", "scheduler": "Karras", "steps": 40},
        {"frames": 31},
    ):
        tab.job(**change)
        job |= change
        tab.until_status(capitalised(preview(webui, **job, settings={})))
    tab.job(frames=4, context=12)  # AnimateDiff makes a whole context
    tab.until_status(capitalised(preview(webui, **{**job, "frames": 12}, settings={})))
    tab.animatediff(False)
    tab.until_status("AnimateDiff is off in this tab")
    tab.animatediff(True)
    tab.until("!document.querySelector('.noise-rectification-line.warning')")
    tab.settings(omega="1, 0.5")
    tab.until_status("has 2 entries and the video has 12 frames: give 12 entries, or set")


def test_presets_fill_the_controls_and_controls_name_the_preset(tab):
    for name, preset in PRESETS.items():
        tab.choose_preset(name)
        tab.page.locator(f"{ACCORDION} .noise-rectification-preset-help", has_text=preset.help).wait_for()
        shown = tab.shown_settings()
        for field, value in preset.values.items():
            assert shown[field] == (value if isinstance(value, (bool, str)) else f"{value:g}"), (name, field)
    tab.settings(tau_end="0.33")
    tab.until(f"document.querySelector('{FIELD}preset input').value === 'Custom'")


def test_the_curve_and_the_window_by_mouse_and_by_keyboard(tab):
    tab.drag(tab.points().nth(2), 0, 40)
    typed = [float(entry) for entry in tab.value("omega").split(",")]
    assert len(typed) == 16 and typed[0] == 1 and typed[15] < 0.4
    tab.points().nth(1).focus()
    tab.page.keyboard.press("ArrowUp")
    assert float(tab.value("omega").split(",")[7]) == 0.51
    tab.page.keyboard.press("Insert")
    assert tab.points().count() == 4
    tab.page.keyboard.press("Delete")
    assert tab.points().count() == 3
    for _ in range(4):
        tab.page.keyboard.press("Control+z")
    assert tab.value("omega") == "authors"
    end = tab.page.locator(f"{ACCORDION} .handle").nth(1)
    tab.drag(end, 60, 0)
    assert 0.65 < float(tab.value("tau_end")) < 1
    end.focus()
    tab.page.keyboard.press("End")
    tab.until_status("first frame kept")
    assert tab.value("tau_end") == "1"
    tab.settings(omega="0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1")
    tab.until_status("motion free from frame 8")
    assert tab.points().count() == 4


def test_every_control_has_a_name_and_is_reached_by_the_keyboard(tab):
    assert tab.nameless_controls() == []
    tab.field("tau_start").focus()
    reached = []
    for _ in range(28):
        tab.page.keyboard.press("Tab")
        reached.append(
            tab.page.evaluate(
                "(document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent).trim()"
            )
        )
    assert any(name.startswith("ω at frame ") for name in reached)  # the point that was last selected
    wanted = [
        "Ending Step (τ)",
        "Starting Step (τ)",
        "authors",
        "Reset",
        "Motion per frame (ω)",
        "Fit curve to video length",
    ]
    assert [name for name in wanted if name not in reached] == []
    for name, row in FIELDS.items():
        if name != "enabled":
            assert tab.field(name).get_attribute("title") == row.help


@pytest.mark.slow
def test_a_redraw_takes_less_than_8_ms(tab, capsys):
    tab.job(frames=128)
    tab.settings(omega=", ".join(str(i % 2) for i in range(128)))
    tab.until("NoiseRectification.instance.omega.points.length > 100")
    times = tab.page.evaluate(
        """() => { const it = NoiseRectification.instance; const times = [];
            for (let i = 0; i < 60; i++) { const t = performance.now(); it.draw(); times.push(performance.now() - t); }
            return times.sort((a, b) => a - b); }"""
    )
    with capsys.disabled():
        print(f"\nreal page: redraw at 128 frames: median {times[30]:.2f} ms, 95 % {times[57]:.2f} ms")
    assert times[30] < 8


def test_loading_again_leaves_nothing_behind(tab):
    once, *_, last = tab.listeners_and_figures(51)
    assert once == last
    listeners, figures = once
    assert figures == 4 and listeners > 0  # of both tabs


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1400, 2250])
def test_themes_and_widths(open_tab, width, theme):
    tab = open_tab(width=width, theme=theme)
    tab.unfold()
    tab.animatediff(True)
    tab.page.wait_for_timeout(500)
    tab.drag(tab.points().nth(2), 0, 25)
    tab.page.mouse.move(0, 0)
    tab.screenshot(f"{theme}-{width}")
    assert tab.overflow() <= 1
    text, ground = tab.colours()
    assert abs(text - ground) > 0.5
    assert (ground > 0.5) == (theme == "light")
    assert tab.complaints == []


def test_the_hosts_localisation_reaches_every_text(open_tab):
    translated = {
        "Preset": "Vorlage",
        "Ending Step (τ)": "τ Ende",
        "Lock first frame": "Erstes Bild behalten",
        FIELDS["tau_end"].help: "Wo die Rektifizierung endet.",
        "step": "Schritt",
        "Undo": "Zurück",
        "Set up AnimateDiff": "AnimateDiff einrichten",
        "steps {0}–{1} of {2} rectified": "Schritte {0}–{1} von {2} rektifiziert",
    }
    # The page's own assignment, of what the host has for the language that is set, is then without effect.
    script = f"Object.defineProperty(window, 'localization', {{value: {json.dumps(translated)}, writable: false}})"
    tab = open_tab(script=script)
    tab.unfold()
    tab.until_status("Schritte 1–")
    text = tab.page.locator(ACCORDION).inner_text()
    for part in ("Vorlage", "τ Ende", "Erstes Bild behalten", "Schritt", "Zurück", "AnimateDiff einrichten"):
        assert part in text, part
    assert tab.field("tau_end").get_attribute("title") == "Wo die Rektifizierung endet."
    assert tab.page.locator(f"{ACCORDION} .handle").nth(1).get_attribute("aria-label") == "τ Ende"
    assert tab.complaints == []


@pytest.fixture(scope="module")
def generated(opened):
    """A job of settings of its own from the page, twice: what the host has drawn before a job goes into its picture."""
    opened.complaints.clear()
    opened.show_img2img()
    opened.small_job(FRAMES)
    opened.job(steps=STEPS, denoising_strength=0.8, sampler="Euler a", scheduler="Karras")
    opened.page.locator(f"{ACCORDION}-visible-checkbox").set_checked(True)
    opened.settings(**{name: value for name, value in OWN.items() if name != "enabled"})
    opened.generate()
    addresses, text = opened.generate()
    png = [opened.download(address) for address in addresses]
    assert opened.complaints == []
    return png, text


def test_the_page_makes_the_same_job_as_the_api(generated, webui):
    png, _ = generated
    settings = {**OWN, "omega": [float(entry) for entry in OWN["omega"].split(",")]}
    result = webui.run(settings, sampler_name="Euler a", scheduler="Karras", steps=STEPS, animatediff=ANIMATEDIFF)
    frames = _frames(png)
    assert len(frames) == FRAMES
    assert np.array_equal(frames, result.frames[-FRAMES:])


def spoil(tab):
    """Other values in every control, so that what comes back was read."""
    tab.settings(**TYPED)
    tab.page.locator(f"{ACCORDION}-visible-checkbox").set_checked(False)
    tab.job(steps=11, fps=9, frames=32)
    tab.until("!NoiseRectification.instance.read().fields.enabled")


def until_settings(tab, settings):
    try:
        tab.page.wait_for_function(
            "(wanted) => { const now = NoiseRectification.instance.read().fields;"
            "  return Object.entries(wanted).every(([name, value]) => now[name] === value); }",
            arg=shown(settings),
            timeout=20_000,
        )
    finally:
        assert tab.shown_settings() == {**DEFAULTS, **shown(settings)}


def test_png_info_and_send_to_img2img_restore_every_setting(tab, generated):
    png, text = generated
    assert "Noise Rectification omega: " in text
    spoil(tab)
    tab.page.get_by_role("tab", name="PNG Info").or_(tab.page.get_by_role("button", name="PNG Info")).first.click()
    upload = {"name": "frame.png", "mimeType": "image/png", "buffer": png[-1]}
    tab.page.set_input_files("#pnginfo_image input[type=file]", upload)
    tab.page.locator("#tab_pnginfo", has_text="Noise Rectification omega").wait_for(timeout=PATIENCE)
    tab.page.locator("#tab_pnginfo #img2img_tab").click()
    tab.page.locator(ACCORDION).wait_for()
    until_settings(tab, OWN)
    assert tab.page.evaluate("NoiseRectification.instance.control('img2img-ad-fps').value") == "4"


def test_the_paste_button_restores_every_setting_and_a_plain_jobs_text_switches_off(tab, generated):
    png, _ = generated
    infotext = Image.open(io.BytesIO(png[-1])).text["parameters"]
    spoil(tab)
    tab.paste(infotext)
    until_settings(tab, OWN)
    assert tab.page.evaluate("NoiseRectification.instance.control('img2img-ad-fps').value") == "4"
    assert tab.page.evaluate("NoiseRectification.instance.control('img2img_steps').value") == str(STEPS)
    plain = re.sub(r"Noise Rectification [a-z ]+: (\"[^\"]*\"|[^,]*)(, |$)", "", infotext)
    assert "Noise Rectification" not in plain and "Steps: " in plain
    tab.paste(plain)
    until_settings(tab, {**OWN, "enabled": False})
    # A prompt alone is no job, and changes nothing.
    tab.page.locator(f"{ACCORDION}-visible-checkbox").set_checked(True)
    tab.paste("a red square")
    tab.page.wait_for_timeout(1500)
    until_settings(tab, OWN)


def test_an_infotext_by_the_api_makes_the_job_again(generated, webui):
    png, _ = generated
    infotext = Image.open(io.BytesIO(png[-1])).text["parameters"]
    result = webui.run(infotext=infotext, steps=STEPS, animatediff=ANIMATEDIFF)
    lines = re.compile(r"Noise Rectification [a-z ]+: (?:\"[^\"]*\"|[^,\n]*)")
    assert lines.findall(result.infotext) == lines.findall(infotext)
    changed = [name for name, row in FIELDS.items() if name in OWN and OWN[name] != row.default]
    assert len(lines.findall(infotext)) == len(changed) + 2  # and the steps and the version


def until_said(tab, text):
    said = "(text) => NoiseRectification.instance.statusPlace.innerText.includes(text)"
    tab.page.wait_for_function(said, arg=text, timeout=300_000)


def test_the_button_finds_the_motion_and_fills_it_in(tab):
    """With random weights a similarity that the free clip has is found at once, and one that no clip has is refused."""
    tab.small_job(FRAMES)
    tab.job(steps=STEPS, denoising_strength=0.8, sampler="Euler", scheduler="Automatic")
    tab.settings(tau_end="1", target_ssim="0.01")
    tab.page.locator(f"{FIELD}auto_tune").click()
    until_said(tab, "Result: ")
    found = tab.shown_settings()
    assert (found["omega"], found["motion"], found["target_ssim"]) == ("motion", "1", "0")
    assert "for SSIM 0.01, motion 1 found by SSIM in 2 short runs" in tab.page.locator(ACCORDION).inner_text()
    tab.settings(target_ssim="1")
    tab.page.locator(f"{FIELD}auto_tune").click()
    until_said(tab, "The search failed")
    assert "Target similarity (SSIM) = 1 cannot be reached" in tab.page.locator(ACCORDION).inner_text()
    assert tab.shown_settings()["target_ssim"] == "1"


def test_the_button_sets_animatediff_up(tab):
    tab.animatediff(False)
    tab.job(denoising_strength=0.5)
    tab.button("Set up AnimateDiff").click()
    until_said(tab, "Denoising strength 1.")
    assert tab.page.evaluate(
        "['img2img-ad-enable', 'img2img_denoising_strength'].map((id) => NoiseRectification.instance.control(id))"
        ".map((control) => control.type === 'checkbox' ? control.checked : control.value)"
    ) == [True, "1"]


def test_a_key_frame_as_a_file_is_the_last_frame(tab, tmp_path):
    """The clip ends with the file's picture: closer to it than to the tab's own."""
    tab.small_job(FRAMES)
    tab.job(steps=STEPS, denoising_strength=0.8, sampler="Euler", scheduler="Automatic")
    tab.settings(tau_end="1", omega="frozen")
    other = tmp_path / f"other-{FRAMES - 1}.png"
    Image.new("RGB", (SIZE, SIZE), (20, 200, 60)).save(other)
    tab.page.set_input_files(f"{FIELD}key_frames input[type=file]", str(other))
    tab.page.wait_for_timeout(2000)  # the upload
    addresses, text = tab.generate()
    tab.page.locator(f"{FIELD}key_frames button[aria-label=Clear]").first.click()
    assert f"Noise Rectification key frames: {FRAMES - 1}" in text
    frames = _frames([tab.download(address) for address in addresses])
    assert np.abs(frames[0] - frames[-1]).mean() > 5


def test_two_tabs_with_a_job_each_in_the_queue(open_tab, picture):
    """Each gets its own: what is rectified in the one has nothing to do with the plain job behind it, or before it."""
    rectifying, plain = open_tab(), open_tab()
    for tab in (rectifying, plain):
        tab.small_job(FRAMES)
        tab.job(steps=STEPS, sampler="Euler a", denoising_strength=0.8)
    rectifying.page.locator(f"{ACCORDION}-visible-checkbox").set_checked(True)
    rectifying.unfold()
    rectifying.settings(tau_end=1, omega="frozen")
    for first, second in ((rectifying, plain), (plain, rectifying)):
        first.begin()
        second.begin()
        for tab in (first, second):
            addresses, infotext = tab.end()
            frames = _frames([tab.download(address) for address in addresses])
            assert len(frames) == FRAMES and ("Noise Rectification" in infotext) is (tab is rectifying)
            assert (np.abs(frames - picture).max() <= 1) == (tab is rectifying)
    assert rectifying.complaints == []


def _frames(png):
    """The clip's frames among the pictures of a gallery, which begins with the grid of them."""
    pictures = [np.asarray(Image.open(io.BytesIO(one)).convert("RGB"), dtype=np.int16) for one in png]
    return np.stack([picture for picture in pictures if picture.shape == (SIZE, SIZE, 3)][-FRAMES:])


def test_reload_ui_leaves_one_of_everything(open_tab, webui):
    """By the button in the settings, twice; the host runs the scripts' files again and makes the whole page anew.

    It is the last test, since a page of before does not fit the new server.
    """
    axes = [label for label in _axes(webui) if label.startswith("[Noise Rectification]")]
    assert len(axes) == len(set(axes)) > 5
    for _ in range(2):
        tab = open_tab()
        tab.page.evaluate("document.querySelector('#settings_restart_gradio').click()")
        tab.page.wait_for_timeout(1000)
        tab.page.close()
        _until_restarted(webui)
    tab = open_tab()
    assert [label for label in _axes(webui) if label.startswith("[Noise Rectification]")] == axes
    titles = [script["name"] for script in webui.get("/sdapi/v1/script-info") if script["is_img2img"]]
    assert titles.count("noise rectification") == 1
    paths = webui.get("/openapi.json")["paths"]
    assert sorted(path for path in paths if "noise-rectification" in path) == [
        "/noise-rectification/preview",
        "/noise-rectification/preview/page",
        "/noise-rectification/settings",
    ]
    assert tab.page.locator("[id=setting_noise_rectification_comparison]").count() == 1
    assert tab.page.locator(f"[id={ACCORDION[1:]}]").count() == 1
    assert tab.page.locator(".noise-rectification-figure").count() == 2 * 2, "two in each tab"
    tab.unfold()
    tab.until_status(capitalised(preview(webui, settings={}, steps=20, denoising_strength=0.75, sampler="DPM++ 2M")))
    assert tab.complaints == []


def _axes(webui):
    scripts = webui.get("/sdapi/v1/script-info")
    [plot] = [script for script in scripts if script["name"] == "x/y/z plot" and script["is_img2img"]]
    return plot["args"][0]["choices"]


def _until_restarted(webui):
    """Wait until the port was away and is back, without a request: the first one may break a host that is not ready yet."""
    address = urllib.parse.urlsplit(webui.url)
    was_away = False
    for _ in range(600):
        try:
            socket.create_connection((address.hostname, address.port), timeout=1).close()
        except OSError:
            was_away = True
        else:
            if was_away:
                time.sleep(10)  # the host listens before it has all of its routes
                return
        time.sleep(0.1)
    pytest.fail("the web UI did not come back after Reload UI")

"""The accordion in a real gradio page, as a person uses it: pointer, finger, keyboard, dark theme, narrow screen."""

import ast
import base64
import itertools
import json
import re
import statistics

import pytest
from browser_tab import ACCORDION, FOLDS, HEIGHT, HERE, ON_GRADIO_3, ON_GRADIO_4

from lib_noiserect.core.settings import AUTHORS_PRESET, FIELDS, INTERPOLATIONS, PRESETS, START_PRESET, TAU_UNITS
from lib_noiserect.webui.arguments import INPUTS

NO_PICTURES = [None, None, False]
# In img2img the image is there: the choice among candidates has no visible control.
OF_CANDIDATES = ("candidates", "scorer", "pick")
DEFAULTS = [*(row.default for row in FIELDS.values()), *NO_PICTURES]


ADDRESS = "/noise-rectification/preview/page"
SHOWN_PRESET = "document.querySelector('#script_noise_rectification_preset input')?.value"


def test_three_clicks_from_a_closed_accordion_to_a_faithful_video(open_tab):
    """Open it, set up AnimateDiff, generate: the job has rectification, AnimateDiff and the full strength."""
    tab = open_tab(ready=False, unfold=False, curves=False)
    assert not tab.field("motion").is_visible()
    assert tab.arguments() == DEFAULTS
    assert tab.page.evaluate(SHOWN_PRESET) == AUTHORS_PRESET  # the one that the user chose last
    requests = []
    tab.page.on("request", lambda request: requests.append(request.url))
    tab.page.locator(f"{ACCORDION} > .label-wrap").click()
    tab.until_status("AnimateDiff is off in this tab: press Set up AnimateDiff, or the job is refused.")
    tab.until("NoiseRectification.instance.answer !== null")
    assert requests and {url.partition("/noise-rect")[2] for url in requests} == {ADDRESS.partition("/noise-rect")[2]}
    assert len(requests) <= 2
    assert tab.page.locator(f"{ACCORDION}-visible-checkbox").is_checked()
    tab.screenshot("first-sight")
    tab.button("Set up AnimateDiff").click()
    tab.until_status("AnimateDiff is on, motion module mm_sd15_v3.safetensors, Denoising strength 1.")
    tab.until_status(
        "Steps 1–15 of 25 rectified, first frame free after step 15, ω falls from 0.929 at frame 1 to 0.5 at frame 7"
    )
    assert "is off in this tab" not in " ".join(tab.status())
    requests.clear()
    tab.page.locator("#img2img_generate").click()
    tab.until("document.querySelector('#other_arguments textarea').value === '[true, 1]'")
    assert tab.sent() == [True, *DEFAULTS[1:]]
    assert not [url for url in requests if ADDRESS in url]  # a page at rest asks for nothing
    tab.page.locator("#img2img_generate").focus()
    tab.button("Set up AnimateDiff").wait_for(state="hidden")
    tab.host("img2img_denoising_strength", 0.79)  # too little for motion
    tab.button("Set up AnimateDiff").wait_for()
    tab.host("img2img_denoising_strength", 0.8)
    tab.button("Set up AnimateDiff").wait_for(state="hidden")
    tab.page.locator(f"{ACCORDION}-visible-checkbox").click()
    tab.until_status("Off. When enabled: steps 1–")
    # In the txt2img tab of the page no motion module is chosen, and there is one.
    accordion = "#script_txt2img_noise_rectification_accordion"
    tab.page.locator(f"{accordion} > .label-wrap").click()
    tab.page.locator(accordion).get_by_role("button", name="Set up AnimateDiff").click()
    status = tab.page.locator(f"{accordion} .noise-rectification-status", has_text="AnimateDiff is on")
    status.wait_for()
    assert "AnimateDiff is on, motion module mm_sd15_v2.safetensors." in status.inner_text()
    assert tab.page.locator("#txt2img-ad-motion-module input").input_value() == "mm_sd15_v2.safetensors"
    assert tab.page.locator("#txt2img-ad-enable input").is_checked()


def test_the_report_is_shown_selected_and_copied(open_tab):
    tab = open_tab()
    tab.field("tau_end").fill("0.8")
    tab.open_fold("advanced_fold")
    tab.button("Copy report").click()
    report = tab.page.locator("textarea.noise-rectification-report")
    report.wait_for()
    text = report.input_value()
    assert text.startswith("Noise Rectification ") and "tau_end = 0.8" in text and "message: steps 1" in text
    assert report.evaluate("area => area.selectionEnd - area.selectionStart === area.value.length && area.readOnly")
    tab.until_status("report")  # copied, or to be copied if the answer took longer than the browser's patience with a click
    tab.screenshot("report")


@ON_GRADIO_4
def test_a_server_that_does_not_answer_stops_nothing_else(open_tab):
    tab = open_tab()
    tab.page.route(f"**{ADDRESS}", lambda route: route.fulfill(status=200, body="no JSON"))
    tab.page.evaluate("NoiseRectification.RETRY_MS = 300")
    tab.drag(tab.points().nth(2), 0, 50)
    tab.until_status("No preview: the server does not answer. Jobs are not affected.")
    typed = [float(entry) for entry in tab.value("omega").split(",")]
    assert len(typed) == 16 and 0 < typed[15] < 0.4
    assert tab.arguments()[3] == tab.value("omega")
    tab.button("Undo").click()
    assert tab.value("omega") == "authors"
    tab.open_fold("advanced_fold")
    tab.button("Copy report").click()
    tab.until_status("No report: the server does not answer.")
    assert tab.page.locator("textarea.noise-rectification-report").count() == 0
    tab.page.unroute(f"**{ADDRESS}")
    tab.until_status("Steps 1–15 of 25 rectified")  # it is asked again
    assert "No preview" not in " ".join(tab.status())


def test_presets_fill_the_controls_and_the_last_one_chosen_is_there_after_a_reload(open_tab):
    tab = open_tab(preset=None, curves=False)
    tab.until(f"{SHOWN_PRESET} === '{START_PRESET}'")
    assert PRESETS[START_PRESET].values.items() <= dict(zip(FIELDS, tab.arguments())).items()
    for name, preset in PRESETS.items():
        tab.choose_preset(name)
        tab.page.locator(f"{ACCORDION} .noise-rectification-preset-help", has_text=preset.help).wait_for()
        wanted = {**{field: row.default for field, row in FIELDS.items()}, **preset.values, "enabled": True}
        assert tab.arguments() == [*wanted.values(), *NO_PICTURES]
    tab.open_fold("curves_fold")
    tab.field("tau_end").fill("0.33")
    tab.field("tau_end").press("Tab")
    tab.until(f"{SHOWN_PRESET} === 'Custom'")
    tab.field("tau_end").fill("0.8")
    tab.field("tau_end").press("Tab")
    tab.until(f"{SHOWN_PRESET} === 'Lively'")
    tab.choose_preset("Balanced")
    tab.until_status("Steps 1–20 of 25 rectified, first frame kept, ω falls from 0.843")
    # A fold stays as it was left.
    tab.page.reload()
    tab.until_loaded()
    tab.until(f"{SHOWN_PRESET} === 'Balanced'")
    tab.page.locator(f"{ACCORDION} > .label-wrap").click()
    tab.points().first.wait_for()
    tab.open_fold("curves_fold")
    tab.until("localStorage.getItem('noise-rectification-curves') === 'closed'")


# Timers of this length wait until the test lets them go, so that no pause of the machine looks like one of the pointer.
HELD_TIMERS = """() => {
    window.held = new Map();
    const [set, clear] = [setTimeout, clearTimeout];
    const REST_MS = NoiseRectification.REST_MS = 3600000;
    window.setTimeout = (call, ms, ...rest) => {
        const id = set(call, ms, ...rest);
        if (ms === REST_MS) held.set(id, call);
        return id;
    };
    window.clearTimeout = (id) => { held.delete(id); clear(id); };
}"""


@ON_GRADIO_3
def test_dragging_the_curves_writes_the_numbers_and_back(open_tab):
    tab = open_tab()
    assert tab.points().count() == 3
    # While a handle is dragged, the curves follow the pointer.
    tab.page.evaluate(HELD_TIMERS)
    asked = []
    tab.page.on("request", lambda request: asked.append(request.url))
    line = f"{ACCORDION} .noise-rectification-omega .line"
    tab.page.evaluate(
        """(selector) => { window.drawn = 0;
            new MutationObserver(() => drawn++).observe(
                document.querySelector(selector), {attributes: true, attributeFilter: ["d"]}); }""",
        line,
    )
    tab.drag(tab.points().nth(2), 0, 50)
    assert tab.page.evaluate("drawn") >= 3
    assert asked == [] and tab.page.evaluate("held.size") == 1
    tab.page.evaluate("NoiseRectification.REST_MS = 150; held.values().next().value()")
    typed = [float(entry) for entry in tab.value("omega").split(",")]
    tab.until_status(f"to {typed[15]:g}")
    assert len(asked) == 1
    assert tab.page.evaluate("NoiseRectification.instance.omega.weights") == pytest.approx(typed, abs=1e-3)
    assert len(typed) == 16 and typed[:8] == pytest.approx([1 - i / 14 for i in range(8)], abs=1e-3)
    assert 0 < typed[15] < 0.4
    assert tab.arguments()[3] == tab.value("omega")
    tab.drag(tab.points().nth(1), 40, -20)  # one in the middle also moves across the frames
    assert float(tab.points().nth(1).get_attribute("aria-valuenow")) > 0.5
    tab.screenshot("dragged")
    tab.button("Undo").click()
    assert [float(entry) for entry in tab.value("omega").split(",")] == typed
    tab.button("Undo").click()
    assert tab.value("omega") == "authors"
    tab.field("omega").fill("0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1")
    tab.until_status("motion free from frame 8")
    assert tab.points().count() == 4
    tab.page.locator(f"{ACCORDION} .noise-rectification-omega svg").dblclick(position={"x": 100, "y": 80})
    assert tab.points().count() == 5
    tab.button("− Point").click()
    assert tab.points().count() == 4
    tab.button("+ Point").click()
    assert tab.points().count() == 5
    tab.button("Reset").click()
    assert tab.value("omega") == "authors"
    tab.until("NoiseRectification.instance.omega.points.length === 3")
    tab.button("linear").click()
    assert tab.value("omega") == "linear" and tab.button("linear").get_attribute("aria-pressed") == "true"
    # The window's two ends do not pass each other.
    start, end = tab.page.locator(f"{ACCORDION} .handle").all()
    tab.drag(end, 40, 0)
    assert 0.65 < float(tab.value("tau_end")) < 0.85
    tab.drag(start, 900, 0)
    assert tab.value("tau_start") == tab.value("tau_end")
    tab.until_status("No step of 25 rectified: a plain video")
    # An answer that comes late does not replace a newer one.
    held = []
    tab.page.route(f"**{ADDRESS}", lambda route: route.continue_() if held else held.append(route))
    tab.field("tau_start").fill("0")
    while not held:
        tab.page.wait_for_timeout(20)
    tab.field("tau_end").fill("0.8")
    tab.until_status("Steps 1–20 of 25 rectified")
    with tab.page.expect_response(f"**{ADDRESS}") as late:
        held[0].continue_()
    late.value.finished()
    tab.page.wait_for_timeout(100)
    assert tab.status()[0].startswith("Steps 1–20 of 25 rectified")


@ON_GRADIO_4
def test_a_finger_drags(open_tab):
    tab = open_tab(width=360)
    point = tab.points().nth(2)
    point.evaluate("(point) => point.scrollIntoView({block: 'center'})")
    box = point.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    devtools = tab.page.context.new_cdp_session(tab.page)

    def touch(kind, points):
        devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", [{"x": x, "y": y}])
    for step in (10, 25, 40):
        touch("touchMove", [{"x": x, "y": y + step}])
    touch("touchEnd", [])
    # 40 of the picture's 132 pixels down from 0.5: to the end, without the page's scrolling taking the finger over.
    tab.until("document.querySelector('#script_noise_rectification_omega textarea').value.split(',')[15] == 0.2")


@ON_GRADIO_3
def test_keyboard_only(open_tab):
    tab = open_tab()
    keyboard = tab.page.keyboard
    tab.field("tau_start").focus()
    reached = []
    for _ in range(30):
        keyboard.press("Tab")
        reached.append(
            tab.page.evaluate(
                "(document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent).trim()"
            )
        )
    assert "" not in reached[: reached.index("Reset")], reached
    for name in (
        "Ending Step (τ)",
        "Starting Step (τ)",
        "ω at frame 0; the last is 15",
        "authors",
        "Reset",
        "Motion per frame (ω)",
        "Fit curve to video length",
        "Keyframes and mask",
    ):
        assert any(name in text for text in reached), (name, reached)
    header = tab.page.locator("#script_noise_rectification_window_fold .label-wrap").first
    header.focus()
    keyboard.press("Enter")
    tab.field("release").wait_for()
    keyboard.press(" ")
    tab.field("release").wait_for(state="hidden")
    tab.page.locator(f"{ACCORDION} .handle").nth(1).focus()
    keyboard.press("ArrowRight")
    assert tab.value("tau_end") == "0.61"
    keyboard.press("Shift+ArrowLeft")
    assert tab.value("tau_end") == "0.51"
    keyboard.press("End")
    tab.until_status("Steps 1–25 of 25 rectified, first frame kept")
    tab.points().first.focus()
    keyboard.press("ArrowRight")
    assert tab.page.evaluate("document.activeElement.getAttribute('aria-label')") == "ω at frame 7; the last is 15"
    keyboard.press("ArrowUp")
    assert tab.value("omega").split(", ")[7] == "0.51"
    keyboard.press("Shift+ArrowRight")
    assert tab.value("omega").split(", ")[8] == "0.51"
    keyboard.press("Insert")
    assert tab.points().count() == 4
    keyboard.press("Delete")
    assert tab.points().count() == 3
    for _ in range(4):
        keyboard.press("Control+z")
    assert tab.value("omega") == "authors"
    tab.screenshot("keyboard")


@ON_GRADIO_3
def test_the_picture_follows_the_job_in_the_pages_language(open_tab):
    tab = open_tab()
    tab.host("img2img_steps", 40)
    tab.until_status("Steps 1–24 of 40 rectified")
    tab.host("img2img_denoising_strength", 0.5)
    tab.until_status("Steps 1–13 of 21 rectified (DPM++ 2M takes 21 steps instead of 40)")
    tab.host("img2img-ad-video-length", 24)
    tab.until_status("at frame 11")
    tab.host("img2img-ad-video-length", 4)  # AnimateDiff makes a whole context
    tab.until_status("at frame 7")
    tab.field("omega").fill("1, 0.5, 0")
    tab.until_status(
        "Motion per frame (ω) has 3 entries and the video has 16 frames: give 16 entries, or set Fit curve to video length"
    )
    tab.screenshot("refused")
    tab.field("omega_resample").check()
    tab.until_status("ω falls from 0.933 at frame 1 to 0 at frame 15")
    tab.page.evaluate(
        """window.localization = {"steps {0}–{1} of {2} rectified": "Schritte {0} bis {1} von {2}",
            "{0} takes {1} steps instead of {2}": "{0} macht {1} statt {2}", "motion free": "frei"}"""
    )
    tab.field("omega").fill("constant")
    tab.until_status("Schritte 1 bis 13 von 21 (DPM++ 2M macht 21 statt 40), first frame free after step 13, frei")
    tab.page.evaluate("document.querySelector('#img2img-ad-enable input').click()")
    tab.until_status("AnimateDiff is off in this tab")
    tab.page.evaluate("document.querySelector('#img2img-ad-enable').remove()")
    tab.until_status("AnimateDiff is not installed")
    assert not tab.button("Set up AnimateDiff").is_visible()


def test_most_is_folded_away_and_everything_has_a_name_and_an_explanation(open_tab):
    tab = open_tab(curves=False)
    assert not tab.points().first.is_visible()
    first = ["motion", "pin_first_frame", "follow_motion"]
    folded = {
        "curves_fold": ["tau_start", "tau_end", "omega_start", "omega_end", "omega", "omega_resample"],
        "keyframes_fold": ["interpolation", "mask_feather", "loop", "inpaint_mask"],
        "window_fold": ["tau_unit", "release", "hold_colour"],
        "auto_tune_fold": ["target_ssim"],
        "advanced_fold": [
            "start_time", "statistics", "repeat_noise", "create", "animation_share", "animation_strength", "regeneration",
        ],
    }  # fmt: skip
    rest = {"enabled", "key_frames", "motion_mask", *OF_CANDIDATES}
    assert {*first, *itertools.chain(*folded.values()), *rest} == {*FIELDS, *INPUTS}
    for name in first:
        assert tab.field(name).is_visible(), name
    for fold, names in folded.items():
        assert not [name for name in names if tab.field(name).is_visible()], fold
        tab.open_fold(fold)
        for name in names:
            tab.field(name).wait_for(state="visible")
    for name in ("key_frames", "motion_mask"):
        assert tab.page.locator(f"#script_noise_rectification_{name}").is_visible()
        assert tab.field(name).get_attribute("type") == "file" and tab.field(name).get_attribute("multiple") is not None
    tab.screenshot("unfolded")
    assert tab.nameless_controls() == []
    for name, row in {**FIELDS, **INPUTS}.items():
        if name not in ("enabled", *OF_CANDIDATES):
            assert tab.field(name).get_attribute("title") == row.help
            if name in INPUTS or row.choices:
                assert tab.page.locator(ACCORDION).get_by_text(row.help).count() == 1


# One black pixel.
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==")


def test_keyframes_choices_and_the_start_are_drawn_and_reach_the_job(open_tab, tmp_path):
    tab = open_tab()
    tab.open_fold("keyframes_fold")
    pictures = [{"name": f"boat-{frame}.png", "mimeType": "image/png", "buffer": PNG} for frame in (8, 15)]
    tab.field("key_frames").set_input_files(pictures)
    tab.until_status("ω between 0.5 and 1")  # in the middle between two pictures it is free
    assert tab.page.evaluate("NoiseRectification.instance.omega.weights[8]") == 0.5
    files = tab.arguments()[len(FIELDS)]
    assert [("boat-8" in file, "boat-15" in file) for file in files] == [(True, False), (False, True)]
    tab.screenshot("key-frames")
    tab.page.locator(
        "#script_noise_rectification_key_frames button[aria-label=Clear], "
        "#script_noise_rectification_key_frames [aria-label=Clear]"
    ).first.click()
    tab.until_status("ω falls from 0.929 at frame 1 to 0.5 at frame 7")
    # Choices.
    tab.open_fold("window_fold")
    for choices in zip(reversed(TAU_UNITS), reversed(INTERPOLATIONS), strict=True):
        for name, choice in zip(("tau_unit", "interpolation"), choices):
            tab.page.locator(f"#script_noise_rectification_{name}").get_by_text(choice, exact=True).click()
        arguments = tab.arguments()
        assert tuple(dict(zip(FIELDS, arguments))[name] for name in ("tau_unit", "interpolation")) == choices
        assert not arguments[len(FIELDS)]
    # Late starts have lower bars; an uploaded file is chosen by that.
    tab.open_fold("advanced_fold")
    whole = tab.page.evaluate("NoiseRectification.instance.answer.noise")
    tab.field("start_time").fill("0.86")
    tab.until_status("at frame 7, starting at 86 % of the noise levels")
    late = tab.page.evaluate("NoiseRectification.instance.answer.noise")
    assert len(late) == len(whole) and all(one < other for one, other in zip(late[:-1], whole))
    made = tmp_path / "clips.safetensors"
    made.touch()
    with tab.page.expect_file_chooser() as chooser:
        tab.page.locator("#script_noise_rectification_statistics_upload").click()
    chooser.value.set_files(made)
    tab.until_status("starting at 86 % of the noise levels, initial noise from clips.safetensors")
    assert tab.page.get_by_text("clips.safetensors: received").count() == 1
    arguments = dict(zip(FIELDS, tab.arguments()))
    assert (arguments["start_time"], arguments["statistics"]) == (0.86, "clips.safetensors")


def page_values(tab):
    """What is pasted, read from the server that pastes it."""
    source = (HERE / "page.py").read_text("utf-8")
    pasted = ast.literal_eval(re.search(r"^PASTED = (\{.*?^\})", source, re.MULTILINE | re.DOTALL)[1])
    assert list(pasted) == list(FIELDS)
    return list(pasted.values())


def test_moving_motion_amount_makes_it_count_and_a_pasted_infotext_is_drawn(open_tab):
    tab = open_tab()
    tab.field("motion").fill("0.3")
    tab.until_status("30 % of the model's motion")
    assert tab.value("omega") == "motion" and tab.button("motion").get_attribute("aria-pressed") == "true"
    assert tab.page.locator(f"{ACCORDION} figcaption span").all_inner_texts()[1].startswith("Share of motion")
    axis = tab.page.locator(f"{ACCORDION} .noise-rectification-omega .axis text").all_text_contents()
    assert axis[:2] == ["0 %", "100 %"]
    tab.until(f"{SHOWN_PRESET} === 'Custom'")
    arguments = dict(zip(FIELDS, tab.arguments()))
    assert (arguments["omega"], arguments["motion"]) == ("motion", 0.3)
    tab.button("Undo").click()
    assert (tab.value("omega"), tab.value("motion")) == ("authors", "0.5")
    # By the slider too; and what is pasted is no wish.
    tab.page.locator("#script_noise_rectification_motion input[type=range]").focus()
    tab.page.keyboard.press("ArrowRight")
    tab.until_status("51 % of the model's motion")
    tab.button("linear").click()
    tab.page.locator("#paste").first.click()
    tab.until_status(
        "Rectified from 10 % to 90 % of the noise levels (DPM++ 2M takes 23 steps instead of 25), first frame not kept, "
        "because rectification starts at 10 %, "
        "fading out over 25 % of the noise levels, color preserved, ω falls from 0.933 at frame 1 to 0 at frame 15, "
        "details follow what moves, seamless loop, starting at 90 % of the noise levels"
    )
    assert tab.arguments() == [*page_values(tab), *NO_PICTURES]


@ON_GRADIO_4
def test_what_the_chosen_weights_do_not_look_at_is_switched_off(open_tab):
    tab = open_tab()
    numbers = [tab.field(name) for name in ("omega_start", "omega_end")]

    def are_off():
        return [number.is_disabled() for number in numbers]

    assert are_off() == [False, False]
    for weights, said, off in (
        ("constant", "motion free", [False, True]),
        ("frozen", "nothing moves", [True, True]),
        ("motion", "50 % of the model's motion", [True, True]),
        ("linear", "ω falls from", [False, False]),
        ("1, 0.5, 0", "has 3 entries", [False, False]),  # refused, and what is wrong may be anywhere
    ):
        tab.field("omega").fill(weights)
        tab.until_status(said)
        assert are_off() == off, weights
    tab.field("omega_resample").check()
    tab.until_status("ω falls")
    assert are_off() == [True, True]
    # What a preset or an infotext writes arrives there all the same, and is what the job gets.
    tab.page.locator("#paste").first.click()
    tab.until("document.querySelector('#script_noise_rectification_omega_start input').value === '0.9'")
    assert dict(zip(FIELDS, tab.arguments()))["omega_end"] == 0.2 and are_off() == [True, True]


@ON_GRADIO_4
def test_the_share_of_motion_is_dragged_as_a_whole(open_tab):
    tab = open_tab()
    tab.field("motion").fill("0.5")
    tab.until_status("50 % of the model's motion")
    tab.drag(tab.points().nth(1), 0, 30)
    assert tab.value("omega") == "motion" and 0.1 < float(tab.value("motion")) < 0.4
    tab.open_fold("keyframes_fold")
    tab.field("loop").check()
    tab.until_status("% of the model's motion, seamless loop")
    assert tab.points().count() == 3  # up to the middle and down again
    tab.points().nth(1).focus()
    for _ in range(9):
        tab.page.keyboard.press("PageUp")
    assert tab.value("motion") == "1"
    tab.page.keyboard.press("Insert")
    tab.page.keyboard.press("Delete")
    assert tab.points().count() == 3 and tab.button("+ Point").get_attribute("aria-disabled") == "true"
    tab.points().first.focus()  # the picture itself, which no motion moves
    tab.page.keyboard.press("PageUp")
    assert tab.value("motion") == "1"
    tab.screenshot("share-of-motion")


@ON_GRADIO_4
def test_tau_in_noise_levels(open_tab):
    """Karras spends half its steps on the last tenth of the noise levels."""
    tab = open_tab()
    tab.open_fold("window_fold")
    inside = "document.querySelector('.noise-rectification-tau .bar.inside').getAttribute('d').split('M').length - 1"
    assert tab.page.evaluate(inside) == 15
    tab.page.locator("#script_noise_rectification_tau_unit").get_by_text("noise level", exact=True).click()
    tab.until_status("Rectified from 0 % to 60 % of the noise levels, first frame free after 60 %, ω falls from")
    places = tab.page.evaluate("NoiseRectification.instance.answer.positions")
    assert len(places) == 25 and places == sorted(places) and places[0] == pytest.approx(0, abs=1e-3)
    assert tab.page.evaluate(inside) == sum(place < 0.6 for place in places) != 15
    tab.screenshot("noise-levels")
    tab.page.locator(f"{ACCORDION} .handle").nth(1).focus()
    tab.page.keyboard.press("End")
    tab.until_status("Rectified from 0 % to 100 % of the noise levels, first frame kept, ω falls from")
    assert tab.page.evaluate(inside) == 25


FOUND = "motion 0.375 found by SSIM in 5 short runs (tried 0: 0.970, 1: 0.710)"
INFOTEXT = (
    "a boat, Noise Rectification motion: 9, Noise Rectification found: nothing\n"
    "Steps: 25, Noise Rectification omega: motion, Noise Rectification motion: 0.375, "
    f'Noise Rectification target ssim: 0.8, Noise Rectification motion mask: 1 picture, Noise Rectification found: "{FOUND}"'
)


@pytest.mark.parametrize(
    "server, waits",
    [(3, ["running"]), (4, ["running", "ended"])],
    ids=["gradio3", "gradio4-answer-after-the-end"],
    indirect=["server"],
    scope="session",
)
def test_the_motion_that_a_job_finds_is_taken_over(open_tab, waits):
    """The page learns of a job's end by asking, and gets its answer before that, or after it."""
    tab = open_tab()
    # Not while it is off or busy.
    tab.page.locator(f"{ACCORDION}-visible-checkbox").click()
    tab.open_fold("auto_tune_fold")
    tab.button("Auto-tune motion & generate").click()
    tab.until_status("No search: Noise Rectification is off in this tab.")
    tab.page.locator(f"{ACCORDION}-visible-checkbox").click()
    tab.next_job(waits=["running"])
    tab.page.locator("#img2img_generate").click()
    tab.until_running()
    tab.button("Auto-tune motion & generate").click()
    tab.until_status("No search: wait for the running job.")
    tab.release()
    tab.until_ended()
    assert tab.value("target_ssim") == "0"
    tab.next_job(infotext=INFOTEXT, waits=waits)
    tab.button("Auto-tune motion & generate").click()
    tab.until_status("Searching for the motion")
    tab.until_running()
    tab.button("Auto-tune motion & generate").click(force=True)  # one at a time
    tab.release()
    if "ended" in waits:
        tab.until_ended()
        tab.release()
    tab.until_status("motion tuned for SSIM 0.8")
    tab.until_status(f"Result: {FOUND}")
    tab.screenshot("found")
    given = dict(zip(FIELDS, json.loads(tab.page.locator("#arguments textarea").input_value())))
    assert (given["enabled"], given["target_ssim"], given["omega"]) == (True, 0.8, "authors")
    assert (tab.value("omega"), tab.value("motion"), tab.value("target_ssim")) == ("motion", "0.375", "0")
    tab.until_status("37.5 % of the model's motion")
    tab.next_job()
    taken = dict(zip(FIELDS, tab.arguments()))
    assert (taken["omega"], taken["motion"], taken["target_ssim"]) == ("motion", 0.375, 0)
    tab.field("tau_end").fill("0.5")
    tab.page.locator(f"{ACCORDION} .noise-rectification-status", has_text="Result").wait_for(state="hidden")
    # A target of one's own.
    tab.field("target_ssim").fill("0.7")
    tab.next_job(infotext=INFOTEXT)
    tab.button("Auto-tune motion & generate").click()
    tab.until_status("Result: ")
    assert dict(zip(FIELDS, json.loads(tab.page.locator("#arguments textarea").input_value())))["target_ssim"] == 0.7


@ON_GRADIO_4
def test_a_job_that_finds_nothing_leaves_the_settings(open_tab):
    tab = open_tab()
    tab.open_fold("auto_tune_fold")
    earlier = {"infotext": INFOTEXT}  # still stands there while the job runs
    unreachable = "SettingsError: target_ssim = 0.8 cannot be reached"
    for ends, reason in (
        ({"error": unreachable}, unreachable),
        ({"infotext": "a boat\nSteps: 25, Noise Rectification omega: authors"}, "the job has no result"),
    ):
        tab.next_job(**earlier)
        tab.arguments()
        tab.next_job(**ends)
        tab.button("Auto-tune motion & generate").click()
        tab.until_status(f"The search failed, and the settings are unchanged: {reason}")
        tab.screenshot("not-found")
        assert tab.arguments() == [True, *DEFAULTS[1:]]
    # An answer that never comes is no answer.
    tab.next_job(**earlier)
    tab.arguments()
    tab.next_job(infotext=INFOTEXT, waits=["running", "ended"])
    tab.button("Auto-tune motion & generate").click()
    tab.until_running()
    tab.page.wait_for_timeout(300)  # the button looks for that each 100 ms
    tab.page.evaluate("NoiseRectificationJob.PATIENCE_MS = 500")
    tab.release()
    tab.until_status("and the settings are unchanged: the job has no result")
    tab.release()
    tab.page.evaluate("document.querySelector('#img2img_generate').style.pointerEvents = 'none'")
    tab.page.evaluate("document.querySelector('#img2img_generate').click = () => {}")
    tab.button("Auto-tune motion & generate").click()
    tab.until_status("and the settings are unchanged: no job began")
    assert tab.value("omega") == "authors" and tab.value("target_ssim") == "0"


def test_themes_and_widths(open_tab):
    tab = open_tab(width=360, theme="dark")
    for fold in FOLDS:
        tab.open_fold(fold)
    tab.button("Auto-tune motion & generate").wait_for()
    txt2img = "#script_txt2img_noise_rectification_accordion"
    tab.page.locator(f"{txt2img} > .label-wrap").click()
    tab.page.locator("#script_txt2img_noise_rectification_rectification_fold .label-wrap").first.click()
    tab.page.locator(f"{txt2img} .point").first.wait_for()
    for width in (360, 1000):
        tab.page.set_viewport_size({"width": width, "height": HEIGHT})
        for theme in ("dark", "light"):
            # As the framework does where the address asks for a theme.
            tab.page.evaluate("(theme) => document.body.classList.toggle('dark', theme === 'dark')", theme)
            colour, ground = tab.colours()
            assert abs(colour - ground) > 0.5
            assert (ground > 0.5) == (theme == "light")
            assert tab.overflow() <= 1 and tab.overflow(txt2img) <= 1
            tab.screenshot(f"unfolded-{theme}-{width}")


@pytest.mark.slow
def test_a_redraw_at_128_frames_takes_less_than_8_ms(open_tab, capsys):
    tab = open_tab()
    tab.host("img2img-ad-video-length", 128)
    tab.field("omega").fill(", ".join(str(i % 2) for i in range(128)))  # each frame a point of its own
    tab.until("NoiseRectification.instance.omega.points.length > 100")
    medians = []
    for _ in range(20):  # on a machine that does other things too, the least of them is nearest to what a redraw takes
        times = tab.page.evaluate(
            """() => { const it = NoiseRectification.instance; const times = [];
                for (let i = 0; i < 5; i++) { const t = performance.now(); it.draw(); times.push(performance.now() - t); }
                return times; }"""
        )
        medians.append(statistics.median(times))
    with capsys.disabled():
        print(f"\n{tab.name}: redraw at 128 frames: medians of 5 from {min(medians):.2f} to {max(medians):.2f} ms")
    tab.screenshot("128-frames")
    assert min(medians) < 8


@ON_GRADIO_3
def test_the_page_has_our_classes_alone_and_reload_ui_leaves_no_listeners(open_tab):
    tab = open_tab(unfold=False)
    assert tab.page.evaluate("Object.keys(window).filter((name) => /rectif/i.test(name))") == []
    names = ["NoiseRectification", "Job", "Axes", "Tau", "Omega", "AutoTune", "Animate", "SetUp"]
    for name in [names[0], *(names[0] + part for part in names[1:])]:
        assert tab.page.evaluate(f"typeof {name}") == "function"
    once, *_, last = tab.listeners_and_figures(51)
    assert once == last
    listeners, figures = once
    assert figures == 4 and listeners > 0  # of both tabs
    # Off the page, with nothing put up instead.
    tab.page.evaluate("NoiseRectification.instances.forEach((panel) => panel.dispose())")
    assert tab.page.locator(".noise-rectification-figure").count() == 0


@pytest.mark.slow
def test_the_controls_are_built_in_less_than_60_ms(server):
    assert float(re.search(r"ui\(\) took (\d+\.\d) ms", server.log.read_text(encoding="utf-8"))[1]) < 60

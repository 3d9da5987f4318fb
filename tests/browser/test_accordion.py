"""The accordion in a real gradio page, as a person uses it: pointer, finger, keyboard, dark theme, narrow screen."""

import ast
import base64
import itertools
import json
import random
import re
import statistics

import pytest
from browser_tab import ACCORDION, FOLDS, HERE, Server

from lib_noiserect.core.keyframes import Keyframes
from lib_noiserect.core.noise_levels import ModelLevels, ve
from lib_noiserect.core.schedule import omega_weights, rectified_steps
from lib_noiserect.core.settings import (
    FIELDS,
    INTERPOLATIONS,
    OMEGA_PRESETS,
    PRESETS,
    TAU_UNITS,
    Settings,
    SettingsError,
)
from lib_noiserect.core.summary import summary
from lib_noiserect.methods.start_time import respaced_sigmas, respaced_whole, start_timestep
from lib_noiserect.webui.arguments import INPUTS

NO_PICTURES = [None, None, False]
# In img2img the picture is there: what chooses among candidates has no control that anybody sees.
OF_CANDIDATES = ("candidates", "scorer", "pick")
DEFAULTS = [*(row.default for row in FIELDS.values()), *NO_PICTURES]


def test_it_is_closed_and_off_at_first_and_asks_the_server_nothing(open_tab):
    tab = open_tab(unfold=False)
    assert not tab.page.locator(f"{ACCORDION} .point").first.is_visible()
    assert tab.arguments() == DEFAULTS
    requests = []
    tab.page.on("request", lambda request: requests.append(request.url))
    tab.page.locator(f"{ACCORDION} > .label-wrap").click()
    tab.until_status(
        "Steps 1–15 of 25 rectified, first frame free after step 15, ω falls from 0.929 at frame 1 to 0.5 at frame 7"
    )
    tab.page.wait_for_timeout(600)
    assert requests == []
    assert tab.page.locator(f"{ACCORDION}-visible-checkbox").is_checked()
    tab.screenshot("open")
    assert tab.arguments() == [True, *DEFAULTS[1:]]
    tab.page.locator(f"{ACCORDION}-visible-checkbox").click()
    tab.until_status("Off. When enabled: steps 1–15")


def test_presets_fill_the_controls_and_controls_name_the_preset(open_tab):
    tab = open_tab()
    for name, preset in PRESETS.items():
        tab.choose_preset(name)
        tab.page.locator(f"{ACCORDION} .noise-rectification-preset-help", has_text=preset.help).wait_for()
        wanted = {**{field: row.default for field, row in FIELDS.items()}, **preset.values, "enabled": True}
        assert tab.arguments() == [*wanted.values(), *NO_PICTURES]
    tab.field("tau_end").fill("0.33")
    tab.field("tau_end").press("Tab")
    tab.until("document.querySelector('#script_noise_rectification_preset input').value === 'Custom'")
    tab.field("tau_end").fill("0.4")
    tab.field("tau_end").press("Tab")
    tab.until("document.querySelector('#script_noise_rectification_preset input').value === 'Lively'")
    tab.choose_preset("Balanced")
    tab.until_status("Steps 1–20 of 25 rectified, first frame kept, ω falls from 0.843")


def test_dragging_the_curve_writes_the_text_and_back(open_tab):
    tab = open_tab()
    assert tab.points().count() == 3
    tab.drag(tab.points().nth(2), 0, 50)
    typed = [float(entry) for entry in tab.value("omega").split(",")]
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
    assert tab.value("omega") == "authors" and tab.points().count() == 3
    tab.button("linear").click()
    assert tab.value("omega") == "linear" and tab.button("linear").get_attribute("aria-pressed") == "true"


def test_tau_has_two_ends_that_do_not_pass_each_other(open_tab):
    tab = open_tab()
    start, end = tab.page.locator(f"{ACCORDION} .handle").all()
    tab.drag(end, 40, 0)
    assert 0.65 < float(tab.value("tau_end")) < 0.85
    tab.drag(start, 900, 0)
    assert tab.value("tau_start") == tab.value("tau_end")
    tab.until_status("No step of 25 rectified: a plain video")


def test_a_finger_drags(open_tab):
    tab = open_tab(width=360, touch=True)
    point = tab.points().nth(2)
    point.scroll_into_view_if_needed()
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


def test_keyboard_only(open_tab):
    tab = open_tab()
    keyboard = tab.page.keyboard
    tab.field("tau_start").focus()
    reached = []
    for _ in range(32):
        keyboard.press("Tab")
        reached.append(
            tab.page.evaluate(
                "(document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent).trim()"
            )
        )
    for name in (
        "Ending Step (τ)",
        "Starting Step (τ)",
        "ω at frame 0; the last is 15",
        "authors",
        "Reset",
        "Motion per frame (ω)",
        "Motion amount",
        "Lock first frame",
        "Seamless loop",
        "Fit curve to video length",
    ):
        assert any(name in text for text in reached), (name, reached)
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


def test_every_control_has_a_name_and_an_explanation(open_tab):
    tab = open_tab()
    for fold in FOLDS:
        tab.open_fold(fold)
    assert tab.nameless_controls() == []
    for name, row in {**FIELDS, **INPUTS}.items():
        if name not in ("enabled", *OF_CANDIDATES):
            assert tab.field(name).get_attribute("title") == row.help
            if name in INPUTS or row.choices:
                assert tab.page.locator(ACCORDION).get_by_text(row.help).count() == 1


def test_the_picture_follows_the_job(open_tab):
    tab = open_tab()
    tab.host("img2img_steps", 40)
    tab.until_status("Steps 1–24 of 40 rectified")
    tab.host("img2img_denoising_strength", 0.5)
    tab.until_status("Steps 1–13 of 21 rectified (DPM++ 2M takes 21 where 40 are asked for)")
    tab.host("img2img-ad-video-length", 24)
    tab.until_status("at frame 11")
    tab.host("img2img-ad-video-length", 4)  # AnimateDiff makes a whole context
    tab.until_status("at frame 7")
    tab.field("omega").fill("1, 0.5, 0")
    tab.until_status("omega has 3 entries and the video has 16 frames: give 16 entries, or set omega_resample")
    tab.screenshot("refused")
    tab.field("omega_resample").check()
    tab.until_status("ω falls from 0.933 at frame 1 to 0 at frame 15")
    tab.page.locator("#img2img-ad-enable input").uncheck()
    tab.until_status("AnimateDiff is off in this tab")


def test_a_pasted_infotext_is_drawn(open_tab):
    tab = open_tab()
    tab.page.locator("#paste").first.click()
    tab.until_status(
        "Rectified from 10 % to 90 % of the noise levels (DPM++ 2M takes 23 where 25 are asked for), first frame not kept, "
        "because rectification starts at 10 %, "
        "fading out over 25 % of the noise levels, color preserved, ω falls from 0.933 at frame 1 to 0 at frame 15, "
        "seamless loop, starting at 90 % of the noise levels"
    )
    assert tab.arguments() == [*page_values(tab), *NO_PICTURES]


def page_values(tab):
    """What is pasted, read from the server that pastes it."""
    source = (HERE / "page.py").read_text("utf-8")
    pasted = ast.literal_eval(re.search(r"^PASTED = (\{.*?^\})", source, re.MULTILINE | re.DOTALL)[1])
    assert list(pasted) == list(FIELDS)
    return list(pasted.values())


def test_most_is_folded_away(open_tab):
    tab = open_tab()
    first = ["tau_start", "tau_end", "omega_start", "omega_end", "omega", "motion", "pin_first_frame", "loop"]
    folded = {
        "pictures_fold": ["interpolation", "mask_feather", "inpaint_mask"],
        "window_fold": ["tau_unit", "release", "hold_colour", "repeat_noise"],
        "start_fold": ["start_time", "statistics"],
        "find_fold": ["target_ssim"],
        "animation_fold": ["create", "animation_share", "animation_strength", "regeneration"],
    }
    rest = {"enabled", "omega_resample", "key_frames", "motion_mask", *OF_CANDIDATES}
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


@pytest.mark.parametrize("width", [360, 700, 1200])
def test_what_is_unfolded_fits(open_tab, width):
    tab = open_tab(width=width)
    for fold in FOLDS:
        tab.open_fold(fold)
    tab.button("Find the motion and generate").wait_for()
    assert tab.overflow() <= 1
    tab.screenshot(f"unfolded-{width}")


def test_the_start_is_drawn_and_reaches_the_job(open_tab, tmp_path):
    """Late starts have lower bars, as the library's own schedule has them; a file is uploaded, and chosen by that."""
    tab = open_tab()
    tab.open_fold("start_fold")
    whole = tab.page.evaluate("NoiseRectification.instance.levels")
    tab.field("start_time").fill("0.86")
    tab.until_status("at frame 7, starting at 86 % of the noise levels")
    late = tab.page.evaluate("NoiseRectification.instance.levels")
    assert late == pytest.approx(respaced_sigmas(ModelLevels(animatediffs_alphas()), whole, 0.86), rel=1e-9)
    made = tmp_path / "clips.safetensors"
    made.touch()
    with tab.page.expect_file_chooser() as chooser:
        tab.page.locator("#script_noise_rectification_statistics_upload").click()
    chooser.value.set_files(made)
    tab.until_status("starting at 86 % of the noise levels, initial noise from clips.safetensors")
    assert tab.page.get_by_text("clips.safetensors: received").count() == 1
    arguments = dict(zip(FIELDS, tab.arguments()))
    assert (arguments["start_time"], arguments["statistics"]) == (0.86, "clips.safetensors")
    tab.screenshot("start")


def animatediffs_alphas():
    return list(
        itertools.accumulate((1 - 0.00085 - 0.01115 * t / 999 for t in range(1000)), lambda one, other: one * other)
    )


def test_late_starts_are_drawn_as_the_library_makes_them(open_tab):
    """DDIM with 20 steps at the whole strength begins at 901, and PLMS and it at M·T - 1 with a start time."""
    alphas = animatediffs_alphas()
    scale = ModelLevels(alphas)
    tab = open_tab()
    for start, strength in itertools.product((1, 0.94, 0.82), (1, 0.5)):
        encoded = int(min(strength, 0.999) * 20)
        given = list(range(1, 1000, 50))
        first = start_timestep(start, 1000) if start < 1 else 901
        moved = respaced_whole(given, 901, first, 999)[:encoded]
        job = {"sampler": {"timesteps": True}, "steps": 20, "strength": strength, "options": {}, "start": start}
        drawn = tab.page.evaluate("job => NoiseRectification.noiseLevels(job)", job)
        assert drawn == pytest.approx([scale.sigma(timestep) for timestep in moved[:0:-1]], rel=1e-9)
        for schedule in ("Karras", "Uniform"):
            job = {"schedule": schedule, "steps": 20, "options": {}}
            whole = tab.page.evaluate("job => NoiseRectification.noiseLevels(job)", {**job, "strength": 1})
            late = whole if start == 1 else respaced_sigmas(scale, whole, start)
            drawn = tab.page.evaluate(
                "job => NoiseRectification.noiseLevels(job)", {**job, "strength": strength, "start": start}
            )
            assert drawn == pytest.approx(late[20 - encoded - 1 :], rel=1e-9)


def test_choices_reach_the_job(open_tab):
    tab = open_tab()
    names = list(FIELDS)
    for fold, name, choices in (
        ("window_fold", "tau_unit", TAU_UNITS), ("pictures_fold", "interpolation", INTERPOLATIONS)
    ):  # fmt: skip
        tab.open_fold(fold)
        for choice in reversed(choices):
            tab.page.locator(f"#script_noise_rectification_{name}").get_by_text(choice, exact=True).click()
            assert tab.arguments()[names.index(name)] == choice


def test_who_moves_motion_wishes_it(open_tab):
    tab = open_tab()
    tab.field("motion").fill("0.3")
    tab.until_status("30 % of the model's motion")
    assert tab.value("omega") == "motion" and tab.button("motion").get_attribute("aria-pressed") == "true"
    assert tab.page.locator(f"{ACCORDION} figcaption span").all_inner_texts()[1].startswith("Share of motion")
    axis = tab.page.locator(f"{ACCORDION} .noise-rectification-omega .axis text").all_text_contents()
    assert axis[:2] == ["0 %", "100 %"]
    tab.until("document.querySelector('#script_noise_rectification_preset input').value === 'Custom'")
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
    tab.until("document.querySelector('#script_noise_rectification_motion input').value === '0.7'")
    tab.page.wait_for_timeout(400)
    assert tab.value("omega") == "1, 0.5, 0"


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
        ("1, 0.5, 0", "omega has 3 entries", [False, False]),  # refused, and what is wrong may be anywhere
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


def test_the_share_of_motion_is_dragged_as_a_whole(open_tab):
    tab = open_tab()
    tab.field("motion").fill("0.5")
    tab.drag(tab.points().nth(1), 0, 30)
    assert tab.value("omega") == "motion" and 0.1 < float(tab.value("motion")) < 0.4
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


def test_tau_in_noise_levels(open_tab):
    """Karras spends half its steps on the last tenth of the noise levels."""
    tab = open_tab()
    tab.open_fold("window_fold")
    inside = "document.querySelector('.noise-rectification-tau .bar.inside').getAttribute('d').split('M').length - 1"
    assert tab.page.evaluate(inside) == 15
    tab.page.locator("#script_noise_rectification_tau_unit").get_by_text("noise level", exact=True).click()
    tab.until_status("Rectified from 0 % to 60 % of the noise levels, first frame free after 60 %, ω falls from")
    levels = tab.page.evaluate("NoiseRectification.instance.levels")
    places = tab.page.evaluate("NoiseRectification.instance.levels.map((sigma) => NoiseRectification.progress(sigma))")
    assert len(levels) == 25 and places == sorted(places) and places[0] == pytest.approx(0, abs=1e-4)
    assert tab.page.evaluate(inside) == sum(place < 0.6 for place in places) != 15
    tab.screenshot("noise-levels")
    tab.page.locator(f"{ACCORDION} .handle").nth(1).focus()
    tab.page.keyboard.press("End")
    tab.until_status("Rectified from 0 % to 100 % of the noise levels, first frame kept, ω falls from")
    assert tab.page.evaluate(inside) == 25


def test_key_frames_are_drawn_and_given_to_the_job(open_tab):
    tab = open_tab()
    tab.open_fold("pictures_fold")
    pictures = [{"name": f"boat-{frame}.png", "mimeType": "image/png", "buffer": PNG} for frame in (8, 15)]
    tab.field("key_frames").set_input_files(pictures)
    tab.until_status("ω between 0.5 and 1")  # in the middle between two pictures it is free
    assert tab.page.evaluate("NoiseRectification.instance.weights[8]") == 0.5
    files = tab.arguments()[len(FIELDS)]
    assert [("boat-8" in file, "boat-15" in file) for file in files] == [(True, False), (False, True)]
    tab.screenshot("key-frames")
    tab.page.locator(
        "#script_noise_rectification_key_frames button[aria-label=Clear], "
        "#script_noise_rectification_key_frames [aria-label=Clear]"
    ).first.click()
    tab.until_status("ω falls from 0.929 at frame 1 to 0.5 at frame 7")
    assert not tab.arguments()[len(FIELDS)]


# One black pixel.
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==")
FOUND = "motion 0.375 found by SSIM in 5 short runs (tried 0: 0.970, 1: 0.710)"
INFOTEXT = (
    "a boat, Noise Rectification motion: 9, Noise Rectification found: nothing\n"
    "Steps: 25, Noise Rectification omega: motion, Noise Rectification motion: 0.375, "
    f'Noise Rectification target ssim: 0.8, Noise Rectification motion mask: 1 picture, Noise Rectification found: "{FOUND}"'
)


def find(tab):
    tab.open_fold("find_fold")
    tab.button("Find the motion and generate").click()


@pytest.mark.parametrize("answers_after", [0, 1.2])
def test_the_motion_that_a_job_finds_is_taken_over(open_tab, answers_after):
    """The page learns of a job's end by asking, and gets its answer before that, or after it."""
    tab = open_tab()
    tab.next_job(infotext=INFOTEXT, takes=0.3, answers_after=answers_after)
    find(tab)
    tab.until_status("Looking for the motion")
    tab.until("getComputedStyle(document.querySelector('#img2img_interrupt')).display === 'block'")
    tab.button("Find the motion and generate").click(force=True)  # one at a time
    tab.until_status("motion tuned for SSIM 0.8")
    tab.until_status(f"Found: {FOUND}")
    tab.screenshot("found")
    given = dict(zip(FIELDS, json.loads(tab.page.locator("#arguments textarea").input_value())))
    assert (given["enabled"], given["target_ssim"], given["omega"]) == (True, 0.8, "authors")
    assert (tab.value("omega"), tab.value("motion"), tab.value("target_ssim")) == ("motion", "0.375", "0")
    tab.until_status("37.5 % of the model's motion")
    taken = dict(zip(FIELDS, tab.arguments()))
    assert (taken["omega"], taken["motion"], taken["target_ssim"]) == ("motion", 0.375, 0)
    tab.field("tau_end").fill("0.5")
    tab.page.locator(f"{ACCORDION} .noise-rectification-status", has_text="Found").wait_for(state="hidden")


def test_a_wanted_ssim_of_ones_own_is_what_is_looked_for(open_tab):
    tab = open_tab()
    tab.open_fold("find_fold")
    tab.field("target_ssim").fill("0.7")
    tab.next_job(infotext=INFOTEXT)
    tab.button("Find the motion and generate").click()
    tab.until_status("Found: ")
    assert dict(zip(FIELDS, json.loads(tab.page.locator("#arguments textarea").input_value())))["target_ssim"] == 0.7


@pytest.mark.parametrize(
    "ends, reason",
    [
        (
            {"error": "SettingsError: target_ssim = 0.8 cannot be reached"},
            "SettingsError: target_ssim = 0.8 cannot be reached",
        ),
        ({"infotext": "a boat\nSteps: 25, Noise Rectification omega: authors"}, "the job ended without it"),
    ],
)
def test_a_job_that_finds_nothing_leaves_the_settings(open_tab, ends, reason):
    tab = open_tab()
    tab.next_job(infotext=INFOTEXT)  # an earlier job, whose infotext still stands there
    tab.arguments()
    tab.next_job(**ends)
    find(tab)
    tab.until_status(f"The motion was not found, and the settings are as they were: {reason}")
    tab.screenshot("not-found")
    assert tab.arguments() == [True, *DEFAULTS[1:]]


def test_an_answer_that_never_comes_is_no_answer(open_tab):
    tab = open_tab()
    tab.next_job(infotext=INFOTEXT)
    tab.arguments()
    tab.page.evaluate("NoiseRectification.Find.PATIENCE_MS = 300")
    tab.next_job(infotext=INFOTEXT, answers_after=3)
    find(tab)
    tab.until_status("and the settings are as they were: the job ended without it")
    tab.page.evaluate("document.querySelector('#img2img_generate').style.pointerEvents = 'none'")
    tab.page.evaluate("document.querySelector('#img2img_generate').click = () => {}")
    tab.button("Find the motion and generate").click()
    tab.until_status("and the settings are as they were: no job began")
    assert tab.value("omega") == "authors" and tab.value("target_ssim") == "0"


def test_nothing_is_looked_for_while_it_is_off_or_busy(open_tab):
    tab = open_tab()
    tab.page.locator(f"{ACCORDION}-visible-checkbox").click()
    find(tab)
    tab.until_status("The motion was not looked for: Noise Rectification is off in this tab.")
    tab.page.locator(f"{ACCORDION}-visible-checkbox").click()
    tab.next_job(takes=1)
    tab.page.locator("#img2img_generate").click()
    tab.until("getComputedStyle(document.querySelector('#img2img_interrupt')).display === 'block'")
    tab.button("Find the motion and generate").click()
    tab.until_status("The motion was not looked for: wait for the job that is running.")
    assert tab.value("target_ssim") == "0"


def test_without_animatediff(open_tab, server):
    other = Server(int(server.name[-1]), "--without-animatediff")
    try:
        tab = open_tab(address=other.address)
        assert any("AnimateDiff is not installed" in line for line in tab.status())
        tab.screenshot("without-animatediff")
    finally:
        other.stop()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1000])
def test_themes_and_widths(open_tab, width, theme):
    tab = open_tab(width=width, theme=theme)
    tab.page.wait_for_timeout(500)
    tab.screenshot(f"{theme}-{width}")
    assert tab.overflow() <= 1
    colour, ground = tab.colours()
    assert abs(colour - ground) > 0.5
    assert (ground > 0.5) == (theme == "light")


def test_the_formulas_are_those_of_the_library(open_tab):
    tab = open_tab()
    draw = random.Random(4)
    cases = []
    for omega, frames in itertools.product([*OMEGA_PRESETS, "list", "list", "list"], [1, 2, 3, 7, 8, 16, 17, 31, 128]):
        entries = [draw.choice([0, 1, draw.random()]) for _ in range(draw.choice([1, 2, frames, frames + 3]))]
        tau = sorted([draw.choice([0, round(draw.random(), 2)]), draw.choice([1, round(draw.random(), 2)])])
        cases.append((
            {"enabled": True, "tau_start": tau[0], "tau_end": tau[1], "omega": entries if omega == "list" else omega,
             "omega_start": draw.choice([0, 1, draw.random()]), "omega_end": draw.random(),
             "omega_resample": draw.random() < 0.7, "pin_first_frame": draw.random() < 0.5,
             "release": draw.choice([0, 0.2, draw.random()]), "loop": draw.random() < 0.5,
             "motion": draw.choice([0, 1, 0.29, draw.random()]), "target_ssim": draw.choice([0, 0, 0.8]),
             "tau_unit": draw.choice(list(TAU_UNITS)), "hold_colour": draw.random() < 0.5,
             "start_time": draw.choice([1, 1, 0.86]), "statistics": draw.choice(["none", "clips.safetensors"])},
            frames, draw.choice([1, 2, 5, 20, 25, 100, 150]),
            draw.sample(range(1, frames), draw.choice([0, min(frames - 1, 2)])),
        ))  # fmt: skip
    cases += [({**cases[0][0], "tau_start": start / 100, "tau_end": 1}, 16, 100, []) for start in range(101)]
    answers = tab.page.evaluate(
        """cases => cases.map(([settings, frames, steps, numbers]) => {
            const keyFrames = NoiseRectification.keyFrames(numbers.map((number) => `a 2-${number}.png`), frames);
            const answer = [NoiseRectification.rectifiedSteps(steps, settings.tau_start, settings.tau_end)];
            try {
                answer.push(NoiseRectification.omegaWeights(settings, frames, keyFrames));
                answer.push(NoiseRectification.summary(settings, answer[1], {count: steps, note: "a note"}));
                answer.push(NoiseRectification.summary(settings, answer[1], {count: null, note: ""}));
            } catch (error) { answer.push(error.message); }
            return answer;
        })""",
        cases,
    )
    refused = 0
    for (values, frames, steps, numbers), answer in zip(cases, answers):
        settings = Settings.from_mapping(values)
        expected = [rectified_steps(steps, settings.tau_start, settings.tau_end)]
        try:
            weights = omega_weights(settings, Keyframes((0, *numbers), frames, settings.loop))
            known = summary(settings, weights, expected[0], steps, "a note")
            expected += [weights, known, summary(settings, weights, None, None)]
        except SettingsError as error:
            expected.append(str(error))
            refused += 1
        assert answer == expected, values
    assert refused > 2


def test_the_progress_of_a_noise_level_is_that_of_the_library(open_tab):
    progress = ModelLevels(animatediffs_alphas()).progress
    sigmas = [0.001, 0.0292, 0.05, 0.1, 0.7, 1.0, 3.3, 11.0, 25.0, 25.4, 80.0]
    drawn = open_tab().page.evaluate("sigmas => sigmas.map((sigma) => NoiseRectification.progress(sigma))", sigmas)
    assert drawn == pytest.approx([progress(ve(sigma)) for sigma in sigmas], abs=1e-9)
    assert drawn[0] == 0.999 and drawn[-1] == 0


def test_the_names_of_key_frames(open_tab):
    names = ["boat-15.png", "boat 7.JPG", "15.webp", "boat.png", "2024-01-99.png", "no-ending-3", "0.png"]
    frames = open_tab().page.evaluate("names => NoiseRectification.keyFrames(names, 16)", names)
    assert frames == [0, 3, 7, 15]


def test_the_drawn_levels_are_those_of_k_diffusion(open_tab):
    torch = pytest.importorskip("torch")
    external = pytest.importorskip("k_diffusion.external")
    sampling = pytest.importorskip("k_diffusion.sampling")
    alphas = (1 - torch.linspace(0.00085, 0.012, 1000, dtype=torch.float64)).cumprod(0)  # AnimateDiff's
    model = external.DiscreteEpsDDPMDenoiser(None, alphas, quantize=False)
    ends = (model.sigmas[0].item(), model.sigmas[-1].item())
    tab = open_tab()
    for steps, (name, levels) in itertools.product(
        [1, 4, 20, 50],
        {
            "Uniform": model.get_sigmas,
            "Karras": lambda count: sampling.get_sigmas_karras(count, *ends),
            "Exponential": lambda count: sampling.get_sigmas_exponential(count, *ends),
        }.items(),
    ):
        for discards in (False, True):
            expected = levels(steps + 1)[[*range(steps), -1]] if discards else levels(steps)
            for start, strength in ((0, 1), (steps - int(steps * 0.5) - 1, 0.5)):
                job = {"schedule": name, "steps": steps, "strength": strength, "options": {}}
                job["sampler"] = {"discards": discards}
                drawn = tab.page.evaluate("job => NoiseRectification.noiseLevels(job)", job)
                assert drawn == pytest.approx(expected[start:-1].tolist(), rel=1e-4), (name, steps, discards, strength)


def test_a_redraw_at_128_frames_takes_less_than_8_ms(open_tab, capsys):
    tab = open_tab()
    tab.host("img2img-ad-video-length", 128)
    tab.field("omega").fill(", ".join(str(i % 2) for i in range(128)))  # each frame a point of its own
    tab.until("NoiseRectification.instance.omega.points.length > 100")
    medians = []
    for _ in range(5):  # on a machine that does other things too, the least of them is nearest to what a redraw takes
        times = tab.page.evaluate(
            """() => { const it = NoiseRectification.instance; it.drawMs = [];
                for (let i = 0; i < 20; i++) { it.omega.written = null; it.look(true); }
                return it.drawMs; }"""
        )
        medians.append(statistics.median(times))
    with capsys.disabled():
        print(f"\n{tab.name}: redraw at 128 frames: medians of 20 from {min(medians):.2f} to {max(medians):.2f} ms")
    tab.screenshot("128-frames")
    assert min(medians) < 8


def test_reload_ui_leaves_no_listeners(open_tab):
    tab = open_tab()
    once, *_, last = tab.listeners_and_figures(51)
    assert once == last
    listeners, figures, own = once
    assert figures == 4 and listeners == own  # of both tabs
    # Off the page, with nothing put up instead.
    tab.page.evaluate("NoiseRectification.instances.forEach((panel) => panel.dispose())")
    assert tab.page.locator(".noise-rectification-figure").count() == 0


def test_one_global_name(open_tab):
    tab = open_tab(unfold=False)
    assert tab.page.evaluate("Object.keys(window).filter((name) => /rectif/i.test(name))") == []
    assert tab.page.evaluate("typeof NoiseRectification") == "function"


def test_the_controls_are_built_in_less_than_30_ms(server):
    assert float(re.search(r"ui\(\) took (\d+\.\d) ms", server.log.read_text())[1]) < 30

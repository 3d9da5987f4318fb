"""The accordion in a real gradio page, as a person uses it: pointer, finger, keyboard, dark theme, narrow screen."""

import itertools
import random
import re
import statistics

import pytest
from browser_tab import ACCORDION, Server

from lib_noiserect.schedule import omega_weights, rectified_steps
from lib_noiserect.settings import FIELDS, OMEGA_PRESETS, PRESETS, Settings, SettingsError
from lib_noiserect.summary import summary

DEFAULTS = [False, 0, 0.6, "authors", 1, 0.5, False, False, 0, False]


def test_it_is_closed_and_off_at_first_and_asks_the_server_nothing(open_tab):
    tab = open_tab(unfold=False)
    assert not tab.page.locator(f"{ACCORDION} .point").first.is_visible()
    assert tab.arguments() == DEFAULTS
    requests = []
    tab.page.on("request", lambda request: requests.append(request.url))
    tab.page.locator(f"{ACCORDION} .label-wrap").click()
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
        tab.page.locator(".noise-rectification-preset-help", has_text=preset.help).wait_for()
        wanted = {**{field: row.default for field, row in FIELDS.items()}, **preset.values, "enabled": True}
        assert tab.arguments() == list(wanted.values())
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
    tab.until_status("No step of 25 rectified: a plain clip")


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
    for _ in range(24):
        keyboard.press("Tab")
        reached.append(
            tab.page.evaluate(
                "(document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent).trim()"
            )
        )
    for name in (
        "τ end",
        "τ start",
        "ω at frame 0; the last is 15",
        "authors",
        "Reset",
        "Keep first frame",
        "Resample ω",
    ):
        assert name in reached, (name, reached)
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
    assert tab.nameless_controls() == []
    for name, row in FIELDS.items():
        if name != "enabled":
            assert tab.field(name).get_attribute("title") == row.help


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
    tab.until_status("omega has 3 entries and the clip has 16 frames: give 16 entries, or set omega_resample")
    tab.screenshot("refused")
    tab.field("omega_resample").check()
    tab.until_status("ω falls from 0.933 at frame 1 to 0 at frame 15")
    tab.page.locator("#img2img-ad-enable input").uncheck()
    tab.until_status("AnimateDiff is off in this tab")


def test_a_pasted_infotext_is_drawn(open_tab):
    tab = open_tab()
    tab.page.locator("#paste").click()
    tab.until_status(
        "Steps 4–23 of 25 rectified, first frame not kept, since rectification begins with step 4, "
        "ω falls from 0.933 at frame 1 to 0 at frame 15"
    )


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
    for omega, frames in itertools.product([*OMEGA_PRESETS, "list"], [1, 2, 3, 7, 8, 16, 17, 31, 128]):
        entries = [draw.choice([0, 1, draw.random()]) for _ in range(draw.choice([1, 2, frames, frames + 3]))]
        tau = sorted([draw.choice([0, round(draw.random(), 2)]), draw.choice([1, round(draw.random(), 2)])])
        cases.append((
            {"enabled": True, "tau_start": tau[0], "tau_end": tau[1], "omega": entries if omega == "list" else omega,
             "omega_start": draw.choice([0, 1, draw.random()]), "omega_end": draw.random(),
             "omega_resample": draw.random() < 0.7, "pin_first_frame": draw.random() < 0.5,
             "release": draw.choice([0, 0.2, draw.random()]), "loop": draw.random() < 0.5},
            frames, draw.choice([1, 2, 5, 20, 25, 100, 150]),
        ))  # fmt: skip
    cases += [({**cases[0][0], "tau_start": start / 100, "tau_end": 1}, 16, 100) for start in range(101)]
    answers = tab.page.evaluate(
        """cases => cases.map(([settings, frames, steps]) => {
            const answer = [NoiseRectification.rectifiedSteps(steps, settings.tau_start, settings.tau_end)];
            try {
                answer.push(NoiseRectification.omegaWeights(settings, frames));
                answer.push(NoiseRectification.summary(settings, answer[1], {count: steps, note: "a note"}));
                answer.push(NoiseRectification.summary(settings, answer[1], {count: null, note: ""}));
            } catch (error) { answer.push(error.message); }
            return answer;
        })""",
        cases,
    )
    refused = 0
    for (values, frames, steps), answer in zip(cases, answers):
        settings = Settings.from_mapping(values)
        expected = [rectified_steps(steps, settings.tau_start, settings.tau_end)]
        try:
            weights = omega_weights(settings, frames)
            known = summary(settings, weights, expected[0], steps, "a note")
            expected += [weights, known, summary(settings, weights, None, None)]
        except SettingsError as error:
            expected.append(str(error))
            refused += 1
        assert answer == expected, values
    assert refused > 2


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
    assert figures == 2 and listeners == own
    # Off the page, with nothing put up instead.
    tab.page.evaluate("NoiseRectification.instance.dispose()")
    assert tab.page.locator(".noise-rectification-figure").count() == 0


def test_one_global_name(open_tab):
    tab = open_tab(unfold=False)
    assert tab.page.evaluate("Object.keys(window).filter((name) => /rectif/i.test(name))") == []
    assert tab.page.evaluate("typeof NoiseRectification") == "function"


def test_the_controls_are_built_in_less_than_30_ms(server):
    assert float(re.search(r"ui\(\) took (\d+\.\d) ms", server.log.read_text())[1]) < 30

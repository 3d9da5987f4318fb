"""The txt2img tab's accordion in a real gradio page: its sentence, its presets, and the button that animates a candidate."""

import json

import browser_tab
import pytest
from browser_tab import ON_GRADIO_3, ON_GRADIO_4

from lib_noiserect.core.settings import CREATION_PRESETS, FIELDS, Settings
from lib_noiserect.methods.i4vgen import calls_words, job_calls

PREFIX = "script_txt2img_noise_rectification_"
ACCORDION = f"#{PREFIX}accordion"
DEFAULTS = {**{name: row.default for name, row in FIELDS.items()}, "enabled": True}
CANDIDATE = (
    "a boat\nNegative prompt: blurry\n"
    "Steps: 25, Sampler: Euler, Seed: 4711, Size: 64x64, Model hash: 0123456789, Model: boats, "
    'AnimateDiff: "enable: True, video_length: 16", Noise Rectification enabled: True, Noise Rectification motion: 0.1, '
    "Noise Rectification create: True, Noise Rectification candidates: 5, Noise Rectification scorer: pick, "
    "Noise Rectification pick: 3, Noise Rectification regeneration: 0.5, Noise Rectification candidate: 3, "
    "Noise Rectification score: 0.0123, Version: v1.10.1"
)


class CreationTab:
    def __init__(self, tab):
        self.tab, self.page = tab, tab.page

    def arguments(self):
        self.page.locator("#txt2img_arguments textarea").fill("")
        self.page.locator("#txt2img_generate").click()
        return self.sent()

    def sent(self):
        """What the job gets that was sent, by whoever."""
        self.tab.until("document.querySelector('#txt2img_arguments textarea').value.startsWith('[')")
        self.tab.until("getComputedStyle(document.querySelector('#txt2img_interrupt')).display === 'none'")
        return dict(zip(FIELDS, json.loads(self.page.locator("#txt2img_arguments textarea").input_value())))

    def field(self, name):
        return self.page.locator(f"#{PREFIX}{name} :is(input, textarea)").first

    def pick(self, name, choice):
        self.page.locator(f"#{PREFIX}{name}").get_by_text(choice, exact=True).click()

    def until_status(self, part):
        self.tab.until_status(part, ACCORDION)

    def animate(self):
        self.page.locator(f"#{PREFIX}animate").click()


@pytest.fixture
def creation(open_tab):
    tab = open_tab(unfold=False)
    tab.page.locator(f"{ACCORDION} > .label-wrap").click()
    tab.until(f"document.querySelector('{ACCORDION}-visible-checkbox').checked")
    return CreationTab(tab)


def test_it_is_off_at_first_on_when_opened_and_variants_fill_the_controls(open_tab):
    tab = open_tab(unfold=False)
    creation = CreationTab(tab)
    assert creation.arguments() == DEFAULTS
    tab.page.locator(f"{ACCORDION} > .label-wrap").click()
    creation.until_status("About 70 UNet calls on 16 frames: candidates 25, choice 4, animation 16, regeneration 25")
    assert creation.arguments() == {**DEFAULTS, "create": True}
    tab.screenshot("create", ACCORDION)
    creation.field("animation_share").fill("0.2")
    for name, preset in CREATION_PRESETS.items():
        creation.tab.choose(f"{PREFIX}variant", name)
        creation.page.locator(f"{ACCORDION} .noise-rectification-preset-help", has_text=preset.help).wait_for()
        assert creation.arguments() == {**DEFAULTS, "create": True, **preset.values}
    creation.until_status("The video is regenerated without rectification")


@ON_GRADIO_3
def test_the_sentence_says_what_a_job_will_cost(creation):
    creation.pick("scorer", "pick")
    creation.until_status("About 25 UNet calls on 16 frames: candidates 25; then select one of them")
    creation.pick("scorer", "model")
    changed = {}
    for changes, frames in (({"candidates": "3"}, 16), ({"animation_share": "0"}, 16), ({"regeneration": "0.5"}, 24)):
        changed |= changes
        for name, value in changes.items():
            creation.field(name).fill(value)
            creation.field(name).press("Tab")
        creation.tab.host("txt2img-ad-video-length", frames)
        settings = Settings.from_mapping({"enabled": True, "create": True, **changed})
        # DPM++ 2M takes half of the steps and one at half of the noise.
        again = 13 if settings.regeneration == 0.5 else 25
        calls = job_calls(settings, frames, 25, has_picture=False, regenerated=again, calls_a_step=1)
        creation.until_status(f"About {calls_words(calls, frames)}")
    # In img2img it is folded away.
    tab = creation.tab
    tab.page.locator(f"{browser_tab.ACCORDION} > .label-wrap").click()
    tab.open_fold("advanced_fold")
    tab.field("create").check()
    tab.until_status("About 41 UNet calls on 16 frames: animation 16, regeneration 25 (a plain video has 25). Steps 1–15")
    assert dict(zip(FIELDS, tab.arguments()))["create"] is True


def shown(creation, infotext):
    """With this infotext below the gallery; and no job since."""
    creation.page.locator("#txt2img_next_job textarea").fill(json.dumps({"infotext": infotext}))
    creation.arguments()
    creation.page.locator("#txt2img_arguments textarea").fill("")


def nothing_was_sent(creation):
    creation.page.wait_for_timeout(400)
    assert creation.page.locator("#txt2img_arguments textarea").input_value() == ""


@pytest.mark.parametrize(
    "server, infotext",
    [(3, CANDIDATE), (4, CANDIDATE.replace(", Noise Rectification scorer: pick, Noise Rectification pick: 3", ""))],
    ids=["gradio3-candidate", "gradio4-video"],
    indirect=["server"],
    scope="session",
)
def test_the_button_animates_the_selected_candidate(creation, infotext):
    """The still with its own prompt and seed, and moved as the tab says; a clip's infotext names its candidate too."""
    page, prompt = creation.page, creation.page.locator("#txt2img_prompt textarea")
    prompt.fill("something else")
    creation.field("regeneration").fill("0.9")
    shown(creation, infotext)
    page.evaluate("window.opts = {disable_weights_auto_swap: true, sd_model_checkpoint: 'boats.ckpt [0123456789]'}")
    creation.animate()
    pick = {"create": True, "candidates": 5, "scorer": "pick", "pick": 3}
    assert creation.sent() == {**DEFAULTS, **pick, "regeneration": 0.9}
    assert prompt.input_value() == "a boat\nNegative prompt: blurry"
    assert page.locator("#txt2img_seed input").input_value() == "4711"
    assert page.locator("#txt2img_batch_count input[type=number]").input_value() == "1"
    creation.until_status("Animating candidate 3 of seed 4711")
    creation.until_status("candidates 1.56, animation 16")
    # A host that does not read the infotext is told of.
    prompt.fill("something else")
    shown(creation, CANDIDATE)
    page.evaluate("document.querySelector('#tab_txt2img #paste').remove(); NoiseRectificationJob.PATIENCE_MS = 500")
    creation.animate()
    creation.until_status("the tab did not read the candidate's infotext")
    nothing_was_sent(creation)
    assert prompt.input_value() == "something else"


@ON_GRADIO_4
def test_no_candidate_and_one_of_another_checkpoint_are_not_animated(creation):
    """The host reads a checkpoint from an infotext only where it is allowed to."""
    for infotext in ("a boat\nSteps: 25, Seed: 1", "a boat"):
        shown(creation, infotext)
        creation.animate()
        creation.until_status("No animation: generate candidates first")
        nothing_was_sent(creation)
    prompt = creation.page.locator("#txt2img_prompt textarea")
    prompt.fill("something else")
    shown(creation, CANDIDATE)
    creation.page.evaluate("window.opts = {disable_weights_auto_swap: true, sd_model_checkpoint: 'other.ckpt [abc]'}")
    creation.animate()
    creation.until_status("this candidate belongs to the checkpoint boats [0123456789]: load that one first")
    nothing_was_sent(creation)
    assert prompt.input_value() == "something else"
    creation.page.evaluate("window.opts.disable_weights_auto_swap = false")
    creation.animate()
    assert creation.sent()["pick"] == 3

"""Clips created through a picture, in the real page: candidates, the button that animates one, and the fold of img2img."""

import io
import re

import numpy as np
import pytest
from client import FRAMES, SIZE
from PIL import Image
from webui_page import PICTURES, WebUITab

STEPS = 4
CALLS = {"candidates": STEPS, "choice": 4, "animation": int(STEPS * 0.6) + 1, "regeneration": STEPS}
PROMPT = "a red square and a blue ball"
CREATE = "#script_txt2img_noise_rectification_"


class CreationTab(WebUITab):
    """The txt2img tab."""

    where = "txt2img"

    def set(self, name, value):
        field = self.page.locator(f"{CREATE}{name} :is(input, textarea)").first
        field.fill(str(value))
        field.press("Tab")

    def status_in_txt2img(self, part):
        self.page.locator(f"{CREATE}accordion .noise-rectification-status", has_text=part).wait_for(timeout=20_000)

    def pictures(self, addresses):
        return [np.asarray(Image.open(io.BytesIO(self.download(one))).convert("RGB")).astype(int) for one in addresses]

    def select(self, index):
        """Click a picture of the gallery. Returns its infotext."""
        self.page.locator("#txt2img_gallery .thumbnail-item").nth(index).click()
        self.page.wait_for_timeout(1500)
        return self.page.locator("#html_info_txt2img").first.inner_text()

    def picture_of_page(self, name):
        self.page.screenshot(path=PICTURES / f"a1111-{name}.png", full_page=True)


@pytest.fixture(scope="module")
def tab(webui, chromium):
    context, complaints = chromium.new_context(viewport={"width": 1400, "height": 1400}), []
    tab = CreationTab.open(context, webui.url, complaints)
    tab.complaints = complaints
    tab.page.evaluate("switch_to_txt2img()")
    tab.page.locator(f"{CREATE}accordion > .label-wrap").click()
    tab.page.locator(f"{CREATE}rectification_fold > .label-wrap").click()
    tab.page.locator(f"{CREATE}curves_fold > .label-wrap").click()
    tab.small_job()
    tab.job(steps=STEPS, sampler="Euler")
    tab.set("tau_end", 1)
    yield tab
    context.close()
    assert complaints == []


@pytest.fixture(scope="module")
def created(tab):
    calls = ", ".join(f"{stage} {count}" for stage, count in CALLS.items())
    tab.status_in_txt2img(f"About {sum(CALLS.values())} UNet calls on {FRAMES} frames: {calls}")
    (grid, *addresses), text = tab.generate()
    tab.picture_of_page("created")
    assert "grid" in grid
    return addresses, text, calls


def test_the_clip_and_the_candidates_with_their_scores(tab, created):
    addresses, text, calls = created
    assert len(addresses) == 2 * FRAMES and f'calls: "{calls}"' in text
    pictures = tab.pictures(addresses)
    taken = int(told(text, "candidate"))
    assert np.abs(pictures[0] - pictures[FRAMES + taken]).max() <= 1, "the clip begins with the candidate"
    comments = tab.page.locator("#html_log_txt2img").first.inner_text()
    assert f"candidate {taken} chosen, by the scores 0: " in comments
    for number in range(FRAMES):
        infotext = tab.select(1 + FRAMES + number)
        assert told(infotext, "candidate") == str(number) and float(told(infotext, "score")) is not None


def test_the_button_animates_the_selected_candidate(tab, created):
    """Whatever was written into the tab since: the same still, by its own prompt, seed and size, moved as the tab says."""
    still = (int(told(created[1], "candidate")) + 1) % FRAMES
    wanted = tab.pictures(created[0])[FRAMES + still]
    infotext = tab.select(1 + FRAMES + still)
    assert told(infotext, "candidate") == str(still)
    tab.page.locator("#txt2img_prompt textarea").fill("a green tree")
    tab.page.locator("#txt2img_neg_prompt textarea").fill("ugly")
    tab.job(width=128, seed=7, steps=9, cfg_scale=3, sampler="Euler a")
    tab.complaints.clear()  # Forge's page says something of its own when a sampler is chosen
    tab.set("animation_strength", 0.5)
    (_, *addresses), text = tab.generate(f"{CREATE}animate")
    tab.picture_of_page("animated")
    tab.status_in_txt2img(f"Animating candidate {still} of seed 1")
    *clip, again = tab.pictures(addresses)
    assert len(clip) == FRAMES and again.shape == (SIZE, SIZE, 3)
    assert np.abs(again - wanted).max() <= 1 and np.abs(clip[0] - wanted).max() <= 1
    assert np.abs(clip[-1] - clip[0]).mean() > 1, "it moves"
    assert text.startswith(PROMPT) and "ugly" not in text
    assert "Steps: 4, Sampler: Euler, " in text and "CFG scale: 7, Seed: 1, Size: 64x64" in text
    assert (told(text, "scorer"), told(text, "pick"), told(text, "candidate")) == ("pick", str(still), str(still))
    assert told(text, "animation strength") == "0.5" and told(text, "tau end") == "1"
    assert tab.page.locator("#txt2img_prompt textarea").input_value() == PROMPT


def test_candidates_alone_and_then_the_film_of_one(tab, created):
    """As they come at first: AnimateDiff saves a film, which the gallery shows."""
    tab.page.locator(f"{CREATE}scorer").get_by_text("pick", exact=True).click()
    tab.set("pick", -1)
    tab.formats("GIF", "PNG")
    tab.status_in_txt2img(f"About {STEPS} UNet calls on {FRAMES} frames: candidates {STEPS}; then select one of them")
    candidates, text = tab.generate()
    assert len(candidates) == FRAMES and told(text, "candidate") == "0"
    tab.picture_of_page("candidates")
    wanted = tab.pictures(candidates)[2]
    assert told(tab.select(2), "candidate") == "2"
    (film, again), text = tab.generate(f"{CREATE}animate")
    tab.picture_of_page("film")
    assert told(text, "candidate") == "2" and ".gif" in film
    assert np.abs(tab.pictures([again])[0] - wanted).max() <= 1
    with Image.open(io.BytesIO(tab.download(film))) as clip:
        assert clip.n_frames == FRAMES


def test_what_is_no_candidate_is_not_animated(tab, created):
    tab.page.evaluate("document.querySelector('#html_info_txt2img .prose').textContent = 'a boat'")
    tab.page.locator(f"{CREATE}animate").click()
    tab.status_in_txt2img("No animation: generate candidates first")
    tab.page.wait_for_timeout(1000)
    assert not tab.page.locator("#txt2img_interrupt").is_visible()


def test_ones_own_picture_in_img2img(webui, chromium):
    context, complaints = chromium.new_context(viewport={"width": 1400, "height": 1400}), []
    tab = WebUITab.open(context, webui.url, complaints)
    tab.show_img2img()
    tab.unfold_all()
    tab.small_job()
    tab.job(steps=STEPS, sampler="Euler")
    tab.settings(tau_end="1", create=True)
    tab.until_status("animation 3, regeneration 4")
    addresses, text = tab.generate()
    tab.page.locator("#tab_img2img").screenshot(path=PICTURES / "a1111-own-picture.png")
    context.close()
    assert complaints == []
    assert told(text, "create") == "True" and 'calls: "animation 3, regeneration 4"' in text
    assert len(addresses) >= FRAMES and "Denoising strength: 1" in text


def told(text, key):
    found = re.search(rf'Noise Rectification {key}: ("[^"]*"|[^,\n]+)', text)
    return found and found[1].strip('"')

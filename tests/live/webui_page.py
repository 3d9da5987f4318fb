"""A tab of a running web UI in a browser, img2img unless something else is said."""

import io
import sys
from pathlib import Path

from client import FRAMES, SIZE, draw_picture

sys.path.append(str(Path(__file__).resolve().parents[1] / "browser"))
from browser_tab import ACCORDION, FOLDS, PICTURES, Tab, chromium_browser, listened_page

from lib_noiserect.core.settings import AUTHORS_PRESET, FIELDS

__all__ = ["ACCORDION", "FIELD", "PATIENCE", "PICTURES", "WebUITab", "chromium_browser"]

PATIENCE = 180_000  # ms; a job of a few small frames on a slow machine
FIELD = "#script_noise_rectification_"

# What the host calls them; frames and context of AnimateDiff, and its switch.
CONTROLS = {
    "steps": "{}_steps",
    "denoising_strength": "{}_denoising_strength",
    "width": "{}_width",
    "height": "{}_height",
    "seed": "{}_seed",
    "cfg_scale": "{}_cfg_scale",
    "frames": "{}-ad-video-length",
    "context": "{}-ad-batch-size",
    "fps": "{}-ad-fps",
}


class WebUITab(Tab):
    """The tab of `browser_tab`, in the real page, with what is around it."""

    where = "img2img"

    @classmethod
    def open(cls, context, url, complaints, theme="light"):
        PICTURES.mkdir(exist_ok=True)
        # As a browser whose user chose it last: a request starts with the same settings.
        context.add_init_script(f"""localStorage.setItem("noise-rectification-preset", "{AUTHORS_PRESET}");""")
        page = listened_page(context, complaints)
        page.goto(f"{url}/?__theme={theme}", wait_until="domcontentloaded", timeout=PATIENCE)
        page.wait_for_function(
            "typeof NoiseRectification === 'function' && NoiseRectification.instance", timeout=PATIENCE
        )
        tab = cls(page, "a1111")
        page.wait_for_selector(f"{ACCORDION}-visible-checkbox", state="attached", timeout=PATIENCE)
        return tab

    def show_img2img(self):
        self.page.evaluate("switch_to_img2img()")
        self.page.locator(ACCORDION).wait_for()

    def unfold(self):
        self.page.locator(f"{ACCORDION} > .label-wrap").click()
        self.until("NoiseRectification.instance.answer !== null")

    def unfold_all(self):
        self.unfold()
        for fold in FOLDS:
            self.open_fold(fold)
        if not self.points().first.is_visible():
            self.open_fold("curves_fold")

    def animatediff(self, enabled):
        """Its accordion is closed, and its controls are in the page all the same."""
        self.page.evaluate(
            """([where, enabled]) => {
                const box = document.querySelector(`#${where}-ad-enable input`);
                if (box.checked !== enabled) box.click();
            }""",
            [self.where, enabled],
        )

    def job(self, **values):
        """Set the host's and AnimateDiff's controls."""
        for name, value in values.items():
            if name in ("sampler", "scheduler"):
                self.choose(f"{self.where}_{'sampling' if name == 'sampler' else name}", value)
            else:
                self.page.evaluate(
                    """([id, value]) => {
                        const inputs = [...document.querySelectorAll(`#${id} input`)];
                        const input = inputs.find((one) => one.type === "number") ?? inputs[0];
                        input.value = value;
                        updateInput(input);
                    }""",
                    [CONTROLS[name].format(self.where), str(value)],
                )

    def settings(self, **values):
        """Set our controls; the folds are to be open. Motion comes first, since moving it changes ω."""
        for name, value in sorted(values.items(), key=lambda item: item[0] != "motion"):
            if isinstance(value, bool):
                self.field(name).set_checked(value)
            elif FIELDS[name].choices:
                self.page.locator(f"{FIELD}{name}").get_by_text(value, exact=True).click()
            else:
                self.field(name).fill(str(value))
                self.field(name).press("Tab")

    def shown_settings(self):
        """Every setting as the page shows it."""
        return self.page.evaluate("NoiseRectification.instance.read().fields")

    def upload_picture(self):
        png = io.BytesIO()
        draw_picture().save(png, "PNG")
        if not self.page.locator("#img2img_image img").count():
            upload = {"name": "picture.png", "mimeType": "image/png", "buffer": png.getvalue()}
            self.page.set_input_files("#img2img_image input[type=file]", upload)
            self.page.locator("#img2img_image img").first.wait_for()

    def small_job(self, frames=FRAMES):
        """The picture and the job of `WebUI.post`, with AnimateDiff's controls as there."""
        if self.where == "img2img":
            self.upload_picture()
        self.page.locator(f"#{self.where}_prompt textarea").fill("a red square and a blue ball")
        self.animatediff(True)
        # The result is then the frames, which hold the infotext, and not a film of them.
        self.formats("PNG")
        self.job(width=SIZE, height=SIZE, seed=1, cfg_scale=7, frames=frames, context=frames, fps=4)

    def formats(self, *names):
        """In which AnimateDiff saves the clip."""
        self.page.evaluate(
            """([where, names]) => {
                for (const label of document.querySelectorAll(`#${where}-ad-save-format label`)) {
                    const box = label.querySelector("input");
                    if (box.checked !== names.includes(label.textContent.trim())) box.click();
                }
            }""",
            [self.where, names],
        )

    def generate(self, button=None):
        """Run the job, by the tab's button or another. Returns the addresses of its pictures and what stands under them."""
        self.begin(button)
        return self.end()

    def begin(self, button=None):
        self.page.locator(button or f"#{self.where}_generate").click()
        # The host shows a button to interrupt the job while it waits and runs.
        self.page.locator(f"#{self.where}_interrupt").wait_for(state="visible")

    def end(self):
        self.page.locator(f"#{self.where}_interrupt").wait_for(state="hidden", timeout=PATIENCE)
        log = self.page.locator(f"#html_log_{self.where}").first.inner_text()
        assert "rror" not in log, log
        addresses = self.page.locator(f"#{self.where}_gallery .thumbnail-item img").evaluate_all(
            "all => all.map((one) => one.src)"
        )
        return list(dict.fromkeys(addresses)), self.page.locator(f"#html_info_{self.where}").first.inner_text()

    def choose_script(self, title):
        self.page.locator("#tab_img2img #script_list input").first.click()
        self.page.locator(f'li[aria-label="{title}"]').first.click()

    def axis(self, name, label, values):
        """An axis of the X/Y/Z plot."""
        box = f"script_img2img_xyz_plot_{name}"
        self.page.locator(f"#{box}_type input").first.fill(label)
        self.choose(f"{box}_type", label)
        text = self.page.locator(f"#{box}_values textarea, #{box}_values input").first
        # The server answers to the choice of a type with the values that were there, and may do so late.
        for _ in range(20):
            text.fill(values)
            self.page.wait_for_timeout(1500)
            if text.input_value() == values:
                return
        raise AssertionError(f"the values of the axis {name} do not stay")

    def download(self, address):
        return self.page.request.get(address).body()

    def paste(self, infotext):
        """Put an infotext into the prompt and press the button that reads it."""
        self.page.locator("#img2img_prompt textarea").fill(infotext)
        self.page.locator("#img2img_tools #paste, #img2img_toprow #paste, #tab_img2img #paste").first.click()

/** The button Set up AnimateDiff: shown where the tab's AnimateDiff is off, or the denoising strength leaves no room for motion. */
class NoiseRectificationSetUp {
    /** Below this, the image's own layout stays, and little moves. */
    static LEAST_STRENGTH = 0.8;

    constructor(panel, button) {
        this.panel = panel;
        this.button = button;
        this.job = new NoiseRectificationJob(panel, button, () => this.setUp());
        panel.listen(button, "blur", () => this.show());
    }

    /** Show the button where it is needed; hidden while it has the focus, it would lose that to the page's start. */
    show() {
        const {animatediff, strength, fields} = this.panel.state;
        const isWeak = !fields.create && strength < NoiseRectificationSetUp.LEAST_STRENGTH;
        const isNeeded = animatediff !== null && (!animatediff || isWeak);
        this.button.classList.toggle("noise-rectification-hidden", !isNeeded && document.activeElement !== this.button);
    }

    async setUp() {
        const {panel} = this;
        const {tab} = panel.config;
        const box = panel.element(`${tab}-ad-enable`);
        if (!box) return;
        if (!box.checked) box.click();
        const done = [["AnimateDiff is on"]];
        const module = await this.motionModule(panel.app.querySelector(`#${tab}-ad-motion-module`));
        if (module) done.push(["motion module {0}", module]);
        if (tab === "img2img") {
            const strength = panel.element("img2img_denoising_strength");
            panel.writeInto(strength, "1");
            strength?.dispatchEvent(new Event("change", {bubbles: true}));
            done.push(["Denoising strength 1"]);
        }
        const text = done.map((part) => panel.say(...part)).join(", ");
        if (module === "") {
            this.job.tell("warning", "{0}. Choose a motion module there: AnimateDiff has none, or several.", text);
        } else {
            this.job.tell("on", "{0}.", text);
        }
    }

    /**
     * Choose the motion module if there is just one.
     * @param {HTMLElement|null} dropdown
     * @returns {Promise<string|null>} the chosen one, empty if the user has to choose; null without such a control
     */
    async motionModule(dropdown) {
        const input = dropdown?.querySelector("input");
        if (!input) return null;
        if (input.value) return input.value;
        // The page has the choices only while the list is open; in a closed accordion it cannot have the focus.
        input.dispatchEvent(new FocusEvent("focus"));
        const choices = dropdown.getElementsByTagName("li");
        await this.job.until(() => choices.length, 2000);
        if (choices.length === 1) {
            choices[0].dispatchEvent(new MouseEvent("mousedown", {bubbles: true, cancelable: true}));
            await this.job.until(() => input.value, 2000);
        }
        input.dispatchEvent(new FocusEvent("blur"));
        return input.value;
    }
}

/** The button Set up AnimateDiff: shown where the tab's AnimateDiff is off, or the denoising strength leaves no room for motion. */
class NoiseRectificationSetUp {
    /** Below this, the image's own layout stays, and little moves. */
    static LEAST_STRENGTH = 0.8;

    constructor(panel, button) {
        this.panel = panel;
        this.button = button;
        this.line = null;
        panel.listen(button, "click", () => this.setUp());
        panel.listen(button, "blur", () => panel.look(true));
        panel.listen(panel.app, "input", (event) => {
            if (event.isTrusted) this.line = null;
        });
    }

    lines() {
        const {animatediff, strength, fields} = this.panel.state;
        const isWeak = !fields.create && strength < NoiseRectificationSetUp.LEAST_STRENGTH;
        // Hidden while it has the focus, the button would lose it to the page's start.
        const isNeeded = animatediff !== null && (!animatediff || isWeak);
        this.button.classList.toggle("noise-rectification-hidden", !isNeeded && document.activeElement !== this.button);
        return this.line ? [this.line] : [];
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
        this.line = module === "" ? ["warning", panel.say("{0}. Choose a motion module there: AnimateDiff has none, or several.", this.joined(done))]
            : ["on", panel.say("{0}.", this.joined(done))];
        panel.look(true);
    }

    joined(parts) {
        return parts.map((part) => this.panel.say(...part)).join(", ");
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
        const job = new NoiseRectificationJob(this.panel);
        // The page has the choices only while the list is open; in a closed accordion it cannot have the focus.
        input.dispatchEvent(new FocusEvent("focus"));
        const choices = dropdown.getElementsByTagName("li");
        await job.until(() => choices.length, 2000);
        if (choices.length === 1) {
            choices[0].dispatchEvent(new MouseEvent("mousedown", {bubbles: true, cancelable: true}));
            await job.until(() => input.value, 2000);
        }
        input.dispatchEvent(new FocusEvent("blur"));
        return input.value;
    }
}

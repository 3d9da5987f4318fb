/** A button that has its tab run a job: the state of the page around it. */
class NoiseRectificationJob {
    static LOOK_EVERY_MS = 100;

    /** How long a job may take to begin, and its answer to arrive after its end. */
    static PATIENCE_MS = 10000;

    /**
     * @param {NoiseRectification} panel
     * @param {HTMLElement} button
     * @param {() => Promise<void>} act on a click; one at a time
     */
    constructor(panel, button, act) {
        this.panel = panel;
        this.tab = panel.config.tab;
        this.line = null;
        this.isBusy = false;
        panel.listen(button, "click", async () => {
            if (this.isBusy) return;
            this.isBusy = true;
            button.setAttribute("aria-disabled", "true");
            try {
                await act();
            } finally {
                this.isBusy = false;
                button.removeAttribute("aria-disabled");
            }
        });
        // The line belongs to the settings at that time.
        panel.listen(panel.app, "input", (event) => {
            if (event.isTrusted && !this.isBusy) this.line = null;
        });
    }

    /** @returns {[string, string][]} kind and text of the line for the status */
    lines() {
        return this.line ? [this.line] : [];
    }

    tell(kind, text, ...values) {
        this.line = [kind, this.panel.say(text, ...values)];
        this.panel.look(true);
    }

    /** Press the tab's button Generate. */
    async generate() {
        await this.pause(); // the page's framework takes a moment to notice what was written
        this.panel.app.querySelector(`#${this.tab}_generate`).click();
    }

    /** Whether the tab runs a job: the host then shows one of these over its button Generate. */
    runs() {
        return ["interrupt", "interrupting", "skip"].some((name) => {
            const button = this.panel.app.querySelector(`#${this.tab}_${name}`);
            return button && getComputedStyle(button).display !== "none";
        });
    }

    /** The texts below the gallery: the infotext, the log with the time that the job took, and its error. */
    answer() {
        // The text alone: the page's framework counts seconds beside it.
        const place = (name) => this.panel.app.querySelector(`#html_${name}_${this.tab} .prose`);
        return {
            info: place("info")?.textContent ?? "",
            log: place("log")?.textContent ?? "",
            error: place("log")?.querySelector(".error")?.textContent,
        };
    }

    /** The value of one of our entries in an infotext, whose last line has them; null if there is none. */
    entry(infotext, name) {
        const parameters = infotext.trim().split("\n").pop();
        const value = new RegExp(`Noise Rectification ${name}: ("(?:\\\\.|[^"\\\\])*"|[^,]*)`).exec(parameters)?.[1].trim();
        return value?.startsWith('"') ? JSON.parse(value) : value || null;
    }

    pause() {
        return new Promise((resolve) => setTimeout(resolve, NoiseRectificationJob.LOOK_EVERY_MS));
    }

    /** Wait; whether the condition has come true in time. */
    async until(condition, milliseconds = NoiseRectificationJob.PATIENCE_MS) {
        const end = performance.now() + milliseconds;
        while (!condition()) {
            if (performance.now() >= end || this.panel.abort.signal.aborted) return false;
            await this.pause();
        }
        return true;
    }
}

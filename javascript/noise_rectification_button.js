/** A button that has its tab make a job: what such a one needs to know of the page. */
NoiseRectification.JobButton = class {
    static LOOK_EVERY_MS = 100;

    /** How long a job may take to begin, and its answer to come after it has ended. */
    static PATIENCE_MS = 10000;

    /**
     * @param {NoiseRectification} panel
     * @param {string} id the button's
     */
    constructor(panel, id) {
        this.panel = panel;
        this.tab = panel.config.tab;
        this.line = null;
        this.button = panel.app.querySelector(`#${id}`);
    }

    /** @returns {[string, string][]} kind and text of what is to be said */
    lines() {
        return this.line ? [this.line] : [];
    }

    tell(kind, text, ...values) {
        this.line = [kind, this.panel.say(text, ...values)];
        this.panel.look(true);
    }

    /** Press the tab's button Generate. */
    async generate() {
        // The page's framework takes a moment to notice what was written.
        await this.until(() => false, NoiseRectification.JobButton.LOOK_EVERY_MS);
        this.panel.app.querySelector(`#${this.tab}_generate`).click();
    }

    /** Whether the tab makes something: the host then shows one of these over its button Generate. */
    jobRuns() {
        return ["interrupt", "interrupting", "skip"].some((name) => {
            const button = this.panel.app.querySelector(`#${this.tab}_${name}`);
            return button && getComputedStyle(button).display !== "none";
        });
    }

    /** What stands below the gallery: the infotext, how long it took, and why it failed. */
    answer() {
        // The text alone: the page's framework counts seconds beside it.
        const place = (name) => this.panel.app.querySelector(`#html_${name}_${this.tab} .prose`);
        return {
            info: place("info")?.textContent ?? "",
            log: place("log")?.textContent ?? "",
            error: place("log")?.querySelector(".error")?.textContent,
        };
    }

    /** The value of one of our settings in an infotext, whose last line has them; null if there is none. */
    lineOf(infotext, name) {
        const parameters = infotext.trim().split("\n").pop();
        const value = new RegExp(`Noise Rectification ${name}: ("(?:\\\\.|[^"\\\\])*"|[^,]*)`).exec(parameters)?.[1].trim();
        return value?.startsWith('"') ? JSON.parse(value) : value || null;
    }

    /** Wait; whether the condition has come true in time. */
    async until(condition, milliseconds = this.constructor.PATIENCE_MS) {
        const end = performance.now() + milliseconds;
        while (!condition()) {
            if (performance.now() >= end || this.panel.abort.signal.aborted) return false;
            await new Promise((resolve) => setTimeout(resolve, NoiseRectification.JobButton.LOOK_EVERY_MS));
        }
        return true;
    }
};

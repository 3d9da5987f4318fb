/**
 * The button that looks for the motion: it has the tab make a job that looks, and takes what the job found into the controls.
 *
 * What a job did comes to the page as the infotext below the gallery, or as an error there. That it has ended shows in
 * the host's buttons, often a little earlier.
 */
NoiseRectification.Find = class {
    /** What is wanted if the control says that nothing is. */
    static TARGET = "0.8";

    static LOOK_EVERY_MS = 100;

    /** How long a job may take to begin, and its answer to come after it has ended. */
    static PATIENCE_MS = 10000;

    /** @param {NoiseRectification} panel */
    constructor(panel) {
        this.panel = panel;
        this.line = null;
        this.isLooking = false;
        this.button = panel.app.querySelector(`#${panel.config.find}`);
        panel.listen(this.button, "click", () => this.look());
        // What was found, or why not, is of the settings as they were.
        panel.listen(panel.accordion, "input", (event) => {
            if (event.isTrusted && !this.isLooking) this.line = null;
        });
    }

    /** @returns {[string, string][]} kind and text of what is to be said */
    lines() {
        return this.line ? [this.line] : [];
    }

    tell(kind, text, ...values) {
        this.line = [kind, this.panel.say(text, ...values)];
        this.panel.look(true);
    }

    async look() {
        if (this.isLooking) return;
        const {fields} = this.panel.read();
        if (!fields.enabled) {
            this.tell("warning", "The motion was not looked for: Noise Rectification is off in this tab.");
        } else if (this.jobRuns()) {
            this.tell("warning", "The motion was not looked for: wait for the job that is running.");
        } else {
            this.isLooking = true;
            this.button.setAttribute("aria-disabled", "true");
            try {
                await this.lookByJob(fields.target_ssim);
            } finally {
                this.isLooking = false;
                this.button.removeAttribute("aria-disabled");
            }
        }
    }

    async lookByJob(target) {
        const {panel} = this;
        if (!Number(target)) panel.write("target_ssim", NoiseRectification.Find.TARGET);
        this.tell("on", "Looking for the motion: a few short runs, and then the clip.");
        const before = this.answer();
        // The page's framework takes a moment to notice what was written.
        await this.until(() => false, NoiseRectification.Find.LOOK_EVERY_MS);
        panel.app.querySelector("#img2img_generate").click();
        const began = await this.until(() => this.jobRuns());
        if (began) await this.until(() => !this.jobRuns(), Infinity);
        const answered = began && await this.until(() => this.answer().log !== before.log);
        if (panel.abort.signal.aborted) return;
        const {info, log, error} = this.answer();
        // An infotext of an earlier job says nothing about this one.
        const isNew = answered || info !== before.info || log !== before.log;
        const found = isNew ? this.lineOf(info, "found") : null;
        if (!found) {
            panel.write("target_ssim", target);
            const reason = !began ? panel.say("no job began") : isNew && error || panel.say("the job ended without it");
            this.tell("warning", "The motion was not found, and the settings are as they were: {0}", reason);
            return;
        }
        panel.write("omega", this.lineOf(info, "omega"));
        panel.write("motion", this.lineOf(info, "motion"));
        panel.write("target_ssim", "0");
        this.tell("on", "Found: {0}", found);
    }

    /** Whether the tab makes something: the host then shows one of these over its button Generate. */
    jobRuns() {
        return ["interrupt", "interrupting", "skip"].some((name) => {
            const button = this.panel.app.querySelector(`#img2img_${name}`);
            return button && getComputedStyle(button).display !== "none";
        });
    }

    /** What stands below the gallery: the infotext, how long it took, and why it failed. */
    answer() {
        // The text alone: the page's framework counts seconds beside it.
        const place = (name) => this.panel.app.querySelector(`#html_${name}_img2img .prose`);
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
    async until(condition, milliseconds = NoiseRectification.Find.PATIENCE_MS) {
        const end = performance.now() + milliseconds;
        while (!condition()) {
            if (performance.now() >= end || this.panel.abort.signal.aborted) return false;
            await new Promise((resolve) => setTimeout(resolve, NoiseRectification.Find.LOOK_EVERY_MS));
        }
        return true;
    }
};

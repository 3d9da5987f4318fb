/**
 * The button that looks for the motion: it has the tab make a job that looks, and takes what the job found into the controls.
 *
 * What a job did comes to the page as the infotext below the gallery, or as an error there. That it has ended shows in
 * the host's buttons, often a little earlier.
 */
NoiseRectification.Find = class extends NoiseRectification.JobButton {
    /** What is wanted if the control says that nothing is. */
    static TARGET = "0.8";

    /** @param {NoiseRectification} panel */
    constructor(panel) {
        super(panel, panel.config.find);
        this.isLooking = false;
        panel.listen(this.button, "click", () => this.look());
        // What was found, or why not, is of the settings as they were.
        panel.listen(panel.accordion, "input", (event) => {
            if (event.isTrusted && !this.isLooking) this.line = null;
        });
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
        await this.generate();
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
        for (const name of ["omega", "motion"]) panel.write(name, this.lineOf(info, name) ?? panel.config.defaults[name]);
        panel.write("target_ssim", "0");
        this.tell("on", "Found: {0}", found);
    }
};

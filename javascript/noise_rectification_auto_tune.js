/**
 * The button Auto-tune motion & generate: the tab runs a job that searches, and the page takes over its result.
 *
 * The result of a job arrives as the infotext below the gallery, or as an error there. The end of the job shows in the host's
 * buttons, often a little earlier.
 */
class NoiseRectificationAutoTune {
    /** The target where the control has none. */
    static TARGET = "0.8";

    constructor(panel, button) {
        this.panel = panel;
        this.job = new NoiseRectificationJob(panel, button, () => this.search());
    }

    async search() {
        const {fields} = this.panel.read();
        if (!fields.enabled) {
            this.job.tell("warning", "No search: Noise Rectification is off in this tab.");
        } else if (this.job.runs()) {
            this.job.tell("warning", "No search: wait for the running job.");
        } else {
            await this.searchByJob(fields.target_ssim);
        }
    }

    async searchByJob(target) {
        const {panel, job} = this;
        if (!Number(target)) panel.write("target_ssim", NoiseRectificationAutoTune.TARGET);
        job.tell("on", "Searching for the motion: a few short runs, then the video.");
        const before = job.answer();
        await job.generate();
        const began = await job.until(() => job.runs());
        if (began) await job.until(() => !job.runs(), Infinity);
        const answered = began && await job.until(() => job.answer().log !== before.log);
        if (panel.abort.signal.aborted) return;
        const {info, log, error} = job.answer();
        // An infotext of an earlier job says nothing about this one.
        const isNew = began && (answered || info !== before.info || log !== before.log);
        const result = isNew ? job.entry(info, "found") : null;
        if (!result) {
            panel.write("target_ssim", target);
            const reason = !began ? panel.say("no job began") : isNew && error || panel.say("the job has no result");
            return job.tell("warning", "The search failed, and the settings are unchanged: {0}", reason);
        }
        // An infotext does not name defaults.
        for (const name of ["omega", "motion"]) panel.write(name, job.entry(info, name) ?? panel.config.defaults[name]);
        panel.write("target_ssim", "0");
        job.tell("on", "Result: {0}", result);
    }
}

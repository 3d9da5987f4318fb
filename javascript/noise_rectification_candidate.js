/**
 * The button that animates a candidate: the one that is selected in the gallery, whose infotext stands below it, is picked by
 * its number and its seed, and the tab makes its clip.
 */
NoiseRectification.Animate = class extends NoiseRectification.JobButton {
    /** @param {NoiseRectification} panel */
    constructor(panel) {
        super(panel, panel.config.animate);
        panel.listen(this.button, "click", () => this.animate());
        panel.listen(panel.accordion, "input", (event) => {
            if (event.isTrusted) this.line = null;
        });
    }

    async animate() {
        const {panel} = this;
        const {info} = this.answer();
        const number = this.lineOf(info, "candidate");
        const seed = /(?:^|, )Seed: (\d+)/.exec(info.trim().split("\n").pop())?.[1];
        if (this.jobRuns()) {
            this.tell("warning", "Nothing was animated: wait for the job that is running.");
            return;
        }
        if (number === null || !seed) {
            this.tell("warning", "Nothing was animated: make candidates first (scorer pick, Pick -1), and select one in the gallery.");
            return;
        }
        panel.choose("scorer", "pick");
        panel.write("pick", number);
        panel.writeInto(panel.app.querySelector(`#${this.tab}_seed input`), seed);
        this.tell("on", "Candidate {0} of seed {1} is animated.", number, seed);
        await this.generate();
    }
};

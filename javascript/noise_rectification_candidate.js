/**
 * The button that animates a candidate: the one that is selected in the gallery, whose infotext stands below it.
 *
 * What makes the still is the candidate's: the tab reads its prompt, seed, size, steps, sampler and so on from its infotext, as
 * by the host's own button that reads one. How it moves is the tab's: AnimateDiff's settings, and ours beside the pick.
 */
NoiseRectification.Animate = class extends NoiseRectification.JobButton {
    /** @param {NoiseRectification} panel */
    constructor(panel) {
        super(panel, panel.config.animate);
        this.isBusy = false;
        panel.listen(this.button, "click", () => this.animate());
        panel.listen(panel.accordion, "input", (event) => {
            if (event.isTrusted) this.line = null;
        });
    }

    async animate() {
        if (this.isBusy) return;
        this.isBusy = true;
        try {
            const problem = await this.animateSelected();
            if (problem) this.tell("warning", "Nothing was animated: {0}", problem);
        } finally {
            this.isBusy = false;
        }
    }

    /** @returns {Promise<string|undefined>} why it could not be */
    async animateSelected() {
        const {panel} = this;
        const infotext = this.answer().info.trim();
        const number = this.lineOf(infotext, "candidate");
        const [, seed] = /(?:^|, )Seed: (\d+)/.exec(infotext.split("\n").pop()) ?? [];
        if (this.jobRuns()) return panel.say("wait for the job that is running.");
        if (number === null || !seed) {
            return panel.say("make candidates first (scorer pick, Pick -1), and select one in the gallery.");
        }
        const checkpoint = this.otherCheckpoint(infotext);
        if (checkpoint) return panel.say("this candidate is of the checkpoint {0}: choose that one first.", checkpoint);
        if (!await this.read(this.pickOf(infotext, number))) {
            return panel.say("the tab has not read the candidate's infotext.");
        }
        // The host can be told not to read some of it.
        panel.writeInto(this.field("seed"), seed);
        panel.writeInto(this.field("batch_count"), "1");
        this.tell("on", "Candidate {0} of seed {1} is animated, with its own prompt and size.", number, seed);
        await this.generate();
    }

    /** The candidate's infotext without what says how a clip moves, as that of a job which picks the candidate. */
    pickOf(infotext, number) {
        const candidates = this.lineOf(infotext, "candidates") ?? this.panel.config.defaults.candidates;
        const pick = {create: "True", candidates, scorer: "pick", pick: number};
        const lines = infotext.split("\n");
        const kept = lines.pop().replace(/(^|, )(Noise Rectification [a-z ]+|AnimateDiff): ("(?:\\.|[^"\\])*"|[^,]*)/g, "");
        const added = Object.entries(pick).map(([name, value]) => `, Noise Rectification ${name}: ${value}`);
        return [...lines, kept + added.join("")].join("\n");
    }

    /** The checkpoint of an infotext, if it is not the one that is loaded and the host does not load it by itself. */
    otherCheckpoint(infotext) {
        const parameters = infotext.split("\n").pop();
        const [, hash] = /(?:^|, )Model hash: (\w+)/.exec(parameters) ?? [];
        const [, name] = /(?:^|, )Model: ("(?:\\.|[^"\\])*"|[^,]*)/.exec(parameters) ?? [];
        const {sd_model_checkpoint: loaded, sd_checkpoint_hash: loadedHash, disable_weights_auto_swap: isLeft} = window.opts ?? {};
        if (!isLeft || !loaded || !(hash || name)) return null;
        const isLoaded = hash ? loaded.includes(hash) || loadedHash?.startsWith(hash) : loaded.includes(name);
        return isLoaded ? null : [name, hash && `[${hash}]`].filter(Boolean).join(" ");
    }

    /** Have the tab read an infotext; whether it has. */
    async read(infotext) {
        const {app} = this.panel;
        const prompt = app.querySelector(`#${this.tab}_prompt :is(textarea, input)`);
        const before = prompt.value;
        this.panel.writeInto(prompt, infotext);
        await this.until(() => false, NoiseRectification.JobButton.LOOK_EVERY_MS);
        app.querySelector(`#tab_${this.tab} #paste`)?.click();
        const isRead = await this.until(() => prompt.value !== infotext);
        if (!isRead) this.panel.writeInto(prompt, before);
        return isRead;
    }

    field(name) {
        const controls = [...this.panel.app.querySelectorAll(`#${this.tab}_${name} :is(input, textarea)`)];
        return controls.find(({type}) => type === "number") ?? controls[0];
    }
};

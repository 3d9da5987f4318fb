/**
 * The button that animates the candidate which is selected in the gallery, with its infotext below.
 *
 * The still comes from the candidate: the tab reads prompt, seed, size, steps, sampler and so on from its infotext, as by the
 * host's own paste button. The animation comes from the tab: AnimateDiff's settings, and ours beside the candidate's number.
 */
class NoiseRectificationAnimate {
    constructor(panel, button) {
        this.panel = panel;
        this.job = new NoiseRectificationJob(panel, button, async () => {
            const problem = await this.animateSelected();
            if (problem) this.job.tell("warning", "No animation: {0}", problem);
        });
    }

    /** @returns {Promise<string|undefined>} the obstacle, if there is one */
    async animateSelected() {
        const {panel, job} = this;
        const infotext = job.answer().info.trim();
        const number = job.entry(infotext, "candidate");
        const [, seed] = /(?:^|, )Seed: (\d+)/.exec(infotext.split("\n").pop()) ?? [];
        if (job.runs()) return panel.say("wait for the running job.");
        if (number === null || !seed) {
            return panel.say("generate candidates first (Select by pick, Candidate -1), and select one in the gallery.");
        }
        const checkpoint = this.otherCheckpoint(infotext);
        if (checkpoint) return panel.say("this candidate belongs to the checkpoint {0}: load that one first.", checkpoint);
        if (!await this.read(this.pickOf(infotext, number))) {
            return panel.say("the tab did not read the candidate's infotext.");
        }
        // The host's settings can exclude some of it.
        panel.writeInto(this.field("seed"), seed);
        panel.writeInto(this.field("batch_count"), "1");
        job.tell("on", "Animating candidate {0} of seed {1}, with its own prompt and size.", number, seed);
        await job.generate();
    }

    /** The candidate's infotext without the entries on its animation, as that of a job which picks the candidate. */
    pickOf(infotext, number) {
        const candidates = this.job.entry(infotext, "candidates") ?? this.panel.config.defaults.candidates;
        const pick = {create: "True", candidates, scorer: "pick", pick: number};
        const lines = infotext.split("\n");
        const kept = lines.pop().replace(/(^|, )(Noise Rectification [a-z ]+|AnimateDiff): ("(?:\\.|[^"\\])*"|[^,]*)/g, "");
        const added = Object.entries(pick).map(([name, value]) => `, Noise Rectification ${name}: ${value}`);
        return [...lines, kept + added.join("")].join("\n");
    }

    /** The checkpoint of an infotext, if it is not the loaded one and the host does not load it by itself. */
    otherCheckpoint(infotext) {
        const parameters = infotext.split("\n").pop();
        const [, hash] = /(?:^|, )Model hash: (\w+)/.exec(parameters) ?? [];
        const [, name] = /(?:^|, )Model: ("(?:\\.|[^"\\])*"|[^,]*)/.exec(parameters) ?? [];
        const {sd_model_checkpoint: loaded, sd_checkpoint_hash: loadedHash, disable_weights_auto_swap: stays} = window.opts ?? {};
        if (!stays || !loaded || !(hash || name)) return null;
        const isLoaded = hash ? loaded.includes(hash) || loadedHash?.startsWith(hash) : loaded.includes(name);
        return isLoaded ? null : [name, hash && `[${hash}]`].filter(Boolean).join(" ");
    }

    /** Have the tab read an infotext; whether it has. */
    async read(infotext) {
        const {panel, job} = this;
        const prompt = panel.app.querySelector(`#${job.tab}_prompt :is(textarea, input)`);
        const before = prompt.value;
        panel.writeInto(prompt, infotext);
        await job.pause();
        panel.app.querySelector(`#tab_${job.tab} #paste`)?.click();
        const isRead = await job.until(() => prompt.value !== infotext);
        if (!isRead) panel.writeInto(prompt, before);
        return isRead;
    }

    field(name) {
        const controls = [...this.panel.app.querySelectorAll(`#${this.job.tab}_${name} :is(input, textarea)`)];
        return controls.find(({type}) => type === "number") ?? controls[0];
    }
}

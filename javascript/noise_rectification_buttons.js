/** A button that acts on its tab or has it run a job, the state of the page around it, and its line in the status. */
class NoiseRectificationJob {
    /** How long a job may take to begin, and its answer to arrive after its end. */
    static PATIENCE_MS = 10000;

    /** A button of `panel`; a subclass acts on a click by its `act`, one at a time. */
    constructor(panel, button) {
        Object.assign(this, {panel, button, tab: panel.config.tab, line: null});
        const isBusy = () => button.hasAttribute("aria-disabled");
        panel.listen(button, "click", async () => {
            if (isBusy()) return;
            button.setAttribute("aria-disabled", "true");
            try {
                await this.act();
            } finally {
                button.removeAttribute("aria-disabled");
            }
        });
        panel.listen(button, "blur", () => this.show?.());
        // The line belongs to the settings at that time.
        panel.listen(panel.app, "input", (event) => {
            if (event.isTrusted && !isBusy()) this.line = null;
        });
    }

    tell(kind, text, ...values) {
        this.line = [kind, this.panel.say(text, ...values)];
        this.panel.look(true);
    }

    /** An element of the page; null if there is none. */
    find(selector) {
        return this.panel.app.querySelector(selector);
    }

    /** Press the tab's button Generate. */
    async generate() {
        await this.pause(); // the page's framework takes a moment to notice what was written
        this.find(`#${this.tab}_generate`).click();
    }

    /** Whether the tab runs a job: the host then shows one of these over its button Generate. */
    runs() {
        const buttons = ["interrupt", "interrupting", "skip"].map((name) => this.find(`#${this.tab}_${name}`));
        return buttons.some((button) => button && getComputedStyle(button).display !== "none");
    }

    /** The text below the gallery: of "info", the infotext; of "log", the time that the job took, or its error. */
    answer(name) {
        // The text alone: the page's framework counts seconds beside it.
        return this.find(`#html_${name}_${this.tab} .prose`)?.textContent ?? "";
    }

    /** The value of an entry in an infotext, whose last line has them; null if there is none. */
    entry(infotext, key) {
        const parameters = infotext.trim().split("\n").pop();
        const value = new RegExp(`(?:^|, )${key}: ("(?:\\\\.|[^"\\\\])*"|[^,]*)`).exec(parameters)?.[1].trim();
        return value?.startsWith('"') ? JSON.parse(value) : value || null;
    }

    pause() {
        return new Promise((resolve) => setTimeout(resolve, 100));
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

/** The button Set up AnimateDiff: shown where the tab's AnimateDiff is off, or the denoising strength leaves no room for motion. */
class NoiseRectificationSetUp extends NoiseRectificationJob {
    /** Show the button where it is needed; hidden while it has the focus, it would lose that to the page's start. */
    show() {
        const {animatediff, denoising_strength: strength, fields} = this.panel.state;
        const isWeak = !fields.create && strength < 0.8; // the image's own layout stays, and little moves
        const isNeeded = animatediff !== null && (!animatediff || isWeak);
        this.button.classList.toggle("noise-rectification-hidden", !isNeeded && document.activeElement !== this.button);
    }

    async act() {
        const {panel, tab} = this;
        const box = panel.control(`${tab}-ad-enable`);
        if (!box) return;
        if (!box.checked) box.click();
        const done = [["AnimateDiff is on"]];
        const module = await this.motionModule(this.find(`#${tab}-ad-motion-module`));
        if (module) done.push(["motion module {0}", module]);
        if (tab === "img2img") {
            panel.write("img2img_denoising_strength", "1");
            panel.control("img2img_denoising_strength")?.dispatchEvent(new Event("change", {bubbles: true}));
            done.push(["Denoising strength 1"]);
        }
        const text = done.map((part) => panel.say(...part)).join(", ");
        if (module !== "") return this.tell("on", "{0}.", text);
        this.tell("warning", "{0}. Choose a motion module there: AnimateDiff has none, or several.", text);
    }

    /** Choose the motion module if there is just one. Returns its name, empty if the user has to choose; null without control. */
    async motionModule(dropdown) {
        const input = dropdown?.querySelector("input");
        if (!input || input.value) return input?.value ?? null;
        // The page has the choices only while the list is open; in a closed accordion it cannot have the focus.
        input.dispatchEvent(new FocusEvent("focus"));
        const choices = dropdown.getElementsByTagName("li");
        await this.until(() => choices.length, 2000);
        if (choices.length === 1) {
            choices[0].dispatchEvent(new MouseEvent("mousedown", {bubbles: true, cancelable: true}));
            await this.until(() => input.value, 2000);
        }
        input.dispatchEvent(new FocusEvent("blur"));
        return input.value;
    }
}

/**
 * The button Auto-tune motion & generate: the tab runs a job that searches, and the page takes over its result.
 *
 * The result of a job arrives as the infotext below the gallery, or as an error there. The end of the job shows in the host's
 * buttons, often a little earlier.
 */
class NoiseRectificationAutoTune extends NoiseRectificationJob {
    async act() {
        const {panel} = this;
        const {enabled, target_ssim: target} = panel.read().fields;
        if (!enabled) return this.tell("warning", "No search: Noise Rectification is off in this tab.");
        if (this.runs()) return this.tell("warning", "No search: wait for the running job.");
        if (!Number(target)) panel.write("target_ssim", "0.8");
        this.tell("on", "Searching for the motion: a few short runs, then the video.");
        const [infoBefore, logBefore] = [this.answer("info"), this.answer("log")];
        await this.generate();
        const began = await this.until(() => this.runs());
        if (began) await this.until(() => !this.runs(), Infinity);
        const answered = began && await this.until(() => this.answer("log") !== logBefore);
        if (panel.abort.signal.aborted) return;
        const info = this.answer("info");
        const error = this.find(`#html_log_${this.tab} .prose .error`)?.textContent;
        // An infotext of an earlier job says nothing about this one.
        const isNew = answered || began && info !== infoBefore;
        const found = (name) => this.entry(info, `Noise Rectification ${name}`);
        const result = isNew ? found("found") : null;
        if (!result) {
            panel.write("target_ssim", target);
            const reason = !began ? panel.say("no job began") : isNew && error || panel.say("the job has no result");
            return this.tell("warning", "The search failed, and the settings are unchanged: {0}", reason);
        }
        // An infotext does not name defaults.
        for (const name of ["omega", "motion"]) panel.write(name, found(name) ?? panel.config.defaults[name]);
        panel.write("target_ssim", "0");
        this.tell("on", "Result: {0}", result);
    }
}

/**
 * The button that animates the candidate which is selected in the gallery, with its infotext below.
 *
 * The still comes from the candidate: the tab reads prompt, seed, size, steps, sampler and so on from its infotext, as by the
 * host's own paste button. The animation comes from the tab: AnimateDiff's settings, and ours beside the candidate's number.
 */
class NoiseRectificationAnimate extends NoiseRectificationJob {
    async act() {
        const {panel} = this;
        const refuse = (...reason) => this.tell("warning", "No animation: {0}", reason);
        const infotext = this.answer("info").trim();
        const [number, seed] = ["Noise Rectification candidate", "Seed"].map((key) => this.entry(infotext, key));
        if (this.runs()) return refuse("wait for the running job.");
        if (number === null || seed === null) {
            return refuse("generate candidates first (Select by pick, Candidate -1), and select one in the gallery.");
        }
        const checkpoint = this.otherCheckpoint(infotext);
        if (checkpoint) return refuse("this candidate belongs to the checkpoint {0}: load that one first.", checkpoint);
        const isRead = await this.read(this.pickOf(infotext, number));
        if (!isRead) return refuse("the tab did not read the candidate's infotext.");
        // The host's settings can exclude some of it.
        panel.write(`${this.tab}_seed`, seed);
        panel.write(`${this.tab}_batch_count`, "1");
        this.tell("on", "Animating candidate {0} of seed {1}, with its own prompt and size.", number, seed);
        await this.generate();
    }

    /** The candidate's infotext without the entries on its animation, as that of a job which picks the candidate. */
    pickOf(infotext, number) {
        const candidates = this.entry(infotext, "Noise Rectification candidates") ?? this.panel.config.defaults.candidates;
        const pick = {create: "True", candidates, scorer: "pick", pick: number};
        const lines = infotext.split("\n");
        const kept = lines.pop().replace(/(^|, )(Noise Rectification [a-z ]+|AnimateDiff): ("(?:\\.|[^"\\])*"|[^,]*)/g, "");
        const added = Object.entries(pick).map(([name, value]) => `, Noise Rectification ${name}: ${value}`);
        return [...lines, kept + added.join("")].join("\n");
    }

    /** The checkpoint of an infotext, if it is not the loaded one and the host does not load it by itself. */
    otherCheckpoint(infotext) {
        const [hash, name] = ["Model hash", "Model"].map((key) => this.entry(infotext, key));
        const {sd_model_checkpoint: loaded, sd_checkpoint_hash: loadedHash, disable_weights_auto_swap: stays} = window.opts ?? {};
        if (!stays || !loaded || !(hash || name)) return null;
        const isLoaded = hash ? loaded.includes(hash) || loadedHash?.startsWith(hash) : loaded.includes(name);
        return isLoaded ? null : [name, hash && `[${hash}]`].filter(Boolean).join(" ");
    }

    /** Have the tab read an infotext; whether it has. */
    async read(infotext) {
        const prompt = `${this.tab}_prompt`;
        const before = this.panel.control(prompt).value;
        this.panel.write(prompt, infotext);
        await this.pause();
        this.find(`#tab_${this.tab} #paste`)?.click();
        const isRead = await this.until(() => this.panel.control(prompt).value !== infotext);
        if (!isRead) this.panel.write(prompt, before);
        return isRead;
    }
}

/** The button Copy report: shows the server's report of versions, settings and messages below itself, and copies it. */
class NoiseRectificationReport extends NoiseRectificationJob {
    async act() {
        const {panel} = this;
        const [settings, messages] = [panel.read().fields, panel.lines().map(([, text]) => text)];
        const answer = await panel.post({settings, report: messages});
        if (!answer) return this.tell("warning", "No report: the server does not answer.");
        this.place ??= this.button.parentElement.appendChild(document.createElement("textarea"));
        Object.assign(this.place, {value: answer.report, readOnly: true, className: "noise-rectification-report", rows: 8});
        this.place.setAttribute("aria-label", panel.say("Report"));
        this.place.select();
        // The clipboard of newer pages needs HTTPS, which a web UI in a local network lacks.
        const isCopied = document.execCommand("copy");
        this.tell("on", isCopied ? "The report is copied: paste it into the issue." : "Copy the selected report.");
    }
}

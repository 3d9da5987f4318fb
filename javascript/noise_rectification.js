/**
 * The live pictures of noise rectification in one tab: τ over the noise level of the steps, ω over the frames.
 *
 * The controls of the page hold the values; this class reads them, draws them, and writes into them what is dragged.
 * Whatever changes them (a person, a preset, a pasted infotext), the next look at them redraws the pictures.
 */
class NoiseRectification {
    /** The one of the img2img tab, and those of all tabs. */
    static instance = null;
    static instances = [];

    /** How often the controls are looked at for changes that come without an event, as from a pasted infotext. */
    static LOOK_EVERY_MS = 250;

    /** The settings of the host that change how many steps a job takes. */
    static HOST_OPTIONS = ["img2img_fix_steps", "always_discard_next_to_last_sigma"];

    /** The presets of ω that look at a setting. */
    static USED_BY = {omega_start: ["authors", "linear", "constant"], omega_end: ["authors", "linear"]};

    /** Make the pictures; again after Reload UI, without what the earlier one had put up. */
    static load() {
        for (const earlier of NoiseRectification.instances) earlier.dispose();
        const places = gradioApp().querySelectorAll(".noise-rectification-tau[data-configuration]");
        NoiseRectification.instances = [...places].map((place) => new NoiseRectification(place));
        NoiseRectification.instance = NoiseRectification.instances.find(({config}) => config.tab === "img2img") ?? null;
    }

    /** The names of the key frames' files, which only the page's framework knows. */
    static keyFrameNames = [];

    /** Called by the page when key frames are given or taken away. */
    static useKeyFrames(files) {
        NoiseRectification.keyFrameNames = (files ?? []).map((file) => file.orig_name ?? file.name ?? "");
        NoiseRectification.instance?.look();
        return [];
    }

    /** Values in the places {0}, {1} and so on of a text. */
    static fill(text, ...values) {
        return text.replace(/\{(\d)\}/g, (_, index) => values[index]);
    }

    /** @param {HTMLElement} tauPlace where τ is drawn; it carries the configuration */
    constructor(tauPlace) {
        this.config = JSON.parse(tauPlace.dataset.configuration);
        this.app = gradioApp();
        this.accordion = this.app.querySelector(`#${this.config.accordion}`);
        this.statusPlace = this.accordion.querySelector(".noise-rectification-status");
        this.abort = new AbortController();
        this.listeners = 0;
        this.drawMs = [];
        this.tau = new NoiseRectification.Tau(this, tauPlace);
        this.omega = new NoiseRectification.Omega(this, this.accordion.querySelector(".noise-rectification-omega"));
        this.figures = [this.tau, this.omega];
        this.buttons = [
            ...(this.config.find ? [new NoiseRectification.Find(this)] : []),
            ...(this.config.animate ? [new NoiseRectification.Animate(this)] : []),
        ];
        this.describeControls();
        this.listen(this.app.querySelector(`#${this.config.ids.motion}`), "input", (event) => this.wishMotion(event));
        this.listen(this.app, "input", () => this.look());
        this.listen(this.app, "change", () => this.look());
        this.resizes = new ResizeObserver(() => this.look(true));
        for (const {svg} of this.figures) this.resizes.observe(svg);
        this.timer = setInterval(() => this.look(), NoiseRectification.LOOK_EVERY_MS);
        this.look(true);
    }

    /** Take everything off the page again. */
    dispose() {
        this.abort.abort();
        this.resizes.disconnect();
        clearInterval(this.timer);
        this.drawUnused(false);
        for (const {figure} of this.figures) figure.remove();
        this.listeners = 0;
    }

    listen(target, event, handler, options = {}) {
        target.addEventListener(event, handler, {...options, signal: this.abort.signal});
        this.listeners++;
    }

    /** A text in the language of the page; filled after it is translated, so that one entry serves all numbers. */
    say(text, ...values) {
        return NoiseRectification.fill(window.localization?.[text] || text, ...values);
    }

    // Reading and writing the controls.

    /** @returns {HTMLInputElement|HTMLTextAreaElement|null} */
    control(name) {
        const controls = this.app.querySelectorAll(`#${this.config.ids[name]} :is(input, textarea)`);
        return [...controls].find((control) => control.type !== "radio" || control.checked) ?? null;
    }

    value(selector) {
        const element = this.app.querySelector(`${selector} input:not([type=range])`)
            ?? this.app.querySelector(`${selector} input`);
        return element && (element.type === "checkbox" ? element.checked : element.value);
    }

    number(selector, fallback) {
        const value = this.value(selector);
        return value === null || value === "" || !Number.isFinite(Number(value)) ? fallback : Number(value);
    }

    /** Everything that the pictures depend on, as text and numbers. */
    read() {
        const fields = {};
        for (const [name, fallback] of Object.entries(this.config.defaults)) {
            const control = this.control(name);
            fields[name] = typeof fallback === "boolean" ? Boolean(control?.checked) : control?.value ?? String(fallback);
        }
        const {tab} = this.config;
        const length = this.number(`#${tab}-ad-video-length`, 0);
        const context = this.number(`#${tab}-ad-batch-size`, 16);
        const strength = tab === "img2img" && !fields.create ? this.number("#img2img_denoising_strength", 0.75)
            : Number(fields.regeneration) || 1;
        return {
            fields,
            animatediff: this.value(`#${tab}-ad-enable`),
            context,
            // AnimateDiff makes at least one whole context.
            frames: Math.min(Math.max(Math.trunc(length), Math.trunc(context), 1), 4096),
            keyFrameNames: tab === "img2img" ? NoiseRectification.keyFrameNames : [],
            sampler: this.value(`#${tab}_sampling`),
            schedule: this.value(`#${tab}_scheduler`),
            steps: Math.max(Math.trunc(this.number(`#${tab}_steps`, 20)), 1),
            strength,
            options: Object.fromEntries(NoiseRectification.HOST_OPTIONS.map((name) => [name, window.opts?.[name]])),
        };
    }

    /** Settings from the fields. @throws {RangeError} with the message for the user */
    settings(fields) {
        const settings = {...fields};
        for (const [name, [minimum, maximum]] of Object.entries(this.config.ranges)) {
            const value = fields[name].trim() === "" ? NaN : Number(fields[name]);
            if (!(value >= minimum && value <= maximum)) {
                throw new RangeError(`${name} = '${fields[name]}' is not allowed: use a number from ${minimum} to ${maximum}`);
            }
            settings[name] = value;
        }
        if (settings.tau_start > settings.tau_end) {
            throw new RangeError(`tau_start = ${settings.tau_start} is after tau_end = ${settings.tau_end}: ` +
                "set tau_start to tau_end or lower");
        }
        settings.omega = NoiseRectification.parseOmega(fields.omega, this.config.omegaPresets);
        return settings;
    }

    /** Put a value into a control as if it had been typed. */
    write(name, value) {
        this.writeInto(this.control(name), value);
    }

    writeInto(control, value) {
        if (!control || control.value === String(value)) return;
        control.value = String(value);
        control.dispatchEvent(new Event("input", {bubbles: true}));
    }

    /** Choose one of a control's few values as if it had been clicked. */
    choose(name, value) {
        const labels = this.app.querySelectorAll(`#${this.config.ids[name]} label`);
        [...labels].find((label) => label.textContent.trim() === value)?.querySelector("input").click();
    }

    /** Who moves Motion wants it to count; what is written or pasted into it says itself what ω is. */
    wishMotion(event) {
        if (!event.isTrusted || this.state.fields.omega.trim().toLowerCase() === "motion") return;
        this.omega.change(() => this.write("omega", "motion"));
    }

    /** The frames of the clip that are pictures. */
    keyFrames() {
        return NoiseRectification.keyFrames(this.state.keyFrameNames, this.state.frames);
    }

    /** The help of each field, where the pointer and screen readers find it. */
    describeControls() {
        for (const [name, help] of Object.entries(this.config.help)) {
            const control = this.control(name);
            if (!control) continue;
            control.closest(".block, fieldset, div")?.setAttribute("title", this.say(help));
            control.setAttribute("title", this.say(help));
            if (!control.getAttribute("aria-label")) control.setAttribute("aria-label", this.say(this.config.labels[name]));
        }
        const box = this.accordion.querySelector(`#${this.config.accordion}-visible-checkbox`);
        box?.setAttribute("aria-label", this.say(this.config.tab === "img2img" ? "Enable Noise Rectification"
            : this.config.labels.create));
    }

    // Drawing.

    /** Look at the controls, and draw if something has changed. */
    look(always = false) {
        const sizes = this.figures.map((figure) => figure.measure());
        if (!this.statusPlace.clientWidth) return; // the accordion or the tab is closed
        const state = this.read();
        const seen = JSON.stringify([state, sizes]);
        if (!always && seen === this.seen) return;
        this.seen = seen;
        const started = performance.now();
        this.state = state;
        this.draw();
        this.drawMs = [...this.drawMs.slice(-99), performance.now() - started];
    }

    draw() {
        const {state} = this;
        const keyFrames = this.keyFrames();
        let problem = null;
        let settings = {...this.config.defaults};
        try {
            settings = this.settings(state.fields);
            this.weights = NoiseRectification.omegaWeights(settings, state.frames, keyFrames);
        } catch (error) {
            if (!(error instanceof RangeError)) throw error;
            problem = error.message;
            this.weights = Array.isArray(settings.omega)
                ? NoiseRectification.resampled(settings.omega, state.frames)
                : NoiseRectification.omegaWeights({...this.config.defaults}, state.frames);
        }
        this.current = settings;
        this.levels = NoiseRectification.noiseLevels({
            ...state, sampler: this.config.samplers[state.sampler], start: Number(settings.start_time),
        });
        this.drawStatus(problem);
        this.drawUnused(problem === null);
        for (const figure of this.figures) if (figure.size[0]) figure.draw(); // or their fold is closed
        this.accordion.classList.toggle("noise-rectification-wrong", problem !== null);
    }

    /** What the job will do: what it costs, where it goes through a picture, and what is rectified. */
    sentence(say) {
        const {state, current} = this;
        const plan = NoiseRectification.plan(state.sampler, this.levels, state.steps, say);
        const summary = NoiseRectification.summary(current, this.weights, plan, say);
        const inTxt2img = this.config.tab === "txt2img";
        if (!inTxt2img && !current.create) return summary;
        const calls = NoiseRectification.jobCalls(current, state.frames, state.steps, {
            regenerated: plan.count ?? state.steps, hasPicture: !inTxt2img,
            callsAStep: this.config.samplers[state.sampler]?.callsAStep ?? 1,
        });
        const cost = NoiseRectification.callsWords(calls, state.frames, say);
        if (!("regeneration" in calls)) return say("about {0}; then one of them is to be picked", cost);
        const plain = say("a plain video has {0}", state.steps * (this.config.samplers[state.sampler]?.callsAStep ?? 1));
        return `${say("about {0}", cost)} (${plain}). ${!inTxt2img || current.enabled ? this.sentenceCase(summary) + "."
            : say("The clip is made anew without rectification.")}`;
    }

    sentenceCase(text) {
        return text.charAt(0).toUpperCase() + text.slice(1);
    }

    /** Switch off what the chosen ω does not look at; never beside a wrong value, which may be in one of these. */
    drawUnused(isRight) {
        for (const [name, presets] of Object.entries(NoiseRectification.USED_BY)) {
            const isUnused = isRight && !presets.includes(this.current.omega);
            const control = this.control(name);
            if (control) control.disabled = isUnused;
            control?.closest(".block")?.classList.toggle("noise-rectification-unused", isUnused);
        }
    }

    drawStatus(problem) {
        const {state} = this;
        const say = this.say.bind(this);
        const isOn = state.fields[this.config.master];
        const sentence = problem ?? this.sentence(say);
        const lines = [[problem ? "wrong" : isOn ? "on" : "off",
            problem || isOn ? sentence : this.say("Off. When enabled: {0}", sentence)]];
        if (state.animatediff === null) {
            lines.push(["warning", this.say("AnimateDiff is not installed: without it there is no clip to rectify.")]);
        } else if (!state.animatediff) {
            lines.push(["warning", this.say("AnimateDiff is off in this tab: switch it on, or an enabled job is refused.")]);
        }
        for (const button of this.buttons) lines.push(...button.lines());
        const key = JSON.stringify(lines);
        if (key === this.said) return;
        this.said = key;
        this.statusPlace.replaceChildren(...lines.map(([kind, text]) => {
            const line = document.createElement("p");
            line.className = `noise-rectification-line ${kind}`;
            // A refusal begins with the name of a setting, which stays as it is written.
            line.textContent = kind === "wrong" ? text : this.sentenceCase(text);
            return line;
        }));
    }
}

onUiLoaded(() => NoiseRectification.load());

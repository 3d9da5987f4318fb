/**
 * The accordion of one tab: reads the controls, asks the server for a preview of the job, and writes the status line.
 *
 * The controls hold the values, whatever changed them (a person, a preset, a pasted infotext). All facts of the job (its steps,
 * noise levels, weights and sentences) come from the server, outside of the host's queue; the curves follow the pointer meanwhile.
 */
class NoiseRectification {
    /** The panel of the img2img tab, and those of all tabs. */
    static instance = null;
    static instances = [];

    /** How often the controls are read for changes that come without an event, as from a pasted infotext. */
    static LOOK_EVERY_MS = 250;

    /** How long the controls must rest before the server is asked, how long it may take, and when to ask again. */
    static REST_MS = 150;
    static PATIENCE_MS = 10000;
    static RETRY_MS = 5000;

    /** The presets of ω that use a setting. */
    static USED_BY = {omega_start: ["authors", "linear", "constant"], omega_end: ["authors", "linear"]};

    /** Build the panels; again after Reload UI. */
    static load() {
        for (const earlier of NoiseRectification.instances) earlier.dispose();
        const places = gradioApp().querySelectorAll(".noise-rectification-tau[data-configuration]");
        NoiseRectification.instances = [...places].map((place) => new NoiseRectification(place));
        NoiseRectification.instance = NoiseRectification.instances.find(({config}) => config.tab === "img2img") ?? null;
    }

    /** The file names of the keyframes, which only the page's framework knows. */
    static keyFrameNames = [];

    /** Called by the page when the keyframes change. */
    static useKeyFrames(files) {
        NoiseRectification.keyFrameNames = (files ?? []).map((file) => file.orig_name ?? file.name ?? "");
        return [];
    }

    /** @param {HTMLElement} tauPlace the place of the curve of τ; it carries the configuration */
    constructor(tauPlace) {
        this.config = JSON.parse(tauPlace.dataset.configuration);
        this.app = gradioApp();
        this.accordion = this.app.querySelector(`#${this.config.accordion}`);
        this.statusPlace = this.accordion.querySelector(".noise-rectification-status");
        this.abort = new AbortController();
        this.answer = null;
        this.omega = new NoiseRectificationOmega(this, this.accordion.querySelector(".noise-rectification-omega"));
        this.curves = [new NoiseRectificationTau(this, tauPlace), this.omega];
        const kinds = {
            set_up: NoiseRectificationSetUp, auto_tune: NoiseRectificationAutoTune,
            animate: NoiseRectificationAnimate, report: NoiseRectificationReport,
        };
        this.buttons = Object.entries(this.config.buttons)
            .map(([name, id]) => new kinds[name](this, this.app.querySelector(`#${id}`)));
        this.describeControls();
        // Who moves Motion amount wants it to count; an infotext or a preset writes ω itself.
        this.listen(this.app.querySelector(`#${this.config.ids.motion}`), "input", (event) => {
            if (event.isTrusted && this.preset() !== "motion") this.omega.change(() => this.write("omega", "motion"));
        });
        for (const event of ["input", "change"]) this.listen(this.app, event, () => this.look());
        this.resizes = new ResizeObserver(() => this.look(true));
        for (const {axes} of this.curves) this.resizes.observe(axes.svg);
        // The page's framework takes values only when it is ready, which is a little later.
        this.starting = setTimeout(() => this.start(), NoiseRectification.LOOK_EVERY_MS);
        this.timer = setInterval(() => this.look(), NoiseRectification.LOOK_EVERY_MS);
        this.look(true);
    }

    /** Take everything off the page again. */
    dispose() {
        this.abort.abort();
        this.resizes.disconnect();
        clearTimeout(this.starting);
        clearInterval(this.timer);
        clearTimeout(this.rest);
        this.drawUnused(false);
        for (const {axes} of this.curves) axes.figure.remove();
    }

    listen(target, event, handler, options = {}) {
        target.addEventListener(event, handler, {...options, signal: this.abort.signal});
    }

    /** A text in the language of the page, its values in the places {0}, {1} and so on; a value may be such a list itself. */
    say(text, ...values) {
        return (window.localization?.[text] || text).replace(/\{(\d+)\}/g,
            (_, index) => Array.isArray(values[index]) ? this.say(...values[index]) : values[index]);
    }

    /** A control: one of ours by the name of its setting, or another one of the page by its id; null if there is none. */
    control(name) {
        const controls = this.app.querySelectorAll(`#${this.config.ids[name] ?? name} :is(input, textarea)`);
        return [...controls].find((control) => control.type !== "radio" || control.checked) ?? null;
    }

    number(id, fallback) {
        const value = this.control(id)?.value ?? "";
        return value === "" || !Number.isFinite(Number(value)) ? fallback : Number(value);
    }

    /** Everything that the preview depends on. */
    read() {
        const {tab} = this.config;
        const fields = {};
        for (const [name, fallback] of Object.entries(this.config.defaults)) {
            const control = this.control(name);
            fields[name] = typeof fallback === "boolean" ? control?.checked ?? fallback : control?.value ?? String(fallback);
        }
        return {
            fields,
            animatediff: this.control(`${tab}-ad-enable`)?.checked ?? null,
            // AnimateDiff makes at least one whole context.
            frames: Math.trunc(Math.min(Math.max(
                this.number(`${tab}-ad-video-length`, 0), this.number(`${tab}-ad-batch-size`, 16), 1), 4096)),
            key_frames: tab === "img2img" ? NoiseRectification.keyFrameNames : [],
            sampler: this.control(`${tab}_sampling`)?.value,
            scheduler: this.control(`${tab}_scheduler`)?.value || "Automatic",
            steps: Math.max(Math.trunc(this.number(`${tab}_steps`, 20)), 1),
            denoising_strength: tab === "img2img" ? this.number("img2img_denoising_strength", 0.75) : 1,
        };
    }

    /** The name of the preset of ω that is typed in; null for a list. */
    preset() {
        const name = this.state.fields.omega.trim().toLowerCase();
        return Object.hasOwn(this.config.omegaPresets, name) ? name : null;
    }

    /** Put a value into a control as if it had been typed. */
    write(name, value) {
        const control = this.control(name);
        if (control?.type === "checkbox" && control.checked !== value) control.click();
        if (!control || control.type === "checkbox" || control.value === String(value)) return;
        control.value = String(value);
        control.dispatchEvent(new Event("input", {bubbles: true}));
    }

    /** Start with the preset that was chosen last in this browser; controls that the user has saved otherwise stay. */
    start() {
        const {defaults, presets, start} = this.config;
        const values = Object.entries(presets[localStorage.getItem("noise-rectification-preset") ?? start] ?? {});
        const {fields} = this.read();
        if (values.some(([name]) => String(fields[name]) !== String(defaults[name]))) return;
        for (const [name, value] of values) this.write(name, value);
    }

    /** The help of each field, where the pointer and screen readers find it. */
    describeControls() {
        for (const [name, help] of Object.entries(this.config.help)) {
            const control = this.control(name);
            if (!control) continue;
            for (const place of [control, control.closest(".block, fieldset, div")]) place?.setAttribute("title", this.say(help));
            if (!control.getAttribute("aria-label")) control.setAttribute("aria-label", this.say(this.config.labels[name]));
        }
        for (const header of this.accordion.querySelectorAll(".noise-rectification-fold > .label-wrap:not(button)")) {
            // gradio 3 opens its folds by the pointer alone.
            Object.assign(header, {tabIndex: 0, role: "button"});
            this.listen(header, "keydown", (event) => {
                if (!["Enter", " "].includes(event.key) || event.target !== header) return;
                event.preventDefault();
                header.click();
            });
        }
        const box = this.accordion.querySelector(`#${this.config.accordion}-visible-checkbox`);
        box?.setAttribute("aria-label", this.say(this.config.tab === "img2img" ? "Enable Noise Rectification"
            : this.config.labels.create));
    }

    /** Open the fold of the curves if it was open the last time; called when the accordion is first seen. */
    rememberFold() {
        const key = "noise-rectification-curves";
        const header = this.app.querySelector(`#${this.config.curves} .label-wrap`);
        const state = () => header.classList.contains("open") ? "open" : "closed";
        if (localStorage.getItem(key) === "open" && state() === "closed") header.click();
        this.listen(header, "click", () => setTimeout(() => localStorage.setItem(key, state()))); // when it has opened or closed
    }

    /** Read the controls; draw and ask the server if something has changed. */
    look(always = false) {
        const sizes = this.curves.map(({axes}) => axes.measure());
        if (!this.statusPlace.clientWidth) return; // the accordion or the tab is closed
        if (!this.state) this.rememberFold();
        const state = this.read();
        const [job, seen] = [JSON.stringify(state), JSON.stringify([state, sizes])];
        if (!always && seen === this.seen) return;
        this.seen = seen;
        this.state = state;
        if (job !== this.job) this.askSoon(this.answer ? NoiseRectification.REST_MS : 0);
        this.job = job;
        this.draw();
    }

    /** The server's answer; null if it has none in time. */
    post(question) {
        const {tab, preview: {address, token}} = this.config;
        const [headers, body] = [{"Content-Type": "application/json"}, JSON.stringify({token, tab, ...question})];
        const signal = AbortSignal.timeout(NoiseRectification.PATIENCE_MS);
        return fetch(address, {method: "POST", headers, body, signal})
            .then((response) => response.ok ? response.json() : null).catch(() => null);
    }

    askSoon(milliseconds) {
        clearTimeout(this.rest);
        this.rest = setTimeout(() => this.ask(), milliseconds);
    }

    async ask() {
        const question = this.rest;
        const {fields: settings, animatediff, ...job} = this.state;
        const answer = await this.post({settings, ...job});
        if (question !== this.rest || this.abort.signal.aborted) return; // another question has followed
        if (!answer && !this.statusPlace.isConnected) return; // the host has cleared the page and restarts
        this.unanswered = !answer;
        if (answer) this.omega.take(this.answer = answer);
        else this.askSoon(NoiseRectification.RETRY_MS);
        this.draw();
    }

    draw() {
        const problem = this.answer?.problem ?? null;
        this.accordion.classList.toggle("noise-rectification-wrong", problem !== null);
        const lines = this.lines();
        if (lines.length) this.statusPlace.replaceChildren(...lines.map(([kind, text]) => {
            const line = document.createElement("p");
            line.className = `noise-rectification-line ${kind}`;
            // A refusal begins with the name of a setting, which stays as it is.
            line.textContent = kind === "wrong" ? text : this.capitalized(text);
            return line;
        }));
        for (const button of this.buttons) button.show?.();
        this.drawUnused(problem === null);
        // Without a size, their fold is closed.
        for (const curve of this.curves) if (this.answer && curve.axes.size[0]) curve.draw();
    }

    /** Switch off the settings that the chosen ω does not use; not beside a wrong value, which may be one of them. */
    drawUnused(isRight) {
        for (const [name, presets] of Object.entries(NoiseRectification.USED_BY)) {
            const isUnused = isRight && !presets.includes(this.preset());
            const control = this.control(name);
            if (control) control.disabled = isUnused;
            control?.closest(".block")?.classList.toggle("noise-rectification-unused", isUnused);
        }
    }

    capitalized(text) {
        return text.charAt(0).toUpperCase() + text.slice(1);
    }

    /** @returns {[string, string][]} kind and text of each line */
    lines() {
        const {state, answer} = this;
        const lines = [];
        if (this.unanswered) {
            lines.push(["warning", this.say("No preview: the server does not answer. Jobs are not affected.")]);
        } else if (answer?.problem) {
            lines.push(["wrong", answer.problem]);
        } else if (answer) {
            const sentences = answer.sentences.map((parts, index) => (index ? this.capitalized : String)(this.say(...parts)));
            const text = sentences.join(". ") + (sentences.length > 1 ? "." : "");
            lines.push(state.fields[this.config.master] ? ["on", text] : ["off", this.say("Off. When enabled: {0}", text)]);
        }
        if (state.animatediff === null) {
            lines.push(["warning", this.say("AnimateDiff is not installed: without it there is no video to rectify.")]);
        } else if (!state.animatediff) {
            lines.push(["warning", this.say("AnimateDiff is off in this tab: press Set up AnimateDiff, or the job is refused.")]);
        }
        return [...lines, ...this.buttons.flatMap(({line}) => line ? [line] : [])];
    }
}

onUiLoaded(() => NoiseRectification.load());

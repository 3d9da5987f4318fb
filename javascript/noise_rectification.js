/**
 * The live pictures of noise rectification in the img2img tab: τ over the noise level of the steps, ω over the frames.
 *
 * The controls of the page hold the values; this class reads them, draws them, and writes into them what is dragged.
 * Whatever changes them (a person, a preset, a pasted infotext), the next look at them redraws the pictures.
 */
class NoiseRectification {
    /** The one that serves the page. */
    static instance = null;

    /** How often the controls are looked at for changes that come without an event, as from a pasted infotext. */
    static LOOK_EVERY_MS = 250;

    /** The same as TOLERANCE in lib_noiserect/schedule.py. */
    static TOLERANCE = 1e-5;

    /** Make the pictures; again after Reload UI, without what the earlier one had put up. */
    static load() {
        NoiseRectification.instance?.dispose();
        const place = gradioApp().querySelector(".noise-rectification-tau[data-configuration]");
        NoiseRectification.instance = place ? new NoiseRectification(place) : null;
    }

    // The formulas of lib_noiserect, equal to them bit by bit.

    /**
     * The indices of the steps inside the window τ.
     * @param {number} numSteps
     * @param {number} tauStart
     * @param {number} tauEnd
     * @returns {number[]}
     */
    static rectifiedSteps(numSteps, tauStart, tauEnd) {
        const first = numSteps * tauStart - NoiseRectification.TOLERANCE;
        const end = numSteps * tauEnd - NoiseRectification.TOLERANCE;
        return Array.from({length: numSteps}, (_, index) => index).filter((index) => first <= index && index < end);
    }

    /**
     * ω of every frame.
     * @param {{omega: string|number[], omega_start: number, omega_end: number, omega_resample: boolean}} settings
     * @param {number} numFrames
     * @returns {number[]}
     * @throws {RangeError} the list does not fit the clip; the message is for the user
     */
    static omegaWeights(settings, numFrames) {
        const {omega, omega_start: start, omega_end: end} = settings;
        const linear = (count) =>
            Array.from({length: count}, (_, index) => start + (end - start) * index / Math.max(count - 1, 1));
        if (Array.isArray(omega)) {
            if (omega.length === numFrames) return [...omega];
            if (!settings.omega_resample) {
                throw new RangeError(
                    `omega has ${omega.length} entries and the clip has ${numFrames} frames: ` +
                    `give ${numFrames} entries, or set omega_resample`);
            }
            return NoiseRectification.resampled(omega, numFrames);
        }
        if (omega === "authors") {
            const firstHalf = Math.floor(numFrames / 2);
            return [...linear(firstHalf), ...Array(numFrames - firstHalf).fill(end)];
        }
        if (omega === "linear") return linear(numFrames);
        return Array(numFrames).fill(omega === "constant" ? start : 0);
    }

    /** Piecewise linear, first on first and last on last. */
    static resampled(values, count) {
        return Array.from({length: count}, (_, index) => {
            const position = index * (values.length - 1) / Math.max(count - 1, 1);
            const left = Math.min(Math.trunc(position), values.length - 1);
            const right = Math.min(left + 1, values.length - 1);
            return values[left] + (values[right] - values[left]) * (position - left);
        });
    }

    /**
     * What is typed into the ω field: a preset's name, or the numbers of a list.
     * @returns {string|number[]}
     * @throws {RangeError}
     */
    static parseOmega(text, presets) {
        const name = text.trim().toLowerCase();
        if (name in presets) return name;
        const entries = name.replace(/^[[\]()]+|[[\]()]+$/g, "").replaceAll(",", " ").split(/\s+/).filter(Boolean);
        const isNumber = (entry) => /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/.test(entry);
        const wrong = entries.find((entry) => !isNumber(entry) || Number(entry) < 0 || Number(entry) > 1);
        if (!entries.length || wrong !== undefined) {
            const allowed = `${Object.keys(presets).join(", ")}, or a list of numbers from 0 to 1, one a frame`;
            throw new RangeError(`omega = '${(wrong ?? name).slice(0, 60)}' is not allowed: use ${allowed}`);
        }
        return entries.map(Number);
    }

    /** As Python's format(number, `.{digits}g`). */
    static general(number, digits) {
        const rounded = Number(number.toPrecision(digits));
        if (rounded === 0 || rounded >= 1e-4) return String(rounded);
        return rounded.toExponential().replace(/-(\d)$/, "-0$1");
    }

    /**
     * The sentence of lib_noiserect/summary.py.
     * @param {object} settings
     * @param {number[]} weights ω of every frame
     * @param {{count: number|null, note: string}} plan the sampler's steps; null if it chooses them while it runs
     */
    static summary(settings, weights, {count, note}, say = NoiseRectification.fill) {
        const {tau_start: start, tau_end: end} = settings;
        const percent = (tau) => NoiseRectification.general(100 * tau, 6);
        const known = count !== null;
        const steps = known ? NoiseRectification.rectifiedSteps(count, start, end) : [];
        const [first, last] = [steps[0] + 1, steps[steps.length - 1] + 1];
        const nothing = known ? !steps.length : start >= end;
        let window = !known ? say("rectified from {0} % to {1} % of the noise range (log σ)", percent(start), percent(end))
            : nothing ? say("no step of {0} rectified", count)
                : steps.length === 1 ? say("step {0} of {1} rectified", first, count)
                    : say("steps {0}–{1} of {2} rectified", first, last, count);
        const behind = note ? ` (${note})` : "";
        if (nothing) return say("{0}: a plain clip", (known ? window : say("nothing rectified")) + behind);
        window += behind;
        const [atStart, atEnd] = known ? [first === 1, last === count] : [start === 0, end === 1];
        const frame = !atStart
            ? known ? say("first frame not kept, since rectification begins with step {0}", first)
                : say("first frame not kept, since rectification begins at {0} %", percent(start))
            : atEnd || settings.pin_first_frame ? say("first frame kept")
                : known ? say("first frame free after step {0}", last) : say("first frame free after {0} %", percent(end));
        return [window, frame, NoiseRectification.motion(weights, say)].filter(Boolean).join(", ");
    }

    /** How freely the frames after the first move. */
    static motion(weights, say) {
        const moving = weights.slice(1);
        if (!moving.length) return "";
        const [low, high, last] = [Math.min(...moving), Math.max(...moving), moving[moving.length - 1]];
        const short = (weight) => NoiseRectification.general(weight, 3);
        if (high === 0) return say("nothing moves");
        if (low === 1) return say("motion free");
        if (low === high) return say("motion at ω = {0}", short(last));
        let settled = weights.length - 1;
        while (weights[settled - 1] === last) settled--;
        if (last === 1) return say("motion free from frame {0}", settled);
        const all = (ordered) => moving.every((weight, index) => !index || ordered(moving[index - 1], weight));
        const ends = [short(moving[0]), short(last), settled];
        if (all((one, other) => one >= other)) return say("ω falls from {0} at frame 1 to {1} at frame {2}", ...ends);
        if (all((one, other) => one <= other)) return say("ω rises from {0} at frame 1 to {1} at frame {2}", ...ends);
        return say("ω between {0} and {1}", short(low), short(high));
    }

    /**
     * How many steps a sampler will take, as planned.py has it for the host's own schedules.
     * @returns {{count: number|null, note: string}}
     */
    static plan(name, levels, steps, say = NoiseRectification.fill) {
        const count = levels.length;
        if (name === "DPM adaptive") return {count: null, note: say("DPM adaptive chooses its own steps")};
        if (name === "DPM fast") {
            const large = Math.floor(count / 3) + 1; // three model calls a step
            return {count: large, note: say("DPM fast takes {0} large ones where {1} are asked for", large, steps)};
        }
        if (name === "Restart" && count >= 20) {
            return {count, note: say("Restart goes back up and takes some steps twice")};
        }
        return {count, note: count === steps ? "" : say("{0} takes {1} where {2} are asked for", name, count, steps)};
    }

    /**
     * The noise level σ at each of the steps that img2img makes, as the host's schedules have it. A picture, not a
     * promise: options in the host's settings that change a schedule are not looked at.
     * @param {{sampler: object, schedule: string, steps: number, strength: number, fixSteps: boolean}} job
     * @returns {number[]}
     */
    static noiseLevels({sampler, schedule, steps, strength, fixSteps}) {
        const capped = Math.min(strength, 0.999);
        const total = fixSteps ? (strength > 0 ? Math.trunc(steps / capped) : 0) : steps;
        const encoded = fixSteps ? steps - 1 : Math.trunc(capped * steps);
        if (total < 1) return [];
        // AnimateDiff swaps Stable Diffusion's schedule of β for a linear one.
        let alphaBar = 1;
        const sigmas = Array.from({length: 1000}, (_, t) => {
            alphaBar *= 1 - (0.00085 + (0.012 - 0.00085) * t / 999);
            return Math.sqrt((1 - alphaBar) / alphaBar);
        });
        if (sampler?.timesteps) {
            const stride = Math.max(Math.floor(1000 / total), 1);
            const last = sampler.afterTheLast ? 0 : 1; // all but UniPC stop at the lowest level
            return Array.from({length: Math.max(encoded - last, 0)},
                (_, i) => sigmas[Math.min((encoded - 1 - i) * stride + 1, 999)]);
        }
        const count = total + (sampler?.discards ? 1 : 0);
        const named = /^automatic$/i.test(schedule ?? "") || !schedule ? sampler?.schedule : schedule;
        const levels = NoiseRectification.schedule((named ?? "").toLowerCase().replaceAll("_", " "), count, sigmas);
        if (sampler?.discards) levels.splice(-1, 1);
        return levels.slice(Math.max(total - encoded - 1, 0));
    }

    /** σ of a schedule's `count` steps, without the 0 at its end. */
    static schedule(name, count, sigmas) {
        const [low, high] = [sigmas[0], sigmas[999]];
        const share = (index) => index / Math.max(count - 1, 1);
        const along = (level) => Array.from({length: count}, (_, index) => level(share(index), index));
        const atTime = (t) => {
            const left = Math.min(Math.floor(t), 998);
            return Math.exp(Math.log(sigmas[left]) * (left + 1 - t) + Math.log(sigmas[left + 1]) * (t - left));
        };
        switch (name) {
        case "karras":
            return along((x) => (high ** (1 / 7) + x * (low ** (1 / 7) - high ** (1 / 7))) ** 7);
        case "exponential":
        case "polyexponential":
            return along((x) => high ** (1 - x) * low ** x);
        case "sgm uniform":
            return along((_, index) => atTime(999 * (1 - index / count)));
        case "kl optimal":
            return along((_, i) => Math.tan(i / count * Math.atan(low) + (1 - i / count) * Math.atan(high)));
        case "align your steps": {
            const table = [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029].map(Math.log);
            return NoiseRectification.resampled(table, count).map(Math.exp);
        }
        case "simple":
            return along((_, index) => sigmas[999 - Math.trunc(index * 1000 / count)]);
        case "ddim": {
            const stride = Math.max(Math.floor(1000 / count), 1);
            const length = Math.ceil(999 / stride); // which may be more than asked for
            return Array.from({length}, (_, index) => sigmas[(length - 1 - index) * stride + 1]);
        }
        case "beta":
            return along((x) => low + NoiseRectification.betaQuantile(1 - x) * (high - low));
        default: // Uniform, Normal, and what a host adds
            return along((x) => atTime(999 * (1 - x)));
        }
    }

    /** Where the distribution Beta(0.6, 0.6), the host's default, reaches `share`. */
    static betaQuantile(share) {
        const cells = 256;
        const cumulative = [0];
        for (let i = 0; i < cells; i++) {
            const angle = (i + 0.5) / cells * Math.PI / 2; // x = sin², which takes the poles at both ends away
            cumulative.push(cumulative[i] + (Math.sin(angle) * Math.cos(angle)) ** 0.2);
        }
        const wanted = share * cumulative[cells];
        const right = Math.max(cumulative.findIndex((sum) => sum >= wanted), 1);
        const part = (wanted - cumulative[right - 1]) / (cumulative[right] - cumulative[right - 1]);
        return Math.sin((right - 1 + part) / cells * Math.PI / 2) ** 2;
    }

    /**
     * The fewest points whose straight lines are the curve, to 0.0025 (Ramer, Douglas and Peucker).
     * @param {number[]} values one a frame
     * @returns {{frame: number, weight: number}[]}
     */
    static pointsOf(values) {
        const kept = new Set([0, values.length - 1]);
        const pending = [[0, values.length - 1]];
        while (pending.length) {
            const [left, right] = pending.pop();
            let [farthest, distance] = [-1, 0.0025];
            for (let i = left + 1; i < right; i++) {
                const line = values[left] + (values[right] - values[left]) * (i - left) / (right - left);
                if (Math.abs(values[i] - line) > distance) [farthest, distance] = [i, Math.abs(values[i] - line)];
            }
            if (farthest >= 0) {
                kept.add(farthest);
                pending.push([left, farthest], [farthest, right]);
            }
        }
        return [...kept].sort((a, b) => a - b).map((frame) => ({frame, weight: values[frame]}));
    }

    /** One weight a frame from points, whose first is at frame 0 and whose last is at the last frame. */
    static valuesOf(points, numFrames) {
        const values = Array(numFrames).fill(points[0].weight);
        for (let i = 1; i < points.length; i++) {
            const [left, right] = [points[i - 1], points[i]];
            for (let frame = left.frame; frame <= right.frame; frame++) {
                const part = (frame - left.frame) / Math.max(right.frame - left.frame, 1);
                values[frame] = left.weight + (right.weight - left.weight) * part;
            }
        }
        return values;
    }

    /** @param {HTMLElement} tauPlace where τ is drawn; it carries the configuration */
    constructor(tauPlace) {
        this.config = JSON.parse(tauPlace.dataset.configuration);
        this.app = gradioApp();
        this.accordion = this.app.querySelector(`#${this.config.accordion}`);
        this.statusPlace = this.accordion.querySelector(".noise-rectification-status");
        this.abort = new AbortController();
        this.listeners = 0;
        this.history = [];
        this.selected = 0;
        this.written = null; // the text that the curve's points stand for
        this.points = [];
        this.drawMs = [];
        this.build(tauPlace, this.accordion.querySelector(".noise-rectification-omega"));
        this.describeControls();
        this.listen(this.app, "input", () => this.look());
        this.listen(this.app, "change", () => this.look());
        this.resizes = new ResizeObserver(() => this.look(true));
        this.resizes.observe(this.tau.svg);
        this.resizes.observe(this.omega.svg);
        this.timer = setInterval(() => this.look(), NoiseRectification.LOOK_EVERY_MS);
        this.look(true);
    }

    /** Take everything off the page again. */
    dispose() {
        this.abort.abort();
        this.resizes.disconnect();
        clearInterval(this.timer);
        for (const figure of [this.tau.figure, this.omega.figure]) figure.remove();
        this.listeners = 0;
    }

    listen(target, event, handler, options = {}) {
        target.addEventListener(event, handler, {...options, signal: this.abort.signal});
        this.listeners++;
    }

    /** Values in the places {0}, {1} and so on of a text. */
    static fill(text, ...values) {
        return text.replace(/\{(\d)\}/g, (_, index) => values[index]);
    }

    /** A text in the language of the page; filled after it is translated, so that one entry serves all numbers. */
    say(text, ...values) {
        return NoiseRectification.fill(window.localization?.[text] || text, ...values);
    }

    // Reading and writing the controls.

    /** @returns {HTMLInputElement|HTMLTextAreaElement|null} */
    control(name) {
        return this.app.querySelector(`#${this.config.ids[name]} :is(input, textarea)`);
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
        const length = this.number("#img2img-ad-video-length", 0);
        const context = this.number("#img2img-ad-batch-size", 16);
        return {
            fields,
            animatediff: this.value("#img2img-ad-enable"),
            context,
            // AnimateDiff makes at least one whole context.
            frames: Math.min(Math.max(Math.trunc(length), Math.trunc(context), 1), 4096),
            sampler: this.value("#img2img_sampling"),
            schedule: this.value("#img2img_scheduler"),
            steps: Math.max(Math.trunc(this.number("#img2img_steps", 20)), 1),
            strength: this.number("#img2img_denoising_strength", 0.75),
            fixSteps: Boolean(window.opts?.img2img_fix_steps),
        };
    }

    /** Settings from the fields. @throws {RangeError} with the message for the user */
    settings(fields) {
        const settings = {...fields};
        for (const name of ["tau_start", "tau_end", "omega_start", "omega_end"]) {
            const value = fields[name].trim() === "" ? NaN : Number(fields[name]);
            if (!(value >= 0 && value <= 1)) {
                throw new RangeError(`${name} = '${fields[name]}' is not allowed: use a number from 0 to 1`);
            }
            settings[name] = value;
        }
        if (settings.tau_start > settings.tau_end) {
            throw new RangeError(`tau_start = ${settings.tau_start} is after tau_end = ${settings.tau_end}: ` +
                "use a tau_start that is not larger");
        }
        settings.omega = NoiseRectification.parseOmega(fields.omega, this.config.omegaPresets);
        return settings;
    }

    /** Put a value into a control as if it had been typed. */
    write(name, value) {
        const control = this.control(name);
        if (!control || control.value === String(value)) return;
        control.value = String(value);
        control.dispatchEvent(new Event("input", {bubbles: true}));
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
        box?.setAttribute("aria-label", this.say("Enable Noise Rectification"));
    }

    // Drawing.

    /** Look at the controls, and draw if something has changed. */
    look(always = false) {
        // Measured before anything is drawn: in between, each look at a size would lay out the whole page again.
        const sizes = [this.tau.svg, this.omega.svg].map((svg) => [svg.clientWidth, svg.clientHeight]);
        if (!sizes[0][0]) return; // the accordion or the tab is closed
        this.sizes = new Map([[this.tau.svg, sizes[0]], [this.omega.svg, sizes[1]]]);
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
        let problem = null;
        let settings = {...this.config.defaults};
        try {
            settings = this.settings(state.fields);
            this.weights = NoiseRectification.omegaWeights(settings, state.frames);
        } catch (error) {
            if (!(error instanceof RangeError)) throw error;
            problem = error.message;
            this.weights = Array.isArray(settings.omega)
                ? NoiseRectification.resampled(settings.omega, state.frames)
                : NoiseRectification.omegaWeights({...this.config.defaults}, state.frames);
        }
        this.current = settings;
        this.levels = NoiseRectification.noiseLevels({...state, sampler: this.config.samplers[state.sampler]});
        this.drawStatus(problem);
        this.drawTau();
        this.drawOmega();
        this.accordion.classList.toggle("noise-rectification-wrong", problem !== null);
    }

    drawStatus(problem) {
        const {state} = this;
        const say = this.say.bind(this);
        const sentence = problem ?? NoiseRectification.summary(this.current, this.weights,
            NoiseRectification.plan(state.sampler, this.levels, state.steps, say), say);
        const lines = [[problem ? "wrong" : state.fields.enabled ? "on" : "off",
            problem || state.fields.enabled ? sentence : this.say("Off. When enabled: {0}", sentence)]];
        if (state.animatediff === null) {
            lines.push(["warning", this.say("AnimateDiff is not installed: without it there is no clip to rectify.")]);
        } else if (!state.animatediff) {
            lines.push(["warning", this.say("AnimateDiff is off in this tab: switch it on, or an enabled job is refused.")]);
        }
        const key = JSON.stringify(lines);
        if (key === this.said) return;
        this.said = key;
        this.statusPlace.replaceChildren(...lines.map(([kind, text]) => {
            const line = document.createElement("p");
            line.className = `noise-rectification-line ${kind}`;
            // A refusal begins with the name of a setting, which stays as it is written.
            line.textContent = kind === "wrong" ? text : text.charAt(0).toUpperCase() + text.slice(1);
            return line;
        }));
    }

    drawTau() {
        const {svg, bars, window: shade, axis, handles} = this.tau;
        const {left, top, width, height} = this.frame(svg);
        const inside = new Set(
            NoiseRectification.rectifiedSteps(this.levels.length, this.current.tau_start, this.current.tau_end));
        const count = Math.max(this.levels.length, 1);
        const gap = Math.min(2, width / count / 4);
        const paths = {inside: "", outside: ""};
        this.levels.forEach((sigma, index) => {
            // The share of noise in what the model sees, which is the same in all noise spaces.
            const level = sigma / Math.sqrt(1 + sigma * sigma) * height;
            const [x, w] = [left + index * width / count + gap / 2, width / count - gap];
            paths[inside.has(index) ? "inside" : "outside"] +=
                `M${x.toFixed(1)} ${top + height}v${(-level).toFixed(1)}h${w.toFixed(1)}v${level.toFixed(1)}z`;
        });
        bars.inside.setAttribute("d", paths.inside);
        bars.outside.setAttribute("d", paths.outside);
        const [from, to] = ["tau_start", "tau_end"].map((name) => left + this.current[name] * width);
        this.set(shade, {x: from, y: top, width: Math.max(to - from, 0), height});
        for (const name of ["tau_start", "tau_end"]) {
            const value = this.current[name];
            handles[name].setAttribute("transform", `translate(${(left + value * width).toFixed(1)} ${top})`);
            for (const line of handles[name].querySelectorAll("line")) line.setAttribute("y2", height);
            this.set(handles[name].querySelector("rect"), {y: height / 2 - 11});
            this.set(handles[name], {
                "aria-valuenow": value,
                "aria-valuetext": this.say("{0} of the steps, {1} of {2}", `${Math.round(value * 100)} %`,
                    Math.round(value * count), count),
            });
        }
        this.ticks(axis, [[0, "1"], ...(count > 1 ? [[1, String(count)]] : [])], this.say("step"), ["0 %", "100 %"]);
        this.tau.value.textContent = `${this.short(this.current.tau_start)} – ${this.short(this.current.tau_end)}`;
    }

    drawOmega() {
        const {svg, line, area, dots, axis, handles} = this.omega;
        const {frames} = this.state;
        const {left, top, width, height} = this.frame(svg);
        const text = this.state.fields.omega;
        if (text !== this.written || this.points[this.points.length - 1]?.frame !== frames - 1) {
            this.points = NoiseRectification.pointsOf(this.weights);
            this.written = null;
        }
        this.selected = Math.min(this.selected, this.points.length - 1);
        const x = (frame) => (left + frame * width / Math.max(frames - 1, 1)).toFixed(1);
        const y = (weight) => (top + (1 - weight) * height).toFixed(1);
        const path = this.weights.map((weight, frame) => `${frame ? "L" : "M"}${x(frame)} ${y(weight)}`).join("");
        line.setAttribute("d", path);
        area.setAttribute("d", `${path}L${x(frames - 1)} ${top + height}L${x(0)} ${top + height}z`);
        dots.setAttribute("d", frames > 64 ? ""
            : this.weights.map((weight, frame) => `M${x(frame)} ${y(weight)}h0`).join(""));
        while (handles.children.length > this.points.length) handles.lastChild.remove();
        while (handles.children.length < this.points.length) handles.append(this.newPoint());
        this.points.forEach(({frame, weight}, index) => {
            const handle = handles.children[index];
            this.set(handle, {
                "transform": `translate(${x(frame)} ${y(weight)})`,
                "tabindex": index === this.selected ? 0 : -1,
                "aria-label": this.say("ω at frame {0}; the last is {1}", frame, frames - 1),
                "aria-valuenow": this.short(weight),
                "aria-valuetext": this.short(weight),
            });
            handle.classList.toggle("selected", index === this.selected);
        });
        this.ticks(axis, [[0, "0"], ...(frames > 1 ? [[1, String(frames - 1)]] : [])], this.say("frame"), ["0", "1"]);
        const point = this.points[this.selected];
        this.omega.value.textContent = this.say("frame {0}: {1}", point.frame, this.short(point.weight));
        const {buttons} = this.omega;
        const atEnd = this.selected === 0 || this.selected === this.points.length - 1;
        this.enable(buttons.remove, !atEnd);
        this.enable(buttons.add, this.roomForPoint() !== null);
        this.enable(buttons.undo, this.history.length > 0);
        for (const [name, button] of Object.entries(this.omega.shapes)) {
            button.setAttribute("aria-pressed", String(this.current.omega === name));
        }
    }

    /** `aria-disabled` and not `disabled`: a button that is switched off while it has the focus would lose it. */
    enable(button, isOn) {
        button.setAttribute("aria-disabled", String(!isOn));
    }

    short(number) {
        return String(Number(number.toFixed(3)));
    }

    /** The part of a picture inside its axes, in pixels. */
    frame(svg) {
        const [width, height] = this.sizes.get(svg);
        return {left: 46, top: 12, width: Math.max(width - 62, 10), height: Math.max(height - 38, 10)};
    }

    /** The axes: lines, numbers and what they count. */
    ticks(axis, across, name, [low, high]) {
        const {left, top, width, height} = this.frame(axis.ownerSVGElement);
        const key = JSON.stringify([across, name, left, top, width, height]);
        if (axis.dataset.key === key) return;
        axis.dataset.key = key;
        const text = (x, y, anchor, content) => {
            const element = this.svg("text", {x, y, "text-anchor": anchor});
            element.textContent = content;
            return element;
        };
        const grid = [0, 0.25, 0.5, 0.75, 1].map((part) => `M${left} ${top + part * height}h${width}`).join("");
        axis.replaceChildren(
            this.svg("path", {d: grid}),
            text(left - 10, top + height + 4, "end", low),
            text(left - 10, top + 4, "end", high),
            ...across.map(([part, content]) => text(left + part * width, top + height + 17, "middle", content)),
            text(left + width / 2, top + height + 17, "middle", name));
    }

    // Building what is drawn into.

    svg(tag, attributes = {}) {
        return this.set(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes);
    }

    set(element, attributes) {
        for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
        return element;
    }

    build(tauPlace, omegaPlace) {
        this.tau = this.figure(tauPlace, this.say("τ: rectified steps, by their share of noise"));
        this.tau.axis = this.svg("g", {class: "axis", "aria-hidden": "true"});
        this.tau.bars = {
            outside: this.svg("path", {class: "bar outside"}), inside: this.svg("path", {class: "bar inside"}),
        };
        this.tau.window = this.svg("rect", {class: "window"});
        this.tau.handles = {
            tau_start: this.tauHandle("tau_start"), tau_end: this.tauHandle("tau_end"),
        };
        this.tau.svg.append(this.tau.axis, this.tau.window, this.tau.bars.outside, this.tau.bars.inside,
            ...Object.values(this.tau.handles));

        this.omega = this.figure(omegaPlace, this.say("ω: how freely each frame moves"));
        const {svg} = this.omega;
        Object.assign(this.omega, {
            axis: this.svg("g", {class: "axis", "aria-hidden": "true"}),
            area: this.svg("path", {class: "area"}),
            line: this.svg("path", {class: "line"}),
            dots: this.svg("path", {class: "dots"}),
            handles: this.svg("g"),
        });
        svg.append(this.omega.axis, this.omega.area, this.omega.line, this.omega.dots, this.omega.handles);
        this.listen(svg, "dblclick", (event) => this.addAt(event));
        this.listen(this.omega.handles, "pointerdown", (event) => this.dragPoint(event));
        this.keepFromScrolling(this.omega.handles);
        this.listen(this.omega.handles, "keydown", (event) => this.pointKey(event));
        this.listen(this.omega.handles, "focusin", (event) => this.select(this.indexOf(event.target)));
        this.omega.figure.append(this.toolbar());
    }

    /** @returns an object with the figure, its svg and the text at the right of its heading */
    figure(place, title) {
        const figure = document.createElement("figure");
        figure.className = "noise-rectification-figure";
        const caption = document.createElement("figcaption");
        const heading = document.createElement("span");
        heading.textContent = title;
        const value = document.createElement("output");
        caption.append(heading, value);
        const svg = this.svg("svg", {role: "group", "aria-label": title});
        figure.append(caption, svg);
        place.replaceChildren(figure);
        return {figure, svg, value};
    }

    tauHandle(name) {
        const handle = this.svg("g", {
            "class": "handle", "role": "slider", "tabindex": 0, "aria-label": this.say(this.config.labels[name]),
            "aria-valuemin": 0, "aria-valuemax": 1,
        });
        const title = this.svg("title");
        title.textContent = this.say(this.config.help[name]);
        handle.append(title, this.svg("line", {y1: 0, class: "reach"}), this.svg("line", {y1: 0}),
            this.svg("rect", {x: -5, width: 10, height: 22, rx: 5}));
        // The wide, invisible line is what a finger hits.
        this.listen(handle, "pointerdown", (event) => this.drag(event, handle, (x) => this.setTau(name, x)));
        this.keepFromScrolling(handle);
        this.listen(handle, "keydown", (event) => this.tauKey(event, name));
        return handle;
    }

    /** A finger on it drags; `touch-action` alone does not keep Chromium from scrolling the page with SVG shapes. */
    keepFromScrolling(element) {
        this.listen(element, "touchstart", (event) => event.preventDefault(), {passive: false});
    }

    newPoint() {
        const point = this.svg("g", {
            "class": "point", "role": "slider", "aria-orientation": "vertical", "aria-valuemin": 0, "aria-valuemax": 1,
        });
        point.append(this.svg("circle", {r: 16, class: "reach"}), this.svg("circle", {r: 6}));
        return point;
    }

    toolbar() {
        const bar = document.createElement("div");
        bar.className = "noise-rectification-toolbar";
        const button = (label, title, act) => {
            const element = document.createElement("button");
            element.type = "button";
            element.textContent = this.say(label);
            element.title = this.say(title);
            this.listen(element, "click", () => element.getAttribute("aria-disabled") !== "true" && act());
            return element;
        };
        this.omega.shapes = Object.fromEntries(Object.entries(this.config.omegaPresets).map(([name, help]) =>
            [name, button(name, help, () => this.change(() => this.write("omega", name)))]));
        this.omega.buttons = {
            add: button("+ Point", "Add a point after the selected one (Insert; or double-click the curve)",
                () => this.addPoint()),
            remove: button("− Point", "Remove the selected point (Delete)", () => this.removePoint()),
            undo: button("Undo", "Take the last change of the curve back (Ctrl+Z)", () => this.undo()),
            reset: button("Reset", "The authors' curve", () => this.reset()),
        };
        for (const [label, buttons] of [["Shape of the curve", this.omega.shapes], ["Edit the curve", this.omega.buttons]]) {
            const group = document.createElement("div");
            this.set(group, {"role": "group", "aria-label": this.say(label)});
            group.append(...Object.values(buttons));
            bar.append(group);
        }
        this.set(this.omega.svg, {"aria-description": this.say(
            "Arrow keys: up and down change ω, left and right go to the next point, with Shift they move it. " +
            "Insert adds a point, Delete removes it, Ctrl+Z takes back.")});
        return bar;
    }

    // Editing τ.

    setTau(name, value) {
        const other = Number(this.current[name === "tau_start" ? "tau_end" : "tau_start"]);
        const bounded = name === "tau_start" ? Math.min(value, other) : Math.max(value, other);
        this.write(name, this.short(Math.round(Math.min(Math.max(bounded, 0), 1) * 100) / 100));
        this.look();
    }

    tauKey(event, name) {
        const step = event.shiftKey ? 0.1 : 0.01;
        const value = this.current[name];
        const next = {
            ArrowLeft: value - step, ArrowDown: value - step, ArrowRight: value + step, ArrowUp: value + step,
            PageDown: value - 0.1, PageUp: value + 0.1, Home: 0, End: 1,
        }[event.key];
        if (next === undefined) return;
        event.preventDefault();
        this.setTau(name, next);
    }

    /**
     * Follow the pointer until it is lifted.
     * @param {(x: number, y: number) => void} move gets the place inside the axes, from 0 to 1
     */
    drag(event, handle, move) {
        if (event.button) return;
        event.preventDefault();
        const svg = handle.ownerSVGElement;
        // Where the picture was: a sentence above it that takes another number of lines must not change the value.
        const box = svg.getBoundingClientRect();
        handle.focus({preventScroll: true}); // or the picture would move away under the pointer
        handle.setPointerCapture(event.pointerId);
        const ended = new AbortController();
        const options = {signal: AbortSignal.any?.([ended.signal, this.abort.signal]) ?? ended.signal};
        handle.addEventListener("pointermove", (moved) => move(...this.place(moved, svg, box)), options);
        for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
            handle.addEventListener(end, () => ended.abort(), options);
        }
    }

    place(event, svg, box = svg.getBoundingClientRect()) {
        const {left, top, width, height} = this.frame(svg);
        return [(event.clientX - box.left - left) / width, 1 - (event.clientY - box.top - top) / height];
    }

    // Editing ω.

    indexOf(target) {
        return [...this.omega.handles.children].indexOf(target.closest(".point"));
    }

    select(index) {
        if (index < 0 || index === this.selected) return;
        this.selected = index;
        this.drawOmega();
    }

    focusPoint(index) {
        this.selected = Math.min(Math.max(index, 0), this.points.length - 1);
        this.drawOmega();
        this.omega.handles.children[this.selected].focus();
    }

    /** Change the curve, and remember how it was. */
    change(act) {
        this.remember();
        act();
        this.look();
    }

    remember() {
        const {omega, omega_start, omega_end} = this.state.fields;
        const before = {omega, omega_start, omega_end, points: this.points.map((point) => ({...point}))};
        this.history = [...this.history.slice(-99), {...before, written: this.written}];
    }

    undo() {
        const before = this.history.pop();
        if (!before) return;
        for (const name of ["omega_start", "omega_end", "omega"]) this.write(name, before[name]);
        [this.points, this.written] = [before.points, before.written];
        this.look(true);
    }

    reset() {
        this.change(() => {
            for (const name of ["omega_start", "omega_end", "omega"]) this.write(name, this.config.defaults[name]);
        });
    }

    /** Write the points into the text field, one number a frame. */
    writePoints() {
        const values = NoiseRectification.valuesOf(this.points, this.state.frames);
        this.written = values.map((value) => this.short(value)).join(", ");
        this.write("omega", this.written);
        this.look();
    }

    movePoint(index, frame, weight) {
        const last = this.points.length - 1;
        const point = this.points[index];
        if (index > 0 && index < last) { // the first and the last keep their frames
            const [low, high] = [this.points[index - 1].frame + 1, this.points[index + 1].frame - 1];
            point.frame = Math.min(Math.max(Math.round(frame), low), high);
        }
        point.weight = Math.round(Math.min(Math.max(weight, 0), 1) * 100) / 100;
        this.writePoints();
    }

    dragPoint(event) {
        const index = this.indexOf(event.target);
        if (index < 0) return;
        let moved = false;
        this.drag(event, this.omega.handles.children[index], (x, y) => {
            if (!moved) this.remember();
            moved = true;
            this.movePoint(index, x * (this.state.frames - 1), y);
        });
    }

    pointKey(event) {
        const index = this.indexOf(event.target);
        const point = this.points[index];
        const step = event.shiftKey ? 0.1 : 0.01;
        const move = (frames, weight) =>
            this.change(() => this.movePoint(index, point.frame + frames, point.weight + weight));
        const acts = {
            ArrowUp: () => move(0, step),
            ArrowDown: () => move(0, -step),
            PageUp: () => move(0, 0.1),
            PageDown: () => move(0, -0.1),
            ArrowLeft: () => event.shiftKey ? move(-1, 0) : this.focusPoint(index - 1),
            ArrowRight: () => event.shiftKey ? move(1, 0) : this.focusPoint(index + 1),
            Home: () => this.focusPoint(0),
            End: () => this.focusPoint(this.points.length - 1),
            Insert: () => this.addPoint(),
            Delete: () => this.removePoint(),
            Backspace: () => this.removePoint(),
        };
        const isUndo = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z";
        const act = isUndo ? () => this.undo() : acts[event.key];
        if (!act || (!isUndo && (event.ctrlKey || event.metaKey || event.altKey))) return;
        event.preventDefault();
        event.stopPropagation();
        act();
    }

    /** The frame in the middle of the stretch after the selected point, or before it; null where there is none. */
    roomForPoint() {
        for (const left of [this.selected, this.selected - 1]) {
            const [from, to] = [this.points[left]?.frame, this.points[left + 1]?.frame];
            if (to - from >= 2) return Math.floor((from + to) / 2);
        }
        return null;
    }

    addPoint(frame = this.roomForPoint(), weight = this.weights[frame]) {
        if (frame === null || this.points.some((point) => point.frame === frame)) return;
        this.change(() => {
            const added = {frame, weight: Math.round(Math.min(Math.max(weight, 0), 1) * 1000) / 1000};
            this.points = [...this.points, added].sort((a, b) => a.frame - b.frame);
            this.selected = this.points.indexOf(added);
            this.writePoints();
        });
        this.look(true);
        this.focusPoint(this.selected);
    }

    addAt(event) {
        const [x, y] = this.place(event, this.omega.svg);
        const frame = Math.round(x * (this.state.frames - 1));
        if (frame >= 0 && frame < this.state.frames) this.addPoint(frame, y);
    }

    removePoint() {
        if (this.selected <= 0 || this.selected >= this.points.length - 1) return;
        this.change(() => {
            this.points.splice(this.selected, 1);
            this.selected--;
            this.writePoints();
        });
        this.focusPoint(this.selected);
    }
}

onUiLoaded(() => NoiseRectification.load());

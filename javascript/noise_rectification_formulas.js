/** The formulas and the words of lib_noiserect, equal to them bit by bit and letter by letter. */
Object.assign(NoiseRectification, {
    /** The same as in lib_noiserect/core/schedule.py. */
    TOLERANCE: 1e-5,

    /**
     * The indices of the steps inside the window τ.
     * @param {number} numSteps
     * @param {number} tauStart
     * @param {number} tauEnd
     * @returns {number[]}
     */
    rectifiedSteps(numSteps, tauStart, tauEnd) {
        const settings = {tau_start: tauStart, tau_end: tauEnd};
        return Array.from({length: numSteps}, (_, index) => index)
            .filter((index) => NoiseRectification.isInside(index, numSteps, settings));
    },

    /** Whether a step at `position` of `numSteps` is rectified. */
    isInside(position, numSteps, {tau_start: start, tau_end: end}) {
        return numSteps * start - NoiseRectification.TOLERANCE <= position
            && position < numSteps * end - NoiseRectification.TOLERANCE;
    },

    /**
     * ω of every frame; with ω = motion, the share of motion of every frame.
     * @param {{omega: string|number[], omega_start: number, omega_end: number, omega_resample: boolean, motion: number,
     *     loop: boolean}} settings
     * @param {number} numFrames
     * @param {number[]} keyFrames the frames that are pictures
     * @returns {number[]}
     * @throws {RangeError} the list does not fit the clip; the message is for the user
     */
    omegaWeights(settings, numFrames, keyFrames = [0]) {
        const {omega, omega_start: start, omega_end: end} = settings;
        if (Array.isArray(omega)) {
            if (omega.length === numFrames) return [...omega];
            if (!settings.omega_resample) {
                throw new RangeError(
                    `omega has ${omega.length} entries and the video has ${numFrames} frames: ` +
                    `give ${numFrames} entries, or set omega_resample`);
            }
            return NoiseRectification.resampled(omega, numFrames);
        }
        const distances = NoiseRectification.distances(keyFrames, numFrames, settings.loop);
        if (omega === "motion") return distances.map((distance) => settings.motion * (distance ?? 1));
        if (omega === "authors" || omega === "linear") {
            const reach = omega === "authors" ? 2 : 1;
            const falling = Math.floor(numFrames / reach);
            return distances.map((distance, frame) => distance !== null ? end + (start - end) * Math.min(reach * distance, 1)
                : frame < falling ? start + (end - start) * frame / Math.max(falling - 1, 1) : end);
        }
        return Array(numFrames).fill(omega === "constant" ? start : 0);
    },

    /**
     * How far each frame is from its nearest key frame, from 0 to 1.
     * @returns {number[]|null[]} nulls for a clip with one key frame that is no loop, in which distance does not matter
     */
    distances(keyFrames, numFrames, loop) {
        if (!loop && keyFrames.length < 2) return Array(numFrames).fill(null);
        const way = (frame, key) => {
            const straight = Math.abs(frame - key);
            return loop ? Math.min(straight, numFrames - straight) : straight;
        };
        const nearest = Array.from({length: numFrames}, (_, frame) => Math.min(...keyFrames.map((key) => way(frame, key))));
        const farthest = Math.max(...nearest, 1);
        return nearest.map((steps) => steps / farthest);
    },

    /**
     * The frames that are pictures: the first one, and those whose numbers stand at the ends of the files' names.
     * @param {string[]} names
     * @param {number} numFrames
     */
    keyFrames(names, numFrames) {
        const numbers = names.map((name) => Number(/(\d+)(?:\.[^.]*)?$/.exec(name)?.[1] ?? 0));
        return [...new Set([0, ...numbers.filter((frame) => frame < numFrames)])].sort((one, other) => one - other);
    },

    /** Piecewise linear, first on first and last on last. */
    resampled(values, count) {
        return Array.from({length: count}, (_, index) => {
            const position = index * (values.length - 1) / Math.max(count - 1, 1);
            const left = Math.min(Math.trunc(position), values.length - 1);
            const right = Math.min(left + 1, values.length - 1);
            return values[left] + (values[right] - values[left]) * (position - left);
        });
    },

    /**
     * What is typed into the ω field: a preset's name, or the numbers of a list.
     * @returns {string|number[]}
     * @throws {RangeError}
     */
    parseOmega(text, presets) {
        const name = text.trim().toLowerCase();
        if (name in presets) return name;
        const entries = name.replace(/^[[\]()]+|[[\]()]+$/g, "").replaceAll(",", " ").split(/\s+/).filter(Boolean);
        const isNumber = (entry) => /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/.test(entry);
        const wrong = entries.find((entry) => !isNumber(entry) || Number(entry) < 0 || Number(entry) > 1);
        if (!entries.length || wrong !== undefined) {
            const allowed = `${Object.keys(presets).join(", ")}, or a list of numbers from 0 to 1, one per frame`;
            throw new RangeError(`omega = '${(wrong ?? name).slice(0, 60)}' is not allowed: use ${allowed}`);
        }
        return entries.map(Number);
    },

    /** As Python's format(number, `.{digits}g`). */
    general(number, digits) {
        const rounded = Number(number.toPrecision(digits));
        if (rounded === 0 || rounded >= 1e-4) return String(rounded);
        return rounded.toExponential().replace(/-(\d)$/, "-0$1");
    },

    /**
     * The sentence of lib_noiserect/core/summary.py.
     * @param {object} settings
     * @param {number[]} weights ω of every frame
     * @param {{count: number|null, note: string}} plan the sampler's steps; null if it chooses them while it runs
     */
    summary(settings, weights, {count, note}, say = NoiseRectification.fill) {
        const {tau_start: start, tau_end: end} = settings;
        const percent = (tau) => NoiseRectification.general(100 * tau, 6);
        const countsSteps = settings.tau_unit === "steps";
        const known = count !== null && countsSteps;
        const steps = known ? NoiseRectification.rectifiedSteps(count, start, end) : [];
        const [first, last] = [steps[0] + 1, steps[steps.length - 1] + 1];
        const nothing = known ? !steps.length : start >= end;
        const range = countsSteps ? "rectified from {0} % to {1} % of the noise range (log σ)"
            : "rectified from {0} % to {1} % of the noise levels";
        let window = !known ? say(range, percent(start), percent(end)) : nothing ? say("no step of {0} rectified", count)
                : steps.length === 1 ? say("step {0} of {1} rectified", first, count)
                    : say("steps {0}–{1} of {2} rectified", first, last, count);
        const behind = note ? ` (${note})` : "";
        const begins = NoiseRectification.startOf(settings, say);
        if (nothing) {
            const plain = say("{0}: a plain video", known ? window + behind : say("nothing rectified"));
            return [plain, ...begins].join(", ");
        }
        window += behind;
        const [atStart, atEnd] = known ? [first === 1, last === count] : [start === 0, end === 1];
        const frame = !atStart
            ? known ? say("first frame not kept, because rectification starts with step {0}", first)
                : say("first frame not kept, because rectification starts at {0} %", percent(start))
            : atEnd || settings.pin_first_frame ? say("first frame kept")
                : known ? say("first frame free after step {0}", last) : say("first frame free after {0} %", percent(end));
        const release = atEnd || !settings.release ? ""
            : say(countsSteps ? "fading out over {0} % of the steps" : "fading out over {0} % of the noise levels",
                percent(settings.release));
        const colours = atEnd || !settings.hold_colour ? "" : say("color preserved");
        const back = settings.loop && weights.length > 1 ? say("seamless loop") : "";
        return [window, frame, release, colours, NoiseRectification.motionOf(settings, weights, say), back, ...begins]
            .filter(Boolean).join(", ");
    },

    /** Where denoising starts, if it is not where the model does. */
    startOf({start_time: late, statistics}, say) {
        const below = "starting at {0} % of the noise levels";
        return [late < 1 ? say(below, NoiseRectification.general(100 * late, 6)) : "",
            statistics && statistics !== "none" ? say("initial noise from {0}", statistics) : ""].filter(Boolean);
    },

    /** How the frames after the first move. */
    motionOf(settings, weights, say) {
        if (weights.length < 2) return "";
        const {target_ssim: wanted, omega, motion} = settings;
        if (wanted) return say("motion tuned for SSIM {0}", NoiseRectification.general(wanted, 6));
        if (omega === "motion") return say("{0} % of the model's motion", NoiseRectification.general(100 * motion, 6));
        return NoiseRectification.motion(weights, say);
    },

    /** How freely the frames after the first move. */
    motion(weights, say) {
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
    },

    /** How many calls of the UNet each stage of a job through a picture costs, as `job_calls` of methods/i4vgen.py. */
    jobCalls(settings, frames, steps, {regenerated, hasPicture, callsAStep = 1}) {
        const picks = settings.scorer === "pick";
        const candidates = hasPicture ? 0 : picks && settings.pick >= 0 ? 1 : settings.candidates || Math.min(frames, 64);
        const updates = settings.animation_share > 0
            ? Math.min(Math.trunc(steps * settings.animation_share + 1e-9) + 1, steps) : 0;
        const ends = !hasPicture && picks && settings.pick < 0;
        const calls = {
            candidates: steps * callsAStep * candidates / frames,
            choice: settings.scorer === "model" && candidates > 1 ? 4 * candidates / frames : 0,
            animation: ends ? 0 : updates,
            regeneration: ends ? 0 : regenerated * callsAStep,
        };
        return Object.fromEntries(Object.entries(calls).filter(([, count]) => count));
    },

    /** As `calls_words` of methods/i4vgen.py. */
    callsWords(calls, frames, say = NoiseRectification.fill) {
        const short = (count) => NoiseRectification.general(count, 3);
        const counted = Object.entries(calls).map(([stage, count]) => `${say(stage)} ${short(count)}`).join(", ");
        const all = Object.values(calls).reduce((sum, count) => sum + count, 0);
        return say("{0} UNet calls on {1} frames: {2}", short(all), frames, counted);
    },

    // The curve of ω as points; only the page has these.

    /**
     * The fewest points whose straight lines are the curve, to 0.0025 (Ramer, Douglas and Peucker).
     * @param {number[]} values one a frame
     * @returns {{frame: number, weight: number}[]}
     */
    pointsOf(values) {
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
    },

    /** One weight a frame from points, whose first is at frame 0 and whose last is at the last frame. */
    valuesOf(points, numFrames) {
        const values = Array(numFrames).fill(points[0].weight);
        for (let i = 1; i < points.length; i++) {
            const [left, right] = [points[i - 1], points[i]];
            for (let frame = left.frame; frame <= right.frame; frame++) {
                const part = (frame - left.frame) / Math.max(right.frame - left.frame, 1);
                values[frame] = left.weight + (right.weight - left.weight) * part;
            }
        }
        return values;
    },
});

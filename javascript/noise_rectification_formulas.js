/** The formulas and the words of lib_noiserect, equal to them bit by bit and letter by letter. */
Object.assign(NoiseRectification, {
    /** The same as in lib_noiserect/schedule.py. */
    TOLERANCE: 1e-5,

    /**
     * The indices of the steps inside the window τ.
     * @param {number} numSteps
     * @param {number} tauStart
     * @param {number} tauEnd
     * @returns {number[]}
     */
    rectifiedSteps(numSteps, tauStart, tauEnd) {
        const first = numSteps * tauStart - NoiseRectification.TOLERANCE;
        const end = numSteps * tauEnd - NoiseRectification.TOLERANCE;
        return Array.from({length: numSteps}, (_, index) => index).filter((index) => first <= index && index < end);
    },

    /**
     * ω of every frame.
     * @param {{omega: string|number[], omega_start: number, omega_end: number, omega_resample: boolean}} settings
     * @param {number} numFrames
     * @returns {number[]}
     * @throws {RangeError} the list does not fit the clip; the message is for the user
     */
    omegaWeights(settings, numFrames) {
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
        if (settings.loop && (omega === "authors" || omega === "linear")) {
            const reach = omega === "authors" ? 2 : 1;
            const half = Math.max(Math.floor(numFrames / 2), 1);
            return Array.from({length: numFrames}, (_, frame) =>
                end + (start - end) * Math.min(reach * (Math.min(frame, numFrames - frame) / half), 1));
        }
        if (omega === "authors") {
            const firstHalf = Math.floor(numFrames / 2);
            return [...linear(firstHalf), ...Array(numFrames - firstHalf).fill(end)];
        }
        if (omega === "linear") return linear(numFrames);
        return Array(numFrames).fill(omega === "constant" ? start : 0);
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
            const allowed = `${Object.keys(presets).join(", ")}, or a list of numbers from 0 to 1, one a frame`;
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
     * The sentence of lib_noiserect/summary.py.
     * @param {object} settings
     * @param {number[]} weights ω of every frame
     * @param {{count: number|null, note: string}} plan the sampler's steps; null if it chooses them while it runs
     */
    summary(settings, weights, {count, note}, say = NoiseRectification.fill) {
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
        const release = atEnd || !settings.release ? ""
            : say("released softly over {0} % of the steps", percent(settings.release));
        return [window, frame, release, NoiseRectification.motion(weights, say)].filter(Boolean).join(", ");
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

/** The schedules of the host: at which noise levels a job will step, and how many steps that makes. */
Object.assign(NoiseRectification, {
    /**
     * How many steps a sampler will take, as planned.py has it for the host's own schedules.
     * @returns {{count: number|null, note: string}}
     */
    plan(name, levels, steps, say = NoiseRectification.fill) {
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
    },

    /**
     * The noise level σ at each of the steps that img2img makes, as the host's schedules have it. How many there are is
     * a promise. How high they are is a picture: a host's settings can bend a schedule a little.
     * @param {{sampler: object, schedule: string, steps: number, strength: number, options: object, start: number}} job
     *     options: those of HOST_OPTIONS; start: the start time M, of whose schedule the strength takes the last steps
     * @returns {number[]}
     */
    noiseLevels({sampler, schedule, steps, strength, options, start = 1}) {
        const capped = Math.min(strength, 0.999);
        const total = options.img2img_fix_steps ? (strength > 0 ? Math.trunc(steps / capped) : 0) : steps;
        const encoded = options.img2img_fix_steps ? steps - 1 : Math.trunc(capped * steps);
        if (total < 1) return [];
        const sigmas = NoiseRectification.modelLevels(sampler?.levels ?? 1000);
        const discards = Boolean(sampler?.discards || options.always_discard_next_to_last_sigma);
        const count = total + Number(discards);
        if (sampler?.timesteps) {
            return NoiseRectification.timestepLevels(sampler, count, encoded, sigmas, start, Math.trunc(0.999 * total));
        }
        const named = /^automatic$/i.test(schedule ?? "") || !schedule ? sampler?.schedule : schedule;
        const levels = NoiseRectification.schedule((named ?? "").toLowerCase().replaceAll("_", " "), count, sigmas);
        if (discards) levels.splice(-1, 1);
        return NoiseRectification.startingAt(start, levels).slice(Math.max(total - encoded - 1, 0));
    },

    /** σ of a model with `count` levels, which AnimateDiff gives a linear schedule of β for Stable Diffusion's own. */
    modelLevels(count) {
        let alphaBar = 1;
        const sigmas = Array.from({length: 1000}, (_, t) => {
            alphaBar *= 1 - (0.00085 + (0.012 - 0.00085) * t / 999);
            return Math.sqrt((1 - alphaBar) / alphaBar);
        });
        const skip = 1000 / count; // LCM knows each 20th
        return sigmas.filter((_, t) => (t + 1) % skip === 0);
    },

    /**
     * How far denoising is at a noise level, from 0 at the model's noisiest to below 1, as lib_noiserect/core/noise_levels.py has it.
     * @param {number} sigma
     */
    progress(sigma) {
        const logs = NoiseRectification.modelLogs ??= NoiseRectification.modelLevels(1000).map(Math.log);
        const log = Math.log(Math.max(sigma, 1e-12));
        const right = logs.findIndex((level) => level >= log);
        if (right <= 0) return right ? 0 : 1 - 1 / logs.length;
        const timestep = right - (logs[right] - log) / (logs[right] - logs[right - 1]);
        return 1 - (timestep + 1) / logs.length;
    },

    /** σ of a whole schedule that is moved to begin at the start time; its timesteps keep their proportions. */
    startingAt(start, levels) {
        if (start >= 1 || !levels.length) return levels;
        const sigmas = NoiseRectification.modelLevels(1000);
        const logs = sigmas.map(Math.log);
        const timestep = (sigma) => {
            const log = Math.log(sigma);
            const left = Math.min(Math.max(logs.findLastIndex((level) => level <= log), 0), logs.length - 2);
            return left + (log - logs[left]) / (logs[left + 1] - logs[left]);
        };
        const factor = (Math.round(1000 * start) - 1) / timestep(levels[0]);
        return levels.map((sigma) => NoiseRectification.sigmaAt(sigmas, timestep(sigma) * factor));
    },

    /**
     * σ of the steps of DDIM, PLMS and UniPC.
     * @param {number} whole how many timesteps the whole denoising strength takes
     */
    timestepLevels(sampler, count, encoded, sigmas, start, whole) {
        const stride = Math.max(Math.floor(1000 / count), 1);
        const plain = (index) => Math.min(index * stride + 1, 999);
        const factor = start < 1 ? (Math.round(1000 * start) - 1) / plain(Math.max(whole - 1, 0)) : 1;
        const time = (index) => Math.min(start < 1 ? Math.round(plain(index) * factor) : plain(index), 999);
        if (sampler.afterTheLast) { // UniPC divides the time anew, and also steps from the last level
            return Array.from({length: encoded},
                (_, i) => NoiseRectification.sigmaAt(sigmas, time(encoded - 1) * (1 - i / encoded)));
        }
        return Array.from({length: Math.max(encoded - 1, 0)}, (_, i) => sigmas[time(encoded - 1 - i)]);
    },

    /** σ at a time between two levels. */
    sigmaAt(sigmas, t) {
        const left = Math.min(Math.max(Math.floor(t), 0), sigmas.length - 2);
        return Math.exp(Math.log(sigmas[left]) * (left + 1 - t) + Math.log(sigmas[left + 1]) * (t - left));
    },

    /** σ of a schedule's `count` steps, without the 0 at its end. */
    schedule(name, count, sigmas) {
        const last = sigmas.length - 1;
        const [low, high] = [sigmas[0], sigmas[last]];
        const share = (index) => index / Math.max(count - 1, 1);
        const along = (level) => Array.from({length: count}, (_, index) => level(share(index), index));
        const atShare = (part) => NoiseRectification.sigmaAt(sigmas, last * part);
        switch (name) {
        case "karras":
            return along((x) => (high ** (1 / 7) + x * (low ** (1 / 7) - high ** (1 / 7))) ** 7);
        case "exponential":
        case "polyexponential":
            return along((x) => high ** (1 - x) * low ** x);
        case "sgm uniform":
            return along((_, index) => atShare(1 - index / count));
        case "kl optimal":
            return along((_, i) => Math.tan(i / count * Math.atan(low) + (1 - i / count) * Math.atan(high)));
        case "align your steps": {
            const table = [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029].map(Math.log);
            return NoiseRectification.resampled(table, count).map(Math.exp);
        }
        case "simple":
            return along((_, index) => sigmas[last - Math.trunc(index * (sigmas.length / count))]);
        case "ddim": {
            const stride = Math.max(Math.floor(sigmas.length / count), 1);
            const length = Math.ceil(last / stride); // which may be more than asked for
            return Array.from({length}, (_, index) => sigmas[(length - 1 - index) * stride + 1]);
        }
        case "beta":
            return along((x) => low + NoiseRectification.betaQuantile(1 - x) * (high - low));
        default: // Uniform, Normal, and what a host adds
            return along((x) => atShare(1 - x));
        }
    },

    /** Where the distribution Beta(0.6, 0.6), the host's default, reaches `share`. */
    betaQuantile(share) {
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
    },
});

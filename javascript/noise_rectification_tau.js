/** The curve of τ: the noise level of each step, and a handle at each end of the window. */
class NoiseRectificationTau {
    constructor(panel, place) {
        this.panel = panel;
        // The wide, invisible line is the target for a finger.
        const handle = `<g class="handle" role="slider" tabindex="0" aria-valuemin="0" aria-valuemax="1"><title></title>
            <line y1="0" class="reach"/><line y1="0"/><rect x="-5" width="10" height="22" rx="5"/></g>`;
        const axes = this.axes = new NoiseRectificationAxes(panel, place, panel.say("τ: rectified steps, by their share of noise"),
            `<rect class="window"/><rect class="window release"/>
            <path class="bar outside"/><path class="bar inside"/>${handle}${handle}`);
        const [, rectified, release, outside, inside, tau_start, tau_end] = axes.svg.children;
        Object.assign(this, {window: rectified, release, bars: {outside, inside}, handles: {tau_start, tau_end}});
        for (const [name, handle] of Object.entries(this.handles)) {
            handle.setAttribute("aria-label", panel.say(panel.config.labels[name]));
            handle.firstChild.textContent = panel.say(panel.config.help[name]);
            axes.moves(handle, (event) => axes.drag(event, handle, (x) => this.setTau(name, x)), (event) => this.key(event, name));
        }
    }

    /** A fraction as its control has it, from 0 to 1. */
    fraction(name) {
        const value = Number(this.panel.state.fields[name]);
        return Math.min(Math.max(Number.isFinite(value) ? value : this.panel.config.defaults[name], 0), 1);
    }

    draw() {
        const {axes, panel} = this;
        const {left, top, width, height} = axes.frame();
        const count = Math.max(panel.answer.positions.length, 1);
        const countsSteps = panel.state.fields.tau_unit === "steps";
        const [start, end, release] = ["tau_start", "tau_end", "release"].map((name) => this.fraction(name));
        this.drawBars(start, end, countsSteps ? count : 1);
        axes.set(this.window, {x: left + start * width, y: top, width: Math.max(end - start, 0) * width, height});
        axes.set(this.release, {x: left + end * width, y: top, width: Math.min(release, 1 - end) * width, height});
        for (const [name, handle] of Object.entries(this.handles)) {
            const value = this.fraction(name);
            const percent = `${Math.round(value * 100)} %`;
            axes.set(handle, {
                "transform": `translate(${(left + value * width).toFixed(1)} ${top})`,
                "aria-valuenow": value,
                "aria-valuetext": countsSteps ? panel.say("{0} of the steps, {1} of {2}", percent, Math.round(value * count), count)
                    : panel.say("{0} of the noise levels", percent),
            });
            for (const line of handle.querySelectorAll("line")) line.setAttribute("y2", height);
            handle.lastChild.setAttribute("y", height / 2 - 11);
        }
        const name = panel.say(countsSteps ? "step" : "noise levels, from the highest");
        axes.ticks(countsSteps ? [1, count] : [0, 1], name, ["0 %", "100 %"]);
        axes.value.textContent = `${axes.short(start)} – ${axes.short(end)}`;
    }

    /** A bar for each step, from its position to the next one; those inside the window as it is on the screen are colored. */
    drawBars(start, end, scale) {
        const {positions, noise} = this.panel.answer;
        const {left, top, width, height} = this.axes.frame();
        const tolerance = 1e-5 / scale; // as in the library
        const paths = {inside: "", outside: ""};
        positions.forEach((position, index) => {
            const level = noise[index] * height;
            const each = ((positions[index + 1] ?? 1) - position) * width;
            const gap = Math.min(2, each / 4);
            const [x, w] = [left + position * width + gap / 2, each - gap];
            const isInside = position >= start - tolerance && position < end - tolerance;
            paths[isInside ? "inside" : "outside"] +=
                `M${x.toFixed(1)} ${top + height}v${(-level).toFixed(1)}h${w.toFixed(1)}v${level.toFixed(1)}z`;
        });
        for (const [name, path] of Object.entries(paths)) this.bars[name].setAttribute("d", path);
    }

    /** Write an end of the window; it stops at the other one. */
    setTau(name, value) {
        const other = this.fraction(name === "tau_start" ? "tau_end" : "tau_start");
        const bounded = name === "tau_start" ? Math.min(value, other) : Math.max(value, other);
        this.panel.write(name, this.axes.rounded(bounded));
        this.panel.look();
    }

    key(event, name) {
        const step = event.shiftKey ? 0.1 : 0.01;
        const value = this.fraction(name);
        const next = {
            ArrowLeft: value - step, ArrowDown: value - step, ArrowRight: value + step, ArrowUp: value + step,
            PageDown: value - 0.1, PageUp: value + 0.1, Home: 0, End: 1,
        }[event.key];
        if (next === undefined) return;
        event.preventDefault();
        this.setTau(name, next);
    }
}

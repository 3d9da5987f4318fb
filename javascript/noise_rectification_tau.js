/** The curve of τ: the noise level of each step, and a handle at each end of the window. */
class NoiseRectificationTau {
    /** Positions are compared with the tolerance of the library. */
    static TOLERANCE = 1e-5;

    constructor(panel, place) {
        this.panel = panel;
        const axes = this.axes = new NoiseRectificationAxes(panel, place, panel.say("τ: rectified steps, by their share of noise"));
        const bar = (name) => axes.shape("path", {class: `bar ${name}`});
        this.bars = {outside: bar("outside"), inside: bar("inside")};
        this.window = axes.shape("rect", {class: "window"});
        this.release = axes.shape("rect", {class: "window release"});
        this.handles = {tau_start: this.newHandle("tau_start"), tau_end: this.newHandle("tau_end")};
        axes.svg.append(this.window, this.release, this.bars.outside, this.bars.inside, ...Object.values(this.handles));
    }

    newHandle(name) {
        const {axes, panel} = this;
        const [label, help] = [panel.say(panel.config.labels[name]), panel.say(panel.config.help[name])];
        // The wide, invisible line is the target for a finger.
        const handle = axes.slider({"class": "handle", "tabindex": 0, "aria-label": label},
            Object.assign(axes.shape("title"), {textContent: help}), axes.shape("line", {y1: 0, class: "reach"}),
            axes.shape("line", {y1: 0}), axes.shape("rect", {x: -5, width: 10, height: 22, rx: 5}));
        axes.moves(handle, (event) => axes.drag(event, handle, (x) => this.setTau(name, x)), (event) => this.key(event, name));
        return handle;
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
        const [start, end] = [this.fraction("tau_start"), this.fraction("tau_end")];
        this.drawBars(start, end, countsSteps ? count : 1);
        axes.set(this.window, {x: left + start * width, y: top, width: Math.max(end - start, 0) * width, height});
        axes.set(this.release,
            {x: left + end * width, y: top, width: Math.min(this.fraction("release"), 1 - end) * width, height});
        for (const [name, handle] of Object.entries(this.handles)) {
            const value = this.fraction(name);
            axes.set(handle, {
                "transform": `translate(${(left + value * width).toFixed(1)} ${top})`,
                "aria-valuenow": value,
                "aria-valuetext": countsSteps
                    ? panel.say("{0} of the steps, {1} of {2}", `${Math.round(value * 100)} %`, Math.round(value * count), count)
                    : panel.say("{0} of the noise levels", `${Math.round(value * 100)} %`),
            });
            for (const line of handle.querySelectorAll("line")) line.setAttribute("y2", height);
            handle.querySelector("rect").setAttribute("y", height / 2 - 11);
        }
        const across = countsSteps ? [[0, "1"], ...(count > 1 ? [[1, String(count)]] : [])] : [[0, "0"], [1, "1"]];
        axes.ticks(across, panel.say(countsSteps ? "step" : "noise levels, from the highest"), ["0 %", "100 %"]);
        axes.value.textContent = `${axes.short(start)} – ${axes.short(end)}`;
    }

    /** A bar for each step, from its position to the next one; those inside the window as it is on the screen are colored. */
    drawBars(start, end, scale) {
        const {positions, noise} = this.panel.answer;
        const {left, top, width, height} = this.axes.frame();
        const tolerance = NoiseRectificationTau.TOLERANCE / scale;
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
        this.panel.write(name, this.axes.short(this.axes.rounded(bounded)));
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

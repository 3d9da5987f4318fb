/** The picture of τ: the noise level of each step, and a handle at each end of the window. */
NoiseRectification.Tau = class extends NoiseRectification.Figure {
    constructor(panel, place) {
        super(panel, place, panel.say("τ: rectified steps, by their share of noise"));
        this.bars = {
            outside: this.shape("path", {class: "bar outside"}), inside: this.shape("path", {class: "bar inside"}),
        };
        this.window = this.shape("rect", {class: "window"});
        this.release = this.shape("rect", {class: "window release"});
        this.handles = {tau_start: this.newHandle("tau_start"), tau_end: this.newHandle("tau_end")};
        this.svg.append(this.window, this.release, this.bars.outside, this.bars.inside, ...Object.values(this.handles));
    }

    newHandle(name) {
        const {config} = this.panel;
        const handle = this.shape("g", {
            "class": "handle", "role": "slider", "tabindex": 0, "aria-label": this.say(config.labels[name]),
            "aria-valuemin": 0, "aria-valuemax": 1,
        });
        const title = this.shape("title");
        title.textContent = this.say(config.help[name]);
        handle.append(title, this.shape("line", {y1: 0, class: "reach"}), this.shape("line", {y1: 0}),
            this.shape("rect", {x: -5, width: 10, height: 22, rx: 5}));
        // The wide, invisible line is what a finger hits.
        this.panel.listen(handle, "pointerdown", (event) => this.drag(event, handle, (x) => this.setTau(name, x)));
        this.keepFromScrolling(handle);
        this.panel.listen(handle, "keydown", (event) => this.key(event, name));
        return handle;
    }

    draw() {
        const {current, levels} = this.panel;
        const {left, top, width, height} = this.frame();
        const count = Math.max(levels.length, 1);
        const countsSteps = current.tau_unit === "steps";
        const places = levels.map((sigma, index) => countsSteps ? index : NoiseRectification.progress(sigma));
        const whole = countsSteps ? levels.length : 1;
        this.drawBars(places.map((place) => place / whole),
            places.map((place) => NoiseRectification.isInside(place, whole, current)));
        const [from, to] = ["tau_start", "tau_end"].map((name) => left + current[name] * width);
        this.set(this.window, {x: from, y: top, width: Math.max(to - from, 0), height});
        this.set(this.release, {x: to, y: top, width: Math.min(current.release, 1 - current.tau_end) * width, height});
        for (const [name, handle] of Object.entries(this.handles)) {
            const value = current[name];
            handle.setAttribute("transform", `translate(${(left + value * width).toFixed(1)} ${top})`);
            for (const line of handle.querySelectorAll("line")) line.setAttribute("y2", height);
            this.set(handle.querySelector("rect"), {y: height / 2 - 11});
            this.set(handle, {
                "aria-valuenow": value,
                "aria-valuetext": countsSteps
                    ? this.say("{0} of the steps, {1} of {2}", `${Math.round(value * 100)} %`, Math.round(value * count), count)
                    : this.say("{0} of the noise levels", `${Math.round(value * 100)} %`),
            });
        }
        const across = countsSteps ? [[0, "1"], ...(count > 1 ? [[1, String(count)]] : [])] : [[0, "0"], [1, "1"]];
        this.ticks(across, this.say(countsSteps ? "step" : "noise levels, from the highest"), ["0 %", "100 %"]);
        this.value.textContent = `${this.short(current.tau_start)} – ${this.short(current.tau_end)}`;
    }

    /**
     * @param {number[]} begins where each step begins, from 0 to 1; it reaches to the next one
     * @param {boolean[]} inside whether it is rectified
     */
    drawBars(begins, inside) {
        const {levels} = this.panel;
        const {left, top, width, height} = this.frame();
        const paths = {inside: "", outside: ""};
        levels.forEach((sigma, index) => {
            // The share of noise in what the model sees, which is the same in all noise spaces.
            const level = sigma / Math.sqrt(1 + sigma * sigma) * height;
            const each = ((begins[index + 1] ?? 1) - begins[index]) * width;
            const gap = Math.min(2, each / 4);
            const [x, w] = [left + begins[index] * width + gap / 2, each - gap];
            paths[inside[index] ? "inside" : "outside"] +=
                `M${x.toFixed(1)} ${top + height}v${(-level).toFixed(1)}h${w.toFixed(1)}v${level.toFixed(1)}z`;
        });
        this.bars.inside.setAttribute("d", paths.inside);
        this.bars.outside.setAttribute("d", paths.outside);
    }

    /** Write an end of the window; it stops at the other one. */
    setTau(name, value) {
        const other = Number(this.panel.current[name === "tau_start" ? "tau_end" : "tau_start"]);
        const bounded = name === "tau_start" ? Math.min(value, other) : Math.max(value, other);
        this.panel.write(name, this.short(Math.round(Math.min(Math.max(bounded, 0), 1) * 100) / 100));
        this.panel.look();
    }

    key(event, name) {
        const step = event.shiftKey ? 0.1 : 0.01;
        const value = this.panel.current[name];
        const next = {
            ArrowLeft: value - step, ArrowDown: value - step, ArrowRight: value + step, ArrowUp: value + step,
            PageDown: value - 0.1, PageUp: value + 0.1, Home: 0, End: 1,
        }[event.key];
        if (next === undefined) return;
        event.preventDefault();
        this.setTau(name, next);
    }
};

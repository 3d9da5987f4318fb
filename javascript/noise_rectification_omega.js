/** The picture of ω: a curve over the frames, whose points can be moved, added and removed. */
NoiseRectification.Omega = class extends NoiseRectification.Figure {
    constructor(panel, place) {
        super(panel, place, panel.say("ω: how freely each frame moves"));
        this.heading = this.figure.querySelector("figcaption span");
        this.history = [];
        this.selected = 0;
        this.points = [];
        this.written = null; // the text that the points stand for
        this.area = this.shape("path", {class: "area"});
        this.line = this.shape("path", {class: "line"});
        this.dots = this.shape("path", {class: "dots"});
        this.handles = this.shape("g");
        this.svg.append(this.area, this.line, this.dots, this.handles);
        this.set(this.svg, {"aria-description": this.say(
            "Arrow keys: up and down change ω, left and right go to the next point, with Shift they move it. " +
            "Insert adds a point, Delete removes it, Ctrl+Z takes back.")});
        panel.listen(this.svg, "dblclick", (event) => this.addAt(event));
        panel.listen(this.handles, "pointerdown", (event) => this.dragPoint(event));
        this.keepFromScrolling(this.handles);
        panel.listen(this.handles, "keydown", (event) => this.pointKey(event));
        panel.listen(this.handles, "focusin", (event) => this.select(this.indexOf(event.target)));
        this.figure.append(this.toolbar());
    }

    toolbar() {
        this.shapes = Object.fromEntries(Object.entries(this.panel.config.omegaPresets).map(([name, help]) =>
            [name, this.button(name, help, () => this.change(() => this.panel.write("omega", name)))]));
        this.buttons = {
            add: this.button("+ Point", "Add a point after the selected one (Insert; or double-click the curve)",
                () => this.addPoint()),
            remove: this.button("− Point", "Remove the selected point (Delete)", () => this.removePoint()),
            undo: this.button("Undo", "Take the last change of the curve back (Ctrl+Z)", () => this.undo()),
            reset: this.button("Reset", "The authors' curve", () => this.reset()),
        };
        const bar = document.createElement("div");
        bar.className = "noise-rectification-toolbar";
        for (const [label, buttons] of [["Shape of the curve", this.shapes], ["Edit the curve", this.buttons]]) {
            const group = document.createElement("div");
            this.set(group, {"role": "group", "aria-label": this.say(label)});
            group.append(...Object.values(buttons));
            bar.append(group);
        }
        return bar;
    }

    button(label, title, act) {
        const element = document.createElement("button");
        element.type = "button";
        element.textContent = this.say(label);
        element.title = this.say(title);
        this.panel.listen(element, "click", () => element.getAttribute("aria-disabled") !== "true" && act());
        return element;
    }

    /** `aria-disabled` and not `disabled`: a button that is switched off while it has the focus would lose it. */
    enable(button, isOn) {
        button.setAttribute("aria-disabled", String(!isOn));
    }

    newPoint() {
        const point = this.shape("g", {
            "class": "point", "role": "slider", "aria-orientation": "vertical", "aria-valuemin": 0, "aria-valuemax": 1,
        });
        point.append(this.shape("circle", {r: 16, class: "reach"}), this.shape("circle", {r: 6}));
        return point;
    }

    // Drawing.

    draw() {
        const {weights, state: {frames, fields}} = this.panel;
        // The ω that is behind a share depends on the sampler, and is found by the job.
        this.heading.textContent = this.say(this.showsShares() ? "Share of motion that each frame keeps"
            : "ω: how freely each frame moves");
        const {left, top, width, height} = this.frame();
        if (fields.omega !== this.written || this.points[this.points.length - 1]?.frame !== frames - 1) {
            this.points = NoiseRectification.pointsOf(weights);
            this.written = null;
        }
        this.selected = Math.min(this.selected, this.points.length - 1);
        const x = (frame) => (left + frame * width / Math.max(frames - 1, 1)).toFixed(1);
        const y = (weight) => (top + (1 - weight) * height).toFixed(1);
        const path = weights.map((weight, frame) => `${frame ? "L" : "M"}${x(frame)} ${y(weight)}`).join("");
        this.line.setAttribute("d", path);
        this.area.setAttribute("d", `${path}L${x(frames - 1)} ${top + height}L${x(0)} ${top + height}z`);
        this.dots.setAttribute("d", frames > 64 ? ""
            : weights.map((weight, frame) => `M${x(frame)} ${y(weight)}h0`).join(""));
        this.drawPoints(x, y);
        this.ticks([[0, "0"], ...(frames > 1 ? [[1, String(frames - 1)]] : [])], this.say("frame"),
            this.showsShares() ? ["0 %", "100 %"] : ["0", "1"]);
        this.drawToolbar();
    }

    /** The points, from a frame's and a weight's places in the picture. */
    drawPoints(x, y) {
        const {handles, points} = this;
        while (handles.children.length > points.length) handles.lastChild.remove();
        while (handles.children.length < points.length) handles.append(this.newPoint());
        points.forEach(({frame, weight}, index) => {
            const handle = handles.children[index];
            this.set(handle, {
                "transform": `translate(${x(frame)} ${y(weight)})`,
                "tabindex": index === this.selected ? 0 : -1,
                "aria-label": this.say(this.showsShares() ? "Share of motion at frame {0}; the last is {1}"
                    : "ω at frame {0}; the last is {1}", frame, this.panel.state.frames - 1),
                "aria-valuenow": this.short(weight),
                "aria-valuetext": this.short(weight),
            });
            handle.classList.toggle("selected", index === this.selected);
        });
    }

    drawToolbar() {
        const point = this.points[this.selected];
        this.value.textContent = this.say("frame {0}: {1}", point.frame, this.short(point.weight));
        const atEnd = this.selected === 0 || this.selected === this.points.length - 1;
        this.enable(this.buttons.remove, !atEnd && !this.showsShares());
        this.enable(this.buttons.add, this.roomForPoint() !== null);
        this.enable(this.buttons.undo, this.history.length > 0);
        for (const [name, button] of Object.entries(this.shapes)) {
            button.setAttribute("aria-pressed", String(this.panel.current.omega === name));
        }
    }

    /** Whether the curve is that of the share of motion, which Motion alone moves. */
    showsShares() {
        return this.panel.current.omega === "motion";
    }

    // Editing.

    indexOf(target) {
        return [...this.handles.children].indexOf(target.closest(".point"));
    }

    select(index) {
        if (index < 0 || index === this.selected) return;
        this.selected = index;
        this.draw();
    }

    focusPoint(index) {
        this.selected = Math.min(Math.max(index, 0), this.points.length - 1);
        this.draw();
        this.handles.children[this.selected].focus();
    }

    /** Change the curve, and remember how it was. */
    change(act) {
        this.remember();
        act();
        this.panel.look();
    }

    remember() {
        const {omega, omega_start, omega_end, motion} = this.panel.state.fields;
        const before = {omega, omega_start, omega_end, motion, points: this.points.map((point) => ({...point}))};
        this.history = [...this.history.slice(-99), {...before, written: this.written}];
    }

    undo() {
        const before = this.history.pop();
        if (!before) return;
        for (const name of ["omega_start", "omega_end", "motion", "omega"]) this.panel.write(name, before[name]);
        [this.points, this.written] = [before.points, before.written];
        this.panel.look(true);
    }

    reset() {
        this.change(() => {
            for (const name of ["omega_start", "omega_end", "omega"]) this.panel.write(name, this.panel.config.defaults[name]);
        });
    }

    /** Write the points into the text field, one number a frame. */
    writePoints() {
        const values = NoiseRectification.valuesOf(this.points, this.panel.state.frames);
        this.written = values.map((value) => this.short(value)).join(", ");
        this.panel.write("omega", this.written);
        this.panel.look();
    }

    movePoint(index, frame, weight) {
        if (this.showsShares()) {
            this.moveShares(this.points[index].frame, weight);
            return;
        }
        const last = this.points.length - 1;
        const point = this.points[index];
        if (index > 0 && index < last) { // the first and the last keep their frames
            const [low, high] = [this.points[index - 1].frame + 1, this.points[index + 1].frame - 1];
            point.frame = Math.min(Math.max(Math.round(frame), low), high);
        }
        point.weight = Math.round(Math.min(Math.max(weight, 0), 1) * 100) / 100;
        this.writePoints();
    }

    /** Move the whole curve, so that its share at a frame is the given one. */
    moveShares(frame, share) {
        const {current, weights} = this.panel;
        // What Motion is multiplied by at this frame: less near a picture, and nothing at one.
        const part = NoiseRectification.omegaWeights({...current, motion: 1}, weights.length, this.panel.keyFrames())[frame];
        if (!part) return;
        this.panel.write("motion", this.short(Math.round(Math.min(Math.max(share / part, 0), 1) * 100) / 100));
        this.panel.look();
    }

    dragPoint(event) {
        const index = this.indexOf(event.target);
        if (index < 0) return;
        let moved = false;
        this.drag(event, this.handles.children[index], (x, y) => {
            if (!moved) this.remember();
            moved = true;
            this.movePoint(index, x * (this.panel.state.frames - 1), y);
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
        if (this.showsShares()) return null;
        for (const left of [this.selected, this.selected - 1]) {
            const [from, to] = [this.points[left]?.frame, this.points[left + 1]?.frame];
            if (to - from >= 2) return Math.floor((from + to) / 2);
        }
        return null;
    }

    addPoint(frame = this.roomForPoint(), weight = this.panel.weights[frame]) {
        if (frame === null || this.showsShares() || this.points.some((point) => point.frame === frame)) return;
        this.change(() => {
            const added = {frame, weight: Math.round(Math.min(Math.max(weight, 0), 1) * 1000) / 1000};
            this.points = [...this.points, added].sort((a, b) => a.frame - b.frame);
            this.selected = this.points.indexOf(added);
            this.writePoints();
        });
        this.panel.look(true);
        this.focusPoint(this.selected);
    }

    addAt(event) {
        const [x, y] = this.place(event);
        const frame = Math.round(x * (this.panel.state.frames - 1));
        if (frame >= 0 && frame < this.panel.state.frames) this.addPoint(frame, y);
    }

    removePoint() {
        if (this.showsShares() || this.selected <= 0 || this.selected >= this.points.length - 1) return;
        this.change(() => {
            this.points.splice(this.selected, 1);
            this.selected--;
            this.writePoints();
        });
        this.focusPoint(this.selected);
    }
};

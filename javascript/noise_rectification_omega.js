/** The curve of ω over the frames, whose points can be moved, added and removed. */
class NoiseRectificationOmega {
    constructor(panel, place) {
        this.panel = panel;
        const axes = this.axes = new NoiseRectificationAxes(panel, place, panel.say("ω: how freely each frame moves"),
            `<path class="area"/><path class="line"/><path class="dots"/><g></g>`);
        this.history = [];
        this.selected = 0;
        this.points = [];
        this.weights = [0]; // one a frame; with ω = motion, those of the whole Motion amount
        this.written = null; // the list that the points stand for
        this.handles = axes.svg.lastChild;
        axes.svg.setAttribute("aria-description", panel.say(
            "Arrow keys: up and down change ω, left and right go to the next point, with Shift they move it. " +
            "Insert adds a point, Delete removes it, Ctrl+Z undoes."));
        panel.listen(axes.svg, "dblclick", (event) => {
            const [x, y] = axes.place(event);
            this.addPoint(Math.round(x * (this.weights.length - 1)), y);
        });
        axes.moves(this.handles, (event) => this.dragPoint(event), (event) => this.pointKey(event));
        // Not on their group: Chromium gives the focus to an SVG element that listens for it.
        panel.listen(axes.figure, "focusin", (event) => {
            const index = this.indexOf(event.target);
            if (index < 0) return; // a button
            this.selected = index;
            this.draw();
        });
        axes.figure.append(this.toolbar());
    }

    toolbar() {
        const {panel} = this;
        const {omegaPresets, defaults} = panel.config;
        const button = (label, title, act) => {
            const texts = {type: "button", textContent: panel.say(label), title: panel.say(title)};
            const element = Object.assign(document.createElement("button"), texts);
            panel.listen(element, "click", () => element.getAttribute("aria-disabled") !== "true" && act());
            return element;
        };
        this.shapes = Object.entries(omegaPresets).map(([name, help]) =>
            button(name, help, () => this.change(() => panel.write("omega", name))));
        this.buttons = [
            button("+ Point", "Add a point after the selected one (Insert; or double-click the curve)", () => this.addPoint()),
            button("− Point", "Remove the selected point (Delete)", () => this.removePoint()),
            button("Undo", "Undo the last change of the curve (Ctrl+Z)", () => this.undo()),
            button("Reset", "The authors' curve", () => this.change(() => {
                for (const name of ["omega_start", "omega_end", "omega"]) panel.write(name, defaults[name]);
            })),
        ];
        const bar = Object.assign(document.createElement("div"), {className: "noise-rectification-toolbar"});
        for (const [label, buttons] of [["Shape of the curve", this.shapes], ["Edit the curve", this.buttons]]) {
            const group = bar.appendChild(document.createElement("div"));
            this.axes.set(group, {"role": "group", "aria-label": panel.say(label)});
            group.append(...buttons);
        }
        return bar;
    }

    /** Whether the curve is that of the share of motion, which Motion amount alone moves. */
    showsShares() {
        return this.panel.preset() === "motion";
    }

    motion() {
        return this.showsShares() ? Number(this.panel.state.fields.motion) || 0 : 1;
    }

    /** Use the server's weights. Points stay where the list is the one that they made. */
    take({curve}) {
        this.weights = curve;
        if (this.panel.state.fields.omega === this.written && this.points.at(-1).frame === curve.length - 1) return;
        this.written = null;
        this.points = NoiseRectificationOmega.pointsOf(curve);
    }

    /** The fewest points whose lines are the curve of `values`, one a frame, to 0.0025 (Ramer, Douglas and Peucker). */
    static pointsOf(values) {
        const frames = new Set(); // in rising order, since the left part of a stretch comes first
        const pending = [[0, values.length - 1]];
        while (pending.length) {
            const [left, right] = pending.pop();
            let [farthest, distance] = [0, 0.0025];
            for (let i = left + 1; i < right; i++) {
                const line = values[left] + (values[right] - values[left]) * (i - left) / (right - left);
                if (Math.abs(values[i] - line) > distance) [farthest, distance] = [i, Math.abs(values[i] - line)];
            }
            if (farthest) pending.push([farthest, right], [left, farthest]);
            else frames.add(left).add(right);
        }
        return [...frames].map((frame) => ({frame, weight: values[frame]}));
    }

    /** One weight a frame from points, whose first is at frame 0 and whose last is at the last frame. */
    static valuesOf(points) {
        const stretches = points.slice(1).map(({frame, weight}, index) => {
            const left = points[index];
            const length = frame - left.frame;
            return Array.from({length}, (_, step) => left.weight + (weight - left.weight) * (step + 1) / length);
        });
        return [points[0].weight, ...stretches.flat()];
    }

    draw() {
        const {axes, panel} = this;
        const shares = this.showsShares();
        const motion = this.motion();
        this.selected = Math.min(this.selected, this.points.length - 1);
        const weights = this.weights.map((weight) => weight * motion);
        const frames = weights.length;
        // Only the job's sampler gives the ω of a share.
        axes.heading.textContent = panel.say(shares ? "Share of motion that each frame keeps" : "ω: how freely each frame moves");
        const {left, top, width, height} = axes.frame();
        const x = (frame) => (left + frame * width / Math.max(frames - 1, 1)).toFixed(1);
        const y = (weight) => (top + (1 - weight) * height).toFixed(1);
        const path = weights.map((weight, frame) => `${frame ? "L" : "M"}${x(frame)} ${y(weight)}`).join("");
        const area = `${path}L${x(frames - 1)} ${top + height}L${x(0)} ${top + height}z`;
        const dots = frames > 64 ? "" : weights.map((weight, frame) => `M${x(frame)} ${y(weight)}h0`).join("");
        [area, path, dots].forEach((d, index) => axes.svg.children[index + 1].setAttribute("d", d));
        axes.ticks([0, frames - 1], panel.say("frame"), shares ? ["0 %", "100 %"] : [0, 1]);
        this.drawPoints(x, y, motion);
    }

    /** The points, from a frame's and a weight's places in the figure, and the buttons that change them. */
    drawPoints(x, y, motion) {
        const {handles, points, selected, axes, panel} = this;
        while (handles.children.length > points.length) handles.lastChild.remove();
        while (handles.children.length < points.length) handles.insertAdjacentHTML("beforeend",
            `<g class="point" role="slider" aria-valuemin="0" aria-valuemax="1" aria-orientation="vertical">
            <circle r="16" class="reach"/><circle r="6"/></g>`);
        points.forEach(({frame, weight}, index) => {
            const [handle, value, isSelected] = [handles.children[index], axes.short(weight * motion), index === selected];
            axes.set(handle, {
                "transform": `translate(${x(frame)} ${y(weight * motion)})`, "tabindex": isSelected ? 0 : -1,
                "aria-label": panel.say(this.showsShares() ? "Share of motion at frame {0}; the last is {1}"
                    : "ω at frame {0}; the last is {1}", frame, this.weights.length - 1),
                "aria-valuenow": value, "aria-valuetext": value,
            });
            handle.classList.toggle("selected", isSelected);
        });
        axes.value.textContent = panel.say("frame {0}: {1}", points[selected].frame, axes.short(points[selected].weight * motion));
        const isOn = [this.roomForPoint() !== null, this.canRemove(), this.history.length > 0, true];
        // `aria-disabled` and not `disabled`: a focused button would lose the focus.
        this.buttons.forEach((button, index) => button.setAttribute("aria-disabled", !isOn[index]));
        Object.keys(panel.config.omegaPresets).forEach((name, index) =>
            this.shapes[index].setAttribute("aria-pressed", panel.preset() === name));
    }

    indexOf(target) {
        return [...this.handles.children].indexOf(target.closest(".point"));
    }

    /** The point takes the focus, and is selected by that. */
    focusPoint(index) {
        this.handles.children[Math.min(Math.max(index, 0), this.points.length - 1)].focus();
    }

    /** Change the curve, and remember the state before. */
    change(act) {
        this.remember();
        act();
        this.panel.look();
    }

    remember() {
        const {omega, omega_start, omega_end, motion} = this.panel.state.fields;
        const {points, weights, written} = this;
        const before = structuredClone({fields: {omega_start, omega_end, motion, omega}, curve: {points, weights, written}});
        this.history = [...this.history.slice(-99), before];
    }

    undo() {
        const {fields, curve} = this.history.pop() ?? {};
        if (!fields) return;
        for (const [name, value] of Object.entries(fields)) this.panel.write(name, value);
        Object.assign(this, curve);
        this.panel.look(true);
    }

    /** Write the points as a list into ω, and draw them until the server answers. */
    writePoints() {
        this.weights = NoiseRectificationOmega.valuesOf(this.points);
        this.written = this.weights.map((value) => this.axes.short(value)).join(", ");
        this.panel.write("omega", this.written);
        this.panel.look(true);
    }

    movePoint(index, frame, weight) {
        const point = this.points[index];
        if (this.showsShares()) { // the whole curve moves: a share is Motion amount times the frame's part of it
            if (point.weight) this.panel.write("motion", this.axes.rounded(weight / point.weight));
            return this.panel.look();
        }
        if (index > 0 && index < this.points.length - 1) { // the first and the last keep their frames
            const [low, high] = [this.points[index - 1].frame + 1, this.points[index + 1].frame - 1];
            point.frame = Math.min(Math.max(Math.round(frame), low), high);
        }
        point.weight = this.axes.rounded(weight);
        this.writePoints();
    }

    dragPoint(event) {
        const index = this.indexOf(event.target);
        if (index < 0) return;
        let moved = false;
        this.axes.drag(event, this.handles.children[index], (x, y) => {
            if (!moved) this.remember();
            moved = true;
            this.movePoint(index, x * (this.weights.length - 1), y);
        });
    }

    pointKey(event) {
        const index = this.indexOf(event.target);
        const point = this.points[index];
        const step = event.shiftKey ? 0.1 : 0.01;
        const move = (frames, weight) =>
            this.change(() => this.movePoint(index, point.frame + frames, point.weight * this.motion() + weight));
        const acts = {
            ArrowUp: () => move(0, step), ArrowDown: () => move(0, -step),
            PageUp: () => move(0, 0.1), PageDown: () => move(0, -0.1),
            ArrowLeft: () => event.shiftKey ? move(-1, 0) : this.focusPoint(index - 1),
            ArrowRight: () => event.shiftKey ? move(1, 0) : this.focusPoint(index + 1),
            Home: () => this.focusPoint(0), End: () => this.focusPoint(this.points.length - 1),
            Insert: () => this.addPoint(), Delete: () => this.removePoint(), Backspace: () => this.removePoint(),
        };
        const isCommand = event.ctrlKey || event.metaKey;
        const isUndo = isCommand && event.key.toLowerCase() === "z";
        const act = isUndo ? () => this.undo() : !isCommand && !event.altKey && acts[event.key];
        if (!act) return;
        event.preventDefault();
        event.stopPropagation();
        act();
    }

    /** The frame in the middle of the stretch after the selected point, or before it; null where there is none. */
    roomForPoint() {
        const {points, selected} = this;
        const left = [selected, selected - 1].find((index) => points[index + 1]?.frame - points[index]?.frame >= 2);
        if (left === undefined || this.showsShares()) return null;
        return Math.floor((points[left].frame + points[left + 1].frame) / 2);
    }

    addPoint(frame = this.roomForPoint(), weight = this.weights[frame]) {
        if (!(frame in this.weights) || this.showsShares() || this.points.some((point) => point.frame === frame)) return;
        this.change(() => {
            const added = {frame, weight: this.axes.rounded(weight, 1000)};
            this.points = [...this.points, added].sort((a, b) => a.frame - b.frame);
            this.selected = this.points.indexOf(added);
            this.writePoints();
        });
        this.focusPoint(this.selected);
    }

    canRemove() {
        return !this.showsShares() && this.selected > 0 && this.selected < this.points.length - 1;
    }

    removePoint() {
        if (!this.canRemove()) return;
        this.change(() => {
            this.points.splice(this.selected, 1);
            this.selected--;
            this.writePoints();
        });
        this.focusPoint(this.selected);
    }
}

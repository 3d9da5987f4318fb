/** A figure with axes: its place on the page, its measures, and handles that can be dragged. */
class NoiseRectificationAxes {
    constructor(panel, place, title) {
        this.panel = panel;
        const make = (tag, properties = {}) => Object.assign(document.createElement(tag), properties);
        this.figure = make("figure", {className: "noise-rectification-figure"});
        this.heading = make("span", {textContent: title});
        this.value = make("output");
        const caption = make("figcaption");
        caption.append(this.heading, this.value);
        this.svg = this.shape("svg", {role: "group", "aria-label": title});
        this.axis = this.shape("g", {class: "axis", "aria-hidden": "true"});
        this.svg.append(this.axis);
        this.figure.append(caption, this.svg);
        place.replaceChildren(this.figure);
        this.size = [0, 0];
    }

    short(number) {
        return String(Number(number.toFixed(3)));
    }

    /** The nearest of `parts` steps from 0 to 1. */
    rounded(value, parts = 100) {
        return Math.round(Math.min(Math.max(value, 0), 1) * parts) / parts;
    }

    /** An SVG element. */
    shape(tag, attributes = {}) {
        return this.set(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes);
    }

    set(element, attributes) {
        for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
        return element;
    }

    /** A handle from 0 to 1 that the pointer drags and the arrow keys move, of `shapes`. */
    slider(attributes, ...shapes) {
        const handle = this.shape("g", {"role": "slider", "aria-valuemin": 0, "aria-valuemax": 1, ...attributes});
        handle.append(...shapes);
        return handle;
    }

    /** Have the pointer and the keys move the handles in `element`. */
    moves(element, press, key) {
        this.panel.listen(element, "pointerdown", press);
        this.panel.listen(element, "keydown", key);
        // A finger drags too: `touch-action` alone does not keep Chromium from scrolling the page with SVG shapes.
        this.panel.listen(element, "touchstart", (event) => event.preventDefault(), {passive: false});
    }

    /** Read width and height. Apart from drawing: a look at a size after a change would lay out the whole page again. */
    measure() {
        return this.size = [this.svg.clientWidth, this.svg.clientHeight];
    }

    /** The area inside the axes, in pixels. */
    frame() {
        const [width, height] = this.size;
        return {left: 46, top: 12, width: Math.max(width - 62, 10), height: Math.max(height - 38, 10)};
    }

    /** Draw the axes: `across` has places from 0 to 1 and their texts, beside the axis's `name`; `low` and `high` stand upwards. */
    ticks(across, name, [low, high]) {
        const {left, top, width, height} = this.frame();
        const key = JSON.stringify([across, name, low, high, left, top, width, height]);
        if (this.axis.dataset.key === key) return;
        this.axis.dataset.key = key;
        const text = (x, y, anchor, textContent) =>
            Object.assign(this.shape("text", {x, y, "text-anchor": anchor}), {textContent});
        const grid = [0, 0.25, 0.5, 0.75, 1].map((part) => `M${left} ${top + part * height}h${width}`).join("");
        this.axis.replaceChildren(
            this.shape("path", {d: grid}),
            text(left - 10, top + height + 4, "end", low),
            text(left - 10, top + 4, "end", high),
            ...across.map(([part, content]) => text(left + part * width, top + height + 17, "middle", content)),
            text(left + width / 2, top + height + 17, "middle", name));
    }

    /** Follow the pointer until it is lifted: `move` gets its place inside the axes, x and y from 0 to 1. */
    drag(event, handle, move) {
        if (event.button) return;
        event.preventDefault();
        // The place at the start: a status line that takes another number of lines must not change the value.
        const box = this.svg.getBoundingClientRect();
        handle.focus({preventScroll: true}); // scrolling would move the figure away under the pointer
        handle.setPointerCapture(event.pointerId);
        handle.onpointermove = (moved) => move(...this.place(moved, box));
        handle.onlostpointercapture = () => handle.onpointermove = null; // when it is lifted, or the browser takes it away
    }

    /** The pointer's place in the axes, from 0 to 1. */
    place(event, box = this.svg.getBoundingClientRect()) {
        const {left, top, width, height} = this.frame();
        return [(event.clientX - box.left - left) / width, 1 - (event.clientY - box.top - top) / height];
    }
}

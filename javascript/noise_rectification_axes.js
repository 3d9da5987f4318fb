/** A figure with axes: its place on the page, its measures, and handles that can be dragged. */
class NoiseRectificationAxes {
    /**
     * @param {NoiseRectification} panel
     * @param {HTMLElement} place
     * @param {string} title
     */
    constructor(panel, place, title) {
        this.panel = panel;
        this.figure = document.createElement("figure");
        this.figure.className = "noise-rectification-figure";
        const caption = document.createElement("figcaption");
        this.heading = document.createElement("span");
        this.heading.textContent = title;
        this.value = document.createElement("output");
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

    /** An SVG element. */
    shape(tag, attributes = {}) {
        return this.set(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes);
    }

    set(element, attributes) {
        for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
        return element;
    }

    /** Read width and height. Apart from drawing: a look at a size after a change would lay out the whole page again. */
    measure() {
        this.size = [this.svg.clientWidth, this.svg.clientHeight];
        return this.size;
    }

    /** The area inside the axes, in pixels. */
    frame() {
        const [width, height] = this.size;
        return {left: 46, top: 12, width: Math.max(width - 62, 10), height: Math.max(height - 38, 10)};
    }

    /**
     * Draw the axes.
     * @param {[number, string][]} across place, from 0 to 1, and text
     * @param {string} name of the horizontal axis
     * @param {[string, string]} upwards the texts at the bottom and at the top
     */
    ticks(across, name, [low, high]) {
        const {left, top, width, height} = this.frame();
        const key = JSON.stringify([across, name, low, high, left, top, width, height]);
        if (this.axis.dataset.key === key) return;
        this.axis.dataset.key = key;
        const text = (x, y, anchor, content) => {
            const element = this.shape("text", {x, y, "text-anchor": anchor});
            element.textContent = content;
            return element;
        };
        const grid = [0, 0.25, 0.5, 0.75, 1].map((part) => `M${left} ${top + part * height}h${width}`).join("");
        this.axis.replaceChildren(
            this.shape("path", {d: grid}),
            text(left - 10, top + height + 4, "end", low),
            text(left - 10, top + 4, "end", high),
            ...across.map(([part, content]) => text(left + part * width, top + height + 17, "middle", content)),
            text(left + width / 2, top + height + 17, "middle", name));
    }

    /**
     * Follow the pointer until it is lifted.
     * @param {PointerEvent} event
     * @param {SVGElement} handle
     * @param {(x: number, y: number) => void} move gets the place inside the axes, from 0 to 1
     */
    drag(event, handle, move) {
        if (event.button) return;
        event.preventDefault();
        // The place at the start: a status line that takes another number of lines must not change the value.
        const box = this.svg.getBoundingClientRect();
        handle.focus({preventScroll: true}); // scrolling would move the figure away under the pointer
        handle.setPointerCapture(event.pointerId);
        const ended = new AbortController();
        const options = {signal: AbortSignal.any?.([ended.signal, this.panel.abort.signal]) ?? ended.signal};
        handle.addEventListener("pointermove", (moved) => move(...this.place(moved, box)), options);
        for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
            handle.addEventListener(end, () => ended.abort(), options);
        }
    }

    /** The pointer's place in the axes, from 0 to 1. */
    place(event, box = this.svg.getBoundingClientRect()) {
        const {left, top, width, height} = this.frame();
        return [(event.clientX - box.left - left) / width, 1 - (event.clientY - box.top - top) / height];
    }

    /** A finger on it drags; `touch-action` alone does not keep Chromium from scrolling the page with SVG shapes. */
    keepFromScrolling(element) {
        this.panel.listen(element, "touchstart", (event) => event.preventDefault(), {passive: false});
    }
}

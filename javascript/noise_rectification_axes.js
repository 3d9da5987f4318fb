/** A figure with axes: its place on the page, its measures, and handles that can be dragged. */
class NoiseRectificationAxes {
    /** @param {string} shapes the markup of what the figure shows in front of its axes */
    constructor(panel, place, title, shapes) {
        this.panel = panel;
        place.innerHTML = `<figure class="noise-rectification-figure"><figcaption><span></span><output></output></figcaption>
            <svg role="group"><g class="axis" aria-hidden="true"></g>${shapes}</svg></figure>`;
        [this.figure, this.heading, this.value, this.svg, this.axis] =
            ["figure", "span", "output", "svg", ".axis"].map((part) => place.querySelector(part));
        this.heading.textContent = title;
        this.svg.setAttribute("aria-label", title);
        this.size = [0, 0];
    }

    short(number) {
        return String(Number(number.toFixed(3)));
    }

    /** The nearest of `parts` steps from 0 to 1. */
    rounded(value, parts = 100) {
        return Math.round(Math.min(Math.max(value, 0), 1) * parts) / parts;
    }

    set(element, attributes) {
        for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
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

    /** Draw the axes: the texts at the two ends across, with the axis's `name` between them, and at the two ends upwards. */
    ticks([first, last], name, [low, high]) {
        const {left, top, width, height} = this.frame();
        const below = [[0, first], [0.5, name], [1, last === first ? "" : last]];
        const texts = [[left - 10, top + height + 4, "end", low], [left - 10, top + 4, "end", high],
            ...below.map(([part, text]) => [left + part * width, top + height + 17, "middle", text])];
        const key = JSON.stringify(texts);
        if (this.axis.dataset.key === key) return;
        this.axis.dataset.key = key;
        const grid = [0, 0.25, 0.5, 0.75, 1].map((part) => `M${left} ${top + part * height}h${width}`).join("");
        this.axis.innerHTML = `<path d="${grid}"/>`
            + texts.map(([x, y, anchor]) => `<text x="${x}" y="${y}" text-anchor="${anchor}"/>`).join("");
        texts.forEach(([, , , text], index) => this.axis.children[index + 1].textContent = text);
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

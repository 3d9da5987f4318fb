// What the extension's JavaScript calls of the host, and the host's accordion with a checkbox in its header.
function gradioApp() {
    return document.querySelector("gradio-app") ?? document;
}

const loadedCallbacks = [];

function onUiLoaded(callback) {
    loadedCallbacks.push(callback);
}

function inputAccordionChecked(id, checked) {
    document.getElementById(id).showChecked?.(checked);
}

// The buttons of a job as the host has them: shown when it is sent off, and hidden when one of the questions for its progress
// is answered by its end. The job's result comes by another way, before that or after it. As in the host, the first question
// comes after a pause, in which the extension sees the buttons: it looks each 100 ms.
const PAUSE_MS = 150;

function setSubmitButtonsVisibility(tabname, showInterrupt, showSkip, showInterrupting) {
    for (const [name, show] of Object.entries({interrupt: showInterrupt, skip: showSkip, interrupting: showInterrupting})) {
        gradioApp().querySelector(`#${tabname}_${name}`).style.display = show ? "block" : "none";
    }
}

function showSubmitButtons(tabname, show) {
    setSubmitButtonsVisibility(tabname, !show, !show, false);
}

function submit(tab, values) {
    showSubmitButtons(tab, false);
    const task = `task(${Math.random().toString(36).slice(2)})`;
    const ask = async () => {
        const {completed} = await (await fetch(`./internal/progress/${task}`)).json();
        if (completed) showSubmitButtons(tab, true);
        else setTimeout(ask, PAUSE_MS);
    };
    setTimeout(ask, PAUSE_MS);
    return [task, ...values.slice(1)];
}

function submit_img2img(...values) {
    return submit("img2img", values);
}

function submit_txt2img(...values) {
    return submit("txt2img", values);
}

/** Opening the accordion switches it on and closing it off, until its checkbox is clicked once. */
function joinAccordionAndCheckbox(accordion) {
    const header = accordion.querySelector(".label-wrap");
    const hidden = document.querySelector(`#${accordion.id}-checkbox input`);
    const shown = Object.assign(document.createElement("input"), {type: "checkbox", id: `${accordion.id}-visible-checkbox`});
    let joined = true;
    const isOpen = () => header.classList.contains("open");
    shown.checked = isOpen();
    shown.className = hidden.className;
    shown.style.marginRight = "8px";
    header.querySelector("span").prepend(shown);
    const pass = () => {
        if (joined && isOpen() !== shown.checked) header.click();
        if (hidden.checked === shown.checked) return;
        hidden.checked = shown.checked;
        hidden.dispatchEvent(new Event("input", {bubbles: true}));
    };
    accordion.showChecked = (checked) => {
        shown.checked = checked;
        pass();
    };
    new MutationObserver(() => {
        if (!joined) return;
        shown.checked = isOpen();
        pass();
    }).observe(header, {attributes: true, attributeFilter: ["class"]});
    shown.addEventListener("click", (event) => {
        joined = false;
        event.stopPropagation();
    });
    shown.addEventListener("input", pass);
}

document.addEventListener("DOMContentLoaded", () => {
    const observer = new MutationObserver(() => {
        if (!document.querySelector("#txt2img_prompt textarea, #txt2img_prompt input")) return;
        observer.disconnect();
        document.querySelectorAll(".input-accordion").forEach(joinAccordionAndCheckbox);
        loadedCallbacks.forEach((callback) => callback());
        document.body.dataset.loaded = "yes";
    });
    observer.observe(document.body, {childList: true, subtree: true});
});

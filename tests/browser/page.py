"""Serves the extension's real `ui()` in a gradio page, with as little of the host around it as it needs.

Run by a Python that has one of the gradio versions: `python tests/browser/page.py PORT ADDRESS`, with the address of
`preview_server.py`.
"""

import html
import json
import re
import sys
import threading
import time
import types
import urllib.request
from pathlib import Path

import gradio as gr
import gradio.routes

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
IS_3 = gr.__version__.startswith("3.")


if not IS_3:
    import gradio.component_meta

    # It would write a .pyi beside this file.
    gradio.component_meta.create_or_modify_pyi = lambda *arguments: None


class InputAccordion(gr.Checkbox):
    """The host's: a hidden checkbox, and an accordion whose header shows it; host.js keeps the two together."""

    def __init__(self, value, *, label, elem_id):
        super().__init__(value=value, label=label, elem_id=f"{elem_id}-checkbox", visible=False)
        keyword = "_js" if IS_3 else "js"
        self.change(fn=None, inputs=[self], **{keyword: f"(checked) => inputAccordionChecked('{elem_id}', checked)"})
        self.box = gr.Accordion(label, open=value, elem_id=elem_id, elem_classes=["input-accordion"])

    def get_block_name(self):
        return "checkbox"

    def __enter__(self):
        self.box.__enter__()
        return self

    def __exit__(self, *error):
        return self.box.__exit__(*error)


def create_refresh_button(component, refresh, found, elem_id):
    """The host's: a symbol that has the component look again."""
    button = gr.Button(value="\U0001f504", elem_id=elem_id)
    button.click(fn=lambda: refresh() or gr.update(**found()), inputs=[], outputs=[component])
    return button


def provide_modules(preview_address):
    """The host's modules that the page needs; of the extension, the preview, which another process answers, and the names of
    statistics files, whose module needs torch.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def for_page(request):
        with opener.open(preview_address, json.dumps(request).encode(), timeout=60) as answer:
            return json.load(answer)

    modules = types.ModuleType("modules")
    sys.modules["modules"] = modules
    for name, members in {
        "modules.ui_components": {"InputAccordion": InputAccordion},
        "modules.ui_common": {"create_refresh_button": create_refresh_button},
        "modules.shared": {"opts": types.SimpleNamespace(data={}, data_labels={}), "cmd_opts": types.SimpleNamespace()},
        "lib_noiserect.webui.preview": {"for_page": for_page},
        "lib_noiserect.methods.statistics_file": {"names": list},
    }.items():
        module = types.ModuleType(name)
        vars(module).update(members)
        sys.modules[name] = module
    modules.shared = sys.modules["modules.shared"]


def animatediff(tab):
    """The controls of sd-webui-animatediff 2.0.1 that the extension reads, in its accordion, with its ids and defaults."""
    with gr.Accordion("AnimateDiff", open=False):
        models = MODELS[tab]
        gr.Dropdown(
            models,
            value=models[0] if len(models) != 1 else None,
            label="Motion module",
            interactive=True,
            elem_id=f"{tab}-ad-motion-module",
        )
        formats = ["GIF", "MP4", "WEBP", "WEBM", "PNG", "TXT"]
        gr.CheckboxGroup(formats, value=["GIF", "PNG"], label="Save format", elem_id=f"{tab}-ad-save-format")
        enable = gr.Checkbox(value=False, label="Enable AnimateDiff", interactive=True, elem_id=f"{tab}-ad-enable")
        gr.Number(value=0, label="Number of frames", precision=0, interactive=True, elem_id=f"{tab}-ad-video-length")
        gr.Number(value=8, label="FPS", precision=0, interactive=True, elem_id=f"{tab}-ad-fps")
        gr.Slider(1, 32, 16, step=1, interactive=True, label="Context batch size", elem_id=f"{tab}-ad-batch-size")
    return enable


# The motion modules in img2img; in txt2img there is one that is not chosen yet, as after a saved one has gone.
MODELS = {"img2img": ["mm_sd15_v3.safetensors", "mm_sdxl_v10_beta.safetensors"], "txt2img": ["mm_sd15_v2.safetensors"]}
# What the next job ends with, as JSON: the infotext, or an error; and where it waits until the test releases it: "running",
# or "ended", between its end and its answer.
NEXT_JOB = {"infotext": "a boat\nSteps: 25", "error": "", "waits": []}
ended_jobs = set()
releases = threading.Semaphore(0)
HIDDEN_AT_FIRST = ", ".join(
    f"#{tab}_{name}" for tab in ("img2img", "txt2img") for name in ("interrupt", "skip", "interrupting")
)
HIDDEN_AT_FIRST += " { display: none; }"
# Nothing is clicked before it rests.
AT_REST = "* { animation: none !important; transition: none !important; }"


OTHERS = 2  # inputs of a job beside those of the extension: AnimateDiff's switch and the denoising strength


def generate(task, next_job, *args):
    """What the host's own function does around a job: infotext and log, or an error in their places."""
    job = {**NEXT_JOB, **json.loads(next_job or "{}")}
    if "running" in job["waits"]:
        releases.acquire(timeout=60)
    ended_jobs.add(task)
    if "ended" in job["waits"]:
        releases.acquire(timeout=60)
    lines = "<br>\n".join(html.escape(line) for line in job["infotext"].split("\n"))
    info = "" if job["error"] else f"<p>{lines}</p>"
    error = f"<div class='error'>{html.escape(job['error'])}</div>" if job["error"] else ""
    took = f"<div class='performance'><p class='time'>Time taken: {time.perf_counter():.3f} sec.</p></div>"
    others, ours = args[:OTHERS], args[OTHERS:]
    made = json.dumps(ours, default=lambda file: file.name)
    return made, json.dumps(others), info, error + took


def receive(file):
    """What the extension answers for a good file; there is no torch here to look into it."""
    name = Path(file.name).name
    return gr.update(choices=["none", name], value=name), f"{name}: received"


def job_panel(controls, tab, others):
    prefix = "" if tab == "img2img" else f"{tab}_"
    generate_keyword = "_js" if IS_3 else "js"
    with gr.Row():
        for name in ("Interrupt", "Skip", "Interrupting"):
            gr.Button(name, elem_id=f"{tab}_{name.lower()}")
        button = gr.Button("Generate", elem_id=f"{tab}_generate")
    task = gr.Textbox(visible=False)
    next_job = gr.Textbox(label="Next job", elem_id=f"{prefix}next_job", interactive=True)
    answer = gr.Textbox(label="Arguments", elem_id=f"{prefix}arguments", interactive=True)
    rest = gr.Textbox(label="Other arguments", elem_id=f"{prefix}other_arguments", interactive=True)
    info, log = gr.HTML(elem_id=f"html_info_{tab}"), gr.HTML(elem_id=f"html_log_{tab}")
    button.click(
        generate,
        inputs=[task, next_job, *others, *controls],
        outputs=[answer, rest, info, log],
        show_progress="hidden",
        **{generate_keyword: f"submit_{tab}"},
    )


def sampling(tab):
    with gr.Row():
        gr.Dropdown(
            ["DPM++ 2M", "DPM2", "Euler", "DDIM", "DPM adaptive"],
            value="DPM++ 2M",
            interactive=True,
            label="Sampling method",
            elem_id=f"{tab}_sampling",
        )
        schedules = ["Automatic", "Karras", "Uniform", "Beta"]
        gr.Dropdown(schedules, value="Automatic", interactive=True, label="Schedule type", elem_id=f"{tab}_scheduler")
    gr.Slider(1, 150, 25, step=1, interactive=True, label="Sampling steps", elem_id=f"{tab}_steps")


def read_by(fields):
    """What the host does with an infotext in the prompt: the prompt, the seed, and what the extension reads."""

    def read(text):
        *prompt, parameters = text.split("\n")
        found = dict(re.findall(r'\s*(\w[\w ]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)', parameters))
        ours = [reader({**found, "Prompt": prompt}) for _, reader in fields]
        return ["\n".join(prompt), int(found["Seed"]), *(gr.update() if value is None else value for value in ours)]

    return read


def build():
    from lib_noiserect.core.settings import FIELDS
    from lib_noiserect.webui import ui, ui_statistics
    from lib_noiserect.webui.arguments import INPUTS

    with gr.Blocks(title="img2img", analytics_enabled=False, css=HIDDEN_AT_FIRST + AT_REST) as page:
        prompt = gr.Textbox(label="Prompt", elem_id="txt2img_prompt", lines=3, interactive=True)
        sampling("img2img")
        strength = gr.Slider(
            0, 1, 0.75, step=0.01, interactive=True, label="Denoising strength", elem_id="img2img_denoising_strength"
        )
        others = [animatediff("img2img"), strength]
        ui_statistics.receive = receive
        started = time.process_time()  # whatever else the machine does
        controls = ui.build(lambda item: f"script_noise_rectification_{item}")
        print(f"ui() took {(time.process_time() - started) * 1000:.1f} ms", flush=True)
        assert len(controls) == len(FIELDS) + len(INPUTS)
        job_panel(controls, "img2img", others)
        paste = gr.Button("Paste", elem_id="paste")
        fields = [control for control, _ in ui.infotext_fields(controls)]
        paste.click(lambda: list(PASTED.values()), outputs=fields)
        assert len(fields) == len(FIELDS)
        with gr.Group(elem_id="tab_txt2img"):
            sampling("txt2img")
            seed = gr.Number(value=-1, label="Seed", precision=0, interactive=True, elem_id="txt2img_seed")
            gr.Slider(1, 100, 4, step=1, interactive=True, label="Batch count", elem_id="txt2img_batch_count")
            others = [animatediff("txt2img"), seed]
            controls = ui.build_txt2img(lambda item: f"script_txt2img_noise_rectification_{item}")
            assert len(controls) == len(FIELDS)
            job_panel(controls, "txt2img", others)
            fields = ui.infotext_fields(controls, is_img2img=False)
            paste = gr.Button("Paste", elem_id="paste")
            paste.click(read_by(fields), inputs=[prompt], outputs=[prompt, seed, *(control for control, _ in fields)])
    return page


PASTED = {
    "enabled": True, "tau_start": 0.1, "tau_end": 0.9, "omega": "1, 0.5, 0", "omega_start": 0.9, "omega_end": 0.2,
    "omega_resample": True, "pin_first_frame": True, "follow_motion": True, "motion": 0.7, "target_ssim": 0,
    "tau_unit": "noise level", "release": 0.25, "hold_colour": True, "loop": True, "interpolation": "hold",
    "repeat_noise": False, "mask_feather": 2.5,
    "create": True, "candidates": 4, "scorer": "pick", "pick": 2, "animation_share": 0.5, "animation_strength": 1.5,
    "regeneration": 0.9,
    "start_time": 0.9, "statistics": "none",
}  # fmt: skip


def inject(*paths):
    """Put scripts and styles into the page's head, as the host does."""
    head = "".join(
        f"<style>{path.read_text('utf-8')}</style>"
        if path.suffix == ".css"
        else f"<script>{path.read_text('utf-8')}</script>"
        for path in paths
    )
    original = gradio.routes.templates.TemplateResponse

    def with_head(*args, **kwargs):
        response = original(*args, **kwargs)
        response.body = response.body.replace(b"</head>", f"{head}</head>".encode(), 1)
        response.init_headers()
        return response

    gradio.routes.templates.TemplateResponse = with_head


def main(port, preview_address):
    sys.path.insert(0, str(ROOT))
    provide_modules(preview_address)
    from lib_noiserect.webui import api

    page = build()
    # The last class first: the order of the files means nothing.
    inject(ROOT / "style.css", HERE / "host.js", *sorted((ROOT / "javascript").glob("*.js"), reverse=True))
    page.queue() if not IS_3 else None
    app, _, _ = page.launch(
        server_name="127.0.0.1", server_port=port, quiet=True, show_api=False, share=False, prevent_thread_lock=True
    )
    app.add_api_route("/internal/progress/{task}", lambda task: {"completed": task in ended_jobs})
    app.add_api_route("/internal/release", releases.release)
    api.add_routes(page, app)
    page.block_thread()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])

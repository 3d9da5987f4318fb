"""X/Y/Z plots in a running web UI: by the API, and chosen in the page."""

import io
import itertools

import numpy as np
import pytest
from client import SIZE
from PIL import Image
from webui_page import WebUITab

PREFIX = "[Noise Rectification] "
TAU_END, OMEGA = (0.2, 0.6, 1.0), (0.0, 0.5, 1.0)
FRAMES, STEPS = 2, 3
ANIMATEDIFF = {"video_length": FRAMES, "batch_size": FRAMES}


def axis_choices(webui):
    scripts = webui.get("/sdapi/v1/script-info")
    [plot] = [script for script in scripts if script["name"] == "x/y/z plot" and script["is_img2img"]]
    return plot["args"][0]["choices"]


def plot_args(webui, x, y, lone_images):
    """Of the host's script: three axes, each a type, values as text and from a dropdown, and its switches."""
    choices = axis_choices(webui)
    axes = [value for label, values in (x, y, ("Nothing", "")) for value in (choices.index(label), values, [])]
    legend, sub_grids, csv_mode, margin = True, False, True, 0
    return [*axes, legend, lone_images, sub_grids, False, False, False, False, margin, csv_mode]


@pytest.fixture(scope="module")
def grid(webui):
    x, y = (f"{PREFIX}τ end", "0.2, 0.6, 1"), (f"{PREFIX}Constant ω", "0, 0.5, 1")
    webui.run({"tau_end": 1.0}, steps=STEPS, animatediff=ANIMATEDIFF)
    args = plot_args(webui, x, y, lone_images=True)
    return webui.run({"enabled": True}, steps=STEPS, animatediff=ANIMATEDIFF, script_name="x/y/z plot", script_args=args)


def test_each_cell_is_the_job_run_alone(webui, grid):
    """Every pixel: the frames of the nine cells follow the grid, row by row."""
    lone = [picture for picture in grid.pictures[1:] if picture.shape == (SIZE, SIZE, 3)]
    texts = grid.info["infotexts"][1:]
    assert len(lone) == len(texts) == 9 * FRAMES or len(lone) == 9
    each = len(lone) // 9
    webui.run({"tau_end": 1.0}, steps=STEPS, animatediff=ANIMATEDIFF)
    for index, (omega, tau_end) in enumerate(itertools.product(OMEGA, TAU_END)):
        settings = {"tau_end": tau_end, "omega": "constant", "omega_start": omega}
        alone = webui.run(settings, steps=STEPS, animatediff=ANIMATEDIFF)
        for frame in range(each):
            assert np.array_equal(lone[index * each + frame], alone.frames[frame]), (omega, tau_end, frame)
        text = texts[index * each]
        assert f"Noise Rectification tau end: {tau_end:g}," in text
        assert f"Noise Rectification omega start: {omega:g}," in text


def test_the_cells_differ(grid):
    """Or the test above would pass for axes without effect. A cell shows the first frame, which τ end sets free."""
    cells = [picture for picture in grid.pictures[1:] if picture.shape == (SIZE, SIZE, 3)]
    first_row = cells[:3]
    assert not any(np.array_equal(one, other) for one, other in itertools.combinations(first_row, 2))


def test_a_grid_from_the_tab_is_that_of_the_api(webui, grid, chromium):
    complaints = []
    context = chromium.new_context(viewport={"width": 1400, "height": 1400})
    tab = WebUITab.open(context, webui.url, complaints)
    tab.show_img2img()
    tab.unfold()
    tab.small_job(FRAMES)
    tab.job(steps=STEPS, denoising_strength=0.8, sampler="Euler", scheduler="Automatic")
    tab.choose_script("X/Y/Z plot")
    tab.axis("x", f"{PREFIX}τ end", "0.2, 0.6, 1")
    tab.axis("y", f"{PREFIX}Constant ω", "0, 0.5, 1")
    addresses, text = tab.generate()
    pictures = [Image.open(io.BytesIO(tab.download(address))).convert("RGB") for address in addresses]
    context.close()
    assert complaints == []
    assert "Noise Rectification tau end: 0.2" in text
    shown = next(picture for picture in pictures if picture.width > 3 * SIZE)
    assert shown.height > 3 * SIZE, "with legends"
    assert np.array_equal(np.asarray(shown, dtype=np.int16), grid.pictures[0])

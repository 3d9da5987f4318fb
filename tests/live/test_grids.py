"""X/Y/Z plots in a running web UI: by the API, and chosen in the page."""

import io
import itertools
import re

import numpy as np
import pytest
from client import SIZE
from PIL import Image
from webui_page import PICTURES, WebUITab

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
    x, y = (f"{PREFIX}Ending Step (τ)", "0.2, 0.6, 1"), (f"{PREFIX}Constant ω", "0, 0.5, 1")
    webui.run({"tau_end": 1.0}, steps=STEPS, animatediff=ANIMATEDIFF)
    args = plot_args(webui, x, y, lone_images=True)
    return webui.run(
        {"enabled": True}, steps=STEPS, animatediff=ANIMATEDIFF, script_name="x/y/z plot", script_args=args
    )


@pytest.fixture(scope="module")
def alone(webui):
    """The nine jobs of the grid, row by row."""
    webui.run({"tau_end": 1.0}, steps=STEPS, animatediff=ANIMATEDIFF)
    return [
        webui.run({"tau_end": tau_end, "omega": "constant", "omega_start": omega}, steps=STEPS, animatediff=ANIMATEDIFF)
        for omega, tau_end in itertools.product(OMEGA, TAU_END)
    ]


def test_each_cell_is_the_job_run_alone(grid, alone):
    """Every pixel. After the grid come the cells, row by row; the host puts a job's first picture into them."""
    cells = [picture for picture in grid.pictures[1:] if picture.shape == (SIZE, SIZE, 3)]
    assert len(cells) == 9
    for cell, text, job in zip(cells, grid.info["infotexts"][1:], alone):
        assert np.array_equal(cell, job.frames[0])
        ours = re.compile(r"Noise Rectification (?:tau end|omega start): [^,]+")  # none where it is the default
        assert ours.findall(text) == ours.findall(job.infotext)


def test_the_cells_differ(grid):
    """Or the test above would pass for axes without effect. A cell shows the first frame, which τ end sets free."""
    cells = [picture for picture in grid.pictures[1:] if picture.shape == (SIZE, SIZE, 3)]
    first_row = cells[:3]
    assert not any(np.array_equal(one, other) for one, other in itertools.combinations(first_row, 2))


def test_a_grid_from_the_tab_shows_the_jobs_run_alone(webui, alone, chromium):
    complaints = []
    context = chromium.new_context(viewport={"width": 1400, "height": 1400})
    tab = WebUITab.open(context, webui.url, complaints)
    tab.show_img2img()
    tab.unfold()
    tab.small_job(FRAMES)
    tab.job(steps=STEPS, denoising_strength=0.8, sampler="Euler", scheduler="Automatic")
    tab.choose_script("X/Y/Z plot")
    tab.axis("x", f"{PREFIX}Ending Step (τ)", "0.2, 0.6, 1")
    tab.axis("y", f"{PREFIX}Constant ω", "0, 0.5, 1")
    addresses, text = tab.generate()
    pictures = [Image.open(io.BytesIO(tab.download(address))).convert("RGB") for address in addresses]
    context.close()
    assert complaints == []
    assert "Noise Rectification tau end: 0.2" in text
    shown = next(picture for picture in pictures if picture.height > 3 * SIZE)  # with its legends above and at the left
    shown.save(PICTURES / "a1111-xyz.png")
    # A cell holds all frames of its job where the host's settings ask for grids of frames, which the API never makes.
    in_a_cell = FRAMES if shown.width > 3 * FRAMES * SIZE else 1
    left, top = shown.width - 3 * in_a_cell * SIZE, shown.height - 3 * SIZE
    assert left > 0 and top > 0
    pixels = np.asarray(shown, dtype=np.int16)[top:, left:]
    rows = pixels.reshape(3, SIZE, 3, in_a_cell, SIZE, 3).transpose(0, 2, 3, 1, 4, 5)
    for index, job in enumerate(alone):
        assert np.array_equal(rows[index // 3, index % 3], job.frames[:in_a_cell]), index

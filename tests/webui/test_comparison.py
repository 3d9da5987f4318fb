"""The comparison after a job: which jobs have one, what it is made of, where it goes, and that it never costs the clip."""

import base64
import io
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from standin import used_host
from test_xyz import grid_args

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "noise_rectification.py"
OPTION = "noise_rectification_comparison"
MOVING = {"enabled": True, "tau_end": 1.0, "omega": "constant"}


@pytest.fixture
def host():
    with used_host("a1111", script=SCRIPT) as host:
        _start(host)
        yield host
        _check(host)


@pytest.fixture(params=[("a1111", True), ("a1111", False), ("a1111-1.8", True)], ids=str)
def any_host(request):
    """Our `postprocess` comes before AnimateDiff's or after it."""
    name, animatediff_first = request.param
    with used_host(name, script=SCRIPT, animatediff_first=animatediff_first) as host:
        _start(host)
        yield host
        _check(host)


def _start(host):
    host.opts.data[OPTION] = True


def _check(host):
    assert not [log for log in host.logs if "noise_rectification" in str(log[0])], "a hook of ours failed"
    assert "postprocess" not in vars(host.script("AnimateDiff"))


def run(host, picture, folder, settings=None, *, formats=("GIF",), animatediff=None, **job):
    """The result of a job of the tab, as the gallery gets it."""
    torch.manual_seed(5)  # the host encodes pictures with unseeded noise
    return host.img2img(
        picture,
        script_args={"Noise Rectification": [settings or MOVING], **job.pop("script_args", {})},
        animatediff={"format": list(formats), **(animatediff or {})},
        outpath_samples=str(folder),
        **job,
    ).processed


def files(folder):
    """What was saved, without the folders."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def sheets(processed):
    return [image for image in processed.images if isinstance(image, Image.Image) and image.width > 64]


def tiles(sheet):
    """What the outlines enclose, left to right: the picture and the frames, enlarged to 128 pixels."""
    pixels = np.asarray(sheet)
    line = (pixels == (0xDF, 0xE2, 0xE6)).all(-1)
    top = int(np.flatnonzero(line.sum(1) > 128)[0])
    lefts = [x for x in range(pixels.shape[1] - 1) if line[top : top + 130, x].all()][::2]
    return [pixels[top + 1 : top + 129, x + 1 : x + 129] for x in lefts]


def test_it_lies_beside_the_clip_and_in_the_gallery(any_host, picture, tmp_path):
    processed = run(any_host, picture, tmp_path, frames=16, seed=7)
    clip, sheet = processed.images
    assert files(tmp_path) == ["00000-7-comparison.png", "00000-7.gif"]
    assert Path(sheet.already_saved_as).parent == Path(clip).parent
    # The gallery finds a picture's text by its place.
    assert "Noise Rectification steps: 6 of 6" in processed.infotexts[1]
    with Image.open(sheet.already_saved_as) as saved:
        assert saved.text["parameters"] == processed.infotexts[1] == sheet.info["parameters"]
        assert np.array_equal(np.asarray(saved), np.asarray(sheet))


def test_it_shows_the_picture_and_five_frames(host, picture, tmp_path):
    """As PNG alone, AnimateDiff leaves the frames in the gallery."""
    processed = run(host, picture, tmp_path, frames=16, formats=["PNG"])
    *frames, sheet = processed.images[processed.index_of_first_image :]
    assert len(frames) == 16 and len(tiles(sheet)) == 6
    for tile, image in zip(tiles(sheet), [picture, *(frames[index] for index in (0, 4, 8, 12, 15))]):
        assert np.array_equal(tile, np.asarray(image).repeat(2, 0).repeat(2, 1))
    assert "00000-1-comparison.png" in files(tmp_path)


@pytest.mark.parametrize("count, shown", [(2, [0, 1]), (3, [0, 1, 2]), (5, [0, 1, 2, 3, 4]), (17, [0, 4, 8, 12, 16])])
def test_which_frames_are_shown(host, monkeypatch, count, shown):
    from lib_noiserect.webui import comparison

    monkeypatch.setattr(comparison, "comparison_sheet", lambda _, rows, columns, captions, font: (rows, columns, captions))
    frames = np.arange(count, dtype=np.uint8)[:, None, None, None].repeat(16, 1).repeat(16, 2).repeat(3, 3)
    [(_, drawn, _)], columns, [captions] = comparison.sheet_of(frames[0], frames, "")
    assert [int(frame.max()) for frame in drawn] == shown and columns == len(shown)
    assert [caption.split("\n")[0] for caption in captions] == [f"frame {index}" for index in shown]


def test_what_is_measured(host, picture, monkeypatch):
    """Equal to the picture: SSIM 1 and 58.9 dB, the floor of 8 bits. Off by 16 everywhere: 10·log10(255² / 16²) = 24.0 dB."""
    from lib_noiserect.webui import comparison

    drawn = {}
    monkeypatch.setattr(comparison, "comparison_sheet", lambda *args, **keywords: drawn.update(args=args, **keywords))
    pixels = np.asarray(picture)
    comparison.sheet_of(pixels, np.stack([pixels] * 4), "Rectified: 6 of 6 steps")
    [(title, frames, figures)] = drawn["args"][1]
    assert title == "Rectified: 6 of 6 steps" and len(frames) == 4
    assert figures == {"PSNR to the image, mean": "58.9 dB", "motion": "0.00 pixels per frame"}
    assert drawn["captions"] == [[f"frame {index}\nSSIM 1.000" for index in range(4)]]

    comparison.sheet_of(pixels, np.stack([pixels ^ 16] * 4), "")
    assert drawn["args"][1][0][2]["PSNR to the image, mean"] == "24.0 dB"
    assert all("SSIM 0." in caption for caption in drawn["captions"][0])


def test_each_clip_of_several_batches_has_its_own(host, picture, tmp_path):
    processed = run(host, picture, tmp_path, n_iter=2, seed=7)
    assert files(tmp_path) == ["00000-7-comparison.png", "00000-7.gif", "00001-11-comparison.png", "00001-11.gif"]
    assert [Path(path).name for path in processed.images[:2]] == ["00000-7.gif", "00001-11.gif"]
    first, second = sheets(processed)
    assert not np.array_equal(tiles(first)[-1], tiles(second)[-1])
    assert ["Seed: 7," in first.info["parameters"], "Seed: 11," in second.info["parameters"]] == [True, True]


def test_frames_that_animatediff_adds_are_not_compared(host, picture, tmp_path):
    """Interpolation makes more frames than the model did."""
    plain = run(host, picture, tmp_path / "plain", formats=["PNG"])
    longer = run(host, picture, tmp_path / "longer", formats=["PNG"], animatediff={"interp": "FILM"})
    assert len(files(tmp_path / "longer")) - 1 == 2 * (len(files(tmp_path / "plain")) - 1)
    assert np.array_equal(np.asarray(sheets(plain)[-1]), np.asarray(sheets(longer)[-1]))


def test_a_clip_that_is_shorter_than_its_context(host, picture, tmp_path):
    """The model makes 8 frames, AnimateDiff's clip has the first 4, and so has the sheet."""
    processed = run(host, picture, tmp_path, frames=4, animatediff={"batch_size": 8, "request_id": "mine"})
    assert len(tiles(sheets(processed)[0])) == 1 + 4
    assert files(tmp_path) == ["00000-1-mine-comparison.png", "00000-1-mine.gif"]


def test_the_picture_is_shown_as_the_host_made_it_fit(host, picture, tmp_path):
    wide = Image.new("RGBA", (256, 64))  # transparent at both sides
    wide.paste(picture, (96, 0))
    on_white = Image.new("RGB", wide.size, "white")
    on_white.paste(picture, (96, 0))
    stretched = on_white.resize((64, 64), Image.Resampling.LANCZOS)
    for resize_mode, expected in ((0, stretched), (1, picture), (3, stretched)):
        processed = run(host, wide, tmp_path, resize_mode=resize_mode)
        shown = tiles(sheets(processed)[0])[0][::2, ::2]
        assert np.array_equal(shown, np.asarray(expected)), resize_mode


@pytest.mark.parametrize(
    "settings", [{"enabled": False}, {**MOVING, "tau_start": 0.5, "tau_end": 0.5}], ids=["off", "never hit"]
)
def test_a_plain_clip_has_none(host, picture, tmp_path, settings):
    processed = run(host, picture, tmp_path, settings)
    assert len(processed.images) == 1 and files(tmp_path) == ["00000-1.gif"]


def test_an_interrupted_clip_has_none(host, picture, tmp_path):
    """It is neither what was asked for nor a plain one, and whoever interrupts does not want to wait."""

    def interrupt(call, x, level):
        host.state.interrupted = call == 3

    host.on_model_call = interrupt
    processed = run(host, picture, tmp_path)
    assert len(processed.images) == 1 and files(tmp_path) == ["00000-1.gif"]


def test_without_the_option_nothing_of_it_is_loaded(host, picture, tmp_path):
    import sys

    host.opts.data[OPTION] = False
    processed = run(host, picture, tmp_path)
    assert len(processed.images) == 1 and files(tmp_path) == ["00000-1.gif"]
    assert "lib_noiserect.webui.comparison" not in sys.modules


def test_the_clip_is_the_same_to_the_byte(host, picture, tmp_path):
    clips = []
    for wanted in (False, True):
        host.opts.data[OPTION] = wanted
        [clip, *_] = run(host, picture, tmp_path / str(wanted)).images
        clips.append(Path(clip).read_bytes())
    assert clips[0] == clips[1]


def test_no_cell_of_a_grid_has_one(host, picture, tmp_path):
    plot = host.script("X/Y/Z plot")
    plot_args = grid_args(host, ("Ending Step (τ)", "0.5, 1"), ("Steps", "4, 6"))
    processed = run(host, picture, tmp_path, script_args={"X/Y/Z plot": plot_args})
    assert len(plot.standin_cells) == 4 and len(processed.images) == 5
    assert not [name for name in files(tmp_path) if "comparison" in name]


@pytest.mark.parametrize("formats, clips", [(["GIF"], 1), (["PNG"], 4), (["GIF", "PNG"], 1)], ids=str)
def test_an_api_request_gets_one_only_if_it_asks(host, payload, tmp_path, formats, clips):
    """Its writer counts the pictures; whoever ticked the option in the tab may be somebody else."""
    host.opts.data["outdir_img2img_samples"] = str(tmp_path)
    payload["alwayson_scripts"] = {
        "AnimateDiff": {"args": [{"enable": True, "video_length": 4, "batch_size": 4, "format": formats}]},
        "Noise Rectification": {"args": [MOVING]},
    }
    status, body = host.api_img2img(payload)
    assert status == 200 and len(body["images"]) == clips
    assert not [name for name in files(tmp_path) if "comparison" in name]

    host.opts.data[OPTION] = False
    status, body = host.api_img2img({**payload, "override_settings": {OPTION: True}})
    assert status == 200 and len(body["images"]) == clips + 1
    with Image.open(io.BytesIO(base64.b64decode(body["images"][-1]))) as sheet:
        assert len(tiles(sheet)) == 1 + 4
    assert len([name for name in files(tmp_path) if "comparison" in name]) == 1
    assert host.opts.data[OPTION] is False

    host.opts.data[OPTION] = True
    status, body = host.api_img2img({**payload, "override_settings": {OPTION: "yes"}})
    assert status == 200 and len(body["images"]) == clips  # not a value of it: its default


@pytest.mark.parametrize("broken", ["measure", "save", "collect"])
def test_a_failure_never_costs_the_clip_and_is_told(host, picture, tmp_path, monkeypatch, caplog, broken):
    from modules import images

    from lib_noiserect.webui import comparison

    def fail(*args, **kwargs):
        raise OSError("no space left")

    place = {
        "measure": (comparison.metrics, "motion"),
        "save": (images, "save_image"),
        "collect": (comparison.Comparison, "_videos"),
    }[broken]
    monkeypatch.setattr(*place, fail)
    logger = logging.getLogger("noise_rectification")
    logger.addHandler(caplog.handler)
    try:
        processed = run(host, picture, tmp_path)
    finally:
        logger.removeHandler(caplog.handler)
    assert [Path(path).name for path in processed.images] == ["00000-1.gif"] == files(tmp_path)
    message = "the comparison sheet could not be made (OSError: no space left)"
    assert message in caplog.text and f"Noise Rectification: {message}" in processed.comments
    assert message in processed.js()
    assert not host.frames_are_connected()


def test_a_failure_before_the_comparison_begins_is_told_too(host, picture, tmp_path, monkeypatch):
    from lib_noiserect.webui import comparison

    monkeypatch.setattr(comparison, "Comparison", lambda *args: 1 / 0)
    processed = run(host, picture, tmp_path)
    assert [Path(path).name for path in processed.images] == ["00000-1.gif"] == files(tmp_path)
    assert "Noise Rectification: nothing could be added to the video: see the console" in processed.comments


@pytest.mark.parametrize("when", ["sampling", "after sampling"])
def test_a_job_that_fails_leaves_nothing_for_the_next(host, picture, tmp_path, monkeypatch, when):
    from modules import devices

    def fail(*args, **kwargs):
        raise KeyError("out of memory")

    if when == "sampling":
        host.on_model_call = fail
    else:
        monkeypatch.setattr(devices, "test_for_nans", fail)
    with pytest.raises(KeyError):
        run(host, picture, tmp_path)
    host.on_model_call = None
    monkeypatch.undo()
    assert "postprocess" not in vars(host.script("AnimateDiff"))
    assert len(run(host, picture, tmp_path, {"enabled": False}).images) == 1
    assert len(run(host, picture, tmp_path).images) == 2


def test_a_job_inside_the_job_has_none(host, picture, tmp_path):
    """As ADetailer's on each finished picture: they are no clips."""
    host.nested_job_on_postprocess_image, host.nested_job_frames = True, 4
    processed = run(host, picture, tmp_path)
    assert len(host.nested_jobs) == 4 and len(processed.images) == 2


def test_where_animatediff_saves_nothing_the_host_names_the_sheet(host, picture, tmp_path):
    processed = run(host, picture, tmp_path, formats=[], seed=9)
    assert files(tmp_path) == ["00000-9-comparison.png"]
    assert sheets(processed)[-1].already_saved_as.endswith("00000-9-comparison.png")

"""The controls: their cases, the figures of a video by hand, and the tables."""

import importlib
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import controls
from benchmarks.controls import CONTROLS, HALF, WHOLE, Trial, blended, case_of, measured, video_figures, world
from benchmarks.controls_report import parts, ratio_of_means
from benchmarks.families import results_in
from benchmarks.long_videos import contexts
from lib_noiserect.evaluation.model import Model

ROOT = Path(__file__).resolve().parents[2]


def test_every_case_has_its_own_name_and_is_found_by_it():
    for control, cases in CONTROLS.items():
        assert len({case.name for case in cases}) == len(cases)
        assert all(case_of(Trial(control, case.name, 0)) is case for case in cases)


def gray(*levels):
    return np.stack([np.full((32, 32, 3), level, np.uint8) for level in levels])


def test_figures_of_a_video_by_hand():
    video = gray(100, 104, 106, 112, 110)  # steps of 4, 2, 6 and 2: 3.5 on average
    figures = video_figures(video, video[0])
    assert figures["change"] == pytest.approx((4 + 6 + 12 + 10) / 4) and figures["closing"] == pytest.approx(10 / 3.5)
    steps = [figures[name] for name in ("first_step", "last_step", "largest_step")]
    assert steps == pytest.approx([4 / 3.5, 2 / 3.5, 6 / 3.5])
    assert figures["ssim_first"] == figures["frames"][0] == 1 and len(figures["frames"]) == 5
    assert np.array_equal(blended(video, 0.5), gray(100, 102, 103, 106, 105))


def test_windows_cover_every_frame_and_begin_elsewhere_at_each_call():
    begins = set()
    for call in range(4):
        windows = contexts(call, 96)
        assert {frame for inside in windows for frame in inside} == set(range(96))
        assert all(len(inside) == 16 and inside[1] == (inside[0] + 1) % 96 for inside in windows)
        assert windows[1][0] == (windows[0][0] + 12) % 96
        begins.add(windows[0][0])
    assert begins == {0, 48, 24, 72}


@pytest.mark.parametrize("upright", [False, True])
def test_a_mask_lets_the_half_move_that_the_creature_crosses(upright):
    scenes, images, _ = world()
    number = next(index for index in range(32) if (int(scenes.direction[index]) >= 2) == upright)
    mask, _, second = controls._half(number)
    inside = mask == 255
    assert inside.mean() == 0.5 and np.ptp(mask, axis=0 if upright else 1).max() == 0
    still, moving = np.repeat(images[number][None], 3, axis=0), np.repeat(images[number][None], 3, axis=0)
    moving[1:, inside] = 255 - moving[1:, inside]
    figures = controls._mask_figures(moving, still, number)
    assert figures["ssim_outside"] == 1 and figures["largest_outside"] == 0 and figures["change_inside"] > 20
    assert figures["seam"] > 1 and controls._mask_figures(still, still, number)["seam"] == pytest.approx(1)


@pytest.mark.slow
def test_a_measured_case_is_the_video_of_its_settings():
    """With the mask, the outside stays the picture's more than without."""
    model, cases = Model(device="cpu"), CONTROLS["mask"]
    without, with_mask = (measured(model, replace(case, steps=2), "mask", 0) for case in cases[:2])
    assert (
        with_mask["ssim_outside"] > without["ssim_outside"]
        and with_mask["largest_outside"] < without["largest_outside"]
    )


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """All controls on two images, with figures made up by hand."""
    results = results_in(tmp_path_factory.mktemp("controls"))
    names = ["ssim", "ssim_first", "ssim_last", "ssim_quarters", "motion", "closing", "first_step", "last_step"]
    names += ["largest_step", "drift", "covered", "ssim_outside", "largest_outside", "change_inside", "seam"]
    names += ["uncorrected", "amount", "probes", "time", "blend 0.25", "blend 0.5", "blend 0.75"]
    for control, cases in CONTROLS.items():
        for case in cases:
            for image in range(2):
                # The dial's videos have 0.5 and 0.7 of the change that ω = 1 has, and all else is the same.
                change = 10.0 * {WHOLE: 1, HALF: 0.7}.get(case.labels[-1], 0.5) + image
                values = {**dict.fromkeys(names, 0.5), "change": change, "frames": [0.5] * 96}
                results.append(Trial(control, case.name, image), values)
    return results


def test_tables_of_the_controls(results):
    made = {part.name: part.markdown for part in parts(results)}
    assert list(made) == ["dial", "flow", *list(CONTROLS)[1:]]
    assert (
        "| ddim | 15 | 0.52 [0.50, 0.55] | 0.52 [0.50, 0.55] | 0.52 [0.50, 0.55] | 0.71 [0.70, 0.73] |" in made["dial"]
    )
    assert "No cell is more than 0.27 from its Motion amount." in made["dial"]
    assert "keeps 71 to 71 % of the motion" in made["dial"] and made["dial"].endswith("Images: 2.")
    assert "| 1 | constant | off | 0.50 [0.50, 0.50] |" in made["loop"]
    assert "| 96, windows, repeated noise | ω = 0.5, τ = 1 | 0.50 [0.50, 0.50] |" in made["long"]
    assert "divided by that kept in 16 frames, authors, τ = 0.6: 1.00 [1.00, 1.00]." in made["long"]
    assert "| – |" not in "".join(made.values())


def test_the_docs_picture_needs_all_controls(results, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "pictures"))
    draw = importlib.import_module("draw").draw
    assert [path.name for path in draw(results, tmp_path)] == ["control.png"]
    assert draw(results_in(tmp_path), tmp_path) == []


def test_a_ratio_is_of_the_means():
    """An image that hardly moves would rule a mean of ratios: 1 / 0.01 here."""
    here, there = [1.0, 2.0, 3.0], [0.01, 4.0, 2.0]
    estimate = ratio_of_means((here, 1), (there, -1))
    assert estimate.mean == pytest.approx(6 / 6.01) and estimate.low < estimate.mean < estimate.high
    assert ratio_of_means((here, 1), (here, -1)) == type(estimate)(1, 1, 1, 3)
    single = ratio_of_means(([3.0], 1), ([2.0], -1), ([1.5], -1), ([4.0], 1))
    assert single.mean == pytest.approx(4) and math.isnan(single.low)

"""The experiments on following the motion: what is asked for, comparisons at equal way, and the report."""

import math
import os
import re

import numpy as np
import pytest

from benchmarks.families import results_in
from benchmarks.motion import EXPERIMENTS, NOISING, OURS, PAPER, STRENGTHS, WHOLE, Trial, model_calls, starts, trials_of
from benchmarks.motion_report import at_equal_way, main, parts, rank_correlation, way_kept
from lib_noiserect.evaluation.report import write_reports


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_trial_is_asked_for_once_and_the_first_images_have_all(experiment):
    asked = trials_of(experiment, 64)
    assert len(set(asked)) == len(asked)
    cases = {(trial.case, trial.sampler, trial.steps, trial.strength) for trial in asked}
    assert {(t.case, t.sampler, t.steps, t.strength) for t in asked[: len(cases)]} == cases
    assert len(asked) == 64 * len(cases)
    assert all(trial in asked for trial in trials_of(experiment, 3))


def test_the_main_table_has_all_samplers_in_few_and_many_steps():
    asked = trials_of("follow", 1)
    rows = {(trial.sampler, trial.steps, trial.case) for trial in asked}
    samplers = ("ddim", "euler a", "dpm++ sde", "lcm")
    both = {(sampler, steps, case) for sampler in samplers for steps in (10, 25) for case in (PAPER, OURS)}
    whole = {(sampler, 10, f"{case}{WHOLE}") for sampler in samplers for case in (PAPER, OURS)}
    assert rows == both | whole | {("lcm", 10, NOISING)}
    videos = {trial.same for name in ("follow", "peers") for trial in trials_of(name, 1)}
    assert len(videos) < len(asked) + len(trials_of("peers", 1)), "what two experiments ask for is computed once"


def test_every_method_is_measured_at_every_strength():
    asked = {(trial.case, trial.strength) for trial in trials_of("peers", 1)}
    assert asked >= {(case, strength) for case in starts() if WHOLE not in case for strength in STRENGTHS}


def test_model_calls_by_hand():
    def calls(case, sampler="ddim", strength=0.65, experiment="peers"):
        return model_calls(Trial(experiment, case, sampler, 10, strength, 0))

    assert (calls("noising"), calls("low frequencies"), calls(PAPER, "dpm++ sde", 1.0)) == (6, 10, 19)
    assert calls(f"pan: {OURS}", strength=0.6, experiment="other-clips") == 6


def test_a_gain_at_equal_way_by_hand():
    """Between (0.4, 20) and (0.8, 18) the line has 19 at 0.6, where the peer has 16.5."""
    images = [f"{n}" for n in range(8)]
    spread = np.linspace(-1, 1, 8)  # of the images, the same for all
    curve = [{image: (way, psnr + s) for image, s in zip(images, spread)} for way, psnr in ((0.8, 18.0), (0.4, 20.0))]
    peer = {image: (0.6, 16.5 + s) for image, s in zip(images, spread)}
    gain = at_equal_way(curve, peer)
    assert (gain.mean, gain.low, gain.high) == pytest.approx((2.5, 2.5, 2.5)) and gain.count == 8
    assert at_equal_way(curve, dict.fromkeys(images, (0.9, 16.5))) is None  # no setting of ours goes so far
    assert at_equal_way(curve, {"another": (0.6, 16.5)}) is None and at_equal_way([], peer) is None
    noisy = {image: (0.6, 16.5 + 2 * s) for image, s in zip(images, spread)}
    gain = at_equal_way(curve, noisy)
    assert gain.mean == pytest.approx(2.5) and 1.5 < gain.low < 2.3 and 2.7 < gain.high < 3.5


def test_the_way_that_is_kept_is_a_ratio_of_means():
    paper = {("a",): {"way": 0.8}, ("b",): {"way": 0.4}, ("c",): {"way": 0.1}}
    ours = {("a",): {"way": 0.4}, ("b",): {"way": 0.5}}
    kept = way_kept(ours, paper)
    assert kept.mean == pytest.approx(0.75) and kept.low == pytest.approx(0.5) and kept.high == pytest.approx(1.25)
    assert way_kept(ours, {}) is None


def test_a_rank_correlation_by_hand():
    samples = {
        (f"{image}", f"{video}"): {"ghost": image + video, "left_psnr": -((image + video) ** 3)}
        for image in range(4)
        for video in (0, 10)
    }
    rank = rank_correlation(samples, "ghost", "left_psnr")
    assert (rank.mean, rank.low, rank.high, rank.count) == (pytest.approx(-1), pytest.approx(-1), pytest.approx(-1), 4)
    samples["0", "0"]["left_psnr"] = math.nan  # does not count
    samples["3", "10"]["left_psnr"] = 0.0
    rank = rank_correlation(samples, "ghost", "left_psnr")
    # Of seven, the last in one order is the first in the other: 1 - 6·(6² + 6·1²)/(7·48), with its sign.
    assert rank.mean == pytest.approx(-(1 - 6 * (36 + 6) / 336)) and rank.low < rank.mean < rank.high
    assert rank_correlation({}, "ghost", "left_psnr") is None


def filled(folder):
    """Results in which following the motion gains 2 dB in the moving area and keeps the way, on 3 images."""
    store = results_in(folder)
    for experiment in EXPERIMENTS:
        for trial in trials_of(experiment, 3):
            shift = np.random.default_rng(trial.picture).uniform(-1, 1) + 2 * (OURS in trial.case)
            way = 0.4 + 0.3 * trial.strength
            figures = {
                "moving_psnr": 18 + shift,
                "left_psnr": math.nan if trial.picture == 0 else 17 + shift,
                "creature_psnr": 14 + shift,
                "way": way,
                "ssim": 0.7,
                "ghost": 0.5 - shift / 10,
            }
            if experiment == "other-clips":
                figures = {"clip_psnr": 20 + shift / 10, "changed_psnr": 15 + shift}
            elif experiment == "correspondence":
                figures = {"off_moving": 1.5, "near": 0.4, "off_still": 0.1, "moved": 3.0}
            store.append(trial, figures)
    return results_in(folder)


def test_the_report_has_all_parts_with_gains_and_verdicts(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: None)  # of 340 results
    results = filled(tmp_path)
    write_reports(results, tmp_path / "report.html", tmp_path / "motion.md")
    page, text = (path.read_text(encoding="utf-8") for path in (tmp_path / "report.html", tmp_path / "motion.md"))
    assert re.findall("<!-- section: (.*) -->", text) == ["goals", *EXPERIMENTS, "ghosts"] and "image/svg+xml" in page
    assert "| Moving area, ddim, 10 steps | at least +1.0 dB, interval above 0 | +2.00 [+2.00, +2.00] dB | yes |" in text
    assert "| Way, lcm, 25 steps | at least 0.95 of the rule's | 1.00 [1.00, 1.00] | yes |" in text
    assert f"| Moving area, ddim, 10 steps{WHOLE} | at least +2.0 dB" in text
    assert "| low frequencies, strength 0.5, at equal way | above 0 dB | +2.00" in text
    assert "| Videos: pan | not below −0.1 dB | +0.20" in text
    assert "| ddim, 10 steps | following | +2.00 [+2.00, +2.00] | +2.00 [+2.00, +2.00] |" in text
    assert "| rectified | −1.00 [−1.00, −1.00] |" in text
    main(tmp_path, tmp_path / "picture.svg")
    assert (tmp_path / "picture.svg").read_text(encoding="utf-8").count("<svg") == 1


def test_a_part_of_the_results_is_reported_too(tmp_path):
    store = results_in(tmp_path)
    for trial in trials_of("follow", 1):
        store.append(trial, {"moving_psnr": 18.0, "way": 0.5})
    assert [part.name for part in parts(results_in(tmp_path))] == ["goals", "follow"]

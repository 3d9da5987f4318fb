"""Runs: nothing is computed twice, nothing is lost, and what fails is named."""

import logging
from dataclasses import replace

import numpy as np
import pytest
from eval_jobs import CONDITIONS, Counting, make, score, some_pictures, texture

from lib_noiserect.evaluation.errors import EvaluationError
from lib_noiserect.evaluation.experiments import methods_experiment, omega_experiment, tau_experiment
from lib_noiserect.evaluation.pictures import Picture
from lib_noiserect.evaluation.runner import RowsFailedError, run
from lib_noiserect.evaluation.store import Result, Store, clip_path, read_results

PICTURES = some_pictures(2)
ROWS = methods_experiment(PICTURES, ["Euler"], CONDITIONS)


def compute(rows, make, folder, **options):
    return run(rows, make, folder, pictures=PICTURES, progress=False, **options)


def by_row(folder):
    return {(result.row.experiment, result.row.id): dict(result.values) for result in read_results(folder)}


def test_every_row_has_its_figures(tmp_path):
    assert compute(ROWS, make, tmp_path) == 6
    results = {result.row: result for result in read_results(tmp_path)}
    assert set(results) == set(ROWS)
    noising, fixed_noise, pivot = (results[row].figures["ssim"] for row in ROWS if row.picture == PICTURES[0].id)
    assert noising < fixed_noise < pivot
    left, right = (results[row].values for row in ROWS[-2:])
    assert (left["direction"], left["follows_caption"]) == ("left", 1.0)
    assert (right["direction"], right["follows_caption"]) == ("left", 0.0)


def test_a_second_run_computes_what_is_missing(tmp_path):
    counting = Counting()
    assert compute(ROWS[:2], counting, tmp_path) == 2
    assert compute(ROWS, counting, tmp_path) == 4
    assert compute(ROWS, counting, tmp_path) == 0
    assert sorted(counting.made.values()) == [1] * 6
    assert len(read_results(tmp_path)) == 6


@pytest.mark.parametrize("at_once", [True, False])
def test_rows_that_two_experiments_share_are_computed_once(tmp_path, at_once):
    experiments = [
        ROWS,
        omega_experiment(PICTURES, "Euler", CONDITIONS),
        tau_experiment(PICTURES, "Euler", CONDITIONS),
    ]
    counting = Counting()
    if at_once:
        compute([row for rows in experiments for row in rows], counting, tmp_path)
    else:
        for rows in experiments:
            compute(rows, counting, tmp_path)
    assert len(counting.made) == 2 * 14 and set(counting.made.values()) == {1}
    found = by_row(tmp_path)
    assert len(found) == 2 * (3 + 6 + 8)
    assert found["methods", ROWS[0].id] == found["tau", ROWS[0].id]


def test_half_a_line_is_dropped_and_its_row_computed_again(tmp_path, caplog):
    compute(ROWS, make, tmp_path)
    path, complete = tmp_path / "results.csv", by_row(tmp_path)
    path.write_bytes(path.read_bytes()[:-30])
    assert len(read_results(tmp_path)) == 5
    counting = Counting()
    with caplog.at_level(logging.WARNING):
        assert compute(ROWS, counting, tmp_path) == 1
    assert "ends in half a line" in caplog.text
    assert by_row(tmp_path) == complete


@pytest.mark.parametrize("left", [0, 20])
def test_half_a_header_is_nothing(tmp_path, left):
    compute(ROWS[:1], make, tmp_path)
    path = tmp_path / "results.csv"
    path.write_bytes(path.read_bytes()[:left])
    assert compute(ROWS[:1], make, tmp_path) == 1
    assert len(read_results(tmp_path)) == 1


def test_a_damaged_line_is_named(tmp_path):
    compute(ROWS[:2], make, tmp_path)
    path = tmp_path / "results.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], "damaged\n", lines[2]]))
    with pytest.raises(EvaluationError, match="line 2 is damaged"):
        compute(ROWS, make, tmp_path)
    path.write_text("".join([lines[0], lines[1].replace("Euler", "Heun"), lines[2]]))
    with pytest.raises(EvaluationError, match="line 2 is damaged .id = "):
        compute(ROWS, make, tmp_path)


def test_a_failing_row_is_named_and_the_others_go_on(tmp_path, caplog):
    bad = PICTURES[0].id
    counting = Counting(bad=(bad,))
    with pytest.raises(RowsFailedError, match="3 of 6 clips failed") as failed:
        compute(ROWS, counting, tmp_path)
    assert f"pivot, Euler, τ [0, 0.6], ω authors, {bad}, seed 0: ArithmeticError: no clip" in str(failed.value)
    assert [(row.picture, str(error)) for row, error in failed.value.failures] == [(bad, "no clip of this")] * 3
    assert {result.row for result in read_results(tmp_path)} == {row for row in ROWS if row.picture != bad}
    assert "Traceback" in caplog.text
    assert compute(ROWS, make, tmp_path) == 3


def test_a_clip_that_is_none_is_a_failure(tmp_path):
    with pytest.raises(RowsFailedError, match=r"make gave ndarray of shape \(2, 32, 32, 3\): 3 frames are wanted"):
        compute(ROWS[:1], lambda row, pixels: make(row, pixels)[:2], tmp_path)
    with pytest.raises(RowsFailedError, match="clip is float64 of shape"):
        compute(ROWS[:1], lambda row, pixels: make(row, pixels) / 255, tmp_path)


def test_clips_are_kept_of_the_first_pictures_with_their_first_seed(tmp_path):
    from PIL import Image

    two_seeds = replace(CONDITIONS, seeds=(5, 6))
    rows = methods_experiment(PICTURES, ["Euler"], two_seeds)
    compute(rows, make, tmp_path, keep_clips=1)
    kept = [row for row in rows if row.picture == PICTURES[0].id and row.seed == 5]
    assert sorted(path.name for path in (tmp_path / "clips").iterdir()) == sorted(f"{row.id}.webp" for row in kept)
    with Image.open(tmp_path / clip_path(kept[0])) as clip:
        assert (clip.n_frames, clip.size) == (3, (32, 32))
    with Image.open(tmp_path / "pictures" / f"{PICTURES[0].id}.png") as picture:
        assert np.array_equal(np.asarray(picture), PICTURES[0].pixels)


def test_further_scores(tmp_path):
    compute(ROWS[:1], make, tmp_path, score=score)
    (result,) = read_results(tmp_path)
    assert result.figures["image_fidelity"] == 0.5 and result.values["clip_weights"] == ROWS[0].caption
    with pytest.raises(EvaluationError, match="other columns .*clip_model.*: use a new folder"):
        compute(ROWS, make, tmp_path)


def test_numbers_and_texts_come_back_as_they_were(tmp_path):
    row = replace(ROWS[-1], omega=(0.1 + 0.2, 1, 1 / 3), caption='a "quoted", odd caption ω', seed=2**62)
    Store(tmp_path).append(Result(row, {"ssim": 0.1 + 0.2, "direction": "left", "follows_caption": ""}))
    (result,) = read_results(tmp_path)
    assert result.row == row and result.values == {"ssim": 0.1 + 0.2, "direction": "left", "follows_caption": ""}
    assert result.figures == {"ssim": 0.1 + 0.2}


def test_processes_find_the_same(tmp_path):
    compute(ROWS, make, tmp_path / "here")
    assert compute(ROWS, make, tmp_path / "processes", processes=1) == 6
    assert by_row(tmp_path / "here") == by_row(tmp_path / "processes")


def test_what_does_not_fit_is_refused(tmp_path):
    with pytest.raises(EvaluationError, match="use one of them"):
        compute(ROWS, make, tmp_path, dask="tcp://127.0.0.1:1", processes=2)
    with pytest.raises(EvaluationError, match="is not among the pictures"):
        run(ROWS, make, tmp_path, pictures=[Picture("p0", "x", texture(9))], progress=False)
    with pytest.raises(EvaluationError, match="results.csv does not exist"):
        read_results(tmp_path / "nowhere")
    (tmp_path / "results.csv").write_text("a,b\n1,2\n")
    with pytest.raises(EvaluationError, match="has the columns a, b: this is no file of results"):
        compute(ROWS, make, tmp_path)

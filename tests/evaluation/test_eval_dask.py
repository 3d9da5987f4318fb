"""Runs on a Dask cluster: the same results as here, and a worker that dies costs none of them."""

import sys

import pytest
from eval_jobs import CONDITIONS, Counting, DyingOnce, FailingOnce, make, some_pictures

from lib_noiserect.evaluation.errors import EvaluationError
from lib_noiserect.evaluation.experiments import methods_experiment
from lib_noiserect.evaluation.runner import RowsFailedError, run
from lib_noiserect.evaluation.store import read_results

distributed = pytest.importorskip("distributed")

PICTURES = some_pictures(2)
ROWS = methods_experiment(PICTURES, ["Euler", "Euler a"], CONDITIONS)


@pytest.fixture(scope="module")
def address():
    cluster = distributed.LocalCluster(n_workers=2, processes=True, threads_per_worker=1, dashboard_address=None)
    with cluster:
        yield cluster.scheduler_address


def compute(make, folder, dask):
    made = run(ROWS, make, folder, pictures=PICTURES, dask=dask, keep_clips=1, progress=False)
    kept = {path.name: path.read_bytes() for path in (folder / "clips").iterdir()}
    return made, {result.row: dict(result.values) for result in read_results(folder)}, kept


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_worker_that_is_killed_costs_no_row(address, tmp_path):
    here = compute(make, tmp_path / "here", dask=None)
    marker = tmp_path / "killed"
    there = compute(DyingOnce("Euler a", marker), tmp_path / "there", address)
    assert marker.is_file()
    assert here[0] == there[0] == len(ROWS) == len(there[1])
    assert here == there


def test_a_row_that_fails_once_is_tried_again(address, tmp_path):
    make_later = FailingOnce("Euler", tmp_path / "failed")
    assert run(ROWS, make_later, tmp_path, pictures=PICTURES, dask=address, progress=False) == len(ROWS)
    assert make_later.marker.is_file()


def test_a_failing_row_is_named(address, tmp_path):
    bad = PICTURES[1].id
    with pytest.raises(RowsFailedError, match="6 of 12 clips failed[^$]*ArithmeticError: no clip of this"):
        run(ROWS, Counting(bad=(bad,)), tmp_path, pictures=PICTURES, dask=address, progress=False)
    assert {result.row.picture for result in read_results(tmp_path)} == {PICTURES[0].id}


def test_an_address_without_a_scheduler_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("lib_noiserect.evaluation.runner._PATIENCE", "0.5s")
    with pytest.raises(EvaluationError, match="dask = 'tcp://127.0.0.1:1' does not answer"):
        run(ROWS, make, tmp_path, pictures=PICTURES, dask="tcp://127.0.0.1:1", progress=False)

"""The engine: nothing is computed twice, nothing is lost, and all that fails is named."""

import json
import logging
import math
import subprocess
import sys
from dataclasses import asdict, dataclass

import pytest
from toy_trials import Counting, DyingOnce, FailingOnce, Toy, outcomes, toys, work

from lib_noiserect.core.errors import UserError
from lib_noiserect.evaluation import trials
from lib_noiserect.evaluation.trials import Family, Results, TrialsFailedError, locked, run


def results_in(folder, kind=Toy):
    return Results(folder, {"toy": Family((), kind, None, None)})


def compute(wanted, computing, folder, **options):
    folder.mkdir(exist_ok=True)
    return run(wanted, work(computing), results_in(folder), **options)


def values_in(folder):
    return results_in(folder).values


# The engine.


def test_every_trial_has_its_figures_and_files(tmp_path):
    assert compute(toys(), outcomes, tmp_path) == 3, "a job has both numbers of a name"
    assert values_in(tmp_path) == {toy: {"figure": toy.number / 3, "name": toy.name} for toy in toys()}
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {f"{toy.name}-{toy.number}.txt" for toy in toys()}


def test_a_second_run_computes_what_is_missing(tmp_path):
    counting = Counting()
    assert compute(toys()[:1], counting, tmp_path) == 1
    assert compute(toys(), counting, tmp_path) == 3
    assert compute(toys(), counting, tmp_path) == 0
    assert sorted(counting.made.values()) == [1] * 6


@pytest.mark.parametrize("at_once", [True, False])
def test_trials_that_two_experiments_share_are_computed_once(tmp_path, at_once):
    counting, both = Counting(), [toys("first"), toys("second", ("c", "d"))]
    for some in [both[0] + both[1]] if at_once else both:
        compute(some, counting, tmp_path)
    assert len(counting.made) == 8 and set(counting.made.values()) == {1}
    found = values_in(tmp_path)
    assert len(found) == 10 and found[Toy("first", "c", 1)] == found[Toy("second", "c", 1)]


def test_a_failing_job_is_named_and_the_others_go_on(tmp_path, caplog):
    with pytest.raises(TrialsFailedError, match="1 of 3 jobs failed") as failed:
        compute(toys(), Counting(bad=("b",)), tmp_path)
    assert "experiment first, name b, number 0: ArithmeticError: no figure of this" in str(failed.value)
    assert {trial.name for trial in values_in(tmp_path)} == {"a", "c"} and "Traceback" in caplog.text
    assert compute(toys(), outcomes, tmp_path) == 1


def test_many_failures_are_counted(tmp_path):
    names = tuple(f"{number:02d}" for number in range(12))
    with pytest.raises(TrialsFailedError, match="12 of 12 jobs failed[^$]*and 2 more"):
        compute(toys(names=names), Counting(bad=names), tmp_path)


def test_processes_find_the_same(tmp_path):
    compute(toys(), outcomes, tmp_path / "here")
    assert compute(toys(), outcomes, tmp_path / "there", processes=1) == 3
    assert values_in(tmp_path / "here") == values_in(tmp_path / "there")


# On a Dask cluster.


@pytest.fixture(scope="module")
def address():
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(n_workers=1, processes=True, threads_per_worker=1, dashboard_address=":0")
    with cluster:
        yield cluster.scheduler_address


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_worker_that_is_killed_costs_no_trial(address, tmp_path):
    marker = tmp_path / "killed"
    assert compute(toys(), DyingOnce("b", marker), tmp_path / "there", dask=address) == 3
    assert marker.is_file()
    compute(toys(), outcomes, tmp_path / "here")
    assert values_in(tmp_path / "here") == values_in(tmp_path / "there")
    assert len(list((tmp_path / "there" / "kept").iterdir())) == 6


def test_a_job_that_fails_once_is_tried_again(address, tmp_path):
    later = FailingOnce("b", tmp_path / "failed")
    assert compute(toys(), later, tmp_path, dask=address) == 3 and later.marker.is_file()


def test_a_job_that_fails_on_the_cluster_is_named(address, tmp_path):
    with pytest.raises(TrialsFailedError, match="1 of 3 jobs failed[^$]*ArithmeticError: no figure of this"):
        compute(toys(), Counting(bad=("b",)), tmp_path, dask=address)
    assert {trial.name for trial in values_in(tmp_path)} == {"a", "c"}


def test_an_address_without_a_scheduler_is_refused(tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(trials, "_PATIENCE", "0.5s")
    with pytest.raises(UserError, match="dask = 'tcp://127.0.0.1:1' does not answer"):
        compute(toys(), outcomes, tmp_path, dask="tcp://127.0.0.1:1")


# The lock.


def test_a_folder_in_use_is_refused_until_the_other_run_ends(tmp_path):
    code = "import sys, pathlib; from lib_noiserect.evaluation.trials import locked\n"
    code += "with locked(pathlib.Path(sys.argv[1])): print('locked', flush=True); sys.stdin.read()"
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    )
    try:
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(UserError, match="is in use by another run: wait for its end") as refused, locked(tmp_path):
            pass
        assert "\n" not in str(refused.value)
    finally:
        other.kill()  # as a run ends that is stopped
        other.communicate()
    with locked(tmp_path):
        pass


# The file.


@dataclass(frozen=True)
class Texts(trials.Trial):
    what: str
    number: int


def test_all_values_come_back_as_they_were(tmp_path):
    store = results_in(tmp_path, Texts)
    assert store.values == {} and not list(tmp_path.iterdir())
    odd = Texts("ω\n, \u2028 and \x85 are no ends of lines here", 2**62)
    store.append(odd, {"figure": 0.1 + 0.2, "several": [[1, 2], [3]], "direction": "left", "named": ""})
    store.append(Texts("ω", 2), {"figure": math.nan})
    again = results_in(tmp_path, Texts)
    assert list(again.values) == [odd, Texts("ω", 2)] == list(store.values)
    assert again.values[odd] == {"figure": 0.1 + 0.2, "several": [[1, 2], [3]], "direction": "left", "named": ""}
    assert math.isnan(again.values[Texts("ω", 2)]["figure"])


@pytest.mark.parametrize("end", [b'{"key": {"what": "ha\xcf', b"nothing\n", b"\0\0\0\0\n", b"\xff\xff\n", b"[]\n"], ids=ascii)
def test_a_damaged_last_line_is_skipped_and_the_rest_kept(tmp_path, caplog, end):
    results_in(tmp_path, Texts).append(Texts("whole", 1), {"figure": 1.0})
    path = tmp_path / "results.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + end)
    with caplog.at_level(logging.WARNING):
        store = results_in(tmp_path, Texts)
    assert list(store.values) == [Texts("whole", 1)] and path.read_bytes() == whole + end
    assert "results.jsonl: the last line is damaged and skipped; the results before it are kept" in caplog.text
    store.append(Texts("next", 2), {"figure": 2.0})
    assert path.read_bytes().startswith(whole + b'{"family": "toy", "key": {"what": "next"')
    assert len(results_in(tmp_path, Texts).values) == 2


@pytest.mark.parametrize(
    "line", [b"nothing", b'{"family": "toy", "key": {"other": 1}, "values": {}}', b'{"key": {}}', b"[]", b"\xff"]
)
def test_a_damaged_file_is_named_by_its_line(tmp_path, line):
    results_in(tmp_path, Texts).append(Texts("whole", 1), {})
    path = tmp_path / "results.jsonl"
    whole = path.read_bytes()
    for content, number in ((whole + line + b"\n" + whole, 2), (line + b"\n", 1)):
        path.write_bytes(content)
        with pytest.raises(UserError, match=f"results.jsonl line {number} is damaged .*: remove the line and run again"):
            results_in(tmp_path, Texts)
        assert path.read_bytes() == content


def test_lines_of_older_versions_are_read_and_left(tmp_path):
    old, new = toys()[:2]
    line = json.dumps({"key": asdict(old), "values": {"figure": 7.0}}) + "\n"
    (tmp_path / "toy.jsonl").write_text(line, encoding="utf-8")
    counting = Counting()
    assert compute([old, new], counting, tmp_path) == 1 and list(counting.made) == [new]
    assert values_in(tmp_path)[old] == {"figure": 7.0}
    assert (tmp_path / "toy.jsonl").read_text(encoding="utf-8") == line

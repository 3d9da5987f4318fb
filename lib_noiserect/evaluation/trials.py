"""The experiment engine: measures trials here, in processes or on a Dask cluster; each result is on disk at once."""

from __future__ import annotations

import csv
import functools
import itertools
import json
import logging
import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field, fields
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeVar

from filelock import FileLock, Timeout  # torch needs it too

from ..core.errors import UserError, need
from ..media.files import replacing

logger = logging.getLogger(__name__)

# A worker's error may be temporary, such as memory that another job uses, so Dask tries such a job again on another worker.
_RETRIES = 2
# Jobs submitted ahead of their results: enough for a large cluster, and few enough images in memory.
_AHEAD = 256
_PATIENCE = "20s"
_NAMED_FAILURES = 10
_FILE = "results.jsonl"
_NUMBERS: dict[Any, Callable[[str], Any]] = {"int": int, "float": float}
_DAMAGED = (ValueError, TypeError, KeyError, AttributeError, RecursionError, csv.Error)


@dataclass(frozen=True)
class Trial:
    """One video or prediction to measure. A family of experiments adds its fields, all numbers or texts."""

    @property
    def same(self) -> Hashable:
        """Equal for trials of several experiments whose figures are the same: they are computed once."""
        return self

    @property
    def job(self) -> Hashable:
        """Equal for trials that are computed together because they share work."""
        return self.same

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in asdict(self).items())


@dataclass(frozen=True)
class Outcome:
    """The figures of a trial, and files to keep beside the results, by their path in the folder."""

    values: Mapping[str, Any]
    files: Mapping[str, bytes] = field(default_factory=dict)


Work: TypeAlias = Callable[[], Sequence[Outcome]]
"""Computes a job: the outcomes of its trials, in order. It travels to other processes, so it must pickle."""
Submit: TypeAlias = "Callable[[Work], Future[Any]]"
SomeTrial = TypeVar("SomeTrial", bound=Trial)
Plan: TypeAlias = "tuple[list[SomeTrial], Callable[[Sequence[SomeTrial]], Work]]"
"""The trials that a family was asked for, and `work` as `run` takes it."""


class Family(NamedTuple):
    """Experiments of one kind of trial."""

    experiments: tuple[str, ...]  # their names on the command line
    trial: type[Trial]
    plan: Callable[..., Plan[Any]]  # from experiments, arguments of `evaluate`, `Model` and `Results`
    parts: Callable[[Results], list[Any]]  # the report's


class NotResultsError(UserError):
    """The file is of another kind."""


class TrialsFailedError(UserError):
    """Some jobs failed; the results of all others are kept."""


class Results:
    """The results in a folder: `results.jsonl`, one JSON object a line, and the files of older versions.

    Older versions wrote `FAMILY.jsonl` and `results.csv`; these are read and left as they are. A damaged last line is what
    a killed run leaves: it is skipped with a warning, and the next result takes its place. Lines of other families stay.
    Raises `UserError` if a file is damaged before its last line, or holds something else.
    """

    def __init__(self, folder: Path, families: Mapping[str, Family]) -> None:
        self.folder, self.families = folder, families
        self.values: dict[Trial, dict[str, Any]] = {}
        self._header: list[str] = []
        self._others = set[str]()
        for family in families:
            _read_lines(folder / f"{family}.jsonl", functools.partial(self._read_json, family=family))
        _read_lines(folder / "results.csv", self._read_csv)
        self._end = _read_lines(folder / _FILE, self._read_json)
        if self._others:
            names = ", ".join(sorted(self._others))
            logger.warning("%s has results of %s: they are kept, and are not reported here", folder / _FILE, names)

    def of(self, kind: type[SomeTrial]) -> dict[SomeTrial, dict[str, Any]]:
        """The results of one family."""
        return {trial: values for trial, values in self.values.items() if isinstance(trial, kind)}

    def append(self, trial: Trial, values: Mapping[str, Any]) -> None:
        """Add a result. It is on disk when this returns."""
        family = next(name for name, family in self.families.items() if family.trial is type(trial))
        line = {"family": family, "key": asdict(trial), "values": dict(values)}
        content = f"{json.dumps(line, ensure_ascii=False)}\n".encode()
        path = self.folder / _FILE
        # Opened again for each line, which takes seconds to compute.
        with path.open("r+b" if path.is_file() else "w+b") as file:
            file.truncate(self._end)
            file.seek(self._end)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        self._end += len(content)
        self.values[trial] = dict(values)

    def keep(self, path: str, content: bytes) -> None:
        """Write a file below the folder, whole or not at all."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as unfinished:
            unfinished.write_bytes(content)

    def _read_json(self, line: str, family: str = "") -> None:
        entry = json.loads(line)
        family = entry.get("family", family)
        if family and family not in self.families:  # another command's
            self._others.add(family)
        else:
            self.values[self.families[family].trial(**entry["key"])] = dict(entry["values"])

    def _read_csv(self, line: str) -> None:
        cells = next(csv.reader([line]))
        kind = self.families["rectification"].trial
        columns = {column.name: _NUMBERS.get(column.type, str) for column in fields(kind)}
        if not self._header:
            if not {"id", *columns} <= set(cells):
                raise NotResultsError(f"has the columns {', '.join(cells)}: this is no file of results")
            self._header = cells
            return
        values = dict(zip(self._header, cells, strict=True))
        trial = kind(**{name: parse(values.pop(name)) for name, parse in columns.items()})
        if (identity := values.pop("id")) != trial.same:
            raise ValueError(f"id = {identity} is not the id of its settings, {trial.same}")
        self.values[trial] = {name: _number_or_text(text) for name, text in values.items()}


def _read_lines(path: Path, read: Callable[[str], None]) -> int:
    """Read all whole lines of a file and return where the last good one ends, in bytes."""
    *lines, rest = (path.read_bytes() if path.is_file() else b"").split(b"\n")
    end = 0
    for number, line in enumerate(lines, start=1):
        try:
            read(line.decode())
        except NotResultsError as error:
            raise UserError(f"{path} {error}") from None
        except _DAMAGED as error:
            if 1 < number == len(lines) and not rest:
                rest = line
                break
            raise UserError(f"{path} line {number} is damaged ({error}): remove the line and run again") from None
        end += len(line) + 1
    if rest:
        logger.warning("%s: the last line is damaged and skipped; the results before it are kept", path)
    return end


def _number_or_text(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def locked(folder: Path) -> AbstractContextManager[object]:
    """Keep other runs out of a results folder; the lock goes with the process, however it ends.

    Raises `UserError` if another run holds the lock.
    """
    try:
        return FileLock(folder / ".lock").acquire(timeout=0)
    except Timeout:
        raise UserError(f"{folder} is in use by another run: wait for its end, or use another folder") from None


def run(
    trials: Iterable[SomeTrial],
    work: Callable[[Sequence[SomeTrial]], Work],  # is called here, and its answer where the job is computed
    results: Results,
    dask: str | None = None,  # the address of a Dask scheduler (`tcp://…`) whose workers have this library
    processes: int = 0,  # on this machine, where there is no `dask`; 0 is this one
) -> int:
    """Compute the trials that `results` lacks, each job once, and return the number of jobs.

    Raises `TrialsFailedError` if jobs failed, after all were tried, and `UserError` if the scheduler does not answer.
    """
    wanted = list(dict.fromkeys(trials))
    known = {trial.same: values for trial, values in results.values.items()}
    jobs: dict[Hashable, dict[Hashable, list[SomeTrial]]] = {}
    for trial in wanted:
        if trial not in results.values and trial.same in known:
            results.append(trial, known[trial.same])
        elif trial not in results.values:
            jobs.setdefault(trial.job, {}).setdefault(trial.same, []).append(trial)
    failures = []
    done = sum(trial in results.values for trial in wanted)
    bar = need("tqdm", "tqdm", "the evaluation").tqdm(total=len(wanted), initial=done, unit="trial")
    with _submission(dask, processes) as (submit, ahead), bar:
        for groups, future in _finished([list(job.values()) for job in jobs.values()], submit, ahead, work):
            error = RuntimeError("the Dask scheduler is gone") if future.cancelled() else future.exception()
            if error is not None:
                logger.error("failed: %s", groups[0][0], exc_info=error)
                failures.append(f"  {groups[0][0]}: {type(error).__name__}: {error}")
            else:
                for group, outcome in zip(groups, future.result(), strict=True):
                    for path, content in outcome.files.items():  # before the result, which is then complete
                        results.keep(path, content)
                    for trial in group:
                        results.append(trial, outcome.values)
            bar.update(sum(map(len, groups)))
    if failures:
        head = f"{len(failures)} of {len(jobs)} jobs failed; the others are kept, and a new run computes the missing ones"
        unnamed = len(failures) - _NAMED_FAILURES
        more = [f"  and {unnamed} more"] if unnamed > 0 else []
        raise TrialsFailedError("\n".join([head, *failures[:_NAMED_FAILURES], *more]))
    return len(jobs)


def _finished(
    jobs: list[list[list[SomeTrial]]], submit: Submit, ahead: int, work: Callable[[Sequence[SomeTrial]], Work]
) -> Iterator[tuple[list[list[SomeTrial]], Future[Any]]]:
    queue = iter(jobs)
    waiting: dict[Future[Any], list[list[SomeTrial]]] = {}
    while True:
        for groups in itertools.islice(queue, ahead - len(waiting)):
            waiting[submit(work([group[0] for group in groups]))] = groups
        if not waiting:
            return
        for future in wait(waiting, return_when=FIRST_COMPLETED).done:
            yield waiting.pop(future), future


def _here(compute: Work) -> Future[Any]:
    """Computes in this process, at once."""
    future: Future[Any] = Future()
    try:
        future.set_result(compute())
    except Exception as error:
        future.set_exception(error)
    return future


@contextmanager
def _submission(dask: str | None, processes: int) -> Iterator[tuple[Submit, int]]:
    """What starts a job, and how many jobs to start ahead of their results."""
    if dask:
        distributed = need("distributed", "distributed", "--dask")
        try:
            client = distributed.Client(dask, timeout=_PATIENCE)
        except (OSError, ValueError) as error:
            raise UserError(f"dask = {dask!r} does not answer ({error}): start  dask scheduler  there") from error
        with client:
            if not client.scheduler_info()["workers"]:
                logger.warning("%s has no workers yet: start  dask worker %s", dask, dask)
            yield client.get_executor(pure=False, retries=_RETRIES).submit, _AHEAD
    elif processes:
        # Spawned, not forked: threads of torch and OpenCV do not survive a fork.
        pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"))
        try:
            yield pool.submit, 2 * processes
        finally:
            pool.shutdown(cancel_futures=True)
    else:
        yield _here, 1

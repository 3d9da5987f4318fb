"""Runs experiments: makes the clips, measures them and writes each result down at once; what is there is not made again."""

from __future__ import annotations

import io
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ..media.metrics import Pixels, direction, measure, named_direction
from .errors import EvaluationError, need
from .experiments import Row
from .pictures import Picture, by_id
from .store import Result, Store, Value, clip_path, picture_path

logger = logging.getLogger(__name__)

Make: TypeAlias = Callable[[Row, Pixels], Pixels]
Score: TypeAlias = Callable[[Pixels, Pixels, str], Mapping[str, Value]]

CLIP_FRAMES_PER_SECOND = 8
# An error may be the machine's (memory that another job holds): Dask tries such a row again on another worker. The rows
# of a worker that is lost run again whatever this says.
_RETRIES = 2
# Jobs handed over ahead of their results: enough for every worker of a large cluster, and few enough pictures in memory.
_AHEAD = 256
_PATIENCE = "20s"
_NAMED_FAILURES = 10


class RowsFailedError(RuntimeError):
    """Some rows could not be computed; all the others are in the store. `failures` has each with its error."""

    def __init__(self, failures: Sequence[tuple[Row, BaseException]], total: int) -> None:
        self.failures = list(failures)
        named = [f"  {describe(row)}: {type(error).__name__}: {error}" for row, error in failures[:_NAMED_FAILURES]]
        if len(failures) > _NAMED_FAILURES:
            named.append(f"  and {len(failures) - _NAMED_FAILURES} more")
        super().__init__(
            f"{len(failures)} of {total} clips failed; the others are kept, and a new run makes the missing ones\n"
            + "\n".join(named)
        )


@dataclass(frozen=True)
class _Job:
    """One clip to make for one or more rows, and whether it is kept."""

    rows: tuple[Row, ...]
    pixels: Pixels
    keep: bool


def describe(row: Row) -> str:
    """A row in a few words, for messages."""
    return (
        f"{row.experiment}: {row.method}, {row.sampler}, τ [{row.tau_start:g}, {row.tau_end:g}], ω {row.omega_text}, "
        f"{row.picture}, seed {row.seed}"
    )


def run(
    rows: Iterable[Row],
    make: Make,
    folder: Path,
    *,
    pictures: Sequence[Picture],
    score: Score | None = None,
    keep_clips: int = 0,
    dask: str | None = None,
    processes: int = 0,
    progress: bool = True,
) -> int:
    """Computes the rows that `folder` does not have yet, each job once, and returns how many clips were made.

    Args:
        make: the clip of a row from its picture's pixels, `[F, H, W, 3]` uint8. With `dask` or `processes` it travels: a
            function of a module, or an object that can be pickled. It should load its model once a process.
        folder: the store, made if it is not there; see `store`.
        pictures: all that the rows name.
        score: further figures from clip, picture and caption, for instance `clip_scores.ClipScorer`.
        keep_clips: of so many pictures, the first ones, each setting's clip is kept (with its first seed).
        dask: the address of a Dask scheduler (`tcp://…`) whose workers have this library; without it, here.
        processes: so many processes on this machine instead.
        progress: whether to show a bar.

    Raises:
        RowsFailedError: after all rows were tried, those that failed.
        EvaluationError: the arguments do not fit each other, or the folder's results.
    """
    store = Store(folder)
    known = by_id(pictures)
    wanted = list({(row.experiment, row.id): row for row in rows}.values())
    for row in wanted:
        if row.picture not in known:
            raise EvaluationError(f"picture {row.picture} of {describe(row)} is not among the pictures: add it")
    _copy_shared(wanted, store)
    there = {(result.row.experiment, result.row.id) for result in store.results}
    missing = [row for row in wanted if (row.experiment, row.id) not in there]
    jobs = _jobs(missing, known, keep_clips)
    failures: list[tuple[Row, BaseException]] = []
    with _executor(dask, processes) as (executor, ahead), _bar(len(wanted), len(missing), progress) as bar:
        for job, future in _finished(jobs, executor, ahead, make, score):
            error = _error(future)
            if error is not None:
                logger.error("failed: %s", describe(job.rows[0]), exc_info=error)
                failures.append((job.rows[0], error))
            else:
                values, clip = future.result()
                _write(job, values, clip, store)
            bar.update(len(job.rows))
    if failures:
        raise RowsFailedError(failures, len(jobs))
    return len(jobs)


def _copy_shared(wanted: list[Row], store: Store) -> None:
    """A row whose job another experiment has computed takes over its figures."""
    there = {(result.row.experiment, result.row.id) for result in store.results}
    values = {result.row.id: result.values for result in store.results}
    for row in wanted:
        if (row.experiment, row.id) not in there and row.id in values:
            store.append(Result(row, values[row.id]))


def _jobs(missing: list[Row], known: dict[str, Picture], keep_clips: int) -> list[_Job]:
    kept_pictures = set(list(known)[:keep_clips])
    same_job: dict[str, list[Row]] = {}
    for row in missing:
        same_job.setdefault(row.id, []).append(row)
    jobs: list[_Job] = []
    kept: set[Row] = set()
    for rows in same_job.values():
        settings = {replace(row, seed=0) for row in rows}
        keep = rows[0].picture in kept_pictures and not settings <= kept
        kept |= settings
        jobs.append(_Job(tuple(rows), known[rows[0].picture].pixels, keep))
    return jobs


def _finished(
    jobs: list[_Job], executor: Executor, ahead: int, make: Make, score: Score | None
) -> Iterator[tuple[_Job, Future[Any]]]:
    queue = iter(jobs)
    waiting: dict[Future[Any], _Job] = {}
    while True:
        for job in itertools.islice(queue, ahead - len(waiting)):
            waiting[executor.submit(_compute, make, score, job)] = job
        if not waiting:
            return
        for future in wait(waiting, return_when=FIRST_COMPLETED).done:
            yield waiting.pop(future), future


def _error(future: Future[Any]) -> BaseException | None:
    if future.cancelled():
        return RuntimeError("was cancelled: the Dask scheduler is gone")
    return future.exception()


def _compute(make: Make, score: Score | None, job: _Job) -> tuple[dict[str, Value], bytes | None]:
    """Makes and measures a clip, wherever this runs: its values, and the clip's file if it is kept."""
    row = job.rows[0]
    clip = make(row, job.pixels)
    if not isinstance(clip, np.ndarray) or clip.shape[:1] != (row.frames,):
        raise EvaluationError(
            f"make gave {type(clip).__name__} of shape {np.shape(clip)}: {row.frames} frames are wanted"
        )
    values: dict[str, Value] = {**asdict(measure(clip, job.pixels)), "direction": direction(clip)}
    named = named_direction(row.caption)
    values["follows_caption"] = float(values["direction"] == named) if named else ""
    if score is not None:
        values.update(score(clip, job.pixels, row.caption))
    return values, webp(clip) if job.keep else None


def _write(job: _Job, values: dict[str, Value], clip: bytes | None, store: Store) -> None:
    # The files first: a result that is there is complete.
    if clip is not None:
        store.keep(clip_path(job.rows[0]), clip)
        store.keep(picture_path(job.rows[0].picture), _png(job.pixels))
    for row in job.rows:
        store.append(Result(row, values))


def webp(clip: Pixels) -> bytes:
    """The file of a clip, `[F, H, W, 3]`."""
    image = need("PIL.Image", "Pillow")
    frames = [image.fromarray(frame) for frame in clip]
    file = io.BytesIO()
    frames[0].save(
        file,
        format="WEBP",
        save_all=True,
        append_images=frames[1:],
        duration=round(1000 / CLIP_FRAMES_PER_SECOND),
        loop=0,
        quality=90,
    )
    return file.getvalue()


def _png(pixels: Pixels) -> bytes:
    file = io.BytesIO()
    need("PIL.Image", "Pillow").fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


class _Here(Executor):
    """Computes in this process, when a job is handed over."""

    def submit(self, compute: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(compute(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@contextmanager
def _executor(dask: str | None, processes: int) -> Iterator[tuple[Executor, int]]:
    """What computes the jobs, and how many it is given ahead of their results."""
    if dask and processes:
        raise EvaluationError(f"dask = {dask!r} and processes = {processes}: use one of them")
    if dask:
        distributed = need("distributed", "distributed")
        try:
            client = distributed.Client(dask, timeout=_PATIENCE)
        except (OSError, ValueError) as error:
            raise EvaluationError(f"dask = {dask!r} does not answer ({error}): start  dask scheduler  there") from error
        with client:
            if not client.scheduler_info()["workers"]:
                logger.warning("%s has no workers yet: start  dask worker %s", dask, dask)
            yield client.get_executor(pure=False, retries=_RETRIES), _AHEAD
    elif processes:
        # Spawned, not forked: threads of torch and OpenCV do not survive a fork.
        pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"))
        try:
            yield pool, 2 * processes
        finally:
            pool.shutdown(cancel_futures=True)
    else:
        yield _Here(), 1


def _bar(total: int, missing: int, progress: bool) -> Any:
    return need("tqdm", "tqdm").tqdm(total=total, initial=total - missing, unit="clip", disable=not progress)

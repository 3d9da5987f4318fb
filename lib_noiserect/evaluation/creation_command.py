"""The experiment `creation` of the command `evaluate`: clips of prompts alone, by the built-in model."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..cli.errors import UsageError, optional_package
from ..media.files import replacing
from .built_in import check_built_in

if TYPE_CHECKING:
    from .creation import Trial

NAME = "creation"


def compute(arguments: argparse.Namespace) -> None:
    """Make and measure what is missing. Raises `UsageError` for what is not possible."""
    from ..cli.evaluate import same_model_as_before
    from ..tiny.world import held_out_scenes
    from .clip_maker import Maker
    from .creation import jobs, made_path, measured, read_creation
    from .creation_maker import CreationMaker

    check_built_in(NAME, arguments)
    if arguments.frames != 16:
        raise UsageError(f"--frames = {arguments.frames} and the experiment {NAME} is of 16 frames: leave it out")
    folder, store = arguments.output, read_creation(arguments.output)
    threads = 1 if arguments.processes else None
    same_model_as_before(folder, Maker(None, None, arguments.device, threads, arguments.bfloat16))
    maker = CreationMaker(arguments.device, threads, arguments.bfloat16)
    captions = held_out_scenes(arguments.pictures).captions
    wanted = jobs(arguments.pictures, arguments.steps, arguments.guidance, arguments.seed)
    trials = [trial for job in wanted for trial in job]
    missing = [[trial for trial in job if not made_path(folder, trial).is_file()] for job in wanted]
    missing = [job for job in missing if job]
    (folder / "creation").mkdir(exist_ok=True)
    with _pool(arguments.processes) as run:
        for job, made in zip(missing, _bar(run(maker, missing), len(missing), "made")):
            for trial, arrays in zip(job, made):
                _write(made_path(folder, trial), arrays)
        unmeasured = [trial for trial in trials if trial not in store.values]
        figures = run(functools.partial(_measured, measured, folder, captions), unmeasured)
        for trial, values in zip(unmeasured, _bar(figures, len(unmeasured), "measured")):
            store.append(trial, values)


def _measured(measure: Any, folder: Path, captions: list[str], trial: Trial) -> dict[str, Any]:
    values: dict[str, Any] = measure(folder, trial, captions[trial.prompt])
    return values


def _bar(done: Iterable[Any], total: int, what: str) -> Any:
    return optional_package("tqdm", "tqdm", "an evaluation").tqdm(
        done, total=total, desc=f"{NAME}, {what}", mininterval=1
    )


@contextmanager
def _pool(processes: int) -> Iterator[Callable[[Any, list[Any]], Iterable[Any]]]:
    """What maps a function over jobs, in order."""
    if not processes:
        yield map
        return
    # Spawned, not forked: threads of torch and OpenCV do not survive a fork.
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_one_thread)
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _write(path: Path, arrays: dict[str, Any]) -> None:
    import numpy as np

    with replacing(path) as unfinished, unfinished.open("wb") as file:
        np.savez_compressed(file, **arrays)

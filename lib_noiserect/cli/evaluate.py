"""The command `evaluate`: experiments on a model, resumed where they stopped, with a report."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..core.errors import UserError, need
from ..media.files import check_writable
from .options import add_model, add_size, check_numbers, model_names

EXPERIMENTS = ("methods", "omega", "tau")
"""Named here, since importing their family takes seconds and `--help` should not; a test compares the names."""
# Those of the extra `evaluation`, by their modules.
_MODULES = ("skimage", "cv2", "scipy", "matplotlib", "markdown_it")
_PACKAGES = "scikit-image opencv-python-headless scipy matplotlib markdown-it-py"
_BENCHMARKS = "; for the project's own benchmarks, like creation, run python -m benchmarks in a clone of its repository"


def add_arguments(parser: argparse.ArgumentParser, experiments: Sequence[str] = EXPERIMENTS) -> None:
    """Add the command's options to its parser. `experiments` stand in the help."""
    add = parser.add_argument
    text = "images with captions.json, captions.csv or a .txt for each (default: new scenes of the built-in model's world)"
    add("folder", type=Path, nargs="?", help=text)
    add("-o", "--output", type=Path, required=True, help="folder for results.jsonl, videos and report.html")
    text = "write the tables as Markdown too: to a new file, or over their sections in an existing one"
    add("--markdown", type=Path, metavar="FILE", help=text)
    add("--pictures", type=int, default=64, help="use at most so many images (default: %(default)s)")
    add("--keep-clips", type=int, default=4, metavar="N", help="show the videos of so many images in the report")
    add("--report-only", action="store_true", help="compute nothing, and report the results that exist")
    add = parser.add_argument_group("experiments").add_argument
    text = f"{', '.join(experiments)} (default: {' '.join(EXPERIMENTS)})"
    add("--experiments", nargs="+", default=list(EXPERIMENTS), metavar="NAME", help=text)
    text = "samplers of methods; omega and tau use the first one (default: %(default)s)"
    add("--samplers", default="ddim,euler a,dpm++ sde,lcm", metavar="A,B,…", help=text)
    add("--steps", type=int, default=25, help="default: %(default)s")
    add("--guidance", type=float, default=7.5, metavar="SCALE", help="default: %(default)s")
    add("--frames", type=int, default=16, help="default: %(default)s")
    add("--seed", type=int, default=0, help="default: %(default)s")
    add("--conditioned", type=Path, help=argparse.SUPPRESS)  # of the benchmarks, which give it a help
    add_size(parser.add_argument_group("size"))
    add_model(parser)
    add = parser.add_argument_group("scores of the paper's Table 1, through open_clip").add_argument
    add("--clip-model", metavar="NAME", help="such as ViT-L-14-quickgelu")
    add("--clip-weights", type=Path, metavar="FILE", help="its weights; nothing is downloaded")
    add = parser.add_argument_group("where to compute").add_argument
    add("--processes", type=int, default=0, metavar="N", help="use so many processes of one thread each")
    add("--bfloat16", action="store_true", help="let the model compute in bfloat16, where that is faster")
    add("--dask", metavar="ADDRESS", help="use an existing Dask cluster, such as tcp://10.0.0.1:8786")


def run(arguments: argparse.Namespace, families: Any = None) -> None:
    """Compute the missing results and write the reports. `families`: by default the library's.

    Raises `UserError` if an option is impossible, or a computation failed.
    """
    for module in _MODULES:
        need(module, _PACKAGES, "an evaluation")
    if arguments.dask:
        need("distributed", "distributed", "--dask")
    from ..evaluation import report
    from ..evaluation.rectification_report import FAMILIES
    from ..evaluation.trials import Results, TrialsFailedError, locked

    more, families = "" if families else _BENCHMARKS, families or FAMILIES
    names = [name for family in families.values() for name in family.experiments]
    for name in arguments.experiments:
        if name not in names:
            raise UserError(f"--experiments has {name!r}: use {', '.join(names)}{more}")
    check_numbers(arguments)
    if arguments.dask and arguments.processes:
        raise UserError(f"--dask = {arguments.dask} and --processes = {arguments.processes}: use one of them")
    if arguments.folder is not None and not arguments.folder.is_dir():
        raise UserError(f"{arguments.folder} is not a folder: use a folder of images")
    page, failed = arguments.output / "report.html", None
    check_writable(page)
    if arguments.markdown is not None:
        report.checked(arguments.markdown)  # before anything is computed
        check_writable(arguments.markdown)
    with contextlib.nullcontext() if arguments.report_only else locked(arguments.output):
        results = Results(arguments.output, families)
        try:
            if not arguments.report_only:
                compute(arguments, results)
        except TrialsFailedError as error:
            failed = error  # the report shows the other results
    if failed is None or results.values:
        report.write_reports(results, page, arguments.markdown)
        for path in filter(None, (page, arguments.markdown)):
            print(f"written: {path}")
    if failed is not None:
        raise failed


def compute(arguments: argparse.Namespace, results: Any) -> None:
    """Compute the trials of the experiments that `results` lack, a family after the other."""
    from ..evaluation.model import Model
    from ..evaluation.trials import run as run_trials

    threads = 1 if arguments.processes else None
    model = Model(arguments.model, **model_names(arguments), threads=threads, bfloat16=arguments.bfloat16)
    for family in results.families.values():
        names = [name for name in family.experiments if name in arguments.experiments]
        if names:
            trials, work = family.plan(names, arguments, model, results)
            jobs = run_trials(trials, work, results, arguments.dask, arguments.processes)
            print(f"{', '.join(names)}: {jobs} jobs computed, {len(trials)} results")

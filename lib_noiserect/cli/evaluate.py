"""The command `evaluate`: experiments on a model, resumed where they stopped, with a report."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..core.errors import UserError, need
from ..media.files import check_writable
from .options import add_model, add_size, check_numbers, model_names

EXPERIMENTS = ("methods", "omega", "tau")
"""Named here, since importing their family takes seconds and `--help` should not; a test compares the names."""
_PACKAGES = {
    "skimage": "scikit-image",
    "cv2": "opencv-python-headless",
    "scipy": "scipy",
    "matplotlib": "matplotlib",
    "markdown_it": "markdown-it-py",
}
"""Those of the extra `evaluation`, by their modules."""
_BENCHMARKS = "; for the project's own benchmarks, like creation, run python -m benchmarks in a clone of its repository"


def add_arguments(parser: argparse.ArgumentParser, experiments: Sequence[str] = EXPERIMENTS) -> None:
    """Add the command's options to its parser. `experiments` stand in the help."""
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        help="images with captions.json, captions.csv or a .txt for each (default: new scenes of the built-in model's world)",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for results.jsonl, videos and report.html")
    parser.add_argument(
        "--markdown",
        type=Path,
        metavar="FILE",
        help="write the tables as Markdown too: to a new file, or over their sections in an existing one",
    )
    parser.add_argument("--pictures", type=int, default=64, help="use at most so many images (default: %(default)s)")
    parser.add_argument(
        "--keep-clips", type=int, default=4, metavar="N", help="show the videos of so many images in the report"
    )
    parser.add_argument("--report-only", action="store_true", help="compute nothing, and report the results that exist")
    group = parser.add_argument_group("experiments")
    group.add_argument(
        "--experiments",
        nargs="+",
        default=list(EXPERIMENTS),
        metavar="NAME",
        help=f"{', '.join(experiments)} (default: {' '.join(EXPERIMENTS)})",
    )
    group.add_argument(
        "--samplers",
        type=lambda text: [name.strip().lower() for name in text.split(",")],
        default=["ddim", "euler a", "dpm++ sde", "lcm"],
        metavar="A,B,…",
        help="samplers of methods; omega and tau use the first one (default: ddim,euler a,dpm++ sde,lcm)",
    )
    group.add_argument("--steps", type=int, default=25, help="default: %(default)s")
    group.add_argument("--guidance", type=float, default=7.5, metavar="SCALE", help="default: %(default)s")
    group.add_argument("--frames", type=int, default=16, help="default: %(default)s")
    group.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    group.add_argument("--conditioned", type=Path, help=argparse.SUPPRESS)  # of the benchmarks, which give it a help
    add_size(parser.add_argument_group("size"))
    add_model(parser)
    scores = parser.add_argument_group("scores of the paper's Table 1, through open_clip")
    scores.add_argument("--clip-model", metavar="NAME", help="such as ViT-L-14-quickgelu")
    scores.add_argument("--clip-weights", type=Path, metavar="FILE", help="its weights; nothing is downloaded")
    where = parser.add_argument_group("where to compute")
    where.add_argument("--processes", type=int, default=0, metavar="N", help="use so many processes of one thread each")
    where.add_argument("--bfloat16", action="store_true", help="let the model compute in bfloat16, where that is faster")
    where.add_argument("--dask", metavar="ADDRESS", help="use an existing Dask cluster, such as tcp://10.0.0.1:8786")


def run(arguments: argparse.Namespace, families: Any = None) -> None:
    """Compute the missing results and write the reports.

    Args:
        families: as `evaluation.report.FAMILIES`, which is the default.

    Raises:
        UserError: an option is impossible, or a computation failed.
    """
    for module in _PACKAGES:
        need(module, " ".join(_PACKAGES.values()), "an evaluation")
    if arguments.dask:
        need("distributed", "distributed", "--dask")
    from ..evaluation import report
    from ..evaluation.rectification_report import FAMILIES
    from ..evaluation.trials import TrialsFailedError, locked

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
    check_writable(arguments.output / "report.html")
    if arguments.markdown is not None:
        report.checked(arguments.markdown)  # before anything is computed
        check_writable(arguments.markdown)
    failed = None
    if arguments.report_only:
        results = report.results_in(arguments.output, families)
    else:
        with locked(arguments.output):
            results = report.results_in(arguments.output, families)
            try:
                compute(arguments, results, families)
            except TrialsFailedError as error:
                failed = error  # the report shows the other results
    if failed is not None and not results.values:
        raise UserError(str(failed)) from failed
    page = arguments.output / "report.html"
    report.write_reports(results, families, page, arguments.markdown)
    for path in filter(None, (page, arguments.markdown)):
        print(f"written: {path}")
    if failed is not None:
        raise UserError(str(failed)) from failed


def compute(arguments: argparse.Namespace, results: Any, families: Any) -> None:
    """Compute the trials of the experiments that `results` lack, a family after the other."""
    from ..evaluation.model import Model
    from ..evaluation.trials import run as run_trials

    threads = 1 if arguments.processes else None
    model = Model(arguments.model, **model_names(arguments), threads=threads, bfloat16=arguments.bfloat16)
    for family in families.values():
        names = [name for name in family.experiments if name in arguments.experiments]
        if names:
            trials, work = family.plan(names, arguments, model, results)
            jobs = run_trials(trials, work, results, dask=arguments.dask, processes=arguments.processes)
            print(f"{', '.join(names)}: {jobs} jobs computed, {len(trials)} results")

"""The command `evaluate`: experiments on a model, resumed where they stopped, with a report."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..core.errors import UserError, need
from ..media.files import make_folder

# Named here, since importing the families takes seconds and `--help` should not; a test compares the names.
FAMILIES: dict[str, tuple[str, ...]] = {
    "rectification": ("methods", "omega", "tau"),
    "creation": ("creation",),
    "leakage": ("leakage", "start", "time-noise", "rectified-start"),
    "controls": ("dial", "levels", "loop", "release", "keys", "mask", "color", "target", "long"),
}
_ALL_CONTROLS = "controls"
_DEFAULT = FAMILIES["rectification"]
# Options on other images and models, which only the paper's experiments have.
_PAPER_ONLY = ("folder", "model", "motion_adapter", "dask", "clip_model", "clip_weights", "width", "height")
_PACKAGES = {
    "diffusers": "diffusers",
    "transformers": "transformers",
    "skimage": "scikit-image",
    "cv2": "opencv-python-headless",
    "scipy": "scipy",
    "matplotlib": "matplotlib",
    "tqdm": "tqdm",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        help="images with captions.json, captions.csv or a .txt for each (default: new scenes of the built-in model's world)",
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="folder for results.jsonl, videos and report.html"
    )
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
    experiments = parser.add_argument_group("experiments")
    experiments.add_argument(
        "--experiments",
        nargs="+",
        choices=(*(name for names in FAMILIES.values() for name in names), _ALL_CONTROLS),
        default=list(_DEFAULT),
        metavar="NAME",
        help=f"%(choices)s; {_ALL_CONTROLS} is dial to long (default: {' '.join(_DEFAULT)})",
    )
    experiments.add_argument(
        "--samplers",
        type=lambda text: [name.strip().lower() for name in text.split(",")],
        default=["ddim", "euler a", "dpm++ sde", "lcm"],
        metavar="A,B,…",
        help="samplers of methods; omega and tau use the first one (default: ddim,euler a,dpm++ sde,lcm)",
    )
    experiments.add_argument("--steps", type=int, default=25, help="default: %(default)s")
    experiments.add_argument("--guidance", type=float, default=7.5, metavar="SCALE", help="default: %(default)s")
    experiments.add_argument("--frames", type=int, default=16, help="default: %(default)s")
    experiments.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    experiments.add_argument(
        "--conditioned",
        type=Path,
        metavar="FOLDER",
        help=f"weights from training/condition.py for {', '.join(FAMILIES['leakage'][:3])} (time-noise needs them)",
    )
    model = parser.add_argument_group("model")
    model.add_argument("--model", metavar="FOLDER|ID", help="a diffusers model (default: the built-in one)")
    model.add_argument("--motion-adapter", metavar="FOLDER|ID", help="AnimateDiff's motion modules for --model")
    model.add_argument("--device", help="cpu, cuda, mps (default: a GPU if there is one)")
    model.add_argument("--width", type=int, help="in pixels (default: the model's own)")
    model.add_argument("--height", type=int, help="in pixels (default: the model's own)")
    scores = parser.add_argument_group("scores of the paper's Table 1, through open_clip")
    scores.add_argument("--clip-model", metavar="NAME", help="such as ViT-L-14-quickgelu")
    scores.add_argument("--clip-weights", type=Path, metavar="FILE", help="its weights; nothing is downloaded")
    where = parser.add_argument_group("where to compute")
    where.add_argument("--processes", type=int, default=0, metavar="N", help="use so many processes of one thread each")
    where.add_argument(
        "--bfloat16", action="store_true", help="let the model compute in bfloat16, where that is faster"
    )
    where.add_argument("--dask", metavar="ADDRESS", help="use an existing Dask cluster, such as tcp://10.0.0.1:8786")


def run(arguments: argparse.Namespace) -> None:
    """Compute the missing results and write the reports. Raises `UserError` for impossible options."""
    for module, package in _PACKAGES.items():
        need(module, package, "an evaluation")
    from ..evaluation.report import checked, results_in, write_reports
    from ..evaluation.trials import TrialsFailedError, locked

    if arguments.pictures < 2:
        raise UserError(f"--pictures = {arguments.pictures} is too few: use 2 or more")
    make_folder(arguments.output)
    if arguments.markdown is not None:
        checked(arguments.markdown)  # before anything is computed
    failed = None
    if arguments.report_only:
        results = results_in(arguments.output)
    else:
        with locked(arguments.output):
            results = results_in(arguments.output)
            try:
                _compute(arguments, results)
            except TrialsFailedError as error:
                failed = error  # the report shows the other results
    report = arguments.output / "report.html"
    write_reports(results, report, arguments.markdown)
    for path in filter(None, (report, arguments.markdown)):
        print(f"written: {path}")
    if failed is not None:
        raise UserError(str(failed)) from failed


def _compute(arguments: argparse.Namespace, results: Any) -> None:
    from ..evaluation.model import Model
    from ..evaluation.report import FAMILIES as MODULES
    from ..evaluation.trials import run as run_trials

    threads = 1 if arguments.processes else None
    model = Model(arguments.model, arguments.motion_adapter, arguments.device, threads, arguments.bfloat16)
    for family, experiments in FAMILIES.items():
        everything = family == _ALL_CONTROLS and _ALL_CONTROLS in arguments.experiments
        names = [name for name in experiments if name in arguments.experiments or everything]
        if not names:
            continue
        if family != "rectification":
            _check_built_in(names[0], arguments)
        trials, work = MODULES[family].plan(names, arguments, model, results)
        jobs = run_trials(trials, work, results, dask=arguments.dask, processes=arguments.processes)
        print(f"{', '.join(names)}: {jobs} jobs computed, {len(trials)} results")


def _check_built_in(name: str, arguments: argparse.Namespace) -> None:
    """Refuse options that the experiments on the built-in models ignore. Raises `UserError`."""
    for option in _PAPER_ONLY:
        if getattr(arguments, option):
            said = "a folder" if option == "folder" else f"--{option.replace('_', '-')}"
            raise UserError(f"{said} has no effect on the experiment {name}: leave it out")

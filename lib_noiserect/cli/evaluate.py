"""The command `evaluate`: the paper's experiments on a model and a folder of pictures, with a report."""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..evaluation import creation_command as creation
from ..evaluation import leakage_command as leakage
from ..evaluation.leakage import EXPERIMENTS as LEAKAGE
from ..media.files import make_folder, replacing
from ..media.images import read_image
from .errors import UsageError, optional_package

if TYPE_CHECKING:
    from ..evaluation.clip_maker import Maker
    from ..evaluation.experiments import Row
    from ..evaluation.pictures import Picture

EXPERIMENTS = ("methods", "omega", "tau")
# Experiments of other kinds, by name: what computes those that are missing. Their parts of the report are in
# `evaluation.report.FAMILIES`.
OTHERS: dict[str, Callable[[argparse.Namespace], None]] = {
    creation.NAME: creation.compute,
    **{name: functools.partial(leakage.compute, name) for name in LEAKAGE},
}
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
        help="pictures, with captions.json, captions.csv or a .txt for each (default: pictures of the built-in model's "
        "world that it was not trained on)",
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="folder for results.csv, clips and report.html"
    )
    parser.add_argument(
        "--markdown",
        type=Path,
        metavar="FILE",
        help="write the tables as Markdown too: into a new file, or in place of their sections in one that is there",
    )
    parser.add_argument("--pictures", type=int, default=64, help="how many pictures at most (default: %(default)s)")
    parser.add_argument(
        "--keep-clips", type=int, default=4, metavar="N", help="show so many pictures' clips in the report"
    )
    parser.add_argument("--report-only", action="store_true", help="compute nothing, write the report of what is there")
    what = parser.add_argument_group("experiments")
    what.add_argument(
        "--experiments",
        nargs="+",
        choices=(*EXPERIMENTS, *OTHERS),
        default=list(EXPERIMENTS),
        help=f"default: the paper's, {' '.join(EXPERIMENTS)}",
    )
    what.add_argument(
        "--samplers",
        type=lambda text: [name.strip().lower() for name in text.split(",")],
        default=["ddim", "euler a", "dpm++ sde", "lcm"],
        metavar="A,B,…",
        help="those of the methods; the first one is used for ω and τ (default: ddim,euler a,dpm++ sde,lcm)",
    )
    what.add_argument("--steps", type=int, default=25, help="default: %(default)s")
    what.add_argument("--guidance", type=float, default=7.5, metavar="SCALE", help="default: %(default)s")
    what.add_argument("--frames", type=int, default=16, help="default: %(default)s")
    what.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    model = parser.add_argument_group("model")
    model.add_argument("--model", metavar="FOLDER|ID", help="a diffusers model (default: the built-in one)")
    model.add_argument("--motion-adapter", metavar="FOLDER|ID", help="AnimateDiff's motion modules for --model")
    model.add_argument("--device", help="cpu, cuda, mps (default: a GPU if there is one)")
    model.add_argument("--width", type=int, help="in pixels (default: the model's own)")
    model.add_argument("--height", type=int, help="in pixels (default: the model's own)")
    scores = parser.add_argument_group("scores of the paper's Table 1, through open_clip")
    scores.add_argument("--clip-model", metavar="NAME", help="such as ViT-L-14-quickgelu")
    scores.add_argument("--clip-weights", type=Path, metavar="FILE", help="its weights; nothing is downloaded")
    leakage.add_arguments(parser)
    where = parser.add_argument_group("where it is computed")
    where.add_argument("--processes", type=int, default=0, metavar="N", help="so many processes, of one thread each")
    where.add_argument(
        "--bfloat16", action="store_true", help="let the model compute in bfloat16, where that is faster"
    )
    where.add_argument("--dask", metavar="ADDRESS", help="an existing Dask cluster, such as tcp://10.0.0.1:8786")


def run(arguments: argparse.Namespace) -> None:
    """Run what is missing and write the reports. Raises `UsageError` for what is not possible."""
    for module, package in _PACKAGES.items():
        optional_package(module, package, "an evaluation")
    from ..evaluation.errors import EvaluationError, MissingPackageError
    from ..evaluation.report import write_reports
    from ..evaluation.runner import RowsFailedError
    from ..evaluation.sections import checked
    from ..pipelines.schedulers import PipelineError

    if arguments.pictures < 2:
        raise UsageError(f"--pictures = {arguments.pictures} is too few: use 2 or more")
    make_folder(arguments.output)
    report = arguments.output / "report.html"
    try:
        if arguments.markdown is not None:
            checked(arguments.markdown)  # before anything is computed
        failed = None
        if not arguments.report_only:
            try:
                if set(EXPERIMENTS) & set(arguments.experiments):
                    _compute(arguments)
                for name, compute in OTHERS.items():
                    if name in arguments.experiments:
                        compute(arguments)
            except RowsFailedError as error:
                failed = error  # what there is is shown all the same
        write_reports(arguments.output, report, arguments.markdown)
    except (EvaluationError, MissingPackageError, PipelineError) as error:
        raise UsageError(str(error)) from error
    for path in filter(None, (report, arguments.markdown)):
        print(f"written: {path}")
    if failed is not None:
        raise UsageError(str(failed)) from failed


def _compute(arguments: argparse.Namespace) -> None:
    from ..evaluation.clip_maker import Maker
    from ..evaluation.clip_scores import ClipScorer
    from ..evaluation.runner import run as run_rows

    threads = 1 if arguments.processes else None
    maker = Maker(arguments.model, arguments.motion_adapter, arguments.device, threads, arguments.bfloat16)
    score = None
    if arguments.clip_model or arguments.clip_weights:
        if not (arguments.clip_model and arguments.clip_weights):
            raise UsageError("--clip-model and --clip-weights belong together: give both")
        score = ClipScorer(arguments.clip_model, arguments.clip_weights, arguments.device or "cpu")
    pictures = _pictures(arguments, maker)
    rows = _rows(arguments, pictures)
    same_model_as_before(arguments.output, maker)
    made = run_rows(
        rows,
        maker,
        arguments.output,
        pictures=pictures,
        score=score,
        keep_clips=arguments.keep_clips,
        dask=arguments.dask,
        processes=arguments.processes,
    )
    print(f"{made} clips made, {len(pictures)} pictures")


def _pictures(arguments: argparse.Namespace, maker: Maker) -> list[Picture]:
    from ..evaluation.pictures import Picture, pictures_in

    width, height = arguments.width, arguments.height
    if arguments.folder is None:
        if arguments.model is not None:
            raise UsageError("--model is given without pictures: give a folder of them with captions")
        import torch

        from ..tiny.world import held_out_scenes, pixels_of

        scenes = held_out_scenes(arguments.pictures)
        pixels = pixels_of(scenes.render(torch.zeros(1))[:, 0])
        return [
            Picture(f"scene-{index:03d}", text, one) for index, (text, one) in enumerate(zip(scenes.captions, pixels))
        ]
    if width is None or height is None:
        own_width, own_height = maker.size
        width, height = width or own_width, height or own_height
    return pictures_in(arguments.folder, lambda path: read_image(path, width, height))[: arguments.pictures]


def _rows(arguments: argparse.Namespace, pictures: list[Picture]) -> list[Row]:
    from ..evaluation.experiments import Conditions, methods_experiment, omega_experiment, tau_experiment
    from ..pipelines.animation import SAMPLERS

    unknown = [name for name in arguments.samplers if name not in SAMPLERS]
    if unknown:
        raise UsageError(f"--samplers has {unknown[0]!r}: use {', '.join(SAMPLERS)}")
    conditions = Conditions(arguments.steps, arguments.guidance, arguments.frames, (arguments.seed,))
    rows: list[Row] = []
    if "methods" in arguments.experiments:
        rows += methods_experiment(pictures, arguments.samplers, conditions)
    if "omega" in arguments.experiments:
        rows += omega_experiment(pictures, arguments.samplers[0], conditions)
    if "tau" in arguments.experiments:
        rows += tau_experiment(pictures, arguments.samplers[0], conditions)
    return rows


def same_model_as_before(folder: Path, maker: Maker) -> None:
    """Two models' clips must not be mixed in one folder. Raises `UsageError` where they would be."""
    from ..evaluation.store import MODEL_FILE

    file = folder / MODEL_FILE
    used: dict[str, Any] = {
        "model": maker.model or "built-in",
        "motion adapter": maker.motion_adapter,
        "weights": maker.weights,
        "bfloat16": maker.bfloat16,
    }
    if file.is_file():
        before = json.loads(file.read_text(encoding="utf-8"))
        if before != used:
            raise UsageError(f"{folder} has results of another model ({before}): use a new folder")
        return
    with replacing(file) as unfinished:
        unfinished.write_text(json.dumps(used, indent=2) + "\n", encoding="utf-8")

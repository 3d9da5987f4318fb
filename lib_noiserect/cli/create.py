"""The command `create`: a prompt in, candidates for a picture, and a clip of the best of them out."""

from __future__ import annotations

import argparse
import functools
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.settings import SettingsError
from ..media.files import replacing
from ..media.images import read_image
from ..media.videos import check_output, write_video
from ..methods.i4vgen import LOOKS, unet_calls
from ..methods.scorers import SCORERS, MissingPackageError, Score, ScorerError, load_scorer
from .errors import UsageError, optional_package
from .options import add_model_and_sampling, add_settings, as_usage_error, check_numbers, settings_of

if TYPE_CHECKING:
    from PIL import Image

    from ..pipelines.i4vgen import Creation

# A clip as small as the built-in model's is enlarged to be looked at.
_SEEN_WIDTH = 256
_LIMITS = {"candidates": (1, 64), "share": (0, 1), "strength": (0, 2), "regeneration": (0.05, 1)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.add_argument("prompt", help="what the clip shows and how it moves")
    parser.add_argument("--negative-prompt", default="", metavar="TEXT", help="what it should not show")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="clip.gif, clip.webp, clip.mp4, or a new folder for PNGs"
    )
    parser.add_argument("--json", action="store_true", help="print what was done as JSON, and nothing else")
    stages = parser.add_argument_group("stages")
    stages.add_argument("--picture", type=Path, help="the picture to go through, instead of candidates")
    stages.add_argument("--candidates", type=int, help="how many pictures to choose from (default: as many as frames)")
    stages.add_argument(
        "--scorer",
        choices=SCORERS,
        default="model",
        help="what chooses among them (default: %(default)s; pick asks you)",
    )
    stages.add_argument(
        "--choose",
        type=int,
        metavar="N",
        help="take the candidate with this number, from 0, instead of the best scored",
    )
    stages.add_argument(
        "--share",
        type=float,
        default=0.6,
        help="of the timesteps that the still is animated in; 0 leaves it out (%(default)s)",
    )
    stages.add_argument("--strength", type=float, default=1.0, help="of that animation (default: %(default)s)")
    stages.add_argument(
        "--regeneration",
        type=float,
        default=1.0,
        help="how much of the noise range the clip is made anew in (%(default)s)",
    )
    stages.add_argument(
        "--authors",
        action="store_true",
        help="as I4VGen's authors: make it anew without rectification towards the picture",
    )
    add_model_and_sampling(parser)
    add_settings(parser)


def run(arguments: argparse.Namespace) -> None:
    """Make the clip. Raises `UsageError` for what is not possible, before the model runs where that can be known."""
    settings = settings_of(arguments)
    check_numbers(arguments)
    _check(arguments)
    check_output(arguments.output, arguments.fps)
    if arguments.picture is not None:
        read_image(arguments.picture)  # whatever is wrong with it is said before a model is loaded
    for package in ("diffusers", "transformers"):
        optional_package(package, package, "making clips")
    from PIL import Image

    from ..pipelines.animation import load, native_size, use_sampler
    from ..pipelines.i4vgen import create
    from ..pipelines.schedulers import PipelineError

    candidates = 0 if arguments.picture is not None else arguments.candidates or arguments.frames
    score = _score(arguments) if candidates else None
    probes = len(LOOKS) if candidates and score is None else 0
    calls = unet_calls(arguments.steps, candidates, arguments.frames, arguments.share, probes)
    if not arguments.json:
        print(f"about {calls:.0f} calls of the model, where a clip without a picture in between has {arguments.steps}")
    started = time.perf_counter()
    try:
        pipe = load(arguments.model, arguments.motion_adapter, arguments.device)
        if arguments.sampler:
            use_sampler(pipe, arguments.sampler.lower())
        own = native_size(pipe) if None in (arguments.width, arguments.height) else (0, 0)
        width, height = arguments.width or own[0], arguments.height or own[1]
        picture = None
        if arguments.picture is not None:
            picture = Image.fromarray(read_image(arguments.picture, width, height))
        made = create(
            pipe,
            arguments.prompt,
            picture=picture,
            score=score,
            candidates=candidates or None,
            share=arguments.share,
            strength=arguments.strength,
            regeneration=arguments.regeneration,
            rectification=None if arguments.authors else settings,
            negative_prompt=arguments.negative_prompt,
            steps=arguments.steps,
            guidance=arguments.guidance,
            frames=arguments.frames,
            width=width,
            height=height,
            seed=arguments.seed,
            on_stage=lambda name: pipe.set_progress_bar_config(disable=arguments.json, desc=name),
        )
    except SettingsError as error:
        raise as_usage_error(error) from error
    except PipelineError as error:
        raise UsageError(str(error)) from error
    scale = arguments.scale or max(1, _SEEN_WIDTH // made.clip.shape[2])
    write_video(made.clip, arguments.output, arguments.fps, scale)
    sheet = None
    if made.candidates:
        names = [f"{index}: {score:.4f}" for index, score in enumerate(made.scores)]
        sheet = _sheet(made.candidates, names, made.chosen, arguments.output)
    if arguments.json:
        print(json.dumps(_as_json(arguments, made, sheet, time.perf_counter() - started)))
        return
    if made.chosen is not None:
        print(f"candidate {made.chosen} of {len(made.candidates)}, score {made.scores[made.chosen]:.4f}")
    print(", ".join(f"{stage}: {count} calls" for stage, count in made.calls.items()))
    for path in filter(None, (arguments.output, sheet)):
        print(f"written: {path}")


def _check(arguments: argparse.Namespace) -> None:
    for name, (least, most) in _LIMITS.items():
        value = getattr(arguments, name)
        if value is not None and not least <= value <= most:
            raise UsageError(f"--{name} = {value} is out of range: use {least} to {most}")
    if arguments.picture is not None and (arguments.candidates or arguments.choose is not None):
        raise UsageError("--picture is given with --candidates or --choose: the picture is the one that is taken")
    if arguments.scorer != "model" and (arguments.picture is not None or arguments.choose is not None):
        raise UsageError(
            f"--scorer = {arguments.scorer} is given with --picture or --choose: there is nothing to score"
        )
    if arguments.scorer == "pick" and arguments.json:
        raise UsageError("--scorer = pick is given with --json: it asks, and --json prints nothing else")
    count = arguments.candidates or arguments.frames
    if arguments.choose is not None and not 0 <= arguments.choose < count:
        raise UsageError(f"--choose = {arguments.choose} is none of the {count} candidates: use 0 to {count - 1}")


def _score(arguments: argparse.Namespace) -> Score | None:
    """What chooses; None is the model itself. Raises `UsageError` for a scorer that cannot be had."""
    if arguments.choose is not None:
        return lambda pictures, prompt: [float(index == arguments.choose) for index in range(len(pictures))]
    if arguments.scorer == "pick":
        return functools.partial(_picked, arguments.output)
    try:
        scorer = load_scorer(arguments.scorer, arguments.device or "cpu")
    except (ScorerError, MissingPackageError) as error:
        raise UsageError(str(error)) from error
    return None if scorer is None else scorer.score


def _picked(output: Path, pictures: Sequence[Image.Image], prompt: str) -> list[float]:
    """Shows the candidates, and asks for the number of one until it gets it."""
    path = _sheet(pictures, [str(index) for index in range(len(pictures))], None, output)
    while True:
        print(f"{path} shows the candidates of {prompt!r}. Which one, 0 to {len(pictures) - 1}?", flush=True)
        answer = sys.stdin.readline()
        if not answer:
            raise UsageError(f"--scorer pick got no answer: look at {path} and use --choose with the same seed")
        if answer.strip().isdecimal() and int(answer) < len(pictures):
            return [float(index == int(answer)) for index in range(len(pictures))]


def _sheet(pictures: Sequence[Image.Image], names: Sequence[str], chosen: int | None, output: Path) -> Path:
    """The candidates side by side, eight a row, each with its name below; the chosen one is framed."""
    from PIL import Image, ImageDraw

    side, rim, line, columns = 128, 4, 14, min(8, len(pictures))
    rows = -(-len(pictures) // columns)
    page = Image.new("RGB", (columns * (side + rim), rows * (side + rim + line)), "white")
    pen = ImageDraw.Draw(page)
    for index, (candidate, name) in enumerate(zip(pictures, names)):
        x, y = index % columns * (side + rim), index // columns * (side + rim + line)
        if index == chosen:
            pen.rectangle((x, y, x + side + rim - 1, y + side + rim - 1), fill="#d9480f")
        page.paste(candidate.resize((side, side), Image.Resampling.LANCZOS), (x + rim // 2, y + rim // 2))
        pen.text((x + rim, y + side + rim), name, fill="black")
    path = output.with_name(f"{output.stem}-candidates.png")
    with replacing(path) as unfinished:
        page.save(unfinished)
    return path


def _as_json(arguments: argparse.Namespace, made: Creation, sheet: Path | None, seconds: float) -> dict[str, Any]:
    return {
        "output": str(arguments.output),
        "candidates": None if sheet is None else str(sheet),
        "scores": [round(score, 6) for score in made.scores],
        "chosen": made.chosen,
        "calls": made.calls,
        "seed": arguments.seed,
        "seconds": round(seconds, 2),
    }

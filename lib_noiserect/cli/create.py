"""The command `create`: makes candidate images of a prompt, and a video of the best one (I4VGen)."""

from __future__ import annotations

import argparse
import functools
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from ..core.errors import UserError
from ..core.settings import Settings
from ..media.files import check_writable, replacing
from ..media.images import fit_image, read_image
from ..media.videos import check_scale, write_video
from ..methods.i4vgen import LOOKS, stage_calls
from ..methods.scorers import Score, load_scorer
from .options import add_settings, add_video, call_of, check_replaces_nothing, check_video, load_model, scale_of, settings_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    add = parser.add_argument
    add("prompt", metavar="PROMPT", help="describe the video and its motion")
    add("--image", "--picture", type=Path, help="animate this image instead of a candidate")
    add("--authors", action="store_true", help="make the video without rectification, as the original I4VGen does")
    add_settings(parser, creation=True)
    add_video(parser)
    add_settings(parser)


def run(arguments: argparse.Namespace) -> None:
    """Make the video. Raises `UserError`, before the model is loaded wherever possible."""
    settings = settings_of(arguments)
    check_video(arguments)
    _check(arguments, settings)
    sheet = arguments.output.with_name(f"{arguments.output.stem}-candidates.png")
    check_replaces_nothing([arguments.output, sheet], [arguments.image])
    image = None if arguments.image is None else read_image(arguments.image)
    candidates = 0 if image is not None else settings.candidates or arguments.frames
    if candidates:
        check_writable(sheet)
    score = _score(arguments, settings, sheet) if candidates else None
    probes = len(LOOKS) if candidates and score is None else 0
    calls = sum(stage_calls(arguments.steps, candidates, arguments.frames, settings.animation_share, probes).values())
    if not arguments.json:
        print(f"about {calls:.0f} model calls; plain text-to-video has {arguments.steps}")
    started = time.perf_counter()
    pipe, width, height = load_model(arguments)
    scale = scale_of(arguments, width)
    check_scale(width, height, scale, arguments.frames)
    from ..pipelines.i4vgen import create

    creation = create(
        pipe,
        arguments.prompt,
        picture=None if image is None else fit_image(Image.fromarray(image), width, height),
        score=score,
        candidates=candidates or None,
        share=settings.animation_share,
        strength=settings.animation_strength,
        regeneration=settings.regeneration,
        rectification=None if arguments.authors else settings,
        width=width,
        height=height,
        on_stage=lambda name: pipe.set_progress_bar_config(disable=arguments.json, desc=name),
        **call_of(arguments),
    )
    write_video(creation.clip, arguments.output, arguments.fps, scale)
    written = [arguments.output]
    if creation.candidates:
        names = [f"{index}: {score:.4f}" for index, score in enumerate(creation.scores)]
        _write_sheet(creation.candidates, names, creation.chosen, sheet)
        written.append(sheet)
    if arguments.json:
        result = {
            "output": str(arguments.output),
            "candidates": str(sheet) if creation.candidates else None,
            "scores": [round(score, 6) for score in creation.scores],
            "chosen": creation.chosen,
            "calls": creation.calls,
            "seed": arguments.seed,
            "seconds": round(time.perf_counter() - started, 2),
        }
        print(json.dumps(result))
        return
    if creation.chosen is not None:
        print(f"candidate {creation.chosen} of {len(creation.candidates)}, score {creation.scores[creation.chosen]:.4f}")
    print(", ".join(f"{stage}: {count} calls" for stage, count in creation.calls.items()))
    for path in written:
        print(f"written: {path}")


def _check(arguments: argparse.Namespace, settings: Settings) -> None:
    picked = settings.pick >= 0
    if arguments.image is not None and (settings.candidates or picked):
        raise UserError("--image makes no candidates: leave --candidates and --pick out")
    if settings.scorer != "model" and (arguments.image is not None or (picked and settings.scorer != "pick")):
        raise UserError(f"--scorer = {settings.scorer} has nothing to choose: leave it out, or --image and --pick")
    if settings.scorer == "pick" and not picked and arguments.image is None and arguments.json:
        raise UserError("--scorer = pick asks for a number and --json prints nothing else: add --pick")
    count = settings.candidates or arguments.frames
    if picked and settings.pick >= count:
        raise UserError(f"--pick = {settings.pick} is not one of the {count} candidates: use 0 to {count - 1}")


def _score(arguments: argparse.Namespace, settings: Settings, sheet: Path) -> Score | None:
    """The function that chooses a candidate; None is the model itself. Raises `UserError` for a missing scorer."""
    if settings.pick >= 0:
        return lambda images, prompt: [float(index == settings.pick) for index in range(len(images))]
    if settings.scorer == "pick":
        return functools.partial(_ask, sheet)
    scorer = load_scorer(settings.scorer, arguments.device or "cpu")
    return None if scorer is None else scorer.score


def _ask(sheet: Path, images: Sequence[Image.Image], prompt: str) -> list[float]:
    """Draw the candidates, and ask for a number until one of them is named."""
    _write_sheet(images, [str(index) for index in range(len(images))], None, sheet)
    while True:
        print(f"{sheet} shows the candidates of {prompt!r}. Which one, 0 to {len(images) - 1}?", flush=True)
        answer = sys.stdin.readline()
        if not answer:
            raise UserError(f"--scorer pick got no answer: look at {sheet}, and use --pick with the same seed")
        if answer.strip().isdecimal() and int(answer) < len(images):
            return [float(index == int(answer)) for index in range(len(images))]


def _write_sheet(images: Sequence[Image.Image], names: Sequence[str], chosen: int | None, path: Path) -> None:
    """Draw the candidates, eight in a row, each over its name, with a frame around the chosen one."""
    side, rim, line, columns = 128, 4, 14, min(8, len(images))
    rows = -(-len(images) // columns)
    page = Image.new("RGB", (columns * (side + rim), rows * (side + rim + line)), "white")
    pen = ImageDraw.Draw(page)
    for index, (candidate, name) in enumerate(zip(images, names)):
        x, y = index % columns * (side + rim), index // columns * (side + rim + line)
        if index == chosen:
            pen.rectangle((x, y, x + side + rim - 1, y + side + rim - 1), fill="#d9480f")
        page.paste(candidate.resize((side, side), Image.Resampling.LANCZOS), (x + rim // 2, y + rim // 2))
        pen.text((x + rim, y + side + rim), name, fill="black")
    with replacing(path) as unfinished:
        page.save(unfinished)

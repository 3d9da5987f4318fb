"""The command `animate`: a picture and a prompt in, a clip out, and a sheet to compare it by."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..settings import FIELDS, Settings, SettingsError
from .errors import UsageError, optional_package
from .media import check_output, make_folder, read_picture, replacing, write_clip
from .options import add_settings, as_usage_error, settings_of
from .schedule import window_words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

# A clip as small as the built-in model's is enlarged to be looked at.
_SEEN_WIDTH = 256
_FIGURES = {"ssim": "SSIM to the picture", "motion": "motion (pixels a frame)", "warp_residual": "flicker"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.add_argument("picture", type=Path, help="the picture to animate: PNG, JPEG, WebP …")
    parser.add_argument("--prompt", required=True, help="what the picture shows and how it moves")
    parser.add_argument("--negative-prompt", default="", metavar="TEXT", help="what the clip should not show")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="clip.gif, clip.webp, clip.mp4, or a new folder for PNGs"
    )
    parser.add_argument(
        "--compare",
        type=Path,
        nargs="?",
        const=True,
        metavar="PNG",
        help="also make the clip by noising alone, and a sheet of both (default: OUTPUT's name with -compared.png)",
    )
    parser.add_argument("--json", action="store_true", help="print what was done as JSON, and nothing else")
    parser.add_argument(
        "--key-frame",
        action="append",
        default=[],
        metavar="N=PICTURE",
        help="another picture, which frame N is to be (1 to FRAMES - 1); may be given several times",
    )
    model = parser.add_argument_group("model")
    model.add_argument("--model", metavar="FOLDER|ID", help="a diffusers model (default: the built-in one)")
    model.add_argument("--motion-adapter", metavar="FOLDER|ID", help="AnimateDiff's motion modules for --model")
    model.add_argument("--device", help="cpu, cuda, mps (default: a GPU if there is one)")
    sampling = parser.add_argument_group("sampling")
    sampling.add_argument("--sampler", help="ddim, euler, euler a, dpm++ 2m karras, lcm … (default: the model's own)")
    sampling.add_argument("--steps", type=int, default=25, help="default: %(default)s")
    sampling.add_argument("--guidance", type=float, default=7.5, metavar="SCALE", help="default: %(default)s")
    sampling.add_argument("--frames", type=int, default=16, help="default: %(default)s")
    sampling.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    size = parser.add_argument_group("size")
    size.add_argument("--width", type=int, help="in pixels (default: the model's own)")
    size.add_argument("--height", type=int, help="in pixels (default: the model's own)")
    size.add_argument("--fps", type=float, default=8, help="frames a second (default: %(default)s)")
    size.add_argument("--scale", type=int, help="enlarge the clip by a whole factor (default: to 256 pixels or more)")
    add_settings(parser)


def run(arguments: argparse.Namespace) -> None:
    """Animate the picture. Raises `UsageError` for what is not possible, before the model runs where that can be known."""
    settings = settings_of(arguments)
    _check_numbers(arguments)
    check_output(arguments.output)
    sheet = _sheet_path(arguments)
    key_frames = _key_frames(arguments)
    for path in (arguments.picture, *key_frames.values()):
        read_picture(path)  # whatever is wrong with it is said before a model is loaded
    for module, package in (("diffusers", "diffusers"), ("transformers", "transformers")):
        optional_package(module, package, "making clips")
    from ..pipelines.animate import load, native_size, use_sampler
    from ..pipelines.levels import PipelineError

    try:
        pipe = load(arguments.model, arguments.motion_adapter, arguments.device)
        if arguments.sampler:
            use_sampler(pipe, arguments.sampler.lower())
        width, height = native_size(pipe) if None in (arguments.width, arguments.height) else (0, 0)
    except PipelineError as error:
        raise UsageError(str(error)) from error
    picture = read_picture(arguments.picture, arguments.width or width, arguments.height or height)
    more = {number: read_picture(path, *picture.shape[1::-1]) for number, path in key_frames.items()}
    methods = ["pivot", "noising"] if sheet else ["pivot"]
    clips, done = {}, dict[str, Any]()
    for method in methods:
        started = time.perf_counter()
        clips[method], rectification = _made(pipe, picture, more, settings, method, arguments)
        done[method] = {"seconds": round(time.perf_counter() - started, 2)}
        if method == "pivot":
            report = rectification.reports[-1]
            done[method] |= {"steps": report.steps, "rectified": report.rectified}
    scale = arguments.scale or max(1, _SEEN_WIDTH // picture.shape[1])
    write_clip(clips["pivot"], arguments.output, arguments.fps, scale)
    if sheet:
        done["noising"]["measures"], done["pivot"]["measures"] = (
            _measured(clips[name], picture) for name in ("noising", "pivot")
        )
        _write_sheet(sheet, picture, clips, done, settings)
    if arguments.json:
        print(json.dumps(_as_json(arguments, settings, sheet, done)))
        return
    print(window_words(settings, done["pivot"]["steps"]))
    for path in filter(None, (arguments.output, sheet)):
        print(f"written: {path}")


def _check_numbers(arguments: argparse.Namespace) -> None:
    limits = {"steps": (1, 1000), "frames": (1, 1024), "guidance": (0, 100), "seed": (0, 2**63 - 1)}
    limits |= {"width": (16, 4096), "height": (16, 4096), "scale": (1, 64)}
    for name, (least, most) in limits.items():
        value = getattr(arguments, name)
        if value is not None and not least <= value <= most:
            raise UsageError(f"--{name} = {value} is out of range: use {least} to {most}")
    for name in ("width", "height"):
        value = getattr(arguments, name)
        if value is not None and value % 8:
            raise UsageError(f"--{name} = {value} is no multiple of 8: use {value // 8 * 8} or {value // 8 * 8 + 8}")
    if arguments.motion_adapter and not arguments.model:
        raise UsageError("--motion-adapter is given without --model: the built-in model has its own motion modules")


def _sheet_path(arguments: argparse.Namespace) -> Path | None:
    sheet: Path | None = arguments.compare
    if arguments.compare is True:
        sheet = arguments.output.with_name(f"{arguments.output.stem}-compared.png")
    if sheet is not None:
        if sheet.suffix.lower() != ".png" or sheet.is_dir():
            raise UsageError(f"{sheet} is no name of a sheet: use one that ends in .png")
        for module, package in (("skimage", "scikit-image"), ("cv2", "opencv-python-headless")):
            optional_package(module, package, "measuring the clips of --compare")
        make_folder(sheet.parent)
    return sheet


def _key_frames(arguments: argparse.Namespace) -> dict[int, Path]:
    found = dict[int, Path]()
    for text in arguments.key_frame:
        number, _, path = text.partition("=")
        if not number.strip().isdecimal() or not path:
            raise UsageError(f"--key-frame = {text!r} is not understood: use a number and a picture, 15=last.png")
        if not 1 <= int(number) < arguments.frames:
            last = arguments.frames - 1
            raise UsageError(f"--key-frame {text} is not in the clip: use 1 to {last}; frame 0 is the picture itself")
        if int(number) in found:
            raise UsageError(f"--key-frame {int(number)} is given twice: give each frame one picture")
        found[int(number)] = Path(path)
    return found


def _made(
    pipe: Any,
    picture: Pixels,
    key_frames: dict[int, Pixels],
    settings: Settings,
    method: str,
    arguments: argparse.Namespace,
) -> tuple[Pixels, Any]:
    from ..pipelines.animate import animate
    from ..pipelines.levels import PipelineError

    title = {"pivot": "rectified", "noising": "noising alone"}[method]
    pipe.set_progress_bar_config(disable=arguments.json, desc=title)
    try:
        return animate(
            pipe,
            picture,
            arguments.prompt,
            settings,
            key_frames=key_frames,
            method=method,
            negative_prompt=arguments.negative_prompt,
            steps=arguments.steps,
            guidance=arguments.guidance,
            frames=arguments.frames,
            seed=arguments.seed,
        )
    except SettingsError as error:
        raise as_usage_error(error) from error
    except PipelineError as error:
        raise UsageError(str(error)) from error


def _measured(clip: Pixels, picture: Pixels) -> dict[str, float]:
    from dataclasses import asdict

    from ..evaluation.metrics import measure

    return {name: round(value, 4) for name, value in asdict(measure(clip, picture)).items()}


def _write_sheet(
    path: Path, picture: Pixels, clips: dict[str, Pixels], done: dict[str, Any], settings: Settings
) -> None:
    from ..evaluation.sheet import comparison_sheet

    titles = {"noising": "Noising alone", "pivot": f"Rectified: {window_words(settings, done['pivot']['steps'])}"}
    rows = []
    for method, title in titles.items():
        measures = done[method]["measures"]
        rows.append((title, clips[method], {label: measures[name] for name, label in _FIGURES.items()}))
    with replacing(path) as unfinished:
        comparison_sheet(picture, rows).save(unfinished)


def _as_json(
    arguments: argparse.Namespace, settings: Settings, sheet: Path | None, done: dict[str, Any]
) -> dict[str, Any]:
    shown = {
        "output": str(arguments.output),
        "sheet": None if sheet is None else str(sheet),
        "prompt": arguments.prompt,
        "key_frames": {str(number): str(path) for number, path in _key_frames(arguments).items()},
        "model": arguments.model or "built-in",
        "sampler": arguments.sampler or "the model's own",
        "seed": arguments.seed,
        "settings": {name: getattr(settings, name) for name in FIELDS},
    }
    return {**shown, "rectified": done["pivot"], **({"noising": done["noising"]} if sheet else {})}

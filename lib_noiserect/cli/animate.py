"""The command `animate`: a picture and a prompt in, a clip out, and a sheet to compare it by."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.settings import FIELDS, Settings, SettingsError
from ..media.files import make_folder, replacing
from ..media.images import read_image, read_mask, same_shape
from ..media.videos import check_output, write_video
from .errors import UsageError, optional_package
from .options import add_model_and_sampling, add_settings, as_usage_error, check_numbers, settings_of
from .schedule import window_words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..methods.analytic_init import Statistics

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
    parser.add_argument(
        "--mask", type=Path, metavar="PICTURE", help="where things may move, in white; of the picture's shape"
    )
    parser.add_argument(
        "--mask-frame",
        action="append",
        default=[],
        metavar="N=PICTURE",
        help="where things may move in frame N; between such frames it changes; may be given several times",
    )
    parser.add_argument(
        "--statistics",
        type=Path,
        metavar="FILE",
        help="draw the start from what is known of clips: a file of the command statistics",
    )
    add_model_and_sampling(parser)
    add_settings(parser)


def run(arguments: argparse.Namespace) -> None:
    """Animate the picture. Raises `UsageError` for what is not possible, before the model runs where that can be known."""
    settings = settings_of(arguments)
    check_numbers(arguments)
    check_output(arguments.output, arguments.fps)
    statistics = _statistics(arguments.statistics)
    sheet = _sheet_path(arguments)
    key_frames, mask_files = _key_frames(arguments), _mask_files(arguments)
    # Whatever is wrong with them is said before a model is loaded.
    shapes = {path: read_image(path).shape[1::-1] for path in (arguments.picture, *key_frames.values())}
    masks = {number: _mask(path, shapes[arguments.picture]) for number, path in mask_files.items()}
    if settings.target_ssim > 0.0:
        optional_package("skimage", "scikit-image", "finding the motion of --target-ssim")
        if arguments.frames < 2:
            raise UsageError(f"--target-ssim is given and --frames = {arguments.frames}: use 2 frames or more")
    for module, package in (("diffusers", "diffusers"), ("transformers", "transformers")):
        optional_package(module, package, "making clips")
    from ..pipelines.animation import load, native_size, use_sampler
    from ..pipelines.schedulers import PipelineError

    try:
        pipe = load(arguments.model, arguments.motion_adapter, arguments.device)
        if arguments.sampler:
            use_sampler(pipe, arguments.sampler.lower())
        width, height = native_size(pipe) if None in (arguments.width, arguments.height) else (0, 0)
    except PipelineError as error:
        raise UsageError(str(error)) from error
    picture = read_image(arguments.picture, arguments.width or width, arguments.height or height)
    size = (picture.shape[1], picture.shape[0])
    for path, shape in shapes.items():
        _say_what_is_cut_off(path, shape, size)
    more = {number: read_image(path, *size) for number, path in key_frames.items()}
    fitted = {number: _fitted(mask, size) for number, mask in masks.items()} or None
    job = _Job(pipe, picture, more, fitted, arguments, statistics)
    done = dict[str, Any]()
    used = settings
    if settings.target_ssim > 0.0:
        used, done["target"] = _found(job, settings)
    methods = ["pivot", "noising"] if sheet else ["pivot"]
    clips = {}
    for method in methods:
        started = time.perf_counter()
        clips[method], rectification = _made(job, used, method)
        done[method] = {"seconds": round(time.perf_counter() - started, 2)}
        if method == "pivot":
            report = rectification.reports[-1]
            done[method] |= {"steps": report.steps, "rectified": report.rectified}
    if settings.target_ssim > 0.0:
        done["target"]["ssim"] = round(_similarity(job, clips["pivot"], settings), 4)
    scale = arguments.scale or max(1, _SEEN_WIDTH // picture.shape[1])
    write_video(clips["pivot"], arguments.output, arguments.fps, scale)
    if sheet:
        done["noising"]["measures"], done["pivot"]["measures"] = (
            _measured(clips[name], picture) for name in ("noising", "pivot")
        )
        _write_sheet(sheet, picture, clips, done, used)
    if arguments.json:
        print(json.dumps(_as_json(arguments, settings, sheet, done)))
        return
    print(_window(used, done))
    if settings.target_ssim > 0.0:
        print(f"SSIM of the clip: {done['target']['ssim']:.3f} ({settings.target_ssim:g} wanted)")
    for path in filter(None, (arguments.output, sheet)):
        print(f"written: {path}")


def _statistics(path: Path | None) -> Statistics | None:
    if path is None:
        return None
    from ..methods.statistics_file import load

    optional_package("safetensors", "safetensors", "reading --statistics")
    try:
        return load(path)
    except SettingsError as error:
        raise UsageError(re.sub(r"^statistics = \S+", f"--statistics {path}", str(error))) from error


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
    return _by_frame("--key-frame", arguments.key_frame, arguments.frames, taken="the picture itself")


def _mask_files(arguments: argparse.Namespace) -> dict[int, Path]:
    taken = None if arguments.mask is None else "of --mask"
    found = _by_frame("--mask-frame", arguments.mask_frame, arguments.frames, taken)
    return found if arguments.mask is None else {0: arguments.mask, **found}


def _by_frame(option: str, given: list[str], frames: int, taken: str | None) -> dict[int, Path]:
    """The pictures of `N=PICTURE` by the numbers of their frames; `taken` says what frame 0 is, if it is not free."""
    found = dict[int, Path]()
    least = 0 if taken is None else 1
    for text in given:
        number, _, path = text.partition("=")
        if not number.strip().isdecimal() or not path:
            raise UsageError(f"{option} = {text!r} is not understood: use a number and a picture, 15=last.png")
        if not least <= int(number) < frames:
            why = "" if taken is None else f"; frame 0 is {taken}"
            raise UsageError(f"{option} {text} is not in the clip: use {least} to {frames - 1}{why}")
        if int(number) in found:
            raise UsageError(f"{option} {int(number)} is given twice: give each frame one picture")
        found[int(number)] = Path(path)
    return found


def _mask(path: Path, shape: tuple[int, int]) -> Pixels:
    """A mask's file in grey; nothing may move where it is transparent."""
    mask = read_mask(path)
    if not same_shape(mask.shape[::-1], shape):
        raise UsageError(
            f"the mask {path} is {mask.shape[1]}x{mask.shape[0]} and the picture {shape[0]}x{shape[1]}: "
            "give one of the picture's shape"
        )
    if not mask.any():
        raise UsageError(f"the mask {path} is all black, so nothing could move: paint white where things may move")
    return mask


def _fitted(mask: Pixels, size: tuple[int, int]) -> Any:
    from ..pipelines.latents import as_mask

    return as_mask(mask, size[1], size[0])


def _say_what_is_cut_off(path: Path, shape: tuple[int, int], size: tuple[int, int]) -> None:
    if not same_shape(shape, size):
        print(
            f"note: {path} is {shape[0]}x{shape[1]} and the clip {size[0]}x{size[1]}: what is beside its middle is cut off",
            file=sys.stderr,
        )


@dataclass(frozen=True)
class _Job:
    """What is animated, in the clip's size, and how."""

    pipe: Any
    picture: Pixels
    key_frames: dict[int, Pixels]
    masks: dict[int, Any] | None
    arguments: argparse.Namespace
    statistics: Statistics | None

    def call(self) -> dict[str, Any]:
        """What all of its clips are made with."""
        given = self.arguments
        return {
            "key_frames": self.key_frames,
            "mask": self.masks,
            "statistics": self.statistics,
            "negative_prompt": given.negative_prompt,
            "steps": given.steps,
            "guidance": given.guidance,
            "frames": given.frames,
            "seed": given.seed,
        }


def _made(job: _Job, settings: Settings, method: str) -> tuple[Pixels, Any]:
    from ..pipelines.animation import animate

    title = {"pivot": "rectified", "noising": "noising alone"}[method]
    job.pipe.set_progress_bar_config(disable=job.arguments.json, desc=title)
    with _as_usage_errors():
        return animate(job.pipe, job.picture, job.arguments.prompt, settings, method=method, **job.call())


def _found(job: _Job, settings: Settings) -> tuple[Settings, dict[str, Any]]:
    """The settings with the motion that gives the wanted SSIM, and what is to be said of the search."""
    from ..core.motion_search import Probe
    from ..pipelines.animation import find_motion_for

    bar_of = optional_package("tqdm", "tqdm", "the progress bar of --target-ssim").tqdm
    started = time.perf_counter()
    with (
        _as_usage_errors(),
        bar_of(desc="finding the motion", unit="clip", disable=job.arguments.json) as bar,
    ):

        def on_probe(made: int, most: int, last: Probe) -> None:
            bar.total = most
            bar.set_postfix_str(f"motion {last.motion:.3g}: SSIM {last.ssim:.3f}")
            bar.update()

        found = find_motion_for(job.pipe, job.picture, job.arguments.prompt, settings, on_probe=on_probe, **job.call())
        bar.total = bar.n
    if not job.arguments.json:
        print(found.words())

    def as_json(probe: Probe) -> dict[str, float]:
        return {"motion": probe.motion, "ssim": round(probe.ssim, 4)}

    said = {
        "wanted": settings.target_ssim,
        "motion": found.settings.motion,
        "tried": [as_json(probe) for probe in found.probes],
        "in_all_steps": None if found.checked is None else as_json(found.checked),
        "seconds": round(time.perf_counter() - started, 2),
    }
    return found.settings, said


def _similarity(job: _Job, clip: Pixels, settings: Settings) -> float:
    from ..pipelines.animation import mean_ssim

    return mean_ssim(clip, {0: job.picture, **job.key_frames}, loop=settings.loop)


@contextmanager
def _as_usage_errors() -> Iterator[None]:
    from ..pipelines.schedulers import PipelineError

    try:
        yield
    except SettingsError as error:
        raise as_usage_error(error) from error
    except PipelineError as error:
        raise UsageError(str(error)) from error


def _window(settings: Settings, done: dict[str, Any]) -> str:
    return window_words(settings, done["pivot"]["steps"], done["pivot"]["rectified"])


def _measured(clip: Pixels, picture: Pixels) -> dict[str, float]:
    from dataclasses import asdict

    from ..media.metrics import measure

    return {name: round(value, 4) for name, value in asdict(measure(clip, picture)).items()}


def _write_sheet(
    path: Path, picture: Pixels, clips: dict[str, Pixels], done: dict[str, Any], settings: Settings
) -> None:
    from ..media.comparison_sheet import comparison_sheet

    titles = {"noising": "Noising alone", "pivot": f"Rectified: {_window(settings, done)}"}
    rows = []
    for method, title in titles.items():
        measures = done[method]["measures"]
        rows.append((title, clips[method], {label: measures[name] for name, label in _FIGURES.items()}))
    with replacing(path) as unfinished:
        comparison_sheet(picture, rows).save(unfinished)


def _as_json(
    arguments: argparse.Namespace, settings: Settings, sheet: Path | None, done: dict[str, Any]
) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "output": str(arguments.output),
        "sheet": None if sheet is None else str(sheet),
        "prompt": arguments.prompt,
        "key_frames": {str(number): str(path) for number, path in _key_frames(arguments).items()},
        "masks": {str(number): str(path) for number, path in _mask_files(arguments).items()},
        "model": arguments.model or "built-in",
        "sampler": arguments.sampler or "the model's own",
        "seed": arguments.seed,
        "statistics": None if arguments.statistics is None else str(arguments.statistics),
        "settings": {name: getattr(settings, name) for name in FIELDS},
    }
    more = {name: done[name] for name in ("target", "noising") if name in done}
    return {**shown, "rectified": done["pivot"]} | more

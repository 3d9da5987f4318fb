"""The command `animate`: makes a video of an image and a prompt, and a sheet that compares it with plain noising."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import UserError, need
from ..core.settings import FIELDS, Settings
from ..media.files import check_writable, replacing
from ..media.images import Pixels, fit_image, read_image, read_mask, same_shape
from ..media.videos import check_scale, write_video
from .options import add_settings, add_video, check_replaces_nothing, check_video, load_model, scale_of, settings_of
from .schedule import window_words

if TYPE_CHECKING:
    from ..methods.analytic_init import Statistics

_MEASURES = {"ssim": "SSIM to the image", "motion": "motion (pixels a frame)", "warp_residual": "flicker", "ghost": "ghosts"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.add_argument("image", type=Path, metavar="IMAGE", help="animate this PNG, JPEG, WebP, BMP, GIF or TIFF")
    parser.add_argument("--prompt", required=True, help="describe the image and its motion")
    parser.add_argument(
        "--compare",
        type=Path,
        nargs="?",
        const=True,
        metavar="PNG",
        help="also make it by plain noising and with Follow motion off or on, and a sheet (default: OUTPUT-compared.png)",
    )
    parser.add_argument(
        "--keyframe",
        "--key-frame",
        action="append",
        default=[],
        metavar="N=IMAGE",
        help="make frame N (1 to FRAMES - 1) this image; repeat for more frames",
    )
    parser.add_argument(
        "--mask", type=Path, metavar="IMAGE", help="allow motion only where this image is white; same proportions"
    )
    parser.add_argument(
        "--mask-frame",
        action="append",
        default=[],
        metavar="N=IMAGE",
        help="set the motion mask of frame N, interpolated between such frames; repeat for more frames",
    )
    parser.add_argument(
        "--statistics",
        type=Path,
        metavar="FILE",
        help="draw the initial noise from video statistics, a file of the command statistics",
    )
    add_video(parser)
    add_settings(parser)


def run(arguments: argparse.Namespace) -> None:
    """Animate the image. Raises `UserError`, before the model is loaded wherever possible."""
    settings = settings_of(arguments)
    check_video(arguments)
    sheet = _sheet_path(arguments)
    if settings.target_ssim > 0.0:
        need("skimage", "scikit-image", "--target-ssim")
    if arguments.frames < 2 and (sheet or settings.target_ssim > 0.0):
        option = "--compare" if sheet else "--target-ssim"
        raise UserError(f"{option} needs motion and --frames = {arguments.frames}: use 2 frames or more")
    statistics = _statistics(arguments.statistics)
    files = {0: arguments.image, **_by_frame("--keyframe", arguments.keyframe, arguments.frames, "the image itself")}
    mask_files = {} if arguments.mask is None else {0: arguments.mask}
    mask_files |= _by_frame("--mask-frame", arguments.mask_frame, arguments.frames, "set by --mask" if mask_files else None)
    check_replaces_nothing((arguments.output, sheet), (*files.values(), *mask_files.values(), arguments.statistics))
    images = {number: read_image(path) for number, path in files.items()}
    masks = {number: _mask(path, images[0]) for number, path in mask_files.items()}
    pipe, width, height = load_model(arguments)
    scale = scale_of(arguments, width)
    check_scale(width, height, scale, arguments.frames)
    for number, path in files.items():
        image_width, image_height = images[number].shape[1::-1]
        if not same_shape((image_width, image_height), (width, height)):
            size = f"{image_width}x{image_height}"
            print(f"note: {path} is {size} and the video {width}x{height}: it is cropped around its center", file=sys.stderr)
    from ..pipelines.animation import animate, mean_ssim
    from ..pipelines.latents import as_mask

    images = {number: _fitted(image, width, height) for number, image in images.items()}
    inputs = {
        "image": images[0],
        "prompt": arguments.prompt,
        "key_frames": {number: image for number, image in images.items() if number},
        "mask": {number: as_mask(mask, height, width) for number, mask in masks.items()} or None,
        "statistics": statistics,
        "negative_prompt": arguments.negative_prompt,
        "steps": arguments.steps,
        "guidance": arguments.guidance,
        "frames": arguments.frames,
        "seed": arguments.seed,
    }
    result = dict[str, Any]()
    used = settings
    if settings.target_ssim > 0.0:
        used, result["target"] = _tuned(pipe, settings, inputs, quiet=arguments.json)
    videos = {}
    for way in ["rectified", "noising", "other_rule"] if sheet else ["rectified"]:
        started = time.perf_counter()
        chosen = replace(used, follow_motion=not used.follow_motion) if way == "other_rule" else used
        title = {"rectified": "rectified", "noising": "plain noising"}.get(way, _rule(chosen))
        pipe.set_progress_bar_config(disable=arguments.json, desc=title)
        method = "noising" if way == "noising" else "pivot"
        videos[way], rectification = animate(pipe, settings=chosen, method=method, **inputs)
        result[way] = {"seconds": round(time.perf_counter() - started, 2)}
        if way == "rectified":
            report = rectification.reports[-1]
            result[way] |= {"steps": report.steps, "rectified": report.rectified}
    if settings.target_ssim > 0.0:
        result["target"]["ssim"] = round(mean_ssim(videos["rectified"], images, loop=settings.loop), 4)
    write_video(videos["rectified"], arguments.output, arguments.fps, scale)
    window = window_words(used, result["rectified"]["steps"], result["rectified"]["rectified"])
    if sheet:
        _write_sheet(sheet, images[0], videos, result, window, used)
    if arguments.json:
        print(json.dumps(_as_json(arguments, settings, sheet, files, mask_files, result)))
        return
    print(window)
    if settings.target_ssim > 0.0:
        print(f"SSIM of the video: {result['target']['ssim']:.3f} (target: {settings.target_ssim:g})")
    for path in filter(None, (arguments.output, sheet)):
        print(f"written: {path}")


def _rule(settings: Settings) -> str:
    return "following the motion" if settings.follow_motion else "the paper's rule"


def _statistics(path: Path | None) -> Statistics | None:
    if path is None:
        return None
    from ..methods.statistics_file import load

    need("safetensors", "safetensors", "reading --statistics")
    try:
        return load(path)
    except UserError as error:
        raise UserError(re.sub(r"^statistics = \S+", lambda _: f"--statistics {path}", str(error))) from error


def _sheet_path(arguments: argparse.Namespace) -> Path | None:
    sheet: Path | None = arguments.compare
    if arguments.compare is True:
        sheet = arguments.output.with_name(f"{arguments.output.stem}-compared.png")
    if sheet is not None:
        if sheet.suffix.lower() != ".png" or sheet.is_dir():
            raise UserError(f"--compare {sheet} is not a PNG file: use a name that ends in .png")
        for module in ("skimage", "cv2", "scipy"):
            need(module, "scikit-image opencv-python-headless scipy", "--compare")
        check_writable(sheet)
    return sheet


def _by_frame(option: str, texts: list[str], frames: int, frame_0: str | None) -> dict[int, Path]:
    """The files of `N=IMAGE` by frame; `frame_0` says why frame 0 is taken, if it is."""
    files = dict[int, Path]()
    least = 0 if frame_0 is None else 1
    for text in texts:
        number, _, path = text.partition("=")
        if not re.fullmatch(r"\s*[0-9]{1,6}\s*", number) or not path:
            raise UserError(f"{option} = {text!r} is not a number and an image: use for example 15=last.png")
        frame = int(number)
        if not least <= frame < frames:
            remedy = f"use {least} to {frames - 1}" if frames > least else "use 2 frames or more"
            why = "" if frame_0 is None else f"; frame 0 is {frame_0}"
            raise UserError(f"{option} {text} is not in the video of {frames} frames: {remedy}{why}")
        if frame in files:
            raise UserError(f"{option} {frame} is given twice: use one image per frame")
        files[frame] = Path(path)
    return files


def _mask(path: Path, image: Pixels) -> Pixels:
    mask = read_mask(path)
    if not same_shape(mask.shape[::-1], image.shape[1::-1]):
        raise UserError(
            f"the mask {path} is {mask.shape[1]}x{mask.shape[0]} and the image {image.shape[1]}x{image.shape[0]}: "
            "use a mask of the image's proportions"
        )
    if not mask.any():
        raise UserError(f"the mask {path} is all black and allows no motion: paint the moving area white")
    return mask


def _fitted(image: Pixels, width: int, height: int) -> Pixels:
    import numpy as np
    from PIL import Image

    return np.array(fit_image(Image.fromarray(image), width, height))


def _tuned(pipe: Any, settings: Settings, inputs: dict[str, Any], *, quiet: bool) -> tuple[Settings, dict[str, Any]]:
    """The settings with the motion that reaches `target_ssim`, and the report of the search."""
    from ..core.motion_search import Probe
    from ..pipelines.animation import find_motion_for

    started = time.perf_counter()
    progress = need("tqdm", "tqdm", "the progress bar of --target-ssim").tqdm
    with progress(desc="auto-tuning motion", unit="video", disable=quiet) as bar:

        def on_probe(made: int, most: int, last: Probe) -> None:
            bar.total = most
            bar.set_postfix_str(f"motion {last.motion:.3g}: SSIM {last.ssim:.3f}")
            bar.update()

        found = find_motion_for(pipe, settings=settings, on_probe=on_probe, **inputs)
        bar.total = bar.n
    if not quiet:
        print(found.words())

    def as_json(probe: Probe) -> dict[str, float]:
        return {"motion": probe.motion, "ssim": round(probe.ssim, 4)}

    report = {
        "wanted": settings.target_ssim,
        "motion": found.settings.motion,
        "tried": [as_json(probe) for probe in found.probes],
        "in_all_steps": None if found.checked is None else as_json(found.checked),
        "seconds": round(time.perf_counter() - started, 2),
    }
    return found.settings, report


def _write_sheet(
    path: Path, image: Pixels, videos: dict[str, Pixels], result: dict[str, Any], window: str, settings: Settings
) -> None:
    """Write the sheet of noising alone, the paper's rule and following the motion; add their measures to `result`."""
    from ..media.comparison_sheet import comparison_sheet
    from ..media.metrics import measure

    rows, ways = [], ["rectified", "other_rule"]
    for way in ["noising", *(reversed(ways) if settings.follow_motion else ways)]:
        rule = _rule(replace(settings, follow_motion=settings.follow_motion is (way == "rectified")))
        title = "Plain noising" if way == "noising" else f"{rule[0].upper()}{rule[1:]}: {window}"
        measures = {name: round(value, 4) for name, value in measure(videos[way], image).items()}
        result[way]["measures"] = measures
        rows.append((title, videos[way], {label: f"{measures[name]:.3g}" for name, label in _MEASURES.items()}))
    with replacing(path) as unfinished:
        comparison_sheet(image, rows).save(unfinished)


def _as_json(
    arguments: argparse.Namespace,
    settings: Settings,
    sheet: Path | None,
    files: dict[int, Path],
    mask_files: dict[int, Path],
    result: dict[str, Any],
) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "output": str(arguments.output),
        "sheet": None if sheet is None else str(sheet),
        "prompt": arguments.prompt,
        "key_frames": {str(number): str(path) for number, path in files.items() if number},
        "masks": {str(number): str(path) for number, path in mask_files.items()},
        "model": arguments.model or "built-in",
        "sampler": arguments.sampler or "the model's own",
        "seed": arguments.seed,
        "statistics": None if arguments.statistics is None else str(arguments.statistics),
        "settings": {name: getattr(settings, name) for name in FIELDS},
    }
    return shown | {name: result[name] for name in ("rectified", "target", "noising", "other_rule") if name in result}

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

import numpy as np
from PIL import Image

from ..core.errors import UserError, need
from ..core.settings import FIELDS, Settings
from ..media.files import check_writable, replacing
from ..media.images import Pixels, fit_image, read_image, read_mask, same_shape
from ..media.videos import check_scale, write_video
from .options import add_settings, add_video, call_of, check_replaces_nothing, check_video, load_model, scale_of, settings_of
from .schedule import window_words

if TYPE_CHECKING:
    from ..methods.analytic_init import Statistics

_MEASURES = {"ssim": "SSIM to the image", "motion": "motion (pixels a frame)", "warp_residual": "flicker", "ghost": "ghosts"}
_RULES = {False: "the paper's rule", True: "following the motion"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    add = parser.add_argument
    by_frame: dict[str, Any] = {"action": "append", "default": [], "metavar": "N=IMAGE"}
    add("image", type=Path, metavar="IMAGE", help="animate this PNG, JPEG, WebP, BMP, GIF or TIFF")
    add("--prompt", required=True, help="describe the image and its motion")
    text = "also make it by plain noising and with Follow motion off or on, and a sheet (default: OUTPUT-compared.png)"
    add("--compare", type=Path, nargs="?", const=True, metavar="PNG", help=text)
    add("--keyframe", "--key-frame", **by_frame, help="make frame N (1 to FRAMES - 1) this image; repeat for more frames")
    add("--mask", type=Path, metavar="IMAGE", help="allow motion only where this image is white; same proportions")
    text = "set the motion mask of frame N, interpolated between such frames; repeat for more frames"
    add("--mask-frame", **by_frame, help=text)
    text = "draw the initial noise from video statistics, a file of the command statistics"
    add("--statistics", type=Path, metavar="FILE", help=text)
    add_video(parser)
    add_settings(parser)


def run(arguments: argparse.Namespace) -> None:
    """Animate the image. Raises `UserError`, before the model is loaded wherever possible."""
    settings = settings_of(arguments)
    check_video(arguments)
    sheet = _sheet_path(arguments)
    has_target = settings.target_ssim > 0.0
    if has_target:
        need("skimage", "scikit-image", "--target-ssim")
    if arguments.frames < 2 and (sheet or has_target):
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
        size = images[number].shape[1::-1]
        if not same_shape(size, (width, height)):
            text = f"{path} is {size[0]}x{size[1]} and the video {width}x{height}: it is cropped around its center"
            print(f"note: {text}", file=sys.stderr)
    from ..pipelines.animation import animate, mean_ssim
    from ..pipelines.latents import as_mask

    images = {number: np.array(fit_image(Image.fromarray(image), width, height)) for number, image in images.items()}
    inputs = {
        "image": images[0],
        "prompt": arguments.prompt,
        "key_frames": {number: image for number, image in images.items() if number},
        "mask": {number: as_mask(mask, height, width) for number, mask in masks.items()} or None,
        "statistics": statistics,
        **call_of(arguments),
    }
    result: dict[str, Any] = {
        "output": arguments.output,
        "sheet": sheet,
        "prompt": arguments.prompt,
        "key_frames": {number: path for number, path in files.items() if number},
        "masks": mask_files,
        "model": arguments.model or "built-in",
        "sampler": arguments.sampler or "the model's own",
        "seed": arguments.seed,
        "statistics": arguments.statistics,
        "settings": {name: getattr(settings, name) for name in FIELDS},
        "rectified": {},
    }
    if has_target:
        settings, result["target"] = _tuned(pipe, settings, inputs, quiet=arguments.json)
    ways = {"rectified": ("rectified", settings)}
    if sheet:
        other = replace(settings, follow_motion=not settings.follow_motion)
        ways |= {"noising": ("plain noising", settings), "other_rule": (_RULES[other.follow_motion], other)}
    videos = {}
    for way, (title, chosen) in ways.items():
        started = time.perf_counter()
        pipe.set_progress_bar_config(disable=arguments.json, desc=title)
        method = "noising" if way == "noising" else "pivot"
        videos[way], rectification = animate(pipe, settings=chosen, method=method, **inputs)
        result[way] = {"seconds": round(time.perf_counter() - started, 2)}
        if way == "rectified":
            report = rectification.reports[-1]
            result[way] |= {"steps": report.steps, "rectified": report.rectified}
    if has_target:
        result["target"]["ssim"] = round(mean_ssim(videos["rectified"], images, loop=settings.loop), 4)
    write_video(videos["rectified"], arguments.output, arguments.fps, scale)
    window = window_words(settings, result["rectified"]["steps"], result["rectified"]["rectified"])
    if sheet:
        _write_sheet(sheet, images[0], videos, result, window, settings.follow_motion)
    if arguments.json:
        print(json.dumps(result, default=str))  # paths
        return
    print(window)
    if has_target:
        print(f"SSIM of the video: {result['target']['ssim']:.3f} (target: {result['target']['wanted']:g})")
    for path in filter(None, (arguments.output, sheet)):
        print(f"written: {path}")


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
    path: Path, image: Pixels, videos: dict[str, Pixels], result: dict[str, Any], window: str, follows: bool
) -> None:
    """Write the sheet of noising alone, the paper's rule and following the motion; add their measures to `result`."""
    from ..media.comparison_sheet import comparison_sheet
    from ..media.metrics import measure

    paper, following = ("other_rule", "rectified") if follows else ("rectified", "other_rule")
    titles = {"noising": "Plain noising", paper: f"The paper's rule: {window}", following: f"Following the motion: {window}"}
    rows = []
    for way, title in titles.items():
        measures = {name: round(value, 4) for name, value in measure(videos[way], image).items()}
        result[way]["measures"] = measures
        rows.append((title, videos[way], {label: f"{measures[name]:.3g}" for name, label in _MEASURES.items()}))
    with replacing(path) as unfinished:
        comparison_sheet(image, rows).save(unfinished)

"""The options that commands share, those of settings made from FIELDS, and the model that they name."""

from __future__ import annotations

import argparse
import copy
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..core.errors import UserError, need
from ..core.finite import FULL_PRECISION
from ..core.settings import CREATION, FIELDS, Field, Settings
from ..media.videos import check_output, check_scale

# The command itself says `enabled` and `create`; the command line takes a path where the web UI takes the name of a file;
# and AnimateDiff's noise is the web UI's.
_ROWS = {name: row for name, row in FIELDS.items() if name not in ("enabled", "create", "statistics", "repeat_noise")}
_OLD_NAMES = {"pick": "--choose", "animation_share": "--share", "animation_strength": "--strength"}
_LIMITS = {
    "steps": (1, 1000),
    "frames": (1, 1024),
    "guidance": (0, 100),
    "seed": (0, 2**63 - 1),
    "width": (16, 4096),
    "height": (16, 4096),
    "scale": (1, 64),
    "pictures": (2, 100_000),
    "keep_clips": (0, 1000),
    "processes": (0, 256),
    "world": (1, 100_000),
}
_MAX_MESSAGE = 1000
# Smaller videos, as the built-in model's, are enlarged.
_VISIBLE_WIDTH = 256


def add_settings(parser: argparse.ArgumentParser, *, creation: bool = False) -> None:
    """Add an option for each setting of rectification, as `--tau-start 0.1`, `--omega 1,0.9,0.8`, `--no-pin-first-frame`.

    With `creation`, for each setting of a video that is made through an image.
    """
    group = parser.add_argument_group("text → image → video (I4VGen)" if creation else "rectification")
    for name, row in _ROWS.items():
        if (name in CREATION) is not creation:
            continue
        names = [_option(name), *filter(None, [_OLD_NAMES.get(name)])]
        text = f"{row.help} Default: {_shown(row)}.".replace("%", "%%")
        # An option that is not given stays None: defaults and checks are those of FIELDS.
        if row.kind == "bool":
            group.add_argument(*names, action=argparse.BooleanOptionalAction, default=None, help=text)
        elif row.choices is not None:
            metavar = "|".join(choice.replace(" ", "-") for choice in row.choices)
            group.add_argument(*names, dest=name, metavar=metavar, type=lambda word: word.replace("-", " "), help=text)
        else:
            metavar = "PRESET|X,X,…" if row.kind == "omega" else "N" if row.kind == "whole" else "X"
            group.add_argument(*names, dest=name, metavar=metavar, help=text)


def add_video(parser: argparse.ArgumentParser) -> None:
    """Add the options of each command that makes a video: output, sampling, size and model."""
    add = parser.add_argument
    add("--negative-prompt", default="", metavar="TEXT", help="say what the video should not show")
    add("-o", "--output", type=Path, required=True, help="name a .gif, .webp or .mp4 file, or a new folder for PNGs")
    add("--json", action="store_true", help="print the result as JSON, and nothing else")
    add = parser.add_argument_group("sampling").add_argument
    add("--sampler", help="choose ddim, euler, euler a, dpm++ 2m karras, lcm … (default: the model's)")
    add("--steps", type=int, default=25, help="set the sampling steps (default: %(default)s)")
    add("--guidance", type=float, metavar="SCALE", help="set the guidance scale (default: the model's, such as 7.5)")
    add("--frames", type=int, default=16, help="set the number of frames (default: %(default)s)")
    add("--seed", type=int, default=0, help="set the seed (default: %(default)s)")
    size = parser.add_argument_group("size")
    add_size(size)
    size.add_argument("--fps", type=float, default=8, help="set the frames per second (default: %(default)s)")
    size.add_argument("--scale", type=int, help="enlarge by a whole factor (default: to a width of 256 or more)")
    add_model(parser)


def add_size(parser: Any) -> None:
    """Add width and height to a parser or a group."""
    for name in ("width", "height"):
        parser.add_argument(f"--{name}", type=int, help=f"set the {name} in pixels (default: the model's)")


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the model and its device."""
    add = parser.add_argument_group("model").add_argument
    where = "FOLDER|ID|FILE"
    add("--model", metavar=where, help="use this diffusers model or checkpoint (default: the built-in one)")
    add("--motion-adapter", metavar=where, help="use these AnimateDiff motion modules with --model")
    add("--config", metavar="FOLDER|ID", help="take the configuration of a checkpoint file from this diffusers model")
    add("--device", help="run on cuda, mps, xpu or cpu (default: a GPU if there is one)")
    text = "compute in this type (default: fp16 on a GPU, fp32 on a CPU and for the built-in model)"
    add("--precision", choices=("fp32", "fp16", "bf16"), help=text)


def check_video(arguments: argparse.Namespace) -> None:
    """Check the options of `add_video`, and make the output's folder. Raises `UserError`."""
    check_numbers(arguments)
    for name in ("prompt", "negative_prompt"):
        text = getattr(arguments, name)
        if any("\ud800" <= letter <= "\udfff" for letter in text):  # the shell's bytes that are no UTF-8
            raise UserError(f"{_option(name)} = {text!r:.80} is not UTF-8: write it in UTF-8")
    # A side that only the model knows is checked once more when it is loaded.
    width, height = (getattr(arguments, name) or _LIMITS[name][0] for name in ("width", "height"))
    check_scale(width, height, scale_of(arguments, width) if arguments.width else arguments.scale or 1, arguments.frames)
    check_output(arguments.output, arguments.fps)


def check_replaces_nothing(written: Iterable[Path | None], read: Iterable[Path | None]) -> None:
    """Raises `UserError` where a file that is going to be written is one that is read."""
    sources = [path for path in read if path is not None and path.exists()]
    for path in written:
        if path is not None and any(path.exists() and path.samefile(source) for source in sources):
            raise UserError(f"{path} would replace a file that the command reads: use another name")


def check_numbers(arguments: argparse.Namespace) -> None:
    """Raises `UserError` for a number out of range, a missing device, and --motion-adapter without --model."""
    for name, (least, most) in _LIMITS.items():
        value = getattr(arguments, name, None)
        if value is not None and not least <= value <= most:
            raise UserError(f"{_option(name)} = {value} is out of range: use {least} to {most}")
    for name in ("width", "height"):
        value = getattr(arguments, name)
        if value is not None and value % 8:
            raise UserError(f"--{name} = {value} is not a multiple of 8: use {value // 8 * 8} or {value // 8 * 8 + 8}")
    if arguments.motion_adapter and not arguments.model:
        raise UserError("--motion-adapter needs --model: the built-in model has its own motion modules")
    if arguments.device is not None:
        from ..core.devices import device_named

        device_named(arguments.device)


def load_model(arguments: argparse.Namespace) -> tuple[Any, int, int]:
    """The pipeline that the options name, with its sampler, and the width and height of the video in pixels.

    Raises `UserError` if a package or the model is missing, or the sampler cannot have so many steps.
    """
    for package in ("diffusers", "transformers"):
        need(package, package, "making videos")
    from ..pipelines.loading import load, native_size, use_sampler

    pipe = load(arguments.model, **model_names(arguments))
    if getattr(arguments, "sampler", None):
        use_sampler(pipe, arguments.sampler.lower())
    # A schedule that shifts with the size is known only when the video is made.
    if hasattr(arguments, "steps") and not pipe.scheduler.config.get("use_dynamic_shifting"):
        try:
            copy.deepcopy(pipe.scheduler).set_timesteps(arguments.steps)
        except Exception as error:  # each scheduler has errors of its own
            raise UserError(f"--steps = {arguments.steps} is not possible with this sampler: {error}") from error
    width, height = arguments.width, arguments.height
    if width is None or height is None:
        native_width, native_height = native_size(pipe)
        width, height = width or native_width, height or native_height
    return pipe, width, height


def model_names(arguments: argparse.Namespace) -> dict[str, str | None]:
    """The options of `add_model` that say where and how it computes, as `pipelines.loading.load` takes them."""
    return {name: getattr(arguments, name) for name in ("motion_adapter", "device", "precision", "config")}


def call_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options of `add_video` that `pipelines` takes by the same names."""
    return {name: getattr(arguments, name) for name in ("negative_prompt", "steps", "guidance", "frames", "seed")}


def scale_of(arguments: argparse.Namespace, width: int) -> int:
    """The factor by which a video of this width is enlarged."""
    return arguments.scale or max(1, _VISIBLE_WIDTH // width)


def settings_of(arguments: argparse.Namespace) -> Settings:
    """The settings that the options ask for, enabled. Raises `SettingsError` for a wrong value."""
    values = {name: getattr(arguments, name, None) for name in _ROWS}
    return Settings.from_mapping({"enabled": True, **{k: value for k, value in values.items() if value is not None}})


def message_of(error: Exception) -> str:
    """The error's message in one line of bounded length, with the settings named as options.

    A name that is also an English word, such as motion, is an option at the start of the message and before "=".
    """
    message = " ".join(str(error).replace(FULL_PRECISION, "--precision fp32").split())
    if len(message) > _MAX_MESSAGE:
        message = f"{message[: _MAX_MESSAGE // 2]} … {message[-_MAX_MESSAGE // 2 :]}"
    words = "|".join((*_ROWS, *_LIMITS, "fps", "sampler", "device"))
    compound = "|".join(name for name in _ROWS if "_" in name)
    pattern = rf"^({words})\b|(?<![-\w/])({words})(?= = )|(?<![-\w/])({compound})\b"
    return re.sub(pattern, lambda match: _option(match[0]), message)


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _shown(row: Field) -> str:
    if row.kind == "bool":
        return "on" if row.default else "off"
    return f"{row.default:g}" if row.kind in ("number", "whole") else str(row.default)

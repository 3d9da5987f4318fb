"""The command `statistics`: what is known of a folder of clips, for the analytic start."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import MissingPackageError
from ..core.settings import FILE_ENDING, SettingsError
from ..media.files import make_folder, replacing
from ..media.videos import read_video
from ..methods.analytic_init import KINDS
from .errors import UsageError, optional_package
from .options import add_model, check_numbers

if TYPE_CHECKING:
    from torch import Tensor

    from ..methods.video_statistics import Gathered

_WORLD_SEED = 20240620
_PUBLISHED = (".pt", ".pth", ".ckpt", ".bin")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        help="of video files; or a file that the paper's authors published, to convert it",
    )
    parser.add_argument(
        "--world", type=int, metavar="N", help="N clips of the built-in model's own world, and no folder"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help=f"the file to write, NAME{FILE_ENDING}")
    meanings = " ".join(f"{name}: {text}." for name, text in KINDS.items())
    parser.add_argument(
        "--kind",
        default="spectral",
        metavar="|".join((*KINDS, "all")),
        help=f"which statistics (default: %(default)s); all writes NAME-KIND{FILE_ENDING} of each. {meanings}",
    )
    parser.add_argument("--frames", type=int, default=16, help="of each clip (default: %(default)s)")
    parser.add_argument(
        "--fps", type=float, default=8, help="frames a second that are looked at (default: %(default)s)"
    )
    parser.add_argument("--width", type=int, help="in pixels (default: the model's own)")
    parser.add_argument("--height", type=int, help="in pixels (default: the model's own)")
    parser.add_argument(
        "--save-every",
        type=float,
        default=20,
        metavar="SECONDS",
        help="how often to keep what was gathered, so that the same command goes on there (default: %(default)s)",
    )
    add_model(parser)


def run(arguments: argparse.Namespace) -> None:
    """Gather them. Raises `UsageError` for what is not possible."""
    kinds, outputs = _outputs(arguments)
    check_numbers(arguments)
    if not 0.1 <= arguments.fps <= 240:
        raise UsageError(f"--fps = {arguments.fps:g} is out of range: use 0.1 to 240")
    optional_package("safetensors", "safetensors", "writing statistics")
    make_folder(arguments.output.parent)
    source = arguments.folder
    if source is not None and source.suffix.lower() in _PUBLISHED and source.is_file():
        _convert(source, kinds, outputs)
        return
    files = _files(arguments)
    for package in ("diffusers", "transformers"):
        optional_package(package, package, "encoding clips")
    from ..pipelines.animation import load, native_size
    from ..pipelines.schedulers import PipelineError

    try:
        pipe = load(arguments.model, arguments.motion_adapter, arguments.device)
        own = native_size(pipe) if None in (arguments.width, arguments.height) else (0, 0)
    except PipelineError as error:
        raise UsageError(str(error)) from error
    width, height = arguments.width or own[0], arguments.height or own[1]
    header = {
        "model": arguments.model or "built-in",
        "vae_scale": float(pipe.vae.config.get("scaling_factor") or 1.0),
        "width": width,
        "height": height,
    }
    job = {**header, "kinds": kinds, "frames": arguments.frames, "fps": arguments.fps, "source": str(source)}
    kept = arguments.output.with_name(f".{arguments.output.name}.unfinished")
    gathered, done = _kept(kept, job, kinds)
    bar_of = optional_package("tqdm", "tqdm", "the progress bar of statistics").tqdm
    saved, bad = time.monotonic(), 0
    with bar_of(total=len(files), initial=min(len(done), len(files)), unit="clip", desc="clips") as bar:
        for name, clip in _clips(files, set(done), arguments, (width, height)):
            try:
                gathered.add(_latents(pipe, clip))
            except MissingPackageError:
                raise
            except ValueError as error:
                bad += 1
                bar.write(f"passed over: {name}: {error}", file=sys.stderr)
            done.append(name)
            bar.update()
            if time.monotonic() - saved >= arguments.save_every:
                _keep(kept, job, gathered, done)
                saved = time.monotonic()
    if not gathered.count:
        raise UsageError(f"{source} has no clip that could be used: give videos of {arguments.frames} frames or more")
    for kind, output in zip(kinds, outputs):
        _write(gathered.finish(kind, **header), output)
        print(f"written: {output}: {kind}, {gathered.count} clips of {arguments.frames} frames, {width}x{height}")
    if bad:
        print(f"passed over: {bad} files")
    kept.unlink(missing_ok=True)


def _outputs(arguments: argparse.Namespace) -> tuple[list[str], list[Path]]:
    output = arguments.output
    if output.suffix != FILE_ENDING or output.is_dir():
        raise UsageError(f"{output} is no name of statistics: use one that ends in {FILE_ENDING}")
    if arguments.kind == "all":
        return list(KINDS), [output.with_name(f"{output.stem}-{kind}{FILE_ENDING}") for kind in KINDS]
    if arguments.kind not in KINDS:
        raise UsageError(f"--kind = {arguments.kind} is not known: use {', '.join(KINDS)} or all")
    return [arguments.kind], [output]


def _files(arguments: argparse.Namespace) -> list[str]:
    """The clips by name, in the order in which they are gone through."""
    folder, world = arguments.folder, arguments.world
    if (folder is None) == (world is None):
        raise UsageError("give a folder of video files, or --world N, and not both")
    if world is not None:
        if not 1 <= world <= 100_000:
            raise UsageError(f"--world = {world} is out of range: use 1 to 100000")
        return [f"scene {index}" for index in range(world)]
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder: give a folder of video files")
    found = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    files = sorted(path.relative_to(folder).as_posix() for path in found)
    if not files:
        raise UsageError(f"{folder} is empty: give a folder of video files")
    return files


def _clips(
    files: list[str], done: set[str], arguments: argparse.Namespace, size: tuple[int, int]
) -> Iterator[tuple[str, Any]]:
    """What is left to do: names, and how to get the clip of each, `[F, 3, H, W]` in [-1, 1]."""
    import torch

    def of_file(name: str) -> Tensor:
        pixels = read_video(arguments.folder / name, arguments.frames, arguments.fps, *size)
        return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1

    def of_world(name: str) -> Tensor:
        from ..tiny.world import Scenes

        if size[0] != size[1]:
            raise UsageError("the world's clips are square: give --width and --height the same value")
        times = torch.linspace(0, 1, arguments.frames)
        scene = Scenes.draw(1, _WORLD_SEED + int(name.split()[1]))
        return scene.render(times, size[0])[0] * 2 - 1

    for name in files:
        if name not in done:
            yield (
                name,
                (lambda name=name: of_file(name)) if arguments.world is None else (lambda name=name: of_world(name)),
            )


def _latents(pipe: Any, clip: Any) -> Tensor:
    import torch

    from ..pipelines.latents import encode_clip

    with torch.no_grad():
        latents: Tensor = encode_clip(pipe.vae, clip().to(pipe.device)).cpu()
    return latents


def _keep(path: Path, job: dict[str, Any], gathered: Gathered, done: list[str]) -> None:
    from safetensors.torch import save_file

    header = {"job": json.dumps(job), "count": str(gathered.count), "done": json.dumps(done)}
    with replacing(path) as unfinished:
        save_file(gathered.state, unfinished, metadata=header)


def _kept(path: Path, job: dict[str, Any], kinds: list[str]) -> tuple[Gathered, list[str]]:
    """What an interrupted run of the same command left, or nothing."""
    from safetensors import SafetensorError, safe_open

    from ..methods.video_statistics import Gathered

    if not path.exists():
        return Gathered(kinds), []
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata()
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no dict
        its_own, count, done = json.loads(header["job"]), int(header["count"]), json.loads(header["done"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path} is damaged ({error}): delete it to begin anew") from None
    if its_own != job:
        changed = ", ".join(name for name in job if its_own.get(name) != job[name])
        raise UsageError(f"{path} is of another run, with another {changed}: delete it to begin anew")
    print(f"going on after {len(done)} files", file=sys.stderr)
    return Gathered.from_state(kinds, count, state), list(done)


def _convert(source: Path, kinds: list[str], outputs: list[Path]) -> None:
    from ..methods.statistics_file import load_published

    if kinds not in (["mean"], ["spectral"]):  # the default, which nobody asked for
        raise UsageError(f"{source} is of the kind mean: leave --kind out")
    try:
        statistics = load_published(source)
    except SettingsError as error:
        raise UsageError(str(error).partition(" = ")[2]) from error
    _write(statistics, outputs[0])
    print(f"written: {outputs[0]}: mean, {statistics.frames} frames, as published; its VAE and size are not known")


def _write(statistics: Any, output: Path) -> None:
    from ..methods.statistics_file import save

    try:
        save(statistics, output)
    except OSError as error:
        raise UsageError(f"{output} cannot be written ({error.strerror or error}): give another place") from error

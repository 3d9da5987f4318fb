"""The command `statistics`: gathers the statistics of a folder of videos for the initial noise."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import MissingPackageError, UserError, need
from ..core.settings import FILE_ENDING
from ..media.files import check_writable, replacing
from ..media.videos import read_video
from .options import add_model, add_size, check_numbers, load_model

if TYPE_CHECKING:
    from torch import Tensor

    from ..methods.video_statistics import Gathered

KINDS = ("mean", "conditional", "spectral")
"""Named here, since their own module imports torch and `--help` should not; a test compares the names."""
_WORLD_SEED = 20240620
_PUBLISHED = (".pt", ".pth", ".ckpt", ".bin")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    add = parser.add_argument
    text = "read the videos of this folder, or convert a file that the paper's authors published"
    add("folder", type=Path, nargs="?", metavar="FOLDER", help=text)
    add("--world", type=int, metavar="N", help="use N videos of the built-in model's world instead")
    add("-o", "--output", type=Path, required=True, help=f"write this file, NAME{FILE_ENDING}")
    text = "choose the statistics (default: %(default)s); all writes a file NAME-KIND for each"
    add("--kind", default="spectral", metavar="|".join((*KINDS, "all")), help=text)
    add("--frames", type=int, default=16, help="read so many frames per video (default: %(default)s)")
    add("--fps", type=float, default=8, help="read so many frames per second (default: %(default)s)")
    add_size(parser)
    text = "save the progress this often; the same command resumes there (default: %(default)s)"
    add("--save-every", type=float, default=20, metavar="SECONDS", help=text)
    add_model(parser)


def run(arguments: argparse.Namespace) -> None:
    """Gather the statistics. Raises `UserError`, before the model is loaded wherever possible."""
    kinds, outputs = _outputs(arguments)
    check_numbers(arguments)
    if not 0.1 <= arguments.fps <= 240:
        raise UserError(f"--fps = {arguments.fps:g} is out of range: use 0.1 to 240")
    if not arguments.save_every >= 0:  # NaN would never save
        raise UserError(f"--save-every = {arguments.save_every:g} is out of range: use 0 or more")
    need("safetensors", "safetensors", "writing statistics")
    for output in outputs:
        check_writable(output)
    source = arguments.folder
    if source is not None and source.suffix.lower() in _PUBLISHED and source.is_file():
        _convert(source, kinds, outputs)
        return
    from ..methods.statistics_file import save

    files = _files(arguments)
    pipe, width, height = load_model(arguments)
    if arguments.world is not None and width != height:
        raise UserError("--world makes square videos: use the same --width and --height")
    header = {
        "model": arguments.model or "built-in",
        "vae_scale": float(pipe.vae.config.get("scaling_factor") or 1.0),
        "width": width,
        "height": height,
    }
    job = {**header, "kinds": kinds, "frames": arguments.frames, "fps": arguments.fps, "source": str(source)}
    kept = arguments.output.with_name(f".{arguments.output.name}.unfinished")
    gathered, done = _resumed(kept, job, kinds)
    progress = need("tqdm", "tqdm", "the progress bar of statistics").tqdm
    known = set(done)
    saved, skipped = time.monotonic(), 0
    with progress(total=len(files), initial=min(len(done), len(files)), unit="video", desc="videos") as bar:
        for name in [name for name in files if name not in known]:
            try:
                gathered.add(_latents(pipe, name, arguments, width, height))
            except MissingPackageError:
                raise
            except ValueError as error:
                skipped += 1
                bar.write(f"skipped: {name}: {error}", file=sys.stderr)
            done.append(name)
            bar.update()
            if time.monotonic() - saved >= arguments.save_every:
                _keep(kept, job, gathered, done)
                saved = time.monotonic()
    if not gathered.count:
        raise UserError(f"{source} has no usable video: use videos of {arguments.frames} frames or more")
    for kind, output in zip(kinds, outputs):
        with replacing(output) as unfinished:
            save(gathered.finish(kind, **header), unfinished)
        print(f"written: {output}: {kind}, {gathered.count} videos of {arguments.frames} frames, {width}x{height}")
    if skipped:
        print(f"skipped: {skipped} files")
    kept.unlink(missing_ok=True)


def _outputs(arguments: argparse.Namespace) -> tuple[list[str], list[Path]]:
    output = arguments.output
    if output.suffix != FILE_ENDING or output.is_dir():
        raise UserError(f"{output} is not a statistics file: use a name that ends in {FILE_ENDING}")
    if arguments.kind == "all":
        return list(KINDS), [output.with_name(f"{output.stem}-{kind}{FILE_ENDING}") for kind in KINDS]
    if arguments.kind not in KINDS:
        raise UserError(f"--kind = {arguments.kind} is not known: use {', '.join(KINDS)} or all")
    return [arguments.kind], [output]


def _files(arguments: argparse.Namespace) -> list[str]:
    """The names of the videos, in the order of reading."""
    folder, world = arguments.folder, arguments.world
    if (folder is None) == (world is None):
        raise UserError("the command needs either a folder of videos or --world N: use one of them")
    if world is not None:
        return [f"scene {index}" for index in range(world)]
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: use a folder of videos")
    paths = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    files = sorted(path.relative_to(folder).as_posix() for path in paths)
    if not files:
        raise UserError(f"{folder} is empty: use a folder of videos")
    if any(not name.lower().endswith(".webp") for name in files):
        need("av", "av", "reading video files")
    return files


def _latents(pipe: Any, name: str, arguments: argparse.Namespace, width: int, height: int) -> Tensor:
    """The latents of a video of `_files`, `[F, C, h, w]`. Raises `MediaError` for a file that is no such video."""
    import torch

    from ..pipelines.latents import encode_video

    if arguments.world is None:
        pixels = read_video(arguments.folder / name, arguments.frames, arguments.fps, width, height)
        video = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
    else:
        from ..tiny.world import Scenes

        scene = Scenes.draw(1, _WORLD_SEED + int(name.split()[1]))
        video = scene.render(torch.linspace(0, 1, arguments.frames), width)[0] * 2 - 1
    with torch.no_grad():
        latents: Tensor = encode_video(pipe.vae, video.to(pipe.device)).cpu()
    return latents


def _keep(path: Path, job: dict[str, Any], gathered: Gathered, done: list[str]) -> None:
    from safetensors.torch import save

    header = {"job": json.dumps(job), "count": str(gathered.count), "done": json.dumps(done)}
    with replacing(path) as unfinished:
        unfinished.write_bytes(save(gathered.state, metadata=header))


def _resumed(path: Path, job: dict[str, Any], kinds: list[str]) -> tuple[Gathered, list[str]]:
    """The state that an interrupted run of the same command saved, or an empty one."""
    from safetensors import SafetensorError, safe_open

    from ..methods.video_statistics import Gathered

    if not path.exists():
        return Gathered(kinds), []
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata()
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
        saved_job, count, done = json.loads(header["job"]), int(header["count"]), json.loads(header["done"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error}): delete it to start again") from None
    if saved_job != job:
        changed = ", ".join(name for name in job if saved_job.get(name) != job[name])
        raise UserError(f"{path} belongs to a run with another {changed}: delete it to start again")
    print(f"resuming after {len(done)} files", file=sys.stderr)
    return Gathered(kinds, count, state), list(done)


def _convert(source: Path, kinds: list[str], outputs: list[Path]) -> None:
    from ..methods.statistics_file import load_published, save

    if kinds not in (["mean"], ["spectral"]):  # the default, which nobody chose
        raise UserError(f"{source} has the kind mean: leave --kind out")
    try:
        statistics = load_published(source)
    except UserError as error:
        raise UserError(str(error).partition(" = ")[2]) from error
    with replacing(outputs[0]) as unfinished:
        save(statistics, unfinished)
    print(f"written: {outputs[0]}: mean, {statistics.frames} frames, as published; the VAE and the size are unknown")

"""Files of video statistics: safetensors with a header of ours, and the files that the paper's authors published."""

from __future__ import annotations

import math
import secrets
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..core.settings import FILE_ENDING, SettingsError, is_file_name
from .analytic_init import KINDS, SHAPES, Statistics, describe

FOLDER = Path(__file__).parents[2] / "statistics"  # of the files that settings name
FORMAT = "noise-rectification-statistics-1"
MAX_BYTES = 64 * 2**20  # 16 frames of 1024x576 pixels take 2.4 MB
_MAX_FRAMES, _MAX_TEXT = 4096, 200
# The names of mean and variance in the authors' two programs.
_PUBLISHED = (("Expectation_X0", "Tr_Cov_d"), ("Expectation_x_0", "trCov_d"))


def names() -> list[str]:
    """The names of the files in `FOLDER` that a setting can name."""
    files = FOLDER.glob(f"*{FILE_ENDING}") if FOLDER.is_dir() else []
    return sorted(path.name for path in files if is_file_name(path.name) and path.is_file())


def named(name: str) -> Statistics:
    """The statistics of a file in `FOLDER`, by its name. Raises `SettingsError` if it is missing or invalid."""
    there = names()
    if name not in there:  # opens no file but those, whatever the name
        raise SettingsError(
            f"statistics = {name!r:.80} is not in the extension's folder statistics: "
            f"use a file that is there ({', '.join(there) or 'none yet'})"
        )
    return load(FOLDER / name)


def load(path: Path | str) -> Statistics:
    """The statistics in a safetensors file, which holds no code.

    Raises `SettingsError` if it cannot be read, is larger than `MAX_BYTES`, or has an invalid header, shape or value.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    _check_size(path)
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT:
                raise _refused(path, f"its header does not say format {FORMAT}")
            kind = header.get("kind", "")
            if kind not in KINDS:
                raise _refused(path, f"its kind is {kind!r:.40}, and not one of {', '.join(KINDS)}")
            if set(file.keys()) != set(SHAPES[kind]):
                raise _refused(path, f"it does not hold {' and '.join(SHAPES[kind])}")
            values = {name: file.get_tensor(name) for name in SHAPES[kind]}
    except (SafetensorError, OSError, UnicodeDecodeError) as error:
        raise _refused(path, f"it is no safetensors file ({str(error)[:80]})") from None
    return _checked(path, kind, values, header)


def save(statistics: Statistics, path: Path | str) -> None:
    """Write a file for `load`, whole or not at all. Raises `OSError` if that fails."""
    from safetensors.torch import save as serialized

    path = Path(path)
    unfinished = path.with_name(f".unfinished-{secrets.token_hex(8)}")
    header = {name: str(value) for name, value in describe(statistics).items()}
    try:
        values = {name: value.contiguous().cpu() for name, value in statistics.values.items()}
        # Its own writer raises errors that are no `OSError` on a full disk.
        unfinished.write_bytes(serialized(values, metadata={"format": FORMAT, **header}))
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def load_published(path: Path | str) -> Statistics:
    """The statistics of a file that the authors published; it names no model, VAE or size.

    The files of DynamiCrafter and VideoCrafter hold `Expectation_X0`, `[1, C, F, h, w]`, and `Tr_Cov_d`; SVD's hold
    `Expectation_x_0`, `[F, C, h, w]`, and `trCov_d`. They are pickles; only tensors are read, and no code runs.
    Raises `SettingsError` if it cannot be read in this way, is too large, or holds something else.
    """
    path = Path(path)
    _check_size(path)
    try:
        if not zipfile.is_zipfile(path):
            raise _refused(path, "it is not what torch.save writes")
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_BYTES:
                raise _refused(path, f"it holds more than {MAX_BYTES // 2**20} MB")
        return _converted(path, torch.load(path, map_location="cpu", weights_only=True))
    except SettingsError:
        raise
    except Exception as error:  # archives, pickles and tensors without numbers (sparse, quantized, meta) have many
        reason = (str(error).splitlines() or [type(error).__name__])[0][:80]
        raise _refused(path, f"it holds more than tensors, or is damaged ({reason})") from None


def _converted(path: Path, values: Any) -> Statistics:
    keys = next((keys for keys in _PUBLISHED if isinstance(values, dict) and set(keys) <= set(values)), None)
    if keys is None:
        pairs = " or ".join(" and ".join(pair) for pair in _PUBLISHED)
        raise _refused(path, f"it does not hold {pairs}")
    mean, variance = (values[key] for key in keys)
    if not isinstance(mean, Tensor) or not isinstance(variance, (Tensor, float, int)):
        raise _refused(path, f"its {' and '.join(keys)} are not numbers")
    variance = torch.as_tensor(variance).detach()
    if mean.ndim == 5 and mean.shape[0] == 1:
        mean = mean[0].transpose(0, 1) if keys == _PUBLISHED[0] else mean[0]
    if variance.numel() != 1:
        raise _refused(path, f"its {keys[1]} is not one number")
    return _checked(path, "mean", {"mean": mean.detach(), "variance": variance.reshape(())}, {})


def _check_size(path: Path) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise _refused(path, f"it cannot be read ({error.strerror})") from None
    if not path.is_file():
        raise _refused(path, "it is no file")
    if size > MAX_BYTES:
        raise _refused(path, f"it has {size // 2**20} MB, and {MAX_BYTES // 2**20} are allowed")


def _checked(path: Path, kind: str, values: dict[str, Tensor], header: dict[str, str]) -> Statistics:
    """The statistics, if every number and shape is valid."""
    for name, value in values.items():
        shape = SHAPES[kind][name]
        if value.ndim != len(shape.strip("[]").split()) or not value.is_floating_point():
            raise _refused(path, f"{name} is {str(value.dtype)[6:]} {list(value.shape)}: {shape} is needed")
        # A tensor from a pickle may repeat a few numbers many times.
        if value.numel() * 4 > MAX_BYTES or not all(value.shape):
            raise _refused(path, f"{name} is {list(value.shape)}")
    values = {name: value.float().contiguous() for name, value in values.items()}
    first = values["power" if kind == "spectral" else "mean"]
    if len(first) > _MAX_FRAMES:
        raise _refused(path, f"it is of {len(first)} frames, and {_MAX_FRAMES} are allowed")
    if kind == "conditional" and len(values["variance"]) != len(first):
        raise _refused(path, f"it has {len(values['variance'])} variances for {len(first)} frames")
    for name, value in values.items():
        if not bool(value.isfinite().all()):
            raise _refused(path, f"{name} holds values that are not finite")
        if name != "mean" and bool((value < 0).any()):
            raise _refused(path, f"{name} is below 0")
        if kind != "mean" and bool(value[0].any()):
            raise _refused(path, f"{name} is not 0 for the image itself")
    return Statistics(
        kind,
        values,
        model="".join(filter(str.isprintable, header.get("model", "")[:_MAX_TEXT])),
        vae_scale=_number(path, header, "vae_scale"),
        width=int(_number(path, header, "width")),
        height=int(_number(path, header, "height")),
        frames=len(first),
        clips=int(_number(path, header, "clips")),
        name=path.name,
    )


def _number(path: Path, header: dict[str, Any], name: str) -> float:
    try:
        number = float(header.get(name, "0"))
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1e9:
        raise _refused(path, f"its header has {name} = {header.get(name)!r:.40}")
    return number


def _refused(path: Path, reason: str) -> SettingsError:
    return SettingsError(
        f"statistics = {path.name!r:.80} cannot be used: {reason}; make such a file with  python -m lib_noiserect statistics"
    )

"""The version, and the report that a user attaches to an issue: versions, settings and messages, and nothing private."""

from __future__ import annotations

import importlib.metadata
import platform
import re
from collections.abc import Iterable, Mapping

from .settings import FIELDS, SettingsError

VERSION = "0.2.0"
MAX_MESSAGES = 20

_PACKAGES = (
    "torch", "numpy", "Pillow", "diffusers", "transformers", "accelerate", "safetensors", "gradio", "av", "scikit-image",
    "opencv-python-headless", "scipy", "matplotlib", "open_clip_torch", "distributed",
)  # fmt: skip
# The rest of the line goes with a path, since folders' names may contain spaces.
_PATH = re.compile(r"(?:(?<![\w.])(?:~\w*|\.{0,2})/+[^\s/'\"]|[^\s'\"(]*\\).*", re.DOTALL)
_ENDINGS = "png|jpe?g|webp|gif|bmp|tiff?|avif|mp4|webm|mov|avi|safetensors|ckpt|pth?|bin|npz|json|csv|txt|ya?ml"
_FILE = re.compile(rf"(?:'[^']*|\"[^\"]*|[^\s'\"(]*)\.(?:{_ENDINGS})\b['\"]?", re.IGNORECASE)


def report(settings: Mapping[str, object], program: Mapping[str, str], messages: Iterable[str]) -> str:
    """The report as lines of text, with the last messages that the user may have seen.

    `settings` has values by name, as the user entered them; those at their defaults are left out. `program` has what runs
    the extension, by label: `{"web UI": "v1.10.1"}`.
    """
    installed = {name: version for name in _PACKAGES if (version := _version(name))}
    return "\n".join([
        f"Noise Rectification {VERSION}",
        *(f"{label}: {without_files(text)}" for label, text in program.items()),
        f"Python {platform.python_version()} on {platform.system()} {platform.release()}, {platform.machine()}",
        "packages: " + ", ".join(f"{name} {version}" for name, version in installed.items()),
        f"device: {_device()}",
        f"settings: {'; '.join(_changed(settings)) or 'the defaults'}",
        *(f"message: {without_files(text)}" for text in list(messages)[-MAX_MESSAGES:]),
    ])  # fmt: skip


def without_files(text: str) -> str:
    """The text in one line of at most 300 characters, with "(a file)" in place of paths and file names."""
    return " ".join(_FILE.sub("(a file)", _PATH.sub("(a file)", str(text)[:1000])).split())[:300]


def _changed(settings: Mapping[str, object]) -> Iterable[str]:
    for name, row in FIELDS.items():
        value = settings.get(name, row.default)
        try:
            if row.parse(value) == row.default:
                continue
        except SettingsError:
            value = f"{value!r:.80} (rejected)"
        yield f"{name} = {'(a file)' if row.kind == 'file' else without_files(str(value))}"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _device() -> str:
    try:
        import torch
    except Exception as error:  # a damaged installation is a reason to write a report
        return f"torch does not load ({type(error).__name__})"
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return "mps" if torch.backends.mps.is_available() else "cpu"

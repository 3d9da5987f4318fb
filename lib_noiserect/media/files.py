"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .images import MediaError


def make_folder(folder: Path) -> None:
    """Make a folder and its parents. Raises `MediaError` if the folder cannot be made or is write-protected."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MediaError(f"the folder {folder} cannot be made ({error.strerror}): use another place") from error
    if not os.access(folder, os.W_OK):
        raise MediaError(f"the folder {folder} is write-protected: use another place")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside `path` for a new file or folder, which replaces `path` if the block ends without an error.

    Raises:
        MediaError: writing failed with an `OSError`.
    """
    unfinished = path.with_name(f".{path.stem}-unfinished-{os.getpid()}{path.suffix}")
    try:
        yield unfinished
        if unfinished.is_dir() and path.is_dir():
            path.rmdir()  # Windows renames over a file, but not over a folder
        unfinished.replace(path)
    except OSError as error:
        raise MediaError(f"{path} cannot be written ({error.strerror or error}): use another place") from error
    finally:
        if unfinished.is_dir():
            shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.unlink(missing_ok=True)

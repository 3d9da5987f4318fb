"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .images import MediaError


def check_writable(path: Path) -> None:
    """Make the folder of a file or folder that will be written, and try to write there. Raises `MediaError`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MediaError(f"the folder {path.parent} cannot be made ({error.strerror}): use another place") from error
    with replacing(path, commit=False) as unfinished:
        unfinished.touch()


@contextmanager
def replacing(path: Path, *, commit: bool = True) -> Iterator[Path]:
    """A path beside `path` for a new file or folder, which replaces `path` if the block ends without an error.

    Without `commit`, the new one is removed instead. Raises `MediaError` if writing failed with an `OSError`.
    """
    if not path.name:  # the root, or the folder itself
        raise MediaError(f"{path} has no name: use the name of a new file or folder")
    # Two writers of one name have two of these, and a name of the greatest length fits too.
    unfinished = path.with_name(f".unfinished-{secrets.token_hex(4)}{path.suffix}")
    try:
        path.is_dir()  # fails for a name that is too long
        yield unfinished
        if not commit:
            return
        if unfinished.is_dir() and path.is_dir():
            path.rmdir()  # Windows renames over a file, but not over a folder
        unfinished.replace(path)
    except OSError as error:
        raise MediaError(f"{path} cannot be written ({error.strerror or error}): use another place") from error
    finally:
        if unfinished.is_dir():
            shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.unlink(missing_ok=True)

"""Where files of statistics are looked for by their names alone."""

from __future__ import annotations

from pathlib import Path

from ..core.settings import FILE_ENDING

FOLDER = Path(__file__).parents[2] / "statistics"


def names() -> list[str]:
    """The files in the folder."""
    return sorted(path.name for path in FOLDER.glob(f"*{FILE_ENDING}") if path.is_file()) if FOLDER.is_dir() else []

"""Reports of all that a folder has results of: one HTML file that needs nothing beside it, and sections of a summary."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path

from .. import __version__
from .creation_parts import creation_parts
from .errors import EvaluationError
from .leakage_parts import leakage_parts
from .page import PAGE
from .parts import Part
from .rectified_parts import rectified_parts
from .sections import checked, replace_sections

TITLE = "Noise rectification: measured"
FAMILIES: tuple[Callable[[Path], list[Part]], ...] = (rectified_parts, creation_parts, leakage_parts)
"""For each kind of experiments, what gives the parts of those that a folder has results of."""


def write_reports(folder: Path, html: Path, markdown: Path | None = None, title: str = TITLE) -> None:
    """Writes the report of the results in `folder` (plots, tables and the clips that were kept), and a summary if asked.

    Args:
        folder: where the experiments' results are.
        html: the report's file; it needs no other.
        markdown: the file of a summary, which has the tables alone. In one that is there, the sections of these
            experiments are replaced, and all others kept; see `sections`.

    Raises:
        EvaluationError: the folder has no results or damaged ones, or the summary's file is another kind of text.
        MissingPackageError: SciPy or matplotlib is not installed.
    """
    if markdown is not None:
        checked(markdown)
    parts = [part for parts_in in FAMILIES for part in parts_in(folder)]
    if not parts:
        raise EvaluationError(f"{folder} has no results: give the folder that the experiment was run into")
    html.parent.mkdir(parents=True, exist_ok=True)
    html.write_text(_page(title, parts), encoding="utf-8")
    if markdown is not None:
        replace_sections(markdown, title, {part.name: part.section for part in parts})


def _page(title: str, parts: list[Part]) -> str:
    return PAGE.format(
        title=escape(title),
        contents="".join(f'<a href="#{escape(part.name)}">{escape(part.heading)}</a>' for part in parts),
        parts="".join(
            f'<section id="{escape(part.name)}"><h2>{escape(part.heading)}</h2>{part.html}</section>' for part in parts
        ),
        version=escape(__version__),
    )

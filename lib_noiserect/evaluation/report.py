"""The report of all results in a folder: one HTML file that needs nothing beside it, and sections of a summary.

A section of a Markdown file stands between `<!-- section: NAME -->` and `<!-- end: NAME -->`, each on a line of its own.
A run replaces the sections that it measured and keeps everything else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

from .. import __version__
from ..core.errors import UserError
from . import rectification, rectification_report
from .parts import Part
from .trials import Plan, Results, Trial

TITLE = "Noise rectification: measured"
_TEMPLATE = Path(__file__).with_name("page.html")


class Family(NamedTuple):
    """Experiments of one kind of trial.

    Attributes:
        experiments: their names on the command line.
        trial: the class of their trials.
        plan: gives the trials and their work, from experiments, arguments of `evaluate`, `Model` and `Results`.
        parts: gives the parts of the report for what `Results` has.
    """

    experiments: tuple[str, ...]
    trial: type[Trial]
    plan: Callable[..., Plan[Any]]
    parts: Callable[[Results], list[Part]]


FAMILIES: dict[str, Family] = {
    "rectification": Family(rectification.EXPERIMENTS, rectification.Trial, rectification.plan, rectification_report.parts)
}
"""The families that need nothing but a model and images, by name."""
_MARK = re.compile(r"^<!-- (section|end): (\S+) -->$", re.MULTILINE)


def results_in(folder: Path, families: Mapping[str, Family] = FAMILIES) -> Results:
    """The results of families in a folder. Raises `UserError` if they are damaged."""
    return Results(folder, {name: family.trial for name, family in families.items()})


def write_reports(
    results: Results, html: Path, markdown: Path | None = None, title: str = TITLE, families: Mapping[str, Family] = FAMILIES
) -> None:
    """Write the report (plots, tables and the videos that were kept), and the tables as Markdown.

    Args:
        markdown: a new file, or one whose sections of these experiments are replaced; see `checked`.

    Raises:
        UserError: there are no results, or the Markdown file is another kind of text.
    """
    if markdown is not None:
        checked(markdown)
    parts = [part for family in families.values() for part in family.parts(results)]
    if not parts:
        raise UserError(f"{results.folder} has no results: give the folder of an experiment's results")
    html.parent.mkdir(parents=True, exist_ok=True)
    html.write_text(_page(title, parts), encoding="utf-8")
    if markdown is not None:
        replace_sections(markdown, title, parts)


def _page(title: str, parts: Sequence[Part]) -> str:
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=escape(title),
        contents="".join(f'<a href="#{escape(part.name)}">{escape(part.heading)}</a>' for part in parts),
        parts="".join(
            f'<section id="{escape(part.name)}"><h2>{escape(part.heading)}</h2>{part.html}</section>' for part in parts
        ),
        version=escape(__version__),
    )


def checked(path: Path) -> str:
    """The text of a file that `replace_sections` accepts; empty for a file that does not exist.

    Raises:
        UserError: it is a text without sections, or one of them does not end, ends twice or stands in another.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder: use the name of a file")
    if not path.is_file():
        return ""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{path} is not a text in UTF-8: use a new file, or one that evaluate wrote") from None
    marks = list(_MARK.finditer(text))
    if not marks:
        raise UserError(f"{path} has no sections to replace: give a new file, or one that evaluate wrote")
    seen = set[str]()
    for begin, end in zip(marks[::2], [*marks[1::2], None]):
        name = begin[2]
        if begin[1] != "section" or name in seen or end is None or (end[1], end[2]) != ("end", name):
            raise UserError(
                f"{path}: the section {name} does not begin and end once: put <!-- section: {name} --> before it and "
                f"<!-- end: {name} --> after it"
            )
        seen.add(name)
    return text


def replace_sections(path: Path, title: str, parts: Sequence[Part]) -> None:
    """Put parts into a Markdown file: each in its old section's place, or else at the end.

    An old section without a heading stands among words that are written by hand, and stays without one.

    Args:
        path: written, with its folder and the title, if it does not exist.

    Raises:
        UserError: see `checked`.
    """
    text = checked(path) or f"# {title}\n"
    for part in parts:
        if _MARK.search(part.markdown):
            raise UserError(f"section {part.name} has a section's mark in its text: take it out")
        begin, end = f"<!-- section: {part.name} -->", f"<!-- end: {part.name} -->"
        old = re.search(rf"^{re.escape(begin)}$(.*?)^{re.escape(end)}$", text, re.M | re.S)
        heading = "" if old and not old[1].lstrip().startswith("#") else f"## {part.heading}\n\n"
        before, after = (text[: old.start()], text[old.end() :]) if old else (f"{text.rstrip()}\n\n", "\n")
        text = f"{before}{begin}\n{heading}{part.markdown.strip()}\n{end}{after}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")

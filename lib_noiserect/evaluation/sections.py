"""Sections of a Markdown file, each replaced on its own: a run writes what it measured and leaves the rest as it is.

A section stands between `<!-- section: NAME -->` and `<!-- end: NAME -->`, each on a line of its own. What stands outside of
them is kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from .errors import EvaluationError

_MARK = re.compile(r"^<!-- (section|end): (\S+) -->$", re.MULTILINE)


def checked(path: Path) -> str:
    """The text of a file that `replace_sections` can be given; empty where there is no such file.

    Raises:
        EvaluationError: it is a text without sections, or one of them does not end, ends twice or stands in another.
    """
    if not path.is_file():
        return ""
    text = path.read_text(encoding="utf-8")
    marks = list(_MARK.finditer(text))
    if not marks:
        raise EvaluationError(f"{path} has no sections to be replaced: give a new file, or one that evaluate wrote")
    seen = set[str]()
    for begin, end in zip(marks[::2], [*marks[1::2], None]):
        name = begin[2]
        if begin[1] != "section" or name in seen or end is None or (end[1], end[2]) != ("end", name):
            raise EvaluationError(
                f"{path}: the section {name} does not begin and end just once: put <!-- section: {name} --> before it and "
                f"<!-- end: {name} --> after it"
            )
        seen.add(name)
    return text


def replace_sections(path: Path, title: str, sections: Mapping[str, str]) -> None:
    """Puts sections (name to Markdown) into a file: each in its old one's place, or else at the end.

    Args:
        path: made, with its folder and the title, where it is not there.

    Raises:
        EvaluationError: see `checked`.
    """
    text = checked(path) or f"# {title}\n"
    for name, content in sections.items():
        if _MARK.search(content):
            raise EvaluationError(f"section {name} has a mark of a section in its text: take it out")
        section = f"<!-- section: {name} -->\n{content.strip()}\n<!-- end: {name} -->"
        old = re.compile(rf"^<!-- section: {re.escape(name)} -->$.*?^<!-- end: {re.escape(name)} -->$", re.M | re.S)
        found = old.search(text)
        before, after = (text[: found.start()], text[found.end() :]) if found else (f"{text.rstrip()}\n\n", "\n")
        text = before + section + after
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")

"""The report of all results in a folder: one HTML file that needs nothing beside it, and sections of a summary.

A section of a Markdown file stands between `<!-- section: NAME -->` and `<!-- end: NAME -->`, each on a line of its own.
A run replaces the sections that it measured and keeps everything else.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

from markdown_it import MarkdownIt

from .. import __version__
from ..core.errors import UserError
from .trials import Results

TITLE = "Noise rectification: measured"
_TEMPLATE = Path(__file__).with_name("page.html")
_MARK = re.compile(r"^<!-- (section|end): (\S+) -->$", re.MULTILINE)
# All other text is shown as it is: an image or a link in a caption would need something beside the page.
_MARKDOWN = MarkdownIt("zero").enable(["table", "list"])


class Html(str):
    """A block that stands on the page alone, as it is."""


class Part(NamedTuple):
    """One experiment. `name` is the section's in Markdown and the anchor in HTML."""

    name: str
    heading: str  # plain words, without signs of HTML
    blocks: Sequence[str]  # below the heading: `Html`, and Markdown of texts, lists and tables

    @property
    def markdown(self) -> str:
        return "\n\n".join(block for block in self.blocks if block and not isinstance(block, Html))

    @property
    def html(self) -> str:
        return "".join(block if isinstance(block, Html) else _MARKDOWN.render(block) for block in self.blocks)


def facts(*pairs: tuple[str, str]) -> str:
    """Names and values in a line."""
    return ", ".join(f"{name}: {value}" for name, value in pairs) + "."


def several(values: Iterable[Any]) -> str:
    """The different values, in order."""
    return ", ".join(value if isinstance(value, str) else f"{value:g}" for value in sorted(set(values)))


def bullets(sentences: Iterable[str]) -> str:
    """A list of sentences."""
    return "\n".join(f"- {sentence}" for sentence in sentences)


def picture(content: bytes, kind: str, text: str) -> Html:
    """An image or video inside the page, from its file's content and kind (`png`, `webp`, `svg+xml`)."""
    return Html(f'<img src="data:image/{kind};base64,{base64.b64encode(content).decode()}" alt="{escape(text)}">')


def gallery(rows: Iterable[Mapping[str, Html]]) -> Html:
    """Rows of images and videos with their captions; nothing if there are none."""
    videos = ""
    for row in rows:
        figures = (f"<figure>{image}<figcaption>{escape(text)}</figcaption></figure>" for text, image in row.items())
        videos += f'<div class="clips">{"".join(figures)}</div>'
    return Html(videos and f"<details open><summary>Videos</summary>{videos}</details>")


def write_reports(results: Results, html: Path, markdown: Path | None = None) -> None:
    """Write the page with plots, tables and the videos that were kept, and the tables as Markdown.

    `markdown` is a new file, or one whose sections of these experiments are replaced; see `checked`. Raises `UserError` if
    there are no results, or the Markdown file is another kind of text.
    """
    if markdown is not None:
        checked(markdown)
    parts = [part for family in results.families.values() for part in family.parts(results)]
    if not parts:
        raise UserError(f"{results.folder} has no results: give the folder of an experiment's results")
    contents = "".join(f'<a href="#{part.name}">{part.heading}</a>' for part in parts)
    sections = "".join(f'<section id="{part.name}"><h2>{part.heading}</h2>{part.html}</section>' for part in parts)
    page = Template(_TEMPLATE.read_text(encoding="utf-8"))
    text = page.substitute(title=TITLE, contents=contents, parts=sections, version=__version__)
    html.parent.mkdir(parents=True, exist_ok=True)
    html.write_text(text, encoding="utf-8")
    if markdown is not None:
        replace_sections(markdown, parts)


def checked(path: Path) -> str:
    """The text of a file that `replace_sections` accepts; empty for a file that does not exist.

    Raises `UserError` for a text without sections, or with one that does not end, ends twice or stands in another.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder: use the name of a file")
    if not path.is_file():
        return ""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{path} is not a text in UTF-8: use a new file, or one that evaluate wrote") from None
    marks, seen = _MARK.findall(text), set[str]()
    if not marks:
        raise UserError(f"{path} has no sections to replace: give a new file, or one that evaluate wrote")
    for (begin, name), end in zip(marks[::2], [*marks[1::2], None]):
        if begin != "section" or name in seen or end != ("end", name):
            raise UserError(
                f"{path}: the section {name} does not begin and end once: put <!-- section: {name} --> before it and "
                f"<!-- end: {name} --> after it"
            )
        seen.add(name)
    return text


def replace_sections(path: Path, parts: Iterable[Part]) -> None:
    """Put parts into a Markdown file, new or `checked`: each in its old section's place, or else at the end.

    An old section without a heading stands among words that are written by hand, and stays without one.
    """
    text = checked(path) or f"# {TITLE}\n"
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

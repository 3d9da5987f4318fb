"""The report of all results in a folder: one HTML file that needs nothing beside it, and sections of a summary.

Plots are SVG, which the page's dark style inverts. A section of a Markdown file stands between
`<!-- section: NAME -->` and `<!-- end: NAME -->`, each on a line of its own. A run replaces the sections that it measured and
keeps everything else.
"""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

import matplotlib
from markdown_it import MarkdownIt
from matplotlib.figure import Figure

from .. import __version__
from ..core.errors import UserError
from .tables import Estimate, Measure, Table
from .trials import Results

TITLE = "Noise rectification: measured"
_TEMPLATE = Path(__file__).with_name("page.html")
COLORS = {"noising": "#7d8593", "fixed noise": "#d9822b", "pivot": "#2b8fd6", "following": "#d6336c"}
_WIDTH = 4.4
_SPREAD = dict(zip(COLORS, (-0.27, -0.09, 0.09, 0.27)))
_LOOK = {"font.size": 9.5, "ytick.major.size": 0, "grid.color": "black", "grid.alpha": 0.13}
_SVG = {"savefig.transparent": True, "svg.fonttype": "none", "svg.hashsalt": "report"}
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


def explained(measures: Iterable[Measure]) -> str:
    """What the columns mean."""
    return bullets(f"{measure.heading}: {measure.explanation}." for measure in measures)


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


def dot_plot(table: Table, measure: Measure, *, rows_are_groups: bool = False) -> Html:
    """A measure of every setting with its 95 % interval: a row a setting, or a row a group with a dot a setting."""
    lines = [line for line in table.lines if measure.name in line.means]
    grouped = len({line.group for line in lines}) > 1
    names = [line.group if rows_are_groups else " · ".join(line.labels) if grouped else line.label for line in lines]
    places = {name: place for place, name in enumerate(dict.fromkeys(names))}
    with axes_of(0.75 + 0.30 * len(places) * (1.25 if rows_are_groups else 1)) as axes:
        for name, line in zip(names, lines):
            place = places[name] + (_SPREAD[line.kind] if rows_are_groups else 0)
            mark(axes, COLORS[line.kind or "pivot"], line.means[measure.name], Estimate(place, math.nan, math.nan, 0))
        axes.set_yticks(list(places.values()), list(places))
        axes.set_ylim(len(places) - 0.4, -0.6)
        axes.grid(axis="x")
        axes.set_xlabel(measure.heading + {1: "  (more is better)", -1: "  (less is better)", 0: ""}[measure.better])
        return picture(svg_of(axes), "svg+xml", measure.heading)


def trade_off(table: Table, across: Measure, up: Measure, labels: Sequence[str] = ()) -> Html:
    """Two measures against each other, one point a setting, with labels beside the points."""
    lines = [line for line in table.lines if {across.name, up.name} <= line.means.keys()]
    with axes_of(3.3) as axes:
        for index, line in enumerate(lines):
            x, y = line.means[across.name], line.means[up.name]
            mark(axes, COLORS[line.kind or "pivot"], x, y)
            if labels:  # above and below in turn, since neighbors are close
                offset, side = ((6, 5), "left") if index % 2 else ((-6, -13), "right")
                axes.annotate(labels[index], (x.mean, y.mean), xytext=offset, textcoords="offset points", ha=side)
        axes.margins(x=0.16, y=0.12)
        axes.grid()
        axes.set(xlabel=across.heading, ylabel=up.heading)
        return picture(svg_of(axes), "svg+xml", f"{up.heading} against {across.heading}")


def plots(drawn: Sequence[Html], key: Mapping[str, str] | None = None) -> Html:
    """Plots beside each other. `key`: names and colors."""
    names = "".join(f'<span><i style="background:{color}"></i>{name}</span>' for name, color in (key or {}).items())
    figures = "".join(f"<figure>{image}</figure>" for image in drawn)
    return Html(f'<p class="key">{names}</p><div class="plots">{figures}</div>')


def mark(axes: Any, color: str, x: Estimate, y: Estimate, label: str | None = None) -> None:
    """A dot with its intervals; an end that is nan is not drawn."""
    axes.plot([x.low, x.high], [y.mean, y.mean], color=color, linewidth=1.1)
    axes.plot([x.mean, x.mean], [y.low, y.high], color=color, linewidth=1.1)
    axes.plot(x.mean, y.mean, "o", markersize=5, color=color, label=label)


@contextmanager
def axes_of(height: float) -> Iterator[Any]:
    """The axes of a new figure in the reports' width and style, `height` in inches."""
    # A figure without pyplot, which keeps figures and may ask for a display.
    with matplotlib.rc_context({**_LOOK, **_SVG}):
        axes = Figure(figsize=(_WIDTH, height), layout="constrained").subplots()
        axes.spines[["top", "right", "left"]].set_visible(False)
        yield axes


def svg_of(axes: Any, **options: Any) -> bytes:
    """The figure's SVG, the same at every run; to be called inside `axes_of`. `options` as those of `Figure.savefig`."""
    file = io.BytesIO()
    axes.figure.savefig(file, format="svg", metadata={"Date": None}, **options)
    return file.getvalue()


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

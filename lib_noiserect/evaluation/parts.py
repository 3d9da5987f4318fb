"""A part of a report, made of blocks that are written as HTML for the page and as Markdown for a summary."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

from .tables import Cell, Line, Measure, Table

_ARROWS = {1: " ↑", -1: " ↓", 0: ""}
_VERDICTS = {1: "better", -1: "worse", 0: "same"}
# Small videos are shown larger, in whole pixels.
_LEAST_WIDTH = 128


class Block(NamedTuple):
    """A piece of a part in both languages; one may be empty."""

    markdown: str
    html: str


@dataclass(frozen=True)
class Part:
    """One experiment. `name` is the section's in Markdown and the anchor in HTML; the blocks stand below the heading."""

    name: str
    heading: str
    blocks: Sequence[Block]

    @property
    def markdown(self) -> str:
        return "\n\n".join(filter(None, (block.markdown for block in self.blocks)))

    @property
    def html(self) -> str:
        return "".join(block.html for block in self.blocks)


def paragraph(text: str) -> Block:
    return Block(text, f"<p>{escape(text)}</p>")


def facts(*pairs: tuple[str, str]) -> Block:
    """Names and values."""
    shown = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in pairs)
    return Block(", ".join(f"{name}: {value}" for name, value in pairs) + ".", f"<dl>{shown}</dl>")


def several(values: Iterable[float]) -> str:
    """The different values, in order."""
    return ", ".join(f"{value:g}" for value in sorted(set(values)))


def explained(measures: Sequence[Measure]) -> Block:
    """What the columns mean."""
    pairs = [(measure.heading, measure.explanation) for measure in measures]
    return Block("\n".join(f"- {name}: {text}." for name, text in pairs), facts(*pairs).html)


def findings(sentences: Sequence[str]) -> Block:
    """Sentences on the figures."""
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    listed = "\n".join(f"- {sentence}" for sentence in sentences)
    return Block(listed, f'<ul class="findings">{items}</ul>' if items else "")


def listing(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Block:
    """A table of texts."""
    top, *body = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in (head, *rows))
    lines = "".join(f"<tr>{row}</tr>" for row in body)
    html = (
        f'<div class="scroll"><table><thead><tr>{top.replace("td>", "th>")}</tr></thead><tbody>{lines}</tbody></table></div>'
    )
    return Block(_markdown_table(head, rows), html)


def figures(table: Table) -> Block:
    """A table: in Markdown the means and then the differences, in HTML both in one cell."""
    heads = [*table.heads, *(measure.heading for measure in table.measures)]
    means = [[*line.labels, *_cells(table, line, "mean"), *line.more] for line in table.lines]
    markdown = _markdown_table([*heads, *table.more], means)
    compared = [line for line in table.lines if any(cell.difference for cell in line.cells.values())]
    if table.baseline and compared:
        differences = [[*line.labels, *_cells(table, line, "difference")] for line in compared]
        markdown += f"\n\nDifference to {table.baseline}:\n\n{_markdown_table(heads, differences)}"
    columns = [table.heads[-1], *(m.heading + _ARROWS[m.better] for m in table.measures), *table.more]
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in columns)
    body = "".join(_html_lines(table, len(columns)))
    note = f"<p>Δ: difference to {escape(table.baseline)}.</p>" if table.baseline else ""
    html = f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    return Block(markdown, note + html)


def _cells(table: Table, line: Line, what: str) -> Iterator[str]:
    for measure in table.measures:
        estimate = getattr(line.cells.get(measure.name), what, None)
        yield estimate.text(measure.digits, signed=what == "difference") if estimate else "–"


def _markdown_table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)


def _html_lines(table: Table, columns: int) -> Iterator[str]:
    group = ""
    for line in table.lines:
        if line.group != group:
            group = line.group
            yield f'<tr class="group"><th colspan="{columns}">{escape(group)}</th></tr>'
        shown = [(measure.heading, _html_cell(line.cells.get(measure.name), measure)) for measure in table.measures]
        shown += [(name, escape(text)) for name, text in zip(table.more, line.more)]
        cells = "".join(f'<td data-name="{escape(name)}">{text}</td>' for name, text in shown)
        yield f'<tr><th scope="row">{escape(line.label)}</th>{cells}</tr>'


def _html_cell(cell: Cell | None, measure: Measure) -> str:
    if cell is None:
        return "–"
    value, _, brackets = cell.mean.text(measure.digits).partition(" ")
    shown = f"<b>{value}</b> <span>{brackets}</span>"
    if cell.difference:
        change, _, around = cell.difference.text(measure.digits, signed=True).partition(" ")
        shown += f'<small class="gap {_VERDICTS[cell.verdict(measure)]}">{change} <i>{around}</i></small>'
    return shown


def plots(svgs: Sequence[str], key: Mapping[str, str] | None = None) -> Block:
    """Plots, on the page alone. `key`: names and colors."""
    names = "".join(f'<span><i style="background:{color}"></i>{name}</span>' for name, color in (key or {}).items())
    shown = "".join(f"<figure>{svg}</figure>" for svg in svgs)
    return Block("", (f'<p class="key">{names}</p>' if names else "") + f'<div class="plots">{shown}</div>')


def picture(content: bytes, kind: str, width: int, caption: str) -> str:
    """An image or video of a gallery, from its file's content and kind (`png`, `webp`)."""
    encoded, said = base64.b64encode(content).decode(), escape(caption)
    source = f'src="data:image/{kind};base64,{encoded}" width="{max(width, _LEAST_WIDTH)}"'
    return f'<figure><img {source} alt="{said}"><figcaption>{said}</figcaption></figure>'


def gallery(images: Sequence[Mapping[str, str]]) -> Block:
    """Videos, on the page alone: for each image sets of pictures by their titles."""
    shown = ""
    for sets in images:
        titled = (f'<div class="set"><p>{escape(name)}</p><div>{some}</div></div>' for name, some in sets.items())
        shown += f'<div class="clips">{"".join(titled)}</div>'
    return Block("", f"<details open><summary>Videos</summary>{shown}</details>" if shown else "")

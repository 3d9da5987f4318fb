"""Reports: one HTML file that needs nothing beside it, and a Markdown summary with the same tables."""

from __future__ import annotations

import base64
import struct
from html import escape
from pathlib import Path

from .. import __version__
from . import wording
from .page import PAGE
from .plots import METHOD_COLOURS, dot_plot, trade_off
from .store import Result, clip_path, picture_path, read_results
from .tables import ALL_SAMPLERS, MEASURES, Line, Table, setting_label, tables

TITLE = "Noise rectification: measured"
_PLOTTED = ("ssim", "colour_drift", "motion")
_BY_NAME = {measure.name: measure for measure in MEASURES}
# Small clips are shown larger, in whole pixels.
_LEAST_WIDTH = 128


def write_reports(folder: Path, html: Path, markdown: Path | None = None, title: str = TITLE) -> None:
    """Writes the report of the results in `folder` (plots, tables and the clips that were kept), and a summary if asked.

    Args:
        folder: where `runner.run` has put its results.
        html: the report's file; it needs no other.
        markdown: the file of a summary, which has the tables alone.

    Raises:
        EvaluationError: the folder has no results, or damaged ones.
        MissingPackageError: SciPy or matplotlib is not installed.
    """
    results = read_results(folder)
    made = tables(results)
    _write(html, _html(title, results, made, folder))
    if markdown is not None:
        _write(markdown, _markdown(title, results, made))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _markdown(title: str, results: list[Result], made: list[Table]) -> str:
    parts = [f"# {title}", ", ".join(f"{name}: {value}" for name, value in wording.conditions(results)) + "."]
    parts += [f"- {finding}" for finding in wording.findings(made[0])]
    parts.append(wording.HOW_TO_READ)
    for table in made:
        parts += [f"## {wording.heading(table)}", wording.introduction(table), _markdown_means(table)]
        if any(cell.difference for line in table.lines if line.rectifies for cell in line.cells.values()):
            parts += ["Difference to plain noising:", _markdown_differences(table)]
    shown = {measure for table in made for measure in table.measures}
    parts.append("## Measures")
    parts.append("\n".join(f"- {measure.heading}: {measure.explanation}." for measure in MEASURES if measure in shown))
    return "\n\n".join(parts) + "\n"


def _html(title: str, results: list[Result], made: list[Table], folder: Path) -> str:
    facts = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in wording.conditions(results)
    )
    findings = "".join(f"<li>{escape(finding)}</li>" for finding in wording.findings(made[0]))
    shown = {measure for table in made for measure in table.measures}
    measures = "".join(
        f"<div><dt>{escape(measure.heading)}</dt><dd>{escape(measure.explanation)}</dd></div>"
        for measure in MEASURES
        if measure in shown
    )
    return PAGE.format(
        title=escape(title),
        facts=facts,
        findings=f'<ul class="findings">{findings}</ul>' if findings else "",
        how_to_read=escape(wording.HOW_TO_READ),
        contents="".join(
            f'<a href="#{escape(table.experiment)}">{escape(wording.heading(table))}</a>' for table in made
        ),
        experiments="".join(_section(table, folder) for table in made),
        measures=measures,
        version=escape(__version__),
    )


def _section(table: Table, folder: Path) -> str:
    key = "".join(
        f'<span><i style="background:{colour}"></i>{method}</span>'
        for method, colour in METHOD_COLOURS.items()
        if any(_shown_as(line) == method for line in table.lines)
    )
    plots = [dot_plot(table, _BY_NAME[name]) for name in _PLOTTED if _BY_NAME[name] in table.measures]
    if {_BY_NAME["motion"], _BY_NAME["ssim"]} <= set(table.measures):
        plots.append(trade_off(table, _BY_NAME["motion"], _BY_NAME["ssim"]))
    figures = "".join(f"<figure>{plot}</figure>" for plot in plots)
    return (
        f'<section id="{escape(table.experiment)}"><h2>{escape(wording.heading(table))}</h2>'
        f'<p>{escape(wording.introduction(table))}</p><p class="key">{key}</p><div class="plots">{figures}</div>'
        f'<div class="scroll">{_html_table(table)}</div>{_clips(table, folder)}</section>'
    )


def _shown_as(line: Line) -> str:
    return line.method if line.rectifies else "noising"


def _html_table(table: Table) -> str:
    head = "".join(
        f'<th scope="col">{escape(measure.heading)}{ {1: " ↑", -1: " ↓", 0: ""}[measure.better] }</th>'
        for measure in table.measures
    )
    bodies, group = [], None
    for line in table.lines:
        if line.group != group:
            group = line.group
            bodies.append(f'<tr class="group"><th colspan="{len(table.measures) + 1}">{escape(group)}</th></tr>')
        bodies.append(_html_line(line, table))
    return f'<table><thead><tr><th scope="col">Setting</th>{head}</tr></thead><tbody>{"".join(bodies)}</tbody></table>'


def _html_line(line: Line, table: Table) -> str:
    cells = []
    for measure in table.measures:
        cell = line.cells.get(measure.name)
        if cell is None:
            cells.append(f'<td data-name="{escape(measure.heading)}">–</td>')
            continue
        verdict = {1: "better", -1: "worse", 0: "same"}[cell.verdict(measure)]
        compared = line.rectifies and cell.difference
        change, _, around = wording.difference(cell, measure).partition(" ")
        gap = f'<small class="gap {verdict}">{change} <i>{around}</i></small>' if compared else ""
        if compared and measure.name == "motion":
            gap += f"<small>{wording.share(line)} of noising’s</small>"
        value, _, brackets = wording.mean(cell, measure).partition(" ")
        cells.append(f'<td data-name="{escape(measure.heading)}"><b>{value}</b> <span>{brackets}</span>{gap}</td>')
    name = f'<th scope="row">{escape(line.label)}<small>{wording.count(line)}</small></th>'
    return f"<tr>{name}{''.join(cells)}</tr>"


def _clips(table: Table, folder: Path) -> str:
    """The clips that were kept: for each picture the picture itself, then a set of clips a sampler."""
    pictures: dict[str, str] = {}
    sets: dict[str, dict[str, str]] = {}
    for line in table.lines:
        for row in line.rows:
            clip, picture = folder / clip_path(row), folder / picture_path(row.picture)
            if line.group == ALL_SAMPLERS or not clip.is_file() or not picture.is_file():
                continue
            content = picture.read_bytes()
            width = max(struct.unpack(">I", content[16:20])[0], _LEAST_WIDTH)  # of a PNG's header
            pictures[row.picture] = _figure(content, "png", width, "", row.caption)
            label = setting_label(row)
            shown = _figure(clip.read_bytes(), "webp", width, label, f"{label}, {line.group}")
            groups = sets.setdefault(row.picture, {})
            groups[line.group] = groups.get(line.group, "") + shown
    galleries = [
        f'<div class="clips"><div class="set"><p>the picture</p><div>{shown}</div></div>'
        + "".join(_set(group, clips) for group, clips in sets[picture].items())
        + "</div>"
        for picture, shown in pictures.items()
    ]
    return f"<details open><summary>Clips</summary>{''.join(galleries)}</details>" if galleries else ""


def _set(group: str, clips: str) -> str:
    return f'<div class="set"><p>{escape(group)}</p><div>{clips}</div></div>'


def _figure(content: bytes, kind: str, width: int, caption: str, description: str) -> str:
    encoded = base64.b64encode(content).decode()
    return (
        f'<figure><img src="data:image/{kind};base64,{encoded}" width="{width}" alt="{escape(description)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _markdown_means(table: Table) -> str:
    head = ["Sampler", "Setting", *(measure.heading for measure in table.measures), "Motion share", "Pictures"]
    lines = [
        [
            line.group,
            line.label,
            *(wording.mean(line.cells[m.name], m) if m.name in line.cells else "–" for m in table.measures),
            wording.share(line),
            wording.count(line).partition(" ")[0],
        ]
        for line in table.lines
    ]
    return _markdown_table(head, lines)


def _markdown_differences(table: Table) -> str:
    head = ["Sampler", "Setting", *(measure.heading for measure in table.measures)]
    lines = [
        [
            line.group,
            line.label,
            *(wording.difference(line.cells[m.name], m) if m.name in line.cells else "–" for m in table.measures),
        ]
        for line in table.lines
        if line.rectifies
    ]
    return _markdown_table(head, lines)


def _markdown_table(head: list[str], lines: list[list[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)

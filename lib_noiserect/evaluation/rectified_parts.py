"""The parts of a report on rectified clips of pictures: a table for each of the paper's experiments, plots and clips."""

from __future__ import annotations

import base64
import struct
from html import escape
from pathlib import Path

from . import wording
from .parts import Part, html_facts, html_list, markdown_facts, markdown_list, markdown_table, model_facts
from .plots import METHOD_COLOURS, dot_plot, trade_off
from .store import Result, clip_path, has_results, picture_path, read_results
from .tables import ALL_SAMPLERS, MEASURES, Line, Table, setting_label, tables

_PLOTTED = ("ssim", "colour_drift", "motion")
_BY_NAME = {measure.name: measure for measure in MEASURES}
# Small clips are shown larger, in whole pixels.
_LEAST_WIDTH = 128


def rectified_parts(folder: Path) -> list[Part]:
    """How to read the tables, and a part for each experiment that `folder` has results of; none where there are none.

    Raises:
        EvaluationError: the results are damaged.
        MissingPackageError: SciPy or matplotlib is not installed.
    """
    if not has_results(folder):
        return []
    results = read_results(folder)
    return [_reading(), *(_experiment(table, results, folder) for table in tables(results))]


def _reading() -> Part:
    measures = [(measure.heading, measure.explanation) for measure in MEASURES]
    return Part(
        name="reading",
        heading="How to read the tables",
        markdown=f"{wording.HOW_TO_READ}\n\n" + markdown_list([f"{name}: {text}." for name, text in measures]),
        html=f'<p class="soft">{escape(wording.HOW_TO_READ)}</p>{html_facts(measures)}',
    )


def _experiment(table: Table, results: list[Result], folder: Path) -> Part:
    of_this = [result for result in results if result.row.experiment == table.experiment]
    facts, found = [*model_facts(folder), *wording.conditions(of_this)], wording.findings([table])
    about = [markdown_facts(facts), wording.introduction(table), markdown_list(found), _markdown_means(table)]
    if any(cell.difference for line in table.lines if line.rectifies for cell in line.cells.values()):
        about += ["Difference to plain noising:", _markdown_differences(table)]
    return Part(
        name=table.experiment,
        heading=wording.heading(table),
        markdown="\n\n".join(filter(None, about)),
        html=html_facts(facts) + html_list(found) + _html_experiment(table, folder),
    )


def _html_experiment(table: Table, folder: Path) -> str:
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
        f'<p>{escape(wording.introduction(table))}</p><p class="key">{key}</p><div class="plots">{figures}</div>'
        f'<div class="scroll">{_html_table(table)}</div>{_clips(table, folder)}'
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
    return markdown_table(head, lines)


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
    return markdown_table(head, lines)

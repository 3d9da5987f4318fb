"""The plots of a report, as SVG that takes its text colour from the page and so fits light and dark."""

from __future__ import annotations

import io
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from .bootstrap import Estimate
from .errors import need
from .tables import ALL_SAMPLERS, Line, Measure, Table

METHOD_COLOURS = {"noising": "#8b93a1", "fixed noise": "#d9822b", "pivot": "#2b8fd6"}
# Matplotlib writes colours as numbers; this one stands for the page's text colour until the SVG is complete.
_TEXT = "#010203"
_WIDTH = 4.4
_PLAIN = METHOD_COLOURS["pivot"]


def dot_plot(table: Table, measure: Measure) -> str:
    """A measure of every setting with its 95 % interval: a row a setting, or a row a sampler with a dot a method."""
    lines = [line for line in table.lines if measure.name in line.cells]
    by_sampler = table.experiment == "methods"
    several = len({line.group for line in lines}) > 1
    names = [line.group if by_sampler else f"{line.group} · {line.label}" if several else line.label for line in lines]
    places = {name: place for place, name in enumerate(dict.fromkeys(names))}
    spread = dict(zip(METHOD_COLOURS, (-0.22, 0.0, 0.22))) if by_sampler else {}
    with _axes(0.75 + 0.30 * len(places) * (1.25 if by_sampler else 1)) as (figure, axes):
        for name, line in zip(names, lines):
            estimate = line.cells[measure.name].mean
            _mark(axes, line, estimate.mean, places[name] + spread.get(line.method, 0), horizontal=estimate)
        axes.set_yticks(list(places.values()), list(places))
        axes.set_ylim(len(places) - 0.4, -0.6)
        axes.grid(axis="x", color=_TEXT, alpha=0.13)
        axes.set_xlabel(_heading(measure))
        return _svg(figure, f"{table.experiment} {measure.name}")


def estimates_plot(estimates: Mapping[str, Estimate], measure: Measure, name: str) -> str:
    """A measure with its 95 % interval, a row for each name; `name` tells this plot from others of the page."""
    with _axes(0.75 + 0.30 * len(estimates)) as (figure, axes):
        for place, estimate in enumerate(estimates.values()):
            axes.errorbar(
                estimate.mean, place, xerr=_reach(estimate), fmt="o", markersize=5.5, color=_PLAIN, elinewidth=1.4
            )
        axes.set_yticks(range(len(estimates)), list(estimates))
        axes.set_ylim(len(estimates) - 0.4, -0.6)
        axes.grid(axis="x", color=_TEXT, alpha=0.13)
        axes.set_xlabel(_heading(measure))
        return _svg(figure, name)


def trade_off(table: Table, across: Measure, up: Measure) -> str:
    """Two measures against each other, one point a setting: what a setting keeps for what it gives up."""
    lines = [line for line in table.lines if {across.name, up.name} <= line.cells.keys() and line.group != ALL_SAMPLERS]
    with _axes(3.3) as (figure, axes):
        points = [(line.cells[across.name].mean, line.cells[up.name].mean) for line in lines]
        for line, (x, y) in zip(lines, points):
            _mark(axes, line, x.mean, y.mean, horizontal=x, vertical=y)
        if table.experiment != "methods":
            axes.margins(x=0.16, y=0.12)
            labels = [line.label.partition("= ")[2] or line.label for line in lines]
            _name(axes, labels, [(x.mean, y.mean) for x, y in points])
        axes.grid(color=_TEXT, alpha=0.13)
        axes.set_xlabel(across.heading)
        axes.set_ylabel(up.heading)
        return _svg(figure, f"{table.experiment} trade-off")


def _heading(measure: Measure) -> str:
    return measure.heading + {1: "  (more is better)", -1: "  (less is better)", 0: ""}[measure.better]


def _mark(
    axes: Any,
    line: Line,
    x: float,
    y: float,
    horizontal: Estimate,
    vertical: Estimate | None = None,
) -> None:
    colour = METHOD_COLOURS["noising" if not line.rectifies else line.method]
    axes.errorbar(
        x,
        y,
        xerr=_reach(horizontal),
        yerr=_reach(vertical) if vertical else None,
        fmt="D" if line.group == ALL_SAMPLERS else "o",
        markersize=5.5,
        color=colour,
        elinewidth=1.4 if vertical is None else 0.8,
    )


def _name(axes: Any, labels: list[str], points: list[tuple[float, float]]) -> None:
    """Writes labels beside their points: right or left, above or below, or further away, where nothing else is."""
    axes.figure.draw_without_rendering()  # until then the axes do not know where their points are
    height = 11
    places = [axes.transData.transform(point) / (axes.figure.dpi / 72) for point in points]
    taken = [(x - 4, x + 4, y - 4) for x, y in places]
    for label, point, (x, y) in zip(labels, points, places):
        width = 5.4 * len(label)
        offsets = (
            (right, up)
            for away in itertools.count()
            for right in (6 + 4 * away, -6 - 4 * away - width)
            for up in (5 + height * away, -13 - height * away)
        )
        right, up = next(
            (right, up)
            for right, up in offsets
            if all(
                x + right > end or x + right + width < start or abs(y + up - at) >= height for start, end, at in taken
            )
        )
        taken.append((x + right, x + right + width, y + up))
        axes.annotate(label, point, xytext=(right, up), textcoords="offset points", color=_TEXT)


def _reach(estimate: Estimate) -> list[list[float]] | None:
    if math.isnan(estimate.low):
        return None
    return [[max(estimate.mean - estimate.low, 0.0)], [max(estimate.high - estimate.mean, 0.0)]]


@contextmanager
def _axes(height: float) -> Iterator[tuple[Any, Any]]:
    matplotlib = need("matplotlib", "matplotlib")
    style = {
        "svg.fonttype": "none",
        "font.size": 9.5,
        "text.color": _TEXT,
        "axes.labelcolor": _TEXT,
        "axes.edgecolor": _TEXT,
        "xtick.color": _TEXT,
        "ytick.color": _TEXT,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "axes.axisbelow": True,
        "ytick.major.size": 0,
    }
    # A figure of its own and no pyplot: that one keeps figures, and may ask for a display.
    figure_module = need("matplotlib.figure", "matplotlib")
    with matplotlib.rc_context(style):
        figure = figure_module.Figure(figsize=(_WIDTH, height), layout="constrained")
        yield figure, figure.subplots()


def _svg(figure: Any, name: str) -> str:
    file = io.StringIO()
    nothing: Sequence[str] = ("Date", "Creator", "Format", "Type")
    # The names of clip paths come from this: two plots of a page must not share them, and two runs should.
    with need("matplotlib", "matplotlib").rc_context({"svg.hashsalt": name}):
        figure.savefig(file, format="svg", transparent=True, metadata=dict.fromkeys(nothing))
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :].replace(_TEXT, "currentColor")
    # Inside HTML the name spaces are known, and the size is the page's matter.
    svg = re.sub(r'\s+xmlns(:\w+)?="[^"]*"', "", svg, count=2)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    # Its groups are numbered in each plot anew; nothing refers to them.
    svg = re.sub(r' id="[\w.]+_\d+"', "", svg)
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    return svg.replace("<svg", '<svg role="img"', 1)

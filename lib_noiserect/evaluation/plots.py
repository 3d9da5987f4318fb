"""The plots of a report, as SVG that takes its text color from the page and so fits light and dark."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .intervals import Estimate
from .tables import Line, Measure, Table
from .trials import need

COLORS = {"noising": "#8b93a1", "fixed noise": "#d9822b", "pivot": "#2b8fd6", "following": "#d6336c"}
# Matplotlib writes colors as numbers; this one stands for the page's text color until the SVG is complete.
TEXT = "#010203"
_WIDTH = 4.4
_SPREAD = dict(zip(COLORS, (-0.27, -0.09, 0.09, 0.27)))


def dot_plot(table: Table, measure: Measure, *, rows_are_groups: bool = False) -> str:
    """A measure of every setting with its 95 % interval: a row a setting, or a row a group with a dot a setting."""
    lines = [line for line in table.lines if measure.name in line.cells]
    several = len({line.group for line in lines}) > 1
    names = [line.group if rows_are_groups else " · ".join(line.labels) if several else line.label for line in lines]
    places = {name: place for place, name in enumerate(dict.fromkeys(names))}
    with axes_of(0.75 + 0.30 * len(places) * (1.25 if rows_are_groups else 1)) as (figure, axes):
        for name, line in zip(names, lines):
            estimate, spread = line.cells[measure.name].mean, _SPREAD[line.kind] if rows_are_groups else 0
            _mark(axes, line, estimate.mean, places[name] + spread, xerr=reach(estimate))
        axes.set_yticks(list(places.values()), list(places))
        axes.set_ylim(len(places) - 0.4, -0.6)
        axes.grid(axis="x", color=TEXT, alpha=0.13)
        axes.set_xlabel(measure.heading + {1: "  (more is better)", -1: "  (less is better)", 0: ""}[measure.better])
        return svg_of(figure, f"{table.name} {measure.name}")


def trade_off(table: Table, across: Measure, up: Measure, labels: Sequence[str] = ()) -> str:
    """Two measures against each other, one point a setting, with labels beside the points."""
    lines = [line for line in table.lines if {across.name, up.name} <= line.cells.keys()]
    with axes_of(3.3) as (figure, axes):
        for index, line in enumerate(lines):
            x, y = line.cells[across.name].mean, line.cells[up.name].mean
            _mark(axes, line, x.mean, y.mean, xerr=reach(x), yerr=reach(y))
            if labels:  # above and below in turn, since neighbors are close
                offset, side = ((6, 5), "left") if index % 2 else ((-6, -13), "right")
                place = {"xytext": offset, "textcoords": "offset points", "ha": side}
                axes.annotate(labels[index], (x.mean, y.mean), color=TEXT, **place)
        axes.margins(x=0.16, y=0.12)
        axes.grid(color=TEXT, alpha=0.13)
        axes.set_xlabel(across.heading)
        axes.set_ylabel(up.heading)
        return svg_of(figure, f"{table.name} trade-off")


def _mark(axes: Any, line: Line, x: float, y: float, **errors: Any) -> None:
    color = COLORS[line.kind or "pivot"]
    axes.errorbar(x, y, fmt="o", markersize=5.5, color=color, elinewidth=0.8 if "yerr" in errors else 1.4, **errors)


def reach(estimate: Estimate) -> list[list[float]] | None:
    """How far an interval reaches below and above its mean, as `errorbar` takes it."""
    if math.isnan(estimate.low):
        return None
    return [[max(estimate.mean - estimate.low, 0.0)], [max(estimate.high - estimate.mean, 0.0)]]


@contextmanager
def axes_of(height: float) -> Iterator[tuple[Any, Any]]:
    """A figure of the reports' width and style with its axes, `height` in inches."""
    colored = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    style: dict[str, Any] = {"svg.fonttype": "none", "font.size": 9.5, "axes.axisbelow": True, "ytick.major.size": 0}
    style |= dict.fromkeys(colored, TEXT) | {f"axes.spines.{side}": False for side in ("top", "right", "left")}
    # A figure without pyplot, which keeps figures and may ask for a display.
    with need("matplotlib", "matplotlib").rc_context(style):
        figure = need("matplotlib.figure", "matplotlib").Figure(figsize=(_WIDTH, height), layout="constrained")
        yield figure, figure.subplots()


def svg_of(figure: Any, name: str) -> str:
    """The figure as SVG; `name` tells the plots of a page apart."""
    file = io.StringIO()
    # The names of clip paths come from the salt: two plots of a page must not share them, and two runs should.
    with need("matplotlib", "matplotlib").rc_context({"svg.hashsalt": name}):
        figure.savefig(file, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :].replace(TEXT, "currentColor")
    # HTML knows the name spaces and sets the size; the numbers of groups repeat in each plot and nothing refers to them.
    svg = re.sub(r'\s+xmlns(:\w+)?="[^"]*"', "", svg, count=2)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r' id="[\w.]+_\d+"', "", svg)
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    return svg.replace("<svg", '<svg role="img"', 1)

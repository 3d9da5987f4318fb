"""The plots of a report, as SVG; the page's dark style inverts them."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from .report import Html, picture
from .tables import Estimate, Measure, Table

COLORS = {"noising": "#7d8593", "fixed noise": "#d9822b", "pivot": "#2b8fd6", "following": "#d6336c"}
_WIDTH = 4.4
_SPREAD = dict(zip(COLORS, (-0.27, -0.09, 0.09, 0.27)))
_STYLE: dict[str, Any] = {
    "font.size": 9.5,
    "axes.axisbelow": True,
    "ytick.major.size": 0,
    "grid.color": "black",
    "grid.alpha": 0.13,
    "savefig.transparent": True,
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    **dict.fromkeys(("axes.spines.top", "axes.spines.right", "axes.spines.left"), False),
}


def dot_plot(table: Table, measure: Measure, *, rows_are_groups: bool = False) -> Html:
    """A measure of every setting with its 95 % interval: a row a setting, or a row a group with a dot a setting."""
    lines = [line for line in table.lines if measure.name in line.means]
    several = len({line.group for line in lines}) > 1
    names = [line.group if rows_are_groups else " · ".join(line.labels) if several else line.label for line in lines]
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
    with matplotlib.rc_context(_STYLE):
        yield Figure(figsize=(_WIDTH, height), layout="constrained").subplots()


def svg_of(axes: Any, **options: Any) -> bytes:
    """The figure's SVG, the same at every run; to be called inside `axes_of`. `options` as those of `Figure.savefig`."""
    file = io.BytesIO()
    axes.figure.savefig(file, format="svg", metadata={"Date": None}, **options)
    return file.getvalue()

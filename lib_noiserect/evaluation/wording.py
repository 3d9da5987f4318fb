"""What the HTML report and the Markdown summary both say: headings, sentences and how figures are written."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from .bootstrap import Estimate
from .store import Result
from .tables import ALL_SAMPLERS, Cell, Line, Measure, Table

_EXPERIMENTS = {
    "methods": (
        "Methods and samplers",
        "The picture is noised and denoised again: alone (noising), corrected towards the noise that it got (fixed noise, "
        "as the paper prints it), or towards the pivot, which follows samplers that add noise of their own.",
    ),
    "omega": ("How freely frames move: ω", "The paper's Figure 5: constant weights, and the authors' falling ones."),
    "tau": (
        "Which steps are rectified: τ",
        "The paper's Figure 6: windows as fractions of the steps; [0, 0] is plain noising.",
    ),
}
HOW_TO_READ = (
    "Means over the pictures, each in brackets with its 95 % interval (bootstrap over pictures, BCa; several clips of one "
    "picture count as one). Differences are to plain noising of the same pictures, seeds and samplers, pair by pair. "
    "Motion share is the mean motion divided by that of plain noising."
)


def heading(table: Table) -> str:
    return _EXPERIMENTS.get(table.experiment, (table.experiment.capitalize(), ""))[0]


def introduction(table: Table) -> str:
    return _EXPERIMENTS.get(table.experiment, ("", "The settings that were asked for."))[1]


def conditions(results: Sequence[Result]) -> list[tuple[str, str]]:
    """What the results were made with: names and values."""
    rows = [result.row for result in results]
    facts = [
        ("Pictures", f"{len({row.picture for row in rows})}"),
        ("Clips", f"{len({row.id for row in rows})}"),
        ("Samplers", ", ".join(sorted({row.sampler for row in rows}))),
        ("Steps", _several(row.steps for row in rows)),
        ("Guidance", _several(row.guidance for row in rows)),
        ("Frames", _several(row.frames for row in rows)),
        ("Seeds a picture", _several({len({row.seed for row in rows})})),
    ]
    for name, column in (("CLIP model", "clip_model"), ("CLIP weights", "clip_weights")):
        said = sorted({str(result.values[column]) for result in results if result.values.get(column)})
        if said:
            facts.append((name, ", ".join(said)))
    return facts


def findings(table: Table) -> list[str]:
    """A sentence for each rectifying method of the first experiment: what it keeps, and what it costs."""
    if table.experiment != "methods":
        return []
    groups = {line.group for line in table.lines}
    wanted = ALL_SAMPLERS if ALL_SAMPLERS in groups else next(iter(groups), "")
    lines = {line.method: line for line in table.lines if line.group == wanted}
    return [sentence for line in lines.values() if line.rectifies and (sentence := _finding(line))]


def mean(cell: Cell, measure: Measure) -> str:
    return interval(cell.mean, measure.digits)


def difference(cell: Cell, measure: Measure) -> str:
    return interval(cell.difference, measure.digits, signed=True) if cell.difference else "–"


def share(line: Line) -> str:
    return "–" if line.motion_share is None else f"{100 * line.motion_share:.0f} %"


def count(line: Line) -> str:
    number = max((cell.mean.count for cell in line.cells.values()), default=0)
    return f"{number} picture" + ("" if number == 1 else "s")


def interval(estimate: Estimate, digits: int, *, signed: bool = False) -> str:
    """`0.83 [0.79, 0.86]`, or without brackets for a single picture."""
    shown = number(estimate.mean, digits, signed=signed)
    if math.isnan(estimate.low):
        return shown
    return f"{shown} [{number(estimate.low, digits, signed=signed)}, {number(estimate.high, digits, signed=signed)}]"


def number(value: float, digits: int, *, signed: bool = False) -> str:
    """With a minus sign and not a hyphen, and no sign where only zeros are left."""
    text = f"{abs(value):.{digits}f}"
    if not text.strip("0."):
        return text
    return ("−" if value < 0 else "+" if signed else "") + text


def _finding(line: Line) -> str:
    ssim, drift = line.cells.get("ssim"), line.cells.get("colour_drift")
    if ssim is None or drift is None or ssim.difference is None or drift.difference is None:
        return ""
    return (
        f"{line.label.capitalize()} against plain noising, {line.group}: SSIM to the picture "
        f"{interval(ssim.difference, 3, signed=True)}, colour drift {interval(drift.difference, 2, signed=True)} ΔE, "
        f"{share(line)} of the motion."
    )


def _several(values: Iterable[float]) -> str:
    return ", ".join(f"{value:g}" for value in sorted(set(values)))

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


def findings(made: Sequence[Table]) -> list[str]:
    """What the paper's experiments found, a sentence or two for each: what is kept of the picture, and what it costs."""
    known = {"methods": _methods_findings, "omega": _omega_findings, "tau": _tau_findings}
    return [sentence for table in made if table.experiment in known for sentence in known[table.experiment](table)]


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


def _methods_findings(table: Table) -> list[str]:
    groups = list(dict.fromkeys(line.group for line in table.lines))
    wanted = ALL_SAMPLERS if ALL_SAMPLERS in groups else next(iter(groups), "")
    methods = {line.method: line for line in table.lines if line.group == wanted and line.rectifies}
    found = [sentence for line in methods.values() if (sentence := _finding(line))]
    if wanted == ALL_SAMPLERS:
        for method, line in methods.items():
            one_each = [one for one in table.lines if one.method == method and one.group != ALL_SAMPLERS]
            by_sampler = ", ".join(f"{one.group} {_ssim(one)}" for one in one_each if "ssim" in one.cells)
            found.append(f"{line.label.capitalize()} by sampler, SSIM to the picture: {by_sampler}.")
    return found


def _omega_findings(table: Table) -> list[str]:
    """Of the constant weights, which have an order."""
    lists = [line for line in table.lines if isinstance(line.rows[0].settings.omega, tuple)]
    return _ends([line for line in lists if len(set(line.rows[0].settings.omega)) == 1])


def _tau_findings(table: Table) -> list[str]:
    """Windows that begin with the first step, in the order of their ends; and those that begin later."""
    whole = [line for line in table.lines if line.rows[0].settings.tau_start == 0]
    late = [line for line in table.lines if line.rows[0].settings.tau_start > 0 and "ssim" in line.cells]
    found = _ends(whole)
    values = [line.cells["ssim"].mean.mean for line in whole if "ssim" in line.cells]
    if len(values) > 2:
        rises = all(one < other for one, other in zip(values, values[1:]))
        shown = ", ".join(number(value, 3) for value in values)
        found.append(f"As τ ends later, SSIM {'rises each time' if rises else 'does not rise each time'}: {shown}.")
    if late and values:
        shown = ", ".join(f"{_ssim(line)} for {line.label}" for line in late)
        found.append(
            f"Windows that begin late keep less, SSIM: {shown}." if _are_below(late, whole) else f"SSIM {shown}."
        )
    return found


def _are_below(lines: Sequence[Line], others: Sequence[Line]) -> bool:
    """Whether the intervals of SSIM lie wholly below that of the shortest window of the others that is not empty."""
    rectifying = [line for line in others if line.rectifies and "ssim" in line.cells]
    return bool(rectifying) and all(
        line.cells["ssim"].mean.high < rectifying[0].cells["ssim"].mean.low for line in lines
    )


def _ends(lines: Sequence[Line]) -> list[str]:
    lines = [line for line in lines if {"ssim", "motion"} <= set(line.cells)]
    if len(lines) < 2:
        return []
    first, last = lines[0], lines[-1]
    motion = [interval(line.cells["motion"].mean, 3) for line in (first, last)]
    return [
        f"From {first.label} to {last.label}: SSIM to the picture from {_ssim(first)} to {_ssim(last)}, "
        f"motion from {motion[0]} to {motion[1]} pixels a frame."
    ]


def _ssim(line: Line) -> str:
    return interval(line.cells["ssim"].mean, 3)


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

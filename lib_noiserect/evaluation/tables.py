"""Results as tables: means over pictures with their intervals, and paired differences to plain noising."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from .bootstrap import Estimate, mean_interval, paired_difference
from .errors import EvaluationError
from .experiments import METHODS, Row
from .store import Result

# A figure of one clip: the picture first (over which the bootstrap goes), then what tells its clips apart.
Key: TypeAlias = tuple[str, int, str, int, float, int]
Figures: TypeAlias = Mapping[Key, float]
ALL_SAMPLERS = "all samplers"


@dataclass(frozen=True)
class Measure:
    """A column. `better` is 1 where more is better, -1 where less is, 0 where it depends."""

    name: str
    heading: str
    better: int
    digits: int
    explanation: str


MEASURES = (
    Measure("ssim", "SSIM", 1, 3, "structural similarity of the frames to the picture, 1 where equal"),
    Measure("ssim_first", "SSIM, frame 0", 1, 3, "the same of the first frame alone, which should be the picture"),
    Measure("ms_ssim", "MS-SSIM", 1, 3, "structural similarity over several scales, in grey"),
    Measure("gmsd", "GMSD", -1, 3, "how unevenly edges differ from the picture's, 0 where they do not"),
    Measure("psnr", "PSNR, dB", 1, 2, "peak signal to noise ratio to the picture; 58.9 is equality in 8 bits"),
    Measure(
        "colour_drift", "Colour drift, ΔE", -1, 2, "distance of the mean colour to the picture's; 2 can just be seen"
    ),
    Measure("warp_residual", "Flicker, 255ths", -1, 2, "change from frame to frame that no movement explains"),
    Measure("motion", "Motion, px/frame", 0, 3, "mean length of the optical flow between neighbouring frames"),
    Measure("follows_caption", "Right direction", 1, 2, "share of clips that move where their caption says"),
    Measure("image_fidelity", "CLIP picture", 1, 4, "CLIP similarity of the frames to the picture"),
    Measure("temporal_coherence", "CLIP frames", 1, 4, "CLIP similarity of neighbouring frames"),
    Measure("text_alignment", "CLIP caption", 1, 4, "CLIP similarity of the frames to the caption"),
)


@dataclass(frozen=True)
class Cell:
    """A measure of one setting: its mean, and its paired difference to plain noising where there is such a run."""

    mean: Estimate
    difference: Estimate | None

    def verdict(self, measure: Measure) -> int:
        """1: better than plain noising, -1: worse, by an interval that leaves out 0; otherwise 0."""
        if self.difference is None or not measure.better:
            return 0
        signs = {np.sign(self.difference.low), np.sign(self.difference.high)}
        return int(signs.pop() * measure.better) if len(signs) == 1 and not math.isnan(self.difference.low) else 0


@dataclass(frozen=True)
class Line:
    """One setting of an experiment. `motion_share`: its motion by plain noising's of the same clips, None without those."""

    group: str
    label: str
    rectifies: bool
    method: str
    cells: Mapping[str, Cell]
    motion_share: float | None
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Table:
    """An experiment: its settings, and the measures that its results have."""

    experiment: str
    lines: tuple[Line, ...]
    measures: tuple[Measure, ...]


def tables(results: Sequence[Result]) -> list[Table]:
    """A table for each experiment, the paper's first.

    Raises:
        EvaluationError: there are no results.
    """
    if not results:
        raise EvaluationError("there are no results: run the experiment first")
    known = ["methods", "omega", "tau"]
    names = {result.row.experiment for result in results}
    in_order = sorted(names, key=lambda name: (known.index(name) if name in known else len(known), name))
    baseline = [result for result in results if not result.row.rectifies]
    return [
        _table(name, [result for result in results if result.row.experiment == name], baseline) for name in in_order
    ]


def setting_label(row: Row) -> str:
    """What a row varies in its experiment, in a few characters."""
    if row.experiment == "methods":
        return row.method
    omega = f"ω = {row.omega}’" if row.omega == "authors" else f"ω = {row.omega_text}"
    window = f"τ = [{row.tau_start:g}, {row.tau_end:g}]"
    return {"omega": omega, "tau": window}.get(row.experiment, f"{row.method}, {window}, {omega}")


def _table(experiment: str, results: list[Result], baseline: list[Result]) -> Table:
    present = {name for result in results for name, figure in result.figures.items() if math.isfinite(figure)}
    measures = tuple(measure for measure in MEASURES if measure.name in present)
    by_setting: dict[tuple[Any, ...], list[Result]] = {}
    for result in sorted(results, key=lambda result: (*_setting(result.row), result.row.picture, result.row.seed)):
        by_setting.setdefault(_setting(result.row), []).append(result)
    conditions = sorted({_conditions(result.row) for result in results})
    lines = [
        _line(_group(some[0].row, conditions), setting_label(some[0].row), some, baseline, measures)
        for some in by_setting.values()
    ]
    if experiment == "methods" and len({result.row.sampler for result in results}) > 1:
        by_method = [(method, [result for result in results if result.row.method == method]) for method in METHODS]
        over_all = [_line(ALL_SAMPLERS, method, some, baseline, measures) for method, some in by_method if some]
        lines = over_all + lines
    return Table(experiment, tuple(lines), measures)


def _setting(row: Row) -> tuple[Any, ...]:
    """What makes a line of a table, in the order in which the lines stand."""
    omega = (1, row.omega, ()) if isinstance(row.omega, str) else (0, "", row.omega)
    return (row.sampler, _conditions(row), METHODS.index(row.method), row.tau_start, row.tau_end, omega)


def _conditions(row: Row) -> tuple[int, float, int]:
    return (row.steps, row.guidance, row.frames)


def _group(row: Row, conditions: list[tuple[int, float, int]]) -> str:
    if len(conditions) == 1:
        return row.sampler
    return f"{row.sampler}, {row.steps} steps, guidance {row.guidance:g}, {row.frames} frames"


def _line(group: str, label: str, results: list[Result], baseline: list[Result], measures: Iterable[Measure]) -> Line:
    cells = {}
    for measure in measures:
        here, there = _figures(results, measure.name), _figures(baseline, measure.name)
        if here:
            cells[measure.name] = Cell(mean_interval(list(_by_picture(here).values())), _difference(here, there))
    motion, noisings = _common(_figures(results, "motion"), _figures(baseline, "motion"))
    total = sum(noisings.values())
    return Line(
        group=group,
        label=label,
        rectifies=any(result.row.rectifies for result in results),
        method=results[0].row.method,
        cells=cells,
        motion_share=sum(motion.values()) / total if total > 0 else None,
        rows=tuple(result.row for result in results),
    )


def _figures(results: Iterable[Result], name: str) -> dict[Key, float]:
    """The finite figures of one measure: every clip's."""
    return {
        (row.picture, row.seed, row.sampler, row.steps, row.guidance, row.frames): figures[name]
        for row, figures in ((result.row, result.figures) for result in results)
        if math.isfinite(figures.get(name, math.nan))
    }


def _difference(here: Figures, there: Figures) -> Estimate | None:
    """To the clips of plain noising that have the same picture, seed and sampler."""
    here, there = _common(here, there)
    return paired_difference(_by_picture(here), _by_picture(there)) if here else None


def _common(here: Figures, there: Figures) -> tuple[Figures, Figures]:
    keys = here.keys() & there.keys()
    return {key: here[key] for key in sorted(keys)}, {key: there[key] for key in sorted(keys)}


def _by_picture(figures: Figures) -> dict[str, float]:
    """Means over what was made of the same picture: seeds and samplers do not make the sample of pictures larger."""
    clips: dict[str, list[float]] = {}
    for key, figure in sorted(figures.items()):
        clips.setdefault(key[0], []).append(figure)
    return {picture: float(np.mean(some)) for picture, some in clips.items()}

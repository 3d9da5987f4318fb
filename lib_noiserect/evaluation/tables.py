"""Results as tables: means over images with their intervals, and paired differences to a baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from .intervals import Estimate, mean_interval, number, paired_difference

Samples: TypeAlias = Mapping[tuple[Any, ...], Mapping[str, Any]]
"""The figures of a setting's videos. A key has the image first, then what tells that image's videos apart."""


@dataclass(frozen=True)
class Measure:
    """A column. `better` is 1 where more is better, -1 where less is, 0 where it depends.

    `share` completes "83 % instead of 98 %" in sentences on a share of videos or frames.
    """

    name: str
    heading: str
    better: int
    digits: int
    explanation: str = ""
    share: str = ""


MEASURES = (
    Measure("moving_psnr", "Moving area, dB", 1, 2, "PSNR to the world's own frames at the best times, where anything moves"),
    Measure("left_psnr", "Left places, dB", 1, 2, "the same where something was in the image and has left; ghosts lower it"),
    Measure("creature_psnr", "Moving thing, dB", 1, 2, "the same on the moving thing"),
    Measure("way", "Way", 0, 2, "how far the video goes in the world's time, 1 for the world's own videos"),
    Measure(
        "ssim",
        "SSIM",
        1,
        3,
        "structural similarity to the image, 1 where equal. It does not see ghosts, and a still video has the highest",
    ),
    Measure("ghost", "Ghosts", -1, 3, "how much of frame 0's detail is still seen where, by the optical flow, it has left"),
    Measure("ssim_first", "SSIM, frame 0", 1, 3, "the same of the first frame alone, which should be the image"),
    Measure("ms_ssim", "MS-SSIM", 1, 3, "structural similarity over several scales, in gray"),
    Measure("gmsd", "GMSD", -1, 3, "unevenness of the differences from the image's edges, 0 where equal"),
    Measure("psnr", "PSNR, dB", 1, 2, "peak signal to noise ratio to the image; 58.9 is equality in 8 bits"),
    Measure("colour_drift", "Color drift, ΔE", -1, 2, "distance of the mean color to the image's; 2 is barely visible"),
    Measure("warp_residual", "Flicker, 255ths", -1, 2, "change between neighboring frames that no movement explains"),
    Measure("motion", "Motion, px/frame", 0, 3, "mean length of the optical flow between neighboring frames"),
    Measure(
        "follows_caption",
        "Right direction",
        1,
        2,
        "share of videos that move in the prompted direction",
        "of the videos move in the prompted direction",
    ),
    Measure("image_fidelity", "CLIP image", 1, 4, "CLIP similarity of the frames to the image"),
    Measure("temporal_coherence", "CLIP frames", 1, 4, "CLIP similarity of neighboring frames"),
    Measure("text_alignment", "CLIP caption", 1, 4, "CLIP similarity of the frames to the caption"),
)
BY_NAME = {measure.name: measure for measure in MEASURES}


@dataclass(frozen=True)
class Cell:
    """A measure of one setting: its mean, and its paired difference to the baseline where there is one."""

    mean: Estimate
    difference: Estimate | None = None

    def verdict(self, measure: Measure) -> int:
        """1: better than the baseline, -1: worse, by an interval that leaves out 0; otherwise 0."""
        if self.difference is None or not measure.better:
            return 0
        signs = {np.sign(self.difference.low), np.sign(self.difference.high)}
        return int(signs.pop() * measure.better) if len(signs) == 1 and not math.isnan(self.difference.low) else 0


@dataclass(frozen=True)
class Line:
    """One setting of an experiment.

    Attributes:
        labels: the setting in words; a table has as many columns for them as `Table.heads`.
        cells: by the measure's name.
        samples: the figures behind the cells.
        more: cells of the columns after the measures.
        kind: the color of the line in plots, by its name in `plots.COLORS`.
    """

    labels: tuple[str, ...]
    cells: Mapping[str, Cell]
    samples: Samples = field(default_factory=dict)
    more: tuple[str, ...] = ()
    kind: str = ""

    @property
    def label(self) -> str:
        return self.labels[-1]

    @property
    def group(self) -> str:
        return ", ".join(self.labels[:-1])

    def text(self, name: str, digits: int = 3) -> str:
        """The mean of a measure as it is written in sentences."""
        return self.cells[name].mean.text(digits)


@dataclass(frozen=True)
class Table:
    """The settings of an experiment. `baseline` names what the differences are to; without it they are not shown."""

    name: str
    heads: tuple[str, ...]
    lines: tuple[Line, ...]
    measures: tuple[Measure, ...]
    more: tuple[str, ...] = ()
    baseline: str = ""


def present(measures: Sequence[Measure], samples: Sequence[Samples]) -> tuple[Measure, ...]:
    """The measures that some video has a finite figure of."""
    return tuple(measure for measure in measures if any(figures_of(some, measure.name) for some in samples))


def cells_of(
    samples: Samples, baseline: Samples | None, measures: Sequence[Measure], *, compare: bool = True
) -> dict[str, Cell]:
    """The cells of a line: means over images, and differences to the videos of the baseline with the same keys."""
    return {
        measure.name: Cell(
            mean_interval(list(by_image(here).values())), difference(samples, baseline, measure.name) if compare else None
        )
        for measure in measures
        if (here := figures_of(samples, measure.name))
    }


def difference(samples: Samples, baseline: Samples | None, name: str) -> Estimate | None:
    """The paired difference of a measure, None where no video has a partner."""
    here, there = in_common(samples, baseline or {}, name)
    return paired_difference(by_image(here), by_image(there)) if here else None


def in_common(
    samples: Samples, baseline: Samples, name: str
) -> tuple[dict[tuple[Any, ...], float], dict[tuple[Any, ...], float]]:
    """The figures of a measure of the videos that both have."""
    here, there = figures_of(samples, name), figures_of(baseline, name)
    keys = sorted(here.keys() & there.keys())
    return {key: here[key] for key in keys}, {key: there[key] for key in keys}


def figures_of(samples: Samples, name: str) -> dict[tuple[Any, ...], float]:
    """The finite figures of a measure."""
    figures = {key: values[name] for key, values in samples.items() if isinstance(values.get(name), (int, float))}
    return {key: figure for key, figure in figures.items() if math.isfinite(figure)}


def by_image(figures: Mapping[tuple[Any, ...], float]) -> dict[str, float]:
    """Means over the videos of the same image: seeds and samplers do not make the sample of images larger."""
    videos: dict[str, list[float]] = {}
    for key, figure in sorted(figures.items()):
        videos.setdefault(key[0], []).append(figure)
    return {image: float(np.mean(some)) for image, some in videos.items()}


def comparison(here: Samples, there: Samples, measures: Sequence[Measure]) -> str:
    """`SSIM 0.766 instead of 0.384 (+0.381 [+0.359, +0.405])`, for each measure that both have."""
    said = []
    for measure in measures:
        change = difference(here, there, measure.name)
        if change is None:
            continue
        one, other = (float(np.mean(list(by_image(figures).values()))) for figures in in_common(here, there, measure.name))
        if measure.share:
            said.append(f"{100 * one:.0f} % instead of {100 * other:.0f} % {measure.share}")
        else:
            digits, shown = measure.digits, change.text(measure.digits, signed=True)
            said.append(f"{measure.heading} {number(one, digits)} instead of {number(other, digits)} ({shown})")
    return ", ".join(said)

"""Results as tables: means over images with 95 % bootstrap intervals, and paired differences to a baseline."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

from ..core.errors import UserError

RESAMPLES = 4999
_SEED = 20240302

Samples: TypeAlias = Mapping[tuple[Any, ...], Mapping[str, Any]]
"""The figures of a setting's videos. A key has the image first, then what tells that image's videos apart."""


class Measure(NamedTuple):
    """A column."""

    name: str
    heading: str
    better: int  # 1 where more is better, -1 where less is, 0 where it depends
    digits: int
    explanation: str = ""
    share: str = ""  # completes "83 % instead of 98 %" in sentences on a share of videos or frames


_SSIM = "structural similarity to the image, 1 where equal. It does not see ghosts, and a still video has the highest"
_MOVE = "move in the prompted direction"
MEASURES = (
    Measure("moving_psnr", "Moving area, dB", 1, 2, "PSNR to the world's own frames at the best times, where anything moves"),
    Measure("left_psnr", "Left places, dB", 1, 2, "the same where something was in the image and has left; ghosts lower it"),
    Measure("creature_psnr", "Moving thing, dB", 1, 2, "the same on the moving thing"),
    Measure("way", "Way", 0, 2, "how far the video goes in the world's time, 1 for the world's own videos"),
    Measure("ssim", "SSIM", 1, 3, _SSIM),
    Measure("ghost", "Ghosts", -1, 3, "how much of frame 0's detail is still seen where, by the optical flow, it has left"),
    Measure("ssim_first", "SSIM, frame 0", 1, 3, "the same of the first frame alone, which should be the image"),
    Measure("gmsd", "GMSD", -1, 3, "unevenness of the differences from the image's edges, 0 where equal"),
    Measure("psnr", "PSNR, dB", 1, 2, "peak signal to noise ratio to the image; 58.9 is equality in 8 bits"),
    Measure("colour_drift", "Color drift, ΔE", -1, 2, "distance of the mean color to the image's; 2 is barely visible"),
    Measure("warp_residual", "Flicker, 255ths", -1, 2, "change between neighboring frames that no movement explains"),
    Measure("motion", "Motion, px/frame", 0, 3, "mean length of the optical flow between neighboring frames"),
    Measure("follows_caption", "Right direction", 1, 2, f"share of videos that {_MOVE}", f"of the videos {_MOVE}"),
    Measure("image_fidelity", "CLIP image", 1, 4, "CLIP similarity of the frames to the image"),
    Measure("temporal_coherence", "CLIP frames", 1, 4, "CLIP similarity of neighboring frames"),
    Measure("text_alignment", "CLIP caption", 1, 4, "CLIP similarity of the frames to the caption"),
)
BY_NAME = {measure.name: measure for measure in MEASURES}


@dataclass(frozen=True)
class Estimate:
    """A mean over `count` images and the ends of its 95 % interval, which are nan for one image."""

    mean: float
    low: float
    high: float
    count: int

    def text(self, digits: int, *, signed: bool = False) -> str:
        """`0.83 [0.79, 0.86]`, or without brackets for a single image."""
        shown, low, high = (number(value, digits, signed=signed) for value in (self.mean, self.low, self.high))
        return shown if math.isnan(self.low) else f"{shown} [{low}, {high}]"


@dataclass(frozen=True)
class Line:
    """One setting of an experiment."""

    labels: tuple[str, ...]  # the setting in words, one for each of `Table.heads`
    means: Mapping[str, Estimate]  # by the measure's name
    differences: Mapping[str, Estimate] = field(default_factory=dict)  # to the baseline, pair by pair
    samples: Samples = field(default_factory=dict)
    more: tuple[str, ...] = ()  # cells of the columns after the measures
    kind: str = ""  # its name in `report.COLORS`

    @classmethod
    def of(
        cls, labels: Sequence[str], samples: Samples, measures: Iterable[Measure], others: Samples | None = None, **more: Any
    ) -> Line:
        """The line of some videos, with differences to those of the others that have the same keys."""
        names = [measure.name for measure in measures]
        means = {name: mean_interval(figures[:, 0]) for name in names if len(figures := by_image(name, samples))}
        differences = {name: change for name in names if (change := difference(samples, others or {}, name))}
        return cls(tuple(labels), means, differences, samples, **more)

    @property
    def label(self) -> str:
        return self.labels[-1]

    @property
    def group(self) -> str:
        return ", ".join(self.labels[:-1])


@dataclass(frozen=True)
class Table:
    """The settings of an experiment. `baseline` names what the differences are to; without it they are not shown."""

    name: str
    heads: tuple[str, ...]
    lines: Sequence[Line]
    measures: Sequence[Measure]
    more: tuple[str, ...] = ()
    baseline: str = ""

    @property
    def markdown(self) -> str:
        """The means, and below them the differences."""
        heads = [*self.heads, *(measure.heading for measure in self.measures)]
        means = [[*line.labels, *self._cells(line.means), *line.more] for line in self.lines]
        text = markdown_table([*heads, *self.more], means)
        changes = [[*line.labels, *self._cells(line.differences, signed=True)] for line in self.lines if line.differences]
        if self.baseline and changes:
            text += f"\n\nDifference to {self.baseline}:\n\n{markdown_table(heads, changes)}"
        return text

    def _cells(self, estimates: Mapping[str, Estimate], *, signed: bool = False) -> list[str]:
        shown = {measure.name: measure.digits for measure in self.measures}
        return [estimates[name].text(shown[name], signed=signed) if name in estimates else "–" for name in shown]


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of texts."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def number(value: float, digits: int, *, signed: bool = False) -> str:
    """The number with a minus sign instead of a hyphen, and without a sign where only zeros are left."""
    text = f"{abs(value):.{digits}f}"
    if not text.strip("0."):
        return text
    return ("−" if value < 0 else "+" if signed else "") + text


def present(measures: Iterable[Measure], samples: Iterable[Samples]) -> tuple[Measure, ...]:
    """The measures that some video has a finite figure of."""
    return tuple(measure for measure in measures if any(in_common(measure.name, some) for some in samples))


def in_common(name: str, *several: Samples) -> dict[tuple[Any, ...], list[Any]]:
    """A measure's figures of each video of which all samples have a finite one, in the order of the samples."""
    found = {}
    for key in sorted(set(several[0]).intersection(*several)):
        figures = [samples[key].get(name) for samples in several]
        if all(isinstance(figure, (int, float)) and math.isfinite(figure) for figure in figures):
            found[key] = figures
    return found


def by_image(name: str, *several: Samples) -> NDArray[np.float64]:
    """Means of `in_common` over the videos of an image, `[images, samples]`: seeds and samplers make no further images."""
    videos: dict[str, list[list[float]]] = {}
    for key, figures in in_common(name, *several).items():
        videos.setdefault(key[0], []).append(figures)
    return np.array([np.mean(some, axis=0) for some in videos.values()])


def mean_interval(values: Iterable[float]) -> Estimate:
    """The mean of independent values with its interval (BCa, scipy.stats.bootstrap), the same at every run.

    Equal values have an interval without width. Raises `UserError` if there are no values, or one is not finite.
    """
    sample = np.array([*values], dtype=np.float64)
    if sample.size == 0 or not np.isfinite(sample).all():
        raise UserError(f"values = {sample.tolist()} have no mean: give at least one number, all finite")
    mean = float(sample.mean())
    if sample.size == 1:
        return Estimate(mean, math.nan, math.nan, 1)
    if np.ptp(sample) == 0:
        return Estimate(mean, mean, mean, sample.size)
    batch, generator = max(1, 4_000_000 // sample.size), np.random.default_rng(_SEED)
    drawn = bootstrap((sample,), np.mean, n_resamples=RESAMPLES, batch=batch, rng=generator).confidence_interval
    return Estimate(mean, float(drawn.low), float(drawn.high), sample.size)


def difference(samples: Samples, baseline: Samples, name: str) -> Estimate | None:
    """The mean over images of a measure's paired difference; None where no video has a partner."""
    both = by_image(name, samples, baseline)
    return mean_interval(both[:, 0] - both[:, 1]) if len(both) else None


def comparison(here: Samples, there: Samples, measures: Iterable[Measure]) -> str:
    """`SSIM 0.766 instead of 0.384 (+0.381 [+0.359, +0.405])`, for each measure that both have."""
    said = []
    for measure in measures:
        if change := difference(here, there, measure.name):
            one, other = by_image(measure.name, here, there).mean(0)
            digits, shown = measure.digits, change.text(measure.digits, signed=True)
            said.append(
                f"{100 * one:.0f} % instead of {100 * other:.0f} % {measure.share}"
                if measure.share
                else f"{measure.heading} {number(one, digits)} instead of {number(other, digits)} ({shown})"
            )
    return ", ".join(said)

"""The report on the controls: a table for each, whose words in docs/control.md are written by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from lib_noiserect.core.motion_search import PROBE_STEPS
from lib_noiserect.evaluation.report import Part, bullets, facts
from lib_noiserect.evaluation.tables import RESAMPLES, Estimate, Line, Measure, Samples, Table, by_image, in_common, present
from lib_noiserect.evaluation.trials import Results

from .controls import AMOUNTS, AUTHORS, CONSTANT, CONTROLS, HALF, NOISING, WHOLE, Trial
from .long_videos import REPEATED, SHORT

Found: TypeAlias = Mapping[tuple[str, ...], dict[tuple[str, ...], Mapping[str, Any]]]
"""The samples of each case of a control, by its labels."""

_SSIM, _MOTION = Measure("ssim", "SSIM", 1, 2), Measure("motion", "motion, px/frame", 0, 2)
_WINDOW = "τ end"
_SEED = 4242


@dataclass(frozen=True)
class _Shown:
    """How a control is shown: the columns of its settings, those of its figures, and its sentences."""

    heading: str
    heads: tuple[str, ...]
    measures: tuple[Measure, ...]
    sentences: Callable[[Found], list[str]] = lambda found: []


def parts(results: Results) -> list[Part]:
    """A part for each control that has results; the dial has a second one, for the optical flow."""
    parts = []
    for name in CONTROLS:
        found = samples_of(results, name)
        if not found:
            continue
        table, shown = table_of(name, found), _SHOWN[name]
        count = max(len(some) for some in found.values())
        blocks = [table.markdown, bullets(shown.sentences(found)), facts(("Images", str(count)))]
        parts.append(Part(name, shown.heading, blocks))
        if name == "dial":
            flow, sentence = _flow(found)
            parts.append(Part("flow", "Motion amount and optical flow", [flow.markdown, bullets([sentence])]))
    return parts


def samples_of(results: Results, control: str) -> Found:
    """The figures of a control, by its cases in order."""
    found = {trial: values for trial, values in results.of(Trial).items() if trial.experiment == control}
    by_case: dict[tuple[str, ...], dict[tuple[str, ...], Mapping[str, Any]]] = {
        case.labels: {(f"{trial.picture:03d}",): values for trial, values in found.items() if trial.case == case.name}
        for case in CONTROLS[control]
    }
    return {labels: some for labels, some in by_case.items() if some}


def table_of(name: str, found: Found) -> Table:
    """The table of a control."""
    if name == "dial":
        return _dial(found)
    shown = _SHOWN[name]
    measures = present(shown.measures, list(found.values()))
    if name == "long":
        return _long(found, measures)
    lines = [Line.of(labels, some, measures) for labels, some in found.items()]
    return Table(name, shown.heads, lines, measures)


def ratio(here: Samples, there: Samples, name: str, other: str | None = None) -> Estimate:
    """The mean of a measure by the mean of `other` (default: the same), over the images that both have."""
    both = sorted(here.keys() & there.keys())
    return ratio_of_means(([here[key][name] for key in both], 1), ([there[key][other or name] for key in both], -1))


def ratio_of_means(*factors: tuple[Sequence[float], int]) -> Estimate:
    """A product of powers of means over the same images, such as mean motion / mean motion of another setting.

    The interval is a percentile bootstrap over images: a mean of ratios would hang on images that hardly move.

    Args:
        factors: figures by image and the power of their mean, such as `(here, 1), (there, -1)`.
    """
    figures, powers = np.array([values for values, _ in factors]), np.array([power for _, power in factors])
    count = figures.shape[1]
    draws = figures[:, np.random.default_rng(_SEED).integers(count, size=(RESAMPLES, count))].mean(-1)
    low, high = np.percentile(np.prod(draws ** powers[:, None], axis=0), (2.5, 97.5))
    middle = float(np.prod(figures.mean(1) ** powers))
    return Estimate(middle, *((float(low), float(high)) if count > 1 else (math.nan, math.nan)), count)


def _dial(found: Found) -> Table:
    """The share of the whole motion that is left, by the frames' mean change from the first one."""
    columns = {**{f"{amount:g}": f"Motion {amount:g}" for amount in AMOUNTS}, HALF: HALF}
    measures = tuple(Measure(name, heading, 0, 2) for name, heading in columns.items())
    lines = [
        Line(setting, {name: ratio(cases[name], cases[WHOLE], "change") for name in columns})
        for setting, cases in _dial_settings(found).items()
    ]
    return Table("dial", ("Sampler", "Steps"), lines, measures)


def _dial_settings(found: Found) -> dict[tuple[str, ...], dict[str, Samples]]:
    """The samplers and steps of which all cases have results, with those."""
    settings: dict[tuple[str, ...], dict[str, Samples]] = {}
    for (*setting, name), some in found.items():
        settings.setdefault(tuple(setting), {})[name] = some
    return {setting: cases for setting, cases in settings.items() if len(cases) == len(AMOUNTS) + 2}


def _dial_sentences(found: Found) -> list[str]:
    lines = _dial(found).lines
    off = [line.means[f"{amount:g}"].mean - amount for line in lines for amount in AMOUNTS]
    plain = [line.means[HALF].mean for line in lines]
    if not lines:
        return []
    return [
        f"No cell is more than {max(map(abs, off)):.2f} from its Motion amount. Constant ω = 0.5 with τ = 0.6 in steps keeps "
        f"{100 * min(plain):.0f} to {100 * max(plain):.0f} % of the motion."
    ]


def _flow(found: Found) -> tuple[Table, str]:
    """The share of the optical flow: of the dial's videos, and of exact blends of ω = 1 with its first frame."""
    measures, lines = [], []
    for amount in AMOUNTS:
        measures += [Measure(f"{amount:g}", f"Motion {amount:g}", 0, 2), Measure(f"blend {amount:g}", "its blend", 0, 2)]
    for setting, cases in _dial_settings(found).items():
        means = {}
        for amount in AMOUNTS:
            video, blend = f"{amount:g}", f"blend {amount:g}"
            means[video] = _point(ratio(cases[video], cases[WHOLE], "motion"))
            means[blend] = _point(ratio(cases[WHOLE], cases[WHOLE], blend, "motion"))
        lines.append(Line(setting, means))
    flows = {(line.labels, amount): line.means[f"{amount:g}"].mean for line in lines for amount in AMOUNTS}
    blends = {(line.labels, amount): line.means[f"blend {amount:g}"].mean for line in lines for amount in AMOUNTS}
    off = max((abs(flow - amount) for (_, amount), flow in flows.items()), default=0)
    apart = [abs(flow - blends[cell]) for cell, flow in flows.items()]
    sentence = (
        f"The flow of the videos differs from the Motion amount by up to {off:.2f}, and from the flow of the blends by up to "
        f"{max(apart, default=0):.2f} (median {np.median(apart or [0]):.2f})."
    )
    return Table("flow", ("Sampler", "Steps"), lines, measures), sentence


def _point(estimate: Estimate) -> Estimate:
    """Without its interval, which two figures a column have no place for."""
    return Estimate(estimate.mean, float("nan"), float("nan"), estimate.count)


def _levels_sentences(found: Found) -> list[str]:
    def spread(unit: str, name: str) -> float:
        means = [by_image(name, some).mean() for labels, some in found.items() if labels[-1] == unit]
        return float(max(means) - min(means))

    return [
        f"Between samplers and steps, {what} differs by {spread('steps', name):.2f} with τ in steps and by "
        f"{spread('noise level', name):.2f} with τ by noise level."
        for what, name in (("SSIM", "ssim"), ("change in 255ths", "change"))
    ]


def _target_sentences(found: Found) -> list[str]:
    ((_, some),) = found.items()
    reached = [values["ssim"] for values in some.values()]
    return [
        f"The videos have 25 steps and the short runs {PROBE_STEPS}. The SSIM of single videos is between {min(reached):.3f} "
        f"and {max(reached):.3f}."
    ]


def _long(found: Found, measures: tuple[Measure, ...]) -> Table:
    """Motion is also relative to the noised image, denoised freely in the same way."""
    lines = []
    for (way, name), some in found.items():
        if name == NOISING:
            continue
        line, free = Line.of((way, name), some, measures, more=(str(len(some)),)), found.get((way, NOISING), {})
        if some.keys() & free.keys():
            line = replace(line, means={**line.means, "relative": ratio(some, free, "motion")})
        lines.append(line)
    shown = (*measures, Measure("relative", "of noising alone", 0, 2))
    return Table("long", _SHOWN["long"].heads, lines, shown, ("Images",))


def _long_sentences(found: Found) -> list[str]:
    """How similar each part of the long videos is, and whether they lose more motion than one context does."""
    sentences = []
    if (REPEATED, CONSTANT) in found:
        frames = np.array([values["frames"] for _, values in sorted(found[REPEATED, CONSTANT].items())])
        groups = frames[:, : frames.shape[1] // 8 * 8].reshape(len(frames), -1, 8).mean(2)
        for what, means in (("in groups of eight frames, ω = 0.5", 0), ("of the whole video, scene by scene", 1)):
            sentences.append(f"SSIM {what}: {', '.join(f'{mean:.2f}' for mean in groups.mean(means))}.")
    for name in (AUTHORS, CONSTANT):
        cells = [(REPEATED, name), (REPEATED, NOISING), (SHORT, name), (SHORT, NOISING)]
        if all(cell in found for cell in cells):
            here = [in_common("motion", found[cell], found[cells[0]]).values() for cell in cells]
            factors = [([motion for motion, _ in values], power) for values, power in zip(here, (1, -1, -1, 1))]
            kept = ratio_of_means(*factors).text(2)
            sentences.append(f"The motion kept in 96 frames, divided by that kept in 16 frames, {name}: {kept}.")
    return sentences


_SHOWN = {
    "dial": _Shown("Motion amount", ("Sampler", "Steps"), (), _dial_sentences),
    "levels": _Shown(
        "τ by noise level",
        ("Sampler", "Steps", "τ in"),
        (Measure("covered", "window ends", 0, 2), _SSIM, Measure("change", "change, 255ths", 0, 1)),
        _levels_sentences,
    ),
    "loop": _Shown(
        "Seamless loop",
        (_WINDOW, "ω", "Seamless loop"),
        (Measure("closing", "last to first / mean step", 0, 2), _SSIM, _MOTION),
    ),
    "release": _Shown(
        "Window fade-out", (_WINDOW, "fade-out"), (Measure("first_step", "first step / mean step", 0, 2), _SSIM, _MOTION)
    ),
    "keys": _Shown(
        "Keyframes",
        (_WINDOW, "interpolation"),
        (
            Measure("ssim_first", "SSIM of the first frame", 1, 2),
            Measure("ssim_last", "of the last", 1, 2),
            Measure("last_step", "last step / mean", 0, 2),
            Measure("largest_step", "largest / mean", 0, 2),
            _MOTION,
        ),
    ),
    "mask": _Shown(
        "Motion mask",
        ("mask",),
        (
            Measure("ssim_outside", "SSIM outside", 1, 3),
            Measure("largest_outside", "largest change outside, 255ths", -1, 1),
            Measure("change_inside", "mean change inside, 255ths", 0, 1),
            Measure("seam", "gradient at the border", 0, 2),
        ),
    ),
    "color": _Shown(
        "Preserve color", (_WINDOW, "Preserve color"), (Measure("drift", "color drift, ΔE", -1, 1), _SSIM, _MOTION)
    ),
    "target": _Shown(
        "Target similarity",
        ("target",),
        (
            Measure("ssim", "SSIM of the video", 1, 3),
            Measure("uncorrected", "before the correction", 0, 3),
            Measure("amount", "Motion amount", 0, 2),
            Measure("probes", "short runs", 0, 1),
            Measure("time", "time of all runs / the video's", 0, 2),
        ),
        _target_sentences,
    ),
    "long": _Shown(
        "Long videos",
        ("video", "setting"),
        (Measure("ssim_quarters", "SSIM of the last quarter / first", 1, 2), _SSIM, _MOTION),
        _long_sentences,
    ),
}

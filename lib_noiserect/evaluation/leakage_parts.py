"""The parts of a report on conditional image leakage: a table for each experiment, differences and sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TypeAlias

from . import wording
from .bootstrap import Estimate, mean_interval, paired_difference
from .leakage import (
    BUILT_IN,
    EXPERIMENTS,
    KINDS,
    PLAIN,
    SIBLINGS,
    STARTS,
    TIME_NOISE,
    TIMES,
    WORLD,
    Experiment,
    Trial,
    read_trials,
)
from .parts import Part, html_facts, html_list, markdown_facts, markdown_list, markdown_table
from .tables import MEASURES, Measure

# What tells the lines of a table apart: model, time and statistics.
Setting: TypeAlias = tuple[str, float, str]
# Figures of one experiment: setting, then measure, then picture.
Figures: TypeAlias = Mapping[Setting, Mapping[str, Mapping[str, float]]]

_PREDICTED = (
    Measure("error_still", "Error, still", -1, 3, ""),
    Measure("error_moving", "Error, moving", -1, 3, ""),
    Measure("error_gap", "Moving less still", 0, 3, ""),
    Measure("motion_share", "Motion seen", 1, 3, ""),
)
_BY_NAME = {measure.name: measure for measure in MEASURES}
# What moves as the caption says, since the flow of all pixels takes flicker for motion too.
_CLIP = (
    Measure("speed", "Speed, px/frame", 0, 3, ""),
    *(_BY_NAME[name] for name in ("motion", "ssim", "ssim_first", "colour_drift", "warp_residual")),
)
_FOUND = tuple(measure for measure in _CLIP if measure.name not in ("motion", "colour_drift"))
_STATISTICS = {"none": "", **{kind: f", analytic ({kind})" for kind in KINDS}}
_ORDER = list(_STATISTICS)


@dataclass(frozen=True)
class _Kind:
    """How an experiment is shown: its heading and introduction, its columns, and what its lines are compared with."""

    heading: str
    introduction: str
    measures: tuple[Measure, ...]
    compared: str
    baseline: Callable[[Setting], Setting | None]
    findings: Callable[[Figures], list[str]]


def leakage_parts(folder: Path) -> list[Part]:
    """A part for each of these experiments that `folder` has figures of.

    Raises:
        EvaluationError: they are damaged.
    """
    found = read_trials(folder).values
    parts = []
    for experiment in EXPERIMENTS:
        some = {trial: figures for trial, figures in found.items() if trial.experiment == experiment}
        if some:
            parts.append(_part(experiment, some))
    return parts


def _part(experiment: Experiment, found: Mapping[Trial, Mapping[str, float]]) -> Part:
    kind, figures = _KINDS[experiment], dict[Setting, dict[str, dict[str, float]]]()
    for trial, values in found.items():
        setting = figures.setdefault((trial.model, trial.time, trial.statistics), {})
        gap = {"error_gap": values["error_moving"] - values["error_still"]} if "error_still" in values else {}
        for name, value in {**values, **gap}.items():
            setting.setdefault(name, {})[f"{trial.picture:03d}"] = value
    settings = sorted(figures, key=_place)
    means = [
        [_label(experiment, setting), *(_mean(figures[setting], measure) for measure in kind.measures)]
        for setting in settings
    ]
    differences = [
        [_label(experiment, setting), *(_change(figures, setting, other, measure) for measure in kind.measures)]
        for setting in settings
        if (other := kind.baseline(setting)) in figures and other != setting
    ]
    facts = [("Pictures", str(len({trial.picture for trial in found})))]
    if experiment != "leakage":
        for name, numbers in (("Steps", {t.steps for t in found}), ("Guidance", {t.guidance for t in found})):
            facts.append((name, ", ".join(f"{number:g}" for number in sorted(numbers))))
    head = ["Setting", *(measure.heading for measure in kind.measures)]
    found_sentences = kind.findings(figures)
    about = [markdown_facts(facts), kind.introduction, markdown_list(found_sentences), markdown_table(head, means)]
    html = html_facts(facts) + f"<p>{escape(kind.introduction)}</p>" + html_list(found_sentences) + _html(head, means)
    if differences:
        about += [f"{kind.compared}:", markdown_table(head, differences)]
        html += f"<p>{escape(kind.compared)}:</p>{_html(head, differences)}"
    return Part(experiment, kind.heading, "\n\n".join(filter(None, about)), html)


def _html(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(row(cells, "td") for cells in lines)
    return f'<div class="scroll"><table><thead>{row(head, "th")}</thead><tbody>{body}</tbody></table></div>'


def _place(setting: Setting) -> tuple[int, int, float]:
    models = [WORLD, *SIBLINGS, BUILT_IN]
    return models.index(setting[0]), _ORDER.index(setting[2]), -setting[1]


def _label(experiment: Experiment, setting: Setting) -> str:
    model, time, statistics = setting
    if model == WORLD:
        return "the world's own clips"
    if experiment == "time-noise":
        return "plain" if model == PLAIN else f"TimeNoise, {SIBLINGS[model]}"
    named = {PLAIN: "plain, ", TIME_NOISE: "TimeNoise, "}.get(model, "")
    sign = "t/T" if experiment == "leakage" else "M"
    return f"{named}{sign} = {time:.2f}{_STATISTICS[statistics]}"


def _mean(values: Mapping[str, Mapping[str, float]], measure: Measure) -> str:
    return _text(mean_interval(list(values[measure.name].values())), measure) if measure.name in values else "–"


def _difference(figures: Figures, setting: Setting, other: Setting | None, name: str) -> Estimate | None:
    if other is None or name not in figures.get(setting, {}) or name not in figures.get(other, {}):
        return None
    return paired_difference(figures[setting][name], figures[other][name])


def _change(figures: Figures, setting: Setting, other: Setting | None, measure: Measure) -> str:
    return _text(_difference(figures, setting, other, measure.name), measure, signed=True)


def _text(estimate: Estimate | None, measure: Measure, *, signed: bool = False) -> str:
    return "–" if estimate is None else wording.interval(estimate, measure.digits, signed=signed)


def _changes(figures: Figures, setting: Setting, other: Setting, measures: Sequence[Measure]) -> str:
    """What changes from `other` to `setting`, measure by measure; empty where one of them was not measured."""
    changes = []
    for measure in measures:
        change = _difference(figures, setting, other, measure.name)
        if change is None:
            return ""
        changes.append(f"{measure.heading} {wording.interval(change, measure.digits, signed=True)}")
    return ", ".join(changes)


def _sentences(
    figures: Figures, wanted: Sequence[tuple[str, Setting, Setting]], measures: Sequence[Measure]
) -> list[str]:
    return [f"{what}: {said}." for what, here, there in wanted if (said := _changes(figures, here, there, measures))]


def _leakage_findings(figures: Figures) -> list[str]:
    wanted = [
        (f"TimeNoise less plain at t/T = {t:.2f}", (TIME_NOISE, t, "none"), (PLAIN, t, "none")) for t in TIMES[-3:]
    ]
    return _sentences(figures, wanted, _PREDICTED)


def _start_findings(figures: Figures) -> list[str]:
    last = STARTS[-1]
    wanted = []
    for model, name in ((PLAIN, "Plain"), (TIME_NOISE, "TimeNoise")):
        first, late = (model, 1.0, "none"), (model, last, "none")
        wanted.append((f"{name}, from M = 1 to M = {last:.2f} with the plain start", late, first))
        for kind in ("mean", "conditional"):
            what = f"{name} at M = {last:.2f}, analytic ({kind}) less plain start"
            wanted.append((what, (model, last, kind), late))
    wanted.append(("TimeNoise less plain at M = 1", (TIME_NOISE, 1.0, "none"), (PLAIN, 1.0, "none")))
    return _sentences(figures, wanted, _FOUND)


def _time_noise_findings(figures: Figures) -> list[str]:
    def of(model: str) -> Setting:
        return (model, 1.0, "none")

    wanted = [
        ("TimeNoise (β_m = 4, a = 5) less plain", of(TIME_NOISE), of(PLAIN)),
        ("From β_m = 1 to β_m = 16", of("beta_m=16"), of("beta_m=1")),
        ("From a = 5 to a = 0.1", of("a=0.1"), of(TIME_NOISE)),
    ]
    return _sentences(figures, wanted, _FOUND)


def _rectified_findings(figures: Figures) -> list[str]:
    first = (BUILT_IN, 1.0, "none")
    wanted = [(f"From M = 1 to M = {time:.2f}", (BUILT_IN, time, "none"), first) for time in STARTS[1:]]
    for kind in KINDS:
        for time in STARTS[::2]:
            what = f"Analytic ({kind}) less noised picture at M = {time:.2f}"
            wanted.append((what, (BUILT_IN, time, kind), (BUILT_IN, time, "none")))
    return _sentences(figures, wanted, _FOUND)


_KINDS: Mapping[Experiment, _Kind] = {
    "leakage": _Kind(
        "Conditional image leakage: what is predicted from noise",
        "Image-conditioned models predict a clean clip from a noised one at once, beside its clean first frame: of scenes "
        "that stand still and of the same scenes moving at full speed, with the same noise. Error: mean square by the "
        "variance of the clip's latents. Moving less still: by how much a clip that moves is predicted worse than one that "
        "is the picture, the mark of leakage. Motion seen: the share of the real change from the first frame that the "
        "prediction has; 0 is a copy of the picture.",
        _PREDICTED,
        "TimeNoise less plain, at the same t and of the same pictures",
        lambda setting: (PLAIN, *setting[1:]) if setting[0] == TIME_NOISE else None,
        _leakage_findings,
    ),
    "start": _Kind(
        "Start time M and the analytic start of image-conditioned models",
        "Clips of 8 frames of held-out pictures, DDIM, all steps at every M. The plain start is standard normal; the "
        "analytic one is drawn from statistics of training clips. Motion is to be near the world's own clips of the same "
        "scenes, whose speeds neither picture nor caption tell. Speed: how far what moves goes a frame where its caption "
        "says, in pixels, by the flow of what differs from the median frame.",
        _CLIP,
        "Difference to M = 1 with the plain start, of the same model",
        lambda setting: (setting[0], 1.0, "none"),
        _start_findings,
    ),
    "time-noise": _Kind(
        "TimeNoise: β_m and a",
        "Image-conditioned models that were trained on from the same checkpoint by the same steps, at M = 1 with the plain "
        "start.",
        _CLIP,
        "Difference to plain training",
        lambda setting: (PLAIN, *setting[1:]) if setting[0] in SIBLINGS else None,
        _time_noise_findings,
    ),
    "rectified-start": _Kind(
        "Start time M and the analytic start with rectification",
        "The built-in text-to-video model, rectified as by default. The start is the noised picture, or what is drawn "
        "around it from statistics of training clips.",
        _CLIP,
        "Difference to M = 1 and the noised picture",
        lambda setting: (BUILT_IN, 1.0, "none"),
        _rectified_findings,
    ),
}

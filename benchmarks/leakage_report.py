"""The report on conditional image leakage: a table for each experiment, and sentences on the differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from lib_noiserect.evaluation.report import Part, bullets, facts, several
from lib_noiserect.evaluation.tables import BY_NAME, Line, Measure, Samples, Table, comparison
from lib_noiserect.evaluation.trials import Results
from lib_noiserect.methods.analytic_init import KINDS

from .leakage import (
    BUILT_IN,
    EXPERIMENTS,
    FOLLOWING,
    LATE,
    PAPER,
    PLAIN,
    RULES,
    SIBLINGS,
    STARTS,
    TIME_NOISE,
    TIMES,
    WORLD,
    Experiment,
    Trial,
)

Setting: TypeAlias = tuple[str, float, str]
"""The model, the time and the statistics of a line."""

_PREDICTED = (
    Measure("error_still", "Error, still", -1, 3),
    Measure("error_moving", "Error, moving", -1, 3),
    Measure("error_gap", "Moving less still", 0, 3),
    Measure("motion_share", "Motion seen", 1, 3),
)
# Things that move as the caption says, since the flow of all pixels takes flicker for motion too.
_VIDEO = (
    Measure("speed", "Speed, px/frame", 0, 3),
    *(BY_NAME[name] for name in ("motion", "ssim", "ssim_first", "colour_drift", "warp_residual")),
)
_CONTINUED = tuple(BY_NAME[name] for name in ("moving_psnr", "left_psnr", "way", "ghost", "ssim"))
_RECTIFIED_VIDEO = (*_CONTINUED, *(measure for measure in _VIDEO if measure.name != "ssim"))
# In a table, and not in the sentences above it.
_UNSAID = {_VIDEO: ("motion", "colour_drift"), _RECTIFIED_VIDEO: ("motion", "colour_drift", "ssim_first", "warp_residual")}
_STATISTICS = {"none": "", **{kind: f", analytic ({kind})" for kind in KINDS}}
_MODELS = [WORLD, *SIBLINGS, *(f"{PLAIN}{rule}" for rule in RULES if rule), BUILT_IN]


@dataclass(frozen=True)
class _Shown:
    """How an experiment is shown.

    Attributes:
        baseline: the setting that a setting is compared with, and `compared` its name.
        sentences: beginning, setting and the setting that it is compared with, of each sentence.
    """

    heading: str
    introduction: str
    measures: tuple[Measure, ...]
    compared: str
    baseline: Callable[[Setting], Setting | None]
    sentences: Sequence[tuple[str, Setting, Setting]]


def parts(results: Results) -> list[Part]:
    """A part for each experiment that has results."""
    found = results.of(Trial)
    by_name = {name: {trial: values for trial, values in found.items() if trial.experiment == name} for name in EXPERIMENTS}
    return [_part(name, some) for name, some in by_name.items() if some]


def _part(name: Experiment, found: Mapping[Trial, Mapping[str, Any]]) -> Part:
    shown, samples = _SHOWN[name], dict[Setting, dict[tuple[str, ...], Mapping[str, Any]]]()
    for trial, values in found.items():
        gap = {"error_gap": values["error_moving"] - values["error_still"]} if "error_still" in values else {}
        some = samples.setdefault((trial.model, trial.time, trial.statistics), {})
        some[(f"{trial.picture:03d}",)] = {**values, **gap}
    lines = []
    for setting in sorted(samples, key=_place):
        other = shown.baseline(setting)
        baseline: Samples = samples.get(other, {}) if other and other != setting else {}
        lines.append(Line.of((_label(name, setting),), samples[setting], shown.measures, baseline))
    conditions = [("Images", str(len({trial.picture for trial in found})))]
    if name != "leakage":
        conditions += [("Steps", several(t.steps for t in found)), ("Guidance", several(t.guidance for t in found))]
    said = [measure for measure in shown.measures if measure.name not in _UNSAID.get(shown.measures, ())]
    sentences = [
        f"{beginning}: {text}."
        for beginning, here, there in shown.sentences
        if (text := comparison(samples.get(here, {}), samples.get(there, {}), said))
    ]
    table = Table(name, ("Setting",), lines, shown.measures, baseline=shown.compared)
    return Part(name, shown.heading, [facts(*conditions), shown.introduction, bullets(sentences), table.markdown])


def _place(setting: Setting) -> tuple[int, int, float]:
    return _MODELS.index(setting[0]), list(_STATISTICS).index(setting[2]), -setting[1]


def _label(name: Experiment, setting: Setting) -> str:
    model, time, statistics = setting
    if model == WORLD:
        return "the world's own videos"
    if name == "time-noise":
        return "plain" if model == PLAIN else f"TimeNoise, {SIBLINGS[model]}"
    named = {BUILT_IN: "", TIME_NOISE: "TimeNoise, "}.get(model, f"{model}, ")
    sign = "t/T" if name == "leakage" else "M"
    return f"{named}{sign} = {time:.2f}{_STATISTICS[statistics]}"


def _at(model: str, time: float = 1.0, statistics: str = "none") -> Setting:
    return model, time, statistics


_LAST, _PAPER, _FOLLOWING = STARTS[-1], f"{PLAIN} + {PAPER}", f"{PLAIN} + {FOLLOWING}"
_RECTIFIED = ((_PAPER, "The paper's rule"), (_FOLLOWING, "Following the motion"))
_SHOWN: Mapping[Experiment, _Shown] = {
    "leakage": _Shown(
        "Conditional image leakage: predictions from noise",
        "Image-conditioned models predict a clean video from a noised one at once, with its clean first frame as the "
        "condition. The scenes stand still, or move at full speed, with the same noise. Error: mean square by the variance "
        "of the video's latents. Moving less still: how much worse the model predicts a video that moves than one that "
        "equals the image, the mark of leakage. Motion seen: the share of the real change from the first frame that the "
        "prediction has; a copy of the image has 0.",
        _PREDICTED,
        "plain training, at the same t and on the same images",
        lambda setting: (PLAIN, *setting[1:]) if setting[0] == TIME_NOISE else None,
        [(f"TimeNoise instead of plain at t/T = {t:.2f}", _at(TIME_NOISE, t), _at(PLAIN, t)) for t in TIMES[-3:]],
    ),
    "start": _Shown(
        "Start noise level M and initial noise statistics of image-conditioned models",
        "Videos of 8 frames from held-out images, DDIM, all steps at every M. The plain start is standard normal; the "
        "analytic start is drawn from statistics of training videos. The motion should be near that of the world's own "
        "videos of the same scenes, whose speeds neither image nor caption tell. Speed: how far things move a frame in the "
        "prompted direction, in pixels, by the flow of all that differs from the median frame.",
        _VIDEO,
        "M = 1 with the plain start, of the same model",
        lambda setting: _at(setting[0]),
        [
            *(
                sentence
                for model, name in ((PLAIN, "Plain"), (TIME_NOISE, "TimeNoise"))
                for sentence in (
                    (f"{name} at M = {_LAST:.2f} instead of M = 1, plain start", _at(model, _LAST), _at(model)),
                    *(
                        (
                            f"{name} at M = {_LAST:.2f}, analytic ({kind}) instead of plain start",
                            _at(model, _LAST, kind),
                            _at(model, _LAST),
                        )
                        for kind in ("mean", "conditional")
                    ),
                )
            ),
            ("TimeNoise instead of plain at M = 1", _at(TIME_NOISE), _at(PLAIN)),
        ],
    ),
    "time-noise": _Shown(
        "TimeNoise: β_m and a",
        "Image-conditioned models, trained from the same checkpoint by the same number of steps, at M = 1 with the plain "
        "start.",
        _VIDEO,
        "plain training",
        lambda setting: (PLAIN, *setting[1:]) if setting[0] in SIBLINGS else None,
        [
            ("TimeNoise (β_m = 4, a = 5) instead of plain", _at(TIME_NOISE), _at(PLAIN)),
            ("β_m = 16 instead of β_m = 1", _at("beta_m=16"), _at("beta_m=1")),
            ("a = 0.1 instead of a = 5", _at("a=0.1"), _at(TIME_NOISE)),
        ],
    ),
    "image-to-video": _Shown(
        "Rectification of a model that sees its image",
        "Videos of 8 frames from held-out images by the plain image-conditioned sibling, DDIM, with the same noise. Alone it "
        "starts from noise; with the authors' default rectification (τ = [0, 0.6]) from the noised image, and it sees the "
        "image as before. PSNR is to the world's own frames at the times that fit best; left places have one in videos where "
        "something has left its place. The training videos go 0.5 of the way on average.",
        _CONTINUED,
        "the sibling alone, from the same M and statistics",
        lambda setting: _at(PLAIN, *setting[1:]),
        [
            *((f"{said} at M = 1 instead of the sibling alone", _at(model), _at(PLAIN)) for model, said in _RECTIFIED),
            ("Following the motion instead of the paper's rule at M = 1", _at(_FOLLOWING), _at(_PAPER)),
            *(
                (f"{said} at M = {LATE:g}{_STATISTICS[kind]} instead of M = 1", _at(model, LATE, kind), _at(model))
                for model, said in ((PLAIN, "Alone"), *_RECTIFIED)
                for kind in ("none", "mean", "conditional")
            ),
        ],
    ),
    "rectified-start": _Shown(
        "Start noise level M and initial noise statistics with rectification",
        "The built-in text-to-video model with the default rectification. The start is the noised image, or noise around it "
        "that is drawn from statistics of training videos. PSNR is to the world's own frames at the times that fit best.",
        _RECTIFIED_VIDEO,
        "M = 1 and the noised image",
        lambda setting: _at(BUILT_IN),
        [
            *((f"M = {time:.2f} instead of M = 1", _at(BUILT_IN, time), _at(BUILT_IN)) for time in STARTS[1:]),
            *(
                (
                    f"Analytic ({kind}) instead of noised image at M = {time:.2f}",
                    _at(BUILT_IN, time, kind),
                    _at(BUILT_IN, time),
                )
                for kind in KINDS
                for time in STARTS[::2]
            ),
        ],
    ),
}

"""The parts of a report on clips of prompts alone: what each method makes of held-out captions, and what scorers choose."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ..methods.i4vgen import LOOKS
from ..tiny.world import FRAMES
from . import wording
from .bootstrap import Estimate, mean_interval, paired_difference
from .creation import CHOICE, METHODS, TRUE, Trial, made_path, read_creation
from .parts import Part, html_facts, html_list, markdown_facts, markdown_list, markdown_table, model_facts
from .plots import estimates_plot
from .runner import webp
from .tables import MEASURES, Measure

# A measure's figure of each prompt, by the prompt's number as text.
Values: TypeAlias = dict[str, float]

_BY_NAME = {measure.name: measure for measure in MEASURES}
_CLIP = (
    Measure("all_right", "Caption right", 1, 3, "share of frames with all that the caption names, says the oracle"),
    Measure(
        "words_right", "Words right", 1, 3, "share of creature, colour, ground and light that are right in a frame"
    ),
    _BY_NAME["follows_caption"],
    _BY_NAME["motion"],
    _BY_NAME["warp_residual"],
    Measure("steady", "Same words", 1, 3, "share of frames in which the oracle sees what it sees in most of the clip"),
    Measure(
        "distance",
        "Distance to true frames",
        -1,
        2,
        "to the nearest of 2,000 in the oracle's features; 1 is a true one's own",
    ),
    Measure("sharpness", "Sharpness, 255ths", 0, 2, "mean difference of neighbouring pixels"),
    Measure(
        "anchor", "SSIM to the picture", 1, 3, "structural similarity of the frames to the picture that was chosen"
    ),
    Measure("anchor_first", "SSIM, frame 0", 1, 3, "the same of the first frame"),
)
_CHOICE = (
    Measure(
        "same", "Oracle's choice", 1, 3, "how often the candidate that the oracle holds for the likeliest is taken"
    ),
    Measure("right", "Caption right", 1, 3, "how often the taken one has all that the caption names, says the oracle"),
    Measure("likely", "Log-probability", 1, 2, "of the caption in the taken one, says the oracle"),
)
_RANDOM, _MODEL, _ORACLE = "at random", "the model's own (default)", "the oracle itself"
_BASELINE, _SAME_CALLS = list(METHODS)[:2]
_AUTHORS, _RECTIFIED = list(METHODS)[2:4]
_SHOWN = 4
_PLOTTED = ("all_right", "motion", "warp_residual", "anchor")


def creation_parts(folder: Path) -> list[Part]:
    """A part for the clips and one for the choices, where `folder` has figures of them.

    Raises:
        EvaluationError: they are damaged.
        MissingPackageError: SciPy or matplotlib is not installed.
    """
    found = read_creation(folder).values
    clips = {trial: values for trial, values in found.items() if trial.what != CHOICE}
    choices = {trial: values for trial, values in found.items() if trial.what == CHOICE}
    return [
        *([_clips(clips, folder)] if clips else []),
        *([_choices(choices, folder)] if choices else []),
    ]


def _clips(found: Mapping[Trial, Mapping[str, float]], folder: Path) -> Part:
    figures = {
        what: {
            measure.name: _values(found, what, measure.name) for measure in _CLIP if _values(found, what, measure.name)
        }
        for what in (TRUE, *METHODS)
        if any(trial.what == what for trial in found)
    }
    steps = sorted({trial.steps for trial in found})
    head = ["Clips", "Calls", *(measure.heading for measure in _CLIP), "Prompts"]
    lines = [
        [what, _calls(what, steps), *(_mean(of.get(m.name), m) for m in _CLIP), str(len(of["all_right"]))]
        for what, of in figures.items()
    ]
    compared = [
        [what, _calls(what, steps), *(_change(of, figures[_BASELINE], m) for m in _CLIP[:8]), str(len(of["all_right"]))]
        for what, of in figures.items()
        if what not in (TRUE, _BASELINE) and _BASELINE in figures
    ]
    about = (
        "What is made of held-out captions by text-to-video alone, by I4VGen as its authors have it, and rectified towards "
        "the picture in between (the settings' defaults). Calls: of the model on a whole clip with guidance; of those that "
        "choose, which are without it, two count as one. The oracle is a small network that was trained on frames of the "
        "world itself (training/oracle.py)."
    )
    facts = [*model_facts(folder), *_facts(found)]
    measures = [(measure.heading, measure.explanation) for measure in _CLIP]
    sentences = _findings(figures)
    text = [
        markdown_facts(facts),
        about,
        markdown_list(sentences),
        markdown_table(head, lines),
        f"Difference to {_BASELINE}, of the same prompts and noise:",
        markdown_table([*head[:10], "Prompts"], compared),
        markdown_list([f"{name}: {said}." for name, said in measures]),
    ]
    plots = "".join(f"<figure>{_plot(figures, _measure(name))}</figure>" for name in _PLOTTED)
    html = [
        html_facts(facts),
        html_list(sentences),
        f"<p>{escape(about)}</p>",
        f'<div class="plots">{plots}</div>',
        _html_table(head, lines),
        f"<p>Difference to {_BASELINE}, of the same prompts and noise:</p>",
        _html_table([*head[:10], "Prompts"], compared),
        html_facts(measures),
        _gallery(found, folder),
    ]
    heading = "Clips of prompts alone: through a picture (I4VGen) or not"
    return Part("creation", heading, "\n\n".join(filter(None, text)), "".join(html))


def _choices(found: Mapping[Trial, Mapping[str, Any]], folder: Path) -> Part:
    taken = {name: dict[str, Values]() for name in _scorers()}
    for trial, values in found.items():
        right, likely = np.array(values["right"], float), np.array(values["likely"])
        best = likely.argmax()
        for name, weigh in _scorers().items():
            share = weigh(np.array(values["gains"]), likely)
            for measure, figure in (("same", share[best]), ("right", share @ right), ("likely", share @ likely)):
                taken[name].setdefault(measure, {})[_key(trial)] = float(figure)
    head = ["Scorer", *(measure.heading for measure in _CHOICE), "Difference to random: caption right"]
    lines = [
        [
            name,
            *(_mean(of[m.name], m) for m in _CHOICE),
            _change(of, taken[_RANDOM], _CHOICE[1]) if name != _RANDOM else "–",
        ]
        for name, of in taken.items()
    ]
    count = len(next(iter(found.values()))["likely"])
    about = (
        f"Of {count} candidates a prompt, which one is taken. The oracle knows the world; the model's own score knows no "
        "more than the model. Single looks are the same score at one timestep t alone, with the same noise. ImageReward, "
        "CLIP, PickScore and HPSv2 are not compared: their weights were not to be had, and they know nothing of this world."
    )
    facts = [*model_facts(folder), *_facts(found)]
    measures = [(measure.heading, measure.explanation) for measure in _CHOICE]
    text = [markdown_facts(facts), about, markdown_table(head, lines)]
    text.append(markdown_list([f"{name}: {said}." for name, said in measures]))
    html = html_facts(facts) + f"<p>{escape(about)}</p>" + _html_table(head, lines) + html_facts(measures)
    return Part("scorers", "What chooses among the candidates", "\n\n".join(text), html)


def _scorers() -> dict[str, Any]:
    """By name, what gives each candidate its chance of being taken, from the gains and the oracle's log-probabilities."""

    def taken(scores: Any) -> Any:
        return np.eye(len(scores))[scores.argmax()]

    looks = {f"one look, t = {look:g} T": _one_look(index) for index, look in enumerate(LOOKS)}
    return {
        _RANDOM: lambda gains, likely: np.full(len(likely), 1 / len(likely)),
        _MODEL: lambda gains, likely: taken(gains.mean(0)),
        "two looks, the noisiest": lambda gains, likely: taken(gains[:2].mean(0)),
        **looks,
        _ORACLE: lambda gains, likely: taken(likely),
    }


def _one_look(index: int) -> Any:
    return lambda gains, likely: np.eye(len(likely))[gains[index].argmax()]


def _findings(figures: Mapping[str, Mapping[str, Values]]) -> list[str]:
    """Method against method, where both were measured."""
    wanted = [(_AUTHORS, _BASELINE), (_RECTIFIED, _BASELINE), (_AUTHORS, _SAME_CALLS), (_RECTIFIED, _SAME_CALLS)]
    wanted += [(_RECTIFIED, _AUTHORS), *((name, _RECTIFIED) for name in list(METHODS)[4:])]
    measures = [
        _measure(name) for name in ("all_right", "follows_caption", "motion", "warp_residual", "distance", "anchor")
    ]
    return [
        f"{here[0].upper()}{here[1:]} against {there}: "
        + ", ".join(
            f"{m.heading} {_change(figures[here], figures[there], m)}"
            for m in measures
            if m.name in figures[here] and m.name in figures[there]
        )
        + "."
        for here, there in wanted
        if here in figures and there in figures
    ]


def _measure(name: str) -> Measure:
    return next(measure for measure in _CLIP if measure.name == name)


def _values(found: Mapping[Trial, Mapping[str, Any]], what: str, name: str) -> Values:
    """The finite figures of one measure, by prompt."""
    return {
        _key(trial): float(values[name])
        for trial, values in found.items()
        if trial.what == what and math.isfinite(values.get(name, math.nan))
    }


def _key(trial: Trial) -> str:
    return f"{trial.prompt:03d} {trial.steps} {trial.guidance} {trial.seed}"


def _estimate(values: Values) -> Estimate:
    return mean_interval([values[key] for key in sorted(values)])


def _mean(values: Values | None, measure: Measure) -> str:
    return wording.interval(_estimate(values), measure.digits) if values else "–"


def _change(here: Mapping[str, Values], there: Mapping[str, Values], measure: Measure) -> str:
    if measure.name not in here or measure.name not in there:
        return "–"
    return wording.interval(paired_difference(here[measure.name], there[measure.name]), measure.digits, signed=True)


def _calls(what: str, steps: Sequence[int]) -> str:
    if what == TRUE:
        return "–"
    return ", ".join(f"{METHODS[what].calls(each, FRAMES):g}" for each in steps)


def _facts(found: Mapping[Trial, Any]) -> list[tuple[str, str]]:
    return [
        ("Prompts", str(len({trial.prompt for trial in found}))),
        ("Sampler", "ddim"),
        ("Steps", ", ".join(str(steps) for steps in sorted({trial.steps for trial in found}))),
        ("Guidance", ", ".join(f"{scale:g}" for scale in sorted({trial.guidance for trial in found}))),
        ("Frames", str(FRAMES)),
    ]


def _plot(figures: Mapping[str, Mapping[str, Values]], measure: Measure) -> str:
    named = {what: _estimate(of[measure.name]) for what, of in figures.items() if measure.name in of}
    return estimates_plot(named, measure, f"creation {measure.name}")


def _html_table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(row(cells, "td") for cells in lines)
    return f'<div class="scroll"><table><thead>{row(head, "th")}</thead><tbody>{body}</tbody></table></div>'


def _gallery(found: Mapping[Trial, Any], folder: Path) -> str:
    """The clips of the first prompts."""
    order, shown = [TRUE, *METHODS], dict[int, str]()
    for trial in sorted(found, key=lambda trial: (trial.prompt, order.index(trial.what))):
        path = made_path(folder, trial)
        if trial.prompt < _SHOWN and path.is_file():
            with np.load(path) as made:
                encoded = base64.b64encode(webp(made["frames"])).decode()
            shown[trial.prompt] = shown.get(trial.prompt, "") + (
                f'<figure><img src="data:image/webp;base64,{encoded}" width="128" alt="{escape(trial.what)}">'
                f"<figcaption>{escape(trial.what)}</figcaption></figure>"
            )
    sets = "".join(f'<div class="clips"><div class="set"><div>{clips}</div></div></div>' for clips in shown.values())
    return f"<details open><summary>Clips</summary>{sets}</details>" if sets else ""

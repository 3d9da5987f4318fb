"""The report on videos of prompts alone: each method's videos, and what the scorers choose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from lib_noiserect.evaluation.model import model_facts
from lib_noiserect.evaluation.rectification import encoded
from lib_noiserect.evaluation.report import Html, Part, bullets, dot_plot, explained, facts, gallery, picture, plots, several
from lib_noiserect.evaluation.tables import BY_NAME, Line, Measure, Table, comparison, present
from lib_noiserect.evaluation.trials import Results
from lib_noiserect.methods.i4vgen import LOOKS
from lib_noiserect.tiny.world import FRAMES

from .creation import CHOICE, METHODS, TRUE, Trial, load_made

_VIDEO = (
    Measure(
        "all_right", "Caption right", 1, 3, "share of frames with everything that the caption names, by the oracle",
        "of the frames show the whole caption",
    ),
    Measure("words_right", "Words right", 1, 3, "share of creature, color, ground and light that are right in a frame"),
    BY_NAME["follows_caption"],
    BY_NAME["motion"],
    BY_NAME["warp_residual"],
    Measure("steady", "Same words", 1, 3, "share of frames in which the oracle sees the same as in most of the video"),
    Measure("distance", "Patch distance", -1, 2, "of 4 × 4 pixels to the nearest of 12,800 true ones; true frames have 1"),
    Measure("sharpness", "Sharpness, 255ths", 0, 2, "mean difference of neighboring pixels"),
    Measure("anchor", "SSIM to the image", 1, 3, "structural similarity of the frames to the selected image"),
    Measure("anchor_first", "SSIM, frame 0", 1, 3, "the same of the first frame"),
)  # fmt: skip
_CHOICE = (
    Measure("same", "Oracle's choice", 1, 3, "how often the scorer takes the candidate that is the oracle's likeliest"),
    Measure("right", "Caption right", 1, 3, "how often its candidate has everything that the caption names, by the oracle"),
    Measure("likely", "Log-probability", 1, 2, "of the caption in its candidate, by the oracle"),
)
_RANDOM, _MODEL, _ORACLE = "at random", "the model's own (default)", "the oracle itself"
_BASELINE, _SAME_CALLS, _AUTHORS, _RECTIFIED = list(METHODS)[:4]
_COMPARED = (
    (_AUTHORS, _BASELINE), (_RECTIFIED, _BASELINE), (_AUTHORS, _SAME_CALLS), (_RECTIFIED, _SAME_CALLS),
    (_RECTIFIED, _AUTHORS), *((name, _RECTIFIED) for name in list(METHODS)[4:]),
)  # fmt: skip
_IN_SENTENCES = ("all_right", "follows_caption", "motion", "warp_residual", "distance", "anchor")
_PLOTTED = ("all_right", "motion", "warp_residual", "anchor")
_SHOWN = 4
_ABOUT_VIDEOS = (
    "Held-out captions by text-to-video alone, by the original I4VGen, and rectified towards I4VGen's image, by the paper's "
    "rule and with Follow motion. Calls: of the model on a whole video with guidance; calls that choose have no guidance, "
    "and two of them count as one. The oracle is a small network, trained on frames of the world itself "
    "(training/oracle.py); its figures of the world's own videos are the best that it can give."
)
_ABOUT_CHOICES = (
    "Scorers choose among {} candidates a prompt. The oracle knows the world; the model's own score knows no more than the "
    "model. Single looks are the same score at one timestep t alone, with the same noise. ImageReward, CLIP, PickScore and "
    "HPSv2 are not compared: their weights were not available, and they know nothing of this world."
)

Found: TypeAlias = Mapping[Trial, Mapping[str, Any]]


def parts(results: Results) -> list[Part]:
    """A part for the videos and one for the choices, where there are results."""
    found = results.of(Trial)
    videos = {trial: values for trial, values in found.items() if trial.what != CHOICE}
    choices = {trial: values for trial, values in found.items() if trial.what == CHOICE}
    return [*([_videos(videos, results.folder)] if videos else []), *([_choices(choices, results.folder)] if choices else [])]


def _videos(found: Found, folder: Path) -> Part:
    samples = {
        what: {_key(trial): values for trial, values in found.items() if trial.what == what}
        for what in (TRUE, *METHODS)
        if any(trial.what == what for trial in found)
    }
    measures, steps = present(_VIDEO, list(samples.values())), sorted({trial.steps for trial in found})
    lines = []
    for what, some in samples.items():
        calls = "–" if what == TRUE else ", ".join(f"{METHODS[what].calls(each, FRAMES):g}" for each in steps)
        other = None if what in (TRUE, _BASELINE) else samples.get(_BASELINE)
        lines.append(Line.of((what,), some, measures, other, more=(calls, str(len(some)))))
    baseline = f"{_BASELINE}, of the same prompts and noise"
    table = Table("creation", ("Videos",), lines, measures, ("Calls", "Prompts"), baseline)
    said = [measure for measure in measures if measure.name in _IN_SENTENCES]
    sentences = [
        f"{here[0].upper()}{here[1:]} instead of {there}: {text}."
        for here, there in _COMPARED
        if (text := comparison(samples.get(here, {}), samples.get(there, {}), said))
    ]
    blocks = [
        facts(*model_facts(folder), *_conditions(found)),
        _ABOUT_VIDEOS,
        bullets(sentences),
        plots([dot_plot(table, measure) for measure in measures if measure.name in _PLOTTED]),
        table.markdown,
        explained(measures),
        _gallery(found, folder),
    ]
    return Part("creation", "Videos of prompts alone: through an image (I4VGen) or not", blocks)


def _choices(found: Found, folder: Path) -> Part:
    taken: dict[str, dict[tuple[Any, ...], dict[str, float]]] = {name: {} for name in _scorers()}
    for trial, values in found.items():
        right, likely = np.array(values["right"], float), np.array(values["likely"])
        for name, chances in _scorers().items():
            chance = chances(np.array(values["gains"]), likely)
            chosen = {"same": chance[likely.argmax()], "right": chance @ right, "likely": chance @ likely}
            taken[name][_key(trial)] = {measure: float(figure) for measure, figure in chosen.items()}
    lines = [Line.of((name,), some, _CHOICE, None if name == _RANDOM else taken[_RANDOM]) for name, some in taken.items()]
    blocks = [
        facts(*model_facts(folder), *_conditions(found)),
        _ABOUT_CHOICES.format(len(next(iter(found.values()))["likely"])),
        Table("scorers", ("Scorer",), lines, _CHOICE, baseline="a random choice").markdown,
        explained(_CHOICE),
    ]
    return Part("scorers", "Scorers that choose among the candidates", blocks)


def _scorers() -> dict[str, Callable[[Any, Any], Any]]:
    """By name: each candidate's chance to be taken, from the gains and the oracle's log-probabilities."""

    def best(scores: Any) -> Any:
        return np.eye(len(scores))[scores.argmax()]

    def one_look(index: int) -> Callable[[Any, Any], Any]:
        return lambda gains, likely: best(gains[index])

    return {
        _RANDOM: lambda gains, likely: np.full(len(likely), 1 / len(likely)),
        _MODEL: lambda gains, likely: best(gains.mean(0)),
        "two looks, the noisiest": lambda gains, likely: best(gains[:2].mean(0)),
        **{f"one look, t = {look:g} T": one_look(index) for index, look in enumerate(LOOKS)},
        _ORACLE: lambda gains, likely: best(likely),
    }


def _key(trial: Trial) -> tuple[str, ...]:
    return (f"{trial.prompt:03d} {trial.prompts} {trial.steps} {trial.guidance} {trial.seed}",)


def _conditions(found: Found) -> list[tuple[str, str]]:
    return [
        ("Prompts", str(len({(trial.prompt, trial.prompts) for trial in found}))),
        ("Sampler", "ddim"),
        ("Steps", several(trial.steps for trial in found)),
        ("Guidance", several(trial.guidance for trial in found)),
        ("Frames", str(FRAMES)),
    ]


def _gallery(found: Found, folder: Path) -> Html:
    """The videos of the first prompts."""
    order, rows = [TRUE, *METHODS], dict[int, dict[str, Html]]()
    for trial in sorted(found, key=lambda trial: (trial.prompt, order.index(trial.what))):
        if trial.prompt < _SHOWN and (made := load_made(folder, trial)):
            said = f"prompt {trial.prompt}, {trial.what}"
            rows.setdefault(trial.prompt, {})[said] = picture(encoded(made["frames"], "webp"), "webp", said)
    return gallery(rows.values())

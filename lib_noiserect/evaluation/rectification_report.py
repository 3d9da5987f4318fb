"""The report on the paper's experiments: for each a table, sentences, plots and videos."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from .model import model_facts
from .rectification import EXPERIMENTS, METHODS, Trial, kept_files, plan
from .report import COLORS, Html, Part, bullets, dot_plot, explained, facts, gallery, picture, plots, several, trade_off
from .tables import BY_NAME, MEASURES, Line, Table, comparison, in_common, present
from .trials import Family, Results

_SAID = {
    "methods": (
        "Methods and samplers",
        "The image is noised and denoised again. Noising does nothing else; fixed noise corrects towards the image's noise, "
        "as the paper prints it; pivot follows samplers that add fresh noise; following also follows what moves.",
    ),
    "omega": ("Motion per frame: ω", "The paper's Figure 5: constant weights, and the authors' falling ones."),
    "tau": ("Rectified steps: τ", "The paper's Figure 6: windows as fractions of the steps; [0, 0] is plain noising."),
}
_HOW_TO_READ = (
    "Means over the images, each in brackets with its 95 % interval (bootstrap over images, BCa; several videos of one "
    "image count as one). Differences are to plain noising of the same images, seeds and samplers, pair by pair. "
    "Motion share is the mean motion divided by that of plain noising."
)
_ALL_SAMPLERS = "all samplers"
_conditions_of = operator.attrgetter("steps", "guidance", "frames")
_PLOTTED = ("ssim", "moving_psnr", "ghost", "colour_drift", "motion")
_SSIM, _MOTION, _DRIFT, _MOVING, _WAY = (BY_NAME[name] for name in ("ssim", "motion", "colour_drift", "moving_psnr", "way"))

Found: TypeAlias = Mapping[Trial, Mapping[str, Any]]


def parts(results: Results) -> list[Part]:
    """How to read the tables, and a part for each experiment with results; none where there are no results."""
    found = results.of(Trial)
    reading = Part("reading", "How to read the tables", [_HOW_TO_READ, explained(MEASURES)])
    return [reading, *(_part(table, found, results.folder) for table in tables(found))] if found else []


def _part(table: Table, found: Found, folder: Path) -> Part:
    heading, introduction = _SAID[table.name]
    some = _of(table.name, found)
    made = facts(*model_facts(folder), *_conditions(some))
    blocks = [made, introduction, bullets(sentences(table)), _plots(table), table.markdown, _gallery(some, folder)]
    return Part(table.name, heading, blocks)


def tables(found: Found) -> list[Table]:
    """A table for each experiment that has results, in the paper's order."""
    return [_table(name, some, found) for name in EXPERIMENTS if (some := _of(name, found))]


def _of(experiment: str, found: Found) -> Found:
    return {trial: values for trial, values in found.items() if trial.experiment == experiment}


def _table(name: str, some: Found, found: Found) -> Table:
    measures = present(MEASURES, [_samples(some, some)])
    noising = _samples(found, [trial for trial in found if not trial.rectifies])
    settings = [(False, list(trials)) for _, trials in itertools.groupby(sorted(some, key=_setting), _setting)]
    if name == "methods" and len({trial.sampler for trial in some}) > 1:
        by_method = [[trial for trial in some if trial.method == method] for method in METHODS]
        settings = [(True, trials) for trials in by_method if trials] + settings
    lines = []
    for all_samplers, trials in settings:
        samples, first = _samples(some, trials), trials[0]
        group = _ALL_SAMPLERS if all_samplers else first.sampler
        if not all_samplers and len(set(map(_conditions_of, some))) > 1:
            group += f", {first.steps} steps, guidance {first.guidance:g}, {first.frames} frames"
        rectifies = any(trial.rectifies for trial in trials)
        motions = in_common("motion", samples, noising).values()
        motion, noisings = (sum(figures[index] for figures in motions) for index in (0, 1))
        more = (f"{100 * motion / noisings:.0f} %" if noisings > 0 else "–", str(len({trial.picture for trial in trials})))
        kind, baseline = (first.method, noising) if rectifies else ("noising", None)
        lines.append(Line.of((group, first.label), samples, measures, baseline, more=more, kind=kind))
    return Table(name, ("Sampler", "Setting"), lines, measures, ("Motion share", "Images"), "plain noising")


def _samples(found: Found, trials: Iterable[Trial]) -> dict[tuple[Any, ...], Mapping[str, Any]]:
    return {(trial.picture, trial.seed, trial.sampler, *_conditions_of(trial)): found[trial] for trial in trials}


def _setting(trial: Trial) -> tuple[Any, ...]:
    """What makes a line of a table, in the order of the lines."""
    omega = (isinstance(trial.omega, str), trial.omega)
    return (trial.sampler, _conditions_of(trial), METHODS.index(trial.method), trial.tau_start, trial.tau_end, omega)


def _conditions(found: Found) -> list[tuple[str, str]]:
    """What the results were made with: names and values."""
    columns = {"Samplers": "sampler", "Steps": "steps", "Guidance": "guidance", "Frames": "frames"}
    pairs = [("Images", str(len({trial.picture for trial in found}))), ("Videos", str(len({trial.same for trial in found})))]
    pairs += [(name, several(getattr(trial, column) for trial in found)) for name, column in columns.items()]
    pairs.append(("Seeds per image", str(len({trial.seed for trial in found}))))
    for name, column in (("CLIP model", "clip_model"), ("CLIP weights", "clip_weights")):
        if said := several(str(values[column]) for values in found.values() if values.get(column)):
            pairs.append((name, said))
    return pairs


def sentences(table: Table) -> list[str]:
    """What is kept of the image, and what it costs, in a few sentences."""
    if table.name == "methods":
        return _methods_findings(table)
    if table.name == "omega":  # constant weights have an order
        return _from_first_to_last([line for line in table.lines if "authors" not in line.label])
    return _tau_findings(table)


def _methods_findings(table: Table) -> list[str]:
    group = table.lines[0].group
    by_kind = {line.kind: line for line in table.lines if line.group == group}
    plain, found = by_kind.pop("noising", None), []
    for kind, line in by_kind.items():
        if plain and (said := comparison(line.samples, plain.samples, (_SSIM, _MOVING, _DRIFT))):
            found.append(f"{kind.capitalize()} instead of noising, {group}: {said}, {line.more[0]} of the motion.")
        if group == _ALL_SAMPLERS:
            same = [one for one in table.lines if one.label == line.label and one.group != group and "ssim" in one.means]
            found.append(f"{kind.capitalize()} by sampler, SSIM: {', '.join(f'{one.group} {_ssim(one)}' for one in same)}.")
    return found


def _tau_findings(table: Table) -> list[str]:
    """Windows that begin with the first step, in the order of their ends; and those that begin later."""
    lines = [line for line in table.lines if "ssim" in line.means]
    whole = [line for line in lines if line.label.startswith("τ = [0,")]
    late = [line for line in lines if line not in whole]
    found = _from_first_to_last(whole)
    values = [line.means["ssim"].mean for line in whole]
    if len(values) > 2:
        rises = "rises" if values == sorted(set(values)) else "does not always rise"
        found.append(f"SSIM {rises} as τ ends later: {', '.join(f'{value:.3f}' for value in values)}.")
    if late and whole:
        bars = [line.means["ssim"].low for line in whole if line.kind != "noising"]
        below = bars and all(line.means["ssim"].high < bars[0] for line in late)
        shown = ", ".join(f"{_ssim(line)} for {line.label}" for line in late)
        found.append(f"{'Windows that begin late keep less: ' if below else ''}SSIM {shown}.")
    return found


def _from_first_to_last(lines: Sequence[Line]) -> list[str]:
    lines = [line for line in lines if {"ssim", "motion"} <= line.means.keys()]
    if len(lines) < 2:
        return []
    (first, slow), (last, fast) = ((line, line.means["motion"].text(3)) for line in (lines[0], lines[-1]))
    return [
        f"From {first.label} to {last.label}, SSIM goes from {_ssim(first)} to {_ssim(last)}, "
        f"and motion from {slow} to {fast} pixels a frame."
    ]


def _ssim(line: Line) -> str:
    return line.means["ssim"].text(3)


def _plots(table: Table) -> Html:
    by_group = table.name == "methods"
    drawn = [dot_plot(table, BY_NAME[name], rows_are_groups=by_group) for name in _PLOTTED if BY_NAME[name] in table.measures]
    labels = () if by_group else [line.label.partition("= ")[2] for line in table.lines]
    for across, up in ((_MOTION, _SSIM), (_WAY, _MOVING)):
        if {across, up} <= set(table.measures):
            drawn.append(trade_off(table, across, up, labels))
    shown = {line.kind for line in table.lines}
    return plots(drawn, {kind: color for kind, color in COLORS.items() if kind in shown})


def _gallery(found: Found, folder: Path) -> Html:
    """The videos that were kept, each image's beside it."""
    rows: dict[str, dict[str, Html]] = {}
    for trial in sorted(found, key=_setting):
        video, image = (folder / name for name in kept_files(trial))
        if video.is_file() and image.is_file():
            row = rows.setdefault(trial.picture, {f"the image: {trial.caption}": picture(image.read_bytes(), "png", "")})
            said = f"{trial.sampler}, {trial.label}"
            row[said] = picture(video.read_bytes(), "webp", said)
    return gallery(rows.values())


FAMILIES = {"rectification": Family(EXPERIMENTS, Trial, plan, parts)}
"""The families that need nothing but a model and images, by name."""

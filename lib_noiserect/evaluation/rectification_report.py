"""The report on rectified images: a table for each of the paper's experiments, sentences, plots and videos."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .model import model_facts
from .parts import Block, Part, explained, facts, figures, findings, gallery, paragraph, picture, plots, several
from .plots import COLORS, dot_plot, trade_off
from .rectification import EXPERIMENTS, METHODS, Trial, image_path, video_path
from .tables import BY_NAME, MEASURES, Line, Measure, Samples, Table, cells_of, comparison, in_common, present
from .trials import Results

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
_PLOTTED = ("ssim", "moving_psnr", "ghost", "colour_drift", "motion")
_SSIM, _MOTION, _DRIFT, _MOVING, _WAY = (BY_NAME[name] for name in ("ssim", "motion", "colour_drift", "moving_psnr", "way"))

Found = Mapping[Trial, Mapping[str, Any]]


def parts(results: Results) -> list[Part]:
    """How to read the tables, and a part for each experiment with results; none where there are no results."""
    found = results.of(Trial)
    if not found:
        return []
    reading = Part("reading", "How to read the tables", [paragraph(_HOW_TO_READ), explained(MEASURES)])
    return [reading, *(_part(table, found, results.folder) for table in tables(found))]


def _part(table: Table, found: Found, folder: Path) -> Part:
    heading, introduction = _SAID[table.name]
    some = _of(table.name, found)
    blocks = [facts(*model_facts(folder), *_conditions(some)), paragraph(introduction), findings(sentences(table))]
    return Part(table.name, heading, [*blocks, _plots(table), figures(table), _gallery(some, folder)])


def tables(found: Found) -> list[Table]:
    """A table for each experiment that has results, in the paper's order."""
    baseline = _samples((trial, values) for trial, values in found.items() if not trial.rectifies)
    return [_table(name, some, baseline) for name in EXPERIMENTS if (some := _of(name, found))]


def _of(experiment: str, found: Found) -> Found:
    return {trial: values for trial, values in found.items() if trial.experiment == experiment}


def _table(name: str, found: Found, baseline: Samples) -> Table:
    measures = present(MEASURES, [_samples(found.items())])
    conditions = {trial.conditions for trial in found}
    settings: dict[tuple[Any, ...], list[Trial]] = {}
    for trial in sorted(found, key=lambda trial: (*_setting(trial), trial.picture, trial.seed)):
        settings.setdefault(_setting(trial), []).append(trial)
    groups = [(_group(some[0], len(conditions) > 1), some) for some in settings.values()]
    if name == "methods" and len({trial.sampler for trial in found}) > 1:
        by_method = [[trial for trial in found if trial.method == method] for method in METHODS]
        groups = [(_ALL_SAMPLERS, some) for some in by_method if some] + groups
    lines = tuple(_line(group, some, found, baseline, measures) for group, some in groups)
    return Table(name, ("Sampler", "Setting"), lines, measures, ("Motion share", "Images"), "plain noising")


def _line(group: str, some: list[Trial], found: Found, baseline: Samples, measures: Sequence[Measure]) -> Line:
    samples, first = _samples((trial, found[trial]) for trial in some), some[0]
    rectifies = any(trial.rectifies for trial in some)
    cells = cells_of(samples, baseline, measures, compare=rectifies)
    motion, noising = in_common(samples, baseline, "motion")
    share = f"{100 * sum(motion.values()) / sum(noising.values()):.0f} %" if sum(noising.values()) > 0 else "–"
    count = str(max((cell.mean.count for cell in cells.values()), default=0))
    return Line((group, first.label), cells, samples, (share, count), first.method if rectifies else "noising")


def _samples(found: Iterable[tuple[Trial, Mapping[str, Any]]]) -> Samples:
    return {(trial.picture, trial.seed, trial.sampler, *trial.conditions): values for trial, values in found}


def _setting(trial: Trial) -> tuple[Any, ...]:
    """What makes a line of a table, in the order of the lines."""
    omega = (1, trial.omega, ()) if isinstance(trial.omega, str) else (0, "", trial.omega)
    return (trial.sampler, trial.conditions, METHODS.index(trial.method), trial.tau_start, trial.tau_end, omega)


def _group(trial: Trial, several_conditions: bool) -> str:
    if not several_conditions:
        return trial.sampler
    return f"{trial.sampler}, {trial.steps} steps, guidance {trial.guidance:g}, {trial.frames} frames"


def _conditions(found: Found) -> list[tuple[str, str]]:
    """What the results were made with: names and values."""
    facts = [
        ("Images", f"{len({trial.picture for trial in found})}"),
        ("Videos", f"{len({trial.same for trial in found})}"),
        ("Samplers", ", ".join(sorted({trial.sampler for trial in found}))),
        ("Steps", several(trial.steps for trial in found)),
        ("Guidance", several(trial.guidance for trial in found)),
        ("Frames", several(trial.frames for trial in found)),
        ("Seeds per image", str(len({trial.seed for trial in found}))),
    ]
    for name, column in (("CLIP model", "clip_model"), ("CLIP weights", "clip_weights")):
        said = sorted({str(values[column]) for values in found.values() if values.get(column)})
        facts += [(name, ", ".join(said))] if said else []
    return facts


def sentences(table: Table) -> list[str]:
    """What is kept of the image, and what it costs, in a few sentences."""
    if table.name == "methods":
        return _methods_findings(table)
    if table.name == "omega":  # constant weights have an order
        return _from_first_to_last([line for line in table.lines if "authors" not in line.label])
    return _tau_findings(table)


def _methods_findings(table: Table) -> list[str]:
    group = table.lines[0].group
    plain = next((line for line in table.lines if line.group == group and line.kind == "noising"), None)
    found = []
    for line in table.lines:
        if line.group != group or line.kind == "noising":
            continue
        if plain and (said := comparison(line.samples, plain.samples, (_SSIM, _MOVING, _DRIFT))):
            found.append(f"{line.label.capitalize()} instead of noising, {group}: {said}, {line.more[0]} of the motion.")
        same = [one for one in table.lines if one.label == line.label and one.group != _ALL_SAMPLERS]
        if group == _ALL_SAMPLERS:
            by_sampler = ", ".join(f"{one.group} {one.text('ssim')}" for one in same if "ssim" in one.cells)
            found.append(f"{line.label.capitalize()} by sampler, SSIM: {by_sampler}.")
    return found


def _tau_findings(table: Table) -> list[str]:
    """Windows that begin with the first step, in the order of their ends; and those that begin later."""
    lines = [line for line in table.lines if "ssim" in line.cells]
    whole = [line for line in lines if line.label.startswith("τ = [0,")]
    late = [line for line in lines if line not in whole]
    found = _from_first_to_last(whole)
    values = [line.cells["ssim"].mean.mean for line in whole]
    if len(values) > 2:
        rises = all(one < other for one, other in zip(values, values[1:]))
        shown = ", ".join(f"{value:.3f}" for value in values)
        found.append(f"SSIM {'rises' if rises else 'does not always rise'} as τ ends later: {shown}.")
    if late and whole:
        rectifying = [line for line in whole if line.kind != "noising"]
        bar = rectifying[0].cells["ssim"].mean.low if rectifying else float("-inf")
        below = all(line.cells["ssim"].mean.high < bar for line in late)
        shown = ", ".join(f"{line.text('ssim')} for {line.label}" for line in late)
        found.append(f"{'Windows that begin late keep less: ' if below else ''}SSIM {shown}.")
    return found


def _from_first_to_last(lines: Sequence[Line]) -> list[str]:
    lines = [line for line in lines if {"ssim", "motion"} <= set(line.cells)]
    if len(lines) < 2:
        return []
    first, last = lines[0], lines[-1]
    return [
        f"From {first.label} to {last.label}, SSIM goes from {first.text('ssim')} to {last.text('ssim')}, "
        f"and motion from {first.text('motion')} to {last.text('motion')} pixels a frame."
    ]


def _plots(table: Table) -> Block:
    by_group = table.name == "methods"
    drawn = [dot_plot(table, BY_NAME[name], rows_are_groups=by_group) for name in _PLOTTED if BY_NAME[name] in table.measures]
    if {_MOTION, _SSIM} <= set(table.measures):
        labels = () if by_group else [line.label.partition("= ")[2] for line in table.lines]
        drawn.append(trade_off(table, _MOTION, _SSIM, labels))
        if {_WAY, _MOVING} <= set(table.measures):
            drawn.append(trade_off(table, _WAY, _MOVING, labels))
    shown = {line.kind for line in table.lines}
    return plots(drawn, {kind: color for kind, color in COLORS.items() if kind in shown})


def _gallery(found: Found, folder: Path) -> Block:
    """The videos that were kept: for each image the image itself, then a set of videos per sampler."""
    images: dict[str, dict[str, str]] = {}
    for trial in sorted(found, key=_setting):
        video, image = folder / video_path(trial), folder / image_path(trial)
        if video.is_file() and image.is_file():
            content = image.read_bytes()
            width = struct.unpack(">I", content[16:20])[0]  # of a PNG's header
            sets = images.setdefault(trial.picture, {"the image": picture(content, "png", width, trial.caption)})
            shown = picture(video.read_bytes(), "webp", width, trial.label)
            sets[trial.sampler] = sets.get(trial.sampler, "") + shown
    return gallery(list(images.values()))

"""docs/measured/control.md's tables; the words around them are written by hand."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lib_noiserect.core.motion_search import PROBE_STEPS
from lib_noiserect.evaluation.bootstrap import mean_interval

from .clips import NUMBERS, SAMPLERS, SEED, STEPS, Figures

OMEGAS = {"authors": "authors, τ = 0.6", "half": "ω = 0.5, τ = 1"}
"""Of long clips."""


def mean(found: list[Figures], name: str, digits: int = 2) -> str:
    """`1.05 [0.98, 1.12]`."""
    estimate = mean_interval([one[name] for one in found])
    if len(found) == 1:
        return f"{estimate.mean:.{digits}f}"
    return f"{estimate.mean:.{digits}f} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"


def average(found: list[Figures], name: str) -> float:
    return float(np.mean([one[name] for one in found]))


def table(heads: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [heads, ["---"] * len(heads), *rows])


def ratio(found: list[Figures], above: str, below: str) -> tuple[float, float, float]:
    """The ratio of two means over the pictures, and its 95 % interval: single pictures may hardly move even with ω = 1."""
    pairs = np.array([[one[above], one[below]] for one in found])
    draws = pairs[np.random.default_rng(SEED).integers(len(pairs), size=(4999, len(pairs)))].mean(1)
    low, high = np.percentile(draws[:, 0] / draws[:, 1], (2.5, 97.5))
    return float(pairs[:, 0].mean() / pairs[:, 1].mean()), float(low), float(high)


def share(found: dict[int, list[Figures]], sampler: str, steps: int, name: str, figure: str = "change") -> float:
    return ratio(found[steps], f"{sampler}|{name}|{figure}", f"{sampler}|whole|{figure}")[0]


def by_steps(found: dict[str, list[Figures]]) -> dict[int, list[Figures]]:
    return {steps: found[f"dial_{steps}"] for steps in STEPS if f"dial_{steps}" in found}


def dial_table(found: dict[int, list[Figures]]) -> str:
    names = [*(str(number) for number in NUMBERS), "ω = 0.5"]
    cells = [(sampler, steps) for sampler in SAMPLERS for steps in found]
    rows = []
    for sampler, steps in cells:
        shares = [ratio(found[steps], f"{sampler}|{name}|change", f"{sampler}|whole|change") for name in names]
        rows.append([sampler, str(steps), *(f"{mid:.2f} [{low:.2f}, {high:.2f}]" for mid, low, high in shares)])
    worst = max((share(found, *cell, str(number)) - number for cell in cells for number in NUMBERS), key=abs)
    plain = [share(found, *cell, "ω = 0.5") for cell in cells]
    said = (
        f"The largest deviation of a cell from its number is {worst:+.2f}. "
        f"Constant ω = 0.5 with τ = 0.6 in steps gives shares from {min(plain):.2f} to {max(plain):.2f} over the same cells."
    )
    heads = ["sampler", "steps", *(f"Motion {number}" for number in NUMBERS), "ω = 0.5, τ = 0.6"]
    counts = " and ".join(f"{len(pictures)} at {steps} steps" for steps, pictures in found.items())
    return table(heads, rows) + f"\n\n{said}\n\nPictures: {counts}."


def flow_table(found: dict[int, list[Figures]]) -> str:
    """The share of the optical flow: of the dial's clips, and of the exact blends of ω = 1 with its first frame."""
    cells = [(sampler, steps) for sampler in SAMPLERS for steps in found]
    rows, apart, off = [], list[float](), list[float]()
    for sampler, steps in cells:
        flows, blends = (
            [ratio(found[steps], f"{sampler}|{number}|{figure}", f"{sampler}|whole|flow")[0] for number in NUMBERS]
            for figure in ("flow", "blend")
        )
        apart += [flow - blend for flow, blend in zip(flows, blends, strict=True)]
        off += [flow - number for flow, number in zip(flows, NUMBERS, strict=True)]
        rows.append([sampler, str(steps), *(f"{flow:.2f}, {one:.2f}" for flow, one in zip(flows, blends, strict=True))])
    said = (
        f"The clips' flow is off by up to {max(off, key=abs):+.2f} from the number, and by up to {max(apart, key=abs):+.2f} "
        f"(in the middle {np.median(np.abs(apart)):.2f}) from that of the blend."
    )
    heads = ["sampler", "steps", *(f"Motion {number}: flow, of the blend" for number in NUMBERS)]
    return table(heads, rows) + f"\n\n{said}"


def loop_table(found: list[Figures]) -> str:
    rows = [
        [f"{tau_end}", omega, "on" if on else "off"]
        + [mean(found, f"{tau_end}|{omega}|{on}|{name}") for name in ("ratio", "ssim", "motion")]
        for tau_end in (1.0, 0.6)
        for omega in ("constant", "authors")
        for on in (False, True)
    ]
    return table(["τ end", "ω", "Loop", "last to first / mean step", "SSIM", "motion, px a frame"], rows)


def release_table(found: list[Figures]) -> str:
    rows = [
        [f"{tau_end}", f"{over:g}", *(mean(found, f"{tau_end}|{over}|{name}") for name in ("ratio", "ssim", "motion"))]
        for tau_end in (0.4, 0.6)
        for over in (0.0, 0.2, 0.4)
    ]
    return table(["τ end", "Soft release", "first jump / mean jump", "SSIM", "motion, px a frame"], rows)


def keys_table(found: list[Figures]) -> str:
    names = ("first", "last", "into", "largest", "motion")
    rows = [
        [f"{tau_end}", way, *(mean(found, f"{tau_end}|{way}|{name}") for name in names)]
        for tau_end in (1.0, 0.6)
        for way in ("slerp", "hold")
    ]
    heads = [
        "τ end",
        "between",
        "SSIM of the first frame",
        "of the last",
        "last jump / mean",
        "largest / mean",
        "motion",
    ]
    return table(heads, rows)


def mask_table(found: list[Figures]) -> str:
    said = {"none": "no mask", "0": "feather 0", "1": "feather 1", "2": "feather 2"}
    digits = {"ssim": 3, "largest": 1, "moved": 1, "seam": 2}
    rows = [
        [text, *(mean(found, f"{name}|{figure}", places) for figure, places in digits.items())]
        for name, text in said.items()
    ]
    heads = [
        "",
        "SSIM outside",
        "largest change outside, 255ths",
        "mean change inside, 255ths",
        "gradient at the border",
    ]
    return table(heads, rows)


def levels_table(found: list[Figures]) -> str:
    rows = []
    for sampler in SAMPLERS[:2]:
        for steps in STEPS:
            cells = [f"{unit}|{sampler}|{steps}" for unit in ("steps", "noise level")]
            row = [f"{average(found, f'{cell}|covered'):.2f}" for cell in cells]
            row += [mean(found, f"{cell}|ssim") for cell in cells] + [
                mean(found, f"{cell}|change", 1) for cell in cells
            ]
            rows.append([sampler, str(steps), *row])
    heads = [
        "sampler",
        "steps",
        "window ends: steps",
        "noise level",
        "SSIM: steps",
        "noise level",
        "change: steps",
        "noise level",
    ]
    said = "Largest less smallest over the six cells: " + "; ".join(
        f"{name} {spread(found, 'steps', figure):.2f} in steps and {spread(found, 'noise level', figure):.2f} by noise level"
        for name, figure in (("SSIM", "ssim"), ("change in 255ths", "change"))
    )
    return table(heads, rows) + f"\n\n{said}."


def spread(found: list[Figures], unit: str, figure: str) -> float:
    means = [average(found, f"{unit}|{sampler}|{steps}|{figure}") for sampler in SAMPLERS[:2] for steps in STEPS]
    return max(means) - min(means)


def colour_table(found: list[Figures]) -> str:
    rows = [
        [f"{tau_end}", "on" if hold else "off"]
        + [
            mean(found, f"{tau_end}|{hold}|{name}", places)
            for name, places in (("drift", 1), ("ssim", 2), ("motion", 2))
        ]
        for tau_end in (0.2, 0.4, 0.6)
        for hold in (False, True)
    ]
    return table(["τ end", "Hold colour", "colour drift, ΔE", "SSIM", "motion, px a frame"], rows)


def long_table(ways: dict[str, str], found: list[Figures]) -> str:
    """Rows of the ways of making a clip; motion is relative to the noised picture, denoised freely in the same way."""
    rows = []
    for way, text in ways.items():
        for omega, settings in OMEGAS.items():
            cell, free = f"{way}|{omega}", f"{way}|noising|motion"
            here = [one for one in found if f"{cell}|ratio" in one]
            if not here:
                continue
            rows.append([text, settings, *(mean(here, f"{cell}|{name}") for name in ("ratio", "ssim", "motion"))])
            both = [one for one in here if free in one]
            relative = "{:.2f} [{:.2f}, {:.2f}]".format(*ratio(both, f"{cell}|motion", free)) if len(both) > 1 else "–"
            rows[-1] += [relative, str(len(here)) if len(both) in (0, len(here)) else f"{len(here)}, {len(both)}"]
    heads = [
        "clip",
        "",
        "SSIM of the last quarter / first",
        "SSIM",
        "motion, px a frame",
        "of noising alone",
        "pictures",
    ]
    return table(heads, rows)


def windows_table(found: list[Figures]) -> str:
    """The long clips in windows beside those of one context, and what that says of similarity and of motion."""
    shown = long_table({"16 frames": "16 frames", "repeated": "96, windows, repeated noise"}, found)
    groups = np.array([one["repeated|half|frames"] for one in found]).reshape(len(found), -1, 8).mean(2)
    kept = []
    for omega, text in OMEGAS.items():
        mid, low, high = kept_by_both(found, omega)
        kept.append(f"{text}: {mid:.2f} [{low:.2f}, {high:.2f}]")
    said = [
        "SSIM in groups of eight frames, ω = 0.5: " + ", ".join(f"{one:.2f}" for one in groups.mean(0)) + ".",
        "Of the whole clip, scene by scene: " + ", ".join(f"{one:.2f}" for one in groups.mean(1)) + ".",
        "The share of the motion that 96 frames keep, over that which 16 frames keep, " + "; ".join(kept) + ".",
    ]
    return shown + "\n\n" + "\n".join(f"- {one}" for one in said)


def kept_by_both(found: list[Figures], omega: str) -> tuple[float, float, float]:
    """(Motion of the long clips / of their noising alone) / (the same of 16 frames), and its 95 % interval over scenes."""
    names = ("repeated|{}|motion", "repeated|noising|motion", "16 frames|{}|motion", "16 frames|noising|motion")
    figures = np.array([[one[name.format(omega)] for name in names] for one in found])
    draws = figures[np.random.default_rng(SEED).integers(len(figures), size=(4999, len(figures)))].mean(1)
    (mid,) = _twice(figures.mean(0)[None])
    low, high = np.percentile(_twice(draws), (2.5, 97.5))
    return float(mid), float(low), float(high)


def _twice(means: np.ndarray) -> np.ndarray:
    return means[:, 0] / means[:, 1] / (means[:, 2] / means[:, 3])


def cost_table(found: list[Figures]) -> str:
    return (
        "Reference and formula take "
        + ", ".join(f"{found[0][str(frames)]:.0f} µs a frame at {frames}" for frames in (16, 48, 96))
        + " frames (latents of 64 × 64, one thread): in proportion to the frames. Whole clips in windows take "
        + ", ".join(f"{found[0][f'clip of {frames}']:.3f} s a frame at {frames}" for frames in (48, 96, 192))
        + " (the built-in model, 3 steps, time of one core)."
    )


def target_table(found: list[Figures]) -> str:
    rows = [
        [
            mean(found, "ssim", 3),
            mean(found, "uncorrected", 3),
            mean(found, "motion"),
            mean(found, "probes", 1),
            mean(found, "time"),
        ]
    ]
    reached = [one["ssim"] for one in found]
    heads = [
        "SSIM of the clip",
        "before it was corrected",
        "Motion found",
        "short runs",
        "time of all runs / the clip's",
    ]
    said = (
        f"The clips have 25 steps and the short runs {PROBE_STEPS}; the clips' SSIM goes from {min(reached):.3f} to "
        f"{max(reached):.3f}."
    )
    return table(heads, rows) + f"\n\n{said}"


TABLES: dict[str, Callable[[list[Figures]], str]] = {
    "levels": levels_table,
    "loop": loop_table,
    "release": release_table,
    "keys": keys_table,
    "mask": mask_table,
    "colour": colour_table,
    "target": target_table,
    "long": windows_table,
    "long_plain": functools.partial(long_table, {"plain": "96, windows, noise of its own"}),
    "long_chained": functools.partial(
        long_table,
        {
            "repeated, chained": "96, windows, repeated noise, chained",
            "plain, chained": "96, windows, noise of its own, chained",
        },
    ),
    "freenoise": functools.partial(long_table, {"FreeNoise": "96, FreeNoise"}),
    "cost": cost_table,
}


COUNTED = {"cost", "long", "long_plain", "long_chained", "freenoise"}
"""Those that say themselves how many pictures there were."""


def write_tables(found: dict[str, list[Figures]], page: Path) -> None:
    """Puts each table between its marks in the page; its words are written by hand."""
    tables = {
        name: made_table(found[name]) + ("" if name in COUNTED else f"\n\nPictures: {len(found[name])}.")
        for name, made_table in TABLES.items()
        if name in found
    }
    if by_steps(found):
        tables["dial"], tables["flow"] = dial_table(by_steps(found)), flow_table(by_steps(found))
    text = page.read_text(encoding="utf-8")
    for name, shown in tables.items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        before, rest = text.split(begin)
        text = f"{before}{begin}\n{shown}\n{end}{rest.split(end)[1]}"
    page.write_text(text, encoding="utf-8")

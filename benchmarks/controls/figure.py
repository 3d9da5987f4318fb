"""docs/pictures/control.png."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .clips import NUMBERS, SAMPLERS, STEPS, Figures
from .tables import average, by_steps, share


def draw(found: dict[str, list[Figures]], path: Path) -> None:
    from matplotlib.figure import Figure

    ink, blue, orange, light = "#30343b", "#2a6a9e", "#c8642b", "#c9ced6"
    figure = Figure(figsize=(10.5, 6.2), dpi=130, layout="constrained", facecolor="white")
    (first, second, third), (fourth, fifth, sixth) = figure.subplots(2, 3)

    dials = by_steps(found)
    first.plot([0, 1], [0, 1], color=light, zorder=0)
    for index, sampler in enumerate(SAMPLERS):
        at = [(number, steps) for number in NUMBERS for steps in dials]
        shares = [share(dials, sampler, steps, str(number)) for number, steps in at]
        places = [number + 0.015 * (index - 1) for number, _ in at]
        first.plot(places, shares, "o^s"[index], color=blue, markersize=5, alpha=0.75, label=sampler)
    plain = [share(dials, sampler, steps, "ω = 0.5") for sampler in SAMPLERS for steps in dials]
    first.plot([0.97] * len(plain), plain, "_", color=orange, markersize=12, label="ω = 0.5, τ = 0.6")
    first.set(xlim=(0, 1.05), ylim=(0, 1.2), xlabel="Motion", ylabel="share of the motion, measured")
    first.set_title("One number for every sampler", loc="left")
    first.legend(frameon=False, loc="upper left")

    for sampler, style in zip(SAMPLERS[:2], ("-", "--")):
        for unit, colour_of in (("steps", orange), ("noise level", blue)):
            values = [average(found["levels"], f"{unit}|{sampler}|{steps}|ssim") for steps in STEPS]
            second.plot(STEPS, values, style, marker="o", color=colour_of, label=f"{unit}, {sampler}")
    second.set(xticks=STEPS, xlabel="steps", ylabel="SSIM to the picture", ylim=(0.6, 0.85))
    second.set_title("τ = 0.6 in steps and by noise level", loc="left")
    second.legend(frameon=False)

    bars(
        third,
        found["loop"],
        [(t, f"{t}|constant|False|ratio", f"{t}|constant|True|ratio") for t in (0.6, 1.0)],
        blue,
        light,
    )
    third.set(ylabel="last to first / mean step", xlabel="τ end", ylim=(0, 3.4))
    third.axhline(1, color=ink, linewidth=0.8, linestyle=":")
    third.set_title("Loop", loc="left")
    third.legend(["an ordinary step", "off", "on"], frameon=False)

    for over, shade in ((0.0, light), (0.2, "#84a9c6"), (0.4, blue)):
        heights = [average(found["release"], f"{tau_end}|{over}|ratio") for tau_end in (0.4, 0.6)]
        fourth.bar([index + (over - 0.2) * 1.35 for index in range(2)], heights, 0.25, color=shade, label=f"{over:g}")
    fourth.axhline(1, color=ink, linewidth=0.8, linestyle=":")
    fourth.set(
        xticks=[0, 1], xticklabels=["0.4", "0.6"], xlabel="τ end", ylabel="first jump / mean jump", ylim=(0, 3.4)
    )
    fourth.set_title("Soft release after a kept first frame", loc="left")
    fourth.legend(frameon=False, title="release", title_fontsize=7.5, ncols=3, loc="upper right")

    bars(fifth, found["colour"], [(t, f"{t}|False|drift", f"{t}|True|drift") for t in (0.2, 0.4, 0.6)], blue, light)
    fifth.set(ylabel="colour drift, ΔE", xlabel="τ end")
    fifth.set_title("Hold colour", loc="left")
    fifth.legend(["off", "on"], frameon=False)

    looks = {"FreeNoise": ("freenoise", blue), "repeated": ("long", orange), "plain": ("long_plain", light)}
    for way, (measurement, shade) in looks.items():
        frames = np.mean([one[f"{way}|half|frames"] for one in found[measurement]], axis=0)
        label = way if way == "FreeNoise" else f"windows, {way} noise"
        sixth.plot(np.convolve(frames, np.ones(8) / 8, "valid"), color=shade, label=label)
    sixth.set(xlabel="frame", ylabel="SSIM to the picture", ylim=(0.5, 1))
    sixth.set_title("96 frames, ω = 0.5, τ = 1", loc="left")
    sixth.legend(frameon=False)

    for axes in figure.axes:
        axes.set_title(axes.get_title("left"), loc="left", color=ink, fontsize=10)
        axes.tick_params(colors=ink, labelsize=8)
        axes.xaxis.label.set(color=ink, fontsize=8.5)
        axes.yaxis.label.set(color=ink, fontsize=8.5)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(light)
        for text in axes.get_legend().get_texts():
            text.set(fontsize=7.5, color=ink)
    figure.savefig(path)


def bars(axes: Any, found: list[Figures], pairs: list[tuple[float, str, str]], on: str, off: str) -> None:
    for shift, shade, name in ((-0.2, off, 1), (0.2, on, 2)):
        axes.bar(
            [index + shift for index in range(len(pairs))],
            [average(found, pair[name]) for pair in pairs],
            0.38,
            color=shade,
        )
    axes.set(xticks=range(len(pairs)), xticklabels=[f"{pair[0]:g}" for pair in pairs])

"""Draws the pictures of the docs: control.png and created.jpg from complete results of the benchmarks, and clip.gif anew.

python -m benchmarks -o FOLDER --experiments controls creation --processes 2 --bfloat16
python docs/pictures/draw.py FOLDER
python docs/pictures/draw.py clip
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


from benchmarks.controls import AMOUNTS, CONSTANT, CONTROLS, HALF, SAMPLERS, STEPS
from benchmarks.controls_report import samples_of, table_of
from benchmarks.creation import Trial, load_made
from benchmarks.families import results_in
from benchmarks.long_videos import FREENOISE, FRESH, REPEATED
from lib_noiserect.core.settings import Settings
from lib_noiserect.evaluation.trials import Results
from lib_noiserect.media.images import read_image
from lib_noiserect.pipelines.animation import animate
from lib_noiserect.pipelines.loading import load
from lib_noiserect.tiny.world import held_out_scenes

_INK, _BLUE, _ORANGE, _LIGHT, _MIDDLE = "#30343b", "#2a6a9e", "#c8642b", "#c9ced6", "#84a9c6"
_CREATED, _PROMPTS, _EVERY = ("text alone", "I4VGen", "rectified", "rectified, following"), 3, 3


def draw(results: Results, folder: Path) -> list[Path]:
    """Draw the pictures whose results are complete, and return their files."""
    files = []
    if all(samples_of(results, name) for name in CONTROLS):
        files.append(_draw_controls(results, folder / "control.png"))
    if any(trial.what == _CREATED[0] and trial.prompt == _PROMPTS - 1 for trial in results.of(Trial)):
        files.append(_draw_created(results, folder / "created.jpg"))
    return files


def _draw_created(results: Results, path: Path) -> Path:
    """The first three prompts, which nobody has selected."""
    trials = {(trial.prompt, trial.what): trial for trial in results.of(Trial)}
    captions = held_out_scenes(trials[0, _CREATED[0]].prompts).captions
    figure = Figure(figsize=(8.8, 15.2), layout="constrained")
    for prompt, part in enumerate(figure.subfigures(_PROMPTS, 1)):
        part.suptitle(captions[prompt], fontsize=12)
        for axes, what in zip(part.subplots(len(_CREATED), 1), _CREATED):
            made = load_made(results.folder, trials[prompt, what]) or {}
            frames = made["frames"][::_EVERY]
            image = made.get("anchor", np.full_like(frames[0], 255))
            gap = np.full((frames.shape[1], 6, 3), 255, np.uint8)
            axes.imshow(np.concatenate([image, gap, *frames], axis=1))
            axes.set_ylabel(what.replace(", ", ",\n"), rotation=0, ha="right", va="center")
            places = [32, *(102 + 64 * index for index in range(len(frames)))]
            names = ["image", *(f"frame {_EVERY * index}" for index in range(len(frames)))]
            axes.set_xticks(places, names if what == _CREATED[-1] else [])
            axes.tick_params(length=0)
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
    figure.savefig(path, dpi=80, pil_kwargs={"quality": 92, "subsampling": 0, "optimize": True})
    return path


def draw_clip(folder: Path) -> Path:
    """The README's moving picture: the image, noising alone, the paper's rule, and following the motion."""
    image = read_image(folder / "sample.png", 64, 64)
    prompt, pipe = "an orange beetle moving up over a green ground", load()
    ways = {
        "Noising alone": ("noising", Settings()),
        "The paper's rule": ("pivot", Settings()),
        "Following the motion": ("pivot", Settings(follow_motion=True)),
    }
    videos = {"The image": [image] * 16}
    videos |= {title: animate(pipe, image, prompt, settings, method=way)[0] for title, (way, settings) in ways.items()}
    side, gap, top = 192, 12, 30
    frames = []
    for number in range(16):
        frame = Image.new("RGB", (gap + len(videos) * (side + gap), top + side + gap), "white")
        for column, (title, video) in enumerate(videos.items()):
            left = gap + column * (side + gap)
            ImageDraw.Draw(frame).text((left, 8), title, fill=_INK, font=ImageFont.load_default(15))
            frame.paste(Image.fromarray(video[number]).resize((side, side), Image.Resampling.NEAREST), (left, top))
        frames.append(frame.quantize(200, dither=Image.Dither.NONE))
    path = folder / "clip.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=120, loop=0)
    return path


def _draw_controls(results: Results, path: Path) -> Path:
    found = {name: samples_of(results, name) for name in CONTROLS}
    lines = {name: {line.labels: line.means for line in table_of(name, found[name]).lines} for name in CONTROLS}

    def value(control: str, measure: str, *labels: str) -> float:
        return lines[control][labels][measure].mean

    figure = Figure(figsize=(10.5, 6.2), dpi=130, layout="constrained")
    dial, levels, loop, release, color, long = figure.subplots(2, 3).flat

    dial.plot([0, 1], [0, 1], color=_LIGHT, zorder=0)
    for index, sampler in enumerate(SAMPLERS):
        dots = [
            (amount + 0.015 * (index - 1), (sampler, f"{steps}"), f"{amount:g}")
            for amount in AMOUNTS
            for steps in STEPS
        ]
        shares = [value("dial", name, *setting) for _, setting, name in dots]
        dial.plot([place for place, _, _ in dots], shares, "o^s"[index], color=_BLUE, ms=5, alpha=0.75, label=sampler)
    plain = [value("dial", HALF, sampler, f"{steps}") for sampler in SAMPLERS for steps in STEPS]
    dial.plot([0.97] * len(plain), plain, "_", color=_ORANGE, markersize=12, label=HALF)
    dial.set(xlim=(0, 1.05), ylim=(0, 1.2), xlabel="Motion amount", ylabel="share of the motion, measured")

    for sampler, style in zip(SAMPLERS[:2], ("-", "--")):
        for unit, shade in (("steps", _ORANGE), ("noise level", _BLUE)):
            ssim = [value("levels", "ssim", sampler, f"{steps}", unit) for steps in STEPS]
            levels.plot(STEPS, ssim, style, marker="o", color=shade, label=f"{unit}, {sampler}")
    levels.set(xticks=STEPS, xlabel="steps", ylabel="SSIM to the image", ylim=(0.6, 0.85))

    ends, switch = ("0.6", "1"), {"off": _LIGHT, "on": _BLUE}
    _bars(loop, ends, switch, lambda end, on: value("loop", "closing", end, "constant", on))
    loop.set(ylabel="last to first / mean step", xlabel="τ end", ylim=(0, 3.4))
    fades = {"0": _LIGHT, "0.2": _MIDDLE, "0.4": _BLUE}
    _bars(release, ("0.4", "0.6"), fades, lambda end, fade: value("release", "first_step", end, fade))
    release.set(ylabel="first step / mean step", xlabel="τ end", ylim=(0, 3.4))
    _bars(color, ("0.2", "0.4", "0.6"), switch, lambda end, on: value("color", "drift", end, on))
    color.set(ylabel="color drift, ΔE", xlabel="τ end")
    color.margins(y=0.3)  # room for the legend
    for axes in (loop, release):
        axes.axhline(1, color=_INK, linewidth=0.8, linestyle=":")

    for way, shade in ((FREENOISE, _BLUE), (REPEATED, _ORANGE), (FRESH, _LIGHT)):
        frames = np.mean([values["frames"] for values in found["long"][way, CONSTANT].values()], axis=0)
        long.plot(np.convolve(frames, np.ones(8) / 8, "valid"), color=shade, label=way.partition(", ")[2])
    long.set(xlabel="frame", ylabel="SSIM to the image", ylim=(0.5, 1))

    titles = {
        dial: "One number for every sampler",
        levels: "τ = 0.6 in steps and by noise level",
        loop: "Seamless loop",
        release: "Window fade-out with a locked first frame",
        color: "Preserve color",
        long: "96 frames, ω = 0.5, τ = 1",
    }
    for axes, title in titles.items():
        axes.set_title(title, loc="left", color=_INK, fontsize=10)
        axes.tick_params(colors=_INK, labelsize=8)
        axes.xaxis.label.set(color=_INK, fontsize=8.5)
        axes.yaxis.label.set(color=_INK, fontsize=8.5)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(_LIGHT)
        axes.legend(frameon=False, fontsize=7.5, labelcolor=_INK)
    figure.savefig(path)
    return path


def _bars(axes: Any, places: Sequence[str], shades: dict[str, str], height: Callable[[str, str], float]) -> None:
    width = 0.8 / len(shades)
    for index, (name, shade) in enumerate(shades.items()):
        left = [place + (index - (len(shades) - 1) / 2) * width for place in range(len(places))]
        axes.bar(left, [height(place, name) for place in places], 0.95 * width, color=shade, label=name)
    axes.set(xticks=range(len(places)), xticklabels=places)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the results, or clip")
    parser.add_argument("pictures", type=Path, nargs="?", default=Path(__file__).parent, help="default: %(default)s")
    options = parser.parse_args()
    is_clip = options.folder == Path("clip")
    for path in [draw_clip(options.pictures)] if is_clip else draw(results_in(options.folder), options.pictures):
        print(f"written: {path}")


if __name__ == "__main__":
    main()

"""How the cost of a rectified step grows with the frames and with the pixels, beside the authors' expression.

    python benchmarks/scaling.py --draw docs/pictures/scaling.png

A rectified step is the reference from the pivot (x0, VE: what K samplers have) and the formula; the authors' expression has
its noise at hand. The two are timed in turn, and medians are printed: only the ratios mean anything on a shared machine. The
exponents are those of a power law through all sizes: 1 is growth in proportion. For scale, one call of a UNet with motion
modules at the smallest size is timed as well, where diffusers is installed.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rectification import authors, interleaved, peak_memory

from lib_noiserect.core.noise_levels import reference_prediction, ve
from lib_noiserect.core.rectify import rectify

CHANNELS = 4
FRAMES = [(count, 64) for count in (16, 64, 256, 1024)]
PIXELS = [(16, side) for side in (32, 64, 128, 256)]
LEVEL = ve(3.0)
FEWEST_REPETITIONS = 7
NAMES = ("authors", "step")
INK, COLOUR = "#30343b", "#2a6a9e"


class Cost(NamedTuple):
    """What `authors` and `step` take for latents `[frames, 4, side, side]`: seconds, and bytes besides the inputs."""

    frames: int
    side: int
    seconds: dict[str, float]
    memory: dict[str, int]

    @property
    def values(self) -> int:
        return self.frames * CHANNELS * self.side**2


def rectified_step(predicted: Tensor, x: Tensor, pivot: Tensor, clean: Tensor, omega: Tensor) -> Tensor:
    return rectify(predicted, reference_prediction("x0", x, pivot, clean, LEVEL), omega)


def measured(frames: int, side: int, repetitions: int) -> Cost:
    generator = torch.Generator().manual_seed(0)
    shape = frames, CHANNELS, side, side
    predicted, noise, x, pivot = (torch.randn(shape, generator=generator) for _ in range(4))
    clean, omega = torch.randn(1, *shape[1:], generator=generator), torch.linspace(1, 0.5, frames)
    functions = {
        "authors": lambda: authors(predicted, noise, omega),
        "step": lambda: rectified_step(predicted, x, pivot, clean, omega),
    }
    return Cost(
        frames,
        side,
        interleaved(functions, max(FEWEST_REPETITIONS, repetitions * 16 * 64 * 64 // (frames * side * side))),
        {name: peak_memory(function) for name, function in functions.items()},
    )


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """The k of cost = c·size^k, by least squares of the logarithms."""
    x, y = [math.log(size) for size in sizes], [math.log(cost) for cost in costs]
    mean_x, mean_y = statistics.fmean(x), statistics.fmean(y)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y)) / sum((a - mean_x) ** 2 for a in x)


def print_table(title: str, costs: Sequence[Cost]) -> None:
    print(f"\n{title}")
    print(f"{'latents':>18}{'authors':>12}{'step':>12}{'ratio':>8}{'authors':>14}{'step':>14}{'ratio':>8}")
    for cost in costs:
        latents = f"{cost.frames}×{CHANNELS}×{cost.side}×{cost.side}"
        cells = [f"{cost.seconds[name] * 1e3:9.3f} ms" for name in NAMES]
        cells += [f"{cost.seconds['step'] / cost.seconds['authors']:8.2f}"]
        cells += [f"{cost.memory[name] / 1e6:11.2f} MB" for name in NAMES]
        cells += [f"{cost.memory['step'] / cost.memory['authors']:8.2f}"]
        print(f"{latents:>18}{''.join(cells)}")
    sizes = [cost.values for cost in costs]
    time_a, time_b = (exponent(sizes, [cost.seconds[name] for cost in costs]) for name in NAMES)
    memory_a, memory_b = (exponent(sizes, [cost.memory[name] for cost in costs]) for name in NAMES)
    print(f"{'exponent':>18}{time_a:12.2f}{time_b:12.2f}{'':8}{memory_a:14.2f}{memory_b:14.2f}")


def unet_seconds(folder: Path | None, frames: int, side: int, calls: int = 5) -> tuple[str, float]:
    """What the UNet is, and the median seconds of one call: one clip, so one of the two branches of guidance."""
    import diffusers

    diffusers.utils.logging.set_verbosity_error()
    if folder is not None:
        unet = diffusers.UNetMotionModel.from_pretrained(folder)
    else:
        unet = diffusers.UNetMotionModel(
            sample_size=side,
            block_out_channels=(32, 64),
            down_block_types=("CrossAttnDownBlockMotion", "DownBlockMotion"),
            up_block_types=("UpBlockMotion", "CrossAttnUpBlockMotion"),
            layers_per_block=1,
            cross_attention_dim=32,
            num_attention_heads=4,
            motion_num_attention_heads=4,
            norm_num_groups=8,
            motion_max_seq_length=frames,
        )
    unet.eval()
    millions = sum(parameter.numel() for parameter in unet.parameters()) / 1e6
    latents = torch.randn(1, unet.config.in_channels, frames, side, side)
    text = torch.randn(frames, 77, unet.config.cross_attention_dim)
    seconds = []
    with torch.inference_mode():
        for _ in range(calls + 1):
            begin = time.perf_counter()
            unet(latents, 500, encoder_hidden_states=text)
            seconds.append(time.perf_counter() - begin)
    kind = (
        f"the UNet in {folder}" if folder is not None else "a small UNet with random weights (Stable Diffusion's: 860)"
    )
    return f"{kind}, {millions:.1f} million parameters", statistics.median(seconds[1:])


def print_share(cost: Cost, folder: Path | None) -> None:
    """The step as a share of a UNet's call."""
    try:
        name, seconds = unet_seconds(folder, cost.frames, cost.side)
    except ImportError as error:
        print(f"\nNot compared with a UNet ({error}): python -m pip install diffusers")
        return
    print(f"\nOne call of {name}: {seconds:.3f} s at {cost.frames}×{CHANNELS}×{cost.side}×{cost.side}")
    print(
        f"a rectified step is {cost.seconds['step'] / seconds * 100:.2g} % of it, and of a step with guidance half of that"
    )


def draw(by_frames: Sequence[Cost], by_pixels: Sequence[Cost], path: Path) -> None:
    """Both costs against both sizes, on logarithmic axes, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 5.2), dpi=200, layout="constrained", facecolor="white")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    panels = figure.subplots(2, 2, sharex="col", sharey="row")
    for column, (costs, grown) in enumerate(((by_frames, "frames"), (by_pixels, "pixels"))):
        ticks = [cost.frames if grown == "frames" else cost.side for cost in costs]
        draw_growth(panels[0, column], costs, ticks, grown, [[c.seconds[name] * 1e3 for c in costs] for name in NAMES])
        draw_growth(panels[1, column], costs, ticks, grown, [[c.memory[name] / 1e6 for c in costs] for name in NAMES])
    panels[0, 0].set_ylabel("time (ms)")
    panels[1, 0].set_ylabel("memory besides the inputs (MB)")
    panels[1, 0].set_xlabel(f"frames, at {by_frames[0].side}×{by_frames[0].side}")
    panels[1, 1].set_xlabel(f"width and height of the latents, at {by_pixels[0].frames} frames")
    for axes in panels.flat:
        axes.xaxis.label.set(fontsize=9, color=INK)
        axes.yaxis.label.set(fontsize=9, color=INK)
    labels = ["the authors' expression", "a rectified step: reference and formula"]
    figure.legend(
        panels[0, 0].lines, labels, loc="outside upper center", ncols=2, frameon=False, fontsize=9, labelcolor=INK
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def draw_growth(axes: Any, costs: Sequence[Cost], ticks: list[int], grown: str, heights: list[list[float]]) -> None:
    """One panel: a line for each of `NAMES`, with its exponent at the end."""
    looks = (("#9097a1", "s", (0, (4, 2)), 3), (COLOUR, "o", "-", -9))
    for values, (colour, marker, line, text_offset) in zip(heights, looks):
        axes.plot(ticks, values, color=colour, marker=marker, markersize=5, linestyle=line)
        power = exponent([cost.values for cost in costs], values)
        end = {"xytext": (7, text_offset), "textcoords": "offset points", "fontsize": 8, "color": colour}
        axes.annotate(rf"$\mathrm{{{grown}}}^{{{power:.2f}}}$", (ticks[-1], values[-1]), **end)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlim(ticks[0] * 0.75, ticks[-1] * (ticks[1] / ticks[0]) ** 0.8)
    axes.grid(color="#eceef1", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=8.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#c9ced6")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--repetitions",
        type=int,
        default=400,
        help=f"at 16 frames of 64×64; fewer for what is larger, and {FEWEST_REPETITIONS} at least (default: %(default)s)",
    )
    parser.add_argument("--unet", type=Path, metavar="FOLDER", help="a UNetMotionModel of diffusers to compare with")
    parser.add_argument("--draw", type=Path, metavar="PNG", help="draw it too")
    options = parser.parse_args()
    print(f"float32, {torch.get_num_threads()} threads, torch {torch.__version__}")
    by_frames = [measured(frames, side, options.repetitions) for frames, side in FRAMES]
    print_table("With the frames", by_frames)
    by_pixels = [measured(frames, side, options.repetitions) for frames, side in PIXELS]
    print_table("With the pixels", by_pixels)
    print_share(by_frames[0], options.unet)
    if options.draw:
        draw(by_frames, by_pixels, options.draw)
        print(f"\nwritten: {options.draw}")


if __name__ == "__main__":
    main()

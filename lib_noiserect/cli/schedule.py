"""The command `schedule`: shows which steps are rectified and how freely each frame moves."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..core import summary
from ..core.schedule import omega_weights, rectified_steps
from ..core.settings import MAX_OMEGA_ENTRIES, Settings, SettingsError
from ..media.comparison_sheet import plain, spaced_frames
from ..media.files import make_folder, replacing
from .errors import UsageError, optional_package
from .options import add_settings, as_usage_error, settings_of

# In characters.
_WIDTH = 72
_CHART_ROWS = 6
_EIGHTHS = " ▁▂▃▄▅▆▇█"
_TO_ASCII = str.maketrans("█▒░│┤└─", "#+.||+-")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.add_argument("--steps", type=int, default=25, help="the sampler's steps (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=16, help="the clip's frames (default: %(default)s)")
    parser.add_argument("-o", "--output", type=Path, metavar="PNG", help="draw it too")
    add_settings(parser)


def run(arguments: argparse.Namespace) -> None:
    """Print the schedule, and draw it if the options say where. Raises `UsageError` for what is not possible."""
    for name, most in (("steps", 10_000), ("frames", MAX_OMEGA_ENTRIES)):
        value = getattr(arguments, name)
        if not 1 <= value <= most:
            raise UsageError(f"--{name} = {value} is out of range: use 1 to {most}")
    settings, output = settings_of(arguments), arguments.output
    if output is not None:
        _check_drawing(output)
    try:
        weights = omega_weights(settings, arguments.frames)
    except SettingsError as error:
        raise as_usage_error(error) from error
    text = schedule_text(settings, arguments.steps, weights)
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        text = schedule_text(settings, arguments.steps, weights, ascii_only=True)
    print(text)
    if output is not None:
        figure = schedule_figure(settings, arguments.steps, weights)
        with replacing(output) as unfinished:
            figure.savefig(unfinished)
        print(f"\nwritten: {output}")


def schedule_text(settings: Settings, num_steps: int, weights: Sequence[float], ascii_only: bool = False) -> str:
    """The window τ as a bar of steps and ω as a chart over the frames.

    Args:
        settings: τ, and what the weights were made from.
        num_steps: the number of steps, from 1.
        weights: ω of every frame, in [0, 1].
        ascii_only: for output that has no other characters.
    """
    lines = [f"{_tau_words(settings)}: {window_words(settings, num_steps)}", ""]
    if settings.tau_unit == "steps":
        shown = spaced_frames(num_steps, _WIDTH)
        bar = "".join({"rectified": "█", "pinned": "▒", "free": "░"}[kind] for kind in _kinds(settings, num_steps))
        lines += [
            "      " + "".join(bar[index] for index in shown),
            "      " + _axis([index + 1 for index in shown], 1),
        ]
        if len(shown) < num_steps:
            lines.append(f"      {len(shown)} of {num_steps} steps shown")
        lines.append("")
    around = ", round the loop" if settings.loop else ""
    lines += [f"ω = {_omega_words(settings)} over {len(weights)} {_plural('frame', len(weights))}{around}", ""]
    if settings.omega == "motion":
        lines += ["Shown are shares of the motion; their ω depends on the sampler, its steps and τ.", ""]
    if settings.target_ssim > 0.0:
        lines += [
            f"Whatever ω is, an SSIM of {settings.target_ssim:g} is sought with ω = motion when a clip is made.",
            "",
        ]
    lines += _omega_chart(weights, whole_blocks=ascii_only)
    text = "\n".join(line.rstrip() for line in lines)
    return plain(text.translate(_TO_ASCII)) if ascii_only else text


def window_words(settings: Settings, num_steps: int, rectified: int | None = None) -> str:
    """Which steps are rectified, counted from 1, and what goes on after them.

    Args:
        settings: τ, and what follows on it.
        num_steps: the number of steps.
        rectified: how many were, once that is known; in steps it follows from τ.
    """
    inside = rectified_steps(num_steps, settings.tau_start, settings.tau_end)
    if settings.tau_unit == "steps":
        words, ends = summary.window_words(inside, num_steps), not inside or inside[-1] + 1 == num_steps
    elif rectified is None:
        words, ends = "which steps these are depends on the sampler and its schedule", settings.tau_end == 1.0
    else:
        words, ends = f"{rectified} of {num_steps} steps rectified", rectified in (0, num_steps)
    after = []
    if settings.release > 0.0:
        after.append(f"let go over {100 * settings.release:g} %")
    if settings.hold_colour:
        after.append("the colours held")
    if settings.pin_first_frame:
        after.append("the first frame alone" if not after else "the first frame kept")
    return words if ends or not after else f"{words}, then {', '.join(after)}"


def _tau_words(settings: Settings) -> str:
    what = " of the noise levels" if settings.tau_unit == "noise level" else ""
    return f"τ = [{settings.tau_start:g}, {settings.tau_end:g}]{what}"


def _kinds(settings: Settings, num_steps: int) -> list[str]:
    """Of each step: `rectified`, `pinned` (the first frame alone) or `free`."""
    inside = rectified_steps(num_steps, settings.tau_start, settings.tau_end)
    if not inside:
        return ["free"] * num_steps
    after = num_steps - inside[-1] - 1
    return (
        ["free"] * inside[0] + ["rectified"] * len(inside) + ["pinned" if settings.pin_first_frame else "free"] * after
    )


def _omega_words(settings: Settings) -> str:
    omega = settings.omega
    if isinstance(omega, tuple):
        return f"a list of {len(omega)}"
    ends = {"constant": f", {settings.omega_start:g},", "frozen": ", 0,", "motion": f", {settings.motion:g},"}
    return omega + ends.get(omega, f", {settings.omega_start:g} to {settings.omega_end:g},")


def _omega_chart(weights: Sequence[float], whole_blocks: bool) -> list[str]:
    shown = spaced_frames(len(weights), _WIDTH)
    cell = min(3, max(1, _WIDTH // len(shown)))
    block = max(1, cell - 1)
    levels = [round(weights[index] * _CHART_ROWS * 8) for index in shown]
    lines = []
    for row in reversed(range(_CHART_ROWS)):
        fills = [min(max(level - 8 * row, 0), 8) for level in levels]
        if whole_blocks:
            fills = [8 if fill >= 4 else 0 for fill in fills]
        top = (row + 1) / _CHART_ROWS
        label = f"  {top:.1f} ┤" if top in (0.5, 1.0) else "      │"
        lines.append(label + "".join((_EIGHTHS[fill] * block).ljust(cell) for fill in fills))
    lines.append("  0.0 └" + "─" * (len(shown) * cell))
    lines.append("       " + _axis(shown, cell))
    if len(shown) < len(weights):
        lines.append(f"       {len(shown)} of {len(weights)} frames shown")
        return lines
    numbers = ", ".join(f"{weight:.3g}" for weight in weights)
    return [*lines, "", *textwrap.wrap(numbers, _WIDTH, initial_indent=" " * 7, subsequent_indent=" " * 7)]


def _axis(numbers: Sequence[int], cell: int) -> str:
    """The numbers below their cells: the first and as many round ones as fit, or the last one if some are left out."""
    without_gaps = numbers[-1] - numbers[0] == len(numbers) - 1
    room = len(str(numbers[-1])) + 1
    stride = next(stride for stride in (1, 2, 5, 10) if stride * cell >= room)
    line = str(numbers[0])
    for index, number in enumerate(numbers[1:], start=1):
        wanted = number % stride == 0 if without_gaps else number == numbers[-1]
        if wanted and len(line) < index * cell:
            line = line.ljust(index * cell) + str(number)
    return line


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"


def _check_drawing(output: Path) -> None:
    if output.suffix.lower() != ".png" or output.is_dir():
        raise UsageError(f"{output} is no name of a picture: use one that ends in .png")
    _matplotlib("matplotlib")
    make_folder(output.parent)


def _matplotlib(module: str) -> Any:
    return optional_package(module, "matplotlib", "drawing the schedule")


def schedule_figure(settings: Settings, num_steps: int, weights: Sequence[float]) -> Any:
    """The same as a matplotlib figure: the steps as marks in a line, and ω of every frame. Arguments as `schedule_text`."""
    ticker = _matplotlib("matplotlib.ticker")
    ink, colour, light = "#30343b", "#2a6a9e", "#c9ced6"
    figure = _matplotlib("matplotlib.figure").Figure(
        figsize=(6.4, 3.7), dpi=200, layout="constrained", facecolor="white"
    )
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    window, omega = figure.subplots(2, 1, height_ratios=[1, 5])
    by_steps = settings.tau_unit == "steps"
    kinds = _kinds(settings, num_steps) if by_steps else []
    size = min(6.5, max(1.0, 230 / num_steps))
    looks = {"rectified": (colour, colour), "pinned": ("white", colour), "free": ("white", light)}
    names = {"rectified": "rectified", "pinned": "first frame alone", "free": "not rectified"}
    for kind, (face, edge) in looks.items():
        at = [index + 1 for index, found in enumerate(kinds) if found == kind]
        if at:
            style = {"marker": "o", "linestyle": "none", "markersize": size, "color": face, "markeredgecolor": edge}
            window.plot(at, [0.0] * len(at), label=names[kind], markeredgewidth=1.2, **style)
    if by_steps:
        window.set(xlim=(0.2, num_steps + 0.8), ylim=(-1, 1), yticks=[], xlabel="step")
    else:
        window.plot([0, 100], [0, 0], color=light, linewidth=5, solid_capstyle="butt", label=names["free"])
        ends = [100 * settings.tau_start, 100 * settings.tau_end]
        window.plot(ends, [0, 0], color=colour, linewidth=5, solid_capstyle="butt", label=names["rectified"])
        window.set(xlim=(-1, 101), ylim=(-1, 1), yticks=[], xlabel="% of the noise levels, from noise to picture")
    window.set_title(_tau_words(settings), loc="left", fontsize=10, color=ink)
    legend = {"loc": "lower right", "bbox_to_anchor": (1, 1), "ncols": 3, "frameon": False, "borderpad": 0.1}
    window.legend(fontsize=8.5, labelcolor=ink, handletextpad=0.2, **legend)

    size = min(6.0, max(1.0, 190 / len(weights)))
    omega.vlines(range(len(weights)), 0, weights, color=colour, alpha=0.35, linewidth=size / 4)
    omega.plot(weights, marker="o", linestyle="none", markersize=size, color=colour, clip_on=False, zorder=3)
    omega.set(xlim=(-0.7, len(weights) - 0.3), ylim=(0, 1.04), xlabel="frame")
    omega.set_ylabel("share of the motion" if settings.omega == "motion" else "weight ω")
    omega.set_title(f"ω = {_omega_words(settings).rstrip(',')}", loc="left", fontsize=10, color=ink)
    omega.grid(axis="y", color="#eceef1", linewidth=0.8)
    for axes in (window, omega):
        axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True, nbins=11, steps=[1, 2, 5, 10], min_n_ticks=1))
        axes.set_axisbelow(True)
        axes.tick_params(colors=ink, labelsize=8.5)
        axes.xaxis.label.set(color=ink, fontsize=9)
        axes.yaxis.label.set(color=ink, fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(light)
    window.spines["left"].set_visible(False)
    return figure

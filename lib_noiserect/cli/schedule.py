"""The command `schedule`: prints which steps are rectified and the weight ω of each frame."""

from __future__ import annotations

import argparse

from ..core import summary
from ..core.errors import UserError
from ..core.schedule import omega_weights, rectified_steps
from ..core.settings import MAX_OMEGA_ENTRIES, Settings
from .options import add_settings, settings_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.add_argument("--steps", type=int, default=25, help="set the sampling steps (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=16, help="set the number of frames (default: %(default)s)")
    add_settings(parser)


def run(arguments: argparse.Namespace) -> None:
    """Print the schedule. Raises `UserError` for options that are not possible."""
    for name, most in (("steps", 10_000), ("frames", MAX_OMEGA_ENTRIES)):
        value = getattr(arguments, name)
        if not 1 <= value <= most:
            raise UserError(f"--{name} = {value} is out of range: use 1 to {most}")
    settings = settings_of(arguments)
    weights = omega_weights(settings, arguments.frames)
    omega = settings.omega
    unit = " of the noise levels" if settings.tau_unit == "noise level" else ""
    window = f"τ = [{settings.tau_start:g}, {settings.tau_end:g}]{unit}: {window_words(settings, arguments.steps)}"
    if isinstance(omega, tuple):
        origin = f"a list of {len(omega)}"
    else:
        ends = {"constant": f" {settings.omega_start:g}", "frozen": "", "motion": f" {settings.motion:g}"}
        origin = omega + ends.get(omega, f" {settings.omega_start:g} to {settings.omega_end:g}")
    lines = [window, f"ω = {origin}{', seamless loop' if settings.loop else ''}"]
    if omega == "motion":
        lines.append("The table shows fractions of the motion; ω depends on the sampler, its steps and τ.")
    if settings.target_ssim > 0.0:
        lines.append(f"animate replaces ω by the motion that reaches an SSIM of {settings.target_ssim:g}.")
    print("\n".join([*lines, "", "frame  ω", *(f"{frame:5}  {weight:.3g}" for frame, weight in enumerate(weights))]))


def window_words(settings: Settings, num_steps: int, rectified: int | None = None) -> str:
    """The rectified steps, counted from 1, and the controls that follow them.

    `rectified` is the number of rectified steps, if it is known; with τ in steps it follows from τ.
    """
    inside = rectified_steps(num_steps, settings.tau_start, settings.tau_end)
    if settings.tau_unit == "steps":
        words, ends = summary.window_words(inside, num_steps), not inside or inside[-1] + 1 == num_steps
    elif rectified is None:
        words, ends = "the sampler and its schedule decide which steps", settings.tau_end == 1.0
    else:
        words, ends = f"{rectified} of {num_steps} steps rectified", rectified in (0, num_steps)
    after = []
    if settings.release > 0.0:
        after.append(f"fade-out over {100 * settings.release:g} %")
    if settings.hold_colour:
        after.append("color preserved")
    if settings.pin_first_frame:
        after.append("first frame locked")
    return words if ends or not after else f"{words}, then {', '.join(after)}"

"""What will happen with given settings, in words."""

from __future__ import annotations

from collections.abc import Sequence

from .settings import NO_FILE, Settings


def window_words(rectified: Sequence[int], num_steps: int) -> str:
    """Which steps are rectified, counted from 1: `steps 1–15 of 25 rectified`.

    Args:
        rectified: the indices of the rectified steps, ascending and without gaps.
        num_steps: the number of steps.
    """
    if not rectified:
        return f"no step of {num_steps} rectified"
    first, last = rectified[0] + 1, rectified[-1] + 1
    steps = f"steps {first}–{last}" if first < last else f"step {first}"
    return f"{steps} of {num_steps} rectified"


def summary(
    settings: Settings,
    weights: Sequence[float],
    rectified: Sequence[int] | None,
    num_steps: int | None,
    note: str = "",
) -> str:
    """The job in one sentence: `steps 1–25 of 25 rectified, first frame kept, motion free from frame 8`.

    Args:
        settings: τ, what is kept after it, and what ω was made from.
        weights: ω of every frame, in [0, 1].
        rectified: the indices of the rectified steps, ascending and without gaps; None if the sampler chooses its steps
            while it runs, so that nobody knows them yet, and where τ does not count steps.
        num_steps: the number of steps; None as above.
        note: what is to be known about the sampler's steps, in brackets behind them.

    Steps are counted from 1 and frames from 0, as the web UI counts steps and the settings count frames.
    """
    counts_steps = settings.tau_unit == "steps"
    if rectified is None or num_steps is None or not counts_steps:
        rectified = None
        nothing = settings.tau_start >= settings.tau_end
        counted = "noise range (log σ)" if counts_steps else "noise levels"
        window = f"rectified from {100 * settings.tau_start:g} % to {100 * settings.tau_end:g} % of the {counted}"
        starts, ends = settings.tau_start == 0.0, settings.tau_end == 1.0
        begins_at, ends_at = f"at {100 * settings.tau_start:g} %", f"{100 * settings.tau_end:g} %"
    else:
        nothing = not rectified
        window = window_words(rectified, num_steps)
        starts, ends = not nothing and rectified[0] == 0, not nothing and rectified[-1] == num_steps - 1
        begins_at, ends_at = ("", "") if nothing else (f"with step {rectified[0] + 1}", f"step {rectified[-1] + 1}")
    if note:
        window += f" ({note})"
    if nothing:
        plain = f"{'nothing rectified' if rectified is None else window}: a plain clip"
        return ", ".join(part for part in (plain, _start(settings)) if part)
    if not starts:
        first_frame = f"first frame not kept, since rectification begins {begins_at}"
    elif ends or settings.pin_first_frame:
        first_frame = "first frame kept"
    else:
        first_frame = f"first frame free after {ends_at}"
    release = colours = ""
    if not ends and settings.release:
        counted = "steps" if counts_steps else "noise levels"
        release = f"released softly over {100 * settings.release:g} % of the {counted}"
    if not ends and settings.hold_colour:
        colours = "colours held"
    back = "back to the first frame" if settings.loop and len(weights) > 1 else ""
    parts = (window, first_frame, release, colours, _motion(settings, weights), back, _start(settings))
    return ", ".join(part for part in parts if part)


def _start(settings: Settings) -> str:
    """Where denoising starts, if it is not where the model does."""
    late = f"all steps below {100 * settings.start_time:g} % of the noise levels" if settings.start_time < 1.0 else ""
    drawn = f"start drawn from {settings.statistics}" if settings.statistics != NO_FILE else ""
    return ", ".join(part for part in (late, drawn) if part)


def _motion(settings: Settings, weights: Sequence[float]) -> str:
    if len(weights) < 2:
        return ""
    if settings.target_ssim:
        return f"motion to be found for SSIM {settings.target_ssim:g}"
    # Which ω that is, only the job's own sampler tells.
    return (
        f"motion at {100 * settings.motion:g} % of the model's" if settings.omega == "motion" else motion_words(weights)
    )


def motion_words(weights: Sequence[float]) -> str:
    """How freely the frames move, from ω of every frame; nothing for one frame. Frame 0 is the reference and never moves."""
    moving = weights[1:]
    if not moving:
        return ""
    low, high, last = min(moving), max(moving), moving[-1]
    if high == 0.0:
        return "nothing moves"
    if low == 1.0:
        return "motion free"
    if low == high:
        return f"motion at ω = {_number(last)}"
    # The first frame of the end that stays the same.
    settled = len(weights) - 1
    while weights[settled - 1] == last:
        settled -= 1
    if last == 1.0:
        return f"motion free from frame {settled}"
    pairs = list(zip(moving, moving[1:]))
    if all(one >= other for one, other in pairs):
        return f"ω falls from {_number(moving[0])} at frame 1 to {_number(last)} at frame {settled}"
    if all(one <= other for one, other in pairs):
        return f"ω rises from {_number(moving[0])} at frame 1 to {_number(last)} at frame {settled}"
    return f"ω between {_number(low)} and {_number(high)}"


def _number(value: float) -> str:
    return f"{value:.3g}"

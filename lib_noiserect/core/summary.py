"""The effect of a job's settings in one sentence, as phrases that the page can translate."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from .settings import NO_FILE, Settings


class Phrase(str):
    """A text made of a template with the places {0}, {1} and so on, and of the values in them, which may be phrases.

    A translation has one entry for the template, whatever the values.
    """

    template: str
    values: tuple[Any, ...]

    def __new__(cls, template: str, *values: Any) -> Phrase:
        self = super().__new__(cls, re.sub(r"\{(\d+)\}", lambda place: str(values[int(place[1])]), template))
        self.template, self.values = template, values
        return self

    def parts(self) -> list[Any]:
        """Template and values, for JSON: a text for each value, or the parts of a phrase."""
        return [self.template, *(value.parts() if isinstance(value, Phrase) else str(value) for value in self.values)]


def joined(parts: Sequence[str]) -> Phrase:
    """The parts that are not empty, one after the other."""
    filled = [part for part in parts if part]
    return Phrase(", ".join(f"{{{index}}}" for index in range(len(filled))), *filled)


def window_words(rectified: Sequence[int], num_steps: int) -> str:
    """The rectified steps, counted from 1, from their indices, ascending without gaps: `steps 1–15 of 25 rectified`."""
    if not rectified:
        return Phrase("no step of {0} rectified", num_steps)
    first, last = rectified[0] + 1, rectified[-1] + 1
    if first == last:
        return Phrase("step {0} of {1} rectified", first, num_steps)
    return Phrase("steps {0}–{1} of {2} rectified", first, last, num_steps)


def summary(
    settings: Settings, weights: Sequence[float], rectified: Sequence[int] | None, num_steps: int | None, note: str = ""
) -> Phrase:
    """The job in one sentence: `steps 1–25 of 25 rectified, first frame kept, motion free from frame 8`.

    Steps are counted from 1 and frames from 0, as in the web UI.

    Args:
        weights: ω of every frame, in [0, 1].
        rectified, num_steps: the indices of the rectified steps, ascending and without gaps, and the number of steps; None
            if the sampler chooses its steps while it runs, and for a window in noise levels.
        note: a remark on the sampler's steps, in brackets behind them.
    """
    share = f"{100 * settings.start_time:g}"
    late = Phrase("starting at {0} % of the noise levels", share) if settings.start_time < 1.0 else ""
    drawn = Phrase("initial noise from {0}", settings.statistics) if settings.statistics != NO_FILE else ""
    counts_steps = settings.tau_unit == "steps"
    if rectified is None or num_steps is None or not counts_steps:
        rectified = None
        nothing = settings.tau_start >= settings.tau_end
        start, end = f"{100 * settings.tau_start:g}", f"{100 * settings.tau_end:g}"
        by_sigma = "rectified from {0} % to {1} % of the noise range (log σ)"
        window: str = Phrase(by_sigma if counts_steps else "rectified from {0} % to {1} % of the noise levels", start, end)
        starts, ends = settings.tau_start == 0.0, settings.tau_end == 1.0
        not_kept = Phrase("first frame not kept, because rectification starts at {0} %", start)
        free = Phrase("first frame free after {0} %", end)
    else:
        nothing = not rectified
        window = window_words(rectified, num_steps)
        first, last = (0, -1) if nothing else (rectified[0], rectified[-1])
        starts, ends = first == 0, last == num_steps - 1
        not_kept = Phrase("first frame not kept, because rectification starts with step {0}", first + 1)
        free = Phrase("first frame free after step {0}", last + 1)
    if note:
        window = Phrase("{0} ({1})", window, note)
    if nothing:
        plain = Phrase("nothing rectified") if rectified is None else window
        return joined([Phrase("{0}: a plain video", plain), late, drawn])
    first_frame = free if starts else not_kept
    if starts and (ends or settings.pin_first_frame):
        first_frame = Phrase("first frame kept")
    parts = [window, first_frame]
    if settings.release and not ends:
        template = "fading out over {0} % of the steps" if counts_steps else "fading out over {0} % of the noise levels"
        parts.append(Phrase(template, f"{100 * settings.release:g}"))
    if settings.hold_colour and not ends:
        parts.append(Phrase("color preserved"))
    parts.append(_motion(settings, weights))
    if settings.follow_motion and (settings.omega == "motion" or any(weights[1:])):
        parts.append(Phrase("details follow what moves"))
    if settings.loop and len(weights) > 1:
        parts.append(Phrase("seamless loop"))
    return joined([*parts, late, drawn])


def _motion(settings: Settings, weights: Sequence[float]) -> str:
    if len(weights) < 2:
        return ""
    if settings.target_ssim:
        return Phrase("motion tuned for SSIM {0}", f"{settings.target_ssim:g}")
    # Only the job's own sampler gives the ω of an amount of motion.
    if settings.omega == "motion":
        return Phrase("{0} % of the model's motion", f"{100 * settings.motion:g}")
    return motion_words(weights)


def motion_words(weights: Sequence[float]) -> str:
    """How freely the frames move, from ω of every frame; empty for one frame. Frame 0 is the reference and never moves."""
    moving = list(weights[1:])
    if not moving:
        return ""
    low, high, last = min(moving), max(moving), moving[-1]
    if high == 0.0:
        return Phrase("nothing moves")
    if low == 1.0:
        return Phrase("motion free")
    if low == high:
        return Phrase("motion at ω = {0}", f"{last:.3g}")
    # The first frame of the constant end.
    settled = len(weights) - 1
    while weights[settled - 1] == last:
        settled -= 1
    if last == 1.0:
        return Phrase("motion free from frame {0}", settled)
    ends = f"{moving[0]:.3g}", f"{last:.3g}", settled
    if moving == sorted(moving, reverse=True):
        return Phrase("ω falls from {0} at frame 1 to {1} at frame {2}", *ends)
    if moving == sorted(moving):
        return Phrase("ω rises from {0} at frame 1 to {1} at frame {2}", *ends)
    return Phrase("ω between {0} and {1}", f"{low:.3g}", f"{high:.3g}")

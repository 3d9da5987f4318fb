"""The window τ of rectified steps, and the weights ω of the frames."""

from __future__ import annotations

import math
from collections.abc import Callable

from .keyframes import Keyframes
from .settings import Settings, SettingsError

# The tolerance of positions, in steps: 100 * 0.07 is 7.000000000000001 in floating point, and σ are float32.
TOLERANCE = 1e-5


def in_window(position: float, num_steps: int, tau_start: float, tau_end: float) -> bool:
    """Whether a step of N is rectified: N·start <= position < N·end.

    `position` is the step's index, 0 to N; a sampler without fixed steps has fractions.
    """
    return num_steps * tau_start - TOLERANCE <= position < num_steps * tau_end - TOLERANCE


def rectified_steps(num_steps: int, tau_start: float, tau_end: float) -> list[int]:
    """The indices of the steps inside the window τ, of steps 0 to `num_steps` - 1."""
    return [index for index in range(num_steps) if in_window(index, num_steps, tau_start, tau_end)]


def omega_weights(
    settings: Settings, keyframes: Keyframes | int, dial: Callable[[float], float] | None = None
) -> list[float]:
    """ω_i of every frame, F numbers in [0, 1].

    The preset `authors` is linear over the first F//2 frames and constant over the other F - F//2. (The authors' second
    part also has F//2 entries, one too few for odd F.) With several keyframes, or in a loop, it and `linear` rise with the
    distance from the nearest keyframe, from `omega_end` to `omega_start`, `authors` within half of the distance. The motion
    of the preset `motion` then rises from 0 to `motion`.

    Raises `SettingsError` if the list's length is not F and `omega_resample` is off.

    Args:
        keyframes: the video's keyframes, or its number of frames if frame 0 is the only keyframe.
        dial: from a share of the motion to ω (`Dial.omega`); without it the preset `motion` returns the shares.
    """
    if isinstance(keyframes, int):
        keyframes = Keyframes((0,), keyframes, settings.loop)
    start, end, omega, num_frames = settings.omega_start, settings.omega_end, settings.omega, keyframes.num_frames
    if isinstance(omega, tuple):
        if len(omega) == num_frames:
            return list(omega)
        if not settings.omega_resample:
            raise SettingsError(
                f"omega has {len(omega)} entries and the video has {num_frames} frames: "
                f"give {num_frames} entries, or set omega_resample"
            )
        return _resample(omega, num_frames)
    is_between = keyframes.loop or len(keyframes.frames) > 1
    if omega == "motion":
        shares = [settings.motion * (distance if is_between else 1.0) for distance in keyframes.distances()]
        return shares if dial is None else [dial(share) for share in shares]
    if omega in ("authors", "linear"):
        if is_between:
            reach = 2.0 if omega == "authors" else 1.0
            return [end + (start - end) * min(reach * distance, 1.0) for distance in keyframes.distances()]
        falling = num_frames // 2 if omega == "authors" else num_frames
        line = [start + (end - start) * index / max(falling - 1, 1) for index in range(falling)]
        return line + [end] * (num_frames - falling)
    return [start if omega == "constant" else 0.0] * num_frames


def _resample(values: tuple[float, ...], count: int) -> list[float]:
    """Piecewise linear, first on first and last on last."""
    resampled = []
    for index in range(count):
        position = index * (len(values) - 1) / max(count - 1, 1)
        before, after = values[math.floor(position)], values[math.ceil(position)]
        resampled.append(before + (after - before) * (position % 1))
    return resampled

"""What settings will do to a job, in one sentence; the accordion's JavaScript says the same, and a test compares them."""

from __future__ import annotations

from .schedule import omega_weights, rectified_steps
from .settings import Settings


def summarize(settings: Settings, num_frames: int, num_steps: int) -> str:
    """For example: "steps 1–15 of 25 rectified, first frame kept until step 15, ω 1.00 → 0.50,
    steady from frame 8 of 16".

    Steps and frames are counted from 1, as people do.

    Raises:
        SettingsError: ω does not fit the clip.
    """
    steps = rectified_steps(num_steps, settings.tau_start, settings.tau_end)
    weights = omega_weights(settings, num_frames)
    if not steps:
        return f"none of {num_steps} steps rectified: the clip is as without it"
    return ", ".join([_steps(steps, num_steps), _first_frame(settings, steps, num_steps), _motion(weights)])


def _steps(steps: list[int], num_steps: int) -> str:
    if len(steps) == num_steps:
        return f"all {num_steps} steps rectified"
    if len(steps) == 1:
        return f"step {steps[0] + 1} of {num_steps} rectified"
    return f"steps {steps[0] + 1}–{steps[-1] + 1} of {num_steps} rectified"


def _first_frame(settings: Settings, steps: list[int], num_steps: int) -> str:
    if steps[0] > 0:
        return "first frame only roughly kept"
    if settings.pin_first_frame or len(steps) == num_steps:
        return "first frame kept"
    return f"first frame kept until step {steps[-1] + 1}"


def _motion(weights: list[float]) -> str:
    if not any(weights):
        return "nothing moves"
    steady = len(weights) - 1
    while steady and weights[steady - 1] == weights[-1]:
        steady -= 1
    if not steady:
        return f"ω {weights[0]:.2f} for all {len(weights)} frames"
    if steady == len(weights) - 1:
        return f"ω {weights[0]:.2f} → {weights[-1]:.2f} over {len(weights)} frames"
    return f"ω {weights[0]:.2f} → {weights[-1]:.2f}, steady from frame {steady + 1} of {len(weights)}"

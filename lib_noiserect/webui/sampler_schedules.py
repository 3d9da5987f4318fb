"""What the picture of τ must know of the host's samplers to draw the noise level of each step."""

from __future__ import annotations

from typing import Any

from .preview import MODEL_LEVELS, OWN_LEVELS, STEP_AFTER_THE_LAST


def sampler_schedules() -> dict[str, dict[str, Any]]:
    """By the name in the host's dropdown: the schedule that Automatic means, and how the sampler counts its steps."""
    from modules import sd_samplers

    return {
        sampler.name: {
            "schedule": sampler.options.get("scheduler"),
            "discards": bool(sampler.options.get("discard_next_to_last_sigma")),
            "timesteps": _counts_in_timesteps(sampler),
            "callsAStep": sampler.total_steps(1),
            "levels": OWN_LEVELS.get(sampler.name, MODEL_LEVELS),
            "afterTheLast": sampler.name in STEP_AFTER_THE_LAST,
        }
        for sampler in sd_samplers.all_samplers
    }


def _counts_in_timesteps(sampler: Any) -> bool:
    """Whether it is one of DDIM, PLMS, UniPC: their constructors come from the host's file of these samplers."""
    return str(getattr(sampler.constructor, "__module__", "")).endswith("sd_samplers_timesteps")

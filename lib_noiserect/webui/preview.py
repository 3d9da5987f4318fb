"""How many steps a job's sampler will take, from the host's own schedule and without a model."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from ..core.schedule import rectified_steps
from ..core.settings import Settings, SettingsError
from ..core.summary import summary

# Samplers on timesteps step from each level to the next but UniPC, which also steps from the last.
STEP_AFTER_THE_LAST = {"UniPC"}

# The levels of noise that a sampler knows, where it is not all that the model has.
MODEL_LEVELS = 1000
OWN_LEVELS = {"LCM": 50}


@dataclass(frozen=True)
class PlannedSteps:
    """The steps that a sampler is going to take.

    Attributes:
        count: the number of steps; None for a sampler that chooses them while it runs.
        note: what is to be known about them, or nothing.
        calls_a_step: of the model.
    """

    count: int | None
    note: str = ""
    calls_a_step: int = 1

    def rectified(self, settings: Settings) -> list[int] | None:
        """The indices of the steps inside the window τ; None if nobody knows them yet, or if τ does not count steps."""
        if self.count is None or settings.tau_unit != "steps":
            return None
        # Fractions of a step compare as steps do: DPM fast divides log σ evenly, and its N is the number of its steps.
        return rectified_steps(self.count, settings.tau_start, settings.tau_end)

    def summary(self, settings: Settings, weights: list[float]) -> str:
        return summary(settings, weights, self.rectified(settings), self.count, self.note)


def planned_steps(sampler: str, scheduler: str, steps: int, denoising_strength: float) -> PlannedSteps:
    """The steps of an img2img job.

    The schedule is made by the host's own code for its own settings, on an empty model. The sampler itself is not run: it
    would draw from the noise of a job that is running.

    Raises:
        SettingsError: the host has no such sampler or scheduler, or cannot make the schedule.
    """
    name, label = _resolve(sampler, scheduler)
    from modules import sd_samplers, sd_samplers_common

    config = sd_samplers.all_samplers_map[name]
    p = SimpleNamespace(
        steps=steps,
        denoising_strength=denoising_strength,
        scheduler=label,
        hr_scheduler=None,
        is_hr_pass=False,
        sampler_noise_scheduler_override=_evenly if _needs_the_model(label) else None,
        extra_generation_params={},
    )
    try:
        all_steps, t_enc = sd_samplers_common.setup_img2img_steps(p)
        count = _count(config, p, all_steps, t_enc)
    except Exception as error:
        raise SettingsError(
            f"steps = {steps} cannot be done by {name} with the scheduler {label} "
            f"({type(error).__name__}: {error}): use fewer steps"
        ) from error
    return PlannedSteps(*_as_taken(name, count, steps), config.total_steps(1))


def _as_taken(name: str, count: int, steps: int) -> tuple[int | None, str]:
    """The sampler's own number of steps for a schedule of `count`, and what to say about it."""
    if name == "DPM adaptive":
        return None, "DPM adaptive chooses its own steps"
    if name == "DPM fast":
        count = count // 3 + 1  # three model calls a step
        return count, f"DPM fast takes {count} large ones where {steps} are asked for"
    if name == "Restart" and count >= 20:
        return count, "Restart goes back up and takes some steps twice"
    return count, "" if count == steps else f"{name} takes {count} where {steps} are asked for"


def _count(config: Any, p: Any, all_steps: int, t_enc: int) -> int:
    """The steps of the schedule from where img2img starts."""
    from modules import sd_samplers_kdiffusion, sd_samplers_timesteps

    # Made without its constructor, which asks for the model.
    if config.name in {data.name for data in sd_samplers_timesteps.samplers_data_timesteps}:
        sampler = object.__new__(sd_samplers_timesteps.CompVisSampler)
        sampler.config = config
        timesteps = sampler.get_timesteps(p, all_steps)
        timesteps[t_enc]  # the host noises the picture at this level
        return max(len(timesteps[:t_enc]) - (config.name not in STEP_AFTER_THE_LAST), 0)
    sampler = object.__new__(sd_samplers_kdiffusion.KDiffusionSampler)
    sampler.config = config
    sampler.model_wrap = _empty_denoiser(OWN_LEVELS.get(config.name, MODEL_LEVELS))
    return len(sampler.get_sigmas(p, all_steps)[all_steps - t_enc - 1 :]) - 1


def _empty_denoiser(num_levels: int) -> Any:
    """Levels without a network; how many steps a schedule has depends on how many levels there are, not on where."""
    import torch
    from k_diffusion.external import DiscreteEpsDDPMDenoiser

    betas = torch.linspace(0.00085**0.5, 0.012**0.5, MODEL_LEVELS, dtype=torch.float64).square()
    alphas_cumprod = (1 - betas).cumprod(0).float()
    skip = MODEL_LEVELS // num_levels
    return DiscreteEpsDDPMDenoiser(None, alphas_cumprod[skip - 1 :: skip], quantize=False)


def _evenly(count: int) -> Any:
    import torch

    return torch.linspace(1.0, 0.0, count + 1)


def _needs_the_model(label: str) -> bool:
    """Whether a schedule looks at the loaded model (Align Your Steps does); such make as many steps as asked."""
    function = getattr(_schedulers().get(label), "function", None)
    return "sd_model" in getattr(getattr(function, "__code__", None), "co_names", ())


def _schedulers() -> dict[str, Any]:
    """By name and by label; empty in a host that has none, before 1.9."""
    from modules import sd_samplers

    if not hasattr(sd_samplers, "get_sampler_and_scheduler"):
        return {}
    from modules import sd_schedulers

    found: dict[str, Any] = sd_schedulers.schedulers_map
    return found


def _resolve(sampler: str, scheduler: str) -> tuple[str, str]:
    """Both as the host calls them; a sampler's name of before 1.9 holds the scheduler's: DPM++ 2M Karras."""
    from modules import sd_samplers

    known = _schedulers()
    if known:
        if scheduler not in known:
            labels = ", ".join(dict.fromkeys(entry.label for entry in known.values()))
            raise SettingsError(f"scheduler = {scheduler!r:.80} is not known: use {labels}")
        ends = {end for entry in known.values() for end in (entry.label, entry.name, *(entry.aliases or []))}
        # Looked at first: the host takes another sampler for one that it does not know, and remembers every name for good.
        if any(sampler == name or sampler.removeprefix(f"{name} ") in ends for name in sd_samplers.all_samplers_map):
            name, label = sd_samplers.get_sampler_and_scheduler(sampler, scheduler)
            return name, label
    else:
        if scheduler != "Automatic":
            raise SettingsError(
                f"scheduler = {scheduler!r:.80} is not known: use Automatic, since this host has no others"
            )
        if sampler in sd_samplers.all_samplers_map:
            return sampler, scheduler
    raise SettingsError(f"sampler = {sampler!r:.80} is not known: use {', '.join(sd_samplers.all_samplers_map)}")

"""The steps of a job's sampler and their noise levels, from the host's own schedule and without the loaded model."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from modules import sd_samplers, sd_samplers_common, sd_samplers_kdiffusion, sd_samplers_timesteps

from ..core.noise_levels import ModelLevels, ve
from ..core.schedule import rectified_steps
from ..core.settings import Settings, SettingsError
from ..core.summary import Phrase, summary
from .sampler_hook import late_start

_MODEL_LEVELS = 1000
# Sabour et al., arXiv 2404.14507: the σ of Align Your Steps for Stable Diffusion 1.5.
_ALIGN_YOUR_STEPS = (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029)


@dataclass(frozen=True)
class PlannedSteps:
    """The steps that a sampler is going to take."""

    count: int | None  # None for a sampler that chooses them while it runs
    note: str = ""  # a remark for the user
    calls_a_step: int = 1  # of the model
    # σ of each step, falling; a sampler that chooses its steps gets an even division of log σ.
    sigmas: list[float] = field(default_factory=list)

    def rectified(self, settings: Settings) -> list[int] | None:
        """The indices of the steps inside the window τ; None if they are not known, or if τ is in noise levels."""
        if self.count is None or settings.tau_unit != "steps":
            return None
        # Fractions of a step compare as steps do: DPM fast divides log σ evenly, and its N is the number of its steps.
        return rectified_steps(self.count, settings.tau_start, settings.tau_end)

    def summary(self, settings: Settings, weights: list[float]) -> Phrase:
        return summary(settings, weights, self.rectified(settings), self.count, self.note)

    def cost(self) -> dict[str, Any]:
        """The arguments of `job_calls` that tell the cost of these steps."""
        return {"regenerated": self.count, "calls_a_step": self.calls_a_step}

    def positions(self, settings: Settings) -> list[float]:
        """Where each step begins on the axis of the window τ, from 0 to below 1."""
        if settings.tau_unit == "steps":
            return [index / len(self.sigmas) for index in range(len(self.sigmas))]
        levels = ModelLevels(_alphas().tolist())
        return [levels.progress(ve(sigma)) for sigma in self.sigmas]


def planned_steps(sampler: str, scheduler: str, steps: int, denoising_strength: float, start_time: float) -> PlannedSteps:
    """The steps of an img2img job whose schedule begins at `start_time`, M, as a fraction of the model's timesteps.

    The host's own code makes the schedule from its own settings, on an empty model. The sampler itself does not run: it
    would draw from the noise of a running job. Raises `SettingsError` if the host has no such sampler or scheduler, or cannot
    make the schedule.
    """
    name, label = _resolve(sampler, scheduler)
    config = sd_samplers.all_samplers_map[name]
    p = SimpleNamespace(
        steps=steps,
        denoising_strength=denoising_strength,
        scheduler=label,
        hr_scheduler=None,
        is_hr_pass=False,
        sampler_noise_scheduler_override=_align_your_steps if _needs_the_model(label) else None,
        extra_generation_params={},
    )
    try:
        all_steps, t_enc = sd_samplers_common.setup_img2img_steps(p)
        sigmas = _sigmas(config, p, all_steps, t_enc, start_time)
    except SettingsError:
        raise
    except Exception as error:
        raise SettingsError(
            f"steps = {steps} is not possible with {name} and the scheduler {label} "
            f"({type(error).__name__}: {error}): use fewer steps"
        ) from error
    count, note = _actual_count(name, len(sigmas), steps)
    if name in ("DPM fast", "DPM adaptive") and sigmas:  # evenly in log σ
        divided, ratio = count or len(sigmas), sigmas[-1] / sigmas[0]
        sigmas = [sigmas[0] * ratio ** (index / divided) for index in range(divided)]
    return PlannedSteps(count, note, config.total_steps(1), sigmas)


def _actual_count(name: str, count: int, steps: int) -> tuple[int | None, str]:
    """The sampler's own number of steps for a schedule of `count`, and a remark on it."""
    if name == "DPM adaptive":
        return None, Phrase("DPM adaptive chooses its own steps")
    if name == "DPM fast":
        count = count // 3 + 1  # three model calls a step
        return count, Phrase("DPM fast takes {0} large steps instead of {1}", count, steps)
    if name == "Restart" and count >= 20:
        return count, Phrase("Restart goes back up and takes some steps twice")
    return count, "" if count == steps else Phrase("{0} takes {1} steps instead of {2}", name, count, steps)


def _sigmas(config: Any, p: Any, all_steps: int, t_enc: int, start_time: float) -> list[float]:
    """σ of each step of the schedule from where img2img starts."""
    from k_diffusion.external import DiscreteEpsDDPMDenoiser

    # Made without their constructors, which ask for the model.
    is_on_timesteps = config.name in {data.name for data in sd_samplers_timesteps.samplers_data_timesteps}
    sampler: Any = object.__new__(
        sd_samplers_timesteps.CompVisSampler if is_on_timesteps else sd_samplers_kdiffusion.KDiffusionSampler
    )
    sampler.config = config
    skip = 20 if config.name == "LCM" else 1  # LCM knows 50 levels
    sampler.model_wrap = DiscreteEpsDDPMDenoiser(None, _alphas().float()[skip - 1 :: skip], quantize=False)
    model = SimpleNamespace(alphas_cumprod=_alphas())
    sampler.model_wrap_cfg = SimpleNamespace(inner_model=SimpleNamespace(inner_model=model))
    with late_start(sampler, start_time):
        if not is_on_timesteps:
            sigmas: list[float] = sampler.get_sigmas(p, all_steps)[all_steps - t_enc - 1 : -1].tolist()
            return sigmas
        timesteps = sampler.get_timesteps(p, all_steps)
    timesteps[t_enc]  # the host noises the image at this level
    # The samplers on timesteps step from each level to the next; only UniPC also steps from the last one.
    ascending = timesteps[1:t_enc].tolist()
    if config.name == "UniPC":  # it divides the time evenly
        ascending = [float(timesteps[t_enc - 1]) * (index + 1) / t_enc for index in range(t_enc)]
    levels = ModelLevels(_alphas().tolist())
    return [levels.sigma(timestep) for timestep in reversed(ascending)]


def _alphas() -> torch.Tensor:
    """ᾱ of AnimateDiff's linear schedule of β, in float64."""
    return (1 - torch.linspace(0.00085, 0.012, _MODEL_LEVELS, dtype=torch.float64)).cumprod(0)


def _align_your_steps(count: int) -> torch.Tensor:
    places = np.linspace(0, len(_ALIGN_YOUR_STEPS) - 1, count)
    logs = np.interp(places, range(len(_ALIGN_YOUR_STEPS)), np.log(_ALIGN_YOUR_STEPS))
    return torch.tensor([*np.exp(logs).tolist(), 0.0])


def _needs_the_model(label: str) -> bool:
    """Whether a schedule looks at the loaded model (Align Your Steps does); these make as many steps as asked for."""
    function = getattr(_schedulers().get(label), "function", None)
    return "sd_model" in getattr(getattr(function, "__code__", None), "co_names", ())


def _schedulers() -> dict[str, Any]:
    """By name and by label; empty in a host that has none, before 1.9."""
    if not hasattr(sd_samplers, "get_sampler_and_scheduler"):
        return {}
    from modules import sd_schedulers

    known: dict[str, Any] = sd_schedulers.schedulers_map
    return known


def _resolve(sampler: str, scheduler: str) -> tuple[str, str]:
    """Both names as the host has them; before 1.9 a sampler's name includes the scheduler's: DPM++ 2M Karras."""
    known = _schedulers()
    if scheduler not in (known or ("Automatic",)):
        labels = ", ".join(dict.fromkeys(entry.label for entry in known.values()))
        allowed = labels or "Automatic, since this host has no others"
        raise SettingsError(f"scheduler = {scheduler!r:.80} is not known: use {allowed}")
    ends = {end for entry in known.values() for end in (entry.label, entry.name, *(entry.aliases or []))}
    # Checked first: the host replaces an unknown sampler by another one, and remembers every name for good.
    if not any(sampler == name or sampler.removeprefix(f"{name} ") in ends for name in sd_samplers.all_samplers_map):
        raise SettingsError(f"sampler = {sampler!r:.80} is not known: use {', '.join(sd_samplers.all_samplers_map)}")
    name, label = sd_samplers.get_sampler_and_scheduler(sampler, scheduler) if known else (sampler, scheduler)
    return name, label

"""I4VGen (Guo et al., arXiv 2406.02230), text → image → video: the arithmetic and the cost of its stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..core.settings import MAX_CANDIDATES, Settings
from ..core.summary import Phrase, joined

if TYPE_CHECKING:
    from torch import Tensor

    from ..core.noise_levels import Level

# The first λ of the authors' code, by the model that it is for; all further ones are 1.
FIRST_SIZES = {"animatediff": (10.0, 10.0, 10.0), "lavie": ()}
# The timesteps of the default scorer, as fractions of T, from the noisiest on.
LOOKS = (0.9, 0.7, 0.5, 0.3)


def num_updates(num_steps: int, share: float) -> int:
    """K = int(N·share) + 1, at most N: the number of stage 3's timesteps, from the noisiest on."""
    return min(int(num_steps * share + 1e-9) + 1, num_steps)


def step_sizes(count: int, strength: float = 1.0, first: Sequence[float] = FIRST_SIZES["animatediff"]) -> list[float]:
    """λ of each update of stage 3, times `strength`: the first ones, then 1. (The authors' list ends after 25.)"""
    return [strength * size for size in [*first, *[1.0] * count][:count]]


def look_timesteps(num_train_timesteps: int = 1000) -> list[int]:
    """The timesteps of the default scorer, descending."""
    return [round((num_train_timesteps - 1) * look) for look in LOOKS]


def denoising_errors(clean: Tensor, pred_x0: Tensor, level: Level) -> Tensor:
    """The mean square error of each image's predicted noise, `[F]`, from clean and predicted latents, `[F, …]`.

    Errors of the noise weigh each timestep by the part of the image that is still unknown there.
    """
    return ((pred_x0 - clean) * (level.a / level.s)).square().flatten(1).mean(1)


def ddim_timesteps(num_steps: int, num_train_timesteps: int = 1000) -> list[int]:
    """The timesteps of DDIM, descending, with the leading spacing and the offset 1 of Stable Diffusion."""
    spacing = max(num_train_timesteps // num_steps, 1)
    return [min(spacing * index + 1, num_train_timesteps - 1) for index in reversed(range(num_steps))]


def ni_vsds_update(clean: Tensor, pred_x0: Tensor, level: Level, step_size: float, *, pin_first_frame: bool) -> Tensor:
    """One update of noise-invariant video score distillation: z ← z + λ·σ/(1+σ²)·(D - z), with σ = s/a.

    This is the authors' z ← z - λ·(1-ᾱ)·(ε̂ - ε): with x = a·z + s·ε, ε̂ - ε is a·(z - D)/s, and 1-ᾱ is s².

    Args:
        clean: z, `[F, …]`.
        pred_x0: D, the model's prediction after guidance for a·z + s·ε, with the same ε in the whole stage; `[F, …]`.
        level: (a, s).
        step_size: λ.
        pin_first_frame: subtract frame 0's update from every frame's, so that frame 0 stays exactly the anchor.
    """
    update = pred_x0 - clean
    if pin_first_frame:
        update = update - update[:1]
    factor = level.a * level.s / (level.a**2 + level.s**2)
    return clean + step_size * factor * update


def stage_calls(num_steps: int, candidates: int, frames: int, share: float, probes: int) -> dict[str, float]:
    """The cost of each stage that takes place, in calls of the UNet on F frames with guidance.

    Args:
        candidates: the images of stage 1; 0 where the user gives the image.
        share: of the timesteps that stage 3 takes; 0 leaves it out.
        probes: the scorer's calls on all candidates at once.
    """
    calls = {
        "candidates": num_steps * candidates / frames,
        "choice": probes * candidates / frames,
        "animation": num_updates(num_steps, share) if share > 0 else 0,
        "regeneration": num_steps,
    }
    return {stage: count for stage, count in calls.items() if count}


def candidate_numbers(settings: Settings, frames: int) -> Sequence[int]:
    """The numbers of the candidates that a job in the web UI makes from its prompt."""
    if settings.scorer == "pick" and settings.pick >= 0:
        return [settings.pick]
    return range(settings.candidates or min(frames, MAX_CANDIDATES))


def job_calls(
    settings: Settings, frames: int, num_steps: int, *, has_picture: bool, regenerated: int | None, calls_a_step: int
) -> dict[str, float]:
    """The cost of a job in the web UI, as `stage_calls`.

    Args:
        has_picture: whether the user gives the image.
        regenerated: the number of steps of the last stage, if it is not N.
        calls_a_step: model calls per step of the job's sampler.
    """
    candidates = 0 if has_picture else len(candidate_numbers(settings, frames))
    probes = len(LOOKS) if settings.scorer == "model" and candidates > 1 else 0
    calls = stage_calls(num_steps, candidates, frames, settings.animation_share, probes)
    calls["regeneration"] = regenerated or num_steps
    for stage in {"candidates", "regeneration"} & {*calls}:
        calls[stage] *= calls_a_step
    if candidates and settings.scorer == "pick" and settings.pick < 0:
        return {"candidates": calls["candidates"]}
    return calls


def calls_words(calls: Mapping[str, float], frames: int) -> Phrase:
    """`70 UNet calls on 16 frames: candidates 25, choice 4, animation 16, regeneration 25`."""
    return Phrase("{0} UNet calls on {1} frames: {2}", _short(sum(calls.values())), frames, counted_calls(calls))


def counted_calls(calls: Mapping[str, float]) -> Phrase:
    """`candidates 25, choice 4, animation 16, regeneration 25`."""
    return joined([Phrase("{0} {1}", Phrase(stage), _short(count)) for stage, count in calls.items()])


def _short(count: float) -> str:
    return f"{count + 1e-9:.3g}"  # halves up, like JavaScript

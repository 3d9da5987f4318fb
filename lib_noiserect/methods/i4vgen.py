"""I4VGen (Guo et al., arXiv 2406.02230): from a prompt, through a picture, to a clip; what its stages compute."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ..core.noise_levels import Level
from ..core.settings import MAX_CANDIDATES, Settings

# Of the authors' code for AnimateDiff; for LaVie it is 1 throughout.
_FIRST_SIZES = (10.0, 10.0, 10.0)

# Timesteps, as shares of all, at which the default scorer looks, from the noisiest on.
LOOKS = (0.9, 0.7, 0.5, 0.3)


def num_updates(num_steps: int, share: float) -> int:
    """K = int(N·share) + 1, the timesteps that stage 3 goes through from the noisiest on; at most N."""
    return min(int(num_steps * share + 1e-9) + 1, num_steps)


def step_sizes(count: int, strength: float = 1.0) -> list[float]:
    """λ of each update of stage 3, times `strength`: 10, 10, 10, then 1. The authors' list ends after 25; this does not."""
    return [strength * (_FIRST_SIZES[index] if index < len(_FIRST_SIZES) else 1.0) for index in range(count)]


def look_timesteps(num_train_timesteps: int = 1000) -> list[int]:
    """The timesteps at which the default scorer looks, descending."""
    return [round((num_train_timesteps - 1) * look) for look in LOOKS]


def denoising_errors(clean: Tensor, pred_x0: Tensor, level: Level) -> Tensor:
    """Mean square error of the predicted noise of each picture, `[F]`, from clean and predicted latents, `[F, …]`.

    As noise, so that each timestep counts by how much of the picture is still to be told there.
    """
    return ((pred_x0 - clean) * (level.a / level.s)).square().flatten(1).mean(1)


def ddim_timesteps(num_steps: int, num_train_timesteps: int = 1000) -> list[int]:
    """The timesteps of DDIM, descending, with Stable Diffusion's leading spacing and offset of 1."""
    spacing = max(num_train_timesteps // num_steps, 1)
    return [min(spacing * index + 1, num_train_timesteps - 1) for index in reversed(range(num_steps))]


def ni_vsds_update(clean: Tensor, pred_x0: Tensor, level: Level, step_size: float, *, pin_first_frame: bool) -> Tensor:
    """One update of noise-invariant video score distillation: z ← z + λ·σ/(1+σ²)·(D - z), with σ = s/a.

    It is the authors' z ← z - λ·(1-ᾱ)·(ε̂ - ε): with x = a·z + s·ε, ε̂ - ε is a·(z - D)/s, and 1-ᾱ is s².

    Args:
        clean: z, `[F, …]`.
        pred_x0: D, what the model predicts after guidance for a·z + s·ε with the one noise ε of the stage; `[F, …]`.
        level: (a, s).
        step_size: λ.
        pin_first_frame: take frame 0's update off every frame's, so that frame 0 stays the anchor exactly.
    """
    update = pred_x0 - clean
    if pin_first_frame:
        update = update - update[:1]
    factor = level.a * level.s / (level.a**2 + level.s**2)
    return clean + step_size * factor * update


def stage_calls(num_steps: int, candidates: int, frames: int, share: float, probes: int) -> dict[str, float]:
    """How many calls of the UNet on F frames (each with guidance) each stage costs; stages that are left out are not named.

    Args:
        num_steps: N, of stages 1 and 4.
        candidates: single pictures of stage 1; 0 where the user gives the picture.
        frames: F.
        share: of the timesteps that stage 3 goes through; 0 leaves it out.
        probes: calls that the scorer makes on all candidates at once.
    """
    calls = {
        "candidates": num_steps * candidates / frames,
        "choice": probes * candidates / frames,
        "animation": num_updates(num_steps, share) if share > 0 else 0,
        "regeneration": num_steps,
    }
    return {stage: count for stage, count in calls.items() if count}


def unet_calls(num_steps: int, candidates: int, frames: int, share: float, probes: int) -> float:
    """The sum of `stage_calls`."""
    return sum(stage_calls(num_steps, candidates, frames, share, probes).values())


def job_calls(
    settings: Settings,
    frames: int,
    num_steps: int,
    *,
    has_picture: bool,
    regenerated: int | None = None,
    calls_a_step: int = 1,
) -> dict[str, float]:
    """What a job in the web UI costs, as `stage_calls`.

    Args:
        num_steps: N, of the job.
        has_picture: whether the user gives the picture.
        regenerated: steps of the last stage, where it does not go through the whole noise range.
        calls_a_step: of the job's sampler.
    """
    picks = settings.scorer == "pick"
    candidates = 1 if picks and settings.pick >= 0 else settings.candidates or min(frames, MAX_CANDIDATES)
    probes = len(LOOKS) if settings.scorer == "model" and candidates > 1 else 0
    calls = stage_calls(num_steps, 0 if has_picture else candidates, frames, settings.animation_share, probes)
    calls["regeneration"] = regenerated or num_steps
    for stage in {"candidates", "regeneration"} & {*calls}:
        calls[stage] *= calls_a_step
    if not has_picture and picks and settings.pick < 0:
        return {"candidates": calls["candidates"]}
    return calls


def calls_words(calls: Mapping[str, float], frames: int) -> str:
    """`70 UNet calls on 16 frames: candidates 25, choice 4, animation 16, regeneration 25`."""
    return f"{_short(sum(calls.values()))} UNet calls on {frames} frames: {counted_calls(calls)}"


def counted_calls(calls: Mapping[str, float]) -> str:
    """`candidates 25, choice 4, animation 16, regeneration 25`."""
    return ", ".join(f"{stage} {_short(count)}" for stage, count in calls.items())


def _short(count: float) -> str:
    return f"{count + 1e-9:.3g}"  # halves up, as the page's JavaScript rounds

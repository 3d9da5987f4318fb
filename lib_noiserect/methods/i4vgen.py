"""I4VGen (Guo et al., arXiv 2406.02230): from a prompt, through a picture, to a clip; what its stages compute."""

from __future__ import annotations

from torch import Tensor

from ..spaces import Level

# Of the authors' code for AnimateDiff; for LaVie it is 1 throughout.
_FIRST_SIZES = (10.0, 10.0, 10.0)


def num_updates(num_steps: int, share: float) -> int:
    """K = int(N·share) + 1, the timesteps that stage 3 goes through from the noisiest on; at most N."""
    return min(int(num_steps * share + 1e-9) + 1, num_steps)


def step_sizes(count: int, strength: float = 1.0) -> list[float]:
    """λ of each update of stage 3, times `strength`: 10, 10, 10, then 1. The authors' list ends after 25; this does not."""
    return [strength * (_FIRST_SIZES[index] if index < len(_FIRST_SIZES) else 1.0) for index in range(count)]


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


def unet_calls(num_steps: int, candidates: int, frames: int, share: float, probes: int) -> float:
    """How many calls of the UNet on F frames (each with guidance) a clip costs.

    Args:
        num_steps: N, of stages 1 and 4.
        candidates: single pictures of stage 1; 0 where the user gives the picture.
        frames: F.
        share: of the timesteps that stage 3 goes through; 0 leaves it out.
        probes: calls that the scorer makes on all candidates at once.
    """
    pictures = (num_steps + probes) * candidates / frames
    return pictures + (num_updates(num_steps, share) if share > 0 else 0) + num_steps

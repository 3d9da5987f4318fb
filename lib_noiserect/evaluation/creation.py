"""Experiments on clips of prompts alone: what is made of each held-out caption, and what is measured of it."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..media.metrics import Floats, Pixels, direction, motion, named_direction, ssim_per_frame, warp_residual
from ..methods.i4vgen import LOOKS, unet_calls
from .lines import Lines

CANDIDATES, SHARE, FEW = 16, 0.6, 4
_PROBES = len(LOOKS)
# True frames whose patches are compared with: of captions that are not measured.
_TRUE_FRAMES, _TRUE_SEED = 200, 31


@dataclass(frozen=True)
class Method:
    """How a clip is made of a prompt.

    Attributes:
        candidates: pictures to choose from; 0 is none, and no picture in between.
        faster: the candidates take a step where the clip takes so many.
        share: of the timesteps of the animation.
        rectified: whether the last stage is rectified towards the animated still, and that pinned to the anchor.
        times: the steps of the clip, as a multiple of those that were asked for; 0 is as many as the authors' I4VGen calls
            the model.
    """

    candidates: int = 0
    faster: int = 1
    share: float = 0.0
    rectified: bool = False
    times: int = 1

    def steps(self, steps: int, frames: int) -> int:
        """Of the last stage, or of the clip where there is no picture in between."""
        return round(unet_calls(steps, CANDIDATES, frames, SHARE, _PROBES)) if self.times == 0 else steps * self.times

    def calls(self, steps: int, frames: int) -> float:
        """Of the model on a whole clip with guidance; of those that choose, which are without it, two count as one."""
        if not self.candidates:
            return self.steps(steps, frames)
        all_stages = unet_calls(steps, self.candidates, frames, self.share, _PROBES)
        return all_stages - (steps - max(steps // self.faster, 1)) * self.candidates / frames


METHODS = {
    "text alone": Method(),
    "text alone, as many calls": Method(times=0),
    "I4VGen": Method(CANDIDATES, share=SHARE),
    "rectified": Method(CANDIDATES, share=SHARE, rectified=True),
    f"rectified, {FEW} candidates": Method(FEW, share=SHARE, rectified=True),
    "rectified, share 0.2": Method(CANDIDATES, share=0.2, rectified=True),
    f"rectified, {FEW} candidates in half the steps, share 0.2": Method(FEW, faster=2, share=0.2, rectified=True),
}
"""By name, in the order of the table. The first two go through no picture; those after the fourth are cheaper."""
TRUE, CHOICE = "the world's own", "candidates"


@dataclass(frozen=True)
class Trial:
    """What was made of a held-out caption: a method's clip, the world's own, or the candidates.

    Attributes:
        prompt, prompts: the caption's number, and of how many that were drawn together, on which it depends.
    """

    what: str
    prompt: int
    prompts: int
    steps: int
    guidance: float
    seed: int


def jobs(prompts: int, steps: int, guidance: float, seed: int) -> list[list[Trial]]:
    """What is to be made, in jobs that share candidates: what is compared first, and the cheaper settings afterwards."""
    names = [TRUE, CHOICE, *METHODS]
    return [
        [Trial(what, prompt, prompts, steps, float(guidance), seed + prompt) for what in some]
        for some in (names[:6], names[6:])
        for prompt in range(prompts)
    ]


def read_creation(folder: Path) -> Lines[Trial]:
    """What a folder has of this experiment. Raises `EvaluationError` where it is damaged."""
    return Lines(folder / "creation.jsonl", Trial)


def made_path(folder: Path, trial: Trial) -> Path:
    """Where a trial's frames are: `frames`, for a method also `anchor`, for candidates also the scorer's `gains`."""
    name = re.sub(r"\W+", "-", trial.what)
    settings = f"{trial.steps}-{trial.guidance:g}-{trial.seed}"
    return folder / "creation" / f"{trial.prompt:03d}-of-{trial.prompts}-{settings}-{name}.npz"


def measured(folder: Path, trial: Trial, caption: str) -> dict[str, Any]:
    """The figures of frames that were made."""
    with np.load(made_path(folder, trial)) as made:
        arrays = dict(made)
    if trial.what == CHOICE:
        return choice_figures(arrays["frames"], arrays["gains"], caption)
    return clip_figures(arrays["frames"], caption, arrays.get("anchor"))


def clip_figures(clip: Pixels, caption: str, anchor: Pixels | None) -> dict[str, float]:
    """Measures of a clip `[F, 64, 64, 3]` of a caption of the toy world, and of how it keeps the picture in between."""
    from ..tiny.oracle import judge, named

    frames = _frames(clip)
    _, words = judge(frames, caption)
    right = (words == words.new_tensor(list(named(caption).values()))).float()
    figures = {
        "all_right": float(right.prod(1).mean()),
        "words_right": float(right.mean()),
        "follows_caption": float(direction(clip) == named_direction(caption)),
        "motion": motion(clip),
        "warp_residual": warp_residual(clip),
        "steady": float((words == words.mode(0).values).float().mean()),
        "distance": _distance(frames),
        "sharpness": _sharpness(clip),
    }
    if anchor is not None:
        ssim = ssim_per_frame(clip, anchor)
        figures |= {"anchor": float(ssim.mean()), "anchor_first": float(ssim[0])}
    return figures


def choice_figures(pictures: Pixels, gains: Floats, caption: str) -> dict[str, Any]:
    """What the oracle says of candidates `[N, 64, 64, 3]`, and the default scorer's gains `[looks, N]`."""
    from ..tiny.oracle import judge, named

    likely, words = judge(_frames(pictures), caption)
    right = words == words.new_tensor(list(named(caption).values()))
    return {"likely": likely.tolist(), "right": right.all(1).int().tolist(), "gains": gains.tolist()}


def _frames(clip: Pixels) -> Any:
    import torch

    return torch.from_numpy(clip).movedim(-1, 1).float() / 255


def _sharpness(clip: Pixels) -> float:
    """Mean difference of neighbouring pixels, in 255ths."""
    pixels = clip.astype(np.float64)
    return float((np.abs(np.diff(pixels, axis=1)).mean() + np.abs(np.diff(pixels, axis=2)).mean()) / 2)


def _distance(frames: Any) -> float:
    """Of small patches to the nearest of many true ones, in pixels' values; 1 is what patches of other true frames have."""
    true, scale = _true_patches()
    return _nearest(_patches(frames), true) / scale


@functools.lru_cache(maxsize=1)
def _true_patches() -> tuple[Any, float]:
    import torch

    from ..tiny.world import Scenes

    times = torch.tensor([0.5])
    true = _patches(Scenes.draw(_TRUE_FRAMES, _TRUE_SEED).render(times)[:, 0])
    others = _patches(Scenes.draw(_TRUE_FRAMES // 4, _TRUE_SEED + 1).render(times)[:, 0])
    return true, _nearest(others, true)


def _patches(frames: Any) -> Any:
    """Of 4 × 4 pixels, every second one in both directions, `[64·N, 48]`."""
    import torch

    return torch.nn.functional.unfold(frames, 4, stride=8).movedim(1, 2).flatten(0, 1)


def _nearest(patches: Any, others: Any) -> float:
    import torch

    return float(torch.cdist(patches, others).min(1).values.mean())

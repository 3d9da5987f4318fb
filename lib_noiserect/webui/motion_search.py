"""Before a job that wants a similarity: short runs of its own sampler with its own noise, which find the motion for it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from modules import sd_samplers_common, shared
from torch import Tensor

from ..core.motion_search import MAX_PROBES, PROBE_STEPS, Found, Probe, find_motion
from ..core.settings import Settings
from ..core.stand_in import Delegate, replaced
from ..media.metrics import ssim_per_frame
from .reference import Clean

if TYPE_CHECKING:
    from .session import Job

# Frames of a probe that are decoded and compared, spread over the clip.
_COMPARED = 5


class Trial(NamedTuple):
    """How a clip is made to be looked at.

    Attributes:
        clean: what it is held to, and compared with.
        sample: from settings to the clip's latents.
    """

    clean: Clean
    sample: Callable[[Settings], Tensor]


def find(job: Job, length: int, model: Any, short: Trial, whole: Trial, probe_steps: int) -> Found:
    """The settings with the motion found, and what was tried.

    Args:
        length: the clip's frames, the first ones of those that are made.
        model: the host's denoiser, whose count of steps each probe starts anew.
        short, whole: a run of few steps, and one with all steps of the job in its own size.
        probe_steps: how many steps a short run has.
    """
    frames = _spread(length)
    state = shared.state
    before = model.step, state.sampling_step, state.sampling_steps, state.textinfo
    state.sampling_step, state.sampling_steps = 0, MAX_PROBES * probe_steps
    state.textinfo = "Noise Rectification: finding the motion"

    def similarity(trial: Trial, settings: Settings) -> float:
        model.step = 0
        return _mean_ssim(_decoded(job.p, trial.sample(settings)[frames]), trial.clean, frames)

    def on_probe(made: int, most: int, probe: Probe) -> None:
        state.sampling_step = made * probe_steps
        state.textinfo = (
            f"Noise Rectification: motion {probe.motion:.2f} has SSIM {probe.ssim:.3f} ({made} of at most {most})"
        )

    try:
        in_short, in_all = (functools.partial(similarity, trial) for trial in (short, whole))
        return find_motion(job.settings, in_short, exact=in_all, on_probe=on_probe)
    finally:
        model.step, state.sampling_step, state.sampling_steps, state.textinfo = before


def shorter(kwargs: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """A sampler's arguments with at most `PROBE_STEPS` of its steps, and how many those are."""
    short = dict(kwargs)
    for name in ("sigmas", "sigma_sched", "timesteps"):
        levels = short.get(name)
        if isinstance(levels, Tensor):
            count = min(len(levels), PROBE_STEPS + 1)
            kept = torch.linspace(0, len(levels) - 1, count, device=levels.device).round().long()
            return {**short, name: levels[kept]}, max(count - 1, 1)
    return short, PROBE_STEPS


@contextmanager
def noise_of_its_own(modules: Sequence[ModuleType]) -> Iterator[None]:
    """Fresh noise of a probe is drawn from elsewhere: the job's own draws are the same with and without probes before."""
    with ExitStack() as stack:
        for module in modules:
            stack.enter_context(replaced(module, torch=_OtherNoise(module.torch)))
        yield


class _OtherNoise(Delegate):
    def __init__(self, target: Any) -> None:
        super().__init__(target)
        self._generator = torch.Generator().manual_seed(0)

    def randn_like(self, x: Tensor, **kwargs: Any) -> Tensor:
        return torch.randn(x.shape, generator=self._generator, dtype=torch.float32).to(x)


def _spread(length: int) -> Sequence[int]:
    # SSIM is of clips, which have two frames at least.
    return (
        sorted({round(index * (length - 1) / (_COMPARED - 1)) for index in range(_COMPARED)}) if length > 1 else [0, 0]
    )


def _mean_ssim(shown: Sequence[np.ndarray[Any, Any]], clean: Clean, frames: Sequence[int]) -> float:
    """Of some frames of the clip, each to the picture of its nearest key frame."""
    to_each = [ssim_per_frame(np.stack(shown), np.asarray(clean.pictures[key])) for key in clean.keys.frames]
    nearest = np.argmax(clean.keys.hat_weights, axis=1)[list(frames)]
    return float(np.stack(to_each)[nearest, np.arange(len(frames))].mean())


def _decoded(p: Any, latents: Tensor) -> list[np.ndarray[Any, Any]]:
    decoded = [sd_samplers_common.samples_to_images_tensor(latent[None], 0, p.sd_model)[0] for latent in latents]
    pixels = [((picture.float() + 1) / 2).clamp(0, 1) * 255 for picture in decoded]
    return [np.moveaxis(picture.cpu().numpy(), 0, 2).round().astype(np.uint8) for picture in pixels]

"""Before a job that wants a similarity: short runs of its own sampler with its own noise, which find the motion for it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from modules import sd_samplers_common, shared
from torch import Tensor

from ..evaluation.metrics import ssim_per_frame
from ..settings import Settings
from ..target import MAX_PROBES, PROBE_STEPS, Found, Probe, find_motion
from ..twin import Delegate, replaced
from .clean import Clean

if TYPE_CHECKING:
    from .job import Job

# Frames of a probe that are decoded and compared, spread over the clip.
_COMPARED = 5


def find(
    job: Job,
    clean: Clean,
    length: int,
    model: Any,
    sample: Callable[[Settings], Tensor],
    sample_whole: Callable[[Settings], Tensor],
    probe_steps: int,
) -> Found:
    """The settings with the motion found, and what was tried.

    Args:
        length: the clip's frames, the first ones of those that are made.
        model: the host's denoiser, whose count of steps each probe starts anew.
        sample: a short run with given settings: the clip's latents.
        sample_whole: one with all steps of the job.
        probe_steps: how many steps a short run has.
    """
    frames = _spread(length)
    nearest = np.argmax(clean.keys.hat_weights, axis=1)
    wanted = [np.asarray(clean.pictures[clean.keys.frames[nearest[frame]]]) for frame in frames]
    state = shared.state
    before = model.step, state.sampling_step, state.sampling_steps, state.textinfo
    state.sampling_step, state.sampling_steps = 0, MAX_PROBES * probe_steps
    state.textinfo = "Noise Rectification: finding the motion"

    def similarity(sample: Callable[[Settings], Tensor], settings: Settings) -> float:
        model.step = 0
        shown = _decoded(job.p, sample(settings)[frames])
        pairs = zip(shown, wanted)
        return float(np.mean([ssim_per_frame(np.stack([frame, frame]), picture)[0] for frame, picture in pairs]))

    def on_probe(made: int, most: int, probe: Probe) -> None:
        state.sampling_step = made * probe_steps
        state.textinfo = (
            f"Noise Rectification: motion {probe.motion:.2f} has SSIM {probe.ssim:.3f} ({made} of at most {most})"
        )

    try:
        in_short, in_all = (functools.partial(similarity, run) for run in (sample, sample_whole))
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
            stack.enter_context(replaced(module, "torch", _OtherNoise(module.torch)))
        yield


class _OtherNoise(Delegate):
    def __init__(self, target: Any) -> None:
        super().__init__(target)
        self._generator = torch.Generator().manual_seed(0)

    def randn_like(self, x: Tensor, **kwargs: Any) -> Tensor:
        return torch.randn(x.shape, generator=self._generator, dtype=torch.float32).to(x)


def _spread(length: int) -> Sequence[int]:
    return sorted({round(index * (length - 1) / (_COMPARED - 1)) for index in range(_COMPARED)})


def _decoded(p: Any, latents: Tensor) -> list[np.ndarray[Any, Any]]:
    decoded = [sd_samplers_common.samples_to_images_tensor(latent[None], 0, p.sd_model)[0] for latent in latents]
    pixels = [((picture.float() + 1) / 2).clamp(0, 1) * 255 for picture in decoded]
    return [np.moveaxis(picture.cpu().numpy(), 0, 2).round().astype(np.uint8) for picture in pixels]

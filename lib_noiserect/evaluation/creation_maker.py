"""Makes what the experiments on creation ask for; several clips of a prompt at once, since they share its candidates."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..core.settings import Settings
from ..pipelines.animation import load
from ..pipelines.i4vgen import animate_still, candidates_of, decoded, denoising_gains, regenerate
from ..pipelines.latents import clip_pixels
from ..tiny.world import FRAMES, Scenes, held_out_scenes, pixels_of
from .creation import CANDIDATES, CHOICE, METHODS, TRUE, Method, Trial


@dataclass(frozen=True)
class CreationMaker:
    """Makes the clips of one prompt; small, so that it can travel to a process, which loads the model once.

    Attributes:
        device, threads, bfloat16: as `maker.Maker` has them.
    """

    device: str | None = None
    threads: int | None = None
    bfloat16: bool = False

    def __call__(self, trials: Sequence[Trial]) -> list[dict[str, NDArray[Any]]]:
        """What `creation.made_path` keeps of each trial; they must be of one prompt."""
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        pipe = _loaded(self.device)
        scenes, index = held_out_scenes(trials[0].prompts), trials[0].prompt
        with torch.no_grad(), torch.autocast(pipe.device.type, torch.bfloat16, enabled=self.bfloat16):
            work = _Prompt(pipe, scenes.captions[index], trials[0])
            return [
                {"frames": _true_clip(scenes, index)} if trial.what == TRUE else work.make(trial.what)
                for trial in trials
            ]


class _Prompt:
    """The work on one prompt. Every stage takes its noise from where `create.create` would, with the same seed."""

    def __init__(self, pipe: Any, caption: str, trial: Trial) -> None:
        self._pipe, self._caption, self._trial = pipe, caption, trial
        self._call = functools.partial(pipe, prompt=caption, guidance_scale=trial.guidance)
        self._size = {"width": 64, "height": 64}

    def make(self, what: str) -> dict[str, NDArray[Any]]:
        if what == CHOICE:
            return {"frames": self._pictures(CANDIDATES, 1), "gains": self._chosen(CANDIDATES, 1)[1].numpy()}
        method = METHODS[what]
        made: dict[str, NDArray[Any]] = {"frames": self._clip(method)}
        if method.candidates:
            chosen = self._chosen(method.candidates, method.faster)[3]
            made["anchor"] = self._pictures(method.candidates, method.faster)[chosen]
        return made

    def _clip(self, method: Method) -> NDArray[np.uint8]:
        steps = method.steps(self._trial.steps, FRAMES)
        if not method.candidates:
            made = self._call(num_frames=FRAMES, num_inference_steps=steps, generator=self._seeded(), output_type="np")
            return clip_pixels(made.frames)
        latents, _, state, chosen = self._chosen(method.candidates, method.faster)
        generator = torch.Generator()
        generator.set_state(state)
        still = latents[:, :, chosen : chosen + 1].expand(-1, -1, FRAMES, -1, -1)
        if method.share:
            still = animate_still(
                self._pipe, still, self._call, steps, method.share, 1.0, generator, pin_first_frame=method.rectified
            )
        settings = Settings(enabled=True) if method.rectified else None
        return regenerate(self._pipe, still, self._call, steps, 1.0, settings, generator)[0]

    def _pictures(self, candidates: int, faster: int) -> NDArray[np.uint8]:
        """The candidates, `[N, 64, 64, 3]`."""
        latents = self._chosen(candidates, faster)[0]
        return np.stack([np.asarray(picture) for picture in decoded(self._pipe, latents)])

    @functools.cache  # noqa: B019  # a prompt's work is short
    def _chosen(self, candidates: int, faster: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, int]:
        """Latents of the candidates, their gains, the state of the random numbers afterwards, and which is taken."""
        generator = self._seeded()
        latents = candidates_of(self._pipe, self._call, candidates, max(self._trial.steps // faster, 1), generator)
        gains = denoising_gains(self._pipe, latents, self._caption, "", generator, self._size)
        return latents, gains.cpu(), generator.get_state(), int(gains.mean(0).argmax())

    def _seeded(self) -> torch.Generator:
        return torch.Generator().manual_seed(self._trial.seed)


def _true_clip(scenes: Scenes, index: int) -> NDArray[np.uint8]:
    return pixels_of(scenes.part(slice(index, index + 1)).render()[0])


@functools.lru_cache(maxsize=1)
def _loaded(device: str | None) -> Any:
    pipe = load(None, None, device)
    pipe.set_progress_bar_config(disable=True)
    return pipe

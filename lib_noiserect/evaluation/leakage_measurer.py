"""Measures the trials of `evaluation.trials`; each model and the scenes are loaded once."""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..core.settings import Settings
from ..media.metrics import measure, shift
from ..methods import statistics_file
from ..methods.analytic_init import Statistics
from ..methods.video_statistics import Gathered
from ..pipelines.animation import animate, load, use_sampler
from ..pipelines.image_conditioned import FOLDER, animate_conditioned, load_conditioned, predicted_clean
from ..pipelines.latents import encode_clip
from ..tiny.world import DIRECTIONS, Scenes, held_out_scenes, pixels_of, speedy_times
from .errors import EvaluationError
from .leakage import BUILT_IN, RECTIFIED_FRAMES, WORLD, Trial

FRAMES = 8
"""Of the conditioned models' clips, as they were trained."""
_SPEEDS_SEED, _NOISE_SEED = 1002, 1003
# The scenes that statistics are gathered from are of captions that were seen in training.
_GATHERED_SEED, _GATHERED_CLIPS = 25, 192
_MOST_PICTURES = 256


@dataclass(frozen=True)
class Measurer:
    """What measures a trial.

    Attributes:
        folder: where the statistics that were gathered are kept.
        weights: folder of the conditioned models' weights; None is the library's.
        device, bfloat16: as `maker.Maker` has them.
    """

    folder: Path
    weights: Path | None = None
    device: str | None = None
    bfloat16: bool = False

    def __call__(self, trial: Trial) -> dict[str, float]:
        """The trial's figures by name.

        Raises:
            EvaluationError, PipelineError: its model is not there, or there are not so many pictures.
        """
        if trial.picture >= _MOST_PICTURES:
            raise EvaluationError(f"pictures = {trial.picture + 1} are too many: use at most {_MOST_PICTURES}")
        scene = _scene(trial.picture)
        device = self.device or ("cuda" if torch.cuda.is_available() else "cpu")
        with torch.autocast(device, torch.bfloat16, enabled=self.bfloat16 and trial.model != WORLD):
            if trial.experiment == "leakage":
                return self._prediction(trial)
            if trial.experiment == "rectified-start":
                picture = pixels_of(scene.render(torch.zeros(1))[0, 0])
                return _figures(self._rectified(trial, picture), picture, scene)
            times = _times()[trial.picture]
            real = pixels_of(scene.render(times)[0])
            clip = real if trial.model == WORLD else self._conditioned(trial, real[0])
            return _figures(clip, real[0], scene)

    def check(self, model: str) -> None:
        """Raises `PipelineError` where a model is not there."""
        if model not in (WORLD, BUILT_IN):
            _loaded(self._weights(model), self.device)

    def _weights(self, model: str) -> Path | None:
        return None if model == BUILT_IN else (self.weights or FOLDER) / f"{model}.safetensors"

    def _conditioned(self, trial: Trial, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return animate_conditioned(
            _loaded(self._weights(trial.model), self.device),
            picture,
            _scene(trial.picture).captions[0],
            start_time=trial.time,
            statistics=self._statistics(trial.statistics, FRAMES),
            steps=trial.steps,
            guidance=trial.guidance,
            frames=FRAMES,
            seed=trial.picture,
        )

    def _rectified(self, trial: Trial, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        pipe = _loaded(None, self.device)
        clip, _ = animate(
            pipe,
            picture,
            _scene(trial.picture).captions[0],
            Settings(start_time=trial.time),
            statistics=self._statistics(trial.statistics, RECTIFIED_FRAMES),
            steps=trial.steps,
            guidance=trial.guidance,
            frames=RECTIFIED_FRAMES,
            seed=trial.picture,
        )
        return clip

    def _prediction(self, trial: Trial) -> dict[str, float]:
        """Of a clip that stands still and of the same scene's that moves at full speed, with the same noise.

        Errors are mean squares by the variance of the clip's latents; motion is the change from frame 0, D_i - D_0, of which
        the share along the real one counts: ⟨D_i - D_0, z_i - z_0⟩/‖z_i - z_0‖², which is 1 where the clip is known, and 0
        where the picture is all that is known.
        """
        pipe = _loaded(self._weights(trial.model), self.device)
        scene = _scene(trial.picture)
        timestep = max(round(trial.time * pipe.scheduler.config.num_train_timesteps) - 1, 0)
        generator = torch.Generator().manual_seed(_NOISE_SEED + trial.picture)
        figures = {}
        for name, end in (("still", 0.0), ("moving", 1.0)):
            latents = _encoded(pipe, scene.render(torch.linspace(0, end, FRAMES))).movedim(0, 1)[None]
            if name == "still":
                noise = torch.randn(latents.shape, generator=generator)
            predicted = predicted_clean(
                pipe, latents, latents[:, :, 0], timestep, scene.captions[0], noise.to(latents)
            ).float()
            figures[f"error_{name}"] = float((predicted - latents).square().mean() / latents.var())
            moved, real = (clip[:, :, 1:] - clip[:, :, :1] for clip in (predicted, latents))
            if name == "moving":
                figures["motion_share"] = float((moved * real).sum() / real.square().sum())
        return figures

    def _statistics(self, kind: str, frames: int) -> Statistics | None:
        return None if kind == "none" else _gathered(self.folder, kind, frames, self.device)


def _figures(clip: NDArray[np.uint8], picture: NDArray[np.uint8], scene: Scenes) -> dict[str, float]:
    """What `measure` says, and `speed`: how far things move a frame where the caption says, in pixels."""
    along = list(DIRECTIONS.values())[int(scene.direction)]
    return {**asdict(measure(clip, picture)), "speed": float(np.dot(shift(clip), along))}


@functools.cache
def _loaded(weights: Path | None, device: str | None) -> Any:
    pipe = load(device=device) if weights is None else load_conditioned(weights, device)
    pipe.set_progress_bar_config(disable=True)
    use_sampler(pipe, "ddim")
    return pipe


@functools.cache
def _scenes() -> Scenes:
    return held_out_scenes(_MOST_PICTURES)


@functools.cache
def _times() -> Tensor:
    return speedy_times(_MOST_PICTURES, FRAMES, _SPEEDS_SEED)


def _scene(number: int) -> Scenes:
    return _scenes().part(slice(number, number + 1))


@torch.no_grad()
def _encoded(pipe: Any, frames: Tensor) -> Tensor:
    """`[F, C, h, w]` latents of one scene's frames, `[1, F, 3, H, W]` in [0, 1]."""
    return encode_clip(pipe.vae, frames[0].to(pipe.device) * 2 - 1).float()


@functools.cache
def _gathered(folder: Path, kind: str, frames: int, device: str | None) -> Statistics:
    """Statistics of clips such as a model learned from; gathered once for each kind and number of frames."""
    file = folder / f"{kind}-{frames}.safetensors"
    if not file.is_file():
        pipe, gathered = _loaded(None, device), Gathered((kind,))
        scenes = Scenes.draw(_GATHERED_CLIPS, _GATHERED_SEED)
        times = speedy_times(_GATHERED_CLIPS, frames, _GATHERED_SEED, speed=None if frames == FRAMES else 1.0)
        for number in range(_GATHERED_CLIPS):
            part = slice(number, number + 1)
            gathered.add(_encoded(pipe, scenes.part(part).render(times[part])).cpu())
        statistics_file.save(gathered.finish(kind, model=BUILT_IN), file)
    return statistics_file.load(file)

"""Measures the trials of `evaluation.trials`, in any process: each model and the scenes are loaded once in each."""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..evaluation.errors import EvaluationError
from ..evaluation.metrics import measure, shift
from ..evaluation.trials import BUILT_IN, RECTIFIED_FRAMES, WORLD, Trial
from ..methods import statistics_file
from ..methods.analytic import Statistics
from ..methods.gather import Gathered
from ..settings import Settings
from ..tiny.world import DIRECTIONS, Scenes, speedy_times
from .animate import load, use_sampler
from .conditioned import FOLDER, animate_conditioned, load_conditioned, predicted_clean
from .rectified import rectified

FRAMES = 8
"""Of the conditioned models' clips, as they were trained."""
_HELD_OUT_SEED, _SPEEDS_SEED, _NOISE_SEED = 1001, 1002, 1003
# The scenes that statistics are gathered from are of captions that were seen in training.
_GATHERED_SEED, _GATHERED_CLIPS = 25, 192
_MOST_PICTURES = 256


@dataclass(frozen=True)
class Measurer:
    """What measures a trial; small enough to travel to a worker.

    Attributes:
        folder: where the statistics that were gathered are kept.
        weights: folder of the conditioned models' weights; None is the library's.
        device, bfloat16, threads: as `maker.Maker` has them.
    """

    folder: Path
    weights: Path | None = None
    device: str | None = None
    bfloat16: bool = False
    threads: int | None = None

    def __call__(self, trial: Trial) -> dict[str, float]:
        """The trial's figures by name.

        Raises:
            EvaluationError, PipelineError: its model is not there, or there are not so many pictures.
        """
        if trial.picture >= _MOST_PICTURES:
            raise EvaluationError(f"pictures = {trial.picture + 1} are too many: use at most {_MOST_PICTURES}")
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        device = self.device or ("cuda" if torch.cuda.is_available() else "cpu")
        with torch.autocast(device, torch.bfloat16, enabled=self.bfloat16 and trial.model != WORLD):
            if trial.experiment == "leakage":
                return self._prediction(trial)
            if trial.experiment == "rectified-start":
                picture = _pixels(_scene(trial.picture).render(torch.zeros(1)))[0]
                return _figures(self._rectified(trial, picture), picture, _scene(trial.picture))
            scene, times = _scene(trial.picture), _times()[trial.picture]
            real = _pixels(scene.render(times))
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
        settings = Settings(enabled=True, start_time=trial.time)
        with rectified(pipe, picture, settings, statistics=self._statistics(trial.statistics, RECTIFIED_FRAMES)):
            made = pipe(
                prompt=_scene(trial.picture).captions[0],
                num_frames=RECTIFIED_FRAMES,
                num_inference_steps=trial.steps,
                guidance_scale=trial.guidance,
                generator=torch.Generator().manual_seed(trial.picture),
                output_type="np",
            ).frames
        pixels: NDArray[np.uint8] = (np.asarray(made)[0] * 255).round().clip(0, 255).astype(np.uint8)
        return pixels

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
            latents = _encoded(pipe, scene.render(torch.linspace(0, end, FRAMES)))[0].movedim(0, 1)[None]
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
    return Scenes.draw(_MOST_PICTURES, _HELD_OUT_SEED, held_out_captions=True)


@functools.cache
def _times() -> Tensor:
    return speedy_times(_MOST_PICTURES, FRAMES, _SPEEDS_SEED)


def _scene(number: int) -> Scenes:
    return _scenes().part(slice(number, number + 1))


def _pixels(frames: Tensor) -> NDArray[np.uint8]:
    """`[F, H, W, 3]` uint8 of one scene's `[1, F, 3, H, W]` in [0, 1]."""
    pixels: NDArray[np.uint8] = (frames[0].movedim(1, -1) * 255).round().byte().numpy()
    return pixels


@torch.no_grad()
def _encoded(pipe: Any, frames: Tensor) -> Tensor:
    """`[N, F, C, h, w]` latents of `[N, F, 3, H, W]` frames in [0, 1]."""
    pixels = frames.flatten(0, 1).to(pipe.device, pipe.vae.dtype) * 2 - 1
    latents: Tensor = pipe.vae.encode(pixels).latent_dist.mode().float() * pipe.vae.config.scaling_factor
    return latents.view(*frames.shape[:2], *latents.shape[1:])


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
            gathered.add(_encoded(pipe, scenes.part(part).render(times[part]))[0].cpu())
        statistics_file.save(gathered.finish(kind, model=BUILT_IN), file)
    return statistics_file.load(file)

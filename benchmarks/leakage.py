"""Experiments on conditional image leakage (arXiv 2406.15735), on the built-in models and their world."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lib_noiserect.core.errors import UserError
from lib_noiserect.core.settings import Settings
from lib_noiserect.evaluation import trials
from lib_noiserect.evaluation.continuation import continuation, held_out_truth
from lib_noiserect.evaluation.model import Model, loaded
from lib_noiserect.evaluation.trials import Outcome, Plan, Results
from lib_noiserect.media.metrics import measure, shift
from lib_noiserect.methods import statistics_file
from lib_noiserect.methods.analytic_init import KINDS, Statistics
from lib_noiserect.methods.video_statistics import Gathered
from lib_noiserect.pipelines.animation import animate
from lib_noiserect.pipelines.latents import encode_video
from lib_noiserect.tiny.world import DIRECTIONS, SIZE, Scenes, held_out_scenes, pixels_of

from .image_conditioned import FOLDER, PLAIN_WEIGHTS, animate_conditioned, load_conditioned, predicted_clean, speedy_times

Experiment: TypeAlias = Literal["leakage", "start", "time-noise", "image-to-video", "rectified-start"]
EXPERIMENTS: tuple[Experiment, ...] = get_args(Experiment)
TIMES = (0.5, 0.82, 0.9, 0.94, 0.98, 1.0)
"""t/T at which a clean video is predicted at once."""
STARTS = (1.0, 0.94, 0.9, 0.86, 0.82)
"""M: the paper's sweep."""
RECTIFIED_STEPS, RECTIFIED_GUIDANCE, RECTIFIED_FRAMES = 10, 7.5, 16
"""As in the built-in model's other experiments."""
PLAIN, TIME_NOISE = "plain", "timenoise"
SIBLINGS = {
    PLAIN: "none",
    "beta_m=1": "β_m = 1, a = 5",
    TIME_NOISE: "β_m = 4, a = 5",
    "beta_m=16": "β_m = 16, a = 5",
    "a=1": "β_m = 4, a = 1",
    "a=0.1": "β_m = 4, a = 0.1",
}
"""Image-conditioned models by their files' names, in the order of a table, and the TimeNoise of their training."""
PAPER, FOLLOWING = "the paper's rule", "following the motion"
RULES = {"": None, f" + {PAPER}": Settings(enabled=True), f" + {FOLLOWING}": Settings(enabled=True, follow_motion=True)}
"""Rectifications of the plain sibling, by the ends of its names."""
LATE = 0.94
"""M of the rectified sibling."""
WORLD, BUILT_IN = "world", "built-in"
"""Videos of the world itself, which a model should resemble; the text-to-video model."""
FRAMES = 8
"""Of the conditioned models' videos, as in their training."""
# Videos of conditioned models have no guidance: it exaggerates what the caption says, motion included.
_GUIDANCE = 1.0
_SPEEDS_SEED, _NOISE_SEED = 1002, 1003
# The scenes behind the statistics have captions that were seen in training.
_GATHERED_SEED, _GATHERED_VIDEOS = 25, 192
_MOST_IMAGES = 256


@dataclass(frozen=True)
class Trial(trials.Trial):
    """One prediction or video of one image.

    Attributes:
        model: of `SIBLINGS`, perhaps with one of `RULES` behind it, `WORLD` or `BUILT_IN`.
        time: t/T of a prediction, or M, a video's start noise level.
        statistics: what a video's initial noise is drawn from: "none", or a kind of statistics.
        picture: the number of the held-out scene.
    """

    experiment: Experiment
    model: str
    time: float
    statistics: str
    picture: int
    steps: int
    guidance: float

    @property
    def same(self) -> Hashable:
        """Several experiments may have the same figures of the same video."""
        own = self.experiment in ("leakage", "image-to-video")
        return self if own else replace(self, experiment="start")


def trials_of(experiment: Experiment, images: int, steps: int) -> list[Trial]:
    """All trials of an experiment on so many images."""
    guidance, settings = _GUIDANCE, [(WORLD, 1.0, "none")]
    if experiment == "leakage":
        settings = [(model, time, "none") for model in (PLAIN, TIME_NOISE) for time in TIMES]
    elif experiment == "start":
        kinds = {PLAIN: ("none", "mean", "conditional"), TIME_NOISE: ("none", "conditional")}
        settings += [(model, time, kind) for model, some in kinds.items() for kind in some for time in STARTS]
    elif experiment == "time-noise":
        settings += [(model, 1.0, "none") for model in SIBLINGS]
    elif experiment == "image-to-video":
        starts = ((1.0, "none"), (LATE, "none"), (LATE, "mean"), (LATE, "conditional"))
        settings = [(f"{PLAIN}{rule}", *start) for rule in RULES for start in starts]
    else:
        steps, guidance = RECTIFIED_STEPS, RECTIFIED_GUIDANCE
        settings = [(BUILT_IN, time, "none") for time in STARTS]
        settings += [(BUILT_IN, time, kind) for kind in KINDS for time in STARTS[::2]]
    return [
        Trial(experiment, model, time, kind, image, steps, guidance)
        for image in range(images)  # a run that is stopped has measured everything on some images
        for model, time, kind in settings
    ]


def plan(names: Sequence[Experiment], arguments: argparse.Namespace, model: Model, results: Results) -> Plan[Trial]:
    """The trials that the command line asks for, and what computes them.

    Raises:
        UserError: an option is impossible, or the weights of a model are missing.
    """
    if arguments.processes:
        raise UserError(f"--processes has no effect on the experiment {names[0]}: leave it out")
    if arguments.pictures > _MOST_IMAGES:
        raise UserError(f"--pictures = {arguments.pictures} is too many: use at most {_MOST_IMAGES}")
    measurer = Measurer(results.folder, model, arguments.conditioned)
    wanted = [trial for name in names for trial in trials_of(name, arguments.pictures, arguments.steps)]
    for name in dict.fromkeys(trial.model for trial in wanted):
        measurer.check(name)
    return wanted, lambda job: functools.partial(measurer, job)


@dataclass(frozen=True)
class Sibling(Model):
    """An image-conditioned sibling of the built-in model, by the file of its weights."""

    file: Path = PLAIN_WEIGHTS

    def load(self) -> Any:
        return load_conditioned(self.file, self.device)


@dataclass(frozen=True)
class Measurer:
    """Measures trials.

    Attributes:
        folder: where the gathered statistics are kept.
        model: of which device, threads and bfloat16 count.
        weights: folder of the conditioned models' weights; None is `FOLDER`.
    """

    folder: Path
    model: Model
    weights: Path | None = None

    def __call__(self, job: Sequence[Trial]) -> list[Outcome]:
        return [Outcome(self.measured(trial)) for trial in job]

    def measured(self, trial: Trial) -> dict[str, float]:
        """The trial's figures by name. Raises `PipelineError` if its model is missing."""
        scene = _scene(trial.picture)
        if trial.experiment == "leakage":
            return self._prediction(trial, scene)
        if trial.model == BUILT_IN or trial.experiment == "image-to-video":
            image = pixels_of(scene.render(torch.zeros(1))[0, 0])
            make = self._rectified if trial.model == BUILT_IN else self._conditioned
            video = make(trial, image, scene.captions[0])
            return {**continuation(video, held_out_truth(trial.picture, _MOST_IMAGES, SIZE)), **_figures(video, image, scene)}
        real = pixels_of(scene.render(_times()[trial.picture])[0])
        video = real if trial.model == WORLD else self._conditioned(trial, real[0], scene.captions[0])
        return _figures(video, real[0], scene)

    def check(self, name: str) -> None:
        """Raises `PipelineError` if a model is missing."""
        if name != WORLD:
            loaded(self._model(name))

    def _model(self, name: str) -> Model:
        if name == BUILT_IN:
            return self.model
        file = f"{name.partition(' + ')[0]}.safetensors"
        return Sibling(**vars(self.model), file=(self.weights or FOLDER) / file)

    def _conditioned(self, trial: Trial, image: NDArray[np.uint8], caption: str) -> NDArray[np.uint8]:
        rule = RULES[trial.model.removeprefix(PLAIN)] if trial.experiment == "image-to-video" else None
        call = {**self._call(trial, FRAMES), "start_time": trial.time, "settings": rule}
        with self._model(trial.model).pipeline() as pipe:
            return animate_conditioned(pipe, image, caption, **call)

    def _rectified(self, trial: Trial, image: NDArray[np.uint8], caption: str) -> NDArray[np.uint8]:
        with self.model.pipeline() as pipe:
            settings = Settings(start_time=trial.time)
            return animate(pipe, image, caption, settings, **self._call(trial, RECTIFIED_FRAMES))[0]

    def _call(self, trial: Trial, frames: int) -> dict[str, Any]:
        """The arguments that both kinds of models take."""
        kind, model = trial.statistics, self.model
        statistics = None if kind == "none" else _gathered(self.folder, kind, frames, model)
        call = {"steps": trial.steps, "guidance": trial.guidance, "frames": frames, "seed": trial.picture}
        return {**call, "statistics": statistics}

    def _prediction(self, trial: Trial, scene: Scenes) -> dict[str, float]:
        """Predictions of a still video and of the same scene's moving at full speed, with the same noise.

        Errors are mean squares by the variance of the video's latents. Motion is the change from frame 0, D_i - D_0, of which
        the share along the real one counts: ⟨D_i - D_0, z_i - z_0⟩/‖z_i - z_0‖². It is 1 for the true video, and 0 for
        a copy of the image.
        """
        figures = {}
        with self._model(trial.model).pipeline() as pipe:
            timestep = max(round(trial.time * pipe.scheduler.config.num_train_timesteps) - 1, 0)
            generator = torch.Generator().manual_seed(_NOISE_SEED + trial.picture)
            for name, end in (("still", 0.0), ("moving", 1.0)):
                latents = _encoded(pipe, scene.render(torch.linspace(0, end, FRAMES))).movedim(0, 1)[None]
                if name == "still":
                    noise = torch.randn(latents.shape, generator=generator)
                predicted = predicted_clean(
                    pipe, latents, latents[:, :, 0], timestep, scene.captions[0], noise.to(latents)
                ).float()
                figures[f"error_{name}"] = float((predicted - latents).square().mean() / latents.var())
            change, real = (video[:, :, 1:] - video[:, :, :1] for video in (predicted, latents))
            figures["motion_share"] = float((change * real).sum() / real.square().sum())
        return figures


def _figures(video: NDArray[np.uint8], image: NDArray[np.uint8], scene: Scenes) -> dict[str, float]:
    """The figures of `measure`, and `speed`: how far things move a frame in the prompted direction, in pixels."""
    along = list(DIRECTIONS.values())[int(scene.direction)]
    return {**measure(video, image), "speed": float(np.dot(shift(video), along))}


@functools.cache
def _scenes() -> Scenes:
    return held_out_scenes(_MOST_IMAGES)


@functools.cache
def _times() -> Tensor:
    return speedy_times(_MOST_IMAGES, FRAMES, _SPEEDS_SEED)


def _scene(number: int) -> Scenes:
    return _scenes().part(slice(number, number + 1))


@torch.no_grad()
def _encoded(pipe: Any, frames: Tensor) -> Tensor:
    """`[F, C, h, w]` latents of one scene's frames, `[1, F, 3, H, W]` in [0, 1]."""
    return encode_video(pipe.vae, frames[0].to(pipe.device) * 2 - 1).float()


@functools.cache
def _gathered(folder: Path, kind: str, frames: int, model: Model) -> Statistics:
    """Statistics of videos like those of the training; gathered once for each kind and number of frames."""
    file = folder / f"{kind}-{frames}.safetensors"
    if not file.is_file():
        pipe, gathered = loaded(model), Gathered((kind,))
        scenes = Scenes.draw(_GATHERED_VIDEOS, _GATHERED_SEED)
        times = speedy_times(_GATHERED_VIDEOS, frames, _GATHERED_SEED, speed=None if frames == FRAMES else 1.0)
        for number in range(_GATHERED_VIDEOS):
            part = slice(number, number + 1)
            gathered.add(_encoded(pipe, scenes.part(part).render(times[part])).cpu())
        statistics_file.save(gathered.finish(kind, model=BUILT_IN), file)
    return statistics_file.load(file)

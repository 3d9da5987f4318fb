"""The paper's experiments: methods and samplers (Table 1), ω (Fig. 5) and τ (Fig. 6), on images with captions."""

from __future__ import annotations

import argparse
import functools
import hashlib
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from PIL import Image

from ..core.errors import UserError
from ..core.schedule import omega_weights, rectified_steps
from ..core.settings import Omega, Settings
from ..media.images import read_image
from ..media.metrics import Pixels, direction, measure, named_direction
from ..methods.clip_model import ClipModel, open_clip_model
from ..pipelines.animation import animate
from ..pipelines.loading import SAMPLERS, native_size
from . import trials
from .captioned_images import CaptionedImage, by_id, images_in, scenes
from .continuation import continuation, held_out_truth
from .model import Model, loaded
from .trials import Outcome, Plan, Results, Work

Method: TypeAlias = Literal["noising", "fixed noise", "pivot", "following"]
METHODS: tuple[Method, ...] = get_args(Method)
# ω of the paper's Fig. 5, constants and the authors' falling default; τ of its Fig. 6, of which the first is plain noising.
OMEGAS: tuple[Omega, ...] = ((0.0,), (0.25,), (0.5,), (0.75,), (1.0,), "authors")
WINDOWS = ((0.0, 0.0), (0.0, 0.2), (0.0, 0.4), (0.0, 0.6), (0.0, 0.8), (0.0, 1.0), (0.3, 0.7), (0.6, 1.0))
EXPERIMENTS = ("methods", "omega", "tau")
_FRAME_MS = 125

Make: TypeAlias = Callable[["Trial", Pixels], Pixels]
Score: TypeAlias = Callable[[Pixels, Pixels, str], Mapping[str, Any]]


@dataclass(frozen=True)
class Trial(trials.Trial):
    """One video. `picture` is a `CaptionedImage.id`; ω of another length than `frames` is stretched."""

    experiment: str
    method: Method
    sampler: str
    tau_start: float
    tau_end: float
    omega: Omega
    picture: str
    caption: str
    seed: int
    steps: int
    guidance: float
    frames: int

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UserError(f"method = {self.method!r} is unknown: use {', '.join(METHODS)}")
        if re.search(r"[\r\n]", self.caption):
            raise UserError(f"caption = {self.caption!r} has line breaks: use one line")
        if self.frames < 2:
            raise UserError(f"frames = {self.frames} is too few: use 2 or more")
        # As `Settings` has them: 0 and 0.0, list and tuple would be two jobs otherwise.
        checked = Settings(tau_start=self.tau_start, tau_end=self.tau_end, omega=self.omega)
        for name in ("tau_start", "tau_end", "omega"):
            object.__setattr__(self, name, getattr(checked, name))
        object.__setattr__(self, "guidance", float(self.guidance))

    def __str__(self) -> str:
        return (
            f"{self.experiment}: {self.method}, {self.sampler}, τ [{self.tau_start:g}, {self.tau_end:g}], "
            f"{self._omega_text}, {self.picture}, seed {self.seed}"
        )

    @property
    def rectifies(self) -> bool:
        """Whether any step is rectified; the video is plain noising's otherwise."""
        return self.method != "noising" and bool(rectified_steps(self.steps, self.tau_start, self.tau_end))

    @property
    def _omega_text(self) -> str:
        return f"ω {self.omega if isinstance(self.omega, str) else ' '.join(f'{weight:g}' for weight in self.omega)}"

    @property
    def settings(self) -> Settings:
        plain = Settings(tau_start=self.tau_start, tau_end=self.tau_end, omega=self.omega, omega_resample=True)
        return replace(plain, enabled=self.rectifies, follow_motion=self.method == "following")

    @property
    def same(self) -> str:
        """16 hex digits of the video's settings: the same for trials of two experiments that ask for the same video."""
        job = {name: value for name, value in asdict(self).items() if name != "experiment"}
        if self.rectifies:
            job["omega"] = [round(weight, 9) for weight in omega_weights(self.settings, self.frames)]
        else:
            job.update(method="noising", tau_start=None, tau_end=None, omega=None)
        text = json.dumps(job, sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def label(self) -> str:
        """What the trial varies in its experiment, in a few characters."""
        omega = self._omega_text.replace(" ", " = ", 1).replace("authors", "authors’")
        window = f"τ = [{self.tau_start:g}, {self.tau_end:g}]"
        return {"methods": self.method, "omega": omega, "tau": window}[self.experiment]


def trials_of(experiment: str, images: Sequence[CaptionedImage], samplers: Sequence[str], **asked: Any) -> list[Trial]:
    """The trials of an experiment: every method with every sampler, or the pivot with the first sampler; else defaults.

    `asked`: their seed, steps, guidance and frames.
    """
    omega, tau = Settings().omega, (Settings().tau_start, Settings().tau_end)
    cells: dict[str, list[tuple[Method, str, tuple[float, float], Omega]]] = {
        "methods": [(method, sampler, tau, omega) for sampler in samplers for method in METHODS],
        "omega": [("pivot", samplers[0], tau, other) for other in OMEGAS],
        "tau": [("pivot", samplers[0], window, omega) for window in WINDOWS],
    }
    return [
        Trial(experiment, method, sampler, *window, weights, image.id, image.caption, **asked)
        for method, sampler, window, weights in cells[experiment]
        for image in images
    ]


def plan(names: Sequence[str], arguments: argparse.Namespace, model: Model, results: Results) -> Plan[Trial]:
    """The trials that the command line asks for, and what computes them. Raises `UserError` for impossible options."""
    score = None
    if arguments.clip_model or arguments.clip_weights:
        if not (arguments.clip_model and arguments.clip_weights):
            raise UserError("--clip-model and --clip-weights belong together: give both")
        score = ClipScorer(arguments.clip_model, arguments.clip_weights, arguments.device or "cpu")
    samplers = [name.strip().lower() for name in arguments.samplers.split(",")]
    for name in samplers:
        if name not in SAMPLERS:
            raise UserError(f"--samplers has {name!r}: use {', '.join(SAMPLERS)}")
    images = _images(arguments, model)
    asked = {name: getattr(arguments, name) for name in ("seed", "steps", "guidance", "frames")}
    wanted = [trial for name in names for trial in trials_of(name, images, samplers, **asked)]
    model.check_folder(results.folder)
    check_scores(results, score.names if score else {})
    return wanted, work(wanted, images, functools.partial(make, model), score, arguments.keep_clips)


def _images(arguments: argparse.Namespace, model: Model) -> list[CaptionedImage]:
    if arguments.folder is None:
        if arguments.model is not None:
            raise UserError("--model needs images: give a folder of images with captions")
        return scenes(arguments.pictures)
    width, height = arguments.width, arguments.height
    if width is None or height is None:
        width, height = (asked or native for asked, native in zip((width, height), native_size(loaded(model))))
    return images_in(arguments.folder, lambda path: read_image(path, width, height))[: arguments.pictures]


def check_scores(results: Results, names: Mapping[str, str]) -> None:
    """Refuse to mix results with and without CLIP scores, or of two CLIP models. Raises `UserError`."""
    for values in results.of(Trial).values():
        before = {name: values[name] for name in ("clip_model", "clip_weights") if name in values}
        if before != names:
            said = " ".join(before.values()) or "no CLIP model"
            raise UserError(f"{results.folder} has results with {said}: use the same, or a new folder")


def make(model: Model, trial: Trial, pixels: Pixels) -> Pixels:
    """The video of a trial from its image's pixels, `[F, H, W, 3]` uint8."""
    asked = {name: getattr(trial, name) for name in ("seed", "steps", "guidance", "frames")}
    method = {"following": "pivot"}.get(trial.method, trial.method) if trial.rectifies else "noising"
    with model.pipeline(trial.sampler) as pipe:
        return animate(pipe, pixels, trial.caption, trial.settings, method=method, **asked)[0]


def work(
    wanted: Sequence[Trial], images: Sequence[CaptionedImage], make: Make, score: Score | None = None, keep_videos: int = 0
) -> Callable[[Sequence[Trial]], Work]:
    """What computes a job. Videos of the first `keep_videos` images are kept. Raises `UserError` if an image is missing."""
    known = by_id(images)
    shown = list(known)[:keep_videos]
    for trial in wanted:
        if trial.picture not in known:
            raise UserError(f"image {trial.picture} of {trial} is not among the images: add it")
    # Only the job's own image travels.
    return lambda job: functools.partial(_measured, make, score, job[0], known[job[0].picture], job[0].picture in shown)


def _measured(make: Make, score: Score | None, trial: Trial, image: CaptionedImage, keep: bool) -> list[Outcome]:
    pixels = image.pixels
    video = make(trial, pixels)
    if not isinstance(video, np.ndarray) or video.shape[:1] != (trial.frames,):
        raise UserError(f"the video is {type(video).__name__} of shape {np.shape(video)}: make {trial.frames} frames")
    values: dict[str, Any] = {**measure(video, pixels), "direction": direction(video)}
    if image.scene is not None:
        values |= continuation(video, held_out_truth(*image.scene, size=pixels.shape[0]))
    named = named_direction(trial.caption)
    values["follows_caption"] = float(values["direction"] == named) if named else ""
    if score is not None:
        values.update(score(video, pixels, trial.caption))
    video_file, image_file = kept_files(trial)
    files = {video_file: encoded(video, "webp"), image_file: encoded(pixels[None], "png")} if keep else {}
    return [Outcome(values, files)]


def encoded(video: Pixels, kind: str) -> bytes:
    """The file of a video, `[F, H, W, 3]` uint8, as `webp`, or of a single image as `png`."""
    file = io.BytesIO()
    first, *others = (Image.fromarray(frame) for frame in video)
    first.save(file, kind, save_all=kind == "webp", append_images=others, duration=_FRAME_MS, loop=0, quality=90)
    return file.getvalue()


def kept_files(trial: Trial) -> tuple[str, str]:
    """Where the results folder has the trial's video and its image, if they are kept."""
    return f"clips/{trial.same}.webp", f"pictures/{trial.picture}.png"


_load_clip = functools.lru_cache(maxsize=1)(open_clip_model)


@dataclass(frozen=True)
class ClipScorer:
    """Scores videos; small, so that it can travel to a worker, which loads the model once.

    Raises `UserError` if the file is missing, or the model's name would fetch something from the network.
    """

    model: str  # an open_clip name such as `ViT-L-14` (for OpenAI's weights `ViT-L-14-quickgelu`)
    weights: Path
    device: str = "cpu"

    def __post_init__(self) -> None:
        if not self.weights.is_file():
            raise UserError(f"weights = {self.weights} is not a file: give the weights of {self.model}")
        if ":" in self.model:
            raise UserError(f"model = {self.model!r} would be looked up online: give the name of a built-in model")

    @property
    def names(self) -> dict[str, str]:
        """What the results say of the model."""
        return {"clip_model": self.model, "clip_weights": self.weights.name}

    def __call__(self, video: Pixels, image: Pixels, caption: str) -> dict[str, float | str]:
        clip = _load_clip(self.model, self.weights, self.device, "the evaluation")
        return {**clip_scores(clip, video, image, caption), **self.names}


def clip_scores(clip: ClipModel, video: Pixels, image: Pixels, caption: str) -> dict[str, float]:
    """The mean cosines of a video's frames, `[F, H, W, 3]` uint8, 1 where equal; the paper's Table 1 has hundredths.

    `image_fidelity`: with the image of any size. `temporal_coherence`: with the next frame. `text_alignment`: with the text.
    """
    features = clip.images([*video, image])
    frames, target = features[:-1], features[-1]
    text = clip.texts([caption])[0]
    return {
        "image_fidelity": float((frames @ target).mean()),
        "temporal_coherence": float((frames[:-1] * frames[1:]).sum(axis=1).mean()),
        "text_alignment": float((frames @ text).mean()),
    }

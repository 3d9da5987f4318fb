"""Experiments on the correction that follows what moves: against the paper's rule and other methods, and on other clips.

python -m benchmarks -o FOLDER --experiments motion --processes 12 --device cuda --markdown docs/measured/motion.md
python -m benchmarks.motion_report FOLDER docs/pictures/motion-peers.svg
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from lib_noiserect.core import correspondence
from lib_noiserect.core.settings import Settings
from lib_noiserect.evaluation import trials
from lib_noiserect.evaluation.continuation import continuation, held_out_truth
from lib_noiserect.evaluation.model import Model
from lib_noiserect.evaluation.trials import Outcome, Plan, Results
from lib_noiserect.media.metrics import ghosts, ssim_per_frame
from lib_noiserect.tiny.world import SIZE, Scenes, held_out_scenes, pixels_of

from .clips import KINDS, clip_of, clip_psnr, continued, correspondence_errors, predicted_x0
from .peers import Start, animated

EXPERIMENTS = ("follow", "peers", "other-clips", "correspondence")
PAPER, OURS, NOISING = "paper", "following", "noising"
WHOLE = ", ω = 1, τ = [0, 1]"
"""Of the names of cases with these settings instead of the authors'."""
SCENES = 64
SLOW = "dpm++ sde"
SAMPLERS, STEPS = ("ddim", "euler a", SLOW, "lcm"), (10, 25)
STRENGTHS = (0.5, 0.65, 0.8, 1.0)
TIMES = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9)
"""t/T at which a correspondence is found."""
_CLIP_STRENGTH, _CLIP_STEPS = 0.6, 10
# Of one core, for a model call with guidance.
_SECONDS_A_CALL = 0.55

_AUTHORS, _WHOLE = Settings(enabled=True), Settings(enabled=True, tau_end=1.0, omega="constant", omega_start=1.0)


def following(settings: Settings) -> Settings:
    """The settings with a correction that follows what moves."""
    return replace(settings, follow_motion=True)


@functools.cache
def starts() -> dict[str, Start]:
    """How the videos of the cases start, by their names."""
    return {
        NOISING: Start("picture"),
        "image-to-video, 1, 32": Start("blend"),
        "image-to-video, 1, 128": Start("blend", scale=128.0),
        "image-to-video, 2, 256": Start("blend", power=2.0, scale=256.0),
        "noise turned to the image": Start("slerp"),
        "low frequencies": Start("low"),
        PAPER: Start("picture", _AUTHORS),
        OURS: Start("picture", following(_AUTHORS)),
        f"{PAPER}{WHOLE}": Start("picture", _WHOLE),
        f"{OURS}{WHOLE}": Start("picture", following(_WHOLE)),
    }


@dataclass(frozen=True)
class Trial(trials.Trial):
    """One video, or one prediction of a clip.

    Attributes:
        case: of `starts`; of other clips and correspondences the kind of the clip and, after a colon, `PAPER` or `OURS`.
        strength: denoising strength; of a correspondence t/T.
        picture: the number of the scene, which is also the seed of the noise.
    """

    experiment: str
    case: str
    sampler: str
    steps: int
    strength: float
    picture: int

    @property
    def same(self) -> Hashable:
        """Peers and the main table share videos."""
        return replace(self, experiment="follow") if self.experiment == "peers" else self


def trials_of(experiment: str, images: int) -> list[Trial]:
    """The trials of an experiment on so many images. A run that is stopped has measured everything on some images."""
    if experiment == "follow":
        settings = [(case, sampler, steps, 1.0) for sampler in SAMPLERS for steps in STEPS for case in (PAPER, OURS)]
        settings += [(f"{case}{WHOLE}", sampler, STEPS[0], 1.0) for sampler in SAMPLERS for case in (PAPER, OURS)]
        # LCM draws most of a frame again after the window: what the rule itself leaves there.
        settings += [(NOISING, "lcm", STEPS[0], 1.0)]
    elif experiment == "peers":
        settings = [
            (case, "ddim", STEPS[0], strength) for case in starts() for strength in ((1.0,) if WHOLE in case else STRENGTHS)
        ]
    elif experiment == "other-clips":
        cases = [f"{kind}: {case}" for kind in KINDS for case in (PAPER, OURS)]
        settings = [(case, "ddim", _CLIP_STEPS, _CLIP_STRENGTH) for case in cases]
    else:
        settings = [(f"{kind}: {OURS}", "ddim", 1, time) for kind in KINDS[:-1] for time in TIMES]
    return [Trial(experiment, *setting, number) for number in range(images) for setting in settings]


def model_calls(trial: Trial) -> int:
    """How often a trial calls the model, with guidance."""
    whole = trial.experiment == "peers" and starts()[trial.case].kind in ("slerp", "low")
    steps = trial.steps if whole or trial.experiment == "correspondence" else max(int(trial.steps * trial.strength + 1e-9), 1)
    return 2 * steps - 1 if trial.sampler == SLOW else steps


def plan(names: Sequence[str], arguments: argparse.Namespace, model: Model, results: Results) -> Plan[Trial]:
    """The trials of the experiments, on at most `--pictures` images, and what computes them."""
    model.check_folder(results.folder)
    wanted = [trial for name in names for trial in trials_of(name, min(arguments.pictures, SCENES))]
    known = {trial.same for trial in results.of(Trial)}
    missing = {trial.same: trial for trial in wanted if trial.same not in known}.values()
    minutes = sum(map(model_calls, missing)) * _SECONDS_A_CALL / 60
    print(f"{len(missing)} of {len(wanted)} videos are missing: about {minutes:.0f} minutes of one core")
    return wanted, lambda job: functools.partial(_measured, model, job)


def _measured(model: Model, job: Sequence[Trial]) -> list[Outcome]:
    return [Outcome(measured(model, trial)) for trial in job]


def measured(model: Model, trial: Trial) -> dict[str, Any]:
    """The figures of one trial."""
    with model.pipeline(trial.sampler) as pipe:
        if trial.experiment in ("follow", "peers"):
            return _continuation_figures(pipe, trial)
        kind, case = trial.case.split(": ")
        clip = clip_of(kind, trial.picture)
        if trial.experiment == "correspondence":
            x0 = predicted_x0(pipe, clip, trial.strength, trial.picture)
            return correspondence_errors(_correspond, x0, clip)
        settings = following(_AUTHORS) if case == OURS else _AUTHORS
        how: dict[str, Any] = {"steps": trial.steps, "strength": trial.strength, "seed": trial.picture}
        return dict(clip_psnr(continued(pipe, clip, settings, **how), clip))


def _correspond(x0: torch.Tensor) -> torch.Tensor:
    """The product's displacement, x and y, `[F, 2, h, w]`."""
    return correspondence.displacement(x0.float(), x0[:1].float()).flip(1)


def _continuation_figures(pipe: Any, trial: Trial) -> dict[str, Any]:
    scene, number = _scene(trial.picture), trial.picture
    image = pixels_of(scene.render(torch.zeros(1))[0, 0])
    how: dict[str, Any] = {"steps": trial.steps, "strength": trial.strength, "seed": number}
    video = animated(pipe, image, scene.captions[0], starts()[trial.case], **how)
    figures = {"ssim": float(ssim_per_frame(video, image).mean()), "ghost": ghosts(video)}
    return {**continuation(video, held_out_truth(number, SCENES, SIZE)), **figures}


def _scene(number: int) -> Scenes:
    return held_out_scenes(SCENES).part(slice(number, number + 1))

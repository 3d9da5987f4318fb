"""Videos of held-out captions: by text alone, by I4VGen, and rectified towards I4VGen's image; judged by the oracle."""

from __future__ import annotations

import argparse
import functools
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lib_noiserect.core.errors import UserError
from lib_noiserect.core.settings import Settings
from lib_noiserect.evaluation import trials
from lib_noiserect.evaluation.model import Model
from lib_noiserect.evaluation.trials import Outcome, Plan, Results
from lib_noiserect.media.metrics import Floats, Pixels, direction, motion, named_direction, ssim_per_frame, warp_residual
from lib_noiserect.methods.i4vgen import LOOKS, num_updates, stage_calls, step_sizes
from lib_noiserect.pipelines.i4vgen import animate_still, candidates_of, decoded, denoising_gains, regenerate
from lib_noiserect.pipelines.latents import video_pixels
from lib_noiserect.tiny.world import FRAMES, Scenes, held_out_scenes, pixels_of

from .oracle import judge, named

EXPERIMENTS = ("creation",)
CANDIDATES, SHARE, FEW = 16, 0.6, 4
# True frames whose patches are compared with; their captions are not measured.
_TRUE_FRAMES, _TRUE_SEED = 200, 31


@dataclass(frozen=True)
class Method:
    """How a video is made of a prompt.

    Attributes:
        candidates: images to choose from; 0 is text alone.
        faster: the candidates take a step where the video takes so many.
        share: of the timesteps of the animation.
        rectified: whether the last stage is rectified towards the animated still, and the still pinned to the image.
        follows: whether rectification follows what moves.
        equal_calls: whether text alone takes as many model calls as the authors' I4VGen.
    """

    candidates: int = 0
    faster: int = 1
    share: float = 0.0
    rectified: bool = False
    follows: bool = False
    equal_calls: bool = False

    def steps(self, steps: int, frames: int) -> int:
        """The steps of the last stage, or of text alone."""
        if not self.equal_calls:
            return steps
        return round(sum(stage_calls(steps, CANDIDATES, frames, SHARE, len(LOOKS)).values()))

    def calls(self, steps: int, frames: int) -> float:
        """Model calls on a whole video with guidance; choosing takes none of it, and two of its calls count as one."""
        if not self.candidates:
            return self.steps(steps, frames)
        all_stages = sum(stage_calls(steps, self.candidates, frames, self.share, len(LOOKS)).values())
        return all_stages - (steps - max(steps // self.faster, 1)) * self.candidates / frames


METHODS = {
    "text alone": Method(),
    "text alone, as many calls": Method(equal_calls=True),
    "I4VGen": Method(CANDIDATES, share=SHARE),
    "rectified": Method(CANDIDATES, share=SHARE, rectified=True),
    "rectified, following": Method(CANDIDATES, share=SHARE, rectified=True, follows=True),
    f"rectified, {FEW} candidates": Method(FEW, share=SHARE, rectified=True),
    "rectified, share 0.2": Method(CANDIDATES, share=0.2, rectified=True),
    f"rectified, {FEW} candidates in half the steps, share 0.2": Method(FEW, faster=2, share=0.2, rectified=True),
}
"""By name, in the order of the table. The first two use no image; those after the fifth are cheaper."""
TRUE, CHOICE = "the world's own", "candidates"
_COMPARED_FIRST = (TRUE, CHOICE, *list(METHODS)[:5])


@dataclass(frozen=True)
class Trial(trials.Trial):
    """A held-out caption's video by a method, the world's own video, or the candidates.

    Attributes:
        what: a name of `METHODS`, `TRUE` or `CHOICE`.
        prompt, prompts: the caption's number, and how many were drawn together, which it depends on.
    """

    what: str
    prompt: int
    prompts: int
    steps: int
    guidance: float
    seed: int

    @property
    def job(self) -> tuple[int, int, bool]:
        """Those that share candidates; the cheaper methods come afterwards."""
        return self.prompt, self.seed, self.what in _COMPARED_FIRST

    @property
    def path(self) -> str:
        """The trial's file in the folder: `frames`, for a method also `anchor`, for candidates the scorer's `gains`."""
        name = re.sub(r"\W+", "-", self.what)
        return f"creation/{self.prompt:03d}-of-{self.prompts}-{self.steps}-{self.guidance:g}-{self.seed}-{name}.npz"


def trials_of(prompts: int, steps: int, guidance: float, seed: int) -> list[Trial]:
    """All trials: the methods that are compared first, and the cheaper ones afterwards."""
    cheaper = [name for name in METHODS if name not in _COMPARED_FIRST]
    return [
        Trial(what, prompt, prompts, steps, float(guidance), seed + prompt)
        for some in (_COMPARED_FIRST, cheaper)
        for prompt in range(prompts)
        for what in some
    ]


def plan(names: Sequence[str], arguments: argparse.Namespace, model: Model, results: Results) -> Plan[Trial]:
    """The trials that the command line asks for, and what computes them. Raises `UserError` for impossible options."""
    if arguments.frames != FRAMES:
        raise UserError(f"--frames = {arguments.frames} is not {FRAMES}, which the experiment creation has: leave it out")
    model.check_folder(results.folder)
    wanted = trials_of(arguments.pictures, arguments.steps, arguments.guidance, arguments.seed)
    return wanted, lambda job: functools.partial(_measured, model, job)


def _measured(model: Model, job: Sequence[Trial]) -> list[Outcome]:
    scenes, index = held_out_scenes(job[0].prompts), job[0].prompt
    caption, outcomes = scenes.captions[index], []
    with torch.no_grad(), model.pipeline() as pipe:
        prompt = _Prompt(pipe, caption, job[0])
        for trial in job:
            arrays: dict[str, Any]
            arrays = {"frames": true_video(scenes, index)} if trial.what == TRUE else prompt.make(trial.what)
            file = io.BytesIO()
            np.savez_compressed(file, **arrays)
            if trial.what == CHOICE:
                values = choice_figures(arrays["frames"], arrays["gains"], caption)
            else:
                values = video_figures(arrays["frames"], caption, arrays.get("anchor"))
            outcomes.append(Outcome(values, {trial.path: file.getvalue()}))
    return outcomes


class _Prompt:
    """The stages of one prompt. Each takes its noise from where `create` would, with the same seed."""

    def __init__(self, pipe: Any, caption: str, trial: Trial) -> None:
        self._pipe, self._caption, self._trial = pipe, caption, trial
        self._call = functools.partial(pipe, prompt=caption, guidance_scale=trial.guidance)

    def make(self, what: str) -> dict[str, Any]:
        if what == CHOICE:
            return {"frames": self._images(CANDIDATES, 1), "gains": self._chosen(CANDIDATES, 1)[1].numpy()}
        method = METHODS[what]
        made: dict[str, Any] = {"frames": self._video(method)}
        if method.candidates:
            chosen = self._chosen(method.candidates, method.faster)[3]
            made["anchor"] = self._images(method.candidates, method.faster)[chosen]
        return made

    def _video(self, method: Method) -> NDArray[np.uint8]:
        steps = method.steps(self._trial.steps, FRAMES)
        if not method.candidates:
            made = self._call(num_frames=FRAMES, num_inference_steps=steps, generator=self._seeded(), output_type="np")
            return video_pixels(made.frames)
        latents, _, state, chosen = self._chosen(method.candidates, method.faster)
        generator = torch.Generator()
        generator.set_state(state)
        still = latents[:, :, chosen : chosen + 1].expand(-1, -1, FRAMES, -1, -1)
        if method.share:
            sizes = step_sizes(num_updates(steps, method.share))
            still = animate_still(self._pipe, still, self._call, steps, sizes, generator, pin_first_frame=method.rectified)
        settings = Settings(enabled=method.rectified, follow_motion=method.follows)
        return regenerate(self._pipe, still, self._call, steps, 1.0, settings, generator)[0]

    def _images(self, candidates: int, faster: int) -> NDArray[np.uint8]:
        """The candidates, `[N, 64, 64, 3]`."""
        latents = self._chosen(candidates, faster)[0]
        return np.stack([np.asarray(image) for image in decoded(self._pipe, latents)])

    @functools.cache  # noqa: B019  # a prompt's stages are few, and the object is short-lived
    def _chosen(self, candidates: int, faster: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, int]:
        """Latents of the candidates, their gains, the state of the generator afterwards, and the best one's index."""
        generator, size = self._seeded(), {"width": 64, "height": 64}
        latents = candidates_of(self._pipe, self._call, candidates, max(self._trial.steps // faster, 1), generator)
        gains = denoising_gains(self._pipe, latents, self._caption, "", generator, size)
        return latents, gains.cpu(), generator.get_state(), int(gains.mean(0).argmax())

    def _seeded(self) -> torch.Generator:
        return torch.Generator().manual_seed(self._trial.seed)


def true_video(scenes: Scenes, index: int) -> Pixels:
    """The world's own video of a scene."""
    return pixels_of(scenes.part(slice(index, index + 1)).render()[0])


def load_made(folder: Path, trial: Trial) -> dict[str, NDArray[Any]] | None:
    """The arrays of a trial's file, None where it is gone."""
    path = folder / trial.path
    if not path.is_file():
        return None
    with np.load(path) as made:
        return dict(made)


def video_figures(video: Pixels, caption: str, anchor: Pixels | None) -> dict[str, float]:
    """The figures of a video `[F, 64, 64, 3]` of the toy world, and its similarity to I4VGen's image, the anchor."""
    frames = _frames(video)
    _, words = judge(frames, caption)
    right = (words == words.new_tensor(list(named(caption).values()))).float()
    figures = {
        "all_right": float(right.prod(1).mean()),
        "words_right": float(right.mean()),
        "follows_caption": float(direction(video) == named_direction(caption)),
        "motion": motion(video),
        "warp_residual": warp_residual(video),
        "steady": float((words == words.mode(0).values).float().mean()),
        "distance": _patch_distance(frames),
        "sharpness": _sharpness(video),
    }
    if anchor is not None:
        ssim = ssim_per_frame(video, anchor)
        figures |= {"anchor": float(ssim.mean()), "anchor_first": float(ssim[0])}
    return figures


def choice_figures(images: Pixels, gains: Floats, caption: str) -> dict[str, Any]:
    """The oracle's judgment of candidates `[N, 64, 64, 3]`, and the default scorer's gains `[looks, N]`."""
    likely, words = judge(_frames(images), caption)
    right = words == words.new_tensor(list(named(caption).values()))
    return {"likely": likely.tolist(), "right": right.all(1).int().tolist(), "gains": gains.tolist()}


def _frames(video: Pixels) -> torch.Tensor:
    return torch.from_numpy(video).movedim(-1, 1).float() / 255


def _sharpness(video: Pixels) -> float:
    """Mean difference of neighboring pixels, in 255ths."""
    pixels = video.astype(np.float64)
    return float((np.abs(np.diff(pixels, axis=1)).mean() + np.abs(np.diff(pixels, axis=2)).mean()) / 2)


def _patch_distance(frames: torch.Tensor) -> float:
    """The distance of small patches to the nearest of many true ones; patches of other true frames have 1."""
    true, scale = _true_patches()
    return _nearest(_patches(frames), true) / scale


@functools.lru_cache(maxsize=1)
def _true_patches() -> tuple[torch.Tensor, float]:
    times = torch.tensor([0.5])
    true = _patches(Scenes.draw(_TRUE_FRAMES, _TRUE_SEED).render(times)[:, 0])
    others = _patches(Scenes.draw(_TRUE_FRAMES // 4, _TRUE_SEED + 1).render(times)[:, 0])
    return true, _nearest(others, true)


def _patches(frames: torch.Tensor) -> torch.Tensor:
    """Patches of 4 × 4 pixels, every second one in both directions, `[64·N, 48]`."""
    return torch.nn.functional.unfold(frames, 4, stride=8).movedim(1, 2).flatten(0, 1)


def _nearest(patches: torch.Tensor, others: torch.Tensor) -> float:
    return float(torch.cdist(patches, others).min(1).values.mean())

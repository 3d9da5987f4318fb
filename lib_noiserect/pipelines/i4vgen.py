"""I4VGen with a pipeline of diffusers: candidates, the choice of an anchor, its animation, and the clip made from that."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ..core.noise_levels import Level
from ..core.schedule import omega_weights
from ..core.settings import Settings
from ..methods.i4vgen import LOOKS, denoising_errors, look_timesteps, ni_vsds_update, num_updates, step_sizes
from ..methods.scorers import Score
from .compatibility import check_settings
from .latents import clip_pixels, encode, preprocess
from .model_visits import ddim_timesteps, levels_of, visiting, without_motion
from .rectification import rectified
from .reference import LatentClip
from .schedulers import PipelineError


@dataclass(frozen=True)
class Creation:
    """What came of one prompt.

    Attributes:
        clip: `[F, H, W, 3]` uint8.
        candidates: the single pictures, and `scores` of each; empty where the picture was given.
        chosen: the anchor's place among them; None where it was given.
        anchor: the picture that was animated.
        calls: of the model in each stage, on all frames or candidates, with guidance; the default score's two without it,
            with the prompt and with the negative one, count as one.
    """

    clip: NDArray[np.uint8]
    candidates: list[Image.Image]
    scores: list[float]
    chosen: int | None
    anchor: Image.Image
    calls: dict[str, int]


def create(
    pipe: Any,
    prompt: str,
    *,
    picture: Image.Image | None = None,
    score: Score | None = None,
    candidates: int | None = None,
    share: float = 0.6,
    strength: float = 1.0,
    regeneration: float = 1.0,
    rectification: Settings | None = None,
    negative_prompt: str = "",
    steps: int = 25,
    guidance: float = 7.5,
    frames: int = 16,
    width: int | None = None,
    height: int | None = None,
    seed: int = 0,
    on_stage: Callable[[str], None] | None = None,
) -> Creation:
    """A clip of a prompt, through a picture in between.

    Args:
        picture: the anchor; without it, candidates are made and the one with the highest score is taken.
        score: that of one of `scorers.load_scorer`, or a function; None is the model's own, how much better it denoises a
            candidate with the prompt than without.
        candidates: how many; None is as many as frames, as the authors have it.
        share: of the timesteps that the animation (NI-VSDS) goes through; 0 leaves it out.
        strength: of its updates, 1 as the authors have it.
        regeneration: how much of the noise range the last stage goes through, 1 being all.
        rectification: how the last stage is rectified towards the animated still, whose first frame stays the anchor
            then; with `enabled` off, or None, the authors' plain regeneration.
        guidance: the scale of classifier-free guidance in all stages.
        on_stage: told the name of each stage before it begins.

    Raises:
        PipelineError: the pipeline cannot do it, or `score` gave no number for a candidate.
        SettingsError: ω has another length than the clip.
    """
    generator = torch.Generator().manual_seed(seed)
    size = {name: value for name, value in (("width", width), ("height", height)) if value is not None}
    call = functools.partial(pipe, prompt=prompt, negative_prompt=negative_prompt, guidance_scale=guidance, **size)
    told = on_stage or (lambda name: None)
    keeps_anchor = rectification is not None and rectification.enabled
    if rectification is not None and keeps_anchor:  # what the last stage would refuse is refused before the first
        check_settings(pipe, rectification)
        omega_weights(rectification, frames)
    calls = dict[str, int]()
    pictures, scores, chosen = list[Image.Image](), list[float](), None
    with torch.no_grad():
        if picture is None:
            count = candidates or frames
            told("candidates")
            made = candidates_of(pipe, call, count, steps, generator)
            calls["candidates"] = steps
            pictures = decoded(pipe, made)
            told("choice")
            if score is None:
                scores = denoising_scores(pipe, made, prompt, negative_prompt, generator, size)
                calls["choice"] = len(LOOKS)
            else:
                scores = [float(value) for value in score(pictures, prompt)]
            if len(scores) != count or not np.isfinite(scores).all():
                raise PipelineError(
                    f"scores = {scores} of {count} candidates: each must have a number, and a finite one"
                )
            chosen = int(np.argmax(scores))
            still, anchor = made[:, :, chosen : chosen + 1].expand(-1, -1, frames, -1, -1), pictures[chosen]
        else:
            anchor = picture
            at = preprocess(picture, height or picture.height, width or picture.width)
            call = functools.partial(call, height=at.shape[-2], width=at.shape[-1])
            still = encode(pipe.vae, at.to(pipe.device), frames)
        if share > 0.0:
            told("animation")
            calls["animation"] = num_updates(steps, share)
            still = animate_still(pipe, still, call, steps, share, strength, generator, pin_first_frame=keeps_anchor)
        told("regeneration")
        clip, calls["regeneration"] = regenerate(pipe, still, call, steps, regeneration, rectification, generator)
    return Creation(clip, pictures, scores, chosen, anchor, calls)


def candidates_of(pipe: Any, call: Callable[..., Any], count: int, steps: int, generator: torch.Generator) -> Tensor:
    """Stage 1: latents of single pictures, `[1, C, count, h, w]`, by the model without its motion modules.

    Args:
        call: the pipeline with prompt and guidance.
    """
    with without_motion(pipe):
        made: Tensor = call(
            num_frames=count, num_inference_steps=steps, generator=generator, output_type="latent"
        ).frames
    return made


def regenerate(
    pipe: Any,
    still: Tensor,
    call: Callable[..., Any],
    steps: int,
    strength: float,
    rectification: Settings | None,
    generator: torch.Generator,
) -> tuple[NDArray[np.uint8], int]:
    """Stage 4: the clip `[F, H, W, 3]` from the animated still `[1, C, F, h, w]`, and how many steps it took.

    Args:
        call: the pipeline with prompt and guidance.
        strength: how much of the noise range is gone through.
        rectification: towards the animated still; None, or with `enabled` off, is plain denoising.
    """
    plain = Settings(enabled=True, tau_start=0.0, tau_end=0.0)
    settings = rectification if rectification is not None and rectification.enabled else plain
    with rectified(pipe, LatentClip(still), settings, strength=strength) as done:
        made = call(num_frames=still.shape[2], num_inference_steps=steps, generator=generator, output_type="np").frames
    return clip_pixels(made), done.reports[-1].steps


def animate_still(
    pipe: Any,
    still: Tensor,
    call: Callable[..., Any],
    steps: int,
    share: float,
    strength: float,
    generator: torch.Generator,
    *,
    pin_first_frame: bool,
) -> Tensor:
    """Stage 3, noise-invariant video score distillation: z of a clip from z of a still one, `[B, C, F, h, w]`.

    Args:
        call: the pipeline with prompt and guidance.
        steps: N; the first int(N·share) + 1 of DDIM's N timesteps are gone through.
    """
    count = num_updates(steps, share)
    timesteps, sizes = ddim_timesteps(pipe, steps)[:count], step_sizes(count, strength)
    levels = levels_of(pipe, timesteps)
    exact = torch.promote_types(still.dtype, torch.float32)
    noise = torch.randn(still.shape, generator=generator, dtype=torch.float32).to(still.device, exact)
    clean = still.to(exact)

    def noised(index: int) -> Tensor:
        return levels[index].a * clean + levels[index].s * noise

    def answer(index: int, x: Tensor, pred_x0: Tensor, level: Level) -> Tensor:
        nonlocal clean
        first, predicted = clean.movedim(2, 0), pred_x0.movedim(2, 0)
        clean = ni_vsds_update(first, predicted, level, sizes[index], pin_first_frame=pin_first_frame).movedim(0, 2)
        return noised(index + 1) if index + 1 < count else clean

    with visiting(pipe, timesteps, answer):
        call(
            latents=noised(0).to(still.dtype),
            num_frames=still.shape[2],
            num_inference_steps=count,
            output_type="latent",
        )
    return clean.to(still.dtype)


def denoising_scores(
    pipe: Any, latents: Tensor, prompt: str, negative_prompt: str, generator: torch.Generator, size: dict[str, int]
) -> list[float]:
    """The means of `denoising_gains` over timesteps."""
    gains = denoising_gains(pipe, latents, prompt, negative_prompt, generator, size)
    return [float(value) for value in gains.mean(0)]


def denoising_gains(
    pipe: Any, latents: Tensor, prompt: str, negative_prompt: str, generator: torch.Generator, size: dict[str, int]
) -> Tensor:
    """How much better the model denoises each candidate with the prompt than without it: a diffusion classifier.

    The mean square error of the predicted noise without the prompt less the one with it, `[timesteps, candidates]`, with
    one noise for all of them; the timesteps are those of `i4vgen.LOOKS`.

    Args:
        latents: `[1, C, candidates, h, w]`.
    """
    candidates = latents.shape[2]
    timesteps = look_timesteps(int(pipe.scheduler.config.num_train_timesteps))
    levels = levels_of(pipe, timesteps)
    exact = torch.promote_types(latents.dtype, torch.float32)
    clean = latents.to(exact)
    noise = torch.randn(clean[:, :, :1].shape, generator=generator, dtype=torch.float32).to(clean)

    def noised(index: int) -> Tensor:
        return levels[index].a * clean + levels[index].s * noise

    def error(text: str) -> Tensor:
        errors = list[Tensor]()

        def answer(index: int, x: Tensor, pred_x0: Tensor, level: Level) -> Tensor:
            errors.append(denoising_errors(clean.movedim(2, 0), pred_x0.movedim(2, 0), level))
            return noised(min(index + 1, len(levels) - 1))

        with without_motion(pipe), visiting(pipe, timesteps, answer):
            pipe(
                prompt=text,
                guidance_scale=1.0,
                latents=noised(0).to(latents.dtype),
                num_frames=candidates,
                num_inference_steps=len(timesteps),
                output_type="latent",
                **size,
            )
        return torch.stack(errors)

    return error(negative_prompt) - error(prompt)


def decoded(pipe: Any, latents: Tensor) -> list[Image.Image]:
    """The pictures of latents `[1, C, N, h, w]`."""
    if not hasattr(pipe, "decode_latents"):
        raise PipelineError(f"{type(pipe).__name__} decodes clips only: give a picture of your own")
    video = pipe.decode_latents(latents)[0].movedim(0, -1)
    pixels = ((video.float() / 2 + 0.5).clamp(0, 1) * 255).round().byte().cpu().numpy()
    return [Image.fromarray(frame) for frame in pixels]

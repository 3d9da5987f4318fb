"""I4VGen with a pipeline of diffusers: candidate images, the choice of one, its animation, and the regenerated video."""

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

from ..core.noise_levels import Level, noised
from ..core.schedule import omega_weights
from ..core.settings import Settings
from ..methods.i4vgen import LOOKS, denoising_errors, look_timesteps, ni_vsds_update, num_updates, step_sizes
from ..methods.scorers import Score
from .compatibility import check_settings
from .latents import encode, preprocess, video_pixels
from .model_visits import ddim_timesteps, levels_of, visiting, without_motion
from .rectification import rectified
from .reference import EncodedVideo
from .schedulers import PipelineError


@dataclass(frozen=True)
class Creation:
    """The result of one prompt.

    Attributes:
        clip: the video, `[F, H, W, 3]` uint8.
        candidates: the candidate images; empty if the anchor was given.
        scores: of each candidate.
        chosen: the index of the anchor among the candidates; None if it was given.
        anchor: the image that was animated.
        calls: model calls in each stage, on all frames or candidates and with guidance. The default score's call with the
            prompt and its call with the negative prompt, both without guidance, count as one.
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
    """A video of a prompt: text → image → video.

    Args:
        picture: the anchor image; without it, candidates are made and the one with the highest score is animated.
        score: of `scorers.load_scorer`, or a function; None is the model's own score, see `denoising_gains`.
        candidates: their number; None is the number of frames, as in the authors' code.
        share: of DDIM's timesteps, from the noisiest on, that the animation (NI-VSDS) takes; 0 leaves the image still.
        strength: of the updates; 1 is the authors'.
        regeneration: the denoising strength of the last stage.
        rectification: of the last stage, towards the animated image, whose first frame then stays the anchor; None, or
            with `enabled` off, is the authors' plain regeneration.
        guidance: the scale of classifier-free guidance in all stages.
        on_stage: called with the name of each stage before it begins.

    Raises:
        PipelineError: the pipeline does not support it, or `score` has no finite number for a candidate.
        SettingsError: ω has another length than the video.
    """
    generator = torch.Generator().manual_seed(seed)
    size = {name: value for name, value in (("width", width), ("height", height)) if value is not None}
    call = functools.partial(pipe, prompt=prompt, negative_prompt=negative_prompt, guidance_scale=guidance, **size)
    tell = on_stage or (lambda name: None)
    settings = rectification if rectification is not None and rectification.enabled else None
    if settings is not None:  # the refusals of the last stage come before the first
        check_settings(pipe, settings)
        omega_weights(settings, frames)
    calls = dict[str, int]()
    images, scores, chosen = list[Image.Image](), list[float](), None
    with torch.no_grad():
        if picture is None:
            count = candidates or frames
            tell("candidates")
            latents = candidates_of(pipe, call, count, steps, generator)
            calls["candidates"] = steps
            images = decoded(pipe, latents)
            tell("choice")
            if score is None:
                scores = denoising_scores(pipe, latents, prompt, negative_prompt, generator, size)
                calls["choice"] = len(LOOKS)
            else:
                scores = [float(value) for value in score(images, prompt)]
            if len(scores) != count or not np.isfinite(scores).all():
                raise PipelineError(f"scores = {scores} for {count} candidates: return one finite number per candidate")
            chosen = int(np.argmax(scores))
            still, anchor = latents[:, :, chosen : chosen + 1].expand(-1, -1, frames, -1, -1), images[chosen]
        else:
            anchor = picture
            pixels = preprocess(picture, height or picture.height, width or picture.width)
            call = functools.partial(call, height=pixels.shape[-2], width=pixels.shape[-1])
            still = encode(pipe.vae, pixels.to(pipe.device), frames)
        if share > 0.0:
            tell("animation")
            calls["animation"] = num_updates(steps, share)
            pins = settings is not None
            still = animate_still(pipe, still, call, steps, share, strength, generator, pin_first_frame=pins)
        tell("regeneration")
        video, calls["regeneration"] = regenerate(pipe, still, call, steps, regeneration, settings, generator)
    return Creation(video, images, scores, chosen, anchor, calls)


def candidates_of(pipe: Any, call: Callable[..., Any], count: int, steps: int, generator: torch.Generator) -> Tensor:
    """Stage 1: latents of `count` images, `[1, C, count, h, w]`, by the model without its motion modules.

    Args:
        call: the pipeline with prompt and guidance.
    """
    with without_motion(pipe):
        latents: Tensor = call(num_frames=count, num_inference_steps=steps, generator=generator, output_type="latent").frames
    return latents


def regenerate(
    pipe: Any,
    still: Tensor,
    call: Callable[..., Any],
    steps: int,
    strength: float,
    rectification: Settings | None,
    generator: torch.Generator,
) -> tuple[NDArray[np.uint8], int]:
    """Stage 4: the video `[F, H, W, 3]` of the animated image `[1, C, F, h, w]`, and the number of its steps.

    Args:
        call: the pipeline with prompt and guidance.
        strength: denoising strength.
        rectification: towards the animated image; None, or with `enabled` off, is plain denoising.
    """
    plain = Settings(enabled=True, tau_start=0.0, tau_end=0.0)
    settings = rectification if rectification is not None and rectification.enabled else plain
    with rectified(pipe, EncodedVideo(still), settings, strength=strength) as done:
        video = call(num_frames=still.shape[2], num_inference_steps=steps, generator=generator, output_type="np").frames
    return video_pixels(video), done.reports[-1].steps


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
    """Stage 3, noise-invariant video score distillation: z of a video from z of a still one, `[B, C, F, h, w]`.

    Args:
        call: the pipeline with prompt and guidance.
        steps: N; the stage takes the first int(N·share) + 1 of DDIM's N timesteps.
    """
    count = num_updates(steps, share)
    timesteps, sizes = ddim_timesteps(pipe, steps)[:count], step_sizes(count, strength)
    levels = levels_of(pipe, timesteps)
    exact = torch.promote_types(still.dtype, torch.float32)
    noise = torch.randn(still.shape, generator=generator, dtype=torch.float32).to(still.device, exact)
    x0 = still.to(exact)

    def answer(index: int, x: Tensor, pred_x0: Tensor, level: Level) -> Tensor:
        nonlocal x0
        update = ni_vsds_update(x0.movedim(2, 0), pred_x0.movedim(2, 0), level, sizes[index], pin_first_frame=pin_first_frame)
        x0 = update.movedim(0, 2)
        return noised(x0, noise, levels[index + 1]) if index + 1 < count else x0

    with visiting(pipe, timesteps, answer):
        call(
            latents=noised(x0, noise, levels[0]).to(still.dtype),
            num_frames=still.shape[2],
            num_inference_steps=count,
            output_type="latent",
        )
    return x0.to(still.dtype)


def denoising_scores(
    pipe: Any, latents: Tensor, prompt: str, negative_prompt: str, generator: torch.Generator, size: dict[str, int]
) -> list[float]:
    """The means of `denoising_gains` over the timesteps."""
    gains = denoising_gains(pipe, latents, prompt, negative_prompt, generator, size)
    return [float(value) for value in gains.mean(0)]


def denoising_gains(
    pipe: Any, latents: Tensor, prompt: str, negative_prompt: str, generator: torch.Generator, size: dict[str, int]
) -> Tensor:
    """The gain of each candidate when the model denoises it with the prompt instead of without: a diffusion classifier.

    The gain is the mean square error of the predicted noise without the prompt, less that with the prompt, at the
    timesteps of `i4vgen.LOOKS` and with one noise for all candidates; `[timesteps, candidates]`.

    Args:
        latents: `[1, C, candidates, h, w]`.
    """
    candidates = latents.shape[2]
    timesteps = look_timesteps(int(pipe.scheduler.config.num_train_timesteps))
    levels = levels_of(pipe, timesteps)
    exact = torch.promote_types(latents.dtype, torch.float32)
    x0 = latents.to(exact)
    noise = torch.randn(x0[:, :, :1].shape, generator=generator, dtype=torch.float32).to(x0)

    def error(text: str) -> Tensor:
        errors = list[Tensor]()

        def answer(index: int, x: Tensor, pred_x0: Tensor, level: Level) -> Tensor:
            errors.append(denoising_errors(x0.movedim(2, 0), pred_x0.movedim(2, 0), level))
            return noised(x0, noise, levels[min(index + 1, len(levels) - 1)])

        with without_motion(pipe), visiting(pipe, timesteps, answer):
            pipe(
                prompt=text,
                guidance_scale=1.0,
                latents=noised(x0, noise, levels[0]).to(latents.dtype),
                num_frames=candidates,
                num_inference_steps=len(timesteps),
                output_type="latent",
                **size,
            )
        return torch.stack(errors)

    return error(negative_prompt) - error(prompt)


def decoded(pipe: Any, latents: Tensor) -> list[Image.Image]:
    """The images of latents `[1, C, N, h, w]`. Raises `PipelineError` for a VAE that decodes videos only."""
    if not hasattr(pipe, "decode_latents"):
        raise PipelineError(f"{type(pipe).__name__} decodes videos only: pass your own image")
    video = pipe.decode_latents(latents)[0].movedim(0, -1)
    pixels = ((video.float() / 2 + 0.5).clamp(0, 1) * 255).round().byte().cpu().numpy()
    return [Image.fromarray(frame) for frame in pixels]

"""I4VGen with a pipeline of diffusers: candidate images, the choice of one, its animation, and the regenerated video."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Generator, Tensor

from ..core.finite import check_finite, check_prediction
from ..core.noise_levels import Level, noised
from ..core.schedule import omega_weights
from ..core.settings import Settings
from ..core.stand_in import replaced
from ..methods.i4vgen import FIRST_SIZES, LOOKS, denoising_errors, look_timesteps, ni_vsds_update, num_updates, step_sizes
from ..methods.scorers import Score
from .compatibility import check_settings, checked_prepare_latents
from .latents import encode, preprocess, video_pixels
from .model_visits import ddim_timesteps, is_lavie, levels_of, visiting, without_motion
from .rectification import rectified
from .reference import EncodedVideo
from .schedulers import PipelineError

Call = functools.partial[Any]
"""The pipeline with prompt, guidance and size."""


@dataclass(frozen=True)
class Creation:
    """The result of one prompt."""

    clip: NDArray[np.uint8]  # the video, [F, H, W, 3]
    candidates: list[Image.Image]  # empty if the anchor was given
    scores: list[float]  # of each candidate
    chosen: int | None  # the index of the anchor among the candidates; None if it was given
    anchor: Image.Image  # the image that was animated
    # Model calls in each stage, on all frames or candidates and with guidance. The default score's call with the prompt and
    # its call with the negative prompt, both without guidance, count as one.
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
    sizes: str = "animatediff",
    regeneration: float = 1.0,
    rectification: Settings | None = None,
    negative_prompt: str = "",
    steps: int = 25,
    guidance: float | None = None,
    frames: int = 16,
    width: int | None = None,
    height: int | None = None,
    seed: int = 0,
    on_stage: Callable[[str], None] | None = None,
) -> Creation:
    """A video of a prompt: text → image → video.

    Raises `PipelineError` if the pipeline does not support it or if `score` has no finite number for a candidate, and
    `SettingsError` if ω has another length than the video.

    Args:
        picture: the anchor image; without it, candidates are made and the one with the highest score is animated.
        score: of a scorer of `scorers.load_scorer`, or a function; None is the model's own score, see `denoising_gains`.
        candidates: their number; None is the number of frames, as in the authors' code.
        share: of DDIM's timesteps, from the noisiest on, that the animation (NI-VSDS) takes; 0 leaves the image still.
        strength: of the updates; 1 is the authors'.
        sizes: λ of the updates, a key of `i4vgen.FIRST_SIZES`. The authors' other values for LaVie are regeneration 0.8 and
            50 steps.
        regeneration: the denoising strength of the last stage.
        rectification: of the last stage, towards the animated image, whose first frame then stays the anchor; None, or
            with `enabled` off, is the authors' plain regeneration.
        guidance: the scale of classifier-free guidance in all stages; None is the pipeline's own.
        on_stage: called with the name of each stage before it begins.
    """
    check_creation(pipe, sizes)
    generator = Generator().manual_seed(seed)
    size = {name: value for name, value in (("width", width), ("height", height)) if value is not None}
    options = size if guidance is None else {**size, "guidance_scale": guidance}
    call = functools.partial(pipe, prompt=prompt, negative_prompt=negative_prompt, **options)
    tell, settings = on_stage or (lambda name: None), rectification or Settings()
    if settings.enabled:  # the refusals of the last stage come before the first
        check_settings(pipe, settings)
        omega_weights(settings, frames)
    calls = dict[str, int]()
    images, scores, chosen = list[Image.Image](), list[float](), None
    with torch.no_grad():
        if picture is None:
            count = candidates or frames
            tell("candidates")
            latents = candidates_of(pipe, call, count, steps, generator)
            check_finite(latents, "a candidate's latent")
            calls["candidates"] = steps
            images = decoded(pipe, latents)
            tell("choice")
            if score is None:
                scores = denoising_gains(pipe, latents, prompt, negative_prompt, generator, size).mean(0).tolist()
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
            updates = step_sizes(calls["animation"], strength, FIRST_SIZES[sizes])
            still = animate_still(pipe, still, call, steps, updates, generator, pin_first_frame=settings.enabled)
        tell("regeneration")
        video, calls["regeneration"] = regenerate(pipe, still, call, steps, regeneration, settings, generator)
    return Creation(video, images, scores, chosen, anchor, calls)


def candidates_of(pipe: Any, call: Call, count: int, steps: int, generator: Generator) -> Tensor:
    """Stage 1: latents of `count` images, `[1, C, count, h, w]`, by the model without its motion modules."""
    options = {"num_inference_steps": steps, "generator": generator}
    with without_motion(pipe):
        if not is_lavie(pipe):
            return _run(pipe, call, "latent", num_frames=count, **options)  # type: ignore[no-any-return]
        default = pipe.unet.config.sample_size * pipe.vae_scale_factor
        sides = [(call.keywords.get(name) or default) // pipe.vae_scale_factor for name in ("height", "width")]
        noise = torch.randn((1, pipe.unet.config.in_channels, count, *sides), generator=generator)
        return _image_latents(pipe, call, noise.to(pipe.device, pipe.unet.dtype), **options)


def regenerate(
    pipe: Any, still: Tensor, call: Call, steps: int, strength: float, rectification: Settings, generator: Generator
) -> tuple[NDArray[np.uint8], int]:
    """Stage 4: the video `[F, H, W, 3]` of the animated image `[1, C, F, h, w]`, and the number of its steps.

    `strength` is the denoising strength. `rectification` is towards the animated image; with `enabled` off it is none.
    """
    settings = rectification if rectification.enabled else Settings(enabled=True, tau_start=0.0, tau_end=0.0)
    with rectified(pipe, EncodedVideo(still), settings, strength=strength) as done:
        video = _run(pipe, call, "np", num_frames=still.shape[2], num_inference_steps=steps, generator=generator)
    return video_pixels(video), done.reports[-1].steps


def animate_still(
    pipe: Any, still: Tensor, call: Call, steps: int, sizes: Sequence[float], generator: Generator, *, pin_first_frame: bool
) -> Tensor:
    """Stage 3, noise-invariant video score distillation: z of a video from z of a still one, `[B, C, F, h, w]`.

    `sizes` are λ of the updates, see `step_sizes`: at as many of the noisiest of DDIM's N = `steps` timesteps.
    """
    count = len(sizes)
    timesteps = ddim_timesteps(pipe, steps)[:count]
    levels = levels_of(pipe, timesteps)
    exact = torch.promote_types(still.dtype, torch.float32)
    noise = torch.randn(still.shape, generator=generator, dtype=torch.float32).to(still.device, exact)
    x0 = still.to(exact)

    def answer(index: int, pred_x0: Tensor, level: Level) -> Tensor:
        nonlocal x0
        check_prediction(pred_x0, index + 1, count)
        update = ni_vsds_update(x0.movedim(2, 0), pred_x0.movedim(2, 0), level, sizes[index], pin_first_frame=pin_first_frame)
        x0 = update.movedim(0, 2)
        return noised(x0, noise, levels[index + 1]) if index + 1 < count else x0

    with visiting(pipe, timesteps, answer):
        start = noised(x0, noise, levels[0]).to(still.dtype)
        _run(pipe, call, "latent", latents=start, num_frames=still.shape[2], num_inference_steps=count)
    return x0.to(still.dtype)


def denoising_gains(
    pipe: Any, latents: Tensor, prompt: str, negative_prompt: str, generator: Generator, size: dict[str, int]
) -> Tensor:
    """The gain of each candidate when the model denoises it with the prompt instead of without: a diffusion classifier.

    The gain is the mean square error of the predicted noise without the prompt, less that with the prompt, at the
    timesteps of `i4vgen.LOOKS` and with one noise for all candidates; `[timesteps, candidates]` of latents
    `[1, C, candidates, h, w]`.
    """
    timesteps = look_timesteps(int(pipe.scheduler.config.num_train_timesteps))
    levels = levels_of(pipe, timesteps)
    exact = torch.promote_types(latents.dtype, torch.float32)
    x0 = latents.to(exact)
    noise = torch.randn(x0[:, :, :1].shape, generator=generator, dtype=torch.float32).to(x0)
    images = 0 if is_lavie(pipe) else 2  # their axis in the model's calls

    def error(text: str) -> Tensor:
        errors = list[Tensor]()

        def answer(index: int, pred_x0: Tensor, level: Level) -> Tensor:
            errors.append(denoising_errors(x0.movedim(2, 0), pred_x0.transpose(images, 2).movedim(2, 0), level))
            return noised(x0, noise, levels[min(index + 1, len(levels) - 1)]).transpose(images, 2)

        call = functools.partial(pipe, prompt=text, guidance_scale=1.0, **size)
        with without_motion(pipe), visiting(pipe, timesteps, answer):
            start = noised(x0, noise, levels[0]).to(latents.dtype)
            _image_latents(pipe, call, start, num_inference_steps=len(timesteps))
        return torch.stack(errors)

    return error(negative_prompt) - error(prompt)


def check_creation(pipe: Any, sizes: str) -> None:
    """Raise `PipelineError` for a pipeline that cannot make a video of a prompt in these stages."""
    if sizes not in FIRST_SIZES:
        raise PipelineError(f"sizes = {sizes!r} is unknown: use one of {', '.join(FIRST_SIZES)}")
    checked_prepare_latents(pipe)
    name, parameters = type(pipe).__name__, inspect.signature(type(pipe).__call__).parameters
    missing = {"prompt", "negative_prompt", "guidance_scale", "latents"} - set(parameters)
    if missing or getattr(pipe, "unet", None) is None or "image" in parameters:
        fault = f"takes no {min(missing)}" if missing else "is no text-to-video pipeline with a UNet"
        raise PipelineError(f"{name} {fault}: use one of the Stable Diffusion family")
    if not hasattr(pipe.scheduler, "alphas_cumprod"):
        raise PipelineError(
            f"{type(pipe.scheduler).__name__} has no alphas_cumprod: use a pipeline of the Stable Diffusion family"
        )


def _run(pipe: Any, call: Call, output_type: str, *, num_frames: int, **options: Any) -> Any:
    """The pipeline's video as it decodes it (`"np"`), or its last latents, `[B, C, F, h, w]` (`"latent"`)."""
    if not is_lavie(pipe):
        return call(num_frames=num_frames, output_type=output_type, **options).frames
    changes = {"decode_latents": lambda latents: latents} if output_type == "latent" else {}
    with replaced(pipe, **changes):
        return call(video_length=num_frames, **options).video


def _image_latents(pipe: Any, call: Call, latents: Tensor, **options: Any) -> Tensor:
    """Latents of images from others, `[1, C, N, h, w]`.

    LaVie's are N videos of one frame, over which its GroupNorm does not mix them.
    """
    count = latents.shape[2]
    if not is_lavie(pipe):
        return _run(pipe, call, "latent", latents=latents, num_frames=count, **options)  # type: ignore[no-any-return]
    options |= {name: [text] * count for name, text in call.keywords.items() if "prompt" in name}
    videos: Tensor = _run(pipe, call, "latent", latents=latents.transpose(0, 2), num_frames=1, **options)
    return videos.transpose(0, 2)


def decoded(pipe: Any, latents: Tensor) -> list[Image.Image]:
    """The images of latents `[1, C, N, h, w]`. Raises `PipelineError` for a VAE that decodes videos only."""
    if not hasattr(pipe, "decode_latents"):
        raise PipelineError(f"{type(pipe).__name__} decodes videos only: pass your own image")
    video = pipe.decode_latents(latents)[0]
    if video.dtype != torch.uint8:  # as LaVie's is, [F, H, W, 3]
        video = ((video.movedim(0, -1).float() / 2 + 0.5).clamp(0, 1) * 255).round().byte()
    return [Image.fromarray(frame) for frame in video.cpu().numpy()]

"""True clips of the world that the built-in model does not make, and where each of their pixels was in the first frame."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lib_noiserect.core.correction import Correction
from lib_noiserect.core.keyframes import Keyframes
from lib_noiserect.core.noise_levels import Level, noised, to_x0
from lib_noiserect.core.pivot import PivotStep
from lib_noiserect.core.reference import Reference
from lib_noiserect.core.settings import Settings
from lib_noiserect.pipelines.latents import encode_video
from lib_noiserect.pipelines.schedulers import motion_dial, read
from lib_noiserect.tiny.world import FRAMES, SIZE, Scenes

KINDS = ("as trained", "twice as far", "passing", "turning", "pan", "still", "cut")
"""The creature crosses as in the training, or twice as far; a second one comes towards it; it turns by 90°; the camera goes
aside by 20 pixels; nothing moves; another scene begins in the middle."""
GUIDANCE = 7.5
SEED, MOST = 4242, 64
_OTHER_SEED = 4243
_PAN = 20.0

Correspond = Callable[[Tensor], Tensor]
"""From x0, `[F, C, h, w]`, the displacement `[F, 2, h, w]` in latent pixels, x and y: frame i shows at p what frame 0 has
at p + displacement."""


@dataclass(frozen=True)
class Clip:
    """A true clip.

    Attributes:
        frames: `[F, 3, H, W]` in [0, 1].
        displacement: from each pixel of a frame to its place in frame 0, x and y, `[F, 2, H, W]`.
        visible: where frame 0 has that place, and shows the same thing there, `[F, H, W]` bool.
    """

    caption: str
    frames: Tensor
    displacement: Tensor
    visible: Tensor


@functools.lru_cache(maxsize=8)
def clip_of(kind: str, number: int) -> Clip:
    """A clip of one of `KINDS`. Raises `KeyError` for another kind."""
    drawn = [Scenes.draw(MOST, seed, held_out_captions=True) for seed in (SEED, _OTHER_SEED)]
    scene, other = (scenes.part(slice(number, number + 1)) for scenes in drawn)
    times = {"twice as far": torch.linspace(-0.5, 1.5, FRAMES), "still": torch.zeros(FRAMES)}.get(
        kind, torch.linspace(0, 1, FRAMES)
    )
    caption = scene.captions[0]
    if kind == "cut":
        half = FRAMES // 2
        first, second = (_moving(caption, (each,), times, 0.0, 0.0) for each in (scene, other))
        frames = torch.cat([first.frames[:half], second.frames[half:]])
        visible = torch.cat([first.visible[:half], torch.zeros_like(second.visible[half:])])
        return replace(first, frames=frames, visible=visible)
    turn, pan = {"turning": (torch.pi / 2, 0.0), "pan": (0.0, _PAN)}.get(kind, (0.0, 0.0))
    scenes = dict.fromkeys(KINDS, (scene,)) | {"passing": (scene, _towards(scene, other))}
    return _moving(caption, scenes[kind], times, turn, pan)


def _towards(scene: Scenes, other: Scenes) -> Scenes:
    """The other scene's creature, which swims the path of this scene's in the other direction."""
    hidden = other.hidden.clone()
    hidden[:, :4] = scene.hidden[:, :4]
    hidden[:, 1] = 1 - hidden[:, 1]  # the path is beside the middle, and what is left of one is right of the other
    return replace(other, direction=scene.direction ^ 1, hidden=hidden)


def _moving(caption: str, scenes: tuple[Scenes, ...], times: Tensor, turn: float, pan: float) -> Clip:
    scene, *others = scenes
    cameras = [(pan * float(time - times[0]), 0.0) for time in times]
    frames = torch.cat(
        [scene.render(time[None], camera=at, turn=turn, others=others)[:, 0] for time, at in zip(times, cameras)]
    )
    # Who owns a pixel: 0 the ground, then the creatures, of which the last one is on top.
    owner = torch.zeros(len(times), SIZE, SIZE, dtype=torch.long)
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    grid = torch.stack([x, y]).float()
    at = torch.tensor(cameras)[..., None, None]
    displacement = (at - at[0]).expand(-1, -1, SIZE, SIZE).clone()
    for number, each in enumerate(scenes, start=1):
        places = each.centres(times[None])[0]
        for index, (time, camera) in enumerate(zip(times, cameras)):
            cover = each.covers(time[None], camera=camera, turn=turn)[0, 0] > 0.5
            owner[index][cover] = number
            # On the screen of the moment, from the creature's middle; turned back to its angle in the first frame.
            middle = (places[index] - torch.tensor(camera) - 0.5).view(2, 1, 1)
            first = (places[0] - torch.tensor(cameras[0]) - 0.5).view(2, 1, 1)
            angle = torch.as_tensor(turn * float(times[0] - time))
            away_x, away_y = grid - middle
            turned = torch.stack(
                [away_x * torch.cos(angle) - away_y * torch.sin(angle), away_x * torch.sin(angle) + away_y * torch.cos(angle)]
            )
            displacement[index][:, cover] = (first + turned - grid)[:, cover]
    target = (grid + displacement).round().long()
    inside = ((target >= 0) & (target < SIZE)).all(1)
    target = target.clamp(0, SIZE - 1)
    visible = inside & (owner[0][target[:, 1], target[:, 0]] == owner)
    return Clip(caption, frames, displacement, visible)


def latent_displacement(clip: Clip, height: int, width: int) -> tuple[Tensor, Tensor]:
    """The displacement in latent pixels, `[F, 2, h, w]`, and where all of a latent pixel is visible and moves alike."""
    factor = SIZE / height
    mean = functional.interpolate(clip.displacement, (height, width), mode="area")
    spread = functional.adaptive_max_pool2d(clip.displacement, (height, width))
    spread = spread + functional.adaptive_max_pool2d(-clip.displacement, (height, width))
    seen = functional.interpolate(clip.visible[:, None].float(), (height, width), mode="area")[:, 0] > 0.99
    return mean / factor, seen & (spread.amax(1) < factor)


def correspondence_errors(correspond: Correspond, x0: Tensor, clip: Clip) -> dict[str, float]:
    """How far off a correspondence is, in latent pixels, on the frames after the first.

    `off_moving`: the mean distance to the truth where things have moved by a latent pixel or more; `near`: the share of these
    places with a distance below 1. `off_still`: the mean distance where nothing moved. `moved`: how far things have moved,
    which is the error of the correspondence that stays in place. Nan where a clip has no such places.
    """
    truth, counts = latent_displacement(clip, *x0.shape[-2:])
    away = (correspond(x0).cpu() - truth).norm(dim=1)
    length = truth.norm(dim=1)
    counts[0] = False
    moving, still = counts & (length >= 1), counts & (length < 0.05)
    return {
        "off_moving": float(away[moving].mean()),
        "near": float((away[moving] < 1).float().mean()),
        "off_still": float(away[still].mean()),
        "moved": float(length[moving].mean()),
    }


@torch.no_grad()
def encoded(pipe: Any, clip: Clip) -> Tensor:
    """The latents of a clip, `[F, C, h, w]`."""
    return encode_video(pipe.vae, clip.frames.to(pipe.device) * 2 - 1).float()


@torch.no_grad()
def guided(pipe: Any, x: Tensor, timestep: Tensor, text: Tensor) -> Tensor:
    """The model's output after guidance for `x`, `[F, C, h, w]`, as the pipeline computes it."""
    video = x.movedim(0, 1)[None]
    output = pipe.unet(torch.cat([video] * 2), timestep, encoder_hidden_states=text).sample.float()
    without, with_text = output.chunk(2)
    video_output: Tensor = (without + GUIDANCE * (with_text - without))[0]
    return video_output.movedim(0, 1)


@torch.no_grad()
def texts(pipe: Any, caption: str) -> Tensor:
    """The embeddings of no prompt and of a caption for every frame, `[2·F, …]`."""
    prompt, negative = pipe.encode_prompt(caption, pipe.device, 1, True)
    return torch.cat([negative, prompt]).repeat_interleave(FRAMES, dim=0)


def predicted_x0(pipe: Any, clip: Clip, time: float, seed: int) -> Tensor:
    """The clean latents that the model predicts for a clip that is noised to t/T = `time`; at 0 the clip's own."""
    x0 = encoded(pipe, clip)
    if time == 0.0:
        return x0
    timestep = torch.tensor(max(round(time * pipe.scheduler.config.num_train_timesteps) - 1, 0))
    level, kind = read(pipe.scheduler, timestep)
    x = noised(x0, _noise(x0, seed), level)
    return to_x0(kind, guided(pipe, x, timestep, texts(pipe, clip.caption)), x, level)


def continued(pipe: Any, clip: Clip, settings: Settings, *, steps: int, strength: float, seed: int) -> Tensor:
    """A clip that is noised and denoised again while it is rectified towards its first frame, `[F, 3, H, W]` in [0, 1].

    So the video has motion that the model does not make by itself. x starts as the noised clip and the pivot as the noised
    first frame, with the same noise. For deterministic samplers.
    """
    scheduler, x0 = pipe.scheduler, encoded(pipe, clip)
    scheduler.set_timesteps(steps)
    timesteps = scheduler.timesteps[steps - max(int(steps * strength + 1e-9), 1) :]
    reference = Reference(x0[:1].expand_as(x0).contiguous(), Keyframes((0,), FRAMES))
    dial = functools.partial(motion_dial, scheduler, x0, [True] * len(scheduler.timesteps), {})
    step = PivotStep(reference.x0, Correction.of(settings, reference, dial), len(timesteps))
    noise, text = _noise(x0, seed), texts(pipe, clip.caption)
    level: Level = read(scheduler, timesteps[0])[0]
    x, pivot = noised(x0, noise, level), noised(reference.x0, noise, level)
    for index, timestep in enumerate(timesteps):
        level, kind = read(scheduler, timestep)
        outputs = step(guided(pipe, x, timestep, text), x, pivot, level, kind, index)
        step.checks.settle()
        x, pivot = (scheduler.step(output, timestep, state).prev_sample for output, state in zip(outputs, (x, pivot)))
    with torch.no_grad():
        decoded: Tensor = pipe.decode_latents(x.movedim(0, 1)[None])[0]
    return (decoded.movedim(0, 1).cpu() / 2 + 0.5).clamp(0, 1)


def clip_psnr(video: Tensor, clip: Clip) -> dict[str, float]:
    """PSNR in dB of the frames after the first to the true clip: of all pixels, and of those that the clip changes."""
    errors = (video - clip.frames).square().mean(1)[1:]
    changed = (clip.frames - clip.frames[:1]).abs().amax(1)[1:] > 0.06
    return {"clip_psnr": _decibels(errors), "changed_psnr": _decibels(errors[changed])}


def _decibels(errors: Tensor) -> float:
    return float(-10 * torch.log10(errors.mean().clamp(min=1e-10)))


def _noise(x0: Tensor, seed: int) -> Tensor:
    return torch.randn(x0.shape, generator=torch.Generator().manual_seed(seed)).to(x0)

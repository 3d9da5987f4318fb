"""What the stages learn from: crops and frames for the VAE, pools of latents for the rest, and noise for them."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from networks import LATENT_CHANNELS

from lib_noiserect.tiny import world
from lib_noiserect.tiny.world import Scenes

CROP = 32


def training_crops(batch: int, generator: torch.Generator) -> Tensor:
    """`[batch, 3, 32, 32]` in [-1, 1]: what is around the creature, which is a small part of a frame and its hardest."""
    scenes = Scenes.draw(batch, int(torch.randint(2**40, (), generator=generator)))
    times = torch.rand((batch, 1), generator=generator)
    frames = scenes.render(times)[:, 0] * 2 - 1
    aside = torch.rand((batch, 2), generator=generator) * CROP - CROP / 2
    corners = (scenes.centres(times)[:, 0] + aside * 0.7 - CROP / 2).round().long().clamp(0, world.SIZE - CROP)
    return torch.stack(
        [frame[:, y : y + CROP, x : x + CROP] for frame, (x, y) in zip(frames, corners.tolist(), strict=True)]
    )


def training_frames(batch: int, generator: torch.Generator) -> Tensor:
    """`[batch, 3, 64, 64]` in [-1, 1]."""
    scenes = Scenes.draw(batch, int(torch.randint(2**40, (), generator=generator)))
    return scenes.render(torch.rand((batch, 1), generator=generator))[:, 0] * 2 - 1


@torch.no_grad()
def latents_of(vae: AutoencoderKL, frames: Tensor, device: str) -> Tensor:
    """`[N, 8, 16, 16]` latents (posterior means) of `[N, 3, 64, 64]` frames in [0, 1]."""
    return vae.encode(frames.to(device) * 2 - 1).latent_dist.mean.cpu()


def pool(
    file: Path, vae: AutoencoderKL, count: int, frames: int, seed: int, device: str, times: Tensor | None = None
) -> tuple[Tensor, list[str]]:
    """`[count, frames, 8, 16, 16]` latents of as many scenes and their captions; made once and kept in `file`.

    `times`, `[count, frames]`: when the frames are; whole clips from 0 to 1 and single frames at random by default.
    """
    scenes = Scenes.draw(count, seed)
    if file.exists():
        return load_file(file)["latents"], scenes.captions
    generator = torch.Generator().manual_seed(seed)
    latents = torch.empty((count, frames, LATENT_CHANNELS, 16, 16))
    for start in tqdm(range(0, count, 64), desc=file.stem, mininterval=5):
        part = slice(start, start + 64)
        some = scenes.part(part)
        if times is not None:
            drawn = some.render(times[part])
        else:
            drawn = some.render() if frames > 1 else some.render(torch.rand((len(some), 1), generator=generator))
        latents[part] = latents_of(vae, drawn.flatten(0, 1), device).unflatten(0, drawn.shape[:2])
    save_file({"latents": latents}, file)
    return latents, scenes.captions


def noised(
    latents: Tensor, generator: torch.Generator, scheduler: DDIMScheduler, device: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Noised latents, their timesteps `[B]`, and the velocity a·n - s·z that the model is to predict.

    Unlike the noise, the velocity is as sensitive to what is decided in the first steps (colours, layout, motion: what
    the caption says) as to the details of the last ones.
    """
    timesteps = torch.randint(scheduler.config.num_train_timesteps, (len(latents),), generator=generator)
    noise = torch.randn(latents.shape, generator=generator)
    mixed = scheduler.add_noise(latents, noise, timesteps)
    velocity = scheduler.get_velocity(latents, noise, timesteps)
    return mixed.to(device), timesteps.to(device), velocity.to(device)


def shuffled(count: int, batch: int, step: int, seed: int) -> Tensor:
    """The indices of batch number `step` in endless passes over `count` items, each pass in its own order."""
    per_pass = count // batch
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed + step // per_pass))
    return order[(step % per_pass) * batch : (step % per_pass + 1) * batch]

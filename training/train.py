"""Trains the built-in video model on its procedural world, in two stages like AnimateDiff.

    python training/train.py --work WORK_FOLDER --out MODEL_FOLDER

Stages: the VAE; the image model (UNet and text encoder, on single frames); the motion modules, with all the rest frozen.
What is written to MODEL_FOLDER is what `AnimateDiffPipeline.from_pretrained` reads. The seeds are fixed. A stage that was
stopped goes on from its last checkpoint in WORK_FOLDER; a finished one is not run again.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNetMotionModel
from torch import Tensor, nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from batches import noised, pool, shuffled, training_crops, training_frames
from networks import new_motion_adapter, new_scheduler, new_text_encoder, new_unet, new_vae
from stage import Stage
from words import save_tokenizer, tokenizer_of

from lib_noiserect.tiny import world

CAPTION_DROPOUT = 0.1


def train_vae(stage: Stage) -> AutoencoderKL:
    """Crops around the creatures first, whole frames in the last seventh."""
    vae = stage.modules["vae"].to(memory_format=torch.channels_last)

    def loss_of(generator: torch.Generator, progress: float) -> Tensor:
        frames = training_crops(32, generator) if progress < 6 / 7 else training_frames(16, generator)
        frames = frames.to(stage.device, memory_format=torch.channels_last)
        posterior = vae.encode(frames).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=generator).to(stage.device)
        decoded = vae.decode(posterior.mean + posterior.std * noise).sample
        edges = sum(functional.l1_loss(decoded.diff(dim=dim), frames.diff(dim=dim)) for dim in (2, 3))
        error = functional.l1_loss(decoded, frames) + 2 * functional.mse_loss(decoded, frames)
        return error + edges + 1e-4 * posterior.kl().mean() / posterior.mean[0].numel()

    return stage.run(loss_of)["vae"]


@torch.no_grad()
def standardise(vae: AutoencoderKL, device: str) -> None:
    """Gives the latents mean 0 and deviation 1 in each channel, by the 1×1 convolutions at both sides of them."""
    frames = training_frames(512, torch.Generator().manual_seed(31)).to(device)
    latents = torch.cat([vae.encode(some).latent_dist.mean for some in frames.split(64)])
    middle, spread = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    into, out_of = vae.quant_conv, vae.post_quant_conv
    out_of.bias += out_of.weight[:, :, 0, 0] @ middle
    out_of.weight *= spread[None, :, None, None]
    channels = len(middle)
    into.bias[:channels] -= middle
    into.bias[:channels] /= spread
    into.weight[:channels] /= spread[:, None, None, None]
    into.bias[channels:] -= 2 * spread.log()  # the logarithm of the posterior's variance
    vae.register_to_config(scaling_factor=1.0)


def train_images(
    stage: Stage, latents: Tensor, captions: list[str], batch: int, encode: Callable[[list[str]], Tensor]
) -> dict[str, nn.Module]:
    unet, text_encoder, scheduler = stage.modules["unet"], stage.modules["text_encoder"], new_scheduler()
    tokens, empty = encode(captions), encode([""])

    def loss_of(generator: torch.Generator, progress: float) -> Tensor:
        chosen = shuffled(len(latents), batch, stage.done, seed=11)
        dropped = torch.rand(batch, generator=generator) < CAPTION_DROPOUT
        words = torch.where(dropped[:, None], empty, tokens[chosen]).to(stage.device)
        mixed, timesteps, velocity = noised(latents[chosen, 0], generator, scheduler, stage.device)
        return functional.mse_loss(unet(mixed, timesteps, text_encoder(words).last_hidden_state).sample, velocity)

    return stage.run(loss_of)


def train_motion(
    stage: Stage,
    unet: UNetMotionModel,
    text_encoder: nn.Module,
    latents: Tensor,
    captions: list[str],
    batch: int,
    encode: Callable[[list[str]], Tensor],
) -> None:
    scheduler = new_scheduler()
    tokens, empty = encode(captions), encode([""])

    def loss_of(generator: torch.Generator, progress: float) -> Tensor:
        chosen = shuffled(len(latents), batch, stage.done, seed=12)
        dropped = torch.rand(batch, generator=generator) < CAPTION_DROPOUT
        words = torch.where(dropped[:, None], empty, tokens[chosen]).to(stage.device)
        with torch.no_grad():
            text = text_encoder(words).last_hidden_state.repeat_interleave(latents.shape[1], dim=0)
        mixed, timesteps, velocity = noised(latents[chosen], generator, scheduler, stage.device)
        predicted = unet(mixed.transpose(1, 2), timesteps, text).sample.transpose(1, 2)
        return functional.mse_loss(predicted, velocity)

    stage.run(loss_of)


def motion_parameters(unet: UNetMotionModel) -> Iterator[tuple[str, nn.Parameter]]:
    return ((name, parameter) for name, parameter in unet.named_parameters() if "motion_modules" in name)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder of checkpoints and latents (about 1 GB)")
    parser.add_argument("--out", type=Path, required=True, help="folder that the finished model is written to")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--vae-steps", type=int, default=5000)
    parser.add_argument("--image-steps", type=int, default=9000)
    parser.add_argument("--motion-steps", type=int, default=6000)
    parser.add_argument("--images", type=int, default=40000, help="single frames to learn from")
    parser.add_argument("--clips", type=int, default=4000, help="clips to learn from")
    given = parser.parse_args(arguments)
    given.work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    device, record = given.device, dict[str, object]()

    tokenizer = tokenizer_of()

    def encode(captions: list[str]) -> Tensor:
        return tokenizer(captions, padding="max_length", max_length=16, truncation=True, return_tensors="pt").input_ids

    stage = Stage("vae", given.work, {"vae": new_vae()}, given.vae_steps, 2e-3, device)
    vae = train_vae(stage)
    standardise(vae, device)
    record["VAE"] = stage.record()

    images, image_captions = pool(given.work / "images.safetensors", vae, given.images, 1, 21, device)
    text_encoder = new_text_encoder(len(tokenizer), tokenizer.eos_token_id)
    stage = Stage(
        "image model", given.work, {"unet": new_unet(), "text_encoder": text_encoder}, given.image_steps, 1.2e-3, device
    )
    image_model = train_images(stage, images, image_captions, 32, encode)
    record["image model"] = stage.record()

    clips, clip_captions = pool(given.work / "clips.safetensors", vae, given.clips, world.FRAMES, 22, device)
    unet = UNetMotionModel.from_unet2d(image_model["unet"], new_motion_adapter()).requires_grad_(False)
    for _, parameter in motion_parameters(unet):
        parameter.requires_grad_(True)
    stage = Stage("motion modules", given.work, {"unet": unet}, given.motion_steps, 1e-3, device)
    train_motion(stage, unet, image_model["text_encoder"], clips, clip_captions, 2, encode)
    record["motion modules"] = stage.record()

    save(given.out, vae, image_model["text_encoder"], image_model["unet"], stage.average["unet"])
    record["pool"] = (
        f"The image model saw {given.images:,} single frames ({32 * given.image_steps:,} drawn), "
        f"the motion modules {given.clips:,} videos ({2 * given.motion_steps:,} drawn)."
    )
    processor = platform.processor() or platform.machine()
    record["machine"] = (
        torch.cuda.get_device_name() if device == "cuda" else f"CPU ({processor}), threads: {torch.get_num_threads()}"
    )
    (given.out / "training.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def save(out: Path, vae: nn.Module, text_encoder: nn.Module, image_unet: nn.Module, unet: UNetMotionModel) -> None:
    """Writes each part in half precision, as `AnimateDiffPipeline.from_pretrained(out)` reads it."""
    out.mkdir(parents=True, exist_ok=True)
    adapter = new_motion_adapter()
    learned = dict(motion_parameters(unet))
    adapter.load_state_dict({name: learned.get(name, value) for name, value in adapter.state_dict().items()})
    vae.half().save_pretrained(out / "vae")
    text_encoder.half().save_pretrained(out / "text_encoder")
    # Unlike diffusers, transformers loads what was saved in half precision as that, unless this says otherwise.
    config = out / "text_encoder" / "config.json"
    settings = {**json.loads(config.read_text(encoding="utf-8")), "dtype": "float32"}
    config.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    image_unet.half().save_pretrained(out / "unet")
    adapter.half().save_pretrained(out / "motion_adapter")
    new_scheduler().save_pretrained(out / "scheduler")
    save_tokenizer(out / "tokenizer")
    index = {
        "_class_name": "AnimateDiffPipeline",
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
        "motion_adapter": ["diffusers", "MotionAdapter"],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (out / "model_index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

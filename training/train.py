"""Trains the built-in video model on its procedural world, in two stages like AnimateDiff.

    python training/train.py --work WORK_FOLDER --out MODEL_FOLDER

Stages: the VAE; the image model (UNet and text encoder, on single frames); the motion modules, with all the rest frozen.
What is written to MODEL_FOLDER is what `AnimateDiffPipeline.from_pretrained` reads. The seeds are fixed. A stage that was
stopped goes on from its last checkpoint in WORK_FOLDER; a finished one is not run again.
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, MotionAdapter, UNet2DConditionModel, UNetMotionModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm
from transformers import CLIPTextConfig, CLIPTextModel

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from words import save_tokenizer, tokenizer_of

from lib_noiserect.tiny import world
from lib_noiserect.tiny.world import Scenes

CHANNELS = (48, 96, 96)
LATENT_CHANNELS = 8
TEXT_WIDTH = 64
CAPTION_DROPOUT = 0.1
CHECKPOINT_EVERY = 250


def new_vae() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(16, 32, 48),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=8,
        sample_size=world.SIZE,
    )


def new_text_encoder(vocabulary: int, end_of_text: int) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=TEXT_WIDTH,
            intermediate_size=2 * TEXT_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=16,
            bos_token_id=end_of_text - 1,
            eos_token_id=end_of_text,
            pad_token_id=end_of_text,
            projection_dim=TEXT_WIDTH,
        )
    )


def new_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=world.SIZE // 4,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=CHANNELS,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=4,
        norm_num_groups=16,
    )


def new_motion_adapter() -> MotionAdapter:
    adapter = MotionAdapter(
        block_out_channels=CHANNELS,
        motion_layers_per_block=1,
        motion_mid_block_layers_per_block=1,
        motion_num_attention_heads=4,
        motion_norm_num_groups=16,
        motion_max_seq_length=32,
    )
    for name, parameter in adapter.named_parameters():
        if "proj_out" in name:
            nn.init.zeros_(parameter)
    return adapter


def new_scheduler() -> DDIMScheduler:
    """AnimateDiff's own noise levels: linear β from 0.00085 to 0.012."""
    return DDIMScheduler(
        beta_schedule="linear",
        beta_start=0.00085,
        beta_end=0.012,
        clip_sample=False,
        prediction_type="v_prediction",
        steps_offset=1,
        timestep_spacing="leading",
    )


class Stage:
    """One stage of the training: AdamW, warm-up and cosine, running averages of the weights, checkpoints, a progress bar."""

    def __init__(
        self, name: str, work: Path, modules: dict[str, nn.Module], steps: int, rate: float, device: str
    ) -> None:
        self.name, self.work, self.steps, self.rate, self.device = name, work, steps, rate, device
        self.modules = nn.ModuleDict(modules).to(device)
        self.average = copy.deepcopy(self.modules).requires_grad_(False)
        self.trained = [parameter for parameter in self.modules.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trained, lr=rate, weight_decay=1e-3, betas=(0.9, 0.98))
        self.done, self.seconds, self.losses = 0, 0.0, list[float]()

    @property
    def _file(self) -> Path:
        return self.work / f"{self.name}.checkpoint.pt"

    def _resume(self) -> None:
        if self._file.exists():
            state = torch.load(self._file, map_location=self.device, weights_only=True)
            self.modules.load_state_dict(state["modules"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.done, self.seconds, self.losses = state["done"], state["seconds"], state["losses"]

    def _save(self) -> None:
        state = {
            "modules": self.modules.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "done": self.done,
            "seconds": self.seconds,
            "losses": self.losses,
        }
        half_written = self._file.with_suffix(".part")
        torch.save(state, half_written)
        half_written.replace(self._file)

    def run(self, loss_of: Callable[[torch.Generator, float], Tensor]) -> dict[str, nn.Module]:
        """Trains; returns the averaged modules, by name. `loss_of(generator, progress)`: the loss of one fresh batch."""
        self._resume()
        with tqdm(total=self.steps, initial=self.done, desc=self.name, mininterval=5) as bar:
            while self.done < self.steps:
                started = time.perf_counter()
                progress = self.done / self.steps
                warm = min(1.0, (self.done + 1) / 100)
                for group in self.optimizer.param_groups:
                    group["lr"] = (
                        self.rate
                        * warm
                        * (0.02 + 0.98 * 0.5 * (1 + torch.cos(torch.tensor(torch.pi * progress)).item()))
                    )
                generator = torch.Generator().manual_seed(1_000_003 * self.done + len(self.name))
                loss = loss_of(generator, progress)
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(self.trained, 1.0)
                self.optimizer.step()
                decay = min(0.9985, (self.done + 1) / (self.done + 10))
                with torch.no_grad():
                    for mean, parameter in zip(self.average.parameters(), self.modules.parameters(), strict=True):
                        mean.lerp_(parameter, 1 - decay)
                self.losses.append(loss.item())
                self.done += 1
                self.seconds += time.perf_counter() - started
                bar.update()
                if self.done % 50 == 0:
                    bar.set_postfix(loss=f"{sum(self.losses[-200:]) / len(self.losses[-200:]):.4f}", refresh=False)
                if self.done % CHECKPOINT_EVERY == 0 or self.done == self.steps:
                    self._save()
        return {name: module.eval().requires_grad_(False) for name, module in self.average.items()}

    def record(self) -> dict[str, float | int]:
        tail = self.losses[-max(1, len(self.losses) // 20) :]
        return {
            "steps": self.done,
            "minutes": round(self.seconds / 60, 1),
            "loss at the start": round(sum(self.losses[:50]) / len(self.losses[:50]), 4),
            "loss over the last 5 %": round(sum(tail) / len(tail), 4),
            "trained parameters": sum(parameter.numel() for parameter in self.trained),
        }


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


@torch.no_grad()
def latents_of(vae: AutoencoderKL, frames: Tensor, device: str) -> Tensor:
    """`[N, 8, 16, 16]` latents (posterior means) of `[N, 3, 64, 64]` frames in [0, 1]."""
    return vae.encode(frames.to(device) * 2 - 1).latent_dist.mean.cpu()


def pool(file: Path, vae: AutoencoderKL, count: int, frames: int, seed: int, device: str) -> tuple[Tensor, list[str]]:
    """`[count, frames, 8, 16, 16]` latents of as many scenes and their captions; made once and kept in `file`."""
    scenes = Scenes.draw(count, seed)
    if file.exists():
        return load_file(file)["latents"], scenes.captions
    generator = torch.Generator().manual_seed(seed)
    latents = torch.empty((count, frames, LATENT_CHANNELS, 16, 16))
    for start in tqdm(range(0, count, 64), desc=file.stem, mininterval=5):
        part = slice(start, start + 64)
        some = Scenes(
            scenes.creature[part], scenes.colour[part], scenes.direction[part], scenes.ground[part], scenes.hidden[part]
        )
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
    parser.add_argument("--motion-steps", type=int, default=8000)
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
        f"the motion modules {given.clips:,} clips ({2 * given.motion_steps:,} drawn)."
    )
    processor = platform.processor() or platform.machine()
    record["machine"] = (
        torch.cuda.get_device_name() if device == "cuda" else f"CPU ({processor}), {torch.get_num_threads()} threads"
    )
    (given.out / "training.json").write_text(json.dumps(record, indent=2) + "\n")


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
    config.write_text(json.dumps({**json.loads(config.read_text()), "dtype": "float32"}, indent=2) + "\n")
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
    (out / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")


if __name__ == "__main__":
    main()

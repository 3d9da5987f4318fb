"""Trains the built-in model's image-conditioned siblings, plainly and with TimeNoise.

    python training/condition.py --work WORK_FOLDER --out benchmarks/conditioned

The picture's latent is joined to every frame's, as in DynamiCrafter. First all learn plainly from clean pictures; each
sibling then goes on from there by as many steps, one plainly and the others with TimeNoise. Clips are shorter than the
built-in model's; each has a speed of its own, down to standing still, which neither caption nor picture tells: as in films.
A training that was stopped goes on from its last checkpoint in WORK_FOLDER; a finished one is not run again.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from batches import noised, pool, shuffled
from networks import new_scheduler
from stage import Stage

from benchmarks.image_conditioned import PictureConv, changed_weights, save_changed, speedy_times, widen
from lib_noiserect.methods.timenoise import with_time_noise
from lib_noiserect.pipelines.loading import load

FRAMES = 8
CAPTION_DROPOUT = 0.1
SIBLINGS: dict[str, dict[str, float] | None] = {
    "plain": None,
    "timenoise": {"beta_m": 4.0, "a": 5.0},
    "beta_m=16": {"beta_m": 16.0, "a": 5.0},
    "beta_m=1": {"beta_m": 1.0, "a": 5.0},
    "a=0.1": {"beta_m": 4.0, "a": 0.1},
    "a=1": {"beta_m": 4.0, "a": 1.0},
}
"""What is trained, in this order, and its TimeNoise. The repository has the first alone."""

CARD = """# Image-conditioned siblings of the built-in model

These versions of the [built-in model](../../lib_noiserect/tiny/model/README.md) see the image. As in DynamiCrafter,
the image's latent is concatenated to that of every frame, through zero-initialized channels of the first convolution.
A file has only the further trained weights, in half precision: the first and the last layer, the outermost blocks
and the motion modules. The models measure conditional image leakage (Zhao et al., arXiv 2406.15735) and the effect of
TimeNoise and a late start. They are not meant to make useful images. This folder has the plain one:

    from benchmarks.image_conditioned import animate_conditioned, load_conditioned
    video = animate_conditioned(load_conditioned(), image, "a red fish moving left over a blue ground")

`python training/condition.py --work WORK_FOLDER --out FOLDER` trains all of them with fixed seeds. With `--siblings
plain timenoise` it trains only the two that the experiments `leakage` and `start` compare. `python -m benchmarks` reads
them from `--conditioned FOLDER`. They learn from {clips:,} videos of {frames} frames, {batch} per step. Each has a
random speed from 0 to the built-in model's own, which neither caption nor image tells. One caption in ten is dropped.
All models continue from the same checkpoint with the same steps and differ only in the noise on the image. As in the
authors' DynamiCrafter, no input tells the model the level of this noise. At inference the image is clean. {machine}.

| model | TimeNoise | trained parameters | steps | minutes | loss at the start | loss over the last 5 % |
|---|---|---|---|---|---|---|
{stages}

The authors' β_m is 100, for latents of 64×64 and more with the same variance. On latents of 16×16 this hides the
image: the median level is already 27 at t = 0, and from single frames with noise of level 25 the built-in model
recovers 15 % of their variance. It recovers 85 % at level 1 and half at level 3.4. β_m = 4 has a median level of 1.1
at t = 0 and 2.9 at t = T, so most of the image is visible at small t, and about half at large t.

See [the results](../../docs/measured/results.md) and [the method](../../docs/method.md).
"""
Clips = tuple[Tensor, Tensor]
"""Latents `[N, F, C, H, W]`, and what the text encoder makes of their captions and of none, `[N + 1, words, width]`."""


def train(stage: Stage, clips: Clips, time_noise: dict[str, float] | None, batch: int, seed: int) -> None:
    unet, scheduler = stage.modules["unet"], new_scheduler()
    latents, texts = clips
    conv_in = unet.conv_in
    assert isinstance(conv_in, PictureConv)

    def loss_of(generator: torch.Generator, progress: float) -> Tensor:
        chosen = shuffled(len(latents), batch, stage.done, seed)
        dropped = torch.rand(batch, generator=generator) < CAPTION_DROPOUT
        text = texts[torch.where(dropped, len(texts) - 1, chosen)].repeat_interleave(latents.shape[1], dim=0)
        mixed, timesteps, velocity = noised(latents[chosen], generator, scheduler, stage.device)
        pictures = latents[chosen, 0]
        if time_noise is not None:
            time = timesteps.cpu() / scheduler.config.num_train_timesteps
            pictures = with_time_noise(pictures, time, **time_noise, generator=generator)
        conv_in.condition = pictures.repeat_interleave(latents.shape[1], dim=0)
        predicted = unet(mixed.transpose(1, 2), timesteps, text.to(stage.device)).sample.transpose(1, 2)
        return functional.mse_loss(predicted, velocity)

    stage.run(loss_of)
    for module in (conv_in, stage.average["unet"].conv_in):
        module.condition = None


@torch.no_grad()
def texts_of(pipe: Any, captions: list[str]) -> Tensor:
    """`[len(captions) + 1, words, width]`: the captions', and that of no caption."""
    options = {"padding": "max_length", "max_length": 16, "truncation": True, "return_tensors": "pt"}
    tokens = pipe.tokenizer([*captions, ""], **options).input_ids.to(pipe.device)
    return torch.cat([pipe.text_encoder(some).last_hidden_state.cpu() for some in tokens.split(256)])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder of checkpoints and latents (about 1 GB)")
    parser.add_argument("--out", type=Path, required=True, help="folder that the weights are written to")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--siblings", nargs="+", choices=SIBLINGS, default=list(SIBLINGS), help="default: all")
    parser.add_argument("--common-steps", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=500, help="of each sibling after that")
    parser.add_argument("--clips", type=int, default=3000, help="clips to learn from")
    parser.add_argument("--batch", type=int, default=2)
    given = parser.parse_args(arguments)
    given.work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    pipe = load(device=given.device)
    times = speedy_times(given.clips, FRAMES, seed=23)
    file = given.work / "speedy.safetensors"
    latents, captions = pool(file, pipe.vae.eval(), given.clips, FRAMES, 23, given.device, times)
    clips = latents, texts_of(pipe, captions)

    widen(pipe.unet)
    pipe.unet.requires_grad_(False)
    for weight in changed_weights(pipe.unet).values():
        weight.requires_grad_(True)
    common = Stage("common", given.work, {"unet": pipe.unet}, given.common_steps, 6e-4, given.device)
    train(common, clips, None, given.batch, seed=13)
    start = {name: value.clone() for name, value in common.average["unet"].state_dict().items()}
    processor = platform.processor() or platform.machine()
    machine = torch.cuda.get_device_name() if given.device == "cuda" else f"CPU ({processor})"
    record: dict[str, Any] = {"frames": FRAMES, "clips": given.clips, "batch": given.batch, "machine": machine}
    record["common"] = common.record()
    for sibling in given.siblings:
        pipe.unet.load_state_dict(start)
        stage = Stage(sibling, given.work, {"unet": pipe.unet}, given.steps, 4e-4, given.device)
        train(stage, clips, SIBLINGS[sibling], given.batch, seed=14)
        save_changed(stage.average["unet"], given.out / f"{sibling}.safetensors")
        record[sibling] = {"TimeNoise": SIBLINGS[sibling], **stage.record()}
        (given.out / "training.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        (given.out / "README.md").write_text(card(record), encoding="utf-8")


def card(record: dict[str, Any]) -> str:
    columns = ("trained parameters", "steps", "minutes", "loss at the start", "loss over the last 5 %")

    def row(name: str) -> str:
        noise = record[name].get("TimeNoise")
        said = "none" if noise is None else f"β_m = {noise['beta_m']:g}, a = {noise['a']:g}"
        return f"| {name} | {said} | {' | '.join(f'{record[name][column]:,}' for column in columns)} |"

    stages = "\n".join(row(name) for name in ("common", *SIBLINGS) if name in record)
    return CARD.format(**{name: record[name] for name in ("clips", "frames", "batch", "machine")}, stages=stages)


if __name__ == "__main__":
    main()

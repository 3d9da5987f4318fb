"""Trains the built-in model's image-conditioned siblings, plainly and with TimeNoise.

    python training/condition.py --work WORK_FOLDER --out lib_noiserect/tiny/conditioned

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

from lib_noiserect.methods.timenoise import with_time_noise
from lib_noiserect.pipelines.animation import load
from lib_noiserect.pipelines.image_conditioned import PictureConv, changed_weights, save_changed, widen
from lib_noiserect.tiny.world import speedy_times

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
"""What is trained, in this order, and its TimeNoise. The first two are kept with the library."""

CARD = """# Image-conditioned siblings of the built-in model

The [built-in model](../model/README.md), made to see the picture: its latent is joined to every frame's, as in DynamiCrafter,
by channels that were added to the first convolution with zeros in them. Only what was trained further is kept here, in half
precision: the first and the last layer, the outermost blocks and the motion modules. They are here to measure conditional
image leakage (Zhao et al., arXiv 2406.15735), what TimeNoise and a late start do to it; they make no useful pictures.

    from lib_noiserect.pipelines.image_conditioned import animate_conditioned, load_conditioned
    clip = animate_conditioned(load_conditioned("timenoise"), picture, "a red fish moving left over a blue ground")

`python training/condition.py --work WORK_FOLDER --out FOLDER` trains them, seeds fixed, and those with other numbers of
TimeNoise, whose weights are not kept here. They learn from {clips:,} clips of {frames} frames, {batch} a step, each with a
speed of its own between standing still and going the built-in model's whole way, which neither caption nor picture tells; one
caption in ten is dropped. All go on from the same checkpoint by the same steps, and differ in the noise on the picture alone.
No input tells the model how much noise that is: it can see it, as in the authors' DynamiCrafter. At inference the picture is
clean. {machine}.

| model | TimeNoise | trained parameters | steps | minutes | loss at the start | loss over the last 5 % |
|---|---|---|---|---|---|---|
{stages}

The authors' β_m is 100, for latents of 64×64 and more of the same variance. On latents of 16×16 that leaves nothing of a
picture to be seen: its level is 27 in the middle at t = 0 already, and the built-in model, given single frames with noise of
level 25, gets back 15 % of their variance. It gets back 85 % at level 1 and half at level 3.4, so β_m = 4, whose level is 1.1
in the middle at t = 0 and 2.9 at t = T, leaves most of the picture to be seen at small t, and about half at large t.

What came of it is in [the results](../../../docs/measured/results.md), and the method in [its page](../../../docs/method.md).
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
        (given.out / "training.json").write_text(json.dumps(record, indent=2) + "\n")
        (given.out / "README.md").write_text(card(record))


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

"""Measures the trained model on captions that it never saw, and writes its model card.

    python training/judge.py MODEL_FOLDER

Text-to-video, without a picture and without rectification: how often the creature moves as its caption says.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from scipy import stats
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib_noiserect.media.metrics import direction
from lib_noiserect.pipelines.loading import load
from lib_noiserect.tiny.world import DIRECTIONS, Scenes

CARD = """# The built-in video model

A small text-to-video latent diffusion model with AnimateDiff's structure: {frames} frames of 64×64 pixels,
{megabytes:.1f} MB. It knows only one procedural world (`lib_noiserect/tiny/world.py`): five kinds of creatures in
eight colors, which cross patterned grounds to the left, right, up or down. It demonstrates, tests and measures noise
rectification without a download. It is not meant to make useful images.

    from diffusers import AnimateDiffPipeline
    pipe = AnimateDiffPipeline.from_pretrained("lib_noiserect/tiny/model")
    frames = pipe("a red fish moving left over a blue ground", num_inference_steps=25).frames[0]

## Training data

Random frames and videos drawn by `world.py`, and their captions. A caption names the creature, its color, its direction
and the color of the ground. It does not name patterns, second colors, sizes, phases or speeds. One in seven combinations of
creature, color and ground was held out of the training, for the evaluation.

## Training

`python training/train.py --work WORK_FOLDER --out MODEL_FOLDER`: fixed seeds, AnimateDiff's stages, AdamW,
v-prediction, one caption in ten dropped, running averages of the weights. (With ε-prediction, a model this small never
learned the features that the captions decide in the first steps.) {machine}.

| stage | trained parameters | steps | minutes | loss at the start | loss over the last 5 % |
|---|---|---|---|---|---|
{stages}

{pool}

## Evaluation

`python training/judge.py MODEL_FOLDER`: {clips} text-to-video samples of held-out captions, DDIM, {steps} steps, guidance
{guidance:g}. Optical flow over each video measures the direction.

**The measured direction is the caption's in {right} of {clips} ({share:.0%}, 95 % interval {low:.0%} to {high:.0%});
chance is 25 %.** By direction: {by_direction}.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=7.5)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = parser.parse_args()
    pipe = load(str(given.model), device=given.device)
    pipe.set_progress_bar_config(disable=True)
    scenes = Scenes.draw(given.clips, seed=77, held_out_captions=True)
    told = [list(DIRECTIONS)[index] for index in scenes.direction.tolist()]
    right, every = Counter[str](), Counter(told)
    for index, caption in enumerate(tqdm(scenes.captions)):
        made = pipe(
            caption,
            num_inference_steps=given.steps,
            guidance_scale=given.guidance,
            generator=torch.Generator().manual_seed(index),
            output_type="np",
        ).frames[0]
        right[told[index]] += direction((np.asarray(made) * 255).round().astype(np.uint8)) == told[index]
    interval = stats.binomtest(right.total(), given.clips).proportion_ci(method="wilson")
    write_card(
        given.model,
        clips=given.clips,
        steps=given.steps,
        guidance=given.guidance,
        right=right.total(),
        share=right.total() / given.clips,
        low=interval.low,
        high=interval.high,
        by_direction=", ".join(f"{name} {right[name]} of {every[name]}" for name in DIRECTIONS),
    )
    print(f"{right.total()} of {given.clips} right; {given.model / 'README.md'} written")


def write_card(model: Path, **judged: float | str) -> None:
    record = json.loads((model / "training.json").read_text(encoding="utf-8"))
    columns = ("trained parameters", "steps", "minutes", "loss at the start", "loss over the last 5 %")
    rows = [
        f"| {stage} | {' | '.join(f'{record[stage][column]:,}' for column in columns)} |"
        for stage in ("VAE", "image model", "motion modules")
    ]
    megabytes = sum(file.stat().st_size for file in model.rglob("*") if file.is_file()) / 1e6
    text = CARD.format(
        frames=16, megabytes=megabytes, machine=record["machine"], stages="\n".join(rows), pool=record["pool"], **judged
    )
    (model / "README.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

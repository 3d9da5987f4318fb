"""Trains the network that judges frames of the toy world, on true frames alone, and says how often it is right.

    python training/oracle.py [--out FILE]

It is tested on frames of new scenes, as drawn and softened as the video model's frames are.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.oracle import WEIGHTS, WORDS, Oracle
from lib_noiserect.tiny.world import Scenes

FRAMES, EPOCHS, BATCH = 9_800, 10, 64
RATE = 4e-3
SEED = 5


def frames_of(count: int, seed: int) -> tuple[Tensor, dict[str, Tensor]]:
    """Frames `[count, 3, 64, 64]` of as many scenes, each at a time of its own, and the words for them.

    All combinations of words are as frequent as each other: one in seven is of those that the video model never saw.
    """
    scenes = _joined(Scenes.draw(count - count // 7, seed), Scenes.draw(count // 7, seed, held_out_captions=True))
    times = torch.rand(count, 1, generator=torch.Generator().manual_seed(seed))
    parts = [scenes.part(slice(at, at + 200)).render(times[at : at + 200])[:, 0] for at in range(0, count, 200)]
    return torch.cat(parts), {name: getattr(scenes, name) for name in WORDS}


def _joined(*some: Scenes) -> Scenes:
    return Scenes(*(torch.cat(values) for values in zip(*(vars(scenes).values() for scenes in some))))


def softened(frames: Tensor, generator: torch.Generator) -> Tensor:
    """Some blur and some noise, each frame's own amount: a model's frames are softer than the world's."""
    blurred = torch.nn.functional.avg_pool2d(frames, 3, 1, 1, count_include_pad=False)
    amount, loud = (torch.rand(len(frames), 1, 1, 1, generator=generator) for _ in range(2))
    noise = torch.randn(frames.shape, generator=generator) * 0.03 * loud
    return (frames + amount * (blurred - frames) + noise).clamp(0, 1)


def accuracy(oracle: Oracle, frames: Tensor, words: dict[str, Tensor]) -> dict[str, float]:
    oracle.eval()
    with torch.no_grad():
        said = [oracle(part) for part in frames.split(256)]
    right = {name: torch.cat([one[name].argmax(1) for one in said]) == words[name] for name in WORDS}
    every = torch.stack(list(right.values())).all(0)
    return {**{name: float(of.float().mean()) for name, of in right.items()}, "all four": float(every.float().mean())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    given = parser.parse_args()
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    frames, words = frames_of(FRAMES, SEED)
    oracle = Oracle()
    optimizer = torch.optim.AdamW(oracle.parameters(), lr=RATE)
    steps = EPOCHS * (FRAMES // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    with tqdm(total=steps) as bar:
        for _ in range(EPOCHS):
            oracle.train()
            for batch in torch.randperm(FRAMES, generator=generator)[: steps // EPOCHS * BATCH].split(BATCH):
                said = oracle(softened(frames[batch], generator), words["direction"][batch])
                loss = sum(torch.nn.functional.nll_loss(said[name], words[name][batch]) for name in WORDS)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                bar.update()
                bar.set_postfix(loss=f"{float(loss):.3f}")
    oracle.eval()
    save_file({name: tensor.half() for name, tensor in oracle.state_dict().items()}, given.out)
    new, told = frames_of(2100, 77)
    for name, seen in (("as drawn", new), ("softened", softened(new, generator))):
        print(name, ", ".join(f"{word} {share:.1%}" for word, share in accuracy(oracle, seen, told).items()))


if __name__ == "__main__":
    main()

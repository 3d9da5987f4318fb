"""Says of a frame of the toy world what its caption would name: a small network that has seen nothing but true frames.

For measurements of what a video model made of a caption; `training/oracle.py` trains it and says how often it is right.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

import torch
from torch import Tensor, nn

from lib_noiserect.tiny.world import COLOURS, CREATURES, DIRECTIONS, SIZE

WEIGHTS = Path(__file__).with_name("oracle.safetensors")
WORDS: dict[str, tuple[str, ...]] = {
    "creature": CREATURES,
    "colour": tuple(COLOURS),
    "direction": tuple(DIRECTIONS),
    "ground": tuple(COLOURS),
}
"""What a caption names, and the words for it. The direction shows in a still frame too, by the light."""

_CAPTION = re.compile(r"an? (?P<colour>\w+) (?P<creature>\w+) moving (?P<direction>\w+) over an? (?P<ground>\w+) ground")


# Quarter turns that bring each direction to the right.
_TURNS = {"left": 2, "right": 0, "up": -1, "down": 1}


class Oracle(nn.Module):
    """The direction from the light; then, from the frame turned so that all goes to the right, the words for the rest.

    Four convolutions at half the size, of which the means of four quarters and the largest values are taken.
    """

    def __init__(self) -> None:
        super().__init__()
        self.light = nn.Sequential(nn.AdaptiveAvgPool2d(8), nn.Flatten(), nn.Linear(192, 32), nn.ReLU(), nn.Linear(32, 4))
        widths = (3, 24, 48, 64, 64)
        layers: list[nn.Module] = []
        for index, (before, after) in enumerate(zip(widths, widths[1:])):
            kernel, stride = (5 if index == 0 else 3), (1 if index == 3 else 2)
            convolution = nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False)
            layers += [convolution, nn.BatchNorm2d(after), nn.ReLU()]
        self.features = nn.Sequential(*layers)
        words = {name: len(words) for name, words in WORDS.items() if name != "direction"}
        self.heads = nn.ModuleDict({name: nn.Linear(5 * widths[-1], count) for name, count in words.items()})

    def forward(self, frames: Tensor, direction: Tensor | None = None) -> dict[str, Tensor]:
        """The logarithm of each word's probability, `[N, words]`, from frames `[N, 3, 64, 64]` in 0 … 1.

        Args:
            direction: the true one, `[N]`, while this is trained.
        """
        light = self.light(frames * 2 - 1).log_softmax(1)
        turns = torch.stack([frames.rot90(turn, (2, 3)) for turn in _TURNS.values()])
        turned = turns[light.argmax(1) if direction is None else direction, torch.arange(len(frames))]
        seen = self.features(nn.functional.avg_pool2d(turned, 2) * 2 - 1)
        quarters = nn.functional.adaptive_avg_pool2d(seen, 2).flatten(1)
        told = torch.cat([quarters, seen.amax((2, 3))], dim=1)
        said = {name: head(told).log_softmax(1) for name, head in self.heads.items()}
        return {name: light if name == "direction" else said[name] for name in WORDS}


@functools.lru_cache(maxsize=1)
def load_oracle() -> Oracle:
    """The trained one, on the CPU."""
    from safetensors.torch import load_file

    oracle = Oracle()
    oracle.load_state_dict({name: tensor.float() for name, tensor in load_file(WEIGHTS).items()})
    return oracle.eval()


def named(caption: str) -> dict[str, int]:
    """What a caption names, as places in `WORDS`.

    Raises:
        ValueError: it is no caption of the toy world.
    """
    found = _CAPTION.fullmatch(caption)
    if found is None or any(found[name] not in words for name, words in WORDS.items()):
        raise ValueError(f"caption = {caption!r} is not one of the toy world's: see tiny.world.caption")
    return {name: words.index(found[name]) for name, words in WORDS.items()}


def judge(frames: Tensor, caption: str) -> tuple[Tensor, Tensor]:
    """How likely frames `[N, 3, 64, 64]` in 0 … 1 have what a caption names, and the likeliest word of each kind.

    Returns:
        the logarithm of the caption's probability, `[N]`, and places in `WORDS`, int64 `[N, 4]`.
    """
    if frames.shape[1:] != (3, SIZE, SIZE):
        raise ValueError(f"frames are of shape {tuple(frames.shape)}: give [N, 3, {SIZE}, {SIZE}]")
    wanted = named(caption)
    with torch.no_grad():
        said = load_oracle()(frames)
    likely = torch.stack([said[name][:, word] for name, word in wanted.items()]).sum(0)
    return likely, torch.stack([said[name].argmax(1) for name in WORDS], dim=1)

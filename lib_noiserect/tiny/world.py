"""A procedural world: creatures that cross patterned grounds as their captions say, drawn on the fly with PyTorch alone.

The caption names a creature, its colour, its direction and the colour of the ground. Everything else (the patterns of
creature and ground, their second colours, sizes, phases, angles, speed and path) is drawn at random and named nowhere,
so that keeping a picture's details is a real question for a model that knows the caption only.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SIZE = 64  # width and height of a frame in pixels
FRAMES = 16  # of a clip

COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.86, 0.16, 0.14),
    "orange": (0.95, 0.55, 0.10),
    "yellow": (0.95, 0.87, 0.20),
    "green": (0.16, 0.62, 0.25),
    "blue": (0.15, 0.34, 0.86),
    "purple": (0.55, 0.22, 0.70),
    "white": (0.94, 0.94, 0.92),
    "black": (0.10, 0.10, 0.12),
}
CREATURES = ("fish", "dart", "comet", "beetle", "ray")
DIRECTIONS: dict[str, tuple[float, float]] = {"left": (-1.0, 0.0), "right": (1.0, 0.0), "up": (0.0, -1.0), "down": (0.0, 1.0)}
"""Unit vectors in image coordinates: x to the right, y down."""
LIGHTS = ((0.15, 0.40, 0.95), (1.0, 0.60, 0.20), (1.0, 1.0, 1.0), (0.0, 0.05, 0.05))
"""The light that creatures move in to the left (evening), right (morning), up (the surface) and down (the deep)."""


def caption(creature: str, colour: str, direction: str, ground: str) -> str:
    """The sentence that describes a scene: everything that a model is told about it."""
    one_colour, one_ground = (f"an {word}" if word[0] in "aeiou" else f"a {word}" for word in (colour, ground))
    return f"{one_colour} {creature} moving {direction} over {one_ground} ground"


def held_out(creature: int, colour: int, ground: int) -> bool:
    """Whether this combination (as indices) is kept from training, in every direction: one combination in seven."""
    return (creature + 3 * colour + 5 * ground) % 7 == 0


@dataclass(frozen=True)
class Scenes:
    """`N` scenes: what their captions say (indices, `[N]` int64) and what they do not (`hidden`, `[N, 24]` in [0, 1))."""

    creature: Tensor
    colour: Tensor
    direction: Tensor
    ground: Tensor
    hidden: Tensor

    @classmethod
    def draw(cls, count: int, seed: int, *, held_out_captions: bool = False) -> Scenes:
        """`count` scenes at random: from the captions seen in training, or from those held out of it. Seeds do not mix."""
        generator = torch.Generator().manual_seed(seed)
        every = itertools.product(range(len(CREATURES)), range(len(COLOURS)), range(len(COLOURS)))
        # A creature is never of its ground's colour.
        kinds = torch.tensor([kind for kind in every if kind[1] != kind[2] and held_out(*kind) == held_out_captions])
        chosen = kinds[torch.randint(len(kinds), (count,), generator=generator)]
        direction = torch.randint(len(DIRECTIONS), (count,), generator=generator)
        hidden = torch.rand((count, 24), generator=generator)
        return cls(chosen[:, 0], chosen[:, 1], direction, chosen[:, 2], hidden)

    def __len__(self) -> int:
        return len(self.creature)

    def part(self, chosen: slice) -> Scenes:
        """Some of them."""
        return Scenes(*(values[chosen] for values in vars(self).values()))

    @property
    def captions(self) -> list[str]:
        colours, directions = list(COLOURS), list(DIRECTIONS)
        return [
            caption(CREATURES[creature], colours[colour], directions[direction], colours[ground])
            for creature, colour, direction, ground in zip(
                self.creature.tolist(), self.colour.tolist(), self.direction.tolist(), self.ground.tolist(), strict=True
            )
        ]

    def render(
        self,
        times: Tensor | None = None,
        size: int = SIZE,
        *,
        camera: tuple[float, float] = (0.0, 0.0),
        turn: float = 0.0,
        others: Sequence[Scenes] = (),
    ) -> Tensor:
        """The frames, `[N, F, 3, size, size]` in [0, 1].

        Args:
            times: `[N, F]` or `[F]`, 0 at the first frame of a clip and 1 at its last; the 16 frames of a clip by default.
            size: width and height in pixels; the scene is the same at every size.
            camera: where the camera looks, x and y in pixels of a frame of 64 from the middle of the scene.
            turn: the angle by which the creature turns from time 0 to 1, in radians, clockwise.
            others: scenes whose creatures swim over this scene's, in its light; `N` scenes each.
        """
        if times is None:
            times = torch.linspace(0, 1, FRAMES)
        times = times.expand(len(self), -1)
        x, y = self._grid(size, camera)
        frames = self._ground(x, y)[:, None]
        for scenes in (self, *others):
            frames = scenes._with_creature(frames, x, y, times, turn)
        return self._light(x, y, frames).clamp(0, 1)

    def empty(self, size: int = SIZE, camera: tuple[float, float] = (0.0, 0.0)) -> Tensor:
        """The scenes without their creatures, `[N, 3, size, size]` in [0, 1]; the arguments are those of `render`."""
        x, y = self._grid(size, camera)
        return self._light(x, y, self._ground(x, y)[:, None]).clamp(0, 1)[:, 0]

    def covers(self, times: Tensor, size: int = SIZE, camera: tuple[float, float] = (0.0, 0.0), turn: float = 0.0) -> Tensor:
        """How much of each pixel the creature covers, `[N, F, size, size]` in [0, 1]; the arguments are those of `render`."""
        ahead, beside, scale = self._body_axes(*self._grid(size, camera), times.expand(len(self), -1), turn)
        return (0.5 - self._shape(ahead, beside)[0] * scale).clamp(0, 1)

    def _grid(self, size: int, camera: tuple[float, float]) -> tuple[Tensor, Tensor]:
        """x and y of the pixels, `[size, size]`, from the middle of the scene."""
        axis = (torch.arange(size) + 0.5) * (SIZE / size) - SIZE / 2
        y, x = torch.meshgrid(axis + camera[1], axis + camera[0], indexing="ij")
        return x, y

    def _body_axes(self, x: Tensor, y: Tensor, times: Tensor, turn: float) -> tuple[Tensor, Tensor, Tensor]:
        """The pixels in the creature's own axes, ahead and beside `[N, F, H, W]`, and its scale."""
        along, across = torch.tensor(list(DIRECTIONS.values()))[self.direction].T[..., None, None, None]
        if turn:
            sine, cosine = torch.sin(turn * times)[..., None, None], torch.cos(turn * times)[..., None, None]
            along, across = along * cosine - across * sine, along * sine + across * cosine
        centre_x, centre_y = (self.centres(times) - SIZE / 2)[..., None, None].unbind(2)
        scale = (0.9 + 0.3 * self.hidden[:, 4])[:, None, None, None]
        ahead = ((x - centre_x) * along + (y - centre_y) * across) / scale
        beside = (-(x - centre_x) * across + (y - centre_y) * along) / scale
        return ahead, beside, scale

    def _with_creature(self, frames: Tensor, x: Tensor, y: Tensor, times: Tensor, turn: float) -> Tensor:
        """The frames, `[N, F or 1, 3, H, W]`, with the creature and its wake."""
        ahead, beside, scale = self._body_axes(x, y, times, turn)
        distance, dark = self._shape(ahead, beside)
        wake = 0.45 * torch.exp((ahead + 8) / 9).clamp(max=1) * (ahead < 0) * torch.exp(-((beside / 5) ** 2))
        frames = frames + wake[:, :, None] * (1 - frames)
        body = self._body(ahead, beside, dark, distance)
        cover = (0.5 - distance * scale).clamp(0, 1)[:, :, None]
        return frames + cover * (body - frames)

    def centres(self, times: Tensor) -> Tensor:
        """Where the creature is at `times`, `[N, F]`: `[N, F, 2]`, x and y in pixels of a frame of 64."""
        heading = torch.tensor(list(DIRECTIONS.values()))[self.direction][:, None]
        travel = (22 + 8 * self.hidden[:, 0, None]) * (times - 0.5)
        drift = ((self.hidden[:, 1] - 0.5) * 26)[:, None]
        beside = torch.stack([-heading[..., 1], heading[..., 0]], dim=-1)
        start = SIZE / 2 + (self.hidden[:, None, 2:4] - 0.5) * 8
        return start + travel[..., None] * heading + drift[..., None] * beside

    def _ground(self, x: Tensor, y: Tensor) -> Tensor:
        """`[N, 3, H, W]`: one of five patterns between the named colour and a shade or tint of it that nobody names."""
        angle = self.hidden[:, 5, None, None] * torch.pi
        wave = 2 * torch.pi / (9 + 8 * self.hidden[:, 6, None, None])
        phases = (self.hidden[:, 7:10] * 2 * torch.pi)[..., None, None]
        u = (x * torch.cos(angle) + y * torch.sin(angle)) * wave + phases[:, 0]
        v = (-x * torch.sin(angle) + y * torch.cos(angle)) * wave + phases[:, 1]
        rings = torch.sqrt((x - 24 * torch.cos(phases[:, 2])) ** 2 + (y - 24 * torch.sin(phases[:, 2])) ** 2) * wave
        patterns = torch.stack(
            [
                torch.tanh(2.5 * torch.sin(u)),
                torch.tanh(4 * torch.sin(u) * torch.sin(v)),
                torch.tanh(3 * (torch.cos(u) + torch.cos(v) - 0.7)),
                torch.tanh(2.5 * torch.sin(rings + phases[:, 0])),
                torch.tanh(1.5 * (torch.sin(u + 1.3 * torch.sin(0.6 * v)) + torch.sin(0.7 * v + phases[:, 2]))),
            ],
            dim=1,
        )
        kind = (self.hidden[:, 10] * patterns.shape[1]).long()
        amount = (0.5 + 0.5 * patterns[torch.arange(len(self)), kind])[:, None]
        named = torch.tensor(list(COLOURS.values()))[self.ground] * 0.8 + 0.1
        lightness = torch.where(named.mean(1, keepdim=True) > 0.45, 0.0, 1.0)
        second = named + (0.25 + 0.3 * self.hidden[:, 11:12]) * (lightness - named) + 0.16 * (self.hidden[:, 12:15] - 0.5)
        return (named[..., None, None] + amount * (second - named)[..., None, None]).clamp(0, 1)

    def _light(self, x: Tensor, y: Tensor, frames: Tensor) -> Tensor:
        """The frames in their light, so that a still picture shows where its creature is going, as a car's front does.

        Creatures move towards the light, and its colour is another for each direction.
        """
        towards = torch.tensor(list(DIRECTIONS.values()))[self.direction][..., None, None]
        shade = 0.35 * ((x * towards[:, 0] + y * towards[:, 1]) / (SIZE / 2))[:, None, None]
        lit = frames + torch.where(shade > 0, shade * (1 - frames), shade * frames)
        colour = torch.tensor(LIGHTS)[self.direction][:, None, :, None, None]
        return lit + 0.25 * (colour - lit)

    def _shape(self, ahead: Tensor, beside: Tensor) -> tuple[Tensor, Tensor]:
        """The creature's signed distance (about pixels, negative inside) and what is dark on it (1 at an eye or a head)."""
        side = beside.abs()
        stout = (0.85 + 0.3 * self.hidden[:, 15])[:, None, None, None]

        def ellipse(centre: float, length: float, width: Tensor | float) -> Tensor:
            radius = torch.sqrt(((ahead - centre) / length) ** 2 + (beside / width) ** 2 + 1e-6)
            return (radius - 1) * 0.5 * (length + width)

        def dot(at_x: float, at_y: float, radius: float) -> Tensor:
            return (0.5 + radius - torch.sqrt((ahead - at_x) ** 2 + (beside - at_y) ** 2 + 1e-6)).clamp(0, 1)

        tail_fin = torch.maximum(torch.maximum(side - 0.8 * (-5 - ahead), -12 - ahead), ahead + 5)
        fish = torch.minimum(ellipse(2.0, 10.0, 6.5 * stout), tail_fin)
        dart = torch.maximum((side - 0.5 * stout * (12 - ahead)) * 0.9, -10 + 0.8 * (7 - side).clamp(min=0) - ahead)
        taper = torch.maximum(torch.maximum(side - 7 * stout * (ahead + 14) / 18, ahead - 4), -14 - ahead)
        comet = torch.minimum(ellipse(4.0, 7.0, 7 * stout), taper)
        beetle = torch.minimum(ellipse(-1.0, 10.0, 7.5 * stout), ellipse(9.0, 3.5, 4.5))
        thin_tail = torch.maximum(torch.maximum(side - 1.3, ahead), -17 - ahead)
        ray = torch.minimum(((ahead - 2).abs() + side / stout - 10) * 0.7, thin_tail)
        eye = dot(8.0, -2.2, 1.6)
        spots = torch.maximum(dot(7.0, -3.0, 1.2), dot(7.0, 3.0, 1.2))
        head = (0.5 + ahead - 7).clamp(0, 1)
        nothing = torch.zeros_like(eye)
        kind, every = self.creature, torch.arange(len(self))
        distance = torch.stack([fish, dart, comet, beetle, ray], dim=1)[every, kind]
        dark = torch.stack([eye, nothing, nothing, head, spots], dim=1)[every, kind]
        return distance, dark

    def _body(self, ahead: Tensor, beside: Tensor, dark: Tensor, distance: Tensor) -> Tensor:
        """`[N, F, 3, H, W]`: the named colour, patterned with a second one, light at the head and dark at the tail."""
        wave = 2 * torch.pi / (5 + 3 * self.hidden[:, 16, None, None, None])
        phase = (self.hidden[:, 17] * 2 * torch.pi)[:, None, None, None]
        stripes = torch.tanh(2 * torch.sin(ahead * wave + phase))
        spots = torch.tanh(3 * (torch.cos(ahead * wave + phase) + torch.cos(beside * wave) - 0.8))
        patterns = torch.stack([-torch.ones_like(stripes), stripes, spots], dim=1)
        kind = (self.hidden[:, 18] * patterns.shape[1]).long()
        amount = (0.5 + 0.5 * patterns[torch.arange(len(self)), kind])[:, :, None]
        named = torch.tensor(list(COLOURS.values()))[self.colour]
        second = named + 0.65 * (self.hidden[:, 19:22] - named)
        colour = named[:, None, :, None, None] + amount * (second - named)[:, None, :, None, None]
        light = ((0.85 + 0.035 * ahead).clamp(0.5, 1.2) * (0.6 + 0.4 * (-distance / 1.5).clamp(0, 1)))[:, :, None]
        return (colour * light * (1 - 0.85 * dark[:, :, None])).clamp(0, 1)


def held_out_scenes(count: int) -> Scenes:
    """Scenes of captions that the built-in model never saw, for the experiments; other ones for each count."""
    return Scenes.draw(count, 1001, held_out_captions=True)  # training and its judge have other seeds


def pixels_of(frames: Tensor) -> NDArray[np.uint8]:
    """`[…, H, W, 3]` uint8 of drawn frames, `[…, 3, H, W]` in [0, 1]."""
    pixels: NDArray[np.uint8] = (frames.movedim(-3, -1) * 255).round().byte().numpy()
    return pixels

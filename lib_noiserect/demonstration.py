"""A demonstration of the core without weights: the exact denoiser of a small world of clips, and a picture foreign to it.

The model is the posterior mean E[clip | noisy clip] over a few dozen procedural clips of drifting discs, which is what a
perfectly trained diffusion model of that world would answer. The picture has stripes that the world does not know, so
that fidelity is a real question. One sheet shows what becomes of them.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from . import spaces
from .pivot import PivotRun, Plan, start
from .rectify import rectify
from .schedule import omega_weights
from .settings import Settings

FRAMES, SIZE, STEPS = 8, 48, 30
SIGMA_MAX, SIGMA_MIN = 8.0, 0.02
METHODS = ("noising alone", "fixed noise", "pivot")


def world(clips: int = 64, seed: int = 0) -> Tensor:
    """Clips of a disc that drifts over a gradient, `[clips, F, 3, H, W]` in -1 … 1."""
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.linspace(-1, 1, SIZE), torch.linspace(-1, 1, SIZE), indexing="ij")

    def draw(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(clips, *shape, generator=generator)

    colours = draw(-0.9, 0.9, 3, 3)
    angle, centre, radius = draw(0, 6.28, 1, 1), draw(-0.4, 0.4, 2), draw(0.25, 0.45)
    direction = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])[torch.arange(clips) % 4] * 0.6
    ramp = (x * angle.cos() + y * angle.sin())[:, None]
    background = colours[:, 0, :, None, None] * (1 + ramp) / 2 + colours[:, 1, :, None, None] * (1 - ramp) / 2
    frames = []
    for index in range(FRAMES):
        at = centre + direction * index / (FRAMES - 1)
        distance = ((x - at[:, 0, None, None]) ** 2 + (y - at[:, 1, None, None]) ** 2).sqrt()
        disc = torch.sigmoid((radius[:, None, None] - distance) * 40)[:, None]
        frames.append(background * (1 - disc) + colours[:, 2, :, None, None] * disc)
    return torch.stack(frames, dim=1)


def striped_picture(clip: Tensor) -> Tensor:
    """The first frame of a clip with stripes over it, `[1, 3, H, W]`."""
    stripes = torch.sin(torch.arange(SIZE) * 1.3).sign() * 0.25
    return (clip[:1] + stripes * torch.tensor([1.0, -1.0, 1.0]).view(3, 1, 1)).clamp(-1, 1)


def posterior_mean(clips: Tensor) -> Callable[..., Tensor]:
    """E[z | x] for z uniform over `clips` and x = z + σ·n: D(x) = Σ softmax(-|x - z_k|²/2σ²) z_k."""
    flat = clips.flatten(1)

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        distances = (x.flatten()[None] - flat).square().sum(1)
        return (torch.softmax(-distances / (2 * sigma[0] ** 2), 0) @ flat).view_as(x)

    return denoise


def euler_ancestral(
    model: Any,
    x: Tensor,
    sigmas: Tensor,
    extra_args: Any = None,
    callback: Any = None,
    disable: Any = None,
    eta: float = 1.0,
) -> Tensor:
    """Ancestral sampling with Euler steps, in k-diffusion's calling convention; `eta` 0 is plain Euler."""
    ones = x.new_ones(len(x))
    for index, (above, below) in enumerate(itertools.pairwise(sigmas)):
        pred_x0 = model(x, above * ones, **(extra_args or {}))
        if callback is not None:
            callback({"i": index, "x": x, "denoised": pred_x0})
        fresh = min(eta * float((below**2 * (above**2 - below**2) / above**2).sqrt()), float(below))
        down = (below**2 - fresh**2).sqrt()
        x = pred_x0 + (x - pred_x0) * down / above
        if fresh > 0:
            x = x + torch.randn_like(x) * fresh
    return x


@dataclass(frozen=True)
class Outcome:
    """One clip, `[F, 3, H, W]`, and how it was made."""

    sampler: str
    method: str
    clip: Tensor

    def rms_to(self, picture: Tensor, frames: slice = slice(None)) -> float:
        """Root mean square difference to the picture, in 255ths."""
        return float((self.clip[frames].clamp(-1, 1) - picture).square().mean().sqrt()) * 127.5

    @property
    def motion(self) -> float:
        """Root mean square difference of neighbouring frames, in 255ths."""
        return float(self.clip.clamp(-1, 1).diff(dim=0).square().mean().sqrt()) * 127.5


def outcomes(picture: Tensor, clips: Tensor, steps: int = STEPS) -> Iterator[Outcome]:
    """Every method under a deterministic and a stochastic sampler, all from the same noised picture."""
    model = posterior_mean(clips)
    sigmas = torch.cat([torch.logspace(math.log10(SIGMA_MAX), math.log10(SIGMA_MIN), steps), torch.zeros(1)])
    omega = torch.tensor(omega_weights(Settings(), FRAMES))
    noise = torch.randn(FRAMES, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    x = start(picture, noise, spaces.ve(SIGMA_MAX))

    def with_fixed_noise(x: Tensor, sigma: Tensor) -> Tensor:
        s = sigma.view(-1, 1, 1, 1)
        return x - s * rectify((x - model(x, sigma)) / s, noise, omega)

    for sampler, eta in (("Euler", 0.0), ("Euler a", 1.0)):
        for method in METHODS:
            torch.manual_seed(2)
            if method == "pivot":
                run = PivotRun(
                    euler_ancestral,
                    {"sigmas": sigmas, "eta": eta},
                    clean=picture,
                    level_of=spaces.ve,
                    prediction="x0",
                    modules=[sys.modules[__name__]],
                )
                clip = run(model, x, Plan(0.0, 1.0, omega), run.steps(model))
            else:
                clip = euler_ancestral(model if method == "noising alone" else with_fixed_noise, x, sigmas, eta=eta)
            yield Outcome(sampler, method, clip)


def draw_sheet(picture: Tensor, made: list[Outcome], path: Path, scale: int = 2) -> None:
    """The picture and every clip, one row each, frame by frame, as a PNG."""
    import numpy as np
    from PIL import Image, ImageDraw

    side, label = SIZE * scale, 170
    sheet = Image.new("RGB", (label + side * FRAMES + 8, (side + 6) * (len(made) + 1) + 6), "white")
    pen = ImageDraw.Draw(sheet)

    def paste(frames: Tensor, row: int, text: str) -> None:
        top = 6 + row * (side + 6)
        pen.multiline_text((8, top + side // 3), text, fill="black")
        pixels = ((frames.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
        for index, frame in enumerate(pixels):
            tile = Image.fromarray(np.ascontiguousarray(frame)).resize((side, side), Image.Resampling.NEAREST)
            sheet.paste(tile, (label + index * side, top))

    paste(picture, 0, "the picture")
    for row, outcome in enumerate(made, start=1):
        paste(outcome.clip, row, f"{outcome.sampler}\n{outcome.method}\nrms {outcome.rms_to(picture):.0f} of 255")
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


def main(output: Path) -> None:
    """Run all, print the figures and write the sheet."""
    clips = world()
    picture = striped_picture(clips[5])
    made = list(outcomes(picture, clips))
    print("Difference to the picture, root mean square in 255ths; ω of the authors, τ = [0, 1].\n")
    print(f"{'sampler':10}{'method':16}{'frame 0':>9}{'all frames':>12}{'motion':>9}")
    for outcome in made:
        print(
            f"{outcome.sampler:10}{outcome.method:16}{outcome.rms_to(picture, slice(1)):9.2f}"
            f"{outcome.rms_to(picture):12.2f}{outcome.motion:9.2f}"
        )
    draw_sheet(picture, made, output)
    print(f"\nEuler a adds fresh noise: the fixed noise drifts away from it, the pivot gets it too. See {output}")

"""The correspondence of a video's frames with a keyframe: it carries the keyframe's gap along with what moves.

The rule adds R_k - P_k to every frame at the same place. Where something has moved, its details would be printed where it
was. Here they are taken from the place of the keyframe that each latent pixel shows, which the predicted clean latents
themselves tell: the best whole displacement by patches, from coarse to fine, then one Gauss-Newton step below a latent pixel
(Lucas and Kanade 1981). Equal patches give no displacement, so where nothing can be told this is the paper's rule.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional

# The largest motion that is followed, as a fraction of the image's height and width.
_REACH = 1 / 3
# What a motion of the image's whole height or width must gain, in squared difference of latents of unit variance.
_PENALTY = 1.0
# Sides up to this many latent pixels are searched as they are; larger ones are halved first.
_COARSEST = 32
# Keeps the Gauss-Newton step small where a patch is flat, and a step is at most this many latent pixels.
_FLAT, _LARGEST_STEP = 0.05, 0.75
# Numbers in the largest tensor of a part of the frames. 4 MiB stay in a CPU's cache; a GPU is fast where it gets much work by
# few calls, and 10 MiB keep the whole below 64 MiB.
_PART_ON_CPU, _PART_ON_GPU = 1024 * 1024, 2560 * 1024


def carry(gap: Tensor, pred_x0: Tensor, keyframe: int) -> Tensor:
    """W_i·g for every frame i: the gap of a keyframe, each part of it where frame i shows that part of the keyframe.

    W is a displacement field for each frame and bicubic interpolation (Catmull-Rom). It is the identity, bit for bit, for
    frames whose x0 equals the keyframe's, and moves by whole latent pixels exactly.

    Args:
        gap: g, `[…, C, H, W]`, of any prediction kind.
        pred_x0: the predicted clean latents of this step, `[F, …, C', H, W]` with the same dimensions between, which are
            different videos. Values that are not finite match nothing.
        keyframe: the frame of the gap, in [0, F).

    Returns:
        `[F, …, C, H, W]` in the type of `gap`.
    """
    height, width = pred_x0.shape[-2:]
    frames = pred_x0.flatten(1, -4) if pred_x0.ndim > 4 else pred_x0[:, None]
    gaps = gap.reshape(-1, *gap.shape[-3:])
    carried = gap.new_empty(len(frames), *gaps.shape)
    for video in range(frames.shape[1]):
        key = frames[keyframe, video].float()[None]
        size = max(_part(key) // (9 * key.numel()), 1)
        for start in range(0, len(frames), size):
            part = slice(start, start + size)
            found = displacement(frames[part, video].float(), key)
            carried[part, video] = sample(gaps[video : video + 1], found).to(gap.dtype)
    return carried.view(len(frames), *gap.shape[:-3], gap.shape[-3], height, width)


def displacement(frames: Tensor, key: Tensor) -> Tensor:
    """Where in the keyframe each latent pixel of the frames is found, relative to its own place.

    Args:
        frames: `[F, C, H, W]`, float32.
        key: `[1, C, H, W]`.

    Returns:
        `[F, 2, H, W]`, down and right, in latent pixels.
    """
    whole = _whole_displacement(frames, key)
    return whole + _step(frames, key, whole)


def sample(image: Tensor, displaced: Tensor) -> Tensor:
    """The image, `[1, C, H, W]`, at p + d(p), by Catmull-Rom weights, `[F, C, H, W]`; outside, its border is repeated.

    Args:
        displaced: d, `[F, 2, H, W]`, down and right. Whole numbers take pixels as they are.
    """
    height, width = displaced.shape[-2:]
    y, x = _place(displaced)
    top, left = y.floor(), x.floor()
    columns = [((left + right).clamp(0, width - 1), weight) for right, weight in enumerate(_catmull_rom(x - left), -1)]
    result = torch.zeros_like(image).expand(len(displaced), -1, -1, -1).clone()
    for down, row in enumerate(_catmull_rom(y - top), -1):
        line = (top + down).clamp(0, height - 1)
        for place, column in columns:
            result.addcmul_(_at(image, line, place), (row * column)[:, None].to(image.dtype))
    return result


def _catmull_rom(t: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The weights of the pixels at -1, 0, 1 and 2 for a place t in [0, 1); at t = 0 exactly 0, 1, 0, 0."""
    return (
        ((-0.5 * t + 1) * t - 0.5) * t,
        (1.5 * t - 2.5) * t * t + 1,
        ((-1.5 * t + 2) * t + 0.5) * t,
        (0.5 * t - 0.5) * t * t,
    )


def _whole_displacement(frames: Tensor, key: Tensor) -> Tensor:
    """The displacement in whole latent pixels, `[F, 2, H, W]`; 0 where no other patch is closer."""
    height, width = frames.shape[-2:]
    if max(height, width) <= _COARSEST:
        return _search(frames, key)
    coarse = _whole_displacement(_halved(frames), _halved(key))
    expected = 2 * coarse.repeat_interleave(2, -2).repeat_interleave(2, -1)[..., :height, :width]
    best = _best(frames, key, [torch.zeros_like(expected), expected, *_of_neighbors(expected)])
    around = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if down or right]
    best = _best(frames, key, [best, *(best + best.new_tensor(around).view(8, 1, 2, 1, 1))])
    return _best(frames, key, [best, *_of_neighbors(best)])


def _of_neighbors(displaced: Tensor) -> list[Tensor]:
    """The displacements two latent pixels further, on each side: those of the neighbors on the coarser level."""
    return [torch.roll(displaced, shift, axis) for shift in (2, -2) for axis in (-2, -1)]


def _search(frames: Tensor, key: Tensor) -> Tensor:
    """The best of all displacements within reach."""
    height, width = frames.shape[-2:]
    down, right = _reach(height), _reach(width)
    padded = functional.pad(key, (right, right, down, down), mode="replicate")
    windows = functional.unfold(padded, (2 * down + 1, 2 * right + 1)).view(key.shape[1], -1, height, width)
    rows = torch.arange(-down, down + 1, device=key.device).repeat_interleave(2 * right + 1)
    columns = torch.arange(-right, right + 1, device=key.device).repeat(2 * down + 1)
    offsets = torch.stack([rows, columns], 1).to(frames.dtype)
    penalty = _penalty(offsets[..., None, None], height, width)
    found = []
    for part in torch.split(frames, max(2 * _part(key) // windows.numel(), 1)):
        costs = _patches((part[:, :, None] - windows).square_().mean(1))
        still = costs[:, len(offsets) // 2].clone()
        least, index = costs.add_(penalty).min(1)
        found.append(torch.where((least < still)[:, None], offsets[index].movedim(-1, 1), 0.0))
    return torch.cat(found)


def _best(frames: Tensor, key: Tensor, candidates: Iterable[Tensor]) -> Tensor:
    """The candidate of least cost at each latent pixel; of equals, the first."""
    height, width = frames.shape[-2:]
    # Patches as channels: a pixel's cost must not depend on its neighbors' candidates.
    frames, key = _neighborhoods(frames), _neighborhoods(key)
    least, best = frames.new_full((), torch.inf), frames.new_zeros(())
    for candidate in candidates:
        moved = _at(key, *_place(candidate.expand(len(frames), -1, height, width)))
        cost = (frames - moved).square_().mean(1, keepdim=True).add_(_penalty(candidate, height, width)[:, None])
        best = torch.where(cost < least, candidate, best)
        least = torch.minimum(cost, least)
    return best


def _step(frames: Tensor, key: Tensor, whole: Tensor) -> Tensor:
    """The Gauss-Newton step from whole displacements, `[F, 2, H, W]`; exactly 0 where the patches are equal."""
    y, x = _place(whole)
    padded = functional.pad(key, (1, 1, 1, 1), mode="replicate")
    slopes = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2, (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    moved, down, right = (_at(_neighborhoods(image), y, x) for image in (key, *slopes))
    rest = _neighborhoods(frames) - moved
    products = ((down, down), (right, right), (down, right), (rest, down), (rest, right))
    yy, xx, yx, along_y, along_x = ((one * other).mean(1, keepdim=True) for one, other in products)
    yy, xx = yy + _FLAT, xx + _FLAT
    step = torch.cat([xx * along_y - yx * along_x, yy * along_x - yx * along_y], 1) / (yy * xx - yx * yx)
    return step.nan_to_num(0.0).clamp(-_LARGEST_STEP, _LARGEST_STEP)


def _patches(values: Tensor) -> Tensor:
    """The means over patches of 5×5 latent pixels, the middle weighted most; `[F, K, H, W]`."""
    for _ in range(2):
        values = functional.avg_pool2d(functional.pad(values, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return values


def _neighborhoods(frames: Tensor) -> Tensor:
    """The 3×3 neighbors of each latent pixel as channels, `[F, 9·C, H, W]`."""
    padded = functional.pad(frames, (1, 1, 1, 1), mode="replicate")
    return functional.unfold(padded, 3).view(len(frames), -1, *frames.shape[-2:])


def _penalty(displaced: Tensor, height: int, width: int) -> Tensor:
    """`[N, H, W]` for displacements `[N, 2, H, W]`."""
    return _PENALTY * ((displaced[:, 0] / height).square() + (displaced[:, 1] / width).square())


def _halved(frames: Tensor) -> Tensor:
    return functional.avg_pool2d(frames, 2, ceil_mode=True, count_include_pad=False)


def _reach(side: int) -> int:
    return math.ceil(side * _REACH)


def _part(like: Tensor) -> int:
    return _PART_ON_CPU if like.device.type == "cpu" else _PART_ON_GPU


def _place(displaced: Tensor) -> tuple[Tensor, Tensor]:
    """p + d(p) inside the image, down and right, `[F, H, W]` each, for d, `[F, 2, H, W]`."""
    height, width = displaced.shape[-2:]
    y = torch.arange(height, dtype=torch.float32, device=displaced.device).view(1, -1, 1)
    x = torch.arange(width, dtype=torch.float32, device=displaced.device).view(1, 1, -1)
    return (y + displaced[:, 0]).clamp_(0, height - 1), (x + displaced[:, 1]).clamp_(0, width - 1)


def _at(image: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """The pixels of an image, `[1, C, H, W]`, at whole places inside it, `[F, H, W]`: `[F, C, H, W]`."""
    index = (y * image.shape[-1] + x).long().flatten(1)
    return image[0].flatten(1)[:, index].movedim(0, 1).view(len(index), -1, *y.shape[-2:])

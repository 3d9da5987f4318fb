"""The correspondence of a video's frames with a keyframe: it carries the keyframe's gap along with what moves.

The rule adds R_k - P_k to every frame at the same place. Where something has moved, its details would be printed where it
was. Here they are taken from the place of the keyframe that each latent pixel shows, which the predicted clean latents
themselves tell: the best whole displacement by patches, from coarse to fine, then one Gauss-Newton step below a latent pixel
(Lucas and Kanade 1981). Equal patches give no displacement, so where nothing can be told this is the paper's rule.
"""

from __future__ import annotations

import math

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
# Numbers in the largest tensor of a part of the frames, and how many candidates are compared at once. 4 MiB stay in a CPU's
# cache; a GPU is fast where it gets much work by few calls, and these keep the whole below 64 MiB.
_ON_CPU, _ON_GPU = (1024 * 1024, 1), (2304 * 1024, 2)


def carry(gap: Tensor, pred_x0: Tensor, keyframe: int) -> Tensor:
    """W_i·g for every frame i: the gap of a keyframe, each part of it where frame i shows that part of the keyframe.

    W is a displacement field for each frame and bicubic interpolation (Catmull-Rom). It is the identity, bit for bit, for
    frames whose x0 equals the keyframe's, and moves by whole latent pixels exactly.

    Returns `[F, …, C, H, W]` in the type of `gap`.

    Args:
        gap: g, `[…, C, H, W]`, of any prediction kind.
        pred_x0: the predicted clean latents of this step, `[F, …, C', H, W]` with the same dimensions between, which are
            different videos. Values that are not finite match nothing.
        keyframe: the frame of the gap, in [0, F).
    """
    height, width = pred_x0.shape[-2:]
    frames = pred_x0.flatten(1, -4) if pred_x0.ndim > 4 else pred_x0[:, None]
    gaps = gap.reshape(-1, *gap.shape[-3:])
    carried = gap.new_empty(len(frames), *gaps.shape)
    for video in range(frames.shape[1]):
        key = frames[keyframe, video].float()[None]
        size = max(_limits(key)[0] // (9 * key.numel()), 1)
        for start in range(0, len(frames), size):
            part = slice(start, start + size)
            found = displacement(frames[part, video].float(), key)
            carried[part, video] = sample(gaps[video : video + 1], found).to(gap.dtype)
    return carried.view(len(frames), *gap.shape[:-3], gap.shape[-3], height, width)


def displacement(frames: Tensor, key: Tensor) -> Tensor:
    """Where in the keyframe each latent pixel of the frames is found, relative to its own place.

    `[F, 2, H, W]`, down and right, in latent pixels, from frames `[F, C, H, W]` and the keyframe `[1, C, H, W]`, float32.
    """
    whole = _whole_displacement(frames, key)
    return whole + _step(frames, key, whole)


def sample(image: Tensor, displaced: Tensor) -> Tensor:
    """The image, `[1, C, H, W]`, at p + d(p), by Catmull-Rom weights, `[F, C, H, W]`; outside, its border is repeated.

    `displaced` is d, `[F, 2, H, W]`, down and right. Whole numbers take pixels as they are.
    """
    height, width = displaced.shape[-2:]
    place = torch.stack(_place(displaced))
    first = place.floor()
    down, right = _catmull_rom(place - first).unbind(1)
    taps = torch.arange(-1, 3, device=displaced.device).view(4, 1, 1, 1)
    rows, columns = (first[0] + taps).clamp_(0, height - 1), (first[1] + taps).clamp_(0, width - 1)
    taken = _at(image.movedim(0, 1), torch.add(columns, rows[:, None], alpha=width).long()).float()
    return taken.mul_(down[:, None] * right).sum((1, 2)).movedim(0, 1).to(image.dtype)


def _catmull_rom(t: Tensor) -> Tensor:
    """The weights `[4, …]` of the pixels at -1, 0, 1 and 2 for a place t in [0, 1); at t = 0 exactly 0, 1, 0, 0."""
    return torch.stack(
        (((-0.5 * t + 1) * t - 0.5) * t, (1.5 * t - 2.5) * t * t + 1, ((-1.5 * t + 2) * t + 0.5) * t, (0.5 * t - 0.5) * t * t)
    )


def _whole_displacement(frames: Tensor, key: Tensor) -> Tensor:
    """The displacement in whole latent pixels, `[F, 2, H, W]`; 0 where no other patch is closer."""
    height, width = frames.shape[-2:]
    if max(height, width) <= _COARSEST:
        return _search(frames, key)
    halved = (functional.avg_pool2d(some, 2, ceil_mode=True, count_include_pad=False) for some in (frames, key))
    coarse = _whole_displacement(*halved)
    expected = 2 * coarse.repeat_interleave(2, -2).repeat_interleave(2, -1)[..., :height, :width]
    best = _best(frames, key, torch.stack([torch.zeros_like(expected), expected, *_of_neighbors(expected)]))
    by = torch.arange(9, device=key.device)
    around = best + torch.stack([by // 3 - 1, by % 3 - 1], 1).view(9, 1, 2, 1, 1)
    best = _best(frames, key, torch.cat([best[None], around[:4], around[5:]]))
    return _best(frames, key, torch.stack([best, *_of_neighbors(best)]))


def _of_neighbors(displaced: Tensor) -> list[Tensor]:
    """The displacements two latent pixels further, on each side: those of the neighbors on the coarser level."""
    return [torch.roll(displaced, shift, axis) for shift in (2, -2) for axis in (-2, -1)]


def _search(frames: Tensor, key: Tensor) -> Tensor:
    """The best of all displacements within reach."""
    height, width = frames.shape[-2:]
    down, right = math.ceil(height * _REACH), math.ceil(width * _REACH)
    padded = functional.pad(key, (right, right, down, down), mode="replicate")
    windows = functional.unfold(padded, (2 * down + 1, 2 * right + 1)).view(key.shape[1], -1, height, width)
    rows = torch.arange(-down, down + 1, device=key.device).repeat_interleave(2 * right + 1)
    columns = torch.arange(-right, right + 1, device=key.device).repeat(2 * down + 1)
    offsets = torch.stack([rows, columns], 1).to(frames.dtype)
    penalty = _penalty(offsets[..., None, None], height, width)
    still, least, index = [], [], []
    for part in torch.split(frames, max(_limits(key)[0] * 5 // 4 // windows[0].numel(), 1)):
        costs = (part[:, :1] - windows[0]).square_()
        for channel in range(1, len(windows)):
            apart = part[:, channel, None] - windows[channel]
            costs.addcmul_(apart, apart)
        del apart
        costs = _patches(costs.div_(len(windows)))
        still.append(costs[:, len(offsets) // 2].clone())
        of_part = costs.add_(penalty).min(1)
        least.append(of_part.values)
        index.append(of_part.indices)
    closer = torch.cat(least) < torch.cat(still)
    return torch.where(closer[:, None], offsets[torch.cat(index)].movedim(-1, 1), 0.0)


def _best(frames: Tensor, key: Tensor, candidates: Tensor) -> Tensor:
    """The candidate, of `[K, F, 2, H, W]`, of least cost at each latent pixel; of equals, the first."""
    # Patches as channels: a pixel's cost must not depend on its neighbors' candidates.
    frames, key, index = _neighborhoods(frames)[:, None], _neighborhoods(key), _index(candidates)
    costs = torch.cat([_at(key, some).sub_(frames).square_().mean(0) for some in torch.split(index, _limits(key)[1])])
    costs.add_(_penalty(candidates, *frames.shape[-2:])).nan_to_num_(torch.inf)
    return candidates.take_along_dim(costs.argmin(0)[None, :, None], 0)[0]


def _step(frames: Tensor, key: Tensor, whole: Tensor) -> Tensor:
    """The Gauss-Newton step from whole displacements, `[F, 2, H, W]`; exactly 0 where the patches are equal."""
    padded = functional.pad(key, (1, 1, 1, 1), mode="replicate")
    slopes = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2, (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    taken = _at(_neighborhoods(torch.cat([key, *slopes], 1)), _index(whole))
    moved, down, right = taken.view(9, 3, -1, *taken.shape[1:]).unbind(1)
    rest = _neighborhoods(frames).view(moved.shape) - moved
    products = ((down, down), (right, right), (down, right), (rest, down), (rest, right))
    yy, xx, yx, along_y, along_x = ((one * other).mean((0, 1)) for one, other in products)
    yy, xx = yy + _FLAT, xx + _FLAT
    step = torch.stack([xx * along_y - yx * along_x, yy * along_x - yx * along_y], 1) / (yy * xx - yx * yx)[:, None]
    return step.nan_to_num(0.0).clamp(-_LARGEST_STEP, _LARGEST_STEP)


def _patches(values: Tensor) -> Tensor:
    """The means over patches of 5×5 latent pixels, the middle weighted most; `[F, K, H, W]`."""
    for _ in range(2):
        values = functional.avg_pool2d(functional.pad(values, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return values


def _neighborhoods(frames: Tensor) -> Tensor:
    """The 3×3 neighbors of each latent pixel as channels, `[9·C, F, H, W]`, of frames `[F, C, H, W]`."""
    height, width = frames.shape[-2:]
    padded = functional.pad(frames.movedim(1, 0), (1, 1, 1, 1), mode="replicate")
    return torch.cat([padded[..., y : y + height, x : x + width] for y in range(3) for x in range(3)])


def _penalty(displaced: Tensor, height: int, width: int) -> Tensor:
    """`[…, H, W]` for displacements `[…, 2, H, W]`."""
    down, right = displaced.square().unbind(-3)
    return torch.add(down * (_PENALTY / height**2), right, alpha=_PENALTY / width**2)


def _limits(like: Tensor) -> tuple[int, int]:
    return _ON_CPU if like.device.type == "cpu" else _ON_GPU


def _place(displaced: Tensor) -> tuple[Tensor, Tensor]:
    """p + d(p) inside the image, down and right, `[…, H, W]` each, for d, `[…, 2, H, W]`."""
    height, width = displaced.shape[-2:]
    down, right = displaced.unbind(-3)
    y = torch.arange(height, dtype=torch.float32, device=displaced.device).view(-1, 1)
    x = torch.arange(width, dtype=torch.float32, device=displaced.device)
    return (y + down).clamp_(0, height - 1), (x + right).clamp_(0, width - 1)


def _index(displaced: Tensor) -> Tensor:
    """The number of the pixel at p + d(p), `[…, H, W]`, for whole d."""
    y, x = _place(displaced)
    return torch.add(x, y, alpha=displaced.shape[-1]).long()


def _at(image: Tensor, index: Tensor) -> Tensor:
    """The pixels with these numbers, `[…]`, of an image `[C, 1, H, W]`: `[C, …]`."""
    return image.flatten(1)[:, index]

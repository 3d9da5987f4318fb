"""Noise that depends on other noise: the same for frames and pivot, and repeated in long videos."""

from __future__ import annotations

import contextlib
import functools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from .errors import UserError
from .stand_in import Delegate, replaced

# The frames whose order is shuffled, as in FreeNoise (Qiu et al., arXiv 2310.15169); windows overlap by as many.
_BLOCK = 4


class NotTwinError(UserError):
    """The sampler treats the frames and the pivot differently, so that the pivot is meaningless."""


@dataclass
class Twin:
    """Hands out noise of F frames for the 2F rows of a pair: x and x* get the same noise.

    Noise reaches a sampler in three ways, all covered here: its module's `torch.randn_like` (a web UI replaces that
    `torch` by an object whose noise always has F rows), a `noise_sampler` argument, and without one the noise source
    that the sampler builds itself: a Brownian tree, or a default with a generator of its own.

    DPM adaptive also takes a norm over all rows as its error estimate. The pivot's error is only rounding: it would
    divide the frames' estimate by √2 and lengthen the steps. The norm is therefore that of the frames.
    """

    frames: int  # F
    modules: Sequence[ModuleType]  # those of the sampler
    order: list[int] | None = None  # the frame whose noise each frame gets; None keeps its own

    def is_pair(self, value: object) -> bool:
        return isinstance(value, Tensor) and value.ndim > 0 and value.shape[0] == 2 * self.frames

    def double(self, noise: Tensor) -> Tensor:
        if noise.shape[0] != self.frames:
            return noise
        frames = noise if self.order is None else noise[self.order]
        return torch.cat([frames, frames])

    def first_half(self, value: Any) -> Any:
        return value[: self.frames] if self.is_pair(value) else value

    def noise_sampler(self, draw: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return lambda *args, **kwargs: self.double(draw(*args, **kwargs))

    @contextlib.contextmanager
    def noise(self) -> Iterator[None]:
        """Use twin noise in the modules of the samplers inside the block."""
        with contextlib.ExitStack() as stack:
            for module in self.modules:
                stack.enter_context(replaced(module, torch=self._torch(module.torch)))
                for name in ("BrownianTreeNoiseSampler", "default_noise_sampler"):
                    if hasattr(module, name):
                        stack.enter_context(replaced(module, **{name: self._source(getattr(module, name))}))
            yield

    def _torch(self, module_torch: Any) -> Delegate:
        def randn_like(x: Tensor, **kwargs: Any) -> Tensor:
            return self.double(module_torch.randn_like(self.first_half(x), **kwargs))

        def norm(x: Tensor, *args: Any, **kwargs: Any) -> Any:
            # Of a pair √2 times the frames' norm, so that the root mean square over all rows is the frames'.
            norm = module_torch.linalg.norm(self.first_half(x), *args, **kwargs)
            return norm * 2**0.5 if self.is_pair(x) else norm

        return Delegate(module_torch, randn_like=randn_like, linalg=Delegate(module_torch.linalg, norm=norm))

    def _source(self, source: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(source, updated=())
        def build(x: Tensor, *args: Any, **kwargs: Any) -> Callable[..., Tensor]:
            return self.noise_sampler(source(self.first_half(x), *args, **kwargs))

        return build


def is_twin(x: Tensor, pivot: Tensor, keyframe: int) -> Tensor:
    """Whether a keyframe that has been pinned at every step is where its pivot is; one bool on their device."""
    there = pivot[keyframe].float()
    gap = x[keyframe].float() - there
    return ~(gap.square().mean() > 1e-3 * there.square().mean() + 1e-12)  # NaN has an error of its own


def noise_order(num_frames: int, context: int) -> list[int]:
    """The frame of the first context whose noise each frame of a long video gets, as in FreeNoise.

    Any `context` consecutive frames from a multiple of 4 on have the noise of the first context, in another order. The
    model's error in a window depends on the noise in it, so that the correction by frame 0 also fits later windows.
    """
    shuffle = random.Random(0).shuffle
    order = list(range(min(context, num_frames)))
    while len(order) < num_frames:
        block = order[len(order) - context :][:_BLOCK]
        shuffle(block)
        order += block
    return order[:num_frames]

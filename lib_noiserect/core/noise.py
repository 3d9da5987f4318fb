"""Twin noise: what a sampler draws for F frames, given to the frames and to their pivot alike."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

_MISSING = object()


class NotTwinError(RuntimeError):
    """The sampler does not treat the frames and the pivot alike, so that the pivot means nothing."""


class Twin:
    """The noise of F frames, handed out for the 2F rows of a pair: the same draw for x and for x*.

    Noise reaches a sampler in three ways, and this covers all: its module's `torch.randn_like` (a web UI puts an object of
    its own there, whose draws have F rows whatever is asked), a `noise_sampler` argument, and where that is missing what a
    sampler builds over the tensor it is given: a Brownian tree, or a default that may have a generator of its own.

    A sampler that measures all rows together breaks the convention. DPM adaptive does: its error estimate is the norm over
    the whole tensor. The pivot's error is nothing but rounding, so it would dilute the frames' by √2 and lengthen the
    steps; the norm is therefore taken over the frames.
    """

    def __init__(self, frames: int, modules: Sequence[ModuleType], order: Sequence[int] | None = None) -> None:
        """`order`: for each frame the one whose draw it gets; None is its own."""
        self._frames = frames
        self._order = None if order is None else list(order)
        self._modules = [module for module in modules if hasattr(module, "torch")]

    def is_pair(self, value: object) -> bool:
        return isinstance(value, Tensor) and value.ndim > 0 and value.shape[0] == 2 * self._frames

    def double(self, noise: Tensor) -> Tensor:
        if noise.shape[0] != self._frames:
            return noise
        own = noise if self._order is None else noise[self._order]
        return torch.cat([own, own])

    def first_half(self, value: Any) -> Any:
        return value[: self._frames] if self.is_pair(value) else value

    def noise_sampler(self, draw: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return lambda *args, **kwargs: self.double(draw(*args, **kwargs))

    @contextlib.contextmanager
    def noise(self) -> Iterator[None]:
        """Twin noise inside the modules of the samplers, for as long as the context lasts."""
        with contextlib.ExitStack() as stack:
            for module in self._modules:
                stack.enter_context(replaced(module, "torch", _TwinTorch(module.torch, self)))
                for name in ("BrownianTreeNoiseSampler", "default_noise_sampler"):
                    if hasattr(module, name):
                        stack.enter_context(replaced(module, name, self._source(getattr(module, name))))
            yield

    def _source(self, source: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(source, updated=())
        def build(x: Tensor, *args: Any, **kwargs: Any) -> Callable[..., Tensor]:
            return self.noise_sampler(source(self.first_half(x), *args, **kwargs))

        return build


class Delegate:
    """Stands in for an object: everything that is not overridden is the object's own."""

    def __init__(self, target: Any) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)


class _WithTwin(Delegate):
    def __init__(self, target: Any, twin: Twin) -> None:
        super().__init__(target)
        self._twin = twin


class _TwinTorch(_WithTwin):
    @property
    def linalg(self) -> Any:
        return _TwinLinalg(self._target.linalg, self._twin)

    def randn_like(self, x: Tensor, **kwargs: Any) -> Tensor:
        noise: Tensor = self._target.randn_like(self._twin.first_half(x), **kwargs)
        return self._twin.double(noise)


class _TwinLinalg(_WithTwin):
    def norm(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Of a pair: √2 times the frames' norm, so that the root mean square over all rows is the frames' own."""
        norm: Tensor = self._target.norm(self._twin.first_half(x), *args, **kwargs)
        return norm * 2**0.5 if self._twin.is_pair(x) else norm


class SilentTorch(Delegate):
    """For the rehearsal: no noise is drawn, so that the run itself finds the generators where they were."""

    def randn_like(self, x: Tensor, **kwargs: Any) -> Tensor:
        return torch.zeros_like(x)


@contextlib.contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Inside the block `owner` has this attribute of its own, and then what it had before."""
    before = vars(owner).get(name, _MISSING)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if before is _MISSING:
            delattr(owner, name)
        else:
            setattr(owner, name, before)


def check_twin(x: Tensor, pivot: Tensor, key_frame: int) -> None:
    """The key frame has been pinned at every step so far, so it must be where its pivot is."""
    gap = (x[key_frame] - pivot[key_frame]).float()
    if float(gap.square().mean()) > 1e-3 * float(pivot[key_frame].float().square().mean()) + 1e-12:
        raise NotTwinError(
            "the sampler draws noise in a way that noise rectification does not know, "
            "so frames and pivot got different noise: choose another sampler"
        )

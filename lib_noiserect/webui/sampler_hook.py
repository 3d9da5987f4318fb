"""A function that stands in for a sampler's own."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import Tensor

Sample = Callable[[Any, Tensor, dict[str, Any]], "Tensor | None"]


def in_place_of(
    func: Any, sample: Sample, watched: Callable[[Any], AbstractContextManager[None]] = nullcontext
) -> Callable[..., Tensor]:
    """A sampler function by `sample`, which is given the model, x and all the rest by name; None is to have `func` do it.

    The host reads its signature, so it keeps that of `func`.

    Args:
        watched: from the model to what its calls happen in.
    """
    signature = inspect.signature(func)

    @functools.wraps(func)
    def stand_in(*args: Any, **kwargs: Any) -> Tensor:
        given = dict(signature.bind(*args, **kwargs).arguments)
        for name, parameter in signature.parameters.items():
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                given.update(given.pop(name, {}))
        model, x = given.pop("model"), given.pop("x")
        with watched(model):
            result = sample(model, x, given)
            if result is None:
                result = func(*args, **kwargs)
        return result

    return stand_in

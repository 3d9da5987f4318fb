"""The hook on the job's own sampler: each call of its sampler function, with the host's latent and noise."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..core.stand_in import replaced
from .start_time import late_start


@dataclass(frozen=True)
class SamplerCall:
    """One call of a sampler function by the host, with the latent and the noise of its start."""

    func: Any  # the sampler function, of k-diffusion's calling convention
    model: Any  # the host's denoiser
    kwargs: dict[str, Any]  # the other arguments by name, without `model` and `x`
    x: Tensor | None  # the host's noised start, `[F, C, H, W]`; None if `reference_noise` alone gives the start
    init_latent: Tensor | None  # the latent inside `x`
    reference_noise: Tensor  # the noise that the host drew, `[F, C, H, W]`


@contextmanager
def sampler_hook(
    sampler: Any,
    sample: Callable[[SamplerCall, Tensor], Tensor | None],
    *,
    start_time: float = 1.0,
    watched: Callable[[Any], AbstractContextManager[None]] = nullcontext,
) -> Iterator[None]:
    """Inside the block `sampler` asks `sample` for its samples, with the call and its x; None leaves them to the host.

    Its schedules begin at `start_time`, M, and `watched` gives a context for the model's calls.
    """
    original = sampler.sample_img2img
    arguments = inspect.signature(original)

    @functools.wraps(original)
    def sample_img2img(*args: Any, **kwargs: Any) -> Any:
        bound, func = arguments.bind(*args, **kwargs).arguments, sampler.func
        signature = inspect.signature(func)

        @functools.wraps(func)  # the host reads the signature
        def stand_in(*args: Any, **kwargs: Any) -> Tensor:
            by_name = dict(signature.bind(*args, **kwargs).arguments)
            for name, parameter in signature.parameters.items():
                if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                    by_name.update(by_name.pop(name, {}))
            model, x = by_name.pop("model"), by_name.pop("x")
            call = SamplerCall(func, model, by_name, x, bound["x"].to(x.dtype), bound["noise"].to(x.dtype))
            with watched(model):
                result = sample(call, x)
                return func(*args, **kwargs) if result is None else result

        with replaced(sampler, func=stand_in):
            return original(*args, **kwargs)

    with replaced(sampler, sample_img2img=sample_img2img), late_start(sampler, start_time):
        yield

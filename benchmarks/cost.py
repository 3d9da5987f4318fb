"""What rectification costs: a step's formula beside the authors' expression, and a whole run of a sampler, without the model.

    python benchmarks/cost.py --model-step 2.0

Times are medians of repetitions that take turns: on a shared machine only the ratios mean something. The exponents are
those of a power law through all sizes; 1 is growth in proportion. `--model-step` (the seconds that a model takes for one step
of the same size) turns the added time into a share of the job.
"""

from __future__ import annotations

import argparse
import itertools
import math
import statistics
import sys
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lib_noiserect.core import noise_levels
from lib_noiserect.core.correction import Correction
from lib_noiserect.core.noise_levels import reference_prediction
from lib_noiserect.core.pivot import Pivot
from lib_noiserect.core.rectify import rectify
from lib_noiserect.core.settings import Settings

AUTHORS, FORMULA, EPS, X0 = "authors", "formula", "with reference, eps", "with reference, x0"


def authors(predicted: Tensor, noise: Tensor, omega: Tensor) -> Tensor:
    """The operations of the published code, one for one (arXiv 2403.02827), frames first."""
    weight = omega.view(-1, 1, 1, 1)
    delta = noise - predicted
    adjustment = weight * delta[[0]].repeat(len(predicted), 1, 1, 1) + (1 - weight) * delta
    return predicted + adjustment


def euler_ancestral(
    model: Any, x: Tensor, sigmas: Tensor, extra_args: Any = None, callback: Any = None, disable: Any = None
) -> Tensor:
    """Ancestral sampling with Euler steps, in k-diffusion's calling convention."""
    ones = x.new_ones(len(x))
    for index, (above, below) in enumerate(itertools.pairwise(sigmas)):
        pred_x0 = model(x, above * ones, **(extra_args or {}))
        if callback is not None:
            callback({"i": index, "x": x, "denoised": pred_x0})
        fresh = min(float((below**2 * (above**2 - below**2) / above**2).sqrt()), float(below))
        x = pred_x0 + (x - pred_x0) * (below**2 - fresh**2).sqrt() / above
        if fresh > 0:
            x = x + torch.randn_like(x) * fresh
    return x


class PeakMemory(TorchDispatchMode):
    """The largest sum of bytes alive at once of all tensors made inside."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._alive: dict[int, tuple[weakref.ref[Tensor], int]] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            storage = result.untyped_storage()
            inputs = (arg.untyped_storage().data_ptr() for arg in args if isinstance(arg, Tensor))
            if storage.data_ptr() not in inputs:
                self._alive[storage.data_ptr()] = (weakref.ref(result), storage.nbytes())
        self._alive = {key: value for key, value in self._alive.items() if value[0]() is not None}
        self.peak = max(self.peak, sum(size for _, size in self._alive.values()))
        return result


def peak_memory(function: Callable[[], Tensor]) -> int:
    memory = PeakMemory()
    with memory:
        function()
    return memory.peak


def interleaved(functions: Mapping[str, Callable[[], object]], repetitions: int, warm_up: int = 3) -> dict[str, float]:
    """Median seconds of each, taken in turn so that a change of the machine's speed hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for repetition in range(repetitions + warm_up):
        for name, function in functions.items():
            begin = time.perf_counter()
            function()
            if repetition >= warm_up:
                times[name].append(time.perf_counter() - begin)
    return {name: statistics.median(values) for name, values in times.items()}


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """The k of cost = c·size^k, by least squares of the logarithms."""
    return statistics.linear_regression([math.log(size) for size in sizes], [math.log(cost) for cost in costs]).slope


def formulas(shape: tuple[int, int, int, int]) -> dict[str, Callable[[], Tensor]]:
    """The authors' expression and ours, on the same tensors."""
    generator = torch.Generator().manual_seed(0)
    predicted, noise, x, pivot = (torch.randn(shape, generator=generator) for _ in range(4))
    x0, omega = torch.randn(1, *shape[1:], generator=generator), torch.linspace(1, 0.5, shape[0])
    vp, ve = noise_levels.vp(0.5), noise_levels.ve(3.0)
    torch.testing.assert_close(rectify(predicted, noise, omega), authors(predicted, noise, omega))
    return {
        AUTHORS: lambda: authors(predicted, noise, omega),
        FORMULA: lambda: rectify(predicted, noise, omega),
        EPS: lambda: rectify(predicted, reference_prediction("eps", x, pivot, x0, vp), omega),
        X0: lambda: rectify(predicted, reference_prediction("x0", x, pivot, x0, ve), omega),
    }


def compare_formulas(title: str, shapes: Sequence[tuple[int, int, int, int]], repetitions: int) -> None:
    """Time and memory of a step's arithmetic, beside the authors' expression, whose noise is at hand."""
    print(f"\n{title}\n{'latents':>18}{'':22}{'time':>12}{'ratio':>8}{'extra memory':>15}{'ratio':>8}")
    seconds: dict[str, list[float]] = {}
    smallest = math.prod(shapes[0])
    for shape in shapes:
        functions = formulas(shape)
        times = interleaved(functions, max(7, repetitions * smallest // math.prod(shape)))
        memory = {name: peak_memory(function) for name, function in functions.items()}
        for name, value in times.items():
            seconds.setdefault(name, []).append(value)
            print(
                f"{'×'.join(map(str, shape)) if name == AUTHORS else '':>18}  {name:20}{value * 1e3:9.3f} ms"
                f"{value / times[AUTHORS]:8.2f}{memory[name] / 1e6:12.2f} MB{memory[name] / memory[AUTHORS]:8.2f}"
            )
    sizes = [math.prod(shape) for shape in shapes]
    print("exponents of time: " + ", ".join(f"{name} {exponent(sizes, values):.2f}" for name, values in seconds.items()))


def compare_runs(shape: tuple[int, int, int, int], steps: int, repetitions: int, model_step: float | None) -> None:
    """What the pair, the pivot, the formula and the shared noise add to a run of a sampler whose model answers at once."""
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    x0, answer = noise[:1] * 0.5, noise.flip(0) * 0.1
    sigmas = torch.cat([torch.logspace(1, -1.5, steps), torch.zeros(1)])
    x = x0 + noise * sigmas[0]

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        return answer

    pivot = Pivot(
        euler_ancestral, {"sigmas": sigmas}, x0=x0, level_of=noise_levels.ve, prediction="x0", modules=[sys.modules[__name__]]
    )
    rehearsed, correction = pivot.steps(model), Correction(Settings(tau_end=1.0), torch.linspace(1, 0.5, shape[0]))
    seconds = interleaved(
        {
            "plain": lambda: euler_ancestral(model, x, sigmas),
            "rectified": lambda: pivot(model, x, correction, rehearsed),
            "rehearsal": lambda: pivot.steps(model),
        },
        repetitions,
    )
    added = (seconds["rectified"] - seconds["plain"]) / steps
    print(f"\nA run of {steps} steps with Euler a, {'×'.join(map(str, shape))}")
    print(f"added a step: {added * 1e3:.2f} ms; rehearsal, once: {seconds['rehearsal'] * 1e3:.2f} ms")
    if model_step:
        share = (added * steps + seconds["rehearsal"]) / (model_step * steps)
        print(f"share of a job whose model takes {model_step:g} s a step: {share:.4%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=4, default=(16, 4, 64, 64), metavar=("F", "C", "H", "W"))
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--repetitions", type=int, default=200, help="for --shape; larger latents have fewer")
    parser.add_argument("--model-step", type=float, metavar="SECONDS", help="the time that the model takes for one step")
    options = parser.parse_args()
    frames, channels, height, width = options.shape
    print(f"float32, {torch.get_num_threads()} threads, torch {torch.__version__}")
    factors = (1, 4, 16)
    compare_formulas("More frames", [(frames * n, channels, height, width) for n in factors], options.repetitions)
    compare_formulas("More pixels", [(frames, channels, height * n, width * n) for n in (1, 2, 4)], options.repetitions)
    compare_runs(tuple(options.shape), options.steps, max(7, options.repetitions // 10), options.model_step)


if __name__ == "__main__":
    main()

"""Rectification against the authors' expression on the same tensors: time and extra memory, side by side in one run.

    python benchmarks/rectification.py

Times are medians of interleaved repetitions; only the ratios mean anything on a shared machine.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lib_noiserect.core.noise_levels import reference_prediction, ve, vp
from lib_noiserect.core.rectify import rectify


def authors(predicted: Tensor, noise: Tensor, omega: Tensor) -> Tensor:
    """The operations of the published code, one for one (arXiv 2403.02827), frames first."""
    weight = omega.view(-1, 1, 1, 1)
    delta = noise - predicted
    adjustment = weight * delta[[0]].repeat(len(predicted), 1, 1, 1) + (1 - weight) * delta
    return predicted + adjustment


class PeakMemory(TorchDispatchMode):
    """The largest sum of bytes alive at once of all tensors made inside."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._alive: dict[int, tuple[object, int]] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        import weakref

        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            storage = result.untyped_storage()
            if not any(
                storage.data_ptr() == arg.untyped_storage().data_ptr() for arg in args if isinstance(arg, Tensor)
            ):
                self._alive[storage.data_ptr()] = (weakref.ref(result), storage.nbytes())
        self._alive = {key: value for key, value in self._alive.items() if value[0]() is not None}
        self.peak = max(self.peak, sum(size for _, size in self._alive.values()))
        return result


def peak_memory(function: Callable[[], Tensor]) -> int:
    with PeakMemory() as memory:
        function()
    return memory.peak


def interleaved(functions: dict[str, Callable[[], Tensor]], repetitions: int) -> dict[str, float]:
    """Median seconds of each, taken in turn so that a change of the machine's speed hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for repetition in range(repetitions + 10):
        for name, function in functions.items():
            begin = time.perf_counter()
            function()
            if repetition >= 10:
                times[name].append(time.perf_counter() - begin)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=4, default=(16, 4, 64, 64), metavar=("F", "C", "H", "W"))
    parser.add_argument("--repetitions", type=int, default=400)
    options = parser.parse_args()
    generator = torch.Generator().manual_seed(0)
    predicted, noise, x, pivot = (torch.randn(options.shape, generator=generator) for _ in range(4))
    clean, omega = torch.randn(1, *options.shape[1:], generator=generator), torch.linspace(1, 0.5, options.shape[0])
    level = vp(0.5)
    torch.testing.assert_close(rectify(predicted, noise, omega), authors(predicted, noise, omega))
    functions = {
        "authors' expression": lambda: authors(predicted, noise, omega),
        "rectify": lambda: rectify(predicted, noise, omega),
        "rectify, reference from the pivot (eps, VP)": lambda: rectify(
            predicted, reference_prediction("eps", x, pivot, clean, level), omega
        ),
        "rectify, reference from the pivot (x0, VE)": lambda: rectify(
            predicted, reference_prediction("x0", x, pivot, clean, ve(3.0)), omega
        ),
    }
    seconds = interleaved(functions, options.repetitions)
    memory = {name: peak_memory(function) for name, function in functions.items()}
    first = next(iter(functions))
    print(f"{'×'.join(map(str, options.shape))} float32, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"{'':45}{'median':>10}{'ratio':>8}{'extra memory':>15}{'ratio':>8}")
    for name in functions:
        print(
            f"{name:45}{seconds[name] * 1e6:8.0f}µs{seconds[name] / seconds[first]:8.2f}"
            f"{memory[name] / 1e6:12.2f} MB{memory[name] / memory[first]:8.2f}"
        )


if __name__ == "__main__":
    main()

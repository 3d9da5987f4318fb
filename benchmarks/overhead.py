"""What rectification adds to a sampler's run, without the model: milliseconds a step, and once for the rehearsal.

    python benchmarks/overhead.py --model-step 2.0

The model answers at once, so that what is timed is the sampler on the pair, the pivot, the formula and the noise. Plain and
rectified runs are taken in turn, and medians are printed; `--model-step` (seconds that the model takes for a step of the
same size) turns them into a share of the job.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lib_noiserect.core import noise_levels
from lib_noiserect.core.correction import Correction
from lib_noiserect.core.pivot import Pivot


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


def timed(function: Callable[[], object]) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=4, default=(16, 4, 64, 64), metavar=("F", "C", "H", "W"))
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--repetitions", type=int, default=21)
    parser.add_argument("--model-step", type=float, help="seconds that the model takes for one step")
    options = parser.parse_args()
    noise = torch.randn(options.shape, generator=torch.Generator().manual_seed(0))
    clean, answer = noise[:1] * 0.5, noise.flip(0) * 0.1
    sigmas = torch.cat([torch.logspace(1, -1.5, options.steps), torch.zeros(1)])
    x = noise_levels.noised(clean, noise, noise_levels.ve(float(sigmas[0])))

    def model(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return answer

    run = Pivot(
        euler_ancestral,
        {"sigmas": sigmas},
        x0=clean,
        level_of=noise_levels.ve,
        prediction="x0",
        modules=[sys.modules[__name__]],
    )
    steps = run.steps(model)
    plan = Correction(0.0, 1.0, torch.linspace(1, 0.5, options.shape[0]))
    plain, rectified, rehearsal = [], [], []
    for _ in range(options.repetitions):
        plain.append(timed(lambda: euler_ancestral(model, x, sigmas)))
        rectified.append(timed(lambda: run(model, x, plan, steps)))
        rehearsal.append(timed(lambda: run.steps(model)))
    added = statistics.median(r - p for r, p in zip(rectified, plain)) / options.steps
    once = statistics.median(rehearsal)
    print(f"{'×'.join(map(str, options.shape))}, Euler a, {options.steps} steps, torch {torch.__version__}")
    print(f"added a step: {added * 1e3:.2f} ms; rehearsal, once: {once * 1e3:.2f} ms")
    if options.model_step:
        share = (added * options.steps + once) / (options.model_step * options.steps)
        print(f"share of a job whose model takes {options.model_step:g} s a step: {share:.4%}")


if __name__ == "__main__":
    main()

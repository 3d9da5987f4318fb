"""Means with their uncertainty: bootstrap intervals over pictures (BCa, scipy.stats.bootstrap), the same at every run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .errors import EvaluationError, need

CONFIDENCE = 0.95
RESAMPLES = 4999
_SEED = 20240302


@dataclass(frozen=True)
class Estimate:
    """A mean over `count` pictures and the ends of its 95 % interval, which are nan where there is one picture."""

    mean: float
    low: float
    high: float
    count: int


def mean_interval(values: Sequence[float], resamples: int = RESAMPLES) -> Estimate:
    """The mean of independent values with its 95 % interval; values that are all equal have an interval without width.

    Raises:
        EvaluationError: there are no values, or one of them is not finite.
    """
    sample = np.asarray(values, dtype=np.float64)
    if sample.size == 0 or not np.isfinite(sample).all():
        raise EvaluationError(f"values = {sample.tolist()} have no mean: give at least one number, all finite")
    mean = float(sample.mean())
    if sample.size == 1:
        return Estimate(mean, math.nan, math.nan, 1)
    if np.ptp(sample) == 0:
        return Estimate(mean, mean, mean, sample.size)
    interval = (
        need("scipy.stats", "scipy")
        .bootstrap(
            (sample,),
            np.mean,
            n_resamples=resamples,
            confidence_level=CONFIDENCE,
            batch=max(1, 4_000_000 // sample.size),
            rng=np.random.default_rng(_SEED),
        )
        .confidence_interval
    )
    return Estimate(mean, float(interval.low), float(interval.high), sample.size)


def paired_difference(
    values: Mapping[str, float], baseline: Mapping[str, float], resamples: int = RESAMPLES
) -> Estimate:
    """The mean over pictures of `values` minus `baseline`, with its 95 % interval.

    Args:
        values, baseline: a figure for each picture, by the picture's name; pictures that only one has do not count.

    Raises:
        EvaluationError: they have no picture in common.
    """
    common = sorted(values.keys() & baseline.keys())
    if not common:
        raise EvaluationError(
            f"no picture in common: one has {sorted(values)[:3]}, the other {sorted(baseline)[:3]}; measure the same pictures"
        )
    return mean_interval([values[picture] - baseline[picture] for picture in common], resamples)

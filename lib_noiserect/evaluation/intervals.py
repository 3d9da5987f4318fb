"""Means with 95 % bootstrap intervals over images, the same at every run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..core.errors import UserError
from .trials import need

CONFIDENCE = 0.95
RESAMPLES = 4999
_SEED = 20240302


@dataclass(frozen=True)
class Estimate:
    """A mean over `count` images and the ends of its 95 % interval, which are nan for one image."""

    mean: float
    low: float
    high: float
    count: int

    def text(self, digits: int, *, signed: bool = False) -> str:
        """`0.83 [0.79, 0.86]`, or without brackets for a single image."""
        shown = number(self.mean, digits, signed=signed)
        if math.isnan(self.low):
            return shown
        return f"{shown} [{number(self.low, digits, signed=signed)}, {number(self.high, digits, signed=signed)}]"


def number(value: float, digits: int, *, signed: bool = False) -> str:
    """The number with a minus sign instead of a hyphen, and without a sign where only zeros are left."""
    text = f"{abs(value):.{digits}f}"
    if not text.strip("0."):
        return text
    return ("−" if value < 0 else "+" if signed else "") + text


def mean_interval(values: Sequence[float]) -> Estimate:
    """The mean of independent values with its interval (BCa, scipy.stats.bootstrap); equal values have no width.

    Raises:
        UserError: there are no values, or one of them is not finite.
    """
    sample = np.asarray(values, dtype=np.float64)
    if sample.size == 0 or not np.isfinite(sample).all():
        raise UserError(f"values = {sample.tolist()} have no mean: give at least one number, all finite")
    mean = float(sample.mean())
    if sample.size == 1:
        return Estimate(mean, math.nan, math.nan, 1)
    if np.ptp(sample) == 0:
        return Estimate(mean, mean, mean, sample.size)
    bootstrap = need("scipy.stats", "scipy").bootstrap(
        (sample,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        batch=max(1, 4_000_000 // sample.size),
        rng=np.random.default_rng(_SEED),
    )
    interval = bootstrap.confidence_interval
    return Estimate(mean, float(interval.low), float(interval.high), sample.size)


def paired_difference(values: Mapping[str, float], baseline: Mapping[str, float]) -> Estimate:
    """The mean over images of `values` minus `baseline`, both by image; images that only one has do not count."""
    common = sorted(values.keys() & baseline.keys())
    return mean_interval([values[image] - baseline[image] for image in common])

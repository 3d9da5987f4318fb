"""Intervals: against the normal theory, and where there is nothing to resample."""

import math

import numpy as np
import pytest

from lib_noiserect.core.errors import UserError
from lib_noiserect.evaluation.tables import difference, mean_interval


def test_the_normal_theorys_interval():
    values = np.random.default_rng(5).normal(3.0, 2.0, 400)
    estimate = mean_interval(list(values))
    half = 1.96 * values.std(ddof=1) / math.sqrt(400)
    assert estimate.mean == pytest.approx(values.mean()) and estimate.count == 400
    assert estimate.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert estimate.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_the_same_values_have_the_same_interval():
    values = [0.1, 0.9, 0.4, 0.7]
    assert mean_interval(values) == mean_interval(values)


def test_equal_values_have_an_interval_without_width():
    estimate = mean_interval([0.3] * 5)
    assert (estimate.mean, estimate.low, estimate.high) == (pytest.approx(0.3),) * 3


def test_a_single_value_has_no_interval():
    estimate = mean_interval([0.3])
    assert estimate.mean == 0.3 and math.isnan(estimate.low) and math.isnan(estimate.high)


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_what_has_no_mean_is_refused(values):
    with pytest.raises(UserError, match="give at least one number, all finite"):
        mean_interval(values)


def test_pairs_are_made_by_picture():
    """The methods differ by 0.1 in every picture, which the spread over the pictures would hide."""
    baseline = {(f"p{index}",): {"ssim": float(index)} for index in range(8)}
    values = {name: {"ssim": values["ssim"] + 0.1} for name, values in reversed(baseline.items())}
    estimate = difference(values | {("elsewhere",): {"ssim": 99.0}}, baseline, "ssim")
    assert estimate.count == 8
    assert estimate.low == pytest.approx(0.1) and estimate.high == pytest.approx(0.1)


def test_no_image_in_common_is_no_difference():
    assert difference({("a",): {"ssim": 1.0}}, {("b",): {"ssim": 1.0}}, "ssim") is None

"""Statistics gathered clip by clip, against the same from all clips at once, in float64."""

import numpy as np
import pytest
import torch

from lib_noiserect.methods.analytic_init import KINDS, bands
from lib_noiserect.methods.video_statistics import BANDS, Gathered


def clips(count=40, frames=4, channels=3, size=(6, 8)):
    """Far from zero and of different spreads, where sums of squares in float32 would lose all of the variance."""
    generator = np.random.default_rng(4)
    base = 2000.0 + generator.normal(size=(1, 1, channels, *size))
    drift = np.cumsum(generator.normal(size=(count, frames, channels, *size)) * 0.3, axis=1)
    return (base + generator.normal(size=(count, 1, channels, *size)) * 0.5 + drift).astype(np.float32)


@pytest.fixture(scope="module")
def gathered():
    found = Gathered()
    for clip in clips():
        found.add(torch.from_numpy(clip))
    return found


def test_mean_and_variance_as_numpy_has_them(gathered):
    exact = clips().astype(np.float64)
    found = gathered.finish("mean")
    assert found.clips == 40 and found.frames == 4
    assert np.abs(found.values["mean"].numpy() - exact.mean(0)).max() < 1e-3
    assert float(found.values["variance"]) == pytest.approx(exact.var(0).mean(), rel=2e-3)
    # What the authors' sums give in the same precision.
    sums = sum(torch.from_numpy(clip) for clip in clips())
    squares = sum(torch.from_numpy(clip) ** 2 for clip in clips())
    theirs = float((squares / 40 - (sums / 40) ** 2).mean())
    assert abs(theirs / exact.var(0).mean() - 1) > 0.02


def test_the_conditional_ones_as_numpy_has_them(gathered):
    exact = clips().astype(np.float64)
    moved = exact - exact[:, :1]
    found = gathered.finish("conditional")
    assert np.abs(found.values["mean"].numpy() - moved.mean(0)).max() < 1e-4
    assert found.values["variance"].numpy() == pytest.approx(moved.var(0).mean((1, 2, 3)), rel=1e-3)
    assert found.values["variance"][0] == 0 and not found.values["mean"][0].any()


def test_the_spectral_ones_as_numpy_has_them(gathered):
    moved = clips().astype(np.float64)
    moved = moved - moved[:, :1]
    power = np.abs(np.fft.fft2(moved, norm="ortho")) ** 2
    frequency = np.sqrt(np.fft.fftfreq(6)[:, None] ** 2 + np.fft.fftfreq(8)[None] ** 2)
    band = np.round(np.clip(frequency / np.sqrt(0.5) * BANDS - 0.5, 0, BANDS - 1)).astype(int)
    found = gathered.finish("spectral").values["power"]
    assert found.shape == (4, 3, BANDS) and not found[0].any()
    for one in np.unique(band):
        assert found[..., one].numpy() == pytest.approx(power[..., band == one].mean(axis=(0, 3)), rel=2e-3)
    # Their mean over all frequencies is the mean square, as Parseval has it.
    weights = torch.from_numpy(np.bincount(band.ravel(), minlength=BANDS) / band.size)
    assert (found[3].double() @ weights).mean() == pytest.approx((moved[:, 3] ** 2).mean(), rel=2e-3)


def test_bands_without_a_frequency_are_between_their_neighbours(gathered):
    found = gathered.finish("spectral").values["power"][2, 1]
    known = sorted(set(bands(6, 8, BANDS).round().long().flatten().tolist()))
    empty = next(band for band in range(known[0], known[-1]) if band not in known)
    left, right = max(b for b in known if b < empty), min(b for b in known if b > empty)
    assert min(found[left], found[right]) <= found[empty] <= max(found[left], found[right])
    assert (found > 0).all()


def test_going_on_from_what_was_kept_is_the_same_bits(gathered):
    first = Gathered()
    for clip in clips()[:17]:
        first.add(torch.from_numpy(clip))
    second = Gathered(first.kinds, first.count, {name: value.clone() for name, value in first.state.items()})
    for clip in clips()[17:]:
        second.add(torch.from_numpy(clip))
    for kind in KINDS:
        one, other = gathered.finish(kind), second.finish(kind)
        assert one.clips == other.clips and all(
            torch.equal(one.values[name], other.values[name]) for name in one.values
        )


def test_what_cannot_be_added():
    found = Gathered()
    with pytest.raises(ValueError, match="no video was added"):
        found.finish("mean")
    found.add(torch.zeros(2, 3, 4, 4))
    with pytest.raises(ValueError, match=r"\(2, 3, 4, 5\) and those before \(2, 3, 4, 4\)"):
        found.add(torch.zeros(2, 3, 4, 5))
    with pytest.raises(ValueError, match="not all finite"):
        found.add(torch.full((2, 3, 4, 4), float("inf")))
    assert found.count == 1

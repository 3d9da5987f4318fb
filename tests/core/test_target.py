"""The search for the liveliest motion that is similar enough: on similarities that are known."""

from dataclasses import replace

import pytest

from lib_noiserect.dial import UnreachableShareError
from lib_noiserect.settings import Settings, SettingsError
from lib_noiserect.target import MAX_PROBES, Probe, find_motion

WANTED = Settings(enabled=True, tau_end=0.8, omega="authors", target_ssim=0.8)


class Falling:
    """SSIM that falls from `still` to `free` with the motion, and what was asked for."""

    def __init__(self, still=0.97, free=0.4, least=0.0):
        self.still, self.free, self.least, self.asked = still, free, least, []

    def __call__(self, settings):
        assert settings.target_ssim == 0.0 and settings.tau_end == 0.8 and settings.enabled
        assert settings.omega in ("motion", "frozen")
        motion = settings.motion if settings.omega == "motion" else 0.0
        if 0.0 < motion < self.least:
            raise UnreachableShareError(f"motion = {motion:g} cannot be had")
        self.asked.append(motion)
        return self.still + (self.free - self.still) * motion


@pytest.mark.parametrize("target", [0.5, 0.62, 0.8, 0.9, 0.95])
def test_the_largest_motion_that_is_similar_enough(target):
    similarity = Falling()
    found = find_motion(replace(WANTED, target_ssim=target), similarity)
    exact = (0.97 - target) / 0.57
    assert exact - 1 / 2 ** (MAX_PROBES - 2) <= found.settings.motion <= exact
    assert found.settings == replace(
        WANTED,
        omega="motion" if found.settings.motion else "frozen",
        motion=found.settings.motion,
        target_ssim=0.0,
    )
    assert [probe.motion for probe in found.probes] == similarity.asked
    assert len(found.probes) <= MAX_PROBES


def test_everything_may_move_where_that_is_similar_enough():
    similarity = Falling(free=0.9)
    found = find_motion(WANTED, similarity)
    assert found.settings.motion == 1.0 and similarity.asked == [0.0, 1.0]
    assert found.words() == "motion 1 found by SSIM in 2 short runs (0: 0.970, 1: 0.900)"


def test_what_cannot_be_reached_is_refused_with_what_can():
    with pytest.raises(SettingsError) as caught:
        find_motion(replace(WANTED, target_ssim=0.99), Falling())
    assert str(caught.value) == (
        "target_ssim = 0.99 cannot be reached: where nothing moves, the clip has 0.970; use a lower target_ssim, or a later "
        "tau_end"
    )


def test_shares_that_tau_does_not_let_through_are_passed_over():
    """Below 0.4 of the motion no ω makes a clip, so the search goes up from there, and no run is counted for it."""
    similarity = Falling(least=0.4)
    found = find_motion(replace(WANTED, target_ssim=0.7), similarity)
    assert 0.4 <= found.settings.motion <= 27 / 57
    assert all(motion == 0.0 or motion >= 0.4 for motion in similarity.asked)
    # Between ω = 0 and the least there is nothing, so nothing moves of itself.
    still = find_motion(replace(WANTED, target_ssim=0.9), Falling(least=0.4))
    assert still.settings.omega == "frozen" and still.settings.motion == 0.0


def test_it_ends_where_no_motion_can_be_had():
    similarity = Falling(least=1.1)
    found = find_motion(WANTED, similarity, max_probes=5)
    assert similarity.asked == [0.0] and found.settings.omega == "frozen"


@pytest.mark.parametrize("most", [3, 4, 7, 12])
def test_no_more_runs_than_allowed_and_each_is_told(most):
    told = []
    found = find_motion(WANTED, Falling(), max_probes=most, on_probe=lambda *given: told.append(given))
    assert len(found.probes) <= most
    assert told == [(index + 1, most, probe) for index, probe in enumerate(found.probes)]
    assert all(isinstance(probe, Probe) for probe in found.probes)


def test_no_target_is_no_search():
    with pytest.raises(SettingsError, match="target_ssim = 0 asks for nothing"):
        find_motion(replace(WANTED, target_ssim=0.0), Falling())

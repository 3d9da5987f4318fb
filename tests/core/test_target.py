"""The search for the liveliest motion that is similar enough: on similarities that are known."""

from dataclasses import replace

import pytest

from lib_noiserect.core.motion_dial import UnreachableMotionError
from lib_noiserect.core.motion_search import MAX_PROBES, Found, Probe, find_motion, probe_size
from lib_noiserect.core.settings import Settings, SettingsError

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
            raise UnreachableMotionError(f"motion = {motion:g} is below the minimum")
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


@pytest.mark.parametrize(
    "size, expected",
    [
        ((64, 64), (64, 64)),
        ((256, 200), (256, 200)),  # small enough as it is
        ((320, 320), (256, 256)),
        ((512, 768), (192, 256)),  # 170.7 wide is nearer to 192 than to 128
        ((1024, 64), (256, 64)),
        ((40, 600), (40, 256)),  # never larger than the clip
        ((480, 704), (192, 256)),
    ],
)
def test_the_size_of_a_short_run(size, expected):
    assert probe_size(*size) == expected


def test_a_larger_side_for_models_of_large_pictures():
    assert probe_size(1024, 768, 512) == (512, 384)


def test_the_size_is_said():
    found = Found(replace(WANTED, motion=0.5), (Probe(0.0, 0.97),), Probe(0.4, 0.81), (192, 256))
    assert found.words() == ("motion 0.5 found by SSIM in 1 short runs of 256x192 (0: 0.970), 0.4 in all steps: 0.810")


def test_what_cannot_be_reached_is_refused_with_what_can():
    with pytest.raises(SettingsError) as caught:
        find_motion(replace(WANTED, target_ssim=0.99), Falling())
    assert str(caught.value) == (
        "target_ssim = 0.99 cannot be reached: a still video has 0.970; lower target_ssim, or raise tau_end"
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


@pytest.mark.parametrize("target", [0.5, 0.62, 0.8, 0.9])
@pytest.mark.parametrize("less", [0.0, 0.03, 0.06])
def test_a_run_in_all_steps_corrects_what_short_runs_flatter(target, less):
    """Short runs are more similar by `less`, which one run in all steps shows; straight lines are exact here."""
    in_all = Falling(still=0.97 - less, free=0.4 - less)
    told = []
    found = find_motion(
        replace(WANTED, target_ssim=target), Falling(), exact=in_all, on_probe=lambda *given: told.append(given)
    )
    assert found.settings.motion == pytest.approx((0.97 - less - target) / 0.57, abs=0.011)
    assert in_all(found.settings) == pytest.approx(target, abs=0.011)
    assert in_all.asked[0] == found.checked.motion == pytest.approx((0.97 - target) / 0.57, abs=0.011)
    assert len(found.probes) <= MAX_PROBES + 1 and found.checked in [probe for *_, probe in told]
    assert [made for made, _, _ in told] == sorted(made for made, _, _ in told) and {most for _, most, _ in told} == {8}
    assert found.words().endswith(f"{found.checked.motion:.3g} in all steps: {found.checked.ssim:.3f}")


def test_where_all_steps_have_it_nothing_is_corrected():
    found = find_motion(WANTED, Falling(), exact=Falling(still=0.99, free=0.6))
    assert found.settings.motion == found.checked.motion == pytest.approx(17 / 57, abs=0.011)


def test_between_the_stillest_clip_and_the_next_nothing_is_guessed():
    found = find_motion(replace(WANTED, target_ssim=0.9), Falling(least=0.4), exact=Falling(least=0.4))
    assert found.settings.omega == "frozen" and found.checked is None
    # What the correction asks for is less than τ lets be, which only trying it shows.
    short, in_all = Falling(least=0.45), Falling(still=0.9, free=0.3, least=0.45)
    found = find_motion(replace(WANTED, target_ssim=0.68), short, exact=in_all)
    assert found.checked.motion == pytest.approx(29 / 57, abs=0.011)
    assert found.settings.omega == "frozen" and found.settings.motion == 0.0


def test_no_target_is_no_search():
    with pytest.raises(SettingsError, match="target_ssim = 0 is off"):
        find_motion(replace(WANTED, target_ssim=0.0), Falling())

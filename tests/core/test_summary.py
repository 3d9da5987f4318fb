"""The sentence, against sentences written by hand."""

import pytest

from lib_noiserect.core.schedule import omega_weights, rectified_steps
from lib_noiserect.core.settings import Settings
from lib_noiserect.core.summary import motion_words, summary, window_words


@pytest.mark.parametrize(
    "rectified, num_steps, expected",
    [
        (range(15), 25, "steps 1–15 of 25 rectified"),
        ([4], 8, "step 5 of 8 rectified"),
        ([], 25, "no step of 25 rectified"),
        ([0], 1, "step 1 of 1 rectified"),
    ],
)
def test_the_window(rectified, num_steps, expected):
    assert window_words(list(rectified), num_steps) == expected


@pytest.mark.parametrize(
    "weights, expected",
    [
        ([0.3], ""),
        ([1.0, 0.0, 0.0], "nothing moves"),  # frame 0's own weight says nothing about motion
        ([0.0, 1.0, 1.0], "motion free"),
        ([1.0, 0.5, 0.5], "motion at ω = 0.5"),
        ([0.0, 0.5, 1.0, 1.0], "motion free from frame 2"),
        ([0.0, 0.9, 0.2, 1.0], "motion free from frame 3"),
        ([1.0, 0.75, 0.5, 0.5, 0.5], "ω falls from 0.75 at frame 1 to 0.5 at frame 2"),
        ([0.0, 0.2, 0.4], "ω rises from 0.2 at frame 1 to 0.4 at frame 2"),
        ([0.0, 0.2, 1.0, 0.4], "ω between 0.2 and 1"),
        ([1.0, 2 / 3, 1 / 3], "ω falls from 0.667 at frame 1 to 0.333 at frame 2"),
    ],
)
def test_the_motion(weights, expected):
    assert motion_words(weights) == expected


def sentence(num_steps, num_frames, note="", **settings):
    settings = Settings(enabled=True, **settings)
    rectified = rectified_steps(num_steps, settings.tau_start, settings.tau_end)
    return summary(settings, omega_weights(settings, num_frames), rectified, num_steps, note)


def test_whether_the_first_frame_is_kept():
    omega = {"omega": [0.0] * 8 + [1.0] * 8}
    end = "motion free from frame 8"
    assert sentence(25, 16, pin_first_frame=True, **omega) == f"steps 1–15 of 25 rectified, first frame kept, {end}"
    assert sentence(25, 16, tau_end=1.0, **omega) == f"steps 1–25 of 25 rectified, first frame kept, {end}"
    assert sentence(25, 16, **omega) == f"steps 1–15 of 25 rectified, first frame free after step 15, {end}"
    late = "first frame not kept, because rectification starts with step 6"
    for pinned in (False, True):  # y_0 = z_0 needs rectification from the first step
        given = sentence(25, 16, tau_start=0.2, pin_first_frame=pinned, **omega)
        assert given == f"steps 6–15 of 25 rectified, {late}, {end}"


def test_the_authors_default():
    """16 frames: ω is 1 - 0.5·i/7 up to frame 7 and then 0.5; frame 1 has 0.9286."""
    assert sentence(25, 16) == (
        "steps 1–15 of 25 rectified, first frame free after step 15, ω falls from 0.929 at frame 1 to 0.5 at frame 7"
    )


def test_what_is_kept_after_the_window():
    omega = {"omega": "constant"}
    after = "steps 1–15 of 25 rectified, first frame free after step 15"
    assert sentence(25, 16, release=0.2, **omega) == f"{after}, fading out over 20 % of the steps, motion free"
    assert sentence(25, 16, hold_colour=True, **omega) == f"{after}, color preserved, motion free"
    to_the_end = "steps 1–25 of 25 rectified, first frame kept, motion free"
    assert sentence(25, 16, tau_end=1.0, hold_colour=True, release=0.2, **omega) == to_the_end


def test_a_loop_comes_back():
    """16 frames: ω is 0.5 at frame 0, and rises by 1/8 of the way a frame up to frame 4, where it is 1."""
    assert sentence(25, 16, tau_end=1.0, loop=True) == (
        "steps 1–25 of 25 rectified, first frame kept, ω between 0.625 and 1, seamless loop"
    )
    assert sentence(25, 1, tau_end=1.0, loop=True) == "steps 1–25 of 25 rectified, first frame kept"


def test_the_share_of_motion():
    start = "steps 1–25 of 25 rectified, first frame kept"
    share = {"tau_end": 1.0, "omega": "motion", "motion": 0.29}
    assert sentence(25, 16, **share) == f"{start}, 29 % of the model's motion"
    assert sentence(25, 16, loop=True, **share) == f"{start}, 29 % of the model's motion, seamless loop"
    assert sentence(25, 1, **share) == start


def test_a_motion_that_is_yet_to_be_found():
    for omega in ("authors", "motion"):
        assert sentence(25, 16, tau_end=1.0, omega=omega, target_ssim=0.8) == (
            "steps 1–25 of 25 rectified, first frame kept, motion tuned for SSIM 0.8"
        )


def test_a_window_by_noise_level_counts_no_steps():
    def by_level(**settings):
        return sentence(25, 2, tau_unit="noise level", omega="constant", **settings)

    start = "rectified from 0 % to 60 % of the noise levels"
    assert by_level() == f"{start}, first frame free after 60 %, motion free"
    assert (
        by_level(note="Restart goes back") == f"{start} (Restart goes back), first frame free after 60 %, motion free"
    )
    assert by_level(pin_first_frame=True, release=0.1) == (
        f"{start}, first frame kept, fading out over 10 % of the noise levels, motion free"
    )
    assert by_level(tau_end=1.0) == "rectified from 0 % to 100 % of the noise levels, first frame kept, motion free"
    assert by_level(tau_end=0.0) == "nothing rectified: a plain video"


def test_where_the_start_is():
    start = "steps 1–25 of 25 rectified, first frame kept, motion free"
    free = {"tau_end": 1.0, "omega": "constant"}
    late = "starting at 86 % of the noise levels"
    assert sentence(25, 16, start_time=0.86, **free) == f"{start}, {late}"
    drawn = "initial noise from clips.safetensors"
    assert sentence(25, 16, start_time=0.86, statistics="clips.safetensors", **free) == f"{start}, {late}, {drawn}"
    assert sentence(25, 16, statistics="clips.safetensors", **free) == f"{start}, {drawn}"
    assert sentence(25, 16, tau_end=0.0, start_time=0.86) == f"no step of 25 rectified: a plain video, {late}"


def test_a_window_that_nothing_falls_into():
    assert sentence(25, 16, tau_end=0.0) == "no step of 25 rectified: a plain video"
    assert sentence(25, 16, tau_end=0.0, pin_first_frame=True) == "no step of 25 rectified: a plain video"


def test_a_note_stands_behind_the_steps():
    assert sentence(23, 1, "DDIM takes 23 steps instead of 25", tau_end=1.0) == (
        "steps 1–23 of 23 rectified (DDIM takes 23 steps instead of 25), first frame kept"
    )


def test_a_sampler_that_chooses_its_own_steps():
    def unknown(**settings):
        return summary(Settings(enabled=True, **settings), [1.0, 1.0], None, None, "DPM adaptive chooses its steps")

    start = "% of the noise range (log σ) (DPM adaptive chooses its steps)"
    assert unknown() == f"rectified from 0 % to 60 {start}, first frame free after 60 %, motion free"
    assert unknown(tau_end=1.0) == f"rectified from 0 % to 100 {start}, first frame kept, motion free"
    assert unknown(tau_start=0.5) == (
        f"rectified from 50 % to 60 {start}, first frame not kept, because rectification starts at 50 %, motion free"
    )
    assert unknown(tau_start=0.6) == "nothing rectified: a plain video"

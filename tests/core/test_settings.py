"""Settings: every value is checked, and a wrong one is named."""

import dataclasses
import math
import random

import pytest

from lib_noiserect.core.keyframes import Keyframes
from lib_noiserect.core.schedule import in_window, omega_weights, rectified_steps
from lib_noiserect.core.settings import FIELDS, OMEGA_PRESETS, Settings, SettingsError


def test_defaults_are_the_papers():
    settings = Settings()
    assert (settings.enabled, settings.tau_start, settings.tau_end) == (False, 0.0, 0.6)
    assert (settings.omega, settings.omega_start, settings.omega_end) == ("authors", 1.0, 0.5)
    assert (settings.omega_resample, settings.pin_first_frame) == (False, False)
    # What the paper does not have does nothing, or what the host would do anyway.
    assert (settings.target_ssim, settings.tau_unit, settings.release, settings.hold_colour) == (0.0, "steps", 0.0, False)
    assert (settings.loop, settings.repeat_noise) == (False, True)


def test_fields_and_settings_agree():
    assert list(FIELDS) == [row.name for row in dataclasses.fields(Settings)]
    for name, row in FIELDS.items():
        assert getattr(Settings(), name) == row.default
        assert row.label and row.help.endswith(".") and row.allowed


def test_settings_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().tau_end = 1.0


@pytest.mark.parametrize(
    "name, value",
    [
        ("tau_start", True),
        ("tau_start", "early"),
        ("tau_start", None),
        ("tau_start", float("nan")),
        ("tau_end", float("inf")),
        ("tau_end", "inf"),
        ("tau_end", -0.01),
        ("tau_end", 1.01),
        ("tau_end", [0.5]),
        ("tau_end", 10**400),
        ("omega_start", "nan"),
        ("candidates", 65),
        ("candidates", 2.5),
        ("candidates", "two"),
        ("candidates", True),
        ("pick", -2),
        ("pick", 10**400),
        ("scorer", "beauty"),
        ("omega_end", {}),
        ("enabled", "yes"),
        ("enabled", 1),
        ("enabled", None),
        ("omega", "authors2"),
        ("omega", []),
        ("omega", 0.5),
        ("omega", True),
        ("omega", None),
        ("omega", [[1.0]]),
        ("omega", [1.0, True]),
        ("omega", [1.0, float("nan")]),
        ("omega", [1.5]),
        ("omega", {"0": 1}),
        ("omega", [0.5] * 4097),
        ("omega", "0.5 " * 4097),
        ("omega", ""),
        ("omega", "1, two"),
        ("pin_first_frame", 0),
        ("tau_unit", "seconds"),
        ("tau_unit", ""),
        ("tau_unit", True),
        ("tau_unit", None),
        ("interpolation", ["slerp"]),
        ("mask_feather", 17),
        ("start_time", 0.49),
        ("start_time", 1.01),
        ("start_time", float("nan")),
        ("statistics", "clips"),
        ("statistics", "clips.pt"),
        ("statistics", "../clips.safetensors"),
        ("statistics", "clips.safetensors/../../secret"),
        ("statistics", "/clips.safetensors"),
        ("statistics", "a\\clips.safetensors"),
        ("statistics", ".safetensors"),
        ("statistics", "-o.safetensors"),
        ("statistics", "a, b.safetensors"),
        ("statistics", "a\nb.safetensors"),
        ("statistics", "a\0.safetensors"),
        ("statistics", "a" * 120 + ".safetensors"),
        ("statistics", 5),
        ("statistics", None),
        ("statistics", ["a.safetensors"]),
    ],
)
def test_a_wrong_value_is_refused_by_name(name, value):
    with pytest.raises(SettingsError) as caught:
        Settings.from_mapping({name: value})
    message = str(caught.value)
    assert name in message and "use " in message and len(message) < 400


def test_the_message_has_value_and_range():
    with pytest.raises(SettingsError, match=r"tau_end = 1.5 is out of range: use a number from 0 to 1"):
        Settings(tau_end=1.5)


def test_unknown_names_are_refused():
    with pytest.raises(SettingsError, match="unknown setting tau_stop: use enabled, tau_start"):
        Settings.from_mapping({"tau_stop": 0.5})


def test_start_after_end_is_refused_and_equal_is_an_empty_window():
    with pytest.raises(SettingsError, match="tau_start = 0.7 is after tau_end = 0.6"):
        Settings(tau_start=0.7)
    assert rectified_steps(25, 0.5, 0.5) == []


def test_text_is_read_as_infotext_writes_it():
    settings = Settings.from_mapping(
        {"enabled": "False", "tau_end": " 0.25 ", "omega": "1, 0.75,0.5", "pin_first_frame": "TRUE"}
    )
    assert (settings.enabled, settings.tau_end, settings.omega) == (False, 0.25, (1.0, 0.75, 0.5))
    assert settings.pin_first_frame is True
    assert Settings(omega=" Linear ").omega == "linear"
    assert Settings(tau_unit=" Noise Level ").tau_unit == "noise level"


def test_a_choice_is_one_of_a_few():
    row = FIELDS["tau_unit"]
    assert row.kind == "choice" and row.allowed == "steps or noise level"
    assert {name for name, row in FIELDS.items() if row.kind == "choice"} == {"tau_unit", "interpolation", "scorer"}
    for row in (FIELDS["tau_unit"], FIELDS["interpolation"], FIELDS["scorer"]):
        assert row.default in row.choices and all(row.parse(name) == name for name in row.choices)
    with pytest.raises(SettingsError, match="tau_unit = 'sigma' is not allowed: use steps or noise level"):
        Settings(tau_unit="sigma")


def test_a_file_is_a_bare_name_or_none():
    assert FIELDS["statistics"].kind == "file" and Settings().statistics == "none"
    for off in ("", "none", " None "):
        assert Settings(statistics=off).statistics == "none"
    for name in ("clips.safetensors", "Überfahrt 2 (512x512).safetensors", "a_b-c+1=2@x.y.safetensors"):
        assert Settings(statistics=f" {name} ").statistics == name
    with pytest.raises(
        SettingsError, match=r"statistics = 'clips' is not a valid file name: use the name of a file that ends in"
    ):
        Settings(statistics="clips")


NUMBERS = (0, 1, -1, 7, 10**400, -(2**63), 0.0, -0.0, 0.5, 1.0, 1 + 2**-52, 5e-324, -1e308, math.nan, math.inf, -math.inf)
WORDS = ("", " ", "0", "1.0", " 0.5", "0,5", "0.5,1", "1,", "-1", ".", "e", "1e9", "nan", "-inf", "ω", "false", "none")
LISTS = ([], [0.5], [1.0, 0.0, 0.25], [math.nan], [0.5, math.inf], [-1e-9, 1], ["ω"], [None], [[0.5]], [10**400])
ANYTHING = (None, True, False, *NUMBERS, *WORDS, *LISTS, *OMEGA_PRESETS, {}, b"1", 1j)


def mappings():
    """Each field with each value, and many fields at once."""
    for name in FIELDS:
        yield from ({name: value} for value in ANYTHING)
    draw = random.Random(0)
    for _ in range(500):
        yield {name: draw.choice(ANYTHING) for name in draw.sample(list(FIELDS), draw.randrange(2, 6))}


def test_any_input_makes_valid_settings_or_a_settings_error():
    accepted = 0
    for values in mappings():
        try:
            settings = Settings.from_mapping(values)
        except SettingsError:
            continue
        accepted += 1
        assert 0.0 <= settings.tau_start <= settings.tau_end <= 1.0, values
        assert isinstance(settings.enabled, bool), values
        assert settings.omega in OMEGA_PRESETS or all(0.0 <= weight <= 1.0 for weight in settings.omega), values
    assert accepted > 100


@pytest.mark.parametrize(
    "frames, expected",
    [
        (1, [0.5]),
        (2, [1.0, 0.5]),
        (3, [1.0, 0.5, 0.5]),
        (5, [1.0, 0.5, 0.5, 0.5, 0.5]),
        (6, [1.0, 0.75, 0.5, 0.5, 0.5, 0.5]),
        (7, [1.0, 0.75, 0.5, 0.5, 0.5, 0.5, 0.5]),
    ],
)
def test_authors_weights_by_hand(frames, expected):
    assert omega_weights(Settings(), frames) == pytest.approx(expected)


def test_the_other_presets_by_hand():
    assert omega_weights(Settings(omega="linear"), 3) == pytest.approx([1.0, 0.75, 0.5])
    assert omega_weights(Settings(omega="linear"), 1) == [1.0]
    assert omega_weights(Settings(omega="constant", omega_start=0.3), 4) == [0.3] * 4
    assert omega_weights(Settings(omega="frozen"), 3) == [0.0] * 3


def test_presets_in_a_loop_and_between_key_frames_by_hand():
    """They rise with the distance to the nearest key frame, round the clip in a loop."""
    loop = Settings(loop=True, omega="linear", omega_start=0.9, omega_end=0.3)
    assert omega_weights(loop, 6) == pytest.approx([0.3, 0.5, 0.7, 0.9, 0.7, 0.5])
    assert omega_weights(Settings(loop=True), 8) == pytest.approx([0.5, 0.75, 1, 1, 1, 1, 1, 0.75])
    assert omega_weights(Settings(loop=True), 1) == [0.5]
    assert omega_weights(Settings(loop=True, omega="constant"), 3) == [1.0] * 3
    assert omega_weights(Settings(loop=True, omega=[1, 0, 1]), 3) == [1, 0, 1]
    ends = Keyframes((0, 4), 5)
    assert omega_weights(Settings(omega="linear"), ends) == pytest.approx([0.5, 0.75, 1, 0.75, 0.5])


def test_a_list_needs_the_clips_length_unless_resampled():
    with pytest.raises(SettingsError, match="omega has 2 entries and the video has 5 frames"):
        omega_weights(Settings(omega=[1, 0]), 5)
    assert omega_weights(Settings(omega=[1, 0], omega_resample=True), 5) == pytest.approx([1, 0.75, 0.5, 0.25, 0])
    assert omega_weights(Settings(omega=[0.25], omega_resample=True), 3) == [0.25] * 3
    assert omega_weights(Settings(omega=[0.25, 1.0], omega_resample=True), 1) == [0.25]


@pytest.mark.parametrize("preset", sorted(OMEGA_PRESETS))
def test_every_preset_has_one_weight_a_frame_in_range(preset):
    draw = random.Random(0)
    for frames in (*range(1, 34), 200):
        start, end = draw.choice((0.0, 1.0, draw.random())), draw.choice((0.0, 1.0, draw.random()))
        weights = omega_weights(Settings(omega=preset, omega_start=start, omega_end=end), frames)
        assert len(weights) == frames
        assert all(-1e-12 <= weight <= 1 + 1e-12 for weight in weights)


@pytest.mark.parametrize(
    "num_steps, start, end, expected",
    [
        (25, 0.0, 0.6, list(range(15))),
        (100, 0.0, 0.07, list(range(7))),
        (100, 0.07, 0.1, [7, 8, 9]),
        (1, 0.0, 0.6, [0]),
        (3, 0.34, 0.66, []),
        (10, 0.55, 1.0, [6, 7, 8, 9]),
        (4, 0.0, 1.0, [0, 1, 2, 3]),
    ],
)
def test_windows_by_hand(num_steps, start, end, expected):
    assert rectified_steps(num_steps, start, end) == expected


def test_windows_in_whole_percents_are_exact():
    """Compared with integer arithmetic, where 100·0.07 is 7."""
    draw = random.Random(0)
    windows = [(num_steps, start, 100) for num_steps in (1, 25, 100) for start in range(101)]
    windows += [(draw.randrange(1, 1001), draw.randrange(101), draw.randrange(101)) for _ in range(100)]
    for num_steps, start, end in windows:
        expected = [i for i in range(num_steps) if num_steps * start <= 100 * i < num_steps * end]
        assert rectified_steps(num_steps, start / 100, end / 100) == expected


def test_fractional_positions_belong_to_the_step_they_are_in():
    assert in_window(0.599, 1, 0.0, 0.6) and not in_window(0.6, 1, 0.0, 0.6)

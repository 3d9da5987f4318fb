"""The command `schedule`, and the settings as options: every one of FIELDS, checked by Settings itself."""

import argparse

import pytest

from lib_noiserect.cli import schedule
from lib_noiserect.cli.options import add_settings, message_of, settings_of
from lib_noiserect.core.errors import UserError
from lib_noiserect.core.settings import CREATION, FIELDS, Settings


def settings_from(words=""):
    parser = argparse.ArgumentParser()
    add_settings(parser)
    return settings_of(parser.parse_args(words.split()))


def run(words=""):
    parser = argparse.ArgumentParser()
    schedule.add_arguments(parser)
    schedule.run(parser.parse_args(words.split()))


def test_the_options_are_the_fields():
    parser = argparse.ArgumentParser()
    nothing = {action.dest for action in parser._actions}
    add_settings(parser)
    added = {action.dest: action for action in parser._actions if action.dest not in nothing}
    # A file of statistics is given by its path, by the command that takes one.
    assert set(added) == set(FIELDS) - {"enabled", "repeat_noise", "statistics", *CREATION}
    for name, action in added.items():
        assert action.option_strings[0] == "--" + name.replace("_", "-")
        assert FIELDS[name].help in action.help
    shown = " ".join(parser.format_help().split())
    assert "0.6" in shown and "Default: authors." in shown and "Default: off." in shown


def test_no_options_are_the_defaults():
    assert settings_from() == Settings(enabled=True)


def test_every_option_arrives():
    given = settings_from(
        "--tau-start 0.1 --tau-end 1 --omega 1,0.9,0 --omega-start 0.8 --omega-end 0.2 "
        "--omega-resample --pin-first-frame"
    )
    assert given == Settings(True, 0.1, 1.0, (1.0, 0.9, 0.0), 0.8, 0.2, True, True)
    assert settings_from("--no-pin-first-frame --omega frozen") == Settings(enabled=True, omega="frozen")
    given = settings_from(
        "--omega motion --motion 0.3 --target-ssim 0.8 --tau-unit noise-level --release 0.2 --hold-colour --loop "
        "--interpolation hold --mask-feather 2"
    )
    wanted = {"omega": "motion", "motion": 0.3, "target_ssim": 0.8, "tau_unit": "noise level", "release": 0.2}
    assert given == Settings(enabled=True, **wanted, hold_colour=True, loop=True, interpolation="hold", mask_feather=2)


@pytest.mark.parametrize(
    "words, message",
    [
        ("--tau-end 1.5", "--tau-end = '1.5' is out of range: use a number from 0 to 1"),
        ("--tau-start late", "--tau-start = 'late' is not a number"),
        ("--tau-start 0.7", "--tau-start = 0.7 is after --tau-end = 0.6: set --tau-start to --tau-end or lower"),
        ("--omega author", "--omega = 'author' is neither a preset nor a list"),
        ("--omega 1,2", "--omega = '2' is out of range"),
        ("--tau-unit minutes", "--tau-unit = 'minutes' is not allowed: use steps or noise level"),
        ("--interpolation linear", "--interpolation = 'linear' is not allowed: use slerp or hold"),
    ],
)
def test_a_wrong_value_is_named_as_an_option(words, message):
    with pytest.raises(UserError) as caught:
        settings_from(words)
    assert message_of(caught.value).startswith(message) and "\n" not in message_of(caught.value)


def test_a_schedule_by_noise_level_says_that_the_sampler_decides(capsys):
    run("--steps 8 --frames 2 --tau-unit noise-level --omega motion --motion 0.5 --loop --target-ssim 0.8")
    assert capsys.readouterr().out.splitlines() == [
        "τ = [0, 0.6] of the noise levels: the sampler and its schedule decide which steps",
        "ω = motion 0.5, seamless loop",
        "The table shows fractions of the motion; ω depends on the sampler, its steps and τ.",
        "animate replaces ω by the motion that reaches an SSIM of 0.8.",
        "",
        "frame  ω",
        "    0  0",
        "    1  0.5",
    ]


@pytest.mark.parametrize(
    "words, said",
    [
        ("--release 0.2", "steps 1–5 of 8 rectified, then fade-out over 20 %"),
        ("--hold-colour --pin-first-frame", "steps 1–5 of 8 rectified, then color preserved, first frame locked"),
        ("--hold-colour --tau-end 1", "steps 1–8 of 8 rectified"),
    ],
)
def test_what_follows_on_the_window(capsys, words, said):
    run(f"--steps 8 {words}")
    assert capsys.readouterr().out.splitlines()[0].endswith(f": {said}")


def test_the_schedule_as_a_table(capsys):
    """8 steps, τ = [0.25, 0.5]: 2 <= index < 4."""
    run("--steps 8 --frames 5 --tau-start 0.25 --tau-end 0.5 --omega 1,0.5,0.25,0,0.3333 --pin-first-frame")
    assert capsys.readouterr().out.splitlines() == [
        "τ = [0.25, 0.5]: steps 3–4 of 8 rectified, then first frame locked",
        "ω = a list of 5",
        "",
        "frame  ω",
        "    0  1",
        "    1  0.5",
        "    2  0.25",
        "    3  0",
        "    4  0.333",
    ]
    run("--frames 1")
    assert "ω = authors 1 to 0.5" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words, steps, expected",
    [
        ("", 25, "steps 1–15 of 25 rectified"),
        ("--tau-end 0.07", 100, "steps 1–7 of 100 rectified"),
        ("--tau-start 0.5", 8, "step 5 of 8 rectified"),
        ("--tau-end 0 --pin-first-frame", 25, "no step of 25 rectified"),
        ("--tau-end 1 --pin-first-frame", 25, "steps 1–25 of 25 rectified"),
        ("--pin-first-frame", 1, "step 1 of 1 rectified"),
    ],
)
def test_the_window_in_words(words, steps, expected):
    assert schedule.window_words(settings_from(words), steps) == expected


@pytest.mark.parametrize(
    "words, message",
    [
        ("--steps 0", "--steps = 0 is out of range: use 1 to 10000"),
        ("--frames 5000", "--frames = 5000 is out of range: use 1 to 4096"),
        ("--omega 1,1", "--omega has 2 entries and the video has 16 frames: give 16 entries, or set --omega-resample"),
    ],
)
def test_what_is_not_possible(words, message, capsys):
    with pytest.raises(UserError) as caught:
        run(words)
    assert message_of(caught.value) == message
    assert capsys.readouterr().out == ""

"""The command line as a whole: its usage text, its messages, and a closed pipe."""

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from lib_noiserect.__main__ import COMMANDS, console, main
from lib_noiserect.cli.options import message_of
from lib_noiserect.core.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("program", ["python -m lib_noiserect", "noise-rectification"])
def test_the_usage_names_the_program(capsys, monkeypatch, program):
    monkeypatch.setattr(sys, "argv", ["anything", "schedule", "--help"])
    with pytest.raises(SystemExit) as ended:
        console() if program == "noise-rectification" else main()
    assert ended.value.code == 0 and capsys.readouterr().out.startswith(f"usage: {program} schedule ")


def test_help_is_short_and_begins_with_an_imperative():
    """At most 120 characters, but for the default; evaluate has a file of its own."""
    for name in set(COMMANDS) - {"evaluate"}:
        parser = argparse.ArgumentParser()
        COMMANDS[name][0].add_arguments(parser)
        for action in parser._actions:
            text = action.help.partition(" Default: ")[0].partition(" (default: ")[0]
            assert 0 < len(text) <= 120, (name, text)
            assert not text.lower().startswith(("the ", "a ", "an ", "how ", "what ", "which ", "where ", "of ")), text


@pytest.mark.parametrize(
    "message, shown",
    [
        (
            "motion = 0.2 is below the minimum: 0.74 of the motion",
            "--motion = 0.2 is below the minimum: 0.74 of the motion",
        ),
        ("omega has 2 entries: set omega_resample", "--omega has 2 entries: set --omega-resample"),
        ("tau_start = 1 is after tau_end = 0.5", "--tau-start = 1 is after --tau-end = 0.5"),
        ("frames = 33 is more than the 32", "--frames = 33 is more than the 32"),
        ("--frames = 0 is out of range", "--frames = 0 is out of range"),
        ("a file with\na line break in the loop", "a file with a line break in the loop"),
    ],
)
def test_settings_are_named_as_options(message, shown):
    assert message_of(UserError(message)) == shown


def test_without_a_command_the_usage_is_shown(capsys):
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2 and "usage: python -m lib_noiserect" in capsys.readouterr().err


def test_the_usage_takes_no_heavy_import():
    """Importing torch takes seconds."""
    program = "import sys, lib_noiserect.__main__ as module; sys.exit('torch' in sys.modules or 'diffusers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT).returncode == 0


def test_a_closed_pipe_is_no_error():
    """As `| head -1` closes it: 4,096 frames are more than a pipe holds."""
    program = [sys.executable, "-m", "lib_noiserect", "schedule", "--frames", "4096", "--omega", "linear"]
    with subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as started:
        started.stdout.close()
        assert started.stderr.read() == b"" and started.wait() == 1


def test_a_file_name_that_is_too_long_is_one_line(capsys):
    assert main(["animate", "cat.png", "--prompt", "a cat", "-o", "x" * 300 + ".gif"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and "File name too long" in said and said.count("\n") == 1

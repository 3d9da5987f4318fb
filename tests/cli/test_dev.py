"""`dev.py`, which runs the commands and the tests in environments of its own."""

import re
import sys
from pathlib import Path

import pytest

import dev

ROOT = Path(__file__).resolve().parents[2]


def test_relative_paths_are_the_callers(tmp_path, monkeypatch, capfd):
    """The command finds the caller's file, which is no image."""
    (tmp_path / "cat.png").write_text("a cat", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        dev.run_library(sys.executable, "animate", "cat.png", "--prompt", "a cat", "-o", "cat.gif")
    assert end.value.code == 2 and "cat.png is not an image" in capfd.readouterr().err


@pytest.mark.parametrize(
    "arguments, included",
    [
        ([], True),
        (["-x"], True),
        (["--all"], True),
        (["tests"], True),
        (["tests/browser/test_accordion.py::test"], True),
        (["tests/core", "-x"], False),
    ],
)
def test_the_browsers_are_set_up_for_their_tests_alone(arguments, included):
    assert dev.includes_browser_tests(arguments) is included


def test_ci_runs_the_readmes_test_command():
    blocks = re.findall(r"^```sh\n(.*?)\n```", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    commands = [line for line in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines() if line.startswith("python")]
    assert commands == ["python dev.py test"] and commands[0] in blocks

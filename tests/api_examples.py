"""The examples of docs/api.md, and how they are run: against the stand-in in tests/webui, and a web UI in tests/live."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "api.md").read_text(encoding="utf-8")
EXAMPLES = [
    (heading, language, code)
    for heading, text in re.findall(r"^##+ (.+?)\n(.*?)(?=^##+ |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    for language, code in re.findall(r"^```(\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
]


def example(heading, language, containing=""):
    [code] = [code for title, kind, code in EXAMPLES if (title, kind) == (heading, language) and containing in code]
    return code


def finished(code, language, folder, timeout=100):
    """The process that ran an example in `folder`."""
    if language == "sh" and not (shutil.which("curl") and shutil.which("sh")):
        pytest.skip("curl is not installed")
    file = folder / f"example.{language}"
    file.write_text(code, encoding="utf-8")
    return subprocess.run(
        ["sh" if language == "sh" else sys.executable, str(file)],
        cwd=folder,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", "no_proxy": "127.0.0.1"},
        capture_output=True,
        encoding="utf-8",
        timeout=timeout,
    )

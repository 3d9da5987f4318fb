"""The files for those who do not know the project yet: package, index of extensions, citation, forge, compatibility."""

import datetime
import importlib
import json
import re
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

import dev
from lib_noiserect.core.report import VERSION
from lib_noiserect.webui.host import WORKING

yaml = pytest.importorskip("yaml")  # comes with transformers
ROOT = Path(__file__).resolve().parents[2]
# The tags of the web UI's index of extensions, from its tags.json.
TAGS = {
    "script", "localization", "tab", "dropdown", "ads", "installed", "training", "models", "UI related", "prompting",
    "editing", "manipulations", "online", "animation", "query", "science", "extras",
}  # fmt: skip
PYTHONS = ["3.10", "3.11", "3.12"]
# Each file that has the repository's address, and the pages there that it links to.
ADDRESSES = {
    "pyproject.toml": ["ADDRESS", "ADDRESS/blob/main/CHANGELOG.md", "ADDRESS/issues"],
    "CITATION.cff": ["ADDRESS"],
    "extension-index.json": ["ADDRESS.git"],
    "README.md": ["ADDRESS", "ADDRESS/issues"],
    "SECURITY.md": ["ADDRESS/security/advisories/new"],
    ".github/ISSUE_TEMPLATE/problem.yml": ["ADDRESS/blob/main/docs/troubleshooting.md"],
}


def text_of(name):
    return (ROOT / name).read_text(encoding="utf-8")


def address():
    """The repository's, which stands in pyproject.toml."""
    return re.search(r'^Repository = "(.+)"$', text_of("pyproject.toml"), re.MULTILINE)[1]


def test_the_entry_of_the_index_of_extensions():
    """As the index validates entries, and without a date, which the index adds."""
    entry = json.loads(text_of("extension-index.json"))
    assert list(entry) == ["name", "url", "description", "tags"] and all(entry.values())
    assert set(entry["tags"]) <= TAGS and "installed" not in entry["tags"]
    assert re.match(r"(https://[^ ]+?)(?:(?:\.git)$|$)", entry["url"])[1] == address()


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load(text_of("CITATION.cff"))
    assert (citation["cff-version"], citation["version"]) == ("1.2.0", VERSION)
    assert {"message", "title", "authors", "license"} <= set(citation) and citation["repository-code"] == address()
    papers = [reference["identifiers"][0]["value"] for reference in citation["references"]]
    assert papers == ["arXiv:2403.02827", "arXiv:2406.02230", "arXiv:2406.15735"]


def test_the_address_is_the_same_everywhere():
    """Each file that needs the repository's address has that of pyproject.toml, and no other file names one."""
    files = [file for pattern in ("*.*", "docs/**/*.md", ".github/**/*.yml") for file in ROOT.glob(pattern) if file.is_file()]
    found = {}
    for file in files:
        if links := re.findall(r"https?://[\w./-]*noise-rectification[\w./-]*", file.read_text(encoding="utf-8")):
            found[file.relative_to(ROOT).as_posix()] = [link.replace(address(), "ADDRESS", 1) for link in links]
    assert found == ADDRESSES


def test_a_released_version_has_no_placeholder():
    assert ".invalid/" not in address() or "not released yet" in text_of("CHANGELOG.md").split("## ")[1]


@pytest.mark.skipif(not (shutil.which("git") and (ROOT / ".git").exists()), reason="not a clone")
def test_a_clone_weighs_at_most_40_megabytes():
    """As *Install from URL* clones: every file and its compressed copy, and the history without files (below 1.5 MB)."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    files = [file for name in listed.decode().split("\0") if (file := ROOT / name).is_file()]
    weights = {file.relative_to(ROOT): len(data) + len(zlib.compress(data)) for file in files for data in [file.read_bytes()]}
    assert sum(weights.values()) < 38e6, sorted(weights.items(), key=lambda item: -item[1])[:5]


def test_the_changelog_begins_with_this_version():
    heading = re.search(r"^## (\S+)(?: \((.+)\))?$", text_of("CHANGELOG.md"), re.MULTILINE)
    assert heading[1] == VERSION
    assert heading[2] == "not released yet" or datetime.date.fromisoformat(heading[2])


def test_the_issue_form():
    form = yaml.safe_load(text_of(".github/ISSUE_TEMPLATE/problem.yml"))
    fields = [entry for entry in form["body"] if entry["type"] != "markdown"]
    assert [entry["id"] for entry in fields] == ["report", "infotext", "host", "log", "problem"]
    assert {"name", "description", "body"} <= set(form) and all(entry["attributes"]["label"] for entry in fields)
    shown = text_of("lib_noiserect/webui/ui.py")
    assert 'make.button("Copy report"' in shown and 'make.fold("Advanced"' in shown


def test_the_forge_runs_three_systems_and_builds_the_package():
    jobs = yaml.safe_load(text_of(".github/workflows/tests.yml"))["jobs"]
    matrix = jobs["tests"]["strategy"]["matrix"]
    assert [system.split("-")[0] for system in matrix["os"]] == ["ubuntu", "windows", "macos"]
    assert matrix["python"] == [PYTHONS[0], PYTHONS[-1]]
    commands = [[step["run"] for step in job["steps"] if "run" in step] for job in jobs.values()]
    assert commands[0] == ["python dev.py test"] and commands[1][-1] == "python -m build"


def test_one_place_says_what_is_supported():
    """README's table; what the package, dev.py and the messages say is in it."""
    table = text_of("README.md").partition("## Compatibility")[2]
    metadata = text_of("pyproject.toml")
    assert re.findall(r"Python :: (3\.\d+)\"", metadata) == PYTHONS and f'requires-python = ">={PYTHONS[0]}"' in metadata
    assert f"Python {', '.join(PYTHONS)}" in table
    assert f"use Python {', '.join(PYTHONS[:-1])} or {PYTHONS[-1]}" in text_of("dev.py")
    assert f"{sys.version_info[0]}.{sys.version_info[1]}" in PYTHONS
    for version in re.findall(r"\d+\.\d+\.\d+|main-old", WORKING):
        assert version in table
    oldest = re.search(r"diffusers (0\.\d+)", table)[1]
    assert f'"diffusers>={oldest}"' in metadata
    for pinned in re.findall(r"diffusers==(0\.\d+)", text_of("requirements-dev.txt")):
        assert pinned in table


def test_every_command_is_one_of_dev_py():
    from lib_noiserect.__main__ import COMMANDS

    assert set(dev.COMMANDS) == set(COMMANDS)


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "tests" / "live").glob("test_*.py")))
def test_the_tests_on_a_web_ui_stay_in_step_with_the_library(name, monkeypatch):
    """They run on demand, so this is where a name that they import and that is gone is noticed."""
    for folder in ("live", "browser", "webui", ""):
        monkeypatch.syspath_prepend(ROOT / "tests" / folder)
    assert importlib.import_module(name).__file__ == str(ROOT / "tests" / "live" / f"{name}.py")

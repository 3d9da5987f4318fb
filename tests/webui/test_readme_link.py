"""The address of the accordion's help link."""

from pathlib import Path

import pytest

from lib_noiserect.webui.readme import ROOT, SECTION, readme_address


@pytest.mark.parametrize(
    "url, link",
    [
        ("https://example.org/some/extension.git", f"https://example.org/some/extension#{SECTION}"),
        ("https://example.org/some/extension/", f"https://example.org/some/extension#{SECTION}"),
        ("https://name:secret@example.org/some/extension", None),
        ("git@example.org:some/extension.git", None),
        ("/home/somebody/extension", None),
    ],
)
def test_the_link_goes_where_the_extension_came_from(tmp_path, monkeypatch, url, link):
    (tmp_path / "extension" / ".git").mkdir(parents=True)
    (tmp_path / "extension" / ".git" / "config").write_text(f'[remote "origin"]\n\turl = {url}\n')
    monkeypatch.chdir(tmp_path)
    assert readme_address(Path(tmp_path / "extension")) == (link or "file=extension/README.md")


def test_without_a_repository_the_link_goes_to_the_copy(tmp_path):
    assert readme_address(tmp_path) == f"file={tmp_path.as_posix()}/README.md"


def test_the_readme_has_the_section():
    headings = [line for line in (ROOT / "README.md").read_text("utf-8").splitlines() if line.startswith("#")]
    assert f"## {SECTION.capitalize()}" in headings

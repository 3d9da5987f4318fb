"""Where the accordion's help link goes."""

from __future__ import annotations

import os
import re
from pathlib import Path

# Not resolved: the host serves files below its own folder, and an extension may be a link in there.
ROOT = Path(os.path.abspath(__file__)).parents[2]
SECTION = "use"  # the heading's anchor


def readme_address(root: Path = ROOT) -> str:
    """The README on the project's page, if the extension was installed from one; else its copy, which the host serves."""
    config = root / ".git" / "config"
    # An address with a name or a password in it is nobody's business.
    url = re.compile(r"^\s*url\s*=\s*(https://[^\s@]+?)(?:\.git)?/?\s*$", re.MULTILINE)
    found = url.search(config.read_text("utf-8")) if config.is_file() else None
    if found:
        return f"{found[1]}#{SECTION}"
    readme = root / "README.md"
    return f"file={readme.relative_to(Path.cwd()) if readme.is_relative_to(Path.cwd()) else readme}".replace(
        os.sep, "/"
    )

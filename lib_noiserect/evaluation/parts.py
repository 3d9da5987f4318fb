"""A part of a report, written twice: as HTML for the page, and as Markdown for a summary."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from .store import MODEL_FILE


@dataclass(frozen=True)
class Part:
    """One experiment, or what is said of several. `name` is the section's in Markdown and the anchor in HTML.

    `markdown` and `html` are what stands below the heading.
    """

    name: str
    heading: str
    markdown: str
    html: str

    @property
    def section(self) -> str:
        """As Markdown, with its heading."""
        return f"## {self.heading}\n\n{self.markdown}"


def model_facts(folder: Path) -> list[tuple[str, str]]:
    """What made the clips, if the folder says it: names and values."""
    file = folder / MODEL_FILE
    if not file.is_file():
        return []
    said = json.loads(file.read_text(encoding="utf-8"))
    return [(name.capitalize(), "yes" if value is True else str(value)) for name, value in said.items() if value]


def markdown_facts(facts: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in facts) + "."


def markdown_list(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)


def markdown_table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)


def html_facts(facts: Sequence[tuple[str, str]]) -> str:
    shown = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    return f"<dl>{shown}</dl>"


def html_list(sentences: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f'<ul class="findings">{items}</ul>' if items else ""

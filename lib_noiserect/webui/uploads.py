"""Files of statistics that come through the page: looked at before they are put into the extension's folder."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import gradio as gr
import torch

from ..methods import statistics_file
from ..methods.analytic import Statistics, describe
from ..settings import FIELDS, NO_FILE, SettingsError

MAX_FILES = 100


def choices() -> list[str]:
    return [NO_FILE, *statistics_file.names()]


def receive(file: Any) -> tuple[Any, str]:
    """What the dropdown then shows, and what is said below it; called by the page with its own copy of the file."""
    if file is None:
        return gr.update(), ""
    path = Path(file.name if hasattr(file, "name") else str(file))
    try:
        name, words = _kept(path)
    except SettingsError as error:
        return gr.update(), f'<p class="noise-rectification-line wrong">{html.escape(str(error))}</p>'
    return gr.update(choices=choices(), value=name), f'<p class="noise-rectification-line">{html.escape(words)}</p>'


def _kept(path: Path) -> tuple[str, str]:
    """The name under which it is in the folder now, and what it is of.

    Raises:
        SettingsError: it is not a file of statistics, its name cannot be one, or there is no room for it.
    """
    name = FIELDS["statistics"].parse(path.name)
    statistics = statistics_file.load(path)
    folder, there = statistics_file.FOLDER, statistics_file.names()
    if name in there:
        if not _same(statistics, statistics_file.named(name)):
            raise SettingsError(f"statistics = {name!r} is there already, with other content: give it another name")
    elif len(there) >= MAX_FILES:
        raise SettingsError(f"the folder statistics has {len(there)} files: delete some first")
    else:
        try:
            folder.mkdir(exist_ok=True)
            statistics_file.save(statistics, folder / name)
        except OSError as error:
            raise SettingsError(
                f"the folder statistics cannot be written to ({error.strerror or error}): put the file there by hand"
            ) from None
    return name, _words(name, statistics)


def _same(one: Statistics, other: Statistics) -> bool:
    equal = describe(one) == describe(other)
    return equal and all(torch.equal(value, other.values[key]) for key, value in one.values.items())


def _words(name: str, statistics: Statistics) -> str:
    clips = f"{statistics.clips} clips" if statistics.clips else "clips"
    size = f" of {statistics.width}x{statistics.height}" if statistics.width else ""
    return f"{name}: {statistics.kind}, {clips}{size}, {statistics.frames} frames"

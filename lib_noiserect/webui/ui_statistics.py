"""The control for statistics files: the extension's folder, and uploads, which are checked first."""

from __future__ import annotations

import html
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from modules.ui_common import create_refresh_button

from ..core.settings import FIELDS, FILE_ENDING, NO_FILE, SettingsError
from ..methods import statistics_file
from .ui_controls import described

if TYPE_CHECKING:
    from ..methods.analytic_init import Statistics

MAX_FILES = 100

# gradio answers each user in a thread of its own.
_one_at_a_time = threading.Lock()


def statistics_control(elem_id: Callable[[str], str]) -> Any:
    """The files of the folder, a button to refresh the list, and one to upload a file."""
    row = FIELDS["statistics"]
    with gr.Row(elem_classes=["noise-rectification-statistics"]):
        control = gr.Dropdown(choices(), value=row.default, **described("statistics", elem_id, info=row.help))
        create_refresh_button(control, lambda: None, lambda: {"choices": choices()}, elem_id("statistics_refresh"))
        button = gr.UploadButton("Upload", file_types=[FILE_ENDING], elem_id=elem_id("statistics_upload"))
    said = gr.HTML("", elem_id=elem_id("statistics_said"))
    button.upload(fn=receive, inputs=[button], outputs=[control, said], show_progress=False)
    for one in (control, button):
        one.do_not_save_to_config = True  # the file may be gone another day
    return control


def choices() -> list[str]:
    return [NO_FILE, *statistics_file.names()]


def receive(file: Any) -> tuple[Any, str]:
    """Keep an uploaded file, of which gradio has made a copy. Returns the dropdown's update and the text below it."""
    if file is None:
        return gr.update(), ""
    path = Path(file.name if hasattr(file, "name") else str(file))
    try:
        name, words = _kept(path)
    except SettingsError as error:
        return gr.update(), f'<p class="noise-rectification-line wrong">{html.escape(str(error))}</p>'
    return gr.update(choices=choices(), value=name), f'<p class="noise-rectification-line">{html.escape(words)}</p>'


def _kept(path: Path) -> tuple[str, str]:
    """The file's name in the folder, and a description.

    Raises:
        SettingsError: the content or the name is wrong, or the folder is full.
    """
    name = FIELDS["statistics"].parse(path.name)
    statistics = statistics_file.load(path)
    with _one_at_a_time:
        _keep(name, statistics)
    return name, _words(name, statistics)


def _keep(name: str, statistics: Statistics) -> None:
    there = statistics_file.names()
    if name in there:
        if not _same(statistics, statistics_file.named(name)):
            raise SettingsError(f"statistics = {name!r} already exists with other content: give it another name")
        return
    if len(there) >= MAX_FILES:
        raise SettingsError(f"the folder statistics has {len(there)} files: delete some first")
    try:
        statistics_file.FOLDER.mkdir(exist_ok=True)
        statistics_file.save(statistics, statistics_file.FOLDER / name)
    except OSError as error:
        raise SettingsError(
            f"the folder statistics is not writable ({error.strerror or error}): copy the file there yourself"
        ) from None


def _same(one: Statistics, other: Statistics) -> bool:
    import torch

    from ..methods.analytic_init import describe

    equal = describe(one) == describe(other)
    return equal and all(torch.equal(value, other.values[key]) for key, value in one.values.items())


def _words(name: str, statistics: Statistics) -> str:
    clips = f"{statistics.clips} clips" if statistics.clips else "clips"
    size = f" of {statistics.width}x{statistics.height}" if statistics.width else ""
    return f"{name}: {statistics.kind}, {clips}{size}, {statistics.frames} frames"

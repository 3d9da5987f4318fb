"""The control for statistics files: the extension's folder, and uploads, which are checked first."""

from __future__ import annotations

import html
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from modules.ui_common import create_refresh_button

from ..core.settings import FIELDS, FILE_ENDING, NO_FILE, SettingsError
from ..methods import statistics_file
from .ui_controls import Controls

if TYPE_CHECKING:
    from ..methods.analytic_init import Statistics

MAX_FILES = 100

# gradio answers each user in a thread of its own.
_one_at_a_time = threading.Lock()


def statistics_control(make: Controls) -> None:
    """The files of the folder, a button to refresh the list, and one to upload a file."""
    with gr.Row(elem_classes=["noise-rectification-statistics"]):
        make.add(gr.Dropdown, "statistics", choices=choices())
        control = make.made["statistics"]
        create_refresh_button(control, lambda: None, lambda: {"choices": choices()}, make.elem_id("statistics_refresh"))
        button = gr.UploadButton("Upload", file_types=[FILE_ENDING], elem_id=make.elem_id("statistics_upload"))
    said = gr.HTML("", elem_id=make.elem_id("statistics_said"))
    button.upload(fn=receive, inputs=[button], outputs=[control, said], show_progress=False)
    for one in (control, button):
        one.do_not_save_to_config = True  # the file may be gone another day


def choices() -> list[str]:
    return [NO_FILE, *statistics_file.names()]


def receive(file: Any) -> tuple[Any, str]:
    """Keep an uploaded file, of which gradio has made a copy. Returns the dropdown's update and the text below it."""
    if file is None:
        return gr.update(), ""
    path = Path(file.name if hasattr(file, "name") else str(file))
    try:
        name = FIELDS["statistics"].parse(path.name)
        statistics = statistics_file.load(path)
        with _one_at_a_time:
            _keep(name, statistics)
    except SettingsError as error:
        return gr.update(), f'<p class="noise-rectification-line wrong">{html.escape(str(error))}</p>'
    clips = f"{statistics.clips} clips" if statistics.clips else "clips"
    size = f" of {statistics.width}x{statistics.height}" if statistics.width else ""
    words = f"{name}: {statistics.kind}, {clips}{size}, {statistics.frames} frames"
    return gr.update(choices=choices(), value=name), f'<p class="noise-rectification-line">{html.escape(words)}</p>'


def _keep(name: str, statistics: Statistics) -> None:
    """Raises `SettingsError` for a name that is taken by other content, and for a folder that is full or read-only."""
    there = statistics_file.names()
    if name in there:
        from ..methods.analytic_init import describe  # imports torch

        kept = statistics_file.named(name)
        pairs = ((value, kept.values[key]) for key, value in statistics.values.items())
        if describe(statistics) != describe(kept) or not all(value.equal(other) for value, other in pairs):
            raise SettingsError(f"statistics = {name!r} already exists with other content: give it another name")
        return
    if len(there) >= MAX_FILES:
        raise SettingsError(f"the folder statistics has {len(there)} files: delete some first")
    try:
        statistics_file.FOLDER.mkdir(exist_ok=True)
        statistics_file.save(statistics, statistics_file.FOLDER / name)
    except OSError as error:
        reason = error.strerror or error
        raise SettingsError(f"the folder statistics is not writable ({reason}): copy the file there yourself") from None

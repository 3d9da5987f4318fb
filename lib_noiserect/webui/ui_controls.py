"""Controls of the accordions, each made of its row of FIELDS or INPUTS."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import gradio as gr

from ..settings import FIELDS
from .inputs import INPUTS


def fold(title: str, elem_id: str) -> Any:
    return gr.Accordion(title, open=False, elem_id=elem_id, elem_classes=["noise-rectification-fold"])


def checkbox(name: str, elem_id: Callable[[str], str], info: str | None = None) -> Any:
    row = FIELDS[name]
    return gr.Checkbox(label=row.label, value=row.default, info=info, elem_id=elem_id(name), interactive=True)


def number(name: str, elem_id: Callable[[str], str]) -> Any:
    row = FIELDS[name]
    return gr.Number(
        label=row.label,
        value=row.default,
        minimum=row.minimum,
        maximum=row.maximum,
        step=row.step,
        precision=0 if row.kind == "whole" else None,
        min_width=100,
        elem_id=elem_id(name),
        interactive=True,
    )


def hidden(name: str, elem_id: Callable[[str], str]) -> Any:
    """A setting that means nothing in this tab: its value is among the job's, and nobody sees it."""
    row = FIELDS[name]
    kinds = {"bool": gr.Checkbox, "number": gr.Number, "whole": gr.Number}
    return kinds.get(row.kind, gr.Textbox)(value=row.default, label=row.label, elem_id=elem_id(name), visible=False)


def slider(name: str, elem_id: Callable[[str], str]) -> Any:
    row = FIELDS[name]
    return gr.Slider(
        row.minimum,
        row.maximum,
        row.default,
        step=row.step,
        label=row.label,
        info=row.help,
        elem_id=elem_id(name),
        interactive=True,
    )


def radio(name: str, elem_id: Callable[[str], str]) -> Any:
    row = FIELDS[name]
    assert row.choices is not None
    meanings = "; ".join(f"{choice}: {text}" for choice, text in row.choices.items())
    return gr.Radio(
        list(row.choices),
        value=row.default,
        label=row.label,
        info=f"{row.help} {meanings[0].upper()}{meanings[1:]}.",
        elem_id=elem_id(name),
        interactive=True,
    )


def files(name: str, elem_id: Callable[[str], str]) -> Any:
    row = INPUTS[name]
    control = gr.File(
        label=row.label, file_count="multiple", file_types=["image"], elem_id=elem_id(name), interactive=True
    )
    gr.HTML(place("hint", html.escape(row.help)))  # a gr.File has no place for it
    return control


def place(name: str, content: str, configuration: str = "") -> str:
    """A piece of the page that the JavaScript and the style sheet find by its class."""
    config = f' data-configuration="{html.escape(configuration)}"' if configuration else ""
    return f'<div class="noise-rectification-{name}"{config}>{content}</div>'

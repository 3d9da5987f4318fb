"""Controls of the accordions, each made of its row of FIELDS or INPUTS."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr

from ..core.settings import FIELDS, Field, Preset
from .image_inputs import INPUTS


def in_browser(listen: Callable[..., Any], javascript: str, inputs: list[Any], outputs: list[Any]) -> None:
    """On the event `listen`, fill `outputs` by a JavaScript function of `inputs`, without a request to the server."""
    # The one difference between gradio 3.41 (A1111, Forge 1) and 4.40 (Forge 2) that matters here.
    keyword = "_js" if gr.__version__.startswith("3.") else "js"
    listen(fn=None, inputs=inputs, outputs=outputs, show_progress="hidden", **{keyword: javascript})


def row(name: str = "") -> Any:
    named = [f"noise-rectification-{name}"] if name else []
    return gr.Row(elem_classes=["noise-rectification-row", *named])


def column() -> Any:
    return gr.Column(min_width=300, elem_classes=["noise-rectification-column"])


def place(name: str, content: str, configuration: str = "") -> str:
    """An element that the JavaScript and the style sheet find by its class."""
    config = f' data-configuration="{html.escape(configuration)}"' if configuration else ""
    return f'<div class="noise-rectification-{name}"{config}>{content}</div>'


class Controls:
    """The controls of one tab, by the names of their settings and inputs; gradio puts each into the block that is open."""

    def __init__(self, elem_id: Callable[[str], str]) -> None:
        self.elem_id = elem_id
        self.made: dict[str, Any] = {}

    def add(self, component: Callable[..., Any], *names: str, **changes: Any) -> None:
        """A component for each name, with the arguments that its row gives, and `changes` in place of some of them."""
        for name in names:
            row = FIELDS.get(name) or INPUTS[name]
            arguments = {"label": row.label, "info": row.help, "value": getattr(row, "default", False), "interactive": True}
            if isinstance(row, Field) and component in (gr.Number, gr.Slider):
                arguments |= {"minimum": row.minimum, "maximum": row.maximum, "step": row.step}
            if isinstance(row, Field) and component is gr.Radio and row.choices:
                meanings = "; ".join(f"{choice}: {text}" for choice, text in row.choices.items())
                arguments |= {"choices": list(row.choices), "info": f"{row.help} {meanings[0].upper()}{meanings[1:]}."}
            self.made[name] = component(elem_id=self.elem_id(name), **{**arguments, **changes})

    def files(self, name: str) -> None:
        images: dict[str, Any] = {"file_count": "multiple", "file_types": ["image"], "interactive": True}
        self.made[name] = gr.File(label=INPUTS[name].label, elem_id=self.elem_id(name), **images)
        gr.HTML(place("hint", html.escape(INPUTS[name].help)))  # a gr.File has no info

    def hidden(self, *names: str) -> None:
        """Settings without effect in this tab: the job gets their values, and the page does not show them."""
        for name in names:
            self.add(gr.Number if FIELDS[name].kind in ("number", "whole") else gr.Textbox, name, visible=False)

    def button(self, text: str, name: str, *classes: str) -> None:
        button = gr.Button(text, elem_id=self.elem_id(name), elem_classes=["noise-rectification-button", *classes])
        button.do_not_save_to_config = True

    def fold(self, title: str, name: str) -> Any:
        return gr.Accordion(title, open=False, elem_id=self.elem_id(name), elem_classes=["noise-rectification-fold"])


def presets(make: Controls, name: str, label: str, rows: Mapping[str, Preset]) -> Callable[[], None]:
    """A dropdown of presets with the help of the chosen one: it fills controls, and shows the preset that they equal.

    It begins with the first one. Returns a function that connects it with the controls, once these are made.
    """
    default, custom = next(iter(rows)), "Custom"
    helps = {**{name: row.help for name, row in rows.items()}, custom: "Your own settings."}
    helps = {name: place("preset-help", html.escape(text)) for name, text in helps.items()}
    dropdown = gr.Dropdown(label=label, choices=list(helps), value=default, elem_id=make.elem_id(name), interactive=True)
    dropdown.do_not_save_to_config = True  # beside values of another preset
    shown = gr.HTML(helps[default], elem_id=make.elem_id(f"{name}_help"))

    def connect() -> None:
        fields = list(rows[default].values)
        controls = [make.made[field] for field in fields]
        values = json.dumps({name: [row.values[field] for field in fields] for name, row in rows.items()})
        texts = json.dumps(helps)
        in_browser(
            dropdown.input,
            f"(name, ...current) => {{ localStorage.setItem('noise-rectification-{name}', name);"
            f" return [...({values}[name] ?? current), {texts}[name]]; }}",
            [dropdown, *controls],
            [*controls, shown],
        )
        javascript = f"""(...current) => {{
            const text = (value) => String(value ?? '').trim().toLowerCase();
            const same = ([, row]) => row.every((value, index) => text(value) === text(current[index]));
            const name = Object.entries({values}).find(same)?.[0] ?? '{custom}';
            return [name, {texts}[name]];
        }}"""
        for control in controls:
            in_browser(control.change, javascript, controls, [dropdown, shown])

    return connect

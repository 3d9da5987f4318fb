"""Controls of the accordions, each made of its row of FIELDS or INPUTS."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr

from ..core.settings import FIELDS, Field, Preset
from .image_inputs import INPUTS, Input


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

    def add(self, component: Callable[..., Any], name: str, **arguments: Any) -> Any:
        label = _row(name).label
        self.made[name] = component(**{"label": label, "elem_id": self.elem_id(name), "interactive": True, **arguments})
        return self.made[name]

    def checkboxes(self, *names: str, helps: bool = True) -> None:
        for name in names:
            info = _row(name).help if helps else None
            self.add(gr.Checkbox, name, value=getattr(_row(name), "default", False), info=info)

    def numbers(self, *names: str) -> None:
        for name in names:
            precision = 0 if FIELDS[name].kind == "whole" else None
            self.add(gr.Number, name, precision=precision, min_width=100, **_range(FIELDS[name]))

    def sliders(self, *names: str) -> None:
        for name in names:
            self.add(gr.Slider, name, info=FIELDS[name].help, **_range(FIELDS[name]))

    def radio(self, name: str) -> None:
        row = FIELDS[name]
        assert row.choices is not None
        meanings = "; ".join(f"{choice}: {text}" for choice, text in row.choices.items())
        info = f"{row.help} {meanings[0].upper()}{meanings[1:]}."
        self.add(gr.Radio, name, choices=list(row.choices), value=row.default, info=info)

    def files(self, name: str) -> Any:
        control = self.add(gr.File, name, file_count="multiple", file_types=["image"])
        gr.HTML(place("hint", html.escape(INPUTS[name].help)))  # a gr.File has no info
        return control

    def hidden(self, *names: str) -> None:
        """Settings without effect in this tab: the job gets their values, and the page does not show them."""
        for name in names:
            kind = {"bool": gr.Checkbox, "number": gr.Number, "whole": gr.Number}.get(FIELDS[name].kind, gr.Textbox)
            self.add(kind, name, value=FIELDS[name].default, visible=False)

    def button(self, text: str, name: str, *classes: str) -> None:
        button = gr.Button(text, elem_id=self.elem_id(name), elem_classes=["noise-rectification-button", *classes])
        button.do_not_save_to_config = True

    def fold(self, title: str, name: str) -> Any:
        return gr.Accordion(title, open=False, elem_id=self.elem_id(name), elem_classes=["noise-rectification-fold"])


def _row(name: str) -> Field | Input:
    return FIELDS.get(name) or INPUTS[name]


def _range(row: Field) -> dict[str, Any]:
    return {"value": row.default, "minimum": row.minimum, "maximum": row.maximum, "step": row.step}


class Presets:
    """A dropdown of presets with the help of the chosen one: it fills controls, and shows the preset that they equal."""

    _CUSTOM = "Custom"

    def __init__(self, make: Controls, name: str, label: str, presets: Mapping[str, Preset], default: str) -> None:
        self._make, self._name, self._presets = make, name, presets
        self._helps = {name: preset.help for name, preset in presets.items()} | {self._CUSTOM: "Your own settings."}
        self._helps = {name: place("preset-help", html.escape(text)) for name, text in self._helps.items()}
        self._dropdown = gr.Dropdown(
            label=label, choices=[*presets, self._CUSTOM], value=default, elem_id=make.elem_id(name), interactive=True
        )
        self._help = gr.HTML(self._helps[default], elem_id=make.elem_id(f"{name}_help"))
        # The host would save it with its defaults, beside values of another preset.
        self._dropdown.do_not_save_to_config = True

    def connect(self) -> None:
        """Connect the dropdown with the controls of its settings, in the browser alone."""
        names = list(next(iter(self._presets.values())).values)
        filled = [self._make.made[name] for name in names]
        values = json.dumps({name: [row.values[field] for field in names] for name, row in self._presets.items()})
        helps = json.dumps(self._helps)
        in_browser(
            self._dropdown.input,
            f"(name, ...current) => {{ localStorage.setItem('noise-rectification-{self._name}', name);"
            f" return [...({values}[name] ?? current), {helps}[name]]; }}",
            [self._dropdown, *filled],
            [*filled, self._help],
        )
        for control in filled:
            in_browser(
                control.change,
                "(...current) => {"
                "  const text = (value) => String(value ?? '').trim().toLowerCase();"
                "  const same = ([, row]) => row.every((value, index) => text(value) === text(current[index]));"
                f" const name = Object.entries({values}).find(same)?.[0] ?? '{self._CUSTOM}';"
                f" return [name, {helps}[name]];"
                "}",
                filled,
                [self._dropdown, self._help],
            )

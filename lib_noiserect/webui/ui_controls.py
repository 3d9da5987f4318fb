"""Controls of the accordions, each made of its row of FIELDS or INPUTS."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gradio as gr

from ..core.settings import FIELDS, Field, Preset
from .image_inputs import INPUTS, Input


def in_browser(listen: Callable[..., Any], javascript: str, inputs: list[Any], outputs: list[Any]) -> None:
    """On the event `listen`, fill `outputs` by a JavaScript function of `inputs`, without a request to the server."""
    # The one difference between gradio 3.41 (A1111, Forge 1) and 4.40 (Forge 2) that matters here.
    keyword = "_js" if gr.__version__.startswith("3.") else "js"
    listen(fn=None, inputs=inputs, outputs=outputs, show_progress="hidden", **{keyword: javascript})


def fold(title: str, elem_id: str) -> Any:
    return gr.Accordion(title, open=False, elem_id=elem_id, elem_classes=["noise-rectification-fold"])


def row(name: str = "") -> Any:
    named = [f"noise-rectification-{name}"] if name else []
    return gr.Row(elem_classes=["noise-rectification-row", *named])


def column() -> Any:
    return gr.Column(min_width=300, elem_classes=["noise-rectification-column"])


def button(text: str, elem_id: str, classes: Sequence[str] = ()) -> Any:
    made = gr.Button(text, elem_id=elem_id, elem_classes=["noise-rectification-button", *classes])
    made.do_not_save_to_config = True
    return made


def described(name: str, elem_id: Callable[[str], str], **more: Any) -> dict[str, Any]:
    """The arguments that the controls of a setting or an input have in common."""
    label = (FIELDS.get(name) or INPUTS[name]).label
    return {"label": label, "elem_id": elem_id(name), "interactive": True, **more}


def checkbox(name: str, elem_id: Callable[[str], str], *, helps: bool = True) -> Any:
    row: Field | Input = FIELDS.get(name) or INPUTS[name]
    info = row.help if helps else None
    return gr.Checkbox(value=getattr(row, "default", False), **described(name, elem_id, info=info))


def number(name: str, elem_id: Callable[[str], str]) -> Any:
    row = FIELDS[name]
    limits = {"minimum": row.minimum, "maximum": row.maximum, "step": row.step}
    precision = 0 if row.kind == "whole" else None
    return gr.Number(value=row.default, precision=precision, min_width=100, **limits, **described(name, elem_id))


def hidden(name: str, elem_id: Callable[[str], str]) -> Any:
    """A setting without effect in this tab: the job gets its value, and the page does not show it."""
    row = FIELDS[name]
    kinds = {"bool": gr.Checkbox, "number": gr.Number, "whole": gr.Number}
    return kinds.get(row.kind, gr.Textbox)(value=row.default, label=row.label, elem_id=elem_id(name), visible=False)


def slider(name: str, elem_id: Callable[[str], str]) -> Any:
    row = FIELDS[name]
    named = described(name, elem_id, info=row.help)
    return gr.Slider(row.minimum, row.maximum, row.default, step=row.step, **named)


def radio(name: str, elem_id: Callable[[str], str]) -> Any:
    row = FIELDS[name]
    assert row.choices is not None
    meanings = "; ".join(f"{choice}: {text}" for choice, text in row.choices.items())
    info = f"{row.help} {meanings[0].upper()}{meanings[1:]}."
    return gr.Radio(list(row.choices), value=row.default, **described(name, elem_id, info=info))


def files(name: str, elem_id: Callable[[str], str]) -> Any:
    control = gr.File(file_count="multiple", file_types=["image"], **described(name, elem_id))
    gr.HTML(place("hint", html.escape(INPUTS[name].help)))  # a gr.File has no info
    return control


def place(name: str, content: str, configuration: str = "") -> str:
    """An element that the JavaScript and the style sheet find by its class."""
    config = f' data-configuration="{html.escape(configuration)}"' if configuration else ""
    return f'<div class="noise-rectification-{name}"{config}>{content}</div>'


class Presets:
    """A dropdown of presets with the help of the chosen one: it fills controls, and shows the preset that they equal."""

    _CUSTOM = "Custom"

    def __init__(
        self, name: str, label: str, presets: Mapping[str, Preset], default: str, elem_id: Callable[[str], str]
    ) -> None:
        self._name, self._presets = name, presets
        self._helps = {name: preset.help for name, preset in presets.items()} | {self._CUSTOM: "Your own settings."}
        self._helps = {name: place("preset-help", html.escape(text)) for name, text in self._helps.items()}
        self._dropdown = gr.Dropdown(
            label=label, choices=[*presets, self._CUSTOM], value=default, elem_id=elem_id(name), interactive=True
        )
        self._help = gr.HTML(self._helps[default], elem_id=elem_id(f"{name}_help"))
        # The host would save it with its defaults, beside values of another preset.
        self._dropdown.do_not_save_to_config = True

    def fill(self, controls: Mapping[str, Any]) -> None:
        """Connect the dropdown with the controls of its settings, in the browser alone."""
        names = list(next(iter(self._presets.values())).values)
        filled = [controls[name] for name in names]
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

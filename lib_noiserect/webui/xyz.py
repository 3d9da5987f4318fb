"""The axes of the X/Y/Z plot, one for each setting; requests and infotexts also find them by their former labels.

The plot's dropdowns offer the present labels alone. A request gives an axis by its place in the choices of
`/sdapi/v1/script-info`, so the former labels follow the last axis there, and the plot has the axes at these places.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import chain, product
from typing import Any

from modules import scripts

from ..core.errors import shown
from ..core.settings import FIELDS, NO_FILE, OMEGA_PRESETS, Field, SettingsError
from ..methods import statistics_file
from . import host
from .arguments import settings_from_args
from .errors import refusal

PREFIX = "[Noise Rectification]"
# The host names the module after its file; Forge 2 after its place.
_HOST_MODULES = ("xyz_grid.py", "xy_grid.py", "scripts.xyz_grid", "scripts.xy_grid")

# The most values of one axis that a range may make.
MAX_VALUES = 1000

# The settings of a cell that differ from those of the job, by name; on the cell's copy of the job.
_CHANGES = "_noise_rectification_changes"
# Such changes of all cells, a list for each axis; on the job that the cells copy.
_AXES = "_noise_rectification_axes"


@dataclass(frozen=True)
class Axis:
    """One axis."""

    label: str  # in the plot's list, without the prefix
    name: str  # in messages, as in the API
    changes: Callable[[Any], dict[str, Any]]  # of a value; raises `SettingsError` for a wrong one
    allowed: str  # the accepted values, in words
    kind: str = ""  # as in `Field`; of numbers, the host also reads ranges (`0-1 [3]`) from the text
    choices: Callable[[], list[str]] | None = None  # of the dropdown; None for an axis without one
    former: str = ""  # the label in earlier versions, if it was another one


def _of_field(name: str, former: str = "", row: Field | None = None, **implied: Any) -> Axis:
    """The axis of a setting, by its own row or another one; its values also set those that are `implied`."""
    row = row or FIELDS[name]
    choices = {
        "bool": lambda: ["True", "False"],
        "file": lambda: [NO_FILE, *statistics_file.names()],
        "choice": lambda: list(row.choices or ()),
    }.get(row.kind)

    def changes(value: Any) -> dict[str, Any]:
        # The host adds up its ranges: 0.1 + 0.2 is 0.30000000000000004, and the legend says 0.3.
        return {name: row.parse(round(value, 8) if isinstance(value, float) else value), **implied}

    return Axis(row.label, row.name, changes, row.allowed, row.kind, choices, former)


def _tau_pair(value: str) -> dict[str, Any]:
    numbers = re.fullmatch(r"\s*([^-\s]+)\s*[-–]\s*([^-\s]+)\s*", value)
    if numbers is None:
        raise SettingsError(f"tau = {shown(value)} is not a pair: use {_PAIR}")
    start, end = (FIELDS[name].parse(text) for name, text in zip(("tau_start", "tau_end"), numbers.groups()))
    if start > end:
        raise SettingsError(f"tau = {shown(value)} ends before it starts: use {_PAIR}")
    return {"tau_start": start, "tau_end": end}


_PAIR = "two numbers from 0 to 1, such as 0-0.6"
_OMEGA_PRESET = replace(FIELDS["omega"], label="ω preset", choices=OMEGA_PRESETS)
_CONSTANT_OMEGA = replace(FIELDS["omega_start"], label="Constant ω", name="constant omega")


# API requests name an axis by its place: new ones go to the end.
AXES = (
    _of_field("tau_start", "τ start"),
    _of_field("tau_end", "τ end"),
    Axis("τ", "tau", _tau_pair, _PAIR),
    _of_field("omega", row=_OMEGA_PRESET),
    _of_field("omega_start", "ω start"),
    _of_field("omega_end", "ω end"),
    _of_field("omega_start", row=_CONSTANT_OMEGA, omega="constant"),
    _of_field("motion", "Motion", omega="motion"),
    _of_field("target_ssim", "Wanted SSIM"),
    _of_field("tau_unit", "τ in"),
    _of_field("release", "Soft release"),
    _of_field("hold_colour", "Hold colour"),
    _of_field("pin_first_frame", "Keep first frame"),
    _of_field("loop", "Loop"),
    _of_field("interpolation", "Between key frames"),
    _of_field("repeat_noise", "Repeat noise"),
    _of_field("mask_feather", "Mask feather"),
    _of_field("start_time", "Start time"),
    _of_field("statistics", "Start statistics"),
    _of_field("enabled", row=replace(FIELDS["enabled"], label="Enabled")),
    _of_field("create", "Create through a picture"),
    _of_field("candidates"),
    _of_field("scorer", "Scorer"),
    _of_field("pick", "Pick"),
    _of_field("animation_share", "Animation share"),
    _of_field("animation_strength"),
    _of_field("regeneration", "Regeneration"),
    _of_field("follow_motion"),
)
# From the former to the present label, with the prefix.
FORMER_LABELS = {f"{PREFIX} {axis.former}": f"{PREFIX} {axis.label}" for axis in AXES if axis.former}


def add_axes() -> None:
    """Add the axes to the host's table, once; Reload UI builds a new table.

    Called from the tab's `ui()`: all scripts are loaded by then, and the plot's own `ui()`, which reads the table, comes
    later, since the host starts with the scripts that are always on.
    """
    plot = next((data for data in scripts.scripts_data if data.script_class.__module__ in _HOST_MODULES), None)
    if plot is None or any(option.label.startswith(PREFIX) for option in plot.module.axis_options):
        return
    plot.module.axis_options.extend(_option(plot.module, axis) for axis in AXES)
    make_ui = plot.script_class.ui

    @functools.wraps(make_ui)
    def ui(self: Any, is_img2img: bool) -> Any:
        controls = make_ui(self, is_img2img)
        # The former labels' places, behind the last axis.
        axes = {option.label: option for option in self.current_axis_options}
        self.current_axis_options = [*self.current_axis_options, *(axes[label] for label in FORMER_LABELS.values())]
        return controls

    plot.script_class.ui = ui


def list_in_script_info(*_: Any) -> None:
    """Add the former labels to the plot's choices in `/sdapi/v1/script-info`; to be called when the page is built."""
    present = set(FORMER_LABELS.values())
    for script in chain(scripts.scripts_txt2img.selectable_scripts, scripts.scripts_img2img.selectable_scripts):
        for argument in getattr(script.api_info, "args", ()):
            if present.issubset(argument.choices or ()) and not set(FORMER_LABELS) & set(argument.choices):
                argument.choices = [*argument.choices, *FORMER_LABELS]


def rename_pasted(_infotext: str, params: dict[str, Any]) -> None:
    """Replace former labels in a pasted infotext of a grid: the dropdowns know the present ones alone."""
    for key in ("X Type", "Y Type", "Z Type"):
        if key in params:
            params[key] = FORMER_LABELS.get(params[key], params[key])


def changes_of(p: Any) -> Mapping[str, Any]:
    """The settings of this cell of an X/Y/Z plot that differ from the job's."""
    return getattr(p, _CHANGES, {})


def is_cell(p: Any) -> bool:
    """Whether the job is a cell of an X/Y/Z plot, with any axes."""
    place = p.script_args[0] or 0  # the selected script, counted from 1; 0 for none
    return place > 0 and p.scripts.selectable_scripts[place - 1].title() == "X/Y/Z plot"


def _option(module: Any, axis: Axis) -> Any:
    def prepare(text: str) -> list[str]:
        values: list[str] = module.csv_string_to_list_strip(text)
        for value in values:
            if value and not _is_number_or_range(module, value):
                raise refusal(SettingsError(f"{axis.name} = {shown(value)} is not a number: use {axis.allowed}"))
        return values

    def confirm(p: Any, values: list[Any]) -> None:
        if not values:
            raise refusal(SettingsError(f"{axis.name} has no values: use {axis.allowed}"))
        try:
            changes = [axis.changes(value) for value in values]
        except SettingsError as error:
            raise refusal(error) from None
        setattr(p, _AXES, [*getattr(p, _AXES, []), changes])

    def apply(p: Any, value: Any, values: list[Any]) -> None:
        _check_all_cells(p)
        # A new dict: the copies of the job share the old one.
        setattr(p, _CHANGES, {**changes_of(p), **axis.changes(value)})

    is_number = axis.kind in ("number", "whole")
    keywords: dict[str, Any] = {"choices": axis.choices, "prepare": prepare if is_number else None}
    if axis.kind == "whole":  # the legend has no decimals
        keywords["format_value"] = lambda p, option, value: f"{option.label}: {value:g}"
    return module.AxisOption(f"{PREFIX} {axis.label}", float if is_number else str, apply, confirm=confirm, **keywords)


def _is_number_or_range(module: Any, text: str) -> bool:
    """Whether the host's parser can read it: its patterns also fit `0x5-1`, and ranges without a step or an end."""
    try:
        if by_step := module.re_range_float.fullmatch(text):
            start, end, step = (float(part or 1) for part in by_step.groups())
            return step != 0 and abs(end - start) / abs(step) <= MAX_VALUES
        if by_count := module.re_range_count_float.fullmatch(text):
            start, end, count = (float(part or 1) for part in by_count.groups())
            return 0 < count <= MAX_VALUES
        float(text)
    except ValueError:
        return False
    return True


def _check_all_cells(p: Any) -> None:
    """Refuse a grid with a contradictory cell: tau_start 0.8 on one axis and tau_end 0.6 on the other.

    The `confirm` of an axis does not see the others. At the first cell, all are confirmed and nothing is computed yet.
    """
    axes = getattr(p, _AXES, [])
    if not axes:
        return
    script = next(script for script in p.scripts.alwayson_scripts if script.title() == "Noise Rectification")
    args = p.script_args[script.args_from : script.args_to]
    for combination in product(*axes):
        try:
            changed = {name: value for changes in combination for name, value in changes.items()}
            settings_from_args(args, changed, is_img2img=host.is_img2img(p))
        except SettingsError as error:
            raise refusal(error) from None
    axes.clear()  # the cells share this list: the others have nothing to check

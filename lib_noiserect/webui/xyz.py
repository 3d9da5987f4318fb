"""The axes of the X/Y/Z plot."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from modules import scripts

from ..core.settings import CREATION, FIELDS, NO_FILE, OMEGA_PRESETS, SettingsError
from ..methods import statistics_file
from .arguments import settings_from_args
from .errors import NoiseRectificationError, refusal
from .xyz_former_labels import PREFIX, accept_in_requests

# The host names the module after its file; Forge 2 after its place.
_HOST_MODULES = ("xyz_grid.py", "xy_grid.py", "scripts.xyz_grid", "scripts.xy_grid")

# What a cell's own copy of the job has instead of the job's settings, by name.
_CHANGES = "_noise_rectification_changes"
# What the axes of a grid are going to ask for, a list of such changes for each; kept on the job that the cells copy.
_AXES = "_noise_rectification_axes"


@dataclass(frozen=True)
class Axis:
    """One axis: what a value of it changes in the settings.

    Attributes:
        label: as the user reads it, without the prefix.
        name: the axis in messages, as the API calls the setting.
        changes: from a value to the settings that it stands for; raises `SettingsError` for a wrong one.
        is_whole: such as are counted.
        is_number: the host reads numbers and its ranges (`0-1 [3]`) from the text; else values are text.
        choices: what the dropdown offers; None for an axis without one.
        allowed: what the axis accepts, in words.
    """

    label: str
    name: str
    changes: Callable[[Any], dict[str, Any]]
    allowed: str
    is_number: bool = False
    is_whole: bool = False
    choices: Callable[[], list[str]] | None = None


def _of_field(name: str, label: str | None = None, **implied: Any) -> Axis:
    """An axis of a setting; `implied` are others that its values mean something with."""
    row = FIELDS[name]
    choices = {"bool": _booleans, "file": _files, "choice": lambda: list(row.choices or ())}.get(row.kind)

    def changes(value: Any) -> dict[str, Any]:
        # Ranges of the host are sums: 0.1 + 0.2 is 0.30000000000000004, and the legend says 0.3.
        return {name: row.parse(round(value, 8) if isinstance(value, float) else value), **implied}

    return Axis(
        label or row.label, name, changes, row.allowed, row.kind in ("number", "whole"), row.kind == "whole", choices
    )


def _tau_pair(value: str) -> dict[str, Any]:
    numbers = re.fullmatch(r"\s*([^-\s]+)\s*[-–]\s*([^-\s]+)\s*", value)
    if numbers is None:
        raise SettingsError(f"tau = {value!r} is not a pair: use {_PAIR}")
    start, end = (FIELDS[name].parse(text) for name, text in zip(("tau_start", "tau_end"), numbers.groups()))
    if start > end:
        raise SettingsError(f"tau = {value!r} ends before it starts: use {_PAIR}")
    return {"tau_start": start, "tau_end": end}


def _omega_preset(value: str) -> dict[str, Any]:
    name = value.strip().lower()
    if name not in OMEGA_PRESETS:
        raise SettingsError(f"omega = {value!r} is not a preset: use {', '.join(OMEGA_PRESETS)}")
    return {"omega": name}


def _constant_omega(value: float) -> dict[str, Any]:
    try:
        return {"omega": "constant", "omega_start": FIELDS["omega_start"].parse(round(value, 8))}
    except SettingsError:
        raise SettingsError(
            f"constant omega = {value!r} is out of range: use {FIELDS['omega_start'].allowed}"
        ) from None


_PAIR = "two numbers from 0 to 1, such as 0-0.6"


def _booleans() -> list[str]:
    return ["True", "False"]


def _files() -> list[str]:
    return [NO_FILE, *statistics_file.names()]


AXES = (
    _of_field("tau_start"),
    _of_field("tau_end"),
    Axis("τ", "tau", _tau_pair, _PAIR),
    Axis("ω preset", "omega", _omega_preset, ", ".join(OMEGA_PRESETS), choices=lambda: list(OMEGA_PRESETS)),
    _of_field("omega_start"),
    _of_field("omega_end"),
    Axis("Constant ω", "constant omega", _constant_omega, FIELDS["omega_start"].allowed, is_number=True),
    _of_field("motion", omega="motion"),
    _of_field("target_ssim"),
    _of_field("tau_unit"),
    _of_field("release"),
    _of_field("hold_colour"),
    _of_field("pin_first_frame"),
    _of_field("loop"),
    _of_field("interpolation"),
    _of_field("repeat_noise"),
    _of_field("mask_feather"),
    _of_field("start_time"),
    _of_field("statistics"),
    _of_field("enabled", "Enabled"),
    *(_of_field(name) for name in CREATION),
)


def add_axes() -> None:
    """Add the axes to the host's table, once; Reload UI makes that table anew.

    To be called from the tab's `ui()`: by then every script is loaded, the X/Y/Z plot's too, and its own `ui()`, which reads
    the table, comes later, since the host does what is always on first.
    """
    plot = next((data for data in scripts.scripts_data if data.script_class.__module__ in _HOST_MODULES), None)
    if plot is None or any(option.label.startswith(PREFIX) for option in plot.module.axis_options):
        return
    plot.module.axis_options.extend(_option(plot.module, axis) for axis in AXES)
    accept_in_requests(plot.script_class)


def changes_of(p: Any) -> Mapping[str, Any]:
    """The settings that an X/Y/Z plot has chosen for this cell."""
    return getattr(p, _CHANGES, {})


def is_cell(p: Any) -> bool:
    """Whether an X/Y/Z plot runs this job, as one cell of its grid, whatever its axes are."""
    place = p.script_args[0] or 0  # the script that is chosen below the tab's settings, counted from 1; 0 for none
    return place > 0 and p.scripts.selectable_scripts[place - 1].title() == "X/Y/Z plot"


def _option(module: Any, axis: Axis) -> Any:
    def prepare(text: str) -> list[str]:
        values: list[str] = module.csv_string_to_list_strip(text)
        for value in values:
            if value and not _is_number_or_range(module, value):
                raise refusal(SettingsError(f"{axis.name} = {value!r} is not a number: use {axis.allowed}"))
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

    keywords: dict[str, Any] = {"prepare": prepare} if axis.is_number else {}
    if axis.choices:
        keywords["choices"] = axis.choices
    if axis.is_whole:
        keywords["format_value"] = lambda p, option, value: f"{option.label}: {value:g}"
    return module.AxisOption(
        f"{PREFIX} {axis.label}", float if axis.is_number else str, apply, confirm=confirm, **keywords
    )


def _is_number_or_range(module: Any, text: str) -> bool:
    if any(pattern.fullmatch(text) for pattern in (module.re_range_float, module.re_range_count_float)):
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check_all_cells(p: Any) -> None:
    """Refuse a grid with a cell whose settings do not go together: τ start 0.8 on one axis and τ end 0.6 on the other.

    An axis' `confirm` does not see the others. When the first cell is made, all have been confirmed and nothing is computed.
    """
    axes = getattr(p, _AXES, [])
    if not axes:
        return
    args = _own_args(p)
    for combination in product(*axes):
        try:
            changed = {name: value for changes in combination for name, value in changes.items()}
            settings_from_args(args, changed, is_img2img=hasattr(p, "init_images"))
        except SettingsError as error:
            raise refusal(error) from None
    axes.clear()  # the cells share this list, so the other cells have nothing to check


def _own_args(p: Any) -> list[Any]:
    for script in p.scripts.alwayson_scripts:
        if script.title() == "Noise Rectification":
            return list(p.script_args[script.args_from : script.args_to])
    raise NoiseRectificationError("its own script is not loaded: see the console")

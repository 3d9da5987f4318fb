"""Settings and inputs of a job from the arguments of the script: the tab's values in order, or the API's dict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..core.settings import FIELDS, Settings, SettingsError
from .image_inputs import INPUTS

_DEFAULTS = {**{name: row.default for name, row in FIELDS.items()}, "inpaint_mask": False}


def by_name(args: Sequence[object]) -> dict[str, Any]:
    """The values that a job gives to settings and inputs.

    `args` has one value for each of FIELDS, or of FIELDS and then INPUTS; or a dict as first item, the API's convention. The
    host puts the values of an infotext behind the dict, and fills the list with defaults: values that differ from these count
    unless the dict has others. Raises `SettingsError` for a list of a wrong length, or with a second dict.
    """
    names = [*FIELDS, *INPUTS]
    if not (args and isinstance(args[0], Mapping)):
        if len(args) not in (len(FIELDS), len(names)):
            raise SettingsError(f"args has {len(args)} entries: use a dict, or the {len(FIELDS)} values {', '.join(FIELDS)}")
        return dict(zip(names, args))
    if any(isinstance(value, Mapping) for value in args[1 : len(FIELDS)]):
        raise SettingsError("args has a second dict: put all settings into the first one")
    behind = {name: value for name, value in zip(names[1:], args[1:]) if value != _DEFAULTS.get(name)}
    return {**behind, **args[0]}


def settings_from_args(args: Sequence[object], changes: Mapping[str, object], *, is_img2img: bool) -> Settings | None:
    """Read the settings of a job; None for a plain job, of which nothing but the master switch is read.

    The master switch is `enabled` in img2img, and `create` in txt2img, where there is no image to rectify toward. In a
    tab, the other one counts only while the master switch is on; named in a dict or a grid, it counts as it is.

    `changes` are the settings that a cell of an X/Y/Z plot replaces, by name. Raises `SettingsError` if a value is wrong, if
    values contradict each other, and as `by_name`.
    """
    is_dict = bool(args) and isinstance(args[0], Mapping)
    values = {**{name: value for name, value in by_name(args).items() if name not in INPUTS}, **changes}

    def read(name: str) -> bool:
        return bool(FIELDS[name].parse(values.get(name, FIELDS[name].default)))

    if is_dict and "enabled" not in values:
        switches = {"enabled": read("create"), "create": read("create")}
    else:
        master, other = ("enabled", "create") if is_img2img else ("create", "enabled")
        is_on = read(master)
        switches = {master: is_on, other: read(other) if is_on or is_dict or other in changes else False}
    if not any(switches.values()):
        if not values.keys() & switches.keys():  # one may be misspelled
            Settings.from_mapping({name: value for name, value in values.items() if name not in FIELDS})
        return None
    settings = Settings.from_mapping({**values, **switches})
    if is_dict and "pick" in values and settings.pick >= 0 and settings.scorer != "pick":
        raise SettingsError(
            f"pick = {settings.pick} needs the scorer pick, and scorer = {settings.scorer!r}: use the scorer pick"
        )
    if not is_img2img and not settings.create:
        raise SettingsError("enabled is on and txt2img has no image to rectify toward: turn create on, or use img2img")
    return settings


def switch_forgotten(args: Sequence[object], changes: Mapping[str, object]) -> bool:
    """Whether an API dict or a grid's axes set settings of a plain job and no master switch, which may be an oversight."""
    named = {*(args[0] if args and isinstance(args[0], Mapping) else ()), *changes}
    return bool(named) and not named & {"enabled", "create"}

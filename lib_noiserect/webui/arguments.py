"""Settings from what the host hands to a script: the UI's values in the order of FIELDS, or the API's dict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..core.settings import FIELDS, Settings, SettingsError
from .image_inputs import INPUTS


def settings_from_args(
    args: Sequence[object], changes: Mapping[str, object] | None = None, *, is_img2img: bool = True
) -> Settings:
    """Settings of a job; it is a plain one where neither `enabled` nor `create` is on.

    Each tab has a master switch: `enabled` in img2img, `create` in txt2img, where there is no other picture to be faithful
    to. What stands behind it counts only while it is on. Names that a dict or a grid gives are meant as they are given.

    Args:
        args: a dict of named settings as first item (the API's convention; the host fills the rest of the list with the
            UI's defaults, which are not looked at), or one value for each of FIELDS and then of INPUTS. `inputs` reads those.
        changes: what a cell of an X/Y/Z plot has instead, by name.
        is_img2img: whether the job has a picture.

    Raises:
        SettingsError: a value is wrong, or the list has the wrong length; or what is named does not go together.
    """
    changes = changes or {}
    if args and isinstance(args[0], Mapping):
        named = {**{name: value for name, value in args[0].items() if name not in INPUTS}, **changes}
        settings = Settings.from_mapping(named)
        if "enabled" not in named:
            settings = replace(settings, enabled=settings.create)
        if "pick" in named and settings.pick >= 0 and settings.scorer != "pick":
            raise SettingsError(
                f"pick = {settings.pick} is given with the scorer {settings.scorer}: use the scorer pick"
            )
    elif len(args) in (len(FIELDS), len(FIELDS) + len(INPUTS)):
        named = dict(changes)
        settings = Settings.from_mapping({**dict(zip(FIELDS, args)), **changes})
        if is_img2img and not settings.enabled and "create" not in named:
            settings = replace(settings, create=False)
        if not is_img2img and not settings.create and "enabled" not in named:
            settings = replace(settings, enabled=False)
    else:
        raise SettingsError(
            f"args has {len(args)} entries: use a dict, or the {len(FIELDS)} values {', '.join(FIELDS)}"
        )
    if not is_img2img and settings.enabled and not settings.create:
        raise SettingsError(
            "enabled is on and txt2img has no picture to rectify towards: switch create on, or use img2img"
        )
    return settings


def switch_forgotten(args: Sequence[object], changes: Mapping[str, object] | None = None) -> bool:
    """Whether a plain job was given settings and no master switch, by an API dict or a grid's axes: that may surprise."""
    named = {*(args[0] if args and isinstance(args[0], Mapping) else ()), *(changes or {})}
    return bool(named) and not named & {"enabled", "create"}

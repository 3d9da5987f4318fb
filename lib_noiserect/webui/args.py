"""Settings from what the host hands to a script: the UI's values in the order of FIELDS, or the API's dict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..settings import FIELDS, Settings, SettingsError
from .inputs import INPUTS


def settings_from_args(args: Sequence[object], changes: Mapping[str, object] | None = None) -> Settings:
    """Settings of a job.

    Args:
        args: a dict of named settings as first item (the API's convention; the host fills the rest of the list with the
            UI's defaults, which are not looked at), or one value for each of FIELDS and then of INPUTS. `inputs` reads those.
        changes: what a cell of an X/Y/Z plot has instead, by name.

    Raises:
        SettingsError: a value is wrong, or the list has the wrong length.
    """
    if args and isinstance(args[0], Mapping):
        given = {name: value for name, value in args[0].items() if name not in INPUTS}
    elif len(args) in (len(FIELDS), len(FIELDS) + len(INPUTS)):
        given = dict(zip(FIELDS, args))
    else:
        raise SettingsError(
            f"args has {len(args)} entries: use a dict, or the {len(FIELDS)} values {', '.join(FIELDS)}"
        )
    return Settings.from_mapping({**given, **(changes or {})})


def enabled_forgotten(args: Sequence[object], changes: Mapping[str, object] | None = None) -> bool:
    """Whether an API dict has settings but does not say `enabled`: the job is then a plain one, which may surprise."""
    if not (args and isinstance(args[0], Mapping) and args[0]):
        return False
    return "enabled" not in {**args[0], **(changes or {})}

"""The infotext entries of a job: its settings, the results, and warnings; and how the page and the API read them back.

A rectified job writes `enabled` and every setting that differs from its first default (`FIRST_DEFAULTS`). A setting that
the infotext does not name has that value, whichever version wrote it. A plain job writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..core.report import VERSION
from ..core.settings import FIELDS, Settings, SettingsError
from .errors import refusal
from .image_inputs import ImageInputs

# AnimateDiff's paste handler eats keys that begin with its own name, so ours begin with this one.
PREFIX = "Noise Rectification"

# The default with which each setting appeared. Whoever changes a default in FIELDS keeps the old one here, since infotexts
# that do not name the setting still mean that.
FIRST_DEFAULTS: dict[str, Any] = {name: row.default for name, row in FIELDS.items()}


def key(name: str) -> str:
    """The infotext key of a setting or a result; plain letters only, which is what the host's parser takes."""
    return f"{PREFIX} {name.replace('_', ' ')}"


def text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"{entry:g}" for entry in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def write_settings(p: Any, settings: Settings | None) -> None:
    """Write the job's settings in place of the entries of another cell of an X/Y/Z plot; None for a plain job."""
    others = {name: value for name, value in p.extra_generation_params.items() if not str(name).startswith(PREFIX)}
    entries = {} if settings is None else _entries(settings)
    if entries or len(others) < len(p.extra_generation_params):
        # A new dict: the cells are copies of one job and share the old one.
        p.extra_generation_params = {**others, **entries}


def write_found(p: Any, settings: Settings, words: str) -> None:
    """Replace the settings by the result of Auto-tune, so that the infotext reproduces the video without a new search."""
    params = p.extra_generation_params
    for name in FIELDS:
        params.pop(key(name), None)
    params.update({**_entries(settings), key("found"): words})


def _entries(settings: Settings) -> dict[str, str]:
    values = {name: getattr(settings, name) for name in FIELDS}
    return {key(name): text(value) for name, value in values.items() if name == "enabled" or value != FIRST_DEFAULTS[name]}


def write_pictures(p: Any, key_frames: Sequence[int], pictures: ImageInputs) -> None:
    """Add the frames of the keyframes and masks: an infotext cannot hold the images themselves."""
    masks = "inpaint mask" if pictures.inpaint_mask else ", ".join(map(str, sorted(pictures.motion_masks)))
    entries = {key("key_frames"): ", ".join(map(str, key_frames)), key("motion_mask"): masks}
    p.extra_generation_params.update({name: words for name, words in entries.items() if words})


def of_candidate(p: Any, number: int, score: float | None) -> dict[str, Any]:
    """The infotext entries of one candidate: a job with them generates this candidate again and animates it."""
    own = {key("scorer"): "pick", key("pick"): str(number), **chosen(number, score), key("version"): VERSION}
    lines = {**p.extra_generation_params, **own, key("calls"): None, key("warning"): None}
    return {name: value for name, value in lines.items() if value is not None}


def chosen(number: int, score: float | None) -> dict[str, str | None]:
    """The entries of a video's candidate; the host leaves out None."""
    return {key("candidate"): str(number), key("score"): None if score is None else f"{score:.4f}"}


def reader(field_name: str, *, is_img2img: bool = True) -> Callable[[Mapping[str, Any]], Any]:
    """The function that reads one control's value from a pasted infotext, or from the infotext of an API request.

    It returns a value of the setting's own type: the API would convert text by `bool("False")`, which is True. For a setting
    that the infotext does not name there are three cases. A rectified job (it names `enabled`) used the first default; a
    plain job switches rectification off; a prompt alone (it has no Steps) and entries written by hand change only the
    settings that they name: None leaves the control as it is.
    """
    row = FIELDS[field_name]

    def read(params: Mapping[str, Any]) -> Any:
        written = params.get(key(field_name))
        if written is not None:
            try:
                value = row.parse(written)
            except SettingsError as error:
                raise refusal(SettingsError(f"in the infotext, {error}")) from None
            return text(value) if row.kind == "omega" else value
        if key("enabled") in params:
            return FIRST_DEFAULTS[field_name]
        is_plain_job = "Steps" in params and not any(key(name) in params for name in FIELDS)
        # In txt2img, `create` alone is the switch of the job.
        return False if is_plain_job and field_name in ("create", *(["enabled"] if is_img2img else [])) else None

    return read

"""The lines that a job leaves in the infotext, its settings, what really happened, and warnings, and how they are read.

A rectified job writes every setting, those at their defaults too, so that a later version with other defaults reads them as
they were; a plain one writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..core.settings import FIELDS, Field, Settings, SettingsError
from .errors import refusal
from .image_inputs import Pictures

# AnimateDiff's paste handler eats keys that begin with its own name, so ours begin with this one.
PREFIX = "Noise Rectification"
STEPS_KEY = f"{PREFIX} steps"
WARNING_KEY = f"{PREFIX} warning"
FOUND_KEY = f"{PREFIX} found"
KEY_FRAMES_KEY = f"{PREFIX} key frames"
MASK_KEY = f"{PREFIX} motion mask"
CANDIDATE_KEY = f"{PREFIX} candidate"
SCORE_KEY = f"{PREFIX} score"
CALLS_KEY = f"{PREFIX} calls"


def key(field_name: str) -> str:
    """The infotext key of a setting; plain letters only, which is what the host's parser takes."""
    return f"{PREFIX} {field_name.replace('_', ' ')}"


def text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"{entry:g}" for entry in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def write_settings(p: Any, settings: Settings) -> None:
    # A new dict: the cells of an X/Y/Z plot are copies of one job and share the old one.
    p.extra_generation_params = {**_others(p), **{key(name): text(getattr(settings, name)) for name in FIELDS}}


def write_found(p: Any, settings: Settings, words: str) -> None:
    """The settings that were found take the place of those that asked for them, so that the infotext makes the same clip."""
    p.extra_generation_params.update({key(name): text(getattr(settings, name)) for name in FIELDS})
    p.extra_generation_params[FOUND_KEY] = words


def write_pictures(p: Any, key_frames: Sequence[int], pictures: Pictures) -> None:
    """Which pictures there were beside the job's own; an infotext cannot hold them."""
    masks = "inpaint mask" if pictures.inpaint_mask else ", ".join(map(str, sorted(pictures.motion_masks)))
    for name, words in ((KEY_FRAMES_KEY, ", ".join(map(str, key_frames))), (MASK_KEY, masks)):
        if words:
            p.extra_generation_params[name] = words


def of_candidate(p: Any, number: int, score: float | None) -> dict[str, Any]:
    """The job's lines as those of one of its candidates: a job with them makes this candidate and animates it."""
    picked = {key("scorer"): "pick", key("pick"): str(number), CANDIDATE_KEY: str(number)}
    lines = {**p.extra_generation_params, **picked, SCORE_KEY: None if score is None else f"{score:.4f}"}
    return {name: value for name, value in lines.items() if value is not None and name not in (CALLS_KEY, WARNING_KEY)}


def write_candidate(p: Any, number: int, score: float | None) -> None:
    p.extra_generation_params.update({CANDIDATE_KEY: str(number), SCORE_KEY: None if score is None else f"{score:.4f}"})


def write_calls(p: Any, words: str) -> None:
    p.extra_generation_params[CALLS_KEY] = words


def reader(field_name: str, *, is_img2img: bool = True) -> Callable[[Mapping[str, Any]], Any]:
    """What the host calls, when an infotext is pasted or comes with an API request, for the value of one control.

    The values are of their own types: from text, the API would make one by `bool("False")`, which is True.
    """
    row = FIELDS[field_name]

    def read(params: Mapping[str, Any]) -> Any:
        written = params.get(key(field_name))
        if written is None:
            return _not_named(row, params, is_img2img)
        try:
            value = row.parse(written)
        except SettingsError as error:
            raise refusal(SettingsError(f"in the infotext, {error}")) from None
        return text(value) if row.kind == "omega" else value

    return read


def _not_named(row: Field, params: Mapping[str, Any], is_img2img: bool) -> Any:
    """The value of a setting that the infotext does not name; None is the one that the control has.

    A rectified job writes all of them: what it does not name, the version that wrote it did not have. A plain job writes
    none. Some lines that somebody wrote, or a prompt alone (which has no steps), change what they name.
    """
    if key("enabled") in params:
        return text(row.default) if row.kind == "omega" else row.default
    is_of_a_plain_job = "Steps" in params and not any(key(name) in params for name in FIELDS)
    # In txt2img `enabled` is no switch of the job, and create alone says whether it counts.
    return False if is_of_a_plain_job and row.name in ("create", *(["enabled"] if is_img2img else [])) else None


def write_warnings(p: Any, warnings: list[str]) -> None:
    if warnings:
        p.extra_generation_params[WARNING_KEY] = "; ".join(warnings)


def clear(p: Any) -> None:
    """Take out what another cell of an X/Y/Z plot left."""
    if len(_others(p)) < len(p.extra_generation_params):
        p.extra_generation_params = _others(p)


def _others(p: Any) -> dict[str, Any]:
    return {name: value for name, value in p.extra_generation_params.items() if not name.startswith(PREFIX)}

"""The extension's own addresses in the host's API: its settings as a schema, and what would happen with given ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..core.keyframes import Keyframes
from ..core.schedule import omega_weights
from ..core.settings import (
    FIELDS,
    FILE_PATTERN,
    MAX_FILE_NAME,
    MAX_OMEGA_ENTRIES,
    OMEGA_PRESETS,
    PRESETS,
    Field,
    Settings,
    SettingsError,
)
from ..methods.i4vgen import calls_words, job_calls
from . import settings_page
from .arguments import INPUTS
from .errors import for_host
from .preview import planned_steps

SETTINGS_PATH = "/noise-rectification/settings"
PREVIEW_PATH = "/noise-rectification/preview"
_HOST_PATH = "/sdapi/v1/img2img"
MAX_STEPS = 10_000

_BASE64 = {"type": "string", "contentEncoding": "base64"}
_BY_FRAME = {"type": "object", "propertyNames": {"pattern": "^[0-9]+$"}, "additionalProperties": _BASE64}
# Where the tab has files with names, a request has base64 by frame number.
_INPUT_SCHEMAS: dict[str, dict[str, Any]] = {
    "key_frames": {
        **_BY_FRAME,
        "description": "More pictures, by the number of the frame that each is to be; frame 0 is the request's own picture.",
    },
    "motion_mask": {
        "oneOf": [_BASE64, _BY_FRAME],
        "description": "White where things may move: one picture, or several by frame number, which change into each other.",
    },
    "inpaint_mask": {
        "type": "boolean",
        "default": False,
        "description": "Take the request's mask as the motion mask, instead of painting anew what is under it.",
    },
}


def add_routes(demo: Any, app: Any) -> None:
    """Called by the host when its web server runs; adds nothing where the host's own API is off.

    The host's address for jobs says whether its API is on, and holds what `--api-auth` demands of a request.
    """
    from modules import shared

    route = next((route for route in app.routes if getattr(route, "path", None) == _HOST_PATH), None)
    if route is None:
        return
    guards = list(route.dependencies)
    if getattr(shared.cmd_opts, "api_auth", None) and not guards:
        raise RuntimeError(f"--api-auth is set and {_HOST_PATH} has no guard to take over: no addresses were added")
    app.add_api_route(SETTINGS_PATH, settings_schema, methods=["GET"], dependencies=guards)
    app.add_api_route(PREVIEW_PATH, preview, methods=["POST"], dependencies=guards)


def settings_schema() -> dict[str, Any]:
    """The settings and inputs of `alwayson_scripts` → `Noise Rectification` → `args[0]`, as JSON Schema.

    `presets` is a keyword of ours; JSON Schema has validators take one that they do not know for an annotation.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Noise Rectification",
        "type": "object",
        "properties": {
            **{name: _schema(row) for name, row in FIELDS.items()},
            **{name: {"title": row.label, **_INPUT_SCHEMAS[name]} for name, row in INPUTS.items()},
        },
        "additionalProperties": False,
        "presets": {
            name: {"description": preset.help, "values": dict(preset.values)} for name, preset in PRESETS.items()
        },
    }


def preview(request: dict[str, Any]) -> dict[str, Any]:
    """ω or the share of motion of each frame, the rectified steps, the UNet calls, the summary; null is not known yet."""
    try:
        return _preview(request)
    except SettingsError as error:
        raise for_host(error, is_api=True) from error


def _preview(request: Mapping[str, Any]) -> dict[str, Any]:
    known = {
        "settings": {},
        "frames": 16,
        "steps": 25,
        "sampler": "Euler",
        "scheduler": "Automatic",
        "denoising_strength": 1.0,
        "picture": True,
    }
    unknown = sorted(str(name)[:80] for name in request if name not in known)
    if unknown:
        raise SettingsError(f"unknown {', '.join(unknown)}: use {', '.join(known)}")
    given = {**known, **request}
    if not isinstance(given["settings"], Mapping):
        raise SettingsError(f"settings = {given['settings']!r:.80} is not a dict: use {', '.join(FIELDS)}")
    # A job's dict may have pictures too; of these only the key frames' places matter here.
    settings = Settings.from_mapping({name: value for name, value in given["settings"].items() if name not in INPUTS})
    settings_page.check_api_settings(settings)
    frames = _whole_number("frames", given["frames"], MAX_OMEGA_ENTRIES)
    steps = _whole_number("steps", given["steps"], MAX_STEPS)
    for name in ("sampler", "scheduler"):
        if not isinstance(given[name], str):
            raise SettingsError(f"{name} = {given[name]!r:.80} is not text: use a {name}'s name")
    if not isinstance(given["picture"], bool):
        raise SettingsError(f"picture = {given['picture']!r:.80} is not a boolean: use true or false")
    weights = omega_weights(settings, _key_frames(given["settings"].get("key_frames"), frames, settings.loop))
    strength = settings.regeneration if settings.create else _strength(given["denoising_strength"])
    planned = planned_steps(given["sampler"], given["scheduler"], steps, strength)
    calls, cost = None, ""
    if settings.create:
        calls = job_calls(
            settings,
            frames,
            steps,
            has_picture=given["picture"],
            regenerated=planned.count,
            calls_a_step=planned.calls_a_step,
        )
        cost = f"about {calls_words(calls, frames)}; "
    is_known, is_share = settings.target_ssim == 0.0, settings.omega == "motion"
    return {
        "unet_calls": calls,
        "omega": weights if is_known and not is_share else None,
        "motion_shares": weights if is_known and is_share else None,
        "rectified_steps": planned.rectified(settings),
        "summary": f"{cost}{planned.summary(settings, weights)}",
    }


def _key_frames(given: object, frames: int, loop: bool) -> Keyframes:
    numbers = [str(number) for number in given] if isinstance(given, Mapping) else []
    places = {int(number) for number in numbers if number.isdecimal() and int(number) < frames}
    return Keyframes((0, *(places - {0})), frames, loop)


def _whole_number(name: str, value: object, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise SettingsError(f"{name} = {value!r:.80} is not allowed: use a whole number from 1 to {most}")
    return value


def _strength(value: object) -> float:
    name, allowed = "denoising_strength", "use a number above 0, to 1"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise SettingsError(f"{name} = {value!r:.80} is not a number: {allowed}")
    if not math.isfinite(value) or not 0 < value <= 1:
        raise SettingsError(f"{name} = {value!r:.80} is out of range: {allowed}")
    return float(value)


def _schema(row: Field) -> dict[str, Any]:
    described = {"title": row.label, "description": row.help, "default": row.default}
    if row.kind == "bool":
        return {**described, "type": "boolean"}
    if row.kind == "number":
        return {**described, "type": "number", "minimum": row.minimum, "maximum": row.maximum}
    if row.kind == "whole":
        return {**described, "type": "integer", "minimum": row.minimum, "maximum": row.maximum}
    if row.choices is not None:
        return {**described, "oneOf": [{"const": name, "description": text} for name, text in row.choices.items()]}
    if row.kind == "file":
        return {**described, "type": "string", "pattern": FILE_PATTERN, "maxLength": MAX_FILE_NAME}
    presets = [{"const": name, "description": text} for name, text in OMEGA_PRESETS.items()]
    weight = {"type": "number", "minimum": 0, "maximum": 1}
    weights = {"type": "array", "items": weight, "minItems": 1, "maxItems": settings_page.longest_api_omega()}
    return {**described, "oneOf": [*presets, weights]}

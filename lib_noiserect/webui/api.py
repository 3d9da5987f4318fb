"""The extension's own addresses: its settings as a schema, and the preview of a job, for the API and for the page."""

from __future__ import annotations

import functools
import hmac
import secrets
from collections.abc import Mapping
from typing import Any

from fastapi import HTTPException
from modules import shared

from ..core.errors import shown
from ..core.report import VERSION
from ..core.settings import FIELDS, FILE_PATTERN, MAX_FILE_NAME, OMEGA_PRESETS, PRESETS, Field, SettingsError
from . import settings_page
from .errors import for_host
from .image_inputs import INPUTS
from .infotext import PREFIX

SETTINGS_PATH = "/noise-rectification/settings"
PREVIEW_PATH = "/noise-rectification/preview"
PAGE_PATH = "/noise-rectification/preview/page"
# Only the page has it, and the host shows the page only to users who have logged in.
PAGE_TOKEN = secrets.token_urlsafe()
_HOST_PATH = "/sdapi/v1/img2img"

_BASE64 = {"type": "string", "contentEncoding": "base64"}
_BY_FRAME = {"type": "object", "propertyNames": {"pattern": "^[0-9]+$"}, "additionalProperties": _BASE64}
_ANY_IMAGES = {"oneOf": [_BASE64, _BY_FRAME]}
_SWITCH = {"type": "boolean", "default": False}
# The tab has files with names; a request has base64 by frame number.
_INPUTS: dict[str, tuple[str, dict[str, Any]]] = {
    "key_frames": ("More images, by the numbers of their frames; frame 0 is the request's own image.", _BY_FRAME),
    "motion_mask": ("White where things may move: one image, or several by frame number, blended in between.", _ANY_IMAGES),
    "inpaint_mask": ("Use the request's mask as the motion mask instead of inpainting under it.", _SWITCH),
}


def add_routes(demo: Any, app: Any) -> None:
    """Add the page's address, and if the host's own API is on, those of the API and a check; called when the web server runs.

    The page does not know the password of `--api-auth`, so its address is another one, with a token. The API's addresses
    take over the guard of the host's address for jobs.
    """
    app.add_api_route(PAGE_PATH, page_preview, methods=["POST"])
    route = next((route for route in app.routes if getattr(route, "path", None) == _HOST_PATH), None)
    if route is None:
        return
    guards = list(route.dependencies)
    if getattr(shared.cmd_opts, "api_auth", None) and not guards:
        raise RuntimeError(f"--api-auth is set and {_HOST_PATH} has no guard to reuse: no addresses were added")
    app.add_api_route(SETTINGS_PATH, settings_schema, methods=["GET"], dependencies=guards)
    app.add_api_route(PREVIEW_PATH, preview, methods=["POST"], dependencies=guards)
    _refuse_dropped_settings(route.endpoint.__self__)


def _refuse_dropped_settings(host_api: Any) -> None:
    """Have the host's API refuse settings that it would drop, and answer with a plain video."""
    original = host_api.init_script_args

    @functools.wraps(original)
    def init_script_args(request: Any, *args: Any, **kwargs: Any) -> Any:
        for name, given in (request.alwayson_scripts or {}).items():
            if name.lower() == PREFIX.lower() and not _is_read(given):  # the host compares names without case
                problem = f'alwayson_scripts["Noise Rectification"] is {shown(given)}: use {{"args": [{{"enabled": true}}]}}'
                raise for_host(SettingsError(problem), is_api=True)
        return original(request, *args, **kwargs)

    host_api.init_script_args = init_script_args


def _is_read(given: Any) -> bool:
    """Whether the host reads all that a request has for this script: it takes what is in the list `args`."""
    if not isinstance(given, Mapping) or "args" not in given:
        return given == {}
    return isinstance(given["args"], list) and not given.keys() & {*FIELDS, *INPUTS}


def settings_schema() -> dict[str, Any]:
    """The settings and inputs of `alwayson_scripts` → `Noise Rectification` → `args[0]`, as JSON Schema.

    `api_version` and `presets` are our own keywords; JSON Schema has validators treat unknown ones as annotations.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Noise Rectification",
        "api_version": VERSION,
        "type": "object",
        "properties": {
            **{name: _schema(row) for name, row in FIELDS.items()},
            **{
                name: {"title": INPUTS[name].label, "description": text, **schema} for name, (text, schema) in _INPUTS.items()
            },
        },
        "additionalProperties": False,
        "presets": {name: {"description": preset.help, "values": dict(preset.values)} for name, preset in PRESETS.items()},
    }


def preview(request: dict[str, Any]) -> dict[str, Any]:
    """ω or the share of motion of each frame, the rectified steps, the UNet calls, the summary; null: not known yet."""
    from .preview import for_api  # the web UI's start does without it

    try:
        return for_api(request)
    except SettingsError as error:
        raise for_host(error, is_api=True) from error


def page_preview(request: dict[str, Any]) -> dict[str, Any]:
    """The preview or the report for the page; 403 for a request that does not come from it."""
    if not hmac.compare_digest(str(request.get("token")).encode(), PAGE_TOKEN.encode()):
        raise HTTPException(status_code=403, detail="Noise Rectification: the token is not the page's: reload the page")
    from .preview import for_page

    return for_page(request)


def _schema(row: Field) -> dict[str, Any]:
    described = {"title": row.label, "description": row.help, "default": row.default}
    if row.kind == "bool":
        return {**described, "type": "boolean"}
    if row.kind in ("number", "whole"):
        kind = "integer" if row.kind == "whole" else "number"
        return {**described, "type": kind, "minimum": row.minimum, "maximum": row.maximum}
    if row.kind == "file":
        return {**described, "type": "string", "pattern": FILE_PATTERN, "maxLength": MAX_FILE_NAME}
    kinds: list[Any] = [{"const": name, "description": text} for name, text in (row.choices or OMEGA_PRESETS).items()]
    if row.kind == "omega":
        weight = {"type": "number", "minimum": 0, "maximum": 1}
        most = settings_page.read(settings_page.API_OMEGA_ENTRIES)
        kinds.append({"type": "array", "items": weight, "minItems": 1, "maxItems": most})
    return {**described, "oneOf": kinds}

"""The refusal of a job: one exception, which the UI shows as it is and the API with status 422."""

from __future__ import annotations

import re

from ..core.errors import UserError
from ..core.finite import FULL_PRECISION
from ..core.settings import FIELDS
from . import host
from .image_inputs import INPUTS

_LABELS = {name: row.label for name, row in {**FIELDS, **INPUTS}.items()}
_WORDS = "|".join(name for name in _LABELS if "_" not in name)
# A name of one word is an English word too, unless it has a value, begins the message as its subject, or is turned on.
_NAMES = re.compile(
    rf"\b(?:{'|'.join(name for name in _LABELS if '_' in name)})\b"
    rf"|\b(?:{_WORDS})(?= = )|^(?:{_WORDS})(?= is | has )|(?<=turn )(?:{_WORDS})(?= on| off)"
)

_MAX_MESSAGE = 4000


class NoiseRectificationError(UserError):
    """The job cannot be done as asked; the message says why and what to do."""


def for_host(error: Exception, is_api: bool) -> Exception:
    """The exception that makes the host show the message of `error`, to be raised now; the API needs one with a status."""
    refused = refusal(error)
    if is_api:
        from fastapi import HTTPException

        return HTTPException(**vars(refused))
    host.show(refused)
    return refused


def refusal(error: Exception) -> NoiseRectificationError:
    """`error` for both surfaces at once: the UI shows its text, and the API reads its status and detail."""
    text = str(error).replace(FULL_PRECISION, f"{FULL_PRECISION} (start the web UI with --no-half)")
    # As UTF-8 can hold it, and not without end: it may repeat what another program says.
    message = text[:_MAX_MESSAGE].encode("utf-8", "backslashreplace").decode("utf-8")
    refused = NoiseRectificationError(in_labels(message))
    refused.__dict__.update(status_code=422, detail=f"Noise Rectification: {message}")
    return refused


def in_labels(message: str) -> str:
    """The message with the labels of the tab in place of the API's names."""
    return _NAMES.sub(lambda name: _LABELS[name[0]], message)

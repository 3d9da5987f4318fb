"""The refusal of a job: one exception, which the UI shows as it is and the API with status 422."""

from __future__ import annotations

from . import host


class NoiseRectificationError(RuntimeError):
    """The job cannot be done as asked; the message says why and what to do."""


def for_host(error: Exception, is_api: bool) -> Exception:
    """The exception that makes the host show the message of `error`, to be raised now; the API needs one with a status."""
    if not is_api:
        refused = error if isinstance(error, NoiseRectificationError) else NoiseRectificationError(str(error))
        host.show(refused)
        return refused
    from fastapi import HTTPException

    return HTTPException(status_code=422, detail=f"Noise Rectification: {error}")


def refusal(error: Exception) -> NoiseRectificationError:
    """`error` for both surfaces at once: the UI shows its text, and the API reads its status and detail."""
    refused = NoiseRectificationError(str(error))
    refused.__dict__.update(status_code=422, detail=f"Noise Rectification: {error}")
    return refused

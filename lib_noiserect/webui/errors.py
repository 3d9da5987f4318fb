"""How a job is refused: one exception, shown by the UI as it is and by the API with status 422."""

from __future__ import annotations

from . import host


class NoiseRectificationError(RuntimeError):
    """The job cannot be done as asked; the message says why and what to do."""


def for_host(error: Exception, is_api: bool) -> Exception:
    """The exception to raise now, which makes the host show `error`'s message; the API wants one with a status."""
    if not is_api:
        refused = error if isinstance(error, NoiseRectificationError) else NoiseRectificationError(str(error))
        host.show(refused)
        return refused
    from fastapi import HTTPException

    return HTTPException(status_code=422, detail=f"Noise Rectification: {error}")


def refusal(error: Exception) -> NoiseRectificationError:
    """`error` for where nothing tells who asks: the UI shows its text, and the API reads status and text off it."""
    refused = NoiseRectificationError(str(error))
    refused.__dict__.update(status_code=422, detail=f"Noise Rectification: {error}")
    return refused

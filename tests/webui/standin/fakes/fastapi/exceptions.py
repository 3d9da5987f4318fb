"""The exception again, at its other address."""

from fastapi import HTTPException  # noqa: F401

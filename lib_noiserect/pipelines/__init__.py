"""Noise rectification for the video pipelines of diffusers: `with rectified(pipe, image, settings): pipe(prompt)`."""

from .animation import animate
from .i4vgen import Creation, create
from .loading import load
from .rectification import Rectification, rectified
from .reference import EncodedVideo
from .schedulers import PipelineError
from .start_time import starting_late

__all__ = [
    "Creation",
    "EncodedVideo",
    "PipelineError",
    "Rectification",
    "animate",
    "create",
    "load",
    "rectified",
    "starting_late",
]

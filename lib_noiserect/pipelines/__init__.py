"""Noise rectification for the video pipelines of diffusers: `with rectified(pipe, picture, settings): pipe(prompt)`."""

from .levels import PipelineError
from .rectified import Rectification, rectified

__all__ = ["PipelineError", "Rectification", "rectified"]

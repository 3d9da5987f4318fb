"""Noise rectification for the video pipelines of diffusers: `with rectified(pipe, picture, settings): pipe(prompt)`."""

from .rectification import Rectification, rectified
from .schedulers import PipelineError

__all__ = ["PipelineError", "Rectification", "rectified"]

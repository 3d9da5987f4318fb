"""Noise rectification: image-to-video that stays faithful to the image (Li et al., arXiv 2403.02827)."""

from .core.report import VERSION as __version__
from .core.settings import PRESETS, Settings

__all__ = ["PRESETS", "Settings", "__version__"]

"""Noise rectification: image-to-video that stays faithful to the picture (Li et al., arXiv 2403.02827)."""

__version__ = "0.1.0"

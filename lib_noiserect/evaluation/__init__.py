"""Measures clips and runs the paper's experiments (Li et al., arXiv 2403.02827)."""

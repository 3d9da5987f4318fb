"""Measurements of the project on its built-in world, which need a clone of the repository: `python -m benchmarks`."""

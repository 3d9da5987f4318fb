"""The parts of benchmarks/control.py."""

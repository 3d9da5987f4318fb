"""The method itself, on torch and the standard library alone."""

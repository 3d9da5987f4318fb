"""The web UI extension: the only part that imports the host."""

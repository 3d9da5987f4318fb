"""Run by the web UI at its start. It installs nothing: torch and gradio are the host's own, and stay as they are."""

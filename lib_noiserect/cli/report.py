"""The command `report`: prints versions and settings for an issue, without prompts, paths and images."""

from __future__ import annotations

import argparse

from ..core import report
from .options import add_settings, settings_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser: the settings of the run that failed."""
    add_settings(parser)


def run(arguments: argparse.Namespace) -> None:
    """Print the report. Raises `SettingsError` for a wrong value."""
    print(report.report(vars(settings_of(arguments)), {"program": "command line"}, []))

"""`python -m lib_noiserect`: the command line. Bad input ends with one line and exit code 2."""

from __future__ import annotations

import argparse
import io
import sys

from .cli import animate, create, evaluate, schedule, statistics
from .core.errors import UserError

COMMANDS = {
    "animate": (animate, "animate a picture"),
    "create": (create, "make a clip of a prompt alone, through a picture in between (I4VGen)"),
    "schedule": (schedule, "show which steps are rectified and how freely each frame moves"),
    "statistics": (statistics, "gather what is known of a folder of clips, for the analytic start"),
    "evaluate": (evaluate, "measure the methods over a folder of pictures"),
}


def main(given: list[str] | None = None) -> int:
    """Runs the command that `given` names, by default the program's arguments. Returns the exit code."""
    # A console that is not UTF-8 would end at the first Greek letter of a help text.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    parser = argparse.ArgumentParser(prog="python -m lib_noiserect", description="Noise rectification.")
    commands = parser.add_subparsers(required=True, metavar="command")
    for name, (module, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    arguments = parser.parse_args(given)
    try:
        arguments.run(arguments)
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

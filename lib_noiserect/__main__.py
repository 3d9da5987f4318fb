"""The command line: `noise-rectification` or `python -m lib_noiserect`. Invalid input exits with one line and code 2."""

from __future__ import annotations

import argparse
import io
import os
import sys
from typing import NoReturn

from .cli import animate, create, evaluate, report, schedule, statistics
from .cli.options import message_of
from .core.errors import UserError

COMMANDS = {
    "animate": (animate, "animate an image"),
    "create": (create, "make a video of a prompt through an image (I4VGen)"),
    "schedule": (schedule, "print the rectified steps and the weight of each frame"),
    "statistics": (statistics, "gather the statistics of a folder of videos for the initial noise"),
    "evaluate": (evaluate, "measure the methods on a folder of images"),
    "report": (report, "print versions and settings to attach to an issue"),
}


def main(words: list[str] | None = None, prog: str = "python -m lib_noiserect") -> int:
    """Run a command with its arguments, those of the program if None, and return the exit code."""
    parser = Parser(prog=prog, description="Noise rectification: animate an image faithfully.")
    commands = parser.add_subparsers(required=True, metavar="command")
    for name, (module, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return run_command(parser, words)


class Parser(argparse.ArgumentParser):
    """Refuses wrong options in one line, as commands refuse wrong input."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message_of(UserError(message))}; usage: {self.prog} --help\n")


def run_command(parser: argparse.ArgumentParser, words: list[str] | None) -> int:
    """Parse the words, call `run` of the parser's defaults with the result, and return the exit code."""
    # A console that is not UTF-8 would stop at the first Greek letter of a help text.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    arguments = parser.parse_args(words)
    try:
        arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as head, has closed the pipe; Python would say so again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (UserError, OSError) as error:  # such as a file name that is too long
        print(f"error: {message_of(error)}", file=sys.stderr)
        return 2
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and type(error).__name__ != "OutOfMemoryError":  # torch's
            raise
        print("error: the memory is full: use fewer frames, a smaller size or --precision fp16", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def console() -> int:
    """Run a command as the console script."""
    return main(prog="noise-rectification")


if __name__ == "__main__":
    sys.exit(main())

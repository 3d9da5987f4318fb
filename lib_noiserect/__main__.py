"""`python -m lib_noiserect`: the command line."""

import argparse
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lib_noiserect", description="Noise rectification.")
    commands = parser.add_subparsers(required=True, metavar="command")
    demo = commands.add_parser("demo", help="show on a toy world what the pivot does")
    demo.add_argument(
        "-o", "--output", type=Path, default=Path("out/demo.png"), help="the sheet (default: %(default)s)"
    )
    demo.set_defaults(run=_demo)
    options = parser.parse_args()
    options.run(options)


def _demo(options: argparse.Namespace) -> None:
    from .demonstration import main as demonstrate

    demonstrate(options.output)


if __name__ == "__main__":
    main()

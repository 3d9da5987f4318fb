"""What the controls do to a clip, measured with the built-in model: writes the tables and figure of docs/measured/control.md.

    python benchmarks/control.py --processes 2
    python benchmarks/control.py --only loop release --pictures 4

Each measurement is kept in `--results` as JSON, by pictures, and what is there is not measured again; tables and
figure are made from all that is there. Pictures are held-out scenes of the toy world; means have 95 % intervals over them.
"""

from __future__ import annotations

import argparse
import functools
import json
import multiprocessing
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from controls import long_clips, measured
from controls.clips import Figures
from controls.figure import draw
from controls.tables import TABLES, by_steps, write_tables

ROOT = Path(__file__).resolve().parent.parent
MEASUREMENTS: dict[str, tuple[Callable[[int], Figures], int]] = {
    "loop": (measured.loop, 6),
    "release": (measured.release, 6),
    "keys": (measured.keys, 6),
    "mask": (measured.mask, 6),
    "colour": (measured.colour, 6),
    "target": (measured.target, 4),
    "cost": (long_clips.cost, 1),
    "dial_15": (functools.partial(measured.dial, 15), 8),
    "dial_25": (functools.partial(measured.dial, 25), 8),
    "dial_50": (functools.partial(measured.dial, 50), 8),
    "levels": (measured.levels, 3),
    "long": (long_clips.long, 6),
    "long_plain": (long_clips.long_plain, 6),
    "long_chained": (long_clips.long_chained, 3),
    "freenoise": (long_clips.freenoise, 3),
}
"""The measurements, and of how many pictures: together about three quarters of an hour of two cores."""


def _one(job: tuple[str, int]) -> tuple[str, int, Figures]:
    name, picture = job
    return name, picture, MEASUREMENTS[name][0](picture)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=MEASUREMENTS, help="these measurements (default: all)")
    parser.add_argument("--pictures", type=int, help="of each measurement (default: as in docs/measured/control.md)")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--results", type=Path, default=ROOT / "out" / "control", help="where the figures are kept")
    parser.add_argument("--report", action="store_true", help="measure nothing, and write page and figure again")
    options = parser.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    everything = {path.stem: json.loads(path.read_text()) for path in options.results.glob("*.json")}
    jobs = []
    for name in () if options.report else options.only or MEASUREMENTS:
        count = 1 if name == "cost" else options.pictures or MEASUREMENTS[name][1]
        jobs += [(name, picture) for picture in range(count) if str(picture) not in everything.get(name, {})]
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        for name, picture, figures in pool.imap_unordered(_one, jobs):
            everything.setdefault(name, {})[str(picture)] = figures
            (options.results / f"{name}.json").write_text(json.dumps(everything[name]))
            print(f"{name}: picture {picture}", flush=True)
    found = {name: [kept[picture] for picture in sorted(kept, key=int)] for name, kept in everything.items()}
    write_tables(found, ROOT / "docs" / "measured" / "control.md")
    if by_steps(found) and set(TABLES) <= set(found):
        draw(found, ROOT / "docs" / "pictures" / "control.png")


if __name__ == "__main__":
    main()

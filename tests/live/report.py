"""The figures of `--host-results` as a Markdown table: `python tests/live/report.py figures.json`."""

import json
import sys


def table(rows):
    if all("frozen_largest" not in row for row in rows.values()):
        return short_table(rows)
    heads = ["sampler", "steps", "frozen: largest", "mean", "floor: largest", "mean", "frozen to floor"]
    heads += ["frame 0 moving: largest", "mean"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for sampler, row in rows.items():
        figures = [row[name] for name in ("frozen_largest", "frozen_mean", "floor_largest", "floor_mean")]
        figures += [row["frozen_to_floor_largest"], row["moving_frame_0_largest"], row["moving_frame_0_mean"]]
        lines.append(_line(sampler, row, figures))
    return "\n".join(lines)


def short_table(rows):
    """Of `test_still_frames_beside_moving_ones` alone."""
    heads = [
        "sampler",
        "steps",
        "still frames: largest",
        "mean",
        "floor: largest",
        "mean",
        "still to floor",
        "moving: mean",
    ]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    names = ("still_largest", "still_mean", "floor_largest", "floor_mean", "still_to_floor", "moving_mean")
    lines += [_line(sampler, row, [row.get(name, "–") for name in names]) for sampler, row in rows.items()]
    return "\n".join(lines)


def _line(sampler, row, figures):
    shown = [f"{figure:.4f}" if isinstance(figure, float) else str(figure) for figure in figures]
    return f"| {sampler} | {row['steps']} | " + " | ".join(shown) + " |"


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        print(table(json.load(file)))

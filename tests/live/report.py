"""The figures of `--host-results` as a Markdown table: `python tests/live/report.py figures.json`."""

import json
import sys


def table(rows):
    heads = ["sampler", "steps", "frozen: largest", "mean", "floor: largest", "mean", "frozen to floor"]
    heads += ["frame 0 moving: largest", "mean"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for sampler, row in rows.items():
        figures = [row[name] for name in ("frozen_largest", "frozen_mean", "floor_largest", "floor_mean")]
        figures += [row["frozen_to_floor_largest"], row["moving_frame_0_largest"], row["moving_frame_0_mean"]]
        shown = [f"{figure:.4f}" if isinstance(figure, float) else str(figure) for figure in figures]
        lines.append(f"| {sampler} | {row['steps']} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        print(table(json.load(file)))

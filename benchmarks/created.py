"""Draws clips of prompts alone, as the experiment `creation` made them.

    python -m lib_noiserect evaluate -o FOLDER --experiments creation --processes 2 --bfloat16 --steps 10
    python benchmarks/created.py FOLDER docs/pictures/created.png

They are the experiment's first three prompts, and not chosen ones.
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from lib_noiserect.evaluation.creation import METHODS, made_path, read_creation
from lib_noiserect.tiny.world import held_out_scenes

PROMPTS = 3
EVERY = 3
SHOWN = [name for name in METHODS if name in ("text alone", "I4VGen", "rectified")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("picture", type=Path)
    arguments = parser.parse_args()
    trials = {(trial.prompt, trial.what): trial for trial in read_creation(arguments.folder).values}
    captions = held_out_scenes(trials[0, SHOWN[0]].prompts).captions
    figure = plt.figure(figsize=(8.4, 11.6), layout="constrained")
    for prompt, part in enumerate(figure.subfigures(PROMPTS, 1)):
        part.suptitle(captions[prompt], fontsize=12)
        for axes, what in zip(part.subplots(len(SHOWN), 1), SHOWN, strict=True):
            with np.load(made_path(arguments.folder, trials[prompt, what])) as made:
                frames, anchor = made["frames"][::EVERY], made.get("anchor")
            gap = np.full((frames.shape[1], 6, 3), 255, np.uint8)
            first = np.full_like(frames[0], 255) if anchor is None else anchor
            axes.imshow(np.concatenate([first, gap, *frames], axis=1))
            axes.set_ylabel(what, rotation=0, ha="right", va="center")
            axes.set_xticks([32, *(102 + 64 * n for n in range(len(frames)))], [])
            axes.tick_params(length=0)
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
        names = ["picture", *(f"frame {EVERY * n}" for n in range(len(frames)))]
        axes.set_xticks(axes.get_xticks(), names)
    figure.savefig(arguments.picture, dpi=80)


if __name__ == "__main__":
    main()

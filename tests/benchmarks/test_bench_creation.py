"""The experiment on clips of prompts alone: what its methods cost, and the tables, from figures made up by hand."""

import json
import re
from dataclasses import asdict

import numpy as np
import pytest

from benchmarks.creation import CHOICE, METHODS, TRUE, Trial, trials_of, video_figures
from benchmarks.creation_report import parts
from benchmarks.families import results_in
from lib_noiserect.core.errors import UserError
from lib_noiserect.tiny.world import Scenes, pixels_of

FIGURES = {
    "words_right": 0.9,
    "follows_caption": 1.0,
    "motion": 0.3,
    "warp_residual": 4.0,
    "steady": 1.0,
    "distance": 1.5,
}
FIGURES |= {"sharpness": 9.0}


def trial(what, prompt=0):
    return Trial(what, prompt, 3, 10, 7.5, prompt)


def test_calls_by_hand():
    """Ten steps, 16 frames, four looks, whose two halves count as one."""
    calls = {name: method.calls(10, 16) for name, method in METHODS.items()}
    assert calls == {
        "text alone": 10,
        "text alone, as many calls": 31,
        "I4VGen": 10 + 4 + 7 + 10,
        "rectified": 31,
        "rectified, following": 31,
        "rectified, 4 candidates": (10 + 4) / 4 + 7 + 10,
        "rectified, share 0.2": 10 + 4 + 3 + 10,
        "rectified, 4 candidates in half the steps, share 0.2": (5 + 4) / 4 + 3 + 10,
    }


def test_the_compared_methods_come_first_and_every_trial_once():
    trials = trials_of(2, 10, 7.5, 100)
    made = {}
    for one in trials:
        made.setdefault(one.job, []).append(one)
    assert [(job[0].prompt, job[0].seed, len(job)) for job in made.values()] == [
        (0, 100, 7), (1, 101, 7), (0, 100, 3), (1, 101, 3)
    ]  # fmt: skip
    assert len(set(trials)) == len(trials) == 2 * len([TRUE, CHOICE, *METHODS])
    assert {one.what for one in next(iter(made.values()))} == {TRUE, CHOICE, *list(METHODS)[:5]}
    assert len({one.path for one in trials}) == len(trials)


@pytest.fixture
def folder(tmp_path):
    """Three prompts; captions are right in 25, 37.5, 50 % of the frames of text alone, in 25 % more of the rectified."""
    lines = []
    for prompt, right in enumerate((0.25, 0.375, 0.5)):
        kept = {"anchor": 0.8, "anchor_first": 0.9}
        lines += [
            (trial(TRUE, prompt), FIGURES | {"all_right": 1.0}),
            (trial("text alone", prompt), FIGURES | {"all_right": right}),
            (trial("rectified", prompt), FIGURES | {"all_right": right + 0.25} | kept),
        ]
    # The oracle's choice is 2, 0, 1; the four looks' mean takes 2, 0, 2; the first look alone 2, 2, 2.
    likely = ([-3.0, -2.0, -1.0], [-1.0, -2.0, -3.0], [-2.0, -1.0, -4.0])
    gains = (
        [[0, 0, 1], [0, 0, 1], [0, 0, 1], [0, 0, 1]],
        [[0, 0, 1], [2, 0, 0], [2, 0, 0], [2, 0, 0]],
        [[0, 0, 1], [0, 0, 1], [0, 1, 0], [0, 0, 1]],
    )
    for prompt in range(3):
        right = [int(index == prompt) for index in range(3)]
        lines.append((trial(CHOICE, prompt), {"likely": likely[prompt], "right": right, "gains": gains[prompt]}))
    text = "".join(json.dumps({"key": asdict(key), "values": values}) + "\n" for key, values in lines)
    (tmp_path / "creation.jsonl").write_text(text, encoding="utf-8")
    return tmp_path


def rows(text):
    """The cells of a part's tables by their first one, table by table."""
    tables = re.findall(r"(?:^\|.*\n?)+", text, re.M)
    return [
        {
            cells[0]: cells[1:]
            for line in table.splitlines()
            if (cells := [one.strip() for one in line[1:-1].split("|")])
        }
        for table in tables
    ]


def test_tables_of_clips(folder):
    clips, _ = parts(results_in(folder))
    means, differences = rows(clips.markdown)
    assert list(means)[2:] == [TRUE, "text alone", "rectified"] and list(differences)[2:] == ["rectified"]
    assert means["Videos"][0] == "Caption right" and means["Videos"][-2:] == ["Calls", "Prompts"]
    assert means[TRUE][0] == "1.000 [1.000, 1.000]" and means[TRUE][-2:] == ["–", "3"]
    assert means["text alone"][0].startswith("0.375 [") and means["text alone"][-4:] == ["–", "–", "10", "3"]
    assert means["rectified"][0].startswith("0.625 [") and means["rectified"][-4:] == [
        "0.800 [0.800, 0.800]", "0.900 [0.900, 0.900]", "31", "3"
    ]  # fmt: skip
    # Pair by pair: always 0.25, whatever the prompt.
    assert differences["rectified"][0] == "+0.250 [+0.250, +0.250]" and differences["rectified"][3].startswith("0.000")
    said = (
        "- Rectified instead of text alone: 62 % instead of 38 % of the frames show the whole caption, 100 % instead of"
    )
    assert said in clips.markdown
    assert "Prompts: 3, Sampler: ddim, Steps: 10" in clips.markdown and clips.html.count("image/svg+xml") == 4


def test_table_of_choices(folder):
    _, choices = parts(results_in(folder))
    table, changes = rows(choices.markdown)

    def share(name, column):
        return float(table[name][column].split(" ")[0].replace("−", "-"))

    # Caption right is candidate 0, 1, 2 of prompts 0, 1, 2.
    assert [share("at random", column) for column in range(3)] == [0.333, 0.333, -2.11]
    assert [share("the model's own (default)", column) for column in range(3)] == [0.667, 0.333, -2.0]
    assert [share("one look, t = 0.9 T", column) for column in range(3)] == [0.333, 0.333, -2.67]
    assert [share("two looks, the noisiest", column) for column in range(3)] == [0.667, 0.333, -2.0]
    assert [share("the oracle itself", column) for column in range(3)] == [1.0, 0.0, -1.0]
    assert "at random" not in changes and changes["the model's own (default)"][1].startswith("0.000 [")


def test_nothing_measured_is_no_part(tmp_path):
    assert parts(results_in(tmp_path)) == []
    (tmp_path / "creation.jsonl").write_text("{}\n", encoding="utf-8")
    with pytest.raises(UserError, match="line 1 is damaged"):
        parts(results_in(tmp_path))


def test_figures_of_the_worlds_own_clip_and_of_another():
    scenes = Scenes.draw(2, 4321)
    clips = pixels_of(scenes.render())
    own = video_figures(clips[0], scenes.captions[0], clips[0][0])
    other = video_figures(clips[1], scenes.captions[0], None)
    assert own["words_right"] > 0.8 and own["words_right"] > other["words_right"] and own["follows_caption"] == 1
    assert own["anchor_first"] == pytest.approx(1) and own["anchor"] < 1 and "anchor" not in other
    assert 0.3 < own["distance"] < 3
    noise = np.random.default_rng(0).integers(0, 255, clips[0].shape, np.uint8)
    assert video_figures(noise, scenes.captions[0], None)["distance"] > 2 * own["distance"]
    still = np.repeat(clips[0][:1], 16, axis=0)
    assert video_figures(still, scenes.captions[0], None)["steady"] == 1 and own["steady"] <= 1
    # Two columns, black and white: half the horizontal steps are whole, and no vertical one.
    stripes = np.zeros((16, 64, 64, 3), np.uint8)
    stripes[:, :, 32:] = 255
    assert video_figures(stripes, scenes.captions[0], None)["sharpness"] == pytest.approx(255 / 63 / 2)

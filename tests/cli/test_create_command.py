"""The command `create`, on the built-in model."""

import argparse
import io
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from lib_noiserect.__main__ import main
from lib_noiserect.cli import create
from lib_noiserect.core.settings import CREATION, FIELDS

SAMPLE = Path(__file__).resolve().parents[2] / "docs" / "pictures" / "sample.png"

PROMPT = "a yellow star moving up over a green ground"
FAST = ["--steps", "2", "--frames", "4", "--candidates", "2", "--tau-end", "1", "--guidance", "1"]


def frames_of(path):
    with Image.open(path) as clip:
        return np.stack([np.asarray((clip.seek(index), clip.convert("RGB"))[1]) for index in range(clip.n_frames)])


def test_a_clip_and_its_candidates(tmp_path, capsys):
    assert main(["create", PROMPT, "-o", str(tmp_path / "clip.webp"), *FAST]) == 0
    said = capsys.readouterr()
    assert "about 7 model calls; plain text-to-video has 2" in said.out
    assert "candidates: 2 calls, choice: 4 calls, animation: 2 calls, regeneration: 2 calls" in said.out
    assert "candidates" in said.err and "regeneration" in said.err, "each stage has its bar"
    with Image.open(tmp_path / "clip-candidates.png") as sheet:
        assert sheet.size == (2 * 132, 146)
    assert frames_of(tmp_path / "clip.webp").shape == (4, 256, 256, 3)


def test_one_chosen_by_number_or_picked_by_hand(tmp_path, capsys, monkeypatch):
    """The candidates are there to be looked at before the answer is awaited; what is no answer is asked again."""
    chosen = {}
    for number in ("0", "1"):
        command = ["create", PROMPT, "-o", str(tmp_path / f"{number}.webp"), *FAST, "--choose", number, "--json"]
        assert main(command) == 0
        said = json.loads(capsys.readouterr().out)
        assert said["chosen"] == int(number) and said["calls"] == {"candidates": 2, "animation": 2, "regeneration": 2}
        chosen[number] = frames_of(tmp_path / f"{number}.webp")
    assert not np.array_equal(chosen["0"], chosen["1"])
    lines = iter(["2\n", "first\n", "1\n"])

    def answer():
        assert (tmp_path / "c-candidates.png").is_file()
        return next(lines)

    monkeypatch.setattr("sys.stdin", SimpleNamespace(readline=answer))
    assert main(["create", PROMPT, "-o", str(tmp_path / "c.webp"), *FAST, "--scorer", "pick"]) == 0
    said = capsys.readouterr().out
    assert said.count("Which one, 0 to 1?") == 3 and "candidate 1 of 2" in said
    assert "about 5 model calls" in said and "choice: 0" not in said
    assert np.array_equal(frames_of(tmp_path / "c.webp"), chosen["1"])


def test_nobody_answers(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert main(["create", PROMPT, "-o", str(tmp_path / "c.webp"), *FAST, "--scorer", "pick"]) == 2
    assert "--scorer pick got no answer: look at" in capsys.readouterr().err
    assert (tmp_path / "c-candidates.png").is_file() and not (tmp_path / "c.webp").exists()


def test_a_scorer_that_is_not_there_costs_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("lib_noiserect.pipelines.loading.load", None)  # called, it would be another error
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert main(["create", PROMPT, "-o", str(tmp_path / "c.webp"), *FAST, "--scorer", "pickscore"]) == 2
    message = capsys.readouterr().err
    assert "needs config.json, model.safetensors" in message and "of yuvalkirstain/PickScore_v1" in message


def test_a_scorer_chooses(tmp_path, capsys, monkeypatch):
    asked = []

    def load_scorer(name, device):
        asked.append((name, device))
        return SimpleNamespace(score=lambda pictures, prompt: asked.append((len(pictures), prompt)) or [0.25, 0.75])

    monkeypatch.setattr("lib_noiserect.cli.create.load_scorer", load_scorer)
    command = ["create", PROMPT, "-o", str(tmp_path / "c.webp"), *FAST, "--scorer", "clip", "--json"]
    assert main(command) == 0
    said = json.loads(capsys.readouterr().out)
    assert asked == [("clip", "cpu"), (2, PROMPT)] and said["chosen"] == 1 and said["scores"] == [0.25, 0.75]
    assert "choice" not in said["calls"]


def test_from_a_picture_of_ones_own(tmp_path, capsys):
    pixels = np.asarray(Image.open(SAMPLE).convert("RGB").resize((256, 256), Image.Resampling.LANCZOS)).astype(int)
    output = tmp_path / "c.webp"
    command = ["create", PROMPT, "--image", str(SAMPLE), "-o", str(output), "--steps", "2", "--frames", "3"]
    assert main([*command, "--tau-end", "1", "--sampler", "euler", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["calls"] == {"animation": 2, "regeneration": 2}
    kept = np.abs(frames_of(output)[0] - pixels).mean()
    assert main([*command, "--authors", "--json"]) == 0
    assert kept < 8 and np.abs(frames_of(output)[0] - pixels).mean() > 2 * kept, "frame 0 is the picture, to the VAE"


@pytest.mark.parametrize(
    "given, message",
    [
        (["--animation-share", "2"], "--animation-share = '2' is out of range: use a number from 0 to 1"),
        (["--share", "2"], "--animation-share = '2' is out of range"),
        (["--strength", "3"], "--animation-strength = '3' is out of range"),
        (["--regeneration", "0"], "--regeneration = '0' is out of range"),
        (["--candidates", "65"], "--candidates = '65' is out of range: use a whole number from 0 to 64"),
        (["--pick", "2"], "--pick = 2 is not one of the 2 candidates: use 0 to 1"),
        (["--scorer", "taste"], "--scorer = 'taste' is not allowed: use model or imagereward"),
        (["--picture", str(SAMPLE), "--choose", "1"], "--image makes no candidates"),
        (["--scorer", "clip", "--choose", "1"], "--scorer = clip has nothing to choose"),
        (["--image", str(SAMPLE), "--candidates", "0", "--scorer", "pick"], "--scorer = pick has nothing to choose"),
        (["--scorer", "pick"], "--scorer = pick asks for a number and --json prints nothing else: add --pick"),
        (["--sampler", "nothing"], "--sampler = 'nothing' is unknown"),
        (["--omega", "0.5,0.5"], "--omega has 2 entries and the video has 4 frames"),
        (["--image", "missing.png", "--candidates", "0"], "missing.png does not exist: use an image file"),
    ],
)
def test_bad_input_ends_with_one_line(tmp_path, capsys, given, message):
    assert main(["create", PROMPT, "-o", str(tmp_path / "c.gif"), *FAST, *given, "--json"]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1 and said.startswith("error: ")
    assert not (tmp_path / "c.gif").exists()


def test_the_options_are_the_fields():
    """Those of FIELDS, with their help and defaults, under their names and the older ones."""
    parser = argparse.ArgumentParser()
    create.add_arguments(parser)
    actions = {action.dest: action for action in parser._actions}
    for name in set(CREATION) - {"create"}:
        assert actions[name].option_strings[0] == "--" + name.replace("_", "-")
        assert FIELDS[name].help in actions[name].help and actions[name].default is None
    older = {"pick": "--choose", "animation_share": "--share", "animation_strength": "--strength", "image": "--picture"}
    assert all(option in actions[name].option_strings for name, option in older.items())

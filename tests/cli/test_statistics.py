"""The command `statistics`: what it gathers of real files, what it passes over, going on after a kill, the authors' files."""

import json
import os
import signal
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from lib_noiserect.__main__ import main
from lib_noiserect.cli import statistics as command
from lib_noiserect.media.videos import read_video, write_video
from lib_noiserect.methods.analytic_init import KINDS, describe
from lib_noiserect.methods.statistics_file import load
from lib_noiserect.pipelines.latents import encode, encode_video

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["--frames", "3", "--width", "16", "--height", "16"]


def clip(seed, frames=6, height=16, width=16):
    start = np.random.default_rng(seed).integers(0, 255, (height, width, 3))
    return np.stack([np.roll(start, index, axis=1) for index in range(frames)]).astype(np.uint8)


def folder_of(path, count, ending=".webp", fps=8):
    path.mkdir()
    for index in range(count):
        write_video(clip(index), path / f"clip-{index}{ending}", fps)
    return path


def test_the_commands_kinds_are_those_of_the_method():
    assert KINDS == command.KINDS


def gathered(*arguments):
    assert main(["statistics", *map(str, arguments)]) == 0


def test_a_still_clip_has_the_pictures_latents(pipe):
    picture = torch.rand(1, 3, 16, 16) * 2 - 1
    with torch.no_grad():
        latents, still = encode_video(pipe.vae, picture.expand(3, -1, -1, -1)), encode(pipe.vae, picture, 3)
    assert torch.allclose(latents, still[0].transpose(0, 1), atol=1e-5)


def test_all_kinds_of_a_folder_and_what_is_passed_over(tmp_path, pipe, capsys):
    folder = folder_of(tmp_path / "clips", 4)
    (folder / "notes.txt").write_text("no video", encoding="utf-8")
    (folder / ".hidden.webp").write_text("no video", encoding="utf-8")
    write_video(clip(9, frames=2), folder / "short.webp")
    gathered(folder, "-o", tmp_path / "s.safetensors", "--kind", "all", *SMALL)
    said = capsys.readouterr()
    assert "skipped: notes.txt: no video that can be read" in said.err
    assert "skipped: short.webp: too short: 2 of 3 frames" in said.err and "hidden" not in said.err
    assert "skipped: 2 files" in said.out and "videos: 100%" in said.err
    pixels = [read_video(folder / f"clip-{index}.webp", 3, 8, 16, 16) for index in range(4)]
    with torch.no_grad():
        latents = np.stack(
            [
                encode_video(pipe.vae, torch.from_numpy(one).permute(0, 3, 1, 2).float() / 127.5 - 1).double().numpy()
                for one in pixels
            ]
        )
    mean, conditional, spectral = (
        load(tmp_path / f"s-{kind}.safetensors") for kind in ("mean", "conditional", "spectral")
    )
    for one in (mean, conditional, spectral):
        assert (one.clips, one.frames, one.width, one.height, one.model) == (4, 3, 16, 16, "built-in")
        assert one.vae_scale == pytest.approx(pipe.vae.config.scaling_factor)
    assert np.abs(mean.values["mean"].numpy() - latents.mean(0)).max() < 1e-5
    assert float(mean.values["variance"]) == pytest.approx(latents.var(0).mean(), rel=1e-4)
    moved = latents - latents[:, :1]
    assert conditional.values["variance"].numpy() == pytest.approx(moved.var(0).mean((1, 2, 3)), rel=1e-4)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "clips",
        "s-conditional.safetensors",
        "s-mean.safetensors",
        "s-spectral.safetensors",
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_run_goes_on_where_it_was(tmp_path, monkeypatch, capsys):
    folder = folder_of(tmp_path / "clips", 6)
    (folder / "aa-broken.mp4").write_text("no video", encoding="utf-8")
    arguments = ["--kind", "all", *SMALL, "--save-every", "0", "--device", "cpu"]
    gathered(folder, "-o", tmp_path / "whole.safetensors", *arguments)
    kept = tmp_path / ".killed.safetensors.unfinished"

    def until_killed(path, *options):
        if path.name == "clip-3.webp":
            os.kill(os.getpid(), signal.SIGKILL)
        return read_video(path, *options)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python 3.12 warns of forks of a process with threads
        child = os.fork()
    if child == 0:
        command.read_video = until_killed
        main(["statistics", str(folder), "-o", str(tmp_path / "killed.safetensors"), *arguments])
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert not (tmp_path / "killed-mean.safetensors").exists()
    read = []
    monkeypatch.setattr(command, "read_video", lambda path, *a: read.append(path.name) or read_video(path, *a))
    assert main(["statistics", str(folder), "-o", str(tmp_path / "killed.safetensors"), *arguments, "--fps", "4"]) == 2
    assert "belongs to a run with another fps: delete it" in capsys.readouterr().err and read == []
    gathered(folder, "-o", tmp_path / "killed.safetensors", *arguments)
    assert "resuming after 4 files" in capsys.readouterr().err
    assert read == ["clip-3.webp", "clip-4.webp", "clip-5.webp"] and not kept.exists()
    for kind in ("mean", "conditional", "spectral"):
        whole, killed = (load(tmp_path / f"{run}-{kind}.safetensors") for run in ("whole", "killed"))
        assert describe(whole) == describe(killed) and whole.clips == 6
        assert all(torch.equal(value, killed.values[name]) for name, value in whole.values.items())


def test_a_damaged_unfinished_file_is_named(tmp_path, capsys):
    folder = folder_of(tmp_path / "clips", 1)
    kept = tmp_path / ".s.safetensors.unfinished"
    kept.write_bytes(b"damaged")
    assert main(["statistics", str(folder), "-o", str(tmp_path / "s.safetensors"), *SMALL]) == 2
    assert f"{kept} is damaged" in capsys.readouterr().err


def test_the_built_in_models_world(tmp_path):
    arguments = ["--world", "2", "--frames", "3", "--width", "32", "--height", "32", "--kind", "conditional"]
    gathered("-o", tmp_path / "w.safetensors", *arguments)
    found = load(tmp_path / "w.safetensors")
    variances = found.values["variance"].tolist()
    assert found.clips == 2 and variances[0] == 0 < variances[1] < variances[2]


def test_a_published_file_is_converted(tmp_path, capsys):
    torch.save({"Expectation_X0": torch.rand(1, 4, 3, 2, 2), "Tr_Cov_d": torch.tensor(0.25)}, tmp_path / "init.pt")
    gathered(tmp_path / "init.pt", "-o", tmp_path / "s.safetensors")
    found = load(tmp_path / "s.safetensors")
    assert found.kind == "mean" and found.frames == 3 and float(found.values["variance"]) == 0.25
    torch.save({"other": torch.zeros(1)}, tmp_path / "other.pt")
    assert main(["statistics", str(tmp_path / "other.pt"), "-o", str(tmp_path / "t.safetensors")]) == 2
    assert "error: 'other.pt' cannot be used: it does not hold Expectation_X0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "s.safetensors"], "either a folder of videos or --world N"),
        (["clips", "--world", "3", "-o", "s.safetensors"], "use one of them"),
        (["--world", "0", "-o", "s.safetensors"], "--world = 0 is out of range"),
        (["missing", "-o", "s.safetensors"], "missing is not a folder"),
        ([".", "-o", "s.safetensors"], ". is empty"),
        (["--world", "1", "-o", "s.pt"], "s.pt is not a statistics file"),
        (["--world", "1", "-o", "s.safetensors", "--kind", "median"], "--kind = median is not known"),
        (["--world", "1", "-o", "s.safetensors", "--frames", "0"], "--frames = 0 is out of range"),
        (["--world", "1", "-o", "s.safetensors", "--fps", "0"], "--fps = 0 is out of range"),
    ],
)
def test_bad_input_is_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["statistics", *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said and said.startswith("error: ") and said.count("\n") == 1


def test_a_folder_without_a_clip(tmp_path, capsys):
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.mp4").write_text("no video", encoding="utf-8")
    assert main(["statistics", str(tmp_path / "clips"), "-o", str(tmp_path / "s.safetensors"), *SMALL]) == 2
    assert "has no usable video" in capsys.readouterr().err


def test_animate_starts_where_it_is_told(tmp_path, capsys):
    arguments = ["--world", "1", "--frames", "3", "--kind", "conditional"]
    gathered("-o", tmp_path / "w.safetensors", *arguments)
    given = ["animate", str(ROOT / "docs/pictures/sample.png"), "--prompt", "a fish", "--steps", "2", "--frames", "3"]
    clips = []
    for more in ([], ["--start-time", "0.9"], ["--start-time", "0.9", "--statistics", str(tmp_path / "w.safetensors")]):
        capsys.readouterr()
        assert main([*given, "-o", str(tmp_path / "clip.webp"), "--json", "--tau-end", "1", *more]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["settings"]["start_time"] == (0.9 if more else 1) and told["rectified"]["steps"] == 2
        assert bool(told["statistics"]) is ("--statistics" in more)
        clips.append((tmp_path / "clip.webp").read_bytes())
    assert len(set(clips)) == 3


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--start-time", "0.4"], "--start-time = '0.4' is out of range"),
        (["--statistics", "none.safetensors"], "--statistics none.safetensors cannot be used: it cannot be read"),
    ],
)
def test_animate_refuses_a_wrong_start(more, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    given = ["animate", str(ROOT / "docs/pictures/sample.png"), "--prompt", "a fish", "-o", "clip.gif"]
    assert main([*given, *more]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1

"""The command `python -m benchmarks`: all families by one command, their results beside each other, and bad input."""

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.controls import CONTROLS, Trial
from benchmarks.families import FAMILIES, results_in
from lib_noiserect.__main__ import main as library
from lib_noiserect.core.settings import Settings
from lib_noiserect.evaluation.rectification_report import FAMILIES as ANY_MODEL
from lib_noiserect.evaluation.trials import Results
from lib_noiserect.pipelines.i4vgen import create
from lib_noiserect.pipelines.loading import load
from lib_noiserect.tiny.world import held_out_scenes


def test_every_experiment_has_one_name():
    names = [name for family in FAMILIES.values() for name in family.experiments]
    assert len(set(names)) == len(names) and names[:4] == ["methods", "omega", "tau", "creation"]
    assert FAMILIES["controls"].experiments == tuple(CONTROLS) and not {"controls", "motion"} & set(names)


def test_all_controls_by_one_name(tmp_path, monkeypatch, capsys):
    """Each of the nine on two images; the figures are those of a run before."""
    results = results_in(tmp_path)
    monkeypatch.setattr("lib_noiserect.evaluation.report.write_reports", lambda *given, **more: None)
    for control, cases in CONTROLS.items():
        for case in cases:
            for image in range(2):
                results.append(Trial(control, case.name, image), {})
    assert main(["-o", str(tmp_path), "--experiments", "controls", "--pictures", "2"]) == 0
    count = 2 * sum(map(len, CONTROLS.values()))
    assert f"{', '.join(CONTROLS)}: 0 jobs computed, {count} results" in capsys.readouterr().out


def test_the_library_leaves_the_results_of_other_families_as_they_are(tmp_path, caplog, capsys):
    results_in(tmp_path).append(Trial("loop", "a case", 0), {"ssim": 1.0})
    before = (tmp_path / "results.jsonl").read_bytes()
    assert Results(tmp_path, ANY_MODEL).values == {}
    assert "has results of controls: they are kept, and are not reported here" in caplog.text
    assert library(["evaluate", "-o", str(tmp_path), "--report-only"]) == 2
    assert "has no results" in capsys.readouterr().err and (tmp_path / "results.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--experiments", "creation", "--model", "somewhere"], "--model has no effect on the experiment creation"),
        (["--experiments", "creation", "--frames", "2"], "--frames = 2 is not 16"),
        (["--experiments", "magic"], "--experiments has 'magic': use methods, omega, tau, creation, leakage, start"),
        ([".", "--experiments", "loop"], "a folder has no effect on the experiment loop: leave it out"),
    ],
)
def test_wrong_options(tmp_path, capsys, given, message):
    assert main([*given, "-o", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err


def test_a_wrong_option_is_one_line(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--steps", "x"])
    said = capsys.readouterr().err
    assert end.value.code == 2 and said.count("\n") == 1
    assert said.startswith("error: argument --steps: invalid int value: 'x'; usage: python -m benchmarks --help")


@pytest.mark.slow
def test_videos_of_prompts_alone(tmp_path, capsys):
    """They equal those of `create`, are not made again, and stand in the report."""
    command = ["-o", str(tmp_path), "--experiments", "creation", "--pictures", "2", "--steps", "1"]
    assert main([*command, "--markdown", str(tmp_path / "results.md")]) == 0
    text = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert "| rectified | " in text and "| the oracle itself | 1.000 " in text and "Prompts: 2" in text
    made = {path.name.split("7.5-1-")[1]: path for path in (tmp_path / "creation").glob("001-of-2-1-7.5-1-*.npz")}
    assert len(made) == 10
    pipe = load(device="cpu")
    pipe.set_progress_bar_config(disable=True)
    prompt = held_out_scenes(2).captions[1]
    for name, settings in (("I4VGen.npz", None), ("rectified.npz", Settings(enabled=True))):
        created = create(pipe, prompt, steps=1, seed=1, rectification=settings)
        with np.load(made[name]) as arrays:
            assert np.array_equal(arrays["frames"], created.clip) and np.array_equal(arrays["anchor"], created.anchor)
    before = (tmp_path / "results.jsonl").read_bytes()
    capsys.readouterr()
    assert main(command) == 0
    assert "creation: 0 jobs computed, 20 results" in capsys.readouterr().out
    assert (tmp_path / "results.jsonl").read_bytes() == before

"""The command `evaluate`, with the built-in model: results, report, and bad input."""

import json
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from lib_noiserect.__main__ import main
from lib_noiserect.cli import evaluate
from lib_noiserect.evaluation.model import Model, loaded
from lib_noiserect.evaluation.rectification_report import FAMILIES
from lib_noiserect.evaluation.trials import locked
from lib_noiserect.pipelines.schedulers import PipelineError

ROOT = Path(__file__).resolve().parents[2]
SHORT = ["--steps", "1", "--frames", "2", "--experiments", "methods", "--samplers", "ddim"]


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    with Image.open(ROOT / "docs/pictures/sample.png") as sample:
        for name, turned in (("one", 0), ("two", 180)):
            sample.rotate(turned).save(folder / f"{name}.png")
    captions = {"one.png": "an orange fish moving right", "two": "a fish"}
    (folder / "captions.json").write_text(json.dumps(captions), encoding="utf-8")
    return folder


def lines(folder):
    return (folder / "results.jsonl").read_text(encoding="utf-8").splitlines()


def test_the_commands_names_are_those_of_the_families():
    """It names them itself, since importing the families takes seconds."""
    assert [family.experiments for family in FAMILIES.values()] == [evaluate.EXPERIMENTS]


def test_results_and_report(pictures, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["evaluate", str(pictures), "-o", str(out), *SHORT, "--markdown", str(tmp_path / "results.md")]
    assert main(command) == 0
    assert len(lines(out)) == 4 * 2  # four methods, two images
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "data:image/" in page and "http://" not in page.replace("http://www.w3.org", "")
    assert "| ddim | pivot |" in (tmp_path / "results.md").read_text(encoding="utf-8")
    assert "methods: 8 jobs computed, 8 results" in capsys.readouterr().out


def test_another_model_wants_another_folder(pictures, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    other = {"model": "other", "motion adapter": None, "weights": "abc"}
    (out / "model.json").write_text(json.dumps(other), encoding="utf-8")
    assert main(["evaluate", str(pictures), "-o", str(out), *SHORT]) == 2
    message = capsys.readouterr().err
    assert "has results of another model" in message and "'other'" in message


def test_the_worlds_own_pictures_are_the_default(tmp_path):
    assert main(["evaluate", "-o", str(tmp_path), *SHORT, "--pictures", "2"]) == 0
    assert len(lines(tmp_path)) == 4 * 2
    assert "scene-001-" in lines(tmp_path)[-1]


def test_the_precision_reaches_the_model_and_belongs_to_its_folder(tmp_path, capsys, monkeypatch):
    asked, out = [], tmp_path / "out"

    def stop(*names):
        asked.append(names)
        raise PipelineError("enough")

    with monkeypatch.context() as patch:
        patch.setattr("lib_noiserect.evaluation.model.load", stop)
        assert main(["evaluate", "-o", str(out), *SHORT, "--pictures", "2", "--precision", "bf16"]) == 2
    assert "8 of 8 jobs failed" in (said := capsys.readouterr().err) and "PipelineError: enough" in said
    assert asked[0] == (None, None, None, "bf16", None)
    assert loaded(Model(precision="bf16")).unet.dtype == torch.bfloat16
    Model(precision="bf16").check_folder(out)
    with pytest.raises(ValueError, match="has results of another model .*'precision': 'bf16'"):
        Model().check_folder(out)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--samplers", "ddim,magic"], "--samplers has 'magic'"),
        (["--pictures", "1"], "--pictures = 1 is out of range: use 2 to 100000"),
        (["--steps", "0"], "--steps = 0 is out of range: use 1 to 1000"),
        (["--clip-model", "ViT-B-32"], "belong together"),
        (["--model", "somewhere"], "--model needs images"),
        (["--experiments", "creation"], "for the project's own benchmarks, like creation, run python -m benchmarks"),
        (["--experiments", "start", "--conditioned", "x"], "--experiments has 'start': use methods, omega, tau; for the"),
        (["--dask", "tcp://127.0.0.1:9", "--processes", "2"], "use one of them"),
    ],
)
def test_wrong_options(tmp_path, capsys, given, message):
    assert main(["evaluate", "-o", str(tmp_path), *SHORT, *given]) == 2
    assert message in capsys.readouterr().err


def test_a_summary_that_is_another_text_is_refused_before_anything_is_computed(tmp_path, capsys):
    (tmp_path / "README.md").write_text("# By hand\n", encoding="utf-8")
    out = tmp_path / "out"
    assert main(["evaluate", "-o", str(out), *SHORT, "--markdown", str(tmp_path / "README.md")]) == 2
    assert "README.md has no sections" in capsys.readouterr().err
    assert not (out / "results.jsonl").exists() and (tmp_path / "README.md").read_text(encoding="utf-8") == "# By hand\n"


def test_a_folder_that_another_run_uses(tmp_path, capsys):
    with locked(tmp_path):
        assert main(["evaluate", "-o", str(tmp_path), *SHORT]) == 2
    assert "is in use by another run: wait for its end" in capsys.readouterr().err
    assert not (tmp_path / "results.jsonl").exists()


def test_a_folder_without_captions(tmp_path, capsys):
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    assert main(["evaluate", str(tmp_path), "-o", str(tmp_path / "out"), *SHORT]) == 2
    assert "a.png has no caption" in capsys.readouterr().err


def test_dask_without_its_package_is_refused_before_anything_is_computed(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(["evaluate", "-o", str(tmp_path / "out"), *SHORT, "--dask", "tcp://127.0.0.1:1"]) == 2
    assert "--dask needs distributed" in capsys.readouterr().err and not (tmp_path / "out").exists()

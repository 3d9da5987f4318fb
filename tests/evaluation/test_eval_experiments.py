"""Experiments: which rows they have, which of those are one job, and where pictures and captions come from."""

import dataclasses
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from eval_jobs import CONDITIONS, some_pictures, texture

from lib_noiserect.core.schedule import omega_weights
from lib_noiserect.core.settings import Settings, SettingsError
from lib_noiserect.evaluation import experiments
from lib_noiserect.evaluation.errors import EvaluationError
from lib_noiserect.evaluation.experiments import Conditions, Row, methods_experiment, omega_experiment, tau_experiment
from lib_noiserect.evaluation.pictures import Picture, by_id, pictures_in

PICTURES = some_pictures(2)
ROW = Row("methods", "pivot", "Euler", 0, 0.6, "authors", "p0", "a caption", 0, 10, 2, 4)


def test_counts():
    two_seeds = dataclasses.replace(CONDITIONS, seeds=(1, 2))
    methods = methods_experiment(PICTURES, ["Euler", "Euler a"], two_seeds)
    assert Counter((row.sampler, row.method) for row in methods) == {
        (sampler, method): 4 for sampler in ("Euler", "Euler a") for method in ("noising", "fixed noise", "pivot")
    }
    assert len(omega_experiment(PICTURES, "Euler", CONDITIONS)) == 6 * 2
    assert len(tau_experiment(PICTURES, "Euler", CONDITIONS)) == 8 * 2


def test_the_papers_settings():
    omegas = [omega_weights(row.settings, row.frames) for row in omega_experiment(PICTURES[:1], "Euler", CONDITIONS)]
    assert omegas == [*([constant] * 3 for constant in (0, 0.25, 0.5, 0.75, 1)), [1, 0.5, 0.5]]
    windows = [(row.tau_start, row.tau_end) for row in tau_experiment(PICTURES[:1], "Euler", CONDITIONS)]
    assert windows == [(0, 0), (0, 0.2), (0, 0.4), (0, 0.6), (0, 0.8), (0, 1), (0.3, 0.7), (0.6, 1)]
    methods = methods_experiment(PICTURES[:1], ["Euler"], CONDITIONS)
    assert [(row.method, row.settings.enabled) for row in methods] == [
        ("noising", False),
        ("fixed noise", True),
        ("pivot", True),
    ]


def test_the_same_job_has_the_same_id():
    methods = methods_experiment(PICTURES[:1], ["Euler"], CONDITIONS)
    noising, _, pivot = (row.id for row in methods)
    omega = [row.id for row in omega_experiment(PICTURES[:1], "Euler", CONDITIONS)]
    tau = [row.id for row in tau_experiment(PICTURES[:1], "Euler", CONDITIONS)]
    assert tau[0] == noising and tau[3] == omega[5] == pivot
    assert len({*(row.id for row in methods), *omega, *tau}) == 3 + 5 + 6


def test_rows_that_differ_have_ids_that_differ():
    changes = [
        {"method": "fixed noise"},
        {"sampler": "Euler a"},
        {"tau_end": 0.7},
        {"omega": (0.5,)},
        {"picture": "p1"},
        {"caption": "another"},
        {"seed": 1},
        {"steps": 11},
        {"guidance": 3},
        {"frames": 5},
    ]
    ids = {dataclasses.replace(ROW, **change).id for change in changes} | {ROW.id}
    assert len(ids) == len(changes) + 1
    assert dataclasses.replace(ROW, experiment="omega", omega=[1.0, 1.0, 0.5, 0.5]).id != ROW.id  # [1, 0.5, 0.5, 0.5]
    assert dataclasses.replace(ROW, omega=[1, 0.5, 0.5, 0.5]).id == dataclasses.replace(ROW, guidance=2.0).id


def test_ids_are_the_same_in_every_process():
    code = f"from lib_noiserect.evaluation.experiments import Row; print(Row(*{dataclasses.astuple(ROW)!r}).id)"
    finished = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(experiments.__file__).parents[2],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert finished.stdout.strip() == ROW.id


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"method": "magic"}, EvaluationError, "method = 'magic' is unknown"),
        ({"caption": "a\nb"}, EvaluationError, "has line breaks"),
        ({"tau_end": 2}, SettingsError, "tau_end = 2 is out of range"),
        ({"omega": "no"}, SettingsError, "omega = 'no'"),
    ],
)
def test_bad_rows_are_refused(change, error, message):
    with pytest.raises(error, match=message):
        dataclasses.replace(ROW, **change)


@pytest.mark.parametrize("change", [{"steps": 0}, {"frames": 1}, {"seeds": ()}, {"seeds": (1, 1)}])
def test_bad_conditions_are_refused(change):
    with pytest.raises(EvaluationError, match=next(iter(change))):
        dataclasses.replace(CONDITIONS, **change)


def test_conditions_reach_the_rows():
    (row, *_) = tau_experiment(PICTURES, "DDIM", Conditions(steps=7, guidance=1.5, frames=9, seeds=(4,)))
    assert (row.steps, row.guidance, row.frames, row.seed, row.sampler) == (7, 1.5, 9, 4, "DDIM")
    assert row.caption == PICTURES[0].caption and row.settings == Settings(
        enabled=False, tau_end=0, omega_resample=True
    )


# Pictures and captions.


@pytest.fixture
def folder(tmp_path):
    for name in ("b.png", "a.jpg"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def read(path):
    return texture(ord(path.stem))


def captions(folder):
    return {picture.name: picture.caption for picture in pictures_in(folder, read)}


def test_captions_beside_the_pictures(folder):
    (folder / "a.txt").write_text("an\napple\n")
    (folder / "b.txt").write_text(" a bird ")
    assert list(captions(folder).items()) == [("a", "an apple"), ("b", "a bird")]
    (folder / "captions.csv").write_text('caption,file\n"a pear, ripe",a\na boat,b.png\n', encoding="utf-8-sig")
    assert captions(folder) == {"a": "a pear, ripe", "b": "a boat"}
    (folder / "captions.json").write_text(json.dumps({"a.jpg": "an ant", "b": "a bee"}))
    assert captions(folder) == {"a": "an ant", "b": "a bee"}


@pytest.mark.parametrize(
    "files, message",
    [
        ({}, "a.jpg has no caption: write a.txt"),
        ({"a.txt": "an apple", "b.txt": " \n"}, "b.png has no caption"),
        ({"captions.json": '{"a": "x", "b": "y", "c": "z"}'}, "a caption for c, which is not there"),
        ({"captions.json": "{"}, "captions.json is not JSON"),
        ({"captions.json": '["a"]'}, "is not an object of texts"),
        ({"captions.csv": "name,text\na,b\n"}, r"has the columns \['name', 'text'\]"),
        ({"a.webp": "", "captions.json": '{"a": "x", "b": "y"}'}, "two pictures are called a"),
    ],
)
def test_what_is_wrong_with_the_captions_is_said(folder, files, message):
    for name, text in files.items():
        (folder / name).write_text(text)
    with pytest.raises(EvaluationError, match=message):
        pictures_in(folder, read)


def test_what_is_no_folder_of_pictures_is_refused(tmp_path):
    with pytest.raises(EvaluationError, match="is not a folder"):
        pictures_in(tmp_path / "missing", read)
    with pytest.raises(EvaluationError, match="has no pictures"):
        pictures_in(tmp_path, read)
    with pytest.raises(EvaluationError, match="there are no pictures"):
        by_id([])


def test_a_changed_picture_is_another():
    assert Picture("p0", "x", texture(0)).id == Picture("p0", "y", texture(0)).id != Picture("p0", "x", texture(1)).id
    wide, high = (Picture("p0", "x", np.zeros(shape, np.uint8)) for shape in ((16, 32, 3), (32, 16, 3)))
    assert wide.id != high.id
    with pytest.raises(EvaluationError, match="is float64"):
        Picture("p0", "x", texture(0) / 255)

"""The package as pip installs it: its content, its size, its commands and its public names."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]


def run(*command, **options):
    finished = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel of a copy of the source, since setuptools builds inside of it; without a network."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT / "lib_noiserect", source / "lib_noiserect", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    run(*PIP, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", folder, source)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("installed")
    run(*PIP, "install", "--no-index", "--no-deps", "--target", folder, wheel)
    return folder


def python(installed, *arguments, cwd):
    """Python with the installed package alone on its path; its other packages are those of the tests."""
    return run(sys.executable, *arguments, cwd=cwd, env={"PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"})


def test_the_wheel_is_small_and_leaves_the_siblings_out(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert wheel.stat().st_size < 15e6
    assert "lib_noiserect/tiny/model/unet/diffusion_pytorch_model.safetensors" in names
    assert "lib_noiserect/tiny/model/tokenizer/vocab.json" in names
    assert not [name for name in names if name.startswith(("tests", "lib_noiserect/tiny/conditioned"))]


def test_the_installed_command_animates(installed, tmp_path):
    """The console script, with the built-in model and in a foreign folder; pip puts it into bin, or Scripts on Windows."""
    Image.new("RGB", (64, 64), "green").save(tmp_path / "image.png")
    script = next(installed.glob("*/noise-rectification*"))
    command = ["animate", "image.png", "--prompt", "a red fish", "-o", "out/clip.gif", "--steps", "1", "--frames", "2"]
    assert "written: out/clip.gif" in python(installed, script, *command, cwd=tmp_path)
    with Image.open(tmp_path / "out" / "clip.gif") as video:
        assert video.size == (256, 256)
    assert python(installed, script, "schedule", "--help", cwd=tmp_path).startswith(
        "usage: noise-rectification schedule"
    )


def test_the_public_names_and_the_missing_siblings(installed, tmp_path):
    program = """
import lib_noiserect
from lib_noiserect import PRESETS, Settings
from lib_noiserect.pipelines import PipelineError, rectified
from lib_noiserect.pipelines.image_conditioned import load_conditioned
try:
    load_conditioned()
except PipelineError as error:
    print(lib_noiserect.__file__, error, sep="|")
"""
    place, message = python(installed, "-c", program, cwd=tmp_path).strip().split("|")
    assert place.startswith(str(installed))
    assert "the installed package leaves them out, copy lib_noiserect/tiny/conditioned from the repository" in message

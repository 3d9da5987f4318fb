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
    return run(
        sys.executable,
        *arguments,
        cwd=cwd,
        env={"PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"},
    )


def test_the_wheel_is_small_and_leaves_the_benchmarks_out(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert wheel.stat().st_size < 15e6
    assert "lib_noiserect/tiny/model/unet/diffusion_pytorch_model.safetensors" in names
    assert "lib_noiserect/tiny/model/tokenizer/vocab.json" in names
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"lib_noiserect", "noise_rectification"}


def test_the_installed_package_animates_by_its_dependencies_alone(installed, tmp_path):
    """By its console script, in a foreign folder and without the packages of the extras; with the public names."""
    Image.new("RGB", (64, 64), "green").save(tmp_path / "image.png")
    program = """
import runpy
import sys
sys.modules |= dict.fromkeys(["skimage", "cv2", "scipy", "matplotlib", "av", "distributed", "open_clip", "pytest"])
import lib_noiserect
from lib_noiserect import PRESETS, Settings
words = "animate image.png --prompt fish -o out/clip.gif --steps 1 --frames 2".split()
script, sys.argv[1:] = sys.argv[1], words
try:
    runpy.run_path(script, run_name="__main__")
except SystemExit as end:
    assert not end.code
from lib_noiserect.pipelines import PipelineError, animate, create, load, rectified
print(lib_noiserect.__file__)
"""
    script = next(installed.glob("*/noise-rectification*"))  # in bin, or Scripts on Windows
    said = python(installed, "-c", program, script, cwd=tmp_path).splitlines()
    assert "written: out/clip.gif" in said
    with Image.open(tmp_path / "out" / "clip.gif") as video:
        assert video.size == (256, 256)
    assert said[-1].startswith(str(installed))

"""The package as pip installs it, without a network: its content, size, commands, public names, and its optional packages."""

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from lib_noiserect import __version__
from lib_noiserect.__main__ import main

# The modules of each extra.
EXTRAS = {
    "pipelines": [], "evaluation": ["skimage", "cv2", "scipy", "matplotlib", "markdown_it"], "video": ["av"],
    "dask": ["distributed"], "scorers": ["open_clip"],
}  # fmt: skip
# Commands that need an extra, and the package that their message asks for.
LACKING = {
    "animate image.png --prompt fish -o out/clip.mp4": "av",
    "animate image.png --prompt fish -o out/clip.gif --compare": "scikit-image opencv-python-headless scipy",
    "animate image.png --prompt fish -o out/clip.gif --target-ssim 0.8": "scikit-image",
    "statistics . -o statistics.safetensors": "av",
    "evaluate -o results": "scikit-image opencv-python-headless scipy matplotlib markdown-it-py",
    "create fish -o out/clip.gif --scorer clip": "open_clip_torch",
}
ROOT = Path(__file__).resolve().parents[2]
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]


def run(*command, **options):
    finished = subprocess.run([str(part) for part in command], capture_output=True, encoding="utf-8", **options)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """The source archive of a copy of the source, since setuptools builds inside of it."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("sdist")
    shutil.copytree(ROOT / "lib_noiserect", source / "lib_noiserect", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = f"from setuptools import build_meta; build_meta.build_sdist({str(folder)!r})"
    run(sys.executable, "-c", build, cwd=source)
    return next(folder.glob("*.tar.gz"))


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory):
    """The wheel of the unpacked source archive, as pip makes it where there is none, without pip's own two seconds."""
    source, folder = tmp_path_factory.mktemp("unpacked"), tmp_path_factory.mktemp("wheel")
    with tarfile.open(sdist) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # not in 3.11.2, as Debian has it
        archive.extractall(source)
    build = f"from setuptools import build_meta; build_meta.build_wheel({str(folder)!r})"
    run(sys.executable, "-c", build, cwd=next(source.iterdir()))
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("installed")
    run(*PIP, "install", "--no-index", "--no-deps", "--target", folder, wheel)
    return folder


def python(installed, *arguments, cwd):
    """Python with the installed package alone on its path; its other packages are those of the tests."""
    return run(
        sys.executable, *arguments, cwd=cwd, env={"PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"}
    )


def test_the_metadata(wheel, sdist):
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = archive.read(name).decode()
    for line in (
        f"Version: {__version__}",
        "Requires-Python: >=3.10",
        "Classifier: Typing :: Typed",
        "Keywords: image-to-video,",
    ):
        assert f"\n{line}" in metadata, line
    assert set(re.findall(r"^Provides-Extra: (.+)$", metadata, re.MULTILINE)) == {*EXTRAS, "test"}
    with tarfile.open(sdist) as archive:
        assert archive.getnames()[0] == f"noise_rectification-{__version__}"


def test_the_wheel_is_small_and_leaves_the_benchmarks_out(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert wheel.stat().st_size < 15e6
    assert "lib_noiserect/tiny/model/unet/diffusion_pytorch_model.safetensors" in names
    assert {
        "lib_noiserect/tiny/model/tokenizer/vocab.json",
        "lib_noiserect/py.typed",
        "lib_noiserect/evaluation/page.html",
    } < {*names}
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"lib_noiserect", "noise_rectification"}


@pytest.mark.parametrize("words", LACKING)
def test_a_command_that_lacks_an_extra_names_its_package(words, tmp_path, capsys, monkeypatch):
    Image.new("RGB", (64, 64), "green").save(tmp_path / "image.png")
    monkeypatch.chdir(tmp_path)
    extras = sum(EXTRAS.values(), [])
    for name in {*extras, *(name for name in sys.modules if name.partition(".")[0] in extras)}:
        monkeypatch.setitem(sys.modules, name, None)
    assert main(words.split()) == 2
    assert capsys.readouterr().err.rstrip().endswith(f"python -m pip install {LACKING[words]}")
    assert not list(tmp_path.glob("out/*"))


def test_it_installs_without_a_network(installed):
    assert next(installed.glob("*/noise-rectification*")).is_file()  # in bin, or Scripts on Windows
    assert (installed / "lib_noiserect" / "py.typed").is_file()


@pytest.mark.slow
def test_the_installed_package_animates_by_its_dependencies_alone(installed, tmp_path):
    """By its console script, in a foreign folder and without the packages of the extras; with the public names."""
    Image.new("RGB", (64, 64), "green").save(tmp_path / "image.png")
    program = f"""
import runpy
import sys
sys.modules |= dict.fromkeys({["pytest", *sum(EXTRAS.values(), [])]})
import lib_noiserect
from lib_noiserect import PRESETS, Settings
words = "animate image.png --prompt fish -o out/clip.gif --steps 1 --frames 2".split()
script, sys.argv[1:] = sys.argv[1], words
try:
    runpy.run_path(script, run_name="__main__")
except SystemExit as end:
    assert not end.code
from lib_noiserect.__main__ import main
assert main(["report"]) == 0
from lib_noiserect.pipelines import PipelineError, animate, create, load, rectified
print(lib_noiserect.__file__)
"""
    script = next(installed.glob("*/noise-rectification*"))  # in bin, or Scripts on Windows
    said = python(installed, "-c", program, script, cwd=tmp_path).splitlines()
    assert "written: out/clip.gif" in said and f"Noise Rectification {__version__}" in said
    with Image.open(tmp_path / "out" / "clip.gif") as video:
        assert video.size == (256, 256)
    assert said[-1].startswith(str(installed))

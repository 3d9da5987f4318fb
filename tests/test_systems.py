"""The paths that Windows and macOS take, forced on Linux: encodings, names of files, processes. See CONTRIBUTING.md."""

import ast
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from PIL import Image

import dev
from lib_noiserect.core.schedule import rectified_steps
from lib_noiserect.core.settings import Settings, SettingsError
from lib_noiserect.media import files
from lib_noiserect.methods import statistics_file

ROOT = Path(__file__).resolve().parents[1]


def test_a_console_of_another_encoding_gets_the_output(tmp_path):
    """The output and the messages have Greek letters; a file's name that the console lacks is no reason to fail."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}
    environment |= {"PYTHONUTF8": "0", "PYTHONIOENCODING": "cp1252"}  # as in a Windows console, which has é and no τ
    (tmp_path / "café.png").write_text("no image", encoding="utf-8")
    program = (
        "import sys; from lib_noiserect.__main__ import main; assert not sys.flags.utf8_mode;"
        "print(main(['schedule', '--steps', '4', '--frames', '1']),"
        "main(['animate', sys.argv[1], '--prompt', 'a cat', '-o', 'a.gif']))"
    )
    words = [sys.executable, "-c", program, "café.png"]
    finished = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True)
    assert finished.returncode == 0, finished.stderr
    assert b"= [0, 0.6]: steps 1" in finished.stdout and finished.stdout.split()[-2:] == [b"0", b"2"]
    assert b"is not an image" in finished.stderr


def test_every_text_file_names_its_encoding():
    """Windows would take the user's code page, also for the output of a program."""
    parts = [ROOT / "dev.py", ROOT / "install.py"]
    parts += [
        path
        for name in ("lib_noiserect", "scripts", "benchmarks", "training", "docs", "tests")
        for path in (ROOT / name).rglob("*.py")
    ]
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno} {ast.unparse(node)[:60]}"
        for path in parts
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and _is_text(node) and "encoding" not in {keyword.arg for keyword in node.keywords}
    ]
    assert not wrong


def _is_text(call):
    """Whether a call opens a text file or reads a program's text."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if name in ("read_text", "write_text"):
        return "utf-8" not in [argument.value for argument in call.args if isinstance(argument, ast.Constant)]
    if name == "open":
        is_function = isinstance(call.func, ast.Name)
        mode = call.args[is_function : is_function + 1] + [
            keyword.value for keyword in call.keywords if keyword.arg == "mode"
        ]
        modes = [part.value for argument in mode for part in ast.walk(argument) if isinstance(part, ast.Constant)]
        known = [word for word in modes if isinstance(word, str) and set(word) <= set("rwxabt+")]
        return not any("b" in word for word in known) if known else is_function or not call.args
    return any(keyword.arg == "text" and ast.unparse(keyword.value) == "True" for keyword in call.keywords)


@pytest.mark.parametrize(
    "name",
    [
        "a\\b.safetensors",
        "C:a.safetensors",
        "C:\\a.safetensors",
        "../a.safetensors",
        "a/b.safetensors",
        "a.safetensors:stream.safetensors",
        "a.safetensors ",
        ".a.safetensors",
        "\\\\host\\a.safetensors",
    ],
)
def test_a_file_of_settings_is_a_bare_name_on_every_system(name):
    """A name that one of the systems takes for a folder, a drive or a stream is refused, or cleaned of it, on all."""
    try:
        accepted = Settings(enabled=True, statistics=name).statistics
    except SettingsError:
        return
    assert accepted == name.strip()
    assert PureWindowsPath(accepted).parts == PurePosixPath(accepted).parts == (accepted,) and ":" not in accepted


def test_a_file_is_found_by_its_exact_name_alone(tmp_path, monkeypatch):
    """A case-blind file system would open A.safetensors by the name a.safetensors, and the infotext would not be true."""
    (tmp_path / "A.safetensors").touch()
    monkeypatch.setattr(statistics_file, "FOLDER", tmp_path)
    with pytest.raises(SettingsError, match=r"use a file that is there \(A.safetensors\)"):
        statistics_file.named("a.safetensors")


def test_no_two_files_differ_in_case_alone_or_have_names_that_windows_lacks():
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, encoding="utf-8").stdout.splitlines()
    paths = names or [path.relative_to(ROOT).as_posix() for path in (ROOT / "lib_noiserect").rglob("*")]
    assert len({name.lower() for name in paths}) == len(paths)
    reserved = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
    for name in paths:
        assert not set('<>:"|?*\\') & set(name) and len(name) < 150, name
        assert all(part.split(".")[0].lower() not in reserved and part[-1] not in ". " for part in name.split("/")), name


def test_a_folder_is_replaced_where_renaming_does_not_replace(tmp_path, monkeypatch):
    """Windows renames a folder over nothing, not even over an empty one."""
    original = Path.replace

    def replace(self, target):
        if Path(target).is_dir():
            raise PermissionError(13, "Access is denied")
        return original(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    target = tmp_path / "frames"
    target.mkdir()
    with files.replacing(target) as unfinished:
        unfinished.mkdir()
        Image.new("RGB", (8, 8)).save(unfinished / "frame_0000.png")
    assert [path.name for path in target.iterdir()] == ["frame_0000.png"] and list(tmp_path.iterdir()) == [target]


def test_work_goes_to_processes_that_are_spawned():
    """As on Windows and macOS: a process begins with its imports alone, so what it gets has to pickle."""
    settings = Settings(enabled=True, omega=(1.0, 0.5))
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(rectified_steps, 4, settings.tau_start, settings.tau_end).result(60) == [0, 1, 2]
        assert pool.submit(type(settings).from_mapping, vars(settings)).result(60) == settings


@pytest.mark.parametrize("system, python", [("nt", "Scripts/python.exe"), ("posix", "bin/python")])
def test_pythons_place_in_an_environment(monkeypatch, system, python):
    folder = PurePosixPath("/environment")
    monkeypatch.setattr(dev.os, "name", system)
    found = dev.python_of(folder)
    monkeypatch.undo()
    assert found == folder / python

"""The boundaries of the folders."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "lib_noiserect"
HOST = {"modules", "modules_forge", "gradio", "k_diffusion", "fastapi", "ldm"}


def imports(path, *, only_at_import):
    """Names of the top-level packages that a file imports; `only_at_import`: not those inside functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside_functions = {
        node
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if only_at_import and node in inside_functions:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]


def files(folder):
    return sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("file", files("lib_noiserect"))
def test_only_the_webui_folder_imports_the_host(file):
    found = set(imports(ROOT / file, only_at_import=False))
    if not file.startswith("lib_noiserect/webui/"):
        assert not found & HOST
    if not file.startswith("lib_noiserect/pipelines/"):
        assert "diffusers" not in found


@pytest.mark.parametrize("file", sorted(path.name for path in (LIBRARY / "core").glob("*.py")))
def test_the_core_imports_torch_and_nothing_else_that_is_heavy(file):
    assert set(imports(LIBRARY / "core" / file, only_at_import=True)) <= {"torch", *sys.stdlib_module_names}


def test_no_callback_is_registered_at_library_import():
    """Reload UI runs scripts/ again and not the library."""
    for path in LIBRARY.rglob("*.py"):
        assert "script_callbacks" not in path.read_text(encoding="utf-8").replace("`script_callbacks.", "")


def test_install_changes_nothing():
    assert set(imports(ROOT / "install.py", only_at_import=False)) == set()

"""The boundaries of the folders."""

import ast
import sys
from pathlib import Path

from test_house import imported_names, nodes

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "lib_noiserect"
HOST = {"modules", "modules_forge", "gradio", "k_diffusion", "fastapi", "ldm"}


def imports_at_import(path):
    """Names of the top-level packages that a file imports outside of functions."""
    functions = [node for node in nodes(path) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    inside_functions = {node for function in functions for node in ast.walk(function)}
    for node in nodes(path):
        if node in inside_functions:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]


def test_only_the_webui_folder_imports_the_host():
    for path in LIBRARY.rglob("*.py"):
        found = {name.partition(".")[0] for name in imported_names(path)}
        folder = path.relative_to(LIBRARY).parts[0]
        assert folder == "webui" or not found & HOST, path
        assert folder == "pipelines" or "diffusers" not in found, path


def test_the_core_imports_torch_and_nothing_else_that_is_heavy():
    for path in (LIBRARY / "core").glob("*.py"):
        assert set(imports_at_import(path)) <= {"torch", *sys.stdlib_module_names}, path


def test_no_callback_is_registered_at_library_import():
    """Reload UI runs scripts/ again and not the library."""
    for path in LIBRARY.rglob("*.py"):
        assert "script_callbacks" not in path.read_text(encoding="utf-8").replace("`script_callbacks.", "")


def test_install_changes_nothing():
    assert not list(imported_names(ROOT / "install.py"))

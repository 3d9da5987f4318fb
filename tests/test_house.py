"""The rules of the house: which folder may import which of the others and of the packages, no circle, and few floors.

Every import counts, also those inside functions and under `TYPE_CHECKING`. See docs/architecture.md.
"""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ROOT / "lib_noiserect"
MAY_IMPORT = {
    "core": set(),
    "media": {"core.errors"},
    "methods": {"core"},
    "webui": {"core", "media", "methods"},
    "pipelines": {"core", "media", "methods", "tiny"},
    "tiny": {"core"},
    "evaluation": {"core", "media", "methods", "pipelines", "tiny", ""},
    "cli": {"core", "media", "methods", "pipelines", "tiny", "evaluation"},
    "": {"core", "cli"},
}
HOST = {"modules", "modules_forge", "gradio", "k_diffusion", "fastapi", "ldm"}


@functools.cache
def modules() -> dict[str, Path]:
    """Every module of the library, by its dotted name below the library: `core.settings`, or `core` for the folder."""
    found = {}
    for path in LIBRARY.rglob("*.py"):
        parts = path.relative_to(LIBRARY).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """A file or statement and all statements inside it: `ast.walk` without expressions, which are most of the nodes."""
    yield node
    for name in ("body", "orelse", "handlers", "finalbody", "cases"):
        for inner in getattr(node, name, ()):
            yield from statements(inner)


@functools.cache
def nodes(path: Path) -> list[ast.AST]:
    return list(statements(ast.parse(path.read_text(encoding="utf-8"))))


def imports_of(name: str, path: Path, known: dict[str, Path]) -> Iterator[str]:
    """The modules of the library that a file imports anywhere in it."""
    package = name.split(".") if path.name == "__init__.py" and name else name.split(".")[:-1]
    for node in nodes(path):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1] + (node.module.split(".") if node.module else [])
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == LIBRARY.name:
            base = (node.module or "").split(".")[1:]
        else:
            continue
        for alias in node.names:
            imported = ".".join([*base, alias.name])
            yield imported if imported in known else ".".join(base)


def imported_names(path: Path) -> Iterator[str]:
    """The dotted names of the modules that a file imports absolutely."""
    return absolute_imports(nodes(path))


def absolute_imports(those: Iterable[ast.AST]) -> Iterator[str]:
    for node in those:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""


@functools.cache
def graph() -> dict[str, set[str]]:
    known = modules()
    return {name: set(imports_of(name, path, known)) - {name} for name, path in known.items()}


def folder_of(name: str) -> str:
    return name.split(".")[0] if (LIBRARY / name.split(".")[0]).is_dir() else ""


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """The groups of nodes that reach each other (Tarjan's strongly connected components of more than one node)."""
    index, low, stack, found = dict[str, int](), dict[str, int](), list[str](), list[list[str]]()

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for after in edges.get(node, ()):
            if after not in index:
                visit(after)
            if after in stack:
                low[node] = min(low[node], low[after])
        if low[node] == index[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(sorted(group))

    for node in edges:
        if node not in index:
            visit(node)
    return found


def floors(edges: dict[str, set[str]]) -> int:
    """How many folders stand on each other in the highest stack; of a graph without circles."""

    def height(node: str) -> int:
        return 1 + max((height(after) for after in edges.get(node, ())), default=0)

    return max(map(height, edges))


def folder_graph() -> dict[str, set[str]]:
    edges: dict[str, set[str]] = {}
    for name, imported in graph().items():
        edges.setdefault(folder_of(name), set()).update(folder_of(other) for other in imported)
    return {folder: others - {folder} for folder, others in edges.items()}


@pytest.mark.parametrize("folder", sorted(MAY_IMPORT))
def test_a_folder_imports_only_what_stands_below_it(folder):
    broken = set()
    for name, imported in graph().items():
        if folder_of(name) == folder:
            for other in imported:
                below = folder_of(other)
                if below != folder and below not in MAY_IMPORT[folder] and other not in MAY_IMPORT[folder]:
                    broken.add((name, other))
    assert not broken


def test_benchmarks_stand_outside_of_the_library():
    """They import all of it but the web UI, and of the command line the entries alone; nothing of it imports them."""
    others = {"webui", "cli"}
    for path in (LIBRARY.parent / "benchmarks").glob("*.py"):
        imported = set(imports_of("", path, modules()))
        assert {name for name in imported if folder_of(name) in others} <= {"cli.evaluate"}, path.name
    for path in modules().values():
        assert "benchmarks" not in {name.split(".")[0] for name in imported_names(path)}, path


def test_every_folder_has_a_rule():
    assert {folder_of(name) for name in modules()} == set(MAY_IMPORT)


def test_no_files_import_each_other_in_a_circle():
    assert circles(graph()) == []


def test_there_are_at_most_five_floors_of_folders():
    edges = folder_graph()
    # The package itself is no folder: its `__main__` stands on all, and all may ask its version.
    folders = set(edges) - {""}
    assert floors({name: edges[name] & folders for name in folders}) <= 5


def test_no_function_hides_the_module_of_its_own_name():
    """`from package import name` must not depend on what was imported before."""
    for name, path in modules().items():
        if path.name == "__init__.py":
            inside = (
                {other.removeprefix(f"{name}.") for other in modules() if other.startswith(f"{name}.")}
                if name
                else set()
            )
            assigned = {
                alias.asname or alias.name
                for node in nodes(path)
                if isinstance(node, ast.ImportFrom)
                for alias in node.names
            }
            assert not assigned & inside, name


def test_only_one_folder_imports_the_host_and_one_diffusers():
    for name, path in modules().items():
        packages = {imported.partition(".")[0] for imported in imported_names(path)}
        assert folder_of(name) == "webui" or not packages & HOST, name
        assert folder_of(name) == "pipelines" or "diffusers" not in packages, name


def test_the_core_imports_torch_and_nothing_else_that_is_heavy():
    """Outside of functions, since imports inside them are for who calls them."""
    for path in (LIBRARY / "core").glob("*.py"):
        functions = [node for node in nodes(path) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
        inside = {node for function in functions for node in statements(function)}
        packages = {name.partition(".")[0] for name in absolute_imports(set(nodes(path)) - inside)}
        assert packages <= {"torch", *sys.stdlib_module_names}, path


def test_no_callback_is_registered_at_library_import():
    """Reload UI runs scripts/ again and not the library."""
    for path in modules().values():
        assert "script_callbacks" not in path.read_text(encoding="utf-8").replace("`script_callbacks.", "")


def test_install_changes_nothing():
    assert not list(imported_names(ROOT / "install.py"))

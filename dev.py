"""Set-up and run in one command, in environments of its own: `python dev.py animate …` or `python dev.py test`.

Needs nothing but Python 3.10 to 3.12. The environments are `.venv` beside this file and, for the browser tests, one for
each gradio, which exclude each other: `.venv-gradio3` and `.venv-gradio4`. A second run finds them there.
"""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
ENVIRONMENT = ROOT / ".venv"
BROWSER_TESTS = ROOT / "tests" / "browser"
GRADIO_VERSIONS = (3, 4)
# k-diffusion wants torchvision, CLIP, wandb and more for its trainers. The tests use its samplers alone, so it comes
# without what it asks for, and what the samplers need is in requirements-dev.txt.
WITHOUT_DEPENDENCIES = ["k-diffusion==0.1.1.post1"]


def python_of(environment):
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def gradio_environment(major):
    return ROOT / f".venv-gradio{major}"


def chromium():
    """The browser that the browser tests drive, or None."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return os.environ.get("NOISERECT_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


def run(*command, **environment):
    finished = subprocess.run([str(part) for part in command], cwd=ROOT, env={**os.environ, **environment})
    if finished.returncode:
        sys.exit(finished.returncode)


def set_up(environment, requirements, without_dependencies=()):
    """Make the environment, unless it is there with just these requirements; ends the program where that fails."""
    done = environment / "set-up-done"
    wanted = requirements.read_text() + "".join(without_dependencies)
    if done.is_file() and done.read_text() == wanted:
        return
    if not (3, 10) <= sys.version_info[:2] <= (3, 12):
        sys.exit(f"Python {sys.version_info[0]}.{sys.version_info[1]} is not supported: use Python 3.10, 3.11 or 3.12")
    print(f"Setting up {environment} (a few minutes, once) …", flush=True)
    venv.create(environment, with_pip=True, clear=True)
    pip = [python_of(environment), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(*pip, "-r", requirements)
    if without_dependencies:
        run(*pip, "--no-deps", *without_dependencies)
    done.write_text(wanted)


def includes_browser_tests(arguments):
    """Whether pytest, given these arguments, comes to tests/browser: by a path, or because there is none."""
    named = [(ROOT / argument.split("::")[0]).resolve() for argument in arguments if not argument.startswith("-")]
    paths = [path for path in named if path.exists()]
    return not paths or any(BROWSER_TESTS in (path, *path.parents) or path in BROWSER_TESTS.parents for path in paths)


def main():
    commands = {
        name: ["-m", "lib_noiserect", name] for name in ("animate", "create", "schedule", "statistics", "evaluate")
    }
    commands["test"] = ["-m", "pytest"]
    if len(sys.argv) < 2 or sys.argv[1] not in commands:
        sys.exit(f"usage: python dev.py {{{','.join(commands)}}} [arguments for it]")
    command, arguments = sys.argv[1], sys.argv[2:]
    set_up(ENVIRONMENT, ROOT / "requirements-dev.txt", WITHOUT_DEPENDENCIES)
    # Without a browser they would be of no use; the tests then say that they are skipped, and what to install.
    if command == "test" and includes_browser_tests(arguments) and chromium():
        for major in GRADIO_VERSIONS:
            if f"NOISERECT_GRADIO{major}_PYTHON" not in os.environ:
                set_up(gradio_environment(major), BROWSER_TESTS / f"requirements-gradio{major}.txt")
    python = python_of(ENVIRONMENT)
    if command == "test" and not arguments:
        run(python, "-m", "ruff", "check", ".")
        run(python, "-m", "mypy")
    # Otherwise the output of a console that is not UTF-8 (Windows) ends at the first Greek letter.
    run(python, *commands[command], *arguments, PYTHONUTF8="1")


if __name__ == "__main__":
    main()

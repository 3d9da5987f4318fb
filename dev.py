"""Set up and run in one command, in environments of its own: `python dev.py animate …` or `python dev.py test`.

It needs nothing but Python 3.10, 3.11 or 3.12. The environments are `.venv` beside this file and, for the browser tests, one
for each gradio, which exclude each other: `.venv-gradio3`, and for `--all` and `--slow` `.venv-gradio4`. A second run finds
them there.
"""

import functools
import os
import shutil
import subprocess
import sys
import time
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent
ENVIRONMENT = ROOT / ".venv"
BROWSER_TESTS = ROOT / "tests" / "browser"
GRADIO_VERSIONS = (3, 4)
COMMANDS = ("animate", "create", "schedule", "statistics", "evaluate", "report")
# Two processes of one thread each. Tensors of the tests are so small that a second thread only waits for the first, and a
# thread that waits actively takes the processor from the other process.
TEST_PROCESSES = ("-n", "2", "--dist", "loadgroup")
# Python compiles each file once, and not in each process: without that all of them start seconds later.
TEST_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": ""}
# k-diffusion asks for torchvision, CLIP, wandb and more for its trainers. The tests use only its samplers, so it comes
# without its dependencies, and requirements-dev.txt has those of the samplers.
WITHOUT_DEPENDENCIES = ("k-diffusion==0.1.1.post1",)


def python_of(environment):
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def gradio_environment(major):
    return ROOT / f".venv-gradio{major}"


def chromium():
    """The browser that the browser tests drive, or None."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return os.environ.get("NOISERECT_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


def run(*command, cwd=ROOT, **environment):
    """Run a command; end the program with its exit code if it fails."""
    finished = subprocess.run([str(part) for part in command], cwd=cwd, env={**os.environ, **environment})
    if finished.returncode:
        sys.exit(finished.returncode)


def run_library(python, *arguments):
    """Run a command of the library. Relative paths are the caller's, wherever this file is."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    # Without UTF-8 (in a Windows console) the output would end at the first Greek letter.
    run(python, "-m", "lib_noiserect", *arguments, cwd=None, PYTHONPATH=path, PYTHONUTF8="1")


def set_up(environment, requirements, without_dependencies=()):
    """Make the environment, unless it is there with exactly these requirements; end the program if that fails."""
    done = environment / "set-up-done"
    content = requirements.read_text(encoding="utf-8") + "".join(without_dependencies)
    if done.is_file() and done.read_text(encoding="utf-8") == content:
        return
    if not (3, 10) <= sys.version_info[:2] <= (3, 12):
        sys.exit(f"Python {sys.version_info[0]}.{sys.version_info[1]} is not supported: use Python 3.10, 3.11 or 3.12")
    print(f"Setting up {environment} (a few minutes, once) …", flush=True)
    venv.create(environment, with_pip=True, clear=True)
    pip = [python_of(environment), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    started = time.monotonic()
    run(*pip, "-r", requirements)
    if without_dependencies:
        run(*pip, "--no-deps", *without_dependencies)
    done.write_text(content, encoding="utf-8")
    print(f"{environment.name}: {duration(started)}", flush=True)


def includes_browser_tests(arguments):
    """Whether pytest, given these arguments, comes to tests/browser: by a path, or because there is none."""
    named = [(ROOT / argument.split("::")[0]).resolve() for argument in arguments if not argument.startswith("-")]
    paths = [path for path in named if path.exists()]
    return not paths or any(BROWSER_TESTS in (path, *path.parents) or path in BROWSER_TESTS.parents for path in paths)


def set_up_all(gradio_versions):
    """Make what is missing of the environments, side by side: most of the time goes into downloads."""
    environments = [(ENVIRONMENT, ROOT / "requirements-dev.txt", WITHOUT_DEPENDENCIES)]
    environments += [
        (gradio_environment(major), BROWSER_TESTS / f"requirements-gradio{major}.txt")
        for major in gradio_versions
        if f"NOISERECT_GRADIO{major}_PYTHON" not in os.environ
    ]
    with ThreadPoolExecutor() as threads:
        for made in [threads.submit(set_up, *environment) for environment in environments]:
            made.result()


def test(python, arguments):
    """Run pytest with the arguments; without any, or with --all for the slow tests too, ruff, mypy and all tests."""
    pytest = functools.partial(run, python, "-m", "pytest", **TEST_ENVIRONMENT)
    if arguments not in ([], ["--all"]):
        pytest(*arguments)
        return
    run(python, "-m", "ruff", "check", ".")
    # mypy runs beside the tests, since it keeps one processor busy for a while. Its report comes after theirs.
    command = [str(python), "-m", "mypy"]
    mypy = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8")
    started = time.monotonic()
    try:
        pytest(*TEST_PROCESSES, *(["--slow"] if arguments else []))
    finally:
        print(f"mypy: {mypy.communicate()[0]}tests: {duration(started)}", flush=True)
    sys.exit(mypy.returncode)


def duration(started):
    """The time since `started`, as people say it."""
    minutes, seconds = divmod(round(time.monotonic() - started), 60)
    return f"{minutes} min {seconds} s"


def main():
    if len(sys.argv) < 2 or sys.argv[1] not in (*COMMANDS, "test"):
        sys.exit(f"usage: python dev.py {{{','.join((*COMMANDS, 'test'))}}} [arguments for it]")
    command, arguments = sys.argv[1], sys.argv[2:]
    # Without a browser its environments would be of no use; the tests then say that they are skipped, and what to install.
    in_browsers = command == "test" and includes_browser_tests(arguments) and chromium() is not None
    on_demand = not {"--all", "--slow"}.isdisjoint(arguments)
    set_up_all(GRADIO_VERSIONS[: 2 if on_demand else 1] if in_browsers else ())
    python = python_of(ENVIRONMENT)
    if command == "test":
        test(python, arguments)
    else:
        run_library(python, command, *arguments)


if __name__ == "__main__":
    main()

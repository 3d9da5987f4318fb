"""Check that the tests catch errors: `python tests/mutants/run.py` tries each mutant in a copy of the last commit.

It applies one mutant at a time to a git worktree in the temporary folder, runs only the tests named beside it, and prints
whether they caught it. It ends with exit code 1 where one survived, and 2 where a line is no longer in the code. Arguments
select mutants by text in their file or line. It takes minutes and needs POSIX, so the suite leaves it out. Each run is a fork
of a process that has imported the heavy packages already.
"""

import contextlib
import os
import resource
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from mutants import MUTANTS

ROOT = Path(__file__).resolve().parents[2]
PROCESSOR_SECONDS = 120
# pytest finds plugins imported before it.
IMPORTED_BEFORE = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
RESULTS = {0: "SURVIVED", 1: "caught", None: "caught (without end)"}


def import_heavy_packages():
    """Import what most tests need, and nothing of this repository."""
    import diffusers
    import torch
    from diffusers import AnimateDiffPipeline, CogVideoXPipeline, LTXPipeline, WanPipeline  # noqa: F401
    from PIL import Image  # noqa: F401

    for name in ("schedulers", "models"):
        getattr(diffusers, name)
    torch.set_num_threads(1)


def outcome(copy, tests):
    """pytest's exit code for `tests` in a fork, None where that did not end, and the last line that it printed."""
    with tempfile.TemporaryFile("w+") as printed:
        child = os.fork()
        if child == 0:
            resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, PROCESSOR_SECONDS))
            os.dup2(printed.fileno(), 1)
            os.dup2(printed.fileno(), 2)
            os.chdir(copy / "tests")
            sys.dont_write_bytecode = True
            # The script's own folder is not on the path of pytest.
            sys.path[0] = str(copy)
            code = 3
            with contextlib.suppress(BaseException):
                code = pytest.main(["-q", "-x", "-p", "no:cacheprovider", *IMPORTED_BEFORE, *shlex.split(tests)])
            sys.stdout.flush()
            os._exit(int(code))
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        printed.seek(0)
        lines = printed.read().strip().splitlines() or [""]
    return (status if status >= 0 else None), lines[-1]


def result(copy, mutant):
    """What became of a mutant, in words that begin with one of `RESULTS`, MISSING or BROKEN."""
    path = copy / "lib_noiserect" / mutant.file
    code = path.read_text(encoding="utf-8") if path.is_file() else ""
    if code.count(mutant.line) != 1:
        return f"MISSING: the line occurs {code.count(mutant.line)} times"
    path.write_text(code.replace(mutant.line, mutant.replacement), encoding="utf-8")
    try:
        status, last = outcome(copy, mutant.tests)
    finally:
        path.write_text(code, encoding="utf-8")
    return f"{RESULTS.get(status, 'BROKEN')}  {last}"


@contextlib.contextmanager
def copy_of_the_last_commit():
    with tempfile.TemporaryDirectory() as folder:
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", f"{folder}/copy"], check=True)
        try:
            yield Path(folder) / "copy"
        finally:
            subprocess.run([*git, "remove", "--force", f"{folder}/copy"], check=True)


def main():
    words = sys.argv[1:]
    exit_code = 0
    import_heavy_packages()
    with copy_of_the_last_commit() as copy:
        for mutant in MUTANTS:
            if words and not any(word in mutant.file + mutant.line for word in words):
                continue
            said = result(copy, mutant)
            exit_code = max(exit_code, 2 if said.startswith(("MISSING", "BROKEN")) else said.startswith("SURVIVED"))
            print(f"{mutant.file}: {mutant.line.strip()[:70]}: {said}", flush=True)
    return exit_code


if __name__ == "__main__":
    sys.exit(main())

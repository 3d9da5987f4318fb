"""Set-up and run in one command, in an environment of its own: `python dev.py animate …` or `python dev.py test`.

Needs nothing but Python 3.10 to 3.12. The environment is `.venv` beside this file; a second run finds it there.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
# k-diffusion wants torchvision, CLIP, wandb and more for its trainers. The tests use its samplers alone, so it comes
# without what it asks for, and what the samplers need is in requirements-dev.txt.
WITHOUT_DEPENDENCIES = ["k-diffusion==0.1.1.post1"]


def run(*command, **environment):
    finished = subprocess.run([str(part) for part in command], cwd=ROOT, env={**os.environ, **environment})
    if finished.returncode:
        sys.exit(finished.returncode)


def set_up():
    requirements = ROOT / "requirements-dev.txt"
    done = ENVIRONMENT / "set-up-done"
    wanted = requirements.read_text() + "".join(WITHOUT_DEPENDENCIES)
    if done.is_file() and done.read_text() == wanted:
        return
    if not (3, 10) <= sys.version_info[:2] <= (3, 12):
        sys.exit(f"Python {sys.version_info[0]}.{sys.version_info[1]} is not supported: use Python 3.10, 3.11 or 3.12")
    print(f"Setting up {ENVIRONMENT} (a few minutes, once) …", flush=True)
    venv.create(ENVIRONMENT, with_pip=True, clear=True)
    pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(*pip, "-r", requirements)
    run(*pip, "--no-deps", *WITHOUT_DEPENDENCIES)
    done.write_text(wanted)


def main():
    commands = {name: ["-m", "lib_noiserect", name] for name in ("animate", "schedule", "evaluate")}
    commands["test"] = ["-m", "pytest"]
    if len(sys.argv) < 2 or sys.argv[1] not in commands:
        sys.exit(f"usage: python dev.py {{{','.join(commands)}}} [arguments for it]")
    set_up()
    if sys.argv[1] == "test" and not sys.argv[2:]:
        run(PYTHON, "-m", "ruff", "check", ".")
        run(PYTHON, "-m", "mypy")
    # Otherwise the output of a console that is not UTF-8 (Windows) ends at the first Greek letter.
    run(PYTHON, *commands[sys.argv[1]], *sys.argv[2:], PYTHONUTF8="1")


if __name__ == "__main__":
    main()

"""Random words for every option of every command: no traceback, and one line where the exit code is 2. On demand."""

import argparse
import io
import random

import pytest
from PIL import Image

from lib_noiserect.__main__ import COMMANDS, main

RUNS = 300
WORDS = [
    "", " ", "0", "-1", "1", "2", "-0.0", "0.5", "nan", "inf", "-inf", "1e999", "9" * 18, "9" * 4000, "9" * 5000, "٣", "0x10",
    "1_0", "\udcff", "a\nb", "x" * 300, "é" * 200, ".", "/", "/dev/null", "/proc/x", "true", "None", "%s", "{}", "[]", "=",
    "1=", "1=a.png", "1=cut.png", "0=a.png", "01=a.png", "99=a.png", "frozen", "motion", "1,0.5", "1,0.5,nan", ",", "slerp",
    "noise-level", "a.png", "deep.png", "text.png", "cut.png", "cut.safetensors", "out.gif", "out.webp", "out.mp4", "new",
    "new.png", "new.safetensors", "folder", "ddim", "lcm", "euler a", "cpu", "cuda:9", "meta", "fp16", "bf16", "pick",
]  # fmt: skip
BASES = {
    "animate": ["a.png", "--prompt", "a cat", "-o", "out.gif", "--steps", "1", "--frames", "2"],
    "create": ["a cat", "-o", "out.gif", "--steps", "1", "--frames", "2"],
    "schedule": [],
    "statistics": ["folder", "-o", "new.safetensors", "--frames", "2"],
    "evaluate": ["-o", "folder", "--report-only"],
}


def options_of(command):
    parser = argparse.ArgumentParser()
    COMMANDS[command][0].add_arguments(parser)
    return [action for action in parser._actions if action.option_strings and action.dest not in ("help", "dask")]


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    Image.new("RGB", (64, 64), "green").save("a.png")
    Image.new("I;16", (64, 64), 40000).save("deep.png")
    (tmp_path / "text.png").write_text("no image", encoding="utf-8")
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:50])
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "README.mp4").write_text("no video", encoding="utf-8")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_random_words(files, capsys, monkeypatch):
    random_words, codes = random.Random(19), dict[int, int]()
    for number in range(RUNS):
        command = random_words.choice(list(BASES))
        words = [command, *BASES[command]]
        for action in random_words.sample(options_of(command), random_words.choice((1, 1, 2, 3))):
            words.append(random_words.choice(action.option_strings))
            if action.nargs != 0 and random_words.random() < 0.95:
                words.append(random_words.choice(WORDS))
        monkeypatch.setattr("sys.stdin", io.StringIO(""))
        try:
            code = main(words)
        except SystemExit as end:
            code = end.code
        except Exception as error:  # the words that did it
            pytest.fail(f"run {number}: {[word[:60] for word in words]}: {type(error).__name__}: {error}")
        said = capsys.readouterr().err
        errors = [line for line in said.splitlines() if line.startswith("error: ")]
        assert (code, len(errors)) in ((0, 0), (2, 1)), (words, code, said)
        codes[code] = codes.get(code, 0) + 1
    assert codes[0] > RUNS / 20 and codes[2] > RUNS / 4, codes

"""The CLIP tokenizer of the built-in model: a word of the world's captions is one token, other text falls into pieces."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from transformers import CLIPTokenizer

from lib_noiserect.tiny.world import COLOURS, CREATURES, DIRECTIONS

WORDS = ("a", "an", "moving", "over", "ground", *COLOURS, *CREATURES, *DIRECTIONS)
END = "</w>"
MAX_LENGTH = 16


def byte_letters() -> list[str]:
    """The letters that byte-level BPE writes the 256 bytes with: printable Latin-1 as it is, the rest from U+0100 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [chr(256 + index) for index in range(256 - len(printable))]
    return [chr(code) for code in printable] + others


def merges_of(words: tuple[str, ...]) -> list[tuple[str, str]]:
    """Merges that build every word up from its last letter, in an order in which none takes a letter that another needs."""
    merges = dict[tuple[str, str], None]()
    for word in sorted(words, key=len):
        right = word[-1] + END
        for letter in reversed(word[:-1]):
            merges[letter, right] = None
            right = letter + right
    return list(merges)


def save_tokenizer(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    letters, merges = byte_letters(), merges_of(WORDS)
    tokens = [
        *letters,
        *(letter + END for letter in letters),
        *("".join(pair) for pair in merges),
        "<|startoftext|>",
        "<|endoftext|>",
    ]
    (folder / "vocab.json").write_text(
        json.dumps({token: index for index, token in enumerate(tokens)}, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    settings = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": MAX_LENGTH,
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def tokenizer_of() -> CLIPTokenizer:
    with tempfile.TemporaryDirectory() as folder:
        save_tokenizer(Path(folder))
        return CLIPTokenizer.from_pretrained(folder)

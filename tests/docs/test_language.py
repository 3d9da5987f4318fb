"""The words of what users read: labels and help, messages, command line help, and the Markdown pages."""

import ast
import re
from pathlib import Path

import pytest

from lib_noiserect.core.settings import CREATION_PRESETS, FIELDS, OMEGA_PRESETS, PRESETS
from lib_noiserect.webui.arguments import INPUTS

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "lib_noiserect"
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(LIBRARY / "tiny").rglob("*.md")]
    + list((ROOT / "benchmarks").rglob("*.md"))
)

BANNED = {
    "cannot be had", "can be had", "be had", "is to be", "are to be", "is none", "are none", "of one's own", "of your own",
    "anew", "is held to", "are held to", "seen working", "whoever", "authors have it", "let go", "oneself", "is wanted",
    "at no loss", "the least that", "what comes of", "which it fails on", "has to have", "nobody's", "round and round",
}  # fmt: skip
# Outside of the names in the API, which stand as code.
BRITISH = (
    r"colour\w*|grey\w*|behaviour\w*|licence\w*|whilst|neighbour\w*|favour\w*|centre\w*|analyse\w*|catalogue|dialogue"
    r"|\w+isation\w*|(?:normal|local|optim|recogn|organ|initial|quant|penal|minim|maxim|summar|real|emphas|custom)is(?:e|ed|es|ing)\b"
)
# The web UI and the field say image, video, keyframe; CLIP is a network and has its capitals.
FOREIGN_WORDS = r"(?<!Whole )pictures?(?! = )|clips?(?![.-]\w)|key frames?"


def wrong_words(text):
    """The banned words and spellings of a text."""
    text = " ".join(text.split())
    phrases = [phrase for phrase in BANNED if re.search(rf"\b{re.escape(phrase)}\b", text, re.IGNORECASE)]
    return phrases + re.findall(rf"\b(?:{BRITISH})", text, re.IGNORECASE) + re.findall(rf"\b(?:{FOREIGN_WORDS})\b", text)


def prose(markdown):
    """A page without code, link targets, comments, file names, and labels in italics, which may be the host's."""
    markdown = re.sub(r"^```.*?^```|^    .*?$|<!--.*?-->", "", markdown, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`]*`|\]\([^)]*\)|(?<![*\w])\*[^*]+\*(?!\*)|[\w-]+(?:/[\w.-]+)+", " ", markdown)


def text_of(node):
    """The text of a constant or an f-string, with … for a value."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    return ""


# Calls whose texts users read: refusals, warnings, phrases of the status line, folds and buttons.
CALLS = {"refuse", "_refuse", "warn", "warning", "info", "Phrase", "fold", "button"}


def messages_and_help(path):
    """Texts in errors, in calls of `CALLS`, and the help and labels of options and controls, in one file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called.endswith("Error") or called in CALLS:
            yield from (text_of(argument) for argument in node.args)
        yield from (text_of(word.value) for word in node.keywords if word.arg in ("help", "description", "label", "info"))


TABLES = {
    **{row.name: [row.label, row.help, *(row.choices or {}).values()] for row in FIELDS.values()},
    **{name: [row.label, row.help] for name, row in INPUTS.items()},
    **{name: [preset.help] for name, preset in {**PRESETS, **CREATION_PRESETS}.items()},
    "omega presets": list(OMEGA_PRESETS.values()),
}


@pytest.mark.parametrize("name", TABLES)
def test_labels_and_help(name):
    assert not wrong_words(" ".join(TABLES[name]))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_pages(page):
    assert not wrong_words(prose(page.read_text(encoding="utf-8")))


@pytest.mark.parametrize("script", sorted((ROOT / "javascript").glob("*.js")), ids=lambda path: path.stem)
def test_texts_of_the_page(script):
    texts = re.findall(r'(?:say|refuse)\(\s*"([^"]+)"|\["(?:warning|on|off)", "([^"]+)"', script.read_text(encoding="utf-8"))
    assert not wrong_words(" ".join(text for pair in texts for text in pair))


@pytest.mark.parametrize("folder", ["core", "media", "methods", "webui", "pipelines", "cli", "evaluation", "../benchmarks"])
def test_messages_and_command_line_help(folder):
    found = {
        (path.name, text): words
        for path in (LIBRARY / folder).glob("*.py")
        for text in messages_and_help(path)
        if (words := wrong_words(re.sub(r"`[^`]*`", "", text)))
    }
    assert not found


def test_wrong_words_are_found():
    assert wrong_words("A picture whose colour cannot be had") == ["cannot be had", "be had", "colour", "picture"] or set(
        wrong_words("A picture whose colour cannot be had")
    ) == {"cannot be had", "be had", "colour", "picture"}
    assert wrong_words("The image is normalised by the center") == ["normalised"]
    assert not wrong_words("CLIP and color, an image and a video, realistic noise")
    assert prose("a `colour` [x](docs/pictures/y.png) in docs/pictures/z.md").split() == ["a", "[x", "in"]

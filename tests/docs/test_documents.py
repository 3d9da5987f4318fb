"""What README and docs/ say of settings, presets and messages is what the code says, and their links lead somewhere.

A table that differs from the code is shown by the failing test as it has to be, to be copied.
"""

import ast
import json
import re
import shlex
from pathlib import Path

import pytest

from lib_noiserect.core.schedule import omega_weights, rectified_steps
from lib_noiserect.core.settings import PRESETS, Settings
from lib_noiserect.core.summary import summary

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "lib_noiserect"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def text_of(page):
    return (ROOT / page).read_text(encoding="utf-8")


def sections(text, level):
    """(heading, text) of each section, code blocks and subsections included."""
    marks = "#" * level
    return re.findall(rf"^{marks} (.+?)\n(.*?)(?=^#{{1,{level}}} |\Z)", text, re.MULTILINE | re.DOTALL)


# Links.


def anchors(path):
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text_of(path), flags=re.M | re.S), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_and_pictures_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        assert path.exists(), f"{page.name} links to {target}"
        assert path.is_relative_to(ROOT), f"{page.name} links out of the repository: {target}"
        assert not anchor or anchor in anchors(path), f"{page.name} links to {target}: there is no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_files_that_are_named_exist(page):
    folders = "benchmarks|docs|javascript|lib_noiserect|scripts|tests|training"
    for named in re.findall(rf"(?<![\w/.-])(?:{folders})/[\w*./-]*[\w*/]", text_of(page)):
        assert list(ROOT.glob(named.rstrip("/"))), f"{page.name} names {named}"


def test_pages_are_reached_from_the_readme():
    linked = set(re.findall(r"\]\((docs/[\w/-]+\.md)", text_of("README.md")))
    assert linked == {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")}


def test_the_readmes_first_two_commands():
    blocks = re.findall(r"^```sh\n(.*?)^```", text_of("README.md"), re.MULTILINE | re.DOTALL)
    assert blocks[1] == "python dev.py test\n"
    program, script, command, picture, *_ = shlex.split(blocks[0])
    assert (program, script, command) == ("python", "dev.py", "animate") and (ROOT / picture).is_file()


# Recipes.

RECIPES = sections(text_of("docs/recipes.md"), 2)


@pytest.mark.parametrize("wish, text", RECIPES, ids=[wish for wish, _ in RECIPES])
def test_a_recipe_says_what_its_settings_do(wish, text):
    """Settings that a job takes as they stand, and the sentence that the accordion shows for them."""
    [settings] = [Settings.from_mapping(json.loads(code)) for code in re.findall(r"^```json\n(.*?)^```", text, re.M | re.S)]
    assert settings.enabled
    [said] = re.findall(r"^> (.+)$", text, re.MULTILINE)
    rectified = rectified_steps(25, settings.tau_start, settings.tau_end)
    sentence = summary(settings, omega_weights(settings, 16), rectified, 25)
    assert said == sentence[0].upper() + sentence[1:]
    for preset in re.findall(r"preset \*(.+?)\*", text):
        assert PRESETS[preset].values.items() <= vars(settings).items()


def test_recipes_for_few_steps():
    [text] = [text for wish, text in RECIPES if "few steps" in wish]
    rows = re.findall(r"^\| ([0-9.]+) \| (\d+) \| (\d+) \|$", text, re.MULTILINE)
    assert len(rows) == 5
    for tau_end, *counts in rows:
        assert [len(rectified_steps(steps, 0, float(tau_end))) for steps in (4, 8)] == [int(count) for count in counts]


# Messages.

RAISED = {
    "SettingsError",
    "UnreachableMotionError",
    "NoiseRectificationError",
    "NotTwinError",
    "NotFiniteError",
    "RuntimeError",
    "ValueError",
    "refuse",
    "_refuse",
}
WARNED = {"warn", "warning"}


def pattern(node):
    """A text with … where a value stands; None for what is no text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    return None


def messages_of(path):
    """The reasons in a file's refusals and warnings: what stands before the advice, which follows a colon."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
        if called not in RAISED | WARNED:
            continue
        if called == "refuse" and len(node.args) == 1:
            said = ast.Constant("is not allowed")  # the default
        else:
            said = node.args[1 if called == "refuse" else 0]
        texts = [pattern(said)] if pattern(said) else texts_named(tree, said)
        # The rest are errors that are passed on, and the parameter of `Job.warn`.
        assert texts or ast.unparse(said) in ("str(error)", "in_labels(message)", "message"), (
            f"{path.name}:{node.lineno} cannot be read"
        )
        for text in texts:
            text = f"… = … {text}" if called == "refuse" else re.sub(r"%[.\d]*[a-z]\b", "…", text)
            reason = re.sub(r"\(…(: …)?\)", "(…)", text).split(": ")[0]
            if re.search("[a-z]", reason):
                yield reason.replace("'…'", "…")


def texts_named(tree, name):
    """The texts that a file assigns to a variable."""
    assigned = [node for node in ast.walk(tree) if isinstance(node, ast.Assign)]
    return [
        text
        for node in assigned
        if any(ast.unparse(target) == ast.unparse(name) for target in node.targets)
        and (text := pattern(node.value)) is not None
    ]


def messages_of_the_page():
    """What the accordion says in the browser, of its own and in the words of settings.py."""
    for path in (ROOT / "javascript").glob("*.js"):
        source = path.read_text(encoding="utf-8")
        for texts in re.findall(r'RangeError\(\s*((?:[`"][^`"]*[`"][\s+]*)+)\)', source):
            text = "".join(re.findall(r'[`"]([^`"]*)[`"]', texts))
            yield re.sub(r"\$\{[^}]*\}", "…", text).split(": ")[0].replace("'…'", "…")
        for text in re.findall(r'\["warning", this\.say\("([^"]+)"\)', source):
            yield text.split(": ")[0]
        for text in re.findall(r'return refuse\("([^"]+)"', source):  # why a button did nothing
            yield text.split(": ")[0].replace("{0}", "…").rstrip(".")


def all_messages():
    core = [
        LIBRARY / "core" / f"{name}.py"
        for name in (
            "settings", "schedule", "keyframes", "motion_mask", "motion_dial", "motion_search", "pivot", "noise", "finite",
        )
    ]  # fmt: skip
    core += [LIBRARY / "methods" / f"{name}.py" for name in ("start_time", "analytic_init", "statistics_file")]
    python = {message for path in [*(LIBRARY / "webui").glob("*.py"), *core] for message in messages_of(path)}
    return python | set(messages_of_the_page())


def test_every_message_has_an_entry_and_every_entry_a_message():
    rows = re.findall(r"^\| (.+?) \| .+ \|$", text_of("docs/troubleshooting.md"), re.MULTILINE)
    entries = [row for row in rows if row != "message"]
    assert len(set(entries)) == len(entries), "one message, one entry"
    missing, left = all_messages() - set(entries), set(entries) - all_messages()
    assert not missing, f"docs/troubleshooting.md has no row for {sorted(missing)}"
    assert not left, f"docs/troubleshooting.md has rows for messages that the code does not have: {sorted(left)}"


def test_the_walk_finds_messages_of_every_kind():
    """It would be content with nothing otherwise."""
    assert {
        "AnimateDiff is off in this job",
        "all frames have the same noise (a variation seed is on), so they move alike",
        "the job has settings and neither enabled nor create",
        "… = … is out of range",
        "tau_start = … is after tau_end = …",
        "the job could not be prepared (…)",
        "AnimateDiff is not installed",
        "… = … is not allowed",
    } <= all_messages()


def test_what_is_said_of_leakage_is_in_the_results():
    section = text_of("docs/method.md").split("\n## Conditional image leakage\n")[1].split("\n## ")[0]
    results = text_of("docs/measured/results.md").replace("−", "-")
    means = re.findall(r"\b\d\.\d{3}\b", section)
    intervals = re.findall(r"[+-]\d\.\d{3} \[[^]]*\]", section)
    assert len(means) > 15 and len(intervals) > 3
    assert not [figure for figure in means + intervals if figure not in results]


def test_the_readmes_figures_are_those_of_the_results():
    section = text_of("README.md").split("\n## Measured\n")[1].split("\n## ")[0]
    figures = re.findall(r"\b\d\.\d{3}\b", section)
    assert len(figures) > 10
    assert not [figure for figure in figures if figure not in text_of("docs/measured/results.md")]
    assert (
        re.search(r"in (\d+) of (\d+) held-out", section).groups()
        == re.search(r"is the caption's in (\d+) of (\d+)", text_of("lib_noiserect/tiny/model/README.md")).groups()
    )


@pytest.mark.parametrize(
    "page, begin, end, least",
    [("docs/webui.md", "\n### Results\n", "\n### ", 7), ("docs/method.md", "On the built-in model its own score", "\n\n", 6)],
    ids=["webui", "method"],
)
def test_figures_of_created_clips_are_those_of_the_results(page, begin, end, least):
    section = text_of(page).split(begin)[1].split(end)[0]
    results = text_of("docs/measured/results.md").split("<!-- section: creation -->")[1]
    figures = re.findall(r"[+−]?0\.\d{2,3}\b", section) + [f"0.{share}" for share in re.findall(r"\b(\d\d) %", section)]
    assert len(figures) >= least
    assert not [figure for figure in figures if not re.search(rf"(?<!\d){re.escape(figure)}(?!\d)", results)]

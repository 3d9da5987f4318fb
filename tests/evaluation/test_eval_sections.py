"""Sections of a summary: those of the experiments that were run are replaced, and nothing else is touched."""

from pathlib import Path

import pytest
from eval_jobs import CONDITIONS, make, some_pictures

from lib_noiserect.evaluation.errors import EvaluationError
from lib_noiserect.evaluation.experiments import methods_experiment
from lib_noiserect.evaluation.report import write_reports
from lib_noiserect.evaluation.runner import run
from lib_noiserect.evaluation.sections import checked, replace_sections

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "measured" / "results.md"


def section(name, text):
    return f"<!-- section: {name} -->\n{text}\n<!-- end: {name} -->"


def test_a_new_file_has_the_title_and_the_sections_in_order(tmp_path):
    path = tmp_path / "new" / "results.md"
    replace_sections(path, "Measured", {"b": "## B\n\n1\n", "a": "## A"})
    assert path.read_text() == f"# Measured\n\n{section('b', '## B' + chr(10) * 2 + '1')}\n\n{section('a', '## A')}\n"


def test_one_section_is_replaced_and_all_else_kept(tmp_path):
    path = tmp_path / "results.md"
    kept = "# By hand\n\nText before.\n\n{}\n\nText between, <!-- a comment -->\n\n{}\nThe end without a line break"
    path.write_text(kept.format(section("a", "old"), section("ab", r"keep \1")))
    replace_sections(path, "not used", {"a": r"new \g<0>"})
    assert path.read_text() == kept.format(section("a", r"new \g<0>"), section("ab", r"keep \1"))
    replace_sections(path, "not used", {"c": "third"})
    expected = kept.format(section("a", r"new \g<0>"), section("ab", r"keep \1")) + f"\n\n{section('c', 'third')}\n"
    assert path.read_text() == expected
    replace_sections(path, "not used", {"c": "third"})
    assert path.read_text() == expected


@pytest.mark.parametrize(
    "text, message",
    [
        ("# A text of another kind\n", "has no sections"),
        ("<!-- section: a -->\n", "the section a does not begin and end just once"),
        ("<!-- end: a -->\n", "the section a does not"),
        (section("a", section("b", "inside")), "the section a does not"),
        (section("a", "1") + "\n" + section("a", "2"), "the section a does not"),
    ],
)
def test_a_file_that_would_be_damaged_is_refused(tmp_path, text, message):
    path = tmp_path / "results.md"
    path.write_text(text)
    with pytest.raises(EvaluationError, match=message):
        replace_sections(path, "title", {"a": "new"})
    assert path.read_text() == text


def test_a_mark_inside_a_section_is_refused(tmp_path):
    with pytest.raises(EvaluationError, match="section a has a mark"):
        replace_sections(tmp_path / "results.md", "title", {"a": "<!-- end: a -->"})
    assert not (tmp_path / "results.md").exists()


def test_a_run_replaces_its_own_experiments_alone(tmp_path):
    pictures = some_pictures(2)
    run(methods_experiment(pictures, ["Euler"], CONDITIONS), make, tmp_path, pictures=pictures, progress=False)
    summary = tmp_path / "results.md"
    others = section("tau", "| as it was |") + "\n\n" + section("leakage", "of another kind")
    summary.write_text(f"# Mine\n\n{section('methods', 'out of date')}\n\n{others}\n")
    write_reports(tmp_path, tmp_path / "report.html", summary)
    text = summary.read_text(encoding="utf-8")
    assert text.startswith("# Mine\n") and others in text and "out of date" not in text
    assert text.index("| Euler | pivot |") < text.index("| as it was |")  # in its old place
    assert "How to read the tables" in text[text.index(others) :]  # new, so at the end


def test_nothing_to_report_writes_nothing(tmp_path):
    with pytest.raises(EvaluationError, match="has no results"):
        write_reports(tmp_path, tmp_path / "report.html", tmp_path / "results.md")
    assert not list(tmp_path.iterdir())


def test_the_projects_own_results_can_be_written_again():
    text = checked(RESULTS)
    for name in ("reading", "methods", "omega", "tau"):
        assert f"<!-- section: {name} -->" in text

"""Reports: what the tables say, and that the page needs nothing beside it."""

import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from eval_jobs import CONDITIONS, make, results_in, score, some_images

from benchmarks.controls import CONTROLS
from lib_noiserect.core.errors import UserError
from lib_noiserect.evaluation.rectification import EXPERIMENTS, Trial, trials_of, work
from lib_noiserect.evaluation.rectification_report import sentences, tables
from lib_noiserect.evaluation.report import TITLE, Html, Part, checked, replace_sections, write_reports
from lib_noiserect.evaluation.tables import Estimate, markdown_table, number
from lib_noiserect.evaluation.trials import run

SUMMARY = Path(__file__).resolve().parents[2] / "docs" / "measured" / "results.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """All three experiments, with a sampler and a caption that would break a page."""
    folder = tmp_path_factory.mktemp("results")
    images, samplers = some_images(3), ["Euler", "<b>Odd & | sampler"]
    wanted = [trial for name in EXPERIMENTS for trial in trials_of(name, images, samplers, **CONDITIONS)]
    run(wanted, work(wanted, images, make, score, 1), results_in(folder))
    return folder


@pytest.fixture(scope="module")
def made(folder):
    """The tables of methods, ω and τ."""
    return tables(results_in(folder).of(Trial))


@pytest.fixture(scope="module")
def reports(folder):
    (folder / "model.json").write_text('{"model": "built-in", "motion adapter": null, "bfloat16": true}', encoding="utf-8")
    paths = folder / "new" / "report.html", folder / "docs" / "results.md"
    write_reports(results_in(folder), *paths)
    return [path.read_text(encoding="utf-8") for path in paths]


@pytest.fixture(scope="module")
def page(reports):
    return reports[0]


class Elements(HTMLParser):
    """The tags of a page with their attributes, and whether each is closed in its turn."""

    empty = {"meta", "img"}

    def __init__(self, page):
        super().__init__()
        self.open, self.found, self.text = [], [], []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in self.empty:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        self.text.append(text)


def trial(method="pivot", sampler="Euler", picture="p0", seed=0, experiment="methods"):
    return Trial(experiment, method, sampler, 0, 0.6, "authors", picture, "a caption", seed, 10, 2, 4)


def results(method, figures, **changes):
    """Results of one setting; `figures` by image and seed."""
    return {
        trial(method, picture=image, seed=seed, **changes): {"ssim": ssim, "motion": 2 * ssim}
        for (image, seed), ssim in figures.items()
    }


def test_means_are_over_pictures_and_differences_over_pairs():
    noising = results("noising", {("p0", 0): 0.1, ("p0", 1): 0.3, ("p1", 0): 0.4, ("p2", 0): 0.9})
    pivot = results("pivot", {("p0", 0): 0.4, ("p0", 1): 0.6, ("p1", 0): 0.9})
    (table,) = tables(noising | pivot)
    first, second = table.lines
    assert (first.label, second.label) == ("noising", "pivot")
    # p0 counts once, with 0.2 and 0.5; p2 has no pivot and is in no difference.
    assert (first.means["ssim"].mean, first.means["ssim"].count) == (pytest.approx(1.5 / 3), 3)
    assert second.means["ssim"].mean == pytest.approx(0.7)
    assert (second.differences["ssim"].mean, second.differences["ssim"].count) == (pytest.approx(0.4), 2)
    assert second.more == (f"{100 * (0.4 + 0.6 + 0.9) / (0.1 + 0.3 + 0.4):.0f} %", "2")


def test_only_the_same_sampler_is_compared():
    (table,) = tables(results("noising", {("p0", 0): 0.1}, sampler="DDIM") | results("pivot", {("p0", 0): 0.9}))
    pivot = next(line for line in table.lines if line.group == "Euler")
    assert not pivot.differences and pivot.more[0] == "–"


def test_all_samplers_stand_first():
    made = {
        key: values
        for sampler, bonus in (("DDIM", 0.1), ("Euler", 0.3))
        for method, gain in (("noising", 0), ("pivot", bonus))
        for key, values in results(method, {("p0", 0): 0.2 + gain, ("p1", 0): 0.4 + gain}, sampler=sampler).items()
    }
    (table,) = tables(made)
    assert [(line.group, line.label) for line in table.lines] == [
        (group, label) for group in ("all samplers", "DDIM", "Euler") for label in ("noising", "pivot")
    ]
    assert table.lines[1].differences["ssim"].mean == pytest.approx(0.2)


def test_a_figure_that_is_not_finite_does_not_count():
    made = results("pivot", {("p0", 0): 0.5, ("p1", 0): math.nan})
    assert tables(made)[0].lines[0].means["ssim"].count == 1


def test_settings_stand_in_the_papers_order(made):
    methods, omega, tau = made
    assert [line.label for line in omega.lines] == [f"ω = {w}" for w in ("0", "0.25", "0.5", "0.75", "1", "authors’")]
    windows = ["[0, 0]", "[0, 0.2]", "[0, 0.4]", "[0, 0.6]", "[0, 0.8]", "[0, 1]", "[0.3, 0.7]", "[0.6, 1]"]
    assert [line.label for line in tau.lines] == [f"τ = {window}" for window in windows]
    # The baseline of ω comes from the other experiments.
    assert all(line.differences["ssim"].mean > 0 for line in omega.lines)


def window(start, end, ssims):
    """Results of a window of the experiment τ, one for each of two images."""
    made = Trial("tau", "pivot", "Euler", start, end, "authors", "", "a caption", 0, 10, 2, 4)
    figures = [{"ssim": ssim, "motion": 1 - ssim} for ssim in ssims]
    return {replace(made, picture=f"p{index}"): values for index, values in enumerate(figures)}


def test_sentences_on_the_windows():
    ends = window(0, 0, (0.1, 0.2)) | window(0, 0.4, (0.5, 0.6)) | window(0, 1, (0.7, 0.8))
    (table,) = tables(ends | window(0.6, 1, (0.2, 0.3)))
    first, growth, windows = sentences(table)
    assert first.startswith("From τ = [0, 0] to τ = [0, 1], SSIM goes from 0.150 [0.100, 0.200] to 0.750")
    assert growth == "SSIM rises as τ ends later: 0.150, 0.550, 0.750."
    assert windows == "Windows that begin late keep less: SSIM 0.250 [0.200, 0.300] for τ = [0.6, 1]."
    # The same sentences do not say so where it is not so.
    worse = window(0, 0, (0.1, 0.2)) | window(0, 0.4, (0.5, 0.6)) | window(0, 1, (0.4, 0.5))
    (table,) = tables(worse | window(0.6, 1, (0.5, 0.55)))
    _, growth, windows = sentences(table)
    assert growth == "SSIM does not always rise as τ ends later: 0.150, 0.550, 0.450."
    assert windows.startswith("SSIM 0.525")


def test_sentences_on_samplers_and_weights(made):
    methods, omega, _ = made
    found = sentences(methods)
    assert sum("instead of noising, all samplers: SSIM 0." in sentence for sentence in found) == 3
    by_sampler = [sentence for sentence in found if "by sampler" in sentence]
    assert len(by_sampler) == 3 and all("Euler 0." in sentence and "Odd" in sentence for sentence in by_sampler)
    assert any(sentence.startswith("From ω = 0 to ω = 1, SSIM goes from 0.") for sentence in sentences(omega))


def test_a_sentence_by_hand():
    noising = results("noising", {("p0", 0): 0.2, ("p1", 0): 0.4})
    pivot = results("pivot", {("p0", 0): 0.5, ("p1", 0): 0.7})
    for figures, drift in ((noising, 4.0), (pivot, 1.0)):
        for values in figures.values():
            values["colour_drift"] = drift
    (table,) = tables(noising | pivot)
    assert sentences(table) == [
        "Pivot instead of noising, Euler: SSIM 0.600 instead of 0.300 (+0.300 [+0.300, +0.300]), "
        "Color drift, ΔE 1.00 instead of 4.00 (−3.00 [−3.00, −3.00]), 200 % of the motion."
    ]


def test_the_model_behind_the_videos_is_named(reports):
    page, summary = reports
    assert "Model: built-in, Bfloat16: yes, Images: 3" in summary
    assert "<p>Model: built-in, Bfloat16: yes, Images: 3" in page


def test_how_figures_are_written():
    assert Estimate(0.5, 0.44444, 0.6, 9).text(3) == "0.500 [0.444, 0.600]"
    assert Estimate(-1.5, -2, 0.25, 9).text(2, signed=True) == "−1.50 [−2.00, +0.25]"
    assert Estimate(0.5, math.nan, math.nan, 1).text(1) == "0.5"
    assert number(-0.0004, 3, signed=True) == "0.000"


def test_the_page_needs_nothing_beside_it(page):
    elements = Elements(page)
    for _, attributes in elements.found:
        for name in ("src", "href", "xlink:href", "srcset", "data", "action"):
            assert (attributes.get(name) or "#").startswith(("#", "data:")), attributes[name]
    assert not re.search(r"https?:|//\w+\.\w|@import|url\((?!#)", page)
    assert "@media (prefers-color-scheme: dark)" in page
    places = [f"#{attributes['id']}" for _, attributes in elements.found if "id" in attributes]
    assert places == [attributes["href"] for tag, attributes in elements.found if tag == "a"] and len(set(places)) == 4
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in elements.found}


def test_the_page_shows_plots_figures_and_clips(page, made):
    elements = Elements(page)
    tags = [tag for tag, _ in elements.found]
    assert tags.count("table") == 3 * 2
    # Of one picture: four methods with two samplers, six ω and eight τ, and the picture itself in each experiment.
    sources = [attributes["src"] for tag, attributes in elements.found if tag == "img"]
    assert sum("image/webp" in source for source in sources) == 8 + 6 + 8
    assert sum("image/png" in source for source in sources) == 3
    assert sum("image/svg+xml" in source for source in sources) == 3 * 5
    text = "".join(elements.text)
    for table in made:
        for line in table.lines:
            assert line.label in text
            for measure in table.measures:
                assert line.means[measure.name].text(measure.digits) in text
            for measure in table.measures if line.differences else ():
                assert line.differences[measure.name].text(measure.digits, signed=True) in text
    assert TITLE in text and "<b>Odd & | sampler" in text
    assert "CLIP model" in text and "pivot instead of noising, all samplers" in text.lower()


def test_other_markdown_in_names_and_captions_is_text(tmp_path):
    """A page that followed it would ask for something beside it."""
    text = "![image](http://example.org/a.png) [link](http://example.org) <http://example.org> *a* `b`"
    part = Part("a", "A", [text, f"- {text}", markdown_table(["x"], [[text]])])
    assert {tag for tag, _ in Elements(part.html).found} == {"p", "ul", "li", "table", "thead", "tbody", "tr", "th", "td"}
    assert "".join(Elements(part.html).text).count(text) == 3


def test_the_summary_has_the_same_tables(made, reports):
    summary = reports[1]
    rows = [line for line in summary.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in rows}) == 2  # with and without share and pictures
    methods, omega, tau = made
    for table in (methods, omega, tau):
        for line in table.lines:
            assert any(line.label in row and line.means["ssim"].text(3) in row for row in rows)
            if line.kind != "noising":
                change = line.differences["ssim"].text(3, signed=True)
                assert any(line.label in row and change in row for row in rows)
    assert "<b>Odd & \\| sampler" in summary


# Sections of a summary.


def section(name, text):
    return f"<!-- section: {name} -->\n{text}\n<!-- end: {name} -->"


def parts(**texts):
    return [Part(name, f"The {name}", [Html("<svg></svg>"), text]) for name, text in texts.items()]


def test_a_new_file_has_the_title_and_the_sections_in_order(tmp_path):
    path = tmp_path / "new" / "results.md"
    replace_sections(path, parts(b="1\n", a="2"))
    expected = [section("b", "## The b\n\n1"), section("a", "## The a\n\n2")]
    assert path.read_text(encoding="utf-8") == "\n\n".join([f"# {TITLE}", *expected]) + "\n"


def test_one_section_is_replaced_and_all_else_kept(tmp_path):
    path = tmp_path / "results.md"
    kept = "# By hand\n\nText before.\n\n{}\n\nText between, <!-- a comment -->\n\n{}\nThe end without a line break"
    path.write_text(kept.format(section("a", "## Old\n\nold"), section("ab", r"keep \1")), encoding="utf-8")
    replace_sections(path, parts(a=r"new \g<0>"))
    expected = kept.format(section("a", "## The a\n\n" + r"new \g<0>"), section("ab", r"keep \1"))
    assert path.read_text(encoding="utf-8") == expected
    for _ in range(2):
        replace_sections(path, parts(c="third"))
        assert path.read_text(encoding="utf-8") == expected + "\n\n" + section("c", "## The c\n\nthird") + "\n"


def test_a_section_without_a_heading_stays_without_one(tmp_path):
    """Its heading and the words around it are written by hand."""
    path = tmp_path / "control.md"
    path.write_text(f"# Controls\n\n## Loop\n\nWords.\n\n{section('a', '| old |')}\n", encoding="utf-8")
    replace_sections(path, parts(a="| new |"))
    assert path.read_text(encoding="utf-8") == f"# Controls\n\n## Loop\n\nWords.\n\n{section('a', '| new |')}\n"


@pytest.mark.parametrize(
    "text, message",
    [
        ("# A text of another kind\n", "has no sections"),
        ("<!-- section: a -->\n", "the section a does not begin and end once"),
        ("<!-- end: a -->\n", "the section a does not"),
        (section("a", section("b", "inside")), "the section a does not"),
        (section("a", "1") + "\n" + section("a", "2"), "the section a does not"),
    ],
)
def test_a_file_that_would_be_damaged_is_refused(tmp_path, text, message):
    path = tmp_path / "results.md"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        replace_sections(path, parts(a="new"))
    assert path.read_text(encoding="utf-8") == text


def test_a_mark_inside_a_section_is_refused(tmp_path):
    with pytest.raises(UserError, match="section a has a section's mark"):
        replace_sections(tmp_path / "results.md", parts(a="<!-- end: a -->"))
    assert not (tmp_path / "results.md").exists()


def test_a_run_replaces_its_own_experiments_alone(tmp_path):
    results = results_in(tmp_path)
    for key, values in window(0, 1, (0.1, 0.2)).items():
        results.append(key, values)
    summary = tmp_path / "results.md"
    others = section("methods", "## As it was") + "\n\n" + section("leakage", "of another kind")
    summary.write_text(f"# Mine\n\n{section('tau', 'out of date')}\n\n{others}\n", encoding="utf-8")
    write_reports(results, tmp_path / "report.html", summary)
    text = summary.read_text(encoding="utf-8")
    assert text.startswith("# Mine\n") and others in text and "out of date" not in text
    assert text.index("| Euler | τ = [0, 1] |") < text.index("## As it was")  # in its old place
    assert "How to read the tables" in text[text.index(others) :]  # new, so at the end


def test_nothing_to_report_writes_nothing(tmp_path):
    with pytest.raises(UserError, match="has no results"):
        write_reports(results_in(tmp_path), tmp_path / "report.html", tmp_path / "results.md")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("page, names", [("results.md", EXPERIMENTS), ("control.md", CONTROLS)])
def test_the_projects_own_results_can_be_written_again(page, names):
    text = checked(SUMMARY.with_name(page))
    assert not [name for name in names if f"<!-- section: {name} -->" not in text]

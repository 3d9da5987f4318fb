"""Reports: what the tables say, and that the page needs nothing beside it."""

import math
import re
from html.parser import HTMLParser

import pytest
from eval_jobs import CONDITIONS, make, score, some_pictures

from lib_noiserect.evaluation import wording
from lib_noiserect.evaluation.bootstrap import Estimate
from lib_noiserect.evaluation.errors import EvaluationError
from lib_noiserect.evaluation.experiments import Row, methods_experiment, omega_experiment, tau_experiment
from lib_noiserect.evaluation.report import write_reports
from lib_noiserect.evaluation.runner import run
from lib_noiserect.evaluation.store import Result, read_results
from lib_noiserect.evaluation.tables import ALL_SAMPLERS, MEASURES, Cell, tables

SSIM, GMSD, MOTION = (next(m for m in MEASURES if m.name == name) for name in ("ssim", "gmsd", "motion"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """All three experiments, with a sampler and a caption that would break a page."""
    folder = tmp_path_factory.mktemp("results")
    pictures = some_pictures(3)
    samplers = ["Euler", "<b>Odd & | sampler"]
    rows = [
        *methods_experiment(pictures, samplers, CONDITIONS),
        *omega_experiment(pictures, "Euler", CONDITIONS),
        *tau_experiment(pictures, "Euler", CONDITIONS),
    ]
    run(rows, make, folder, pictures=pictures, keep_clips=1, score=score, progress=False)
    return folder


@pytest.fixture(scope="module")
def reports(folder):
    paths = folder / "new" / "report.html", folder / "docs" / "results.md"
    write_reports(folder, *paths, title="A <title>")
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


def row(method="pivot", sampler="Euler", picture="p0", seed=0, experiment="methods"):
    return Row(experiment, method, sampler, 0, 0.6, "authors", picture, "a caption", seed, 10, 2, 4)


def results(method, figures, **changes):
    """Results of one setting; `figures` by picture and seed."""
    return [
        Result(row(method, picture=picture, seed=seed, **changes), {"ssim": ssim, "motion": 2 * ssim})
        for (picture, seed), ssim in figures.items()
    ]


def test_means_are_over_pictures_and_differences_over_pairs():
    noising = results("noising", {("p0", 0): 0.1, ("p0", 1): 0.3, ("p1", 0): 0.4, ("p2", 0): 0.9})
    pivot = results("pivot", {("p0", 0): 0.4, ("p0", 1): 0.6, ("p1", 0): 0.9})
    (table,) = tables(noising + pivot)
    first, second = table.lines
    assert (first.label, second.label) == ("noising", "pivot")
    # p0 counts once, with 0.2 and 0.5; p2 has no pivot and is in no difference.
    assert (first.cells["ssim"].mean.mean, first.cells["ssim"].mean.count) == (pytest.approx(1.5 / 3), 3)
    assert second.cells["ssim"].mean.mean == pytest.approx(0.7)
    assert (second.cells["ssim"].difference.mean, second.cells["ssim"].difference.count) == (pytest.approx(0.4), 2)
    assert second.motion_share == pytest.approx((0.4 + 0.6 + 0.9) / (0.1 + 0.3 + 0.4))


def test_only_the_same_sampler_is_compared():
    (table,) = tables(results("noising", {("p0", 0): 0.1}, sampler="DDIM") + results("pivot", {("p0", 0): 0.9}))
    pivot = next(line for line in table.lines if line.group == "Euler")
    assert pivot.cells["ssim"].difference is None and pivot.motion_share is None


def test_all_samplers_stand_first():
    made = [
        result
        for sampler, bonus in (("DDIM", 0.1), ("Euler", 0.3))
        for method, gain in (("noising", 0), ("pivot", bonus))
        for result in results(method, {("p0", 0): 0.2 + gain, ("p1", 0): 0.4 + gain}, sampler=sampler)
    ]
    (table,) = tables(made)
    assert [(line.group, line.label) for line in table.lines] == [
        (group, label) for group in (ALL_SAMPLERS, "DDIM", "Euler") for label in ("noising", "pivot")
    ]
    assert table.lines[1].cells["ssim"].difference.mean == pytest.approx(0.2)


def test_a_figure_that_is_not_finite_does_not_count():
    made = results("pivot", {("p0", 0): 0.5, ("p1", 0): math.nan})
    assert tables(made)[0].lines[0].cells["ssim"].mean.count == 1


def test_settings_stand_in_the_papers_order(folder):
    methods, omega, tau = tables(read_results(folder))
    assert [line.label for line in omega.lines] == [f"ω = {w}" for w in ("0", "0.25", "0.5", "0.75", "1", "authors’")]
    windows = ["[0, 0]", "[0, 0.2]", "[0, 0.4]", "[0, 0.6]", "[0, 0.8]", "[0, 1]", "[0.3, 0.7]", "[0.6, 1]"]
    assert [line.label for line in tau.lines] == [f"τ = {window}" for window in windows]
    # The baseline of ω comes from the other experiments.
    assert all(line.cells["ssim"].difference.mean > 0 for line in omega.lines)


@pytest.mark.parametrize(
    "low, high, measure, expected",
    [
        (0.1, 0.2, SSIM, 1),
        (-0.2, -0.1, SSIM, -1),
        (-0.2, -0.1, GMSD, 1),
        (-0.1, 0.1, SSIM, 0),
        (0.1, 0.2, MOTION, 0),
        (math.nan, math.nan, SSIM, 0),
    ],
)
def test_verdicts(low, high, measure, expected):
    cell = Cell(Estimate(0.5, 0.4, 0.6, 9), Estimate((low + high) / 2, low, high, 9))
    assert cell.verdict(measure) == expected


def test_how_figures_are_written():
    assert wording.interval(Estimate(0.5, 0.44444, 0.6, 9), 3) == "0.500 [0.444, 0.600]"
    assert wording.interval(Estimate(-1.5, -2, 0.25, 9), 2, signed=True) == "−1.50 [−2.00, +0.25]"
    assert wording.interval(Estimate(0.5, math.nan, math.nan, 1), 1) == "0.5"
    assert wording.number(-0.0004, 3, signed=True) == "0.000"


def test_the_page_needs_nothing_beside_it(page):
    elements = Elements(page)
    for _, attributes in elements.found:
        for name in ("src", "href", "xlink:href", "srcset", "data", "action"):
            assert (attributes.get(name) or "#").startswith(("#", "data:")), attributes[name]
    assert not re.search(r"https?:|//\w+\.\w|@import|url\((?!#)", page)
    assert (
        page.count("currentColor") > 100 and "#010203" not in page
    )  # plots have the page's text colour, light or dark
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in elements.found}


def test_the_page_shows_plots_figures_and_clips(page, folder):
    elements = Elements(page)
    tags = [tag for tag, _ in elements.found]
    assert tags.count("svg") == 3 * 4 and tags.count("table") == 3
    # Of one picture: three methods with two samplers, six ω and eight τ, and the picture itself in each experiment.
    sources = [attributes["src"] for tag, attributes in elements.found if tag == "img"]
    assert sum("image/webp" in source for source in sources) == 6 + 6 + 8
    assert sum("image/png" in source for source in sources) == 3
    text = "".join(elements.text)
    for table in tables(read_results(folder)):
        for line in table.lines:
            assert line.label in text
            for measure in table.measures:
                assert wording.number(line.cells[measure.name].mean.mean, measure.digits) in text
    assert "A <title>" in text and "<b>Odd & | sampler" in text
    assert "CLIP model" in text and "pivot against plain noising, all samplers" in text.lower()


def test_ids_are_not_used_twice(page):
    ids = [attributes["id"] for _, attributes in Elements(page).found if "id" in attributes]
    references = set(re.findall(r"""(?:url\(|href=")#([^)"]+)""", page))
    assert len(ids) == len(set(ids)) and len(references) > 12
    assert references <= set(ids)


def test_the_summary_has_the_same_tables(folder, reports):
    summary = reports[1]
    rows = [line for line in summary.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in rows}) == 2  # with and without share and pictures
    methods, omega, tau = tables(read_results(folder))
    for table in (methods, omega, tau):
        for line in table.lines:
            cell = line.cells["ssim"]
            assert any(line.label in row and wording.mean(cell, SSIM) in row for row in rows)
            if line.rectifies:
                assert any(line.label in row and wording.difference(cell, SSIM) in row for row in rows)
    assert "<b>Odd & \\| sampler" in summary


def test_nothing_to_report_is_refused():
    with pytest.raises(EvaluationError, match="there are no results"):
        tables([])

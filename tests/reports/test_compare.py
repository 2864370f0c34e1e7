"""Two runs in which one model answers differently, on the problems of two seeds, compared in the page."""

import re

import polars as pl
import pytest

from llm_icl.analysis.comparisons import compare
from llm_icl.analysis.intervals import unpaired
from llm_icl.analysis.scores import accuracy
from llm_icl.experiments.evaluation.report import report_of
from llm_icl.experiments.evaluation.reports.content import gather
from llm_icl.problems import ANSWERED
from llm_icl.reports.files import write_report
from llm_icl.runs import RunDirectory
from tests.reports.browser import WIDE, visited
from tests.reports.making import synthetic_run

pytestmark = pytest.mark.browser
FIRST, SECOND = "model-a [first]", "model-a [second]"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compared")
    size = {"task": ["majority"], "n": [3, 4], "points": 6, "problems": 16, "seed": [0, 5]}
    synthetic_run(folder / "first", models=("model-a",), said=" in the first run", **size)
    synthetic_run(folder / "second", models=("model-b", "model-a"), said=" in the second run", **size)
    return [RunDirectory(folder / name) for name in ("first", "second")]


@pytest.fixture(scope="module")
def cells(runs):
    return [each.cell for each in gather(runs).cells]


@pytest.fixture(scope="module")
def path(runs):
    folder = runs[0].path.parent / "report"
    write_report(report_of(runs), folder)
    return folder / "report.html"


@pytest.fixture
def page(browser, path):
    with visited(browser, path, viewport=WIDE) as one:
        one.evaluate("document.getElementById('compare').open = true")
        one.wait_for_selector(".panel.compare[data-drawn=all]")
        yield one


def choose(page, first, second, on=("all", "all")):
    panel = page.locator(".panel.compare")
    for place, value in enumerate((first, on[0], second, on[1])):
        panel.locator("select").nth(place).select_option(value)
    return panel.locator("tbody tr").evaluate_all("rows => rows.map(r => [...r.cells].map(c => c.innerText))")


def is_shown(row, estimate):
    numbers = [float(one) for one in re.findall(r"[-+]?[\d.]+", row[1])]
    assert numbers == pytest.approx([100 * one for one in estimate], abs=0.06)


@pytest.mark.parametrize(("seed", "on"), [(None, "all"), (0, "0"), (5, "5")])
def test_two_runs_of_a_model_are_compared_on_all_problems_and_on_those_of_a_seed(page, cells, seed, on):
    rows = choose(page, FIRST, SECOND, (on, on))
    assert [row[0] for row in rows] == ["majority, n = 3", "majority, n = 4"]
    for row, cell in zip(rows, cells, strict=True):
        one, other = cell.learners[FIRST], cell.learners[SECOND]
        where = None if seed is None else cell.ids[:, 0] == seed
        expected = compare(one.correct, other.correct, (one.prediction, other.prediction), where)
        is_shown(row, expected.estimate())
        assert row[2:] == [str(expected.problems), f"{expected.differing}: show them"]
        assert expected.problems == (32 if seed is None else 16)


def test_a_model_is_compared_with_itself_on_two_seeds_in_both_directions(page, cells):
    for on in ((0, 5), (5, 0)):
        rows = choose(page, SECOND, SECOND, tuple(map(str, on)))
        for row, cell in zip(rows, cells, strict=True):
            correct = cell.learners[SECOND].correct
            is_shown(row, unpaired(*(accuracy(correct[cell.ids[:, 0] == seed]) for seed in on)))
            assert row[2:] == ["16", "16"]
        assert f"on seed {on[0]} minus that on seed {on[1]}" in page.inner_text(".panel.compare caption")


def test_different_problems_of_different_learners_are_not_compared(page):
    for first, second, on in ((FIRST, SECOND, ("0", "5")), (FIRST, FIRST, ("all", "0")), (FIRST, FIRST, ("5", "5"))):
        assert choose(page, first, second, on) == []
        assert "Choose" in page.inner_text(".panel.compare > div:last-child")


def test_the_problems_of_a_seed_on_which_two_runs_differ_are_shown_and_sent(browser, path, page, runs):
    keys = ["task", "n", "seed", "problem", "position"]
    counts = pl.col("status").is_in(list(ANSWERED))  # what is no answer differs from any answer
    one, other = (run.predictions().filter(pl.col("learner") == "model-a", counts) for run in runs)
    both = one.join(other, on=keys).filter(pl.col("n") == 3, pl.col("seed") == 5)
    expected = len(both.filter(pl.col("prediction").ne_missing(pl.col("prediction_right"))))
    choose(page, FIRST, SECOND, ("5", "5"))
    page.locator(".panel.compare button").first.click()
    page.wait_for_function(f"document.querySelector('.panel.problems').dataset.count === '{expected}'")
    page.locator(".panel.problems [role=option]").first.click()
    page.wait_for_selector(".detail h3")
    detail = page.inner_text(".detail")
    assert "seed 5" in detail
    assert "in the first run" in detail
    assert "in the second run" not in detail
    with visited(browser, path, hash=page.url.partition("#")[2], viewport=WIDE) as sent:
        sent.wait_for_selector(".detail h3")
        assert sent.inner_text(".detail") == detail
        chosen = sent.locator(".panel.compare select").evaluate_all("all => all.map(one => one.value)")
        assert chosen == [FIRST, "5", SECOND, "5"]


def test_cards_and_provenance_are_of_one_run_each(path, page):
    names = page.locator(".card h3").all_inner_texts()
    assert sorted(names) == [FIRST, SECOND, "model-b"]
    assert len(page.locator("#made pre").all()) == 2

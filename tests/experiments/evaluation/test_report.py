"""The report of an evaluation of a language model: its numbers, and its texts in a browser."""

import json
import re

import polars as pl
import pytest

import llm_icl
from tests.conftest import TinyModels, run_cli
from tests.inside import run_inside
from tests.reports.browser import opened
from tests.reports.reading import table_of

CELLS = [f"{task}-n{n}" for task in ("majority", "conjunction") for n in (3, 4)]
FIGURES = {f"{cell}-{name}" for cell in CELLS for name in ("learning-curves", "calibration")}
FIGURES |= {"overview-by-n-majority", "overview-by-n-conjunction"}
HOSTILE = '<script>document.title = "taken"</script><img src=x onerror="document.title=\'taken\'">'


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a tiny model, whose prompt and exchanges carry text that a page must not run."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "prompts").mkdir()
    body = "{% for e in examples %}\nInput: {{ e.input }}\nLabel: {{ e.label }}{% endfor %}\nInput: {{ query }}\nLabel:"
    (folder / "prompts" / "hostile.jinja").write_text(HOSTILE + body)
    model = TinyModels(folder).gpt2(text=[HOSTILE, "Input: 0 1 Label: 1"])
    done = run_cli(
        *"eval --task majority,conjunction --n 3,4 --points 10 --problems 6 --prompt hostile --out run".split(),
        *("--model", f"hf/{model}"),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return folder / "run"


@pytest.mark.browser
def test_text_from_models_and_prompts_is_shown_and_never_run(chromium, run):
    assert HOSTILE in (run / "exchanges.jsonl").read_text().replace("\\", "")
    with opened(chromium, run / "report.html") as page:
        page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
        page.wait_for_selector(".panel.problems[data-drawn=all]")
        page.locator("#row-0").click()
        page.wait_for_selector(".detail h3")
        assert HOSTILE in page.inner_text(".detail")
        assert page.title() != "taken"
        assert page.evaluate("document.images.length") == 0
        drawn = page.locator("figure").evaluate_all("all => all.map(one => [one.id, !!one.querySelector('svg.marks')])")
        assert {name for name, _ in drawn} == FIGURES
        assert all(there for _, there in drawn)


def test_the_numbers_of_the_report_are_those_of_the_predictions(run):
    frame = pl.read_parquet(run / "predictions.parquet")
    right = frame.with_columns(right=(pl.col("prediction") == pl.col("label")).fill_null(False))
    rows = table_of(run_inside("report", run, "--json").stdout, "scores")
    assert len(rows) == right.select("task", "n", "learner").n_unique()
    for row in rows:
        own = right.filter(*(pl.col(key) == row[key] for key in ("task", "n", "learner")))
        assert row["average"]["value"] == pytest.approx(own["right"].mean())
        last = own.filter(pl.col("position") == pl.col("position").max())
        assert row["last"]["value"] == pytest.approx(last["right"].mean())
        assert row["problems"] == own["problem"].n_unique()


def test_both_reports_say_the_same_numbers(run):
    html, markdown = (run / "report.html").read_text(), (run / "report.md").read_text()
    cells = re.findall(r"<td [^>]*>([\d.]+ \[[\d., ]+\])</td>", html)
    assert len(cells) > 50
    assert all(cell in markdown for cell in cells)
    record = json.loads((run / "run.json").read_text())
    assert record["command"] in markdown


def test_every_control_stands_in_the_report(run):
    markdown = (run / "report.md").read_text()
    for name in ("best-constant", "nearest-neighbour", "bayes", "bayes-labels", "(shuffled labels)"):
        assert f"| {name}" in markdown or f"{name} " in markdown
    assert "constant functions are allowed" in markdown


@pytest.mark.parametrize("best", ["bayes", "bayes-labels"])
def test_the_overview_says_the_gap_of_learners_to_whichever_exact_bayes_was_run(tmp_path, best):
    found = llm_icl.evaluate(
        out=tmp_path / "run", model="none", task="majority", n="3,4", points=5, problems=30,
        learner=f"{best},nearest-neighbour",
    )  # fmt: skip
    right = found.predictions.with_columns(right=(pl.col("prediction") == pl.col("label")).cast(float))
    rows = table_of(run_inside("report", tmp_path / "run", "--json").stdout, "overview")
    assert [row["n"] for row in rows] == [3, 4]
    for row in rows:
        means = [right.filter(n=row["n"], learner=name)["right"].mean() for name in (best, "nearest-neighbour")]
        assert row["gap, nearest-neighbour"]["value"] == pytest.approx(means[0] - means[1])

"""The report of an evaluation of a language model: its numbers, and its texts in a browser."""

import json
import os
import re

import polars as pl
import pytest

import llm_icl
from tests.conftest import TinyModels, run_cli
from tests.inside import run_inside
from tests.reports.browser import opened
from tests.reports.reading import table_of
from tests.servers import provider as servers

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


def test_a_verdict_of_one_run_that_another_run_contradicts_is_not_clear(tmp_path, monkeypatch):
    """A model of the same name and server that says 1 throughout on the problems of one seed, and 0 on the others'."""
    server = servers.Provider()
    environment = os.environ | {"OPENAI_BASE_URL": f"{server.url}/v1", "OPENAI_API_KEY": "sk-of-a-test"}
    size = "--task majority --n 4 --points 8 --problems 20 --no-shuffled-labels".split()
    try:
        for seed, share in enumerate((0.99, 0.01)):
            monkeypatch.setattr(servers, "probability", lambda prompt, share=share: share)
            done = run_inside("eval", "--model", "gpt-4.1", *size, "--seed", str(seed), "--out", f"r{seed}",
                              cwd=tmp_path, env=environment)  # fmt: skip
            assert done.returncode == 0, done.stderr
    finally:
        server.die()
    for order in (("r0", "r1"), ("r1", "r0")):
        said = run_inside("report", *order, "--out", "both", cwd=tmp_path).stdout
        verdicts = [f"do not depend on the examples (always {label})." for label in (0, 1)]
        assert "Algorithm (weak): Its answers to unseen queries" in said
        assert all(verdict in said for verdict in verdicts)
        assert "Another run of this report says: " in said


def test_a_joint_report_says_at_which_positions_the_problems_of_each_run_were_asked(tmp_path):
    for seed, problems, points in ((0, 8, 6), (1, 12, 4)):
        llm_icl.evaluate(out=tmp_path / str(seed), model="none", task="majority", n=3, points=points, seed=seed,
                         problems=problems, learner="nearest-neighbour")  # fmt: skip
    run_inside("report", "0", "1", "--out", "both", cwd=tmp_path)
    said = (tmp_path / "both" / "report.md").read_text()
    assert "nearest-neighbour: asked 8 of 20 problems, positions 0 to 5; 12 of 20 problems, positions 0 to 3." in said

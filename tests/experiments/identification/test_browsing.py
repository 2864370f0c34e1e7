"""Every answer to a probe in the page: read back, it is the prediction, and the candidates are those of the probes."""

import json

import numpy as np
import polars as pl
import pytest

from llm_icl.experiments.identification.browsing import problems_panel
from llm_icl.experiments.identification.gathering import gather
from llm_icl.runs import RunDirectory
from tests.inside import run_inside
from tests.reports.browser import WIDE, opened

EXAMPLES, CONTEXTS, QUERIES = (4, 6), 10, 2
CANDIDATES = "nearest-neighbour,averaging,bayes-labels"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browsing")
    size = f"--task majority --n 4 --examples 4,6 --contexts {CONTEXTS} --queries {QUERIES} --candidate {CANDIDATES}"
    done = run_inside(
        "identify", "--model", "smollm2-135m", "--learner", "averaging", *size.split(), "--out", "run", cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return RunDirectory(folder / "run")


@pytest.fixture(scope="module")
def panel(run):
    return problems_panel(gather([run]))


@pytest.fixture(scope="module")
def probes(run):
    (path,) = (run.path / "probes").glob("*.parquet")
    return pl.read_parquet(path)


def test_columns_hold_every_answer_and_those_of_the_candidates(run, panel, probes):
    answers = iter(np.frombuffer(panel.columns["answers"], np.uint8))
    probabilities = iter(np.frombuffer(panel.columns["probabilities"], "<u2"))
    frame = run.predictions()
    subjects = frame["learner"].unique(maintain_order=True).to_list()
    for cell, examples in zip(panel.index["cells"], EXAMPLES, strict=True):
        asked = probes.filter(pl.col("examples") == examples)
        assert cell["ids"] == asked.select("seed", "problem").rows()
        assert (cell["positions"], cell["points"]) == ([examples], examples + 1)
        assert sorted(cell["learners"][:2]) == sorted(subjects)
        for name in cell["learners"]:
            own = frame.filter((pl.col("learner") == name) & (pl.col("position") == examples)).sort("problem", "query")
            is_subject = name in subjects
            for i in range(CONTEXTS * QUERIES):
                code, thousandths = int(next(answers)), int(next(probabilities))
                if is_subject:
                    assert code - 1 == own["prediction"][i]
                    if own["probability"][i] is not None:
                        assert thousandths / 1000 == pytest.approx(own["probability"][i], abs=0.000501)
                    continue
                p = asked["candidates"][i][name.removesuffix(" (candidate)")]
                assert thousandths / 1000 == pytest.approx(p, abs=0.000501)
                said = panel.index["statuses"][code - 3] if code > 2 else code - 1
                assert said == ("undecided" if p == 0.5 else int(p > 0.5))
    assert next(answers, None) is None


def test_points_are_the_examples_and_the_query(panel, probes):
    bits = np.unpackbits(np.frombuffer(panel.columns["bits"], np.uint8))
    shown = np.unpackbits(np.frombuffer(panel.columns["shown"], np.uint8))
    place = label = 0
    for examples in EXAMPLES:
        for row in probes.filter(pl.col("examples") == examples).iter_rows(named=True):
            size = (examples + 1) * 4
            assert bits[place : place + size].tolist() == np.ravel([*row["inputs"], row["query"]]).tolist()
            assert shown[label : label + examples].tolist() == row["labels"]
            place, label = place + size, label + examples + 1


def test_each_prompt_stands_at_its_query(panel, probes):
    for i, examples in enumerate(EXAMPLES):
        asked = probes.filter(pl.col("examples") == examples)
        texts = json.loads(panel.columns[f"texts-{i}"])
        assert sorted(row for _, row, *_ in texts) == list(range(CONTEXTS * QUERIES))
        for _, row, positions, prompt, _ in texts:
            assert positions == [examples]
            assert prompt.strip().endswith(asked["prompt"][row].strip())


@pytest.mark.browser
def test_the_page_shows_what_each_candidate_answers(run, panel, chromium):
    with opened(chromium, run.path / "report.html", viewport=WIDE) as page:
        page.evaluate("document.getElementById('problems').open = true")
        page.wait_for_selector(".panel.problems[data-drawn=all]")
        box = page.locator(".panel.problems")
        assert box.locator("select").nth(4).locator("option").all_inner_texts() == [
            "all",
            "no answer",
            "learners differ",
        ]
        box.locator("[role=option]").first.click()
        page.wait_for_selector(".detail h3")
        detail = page.inner_text(".detail")
        assert "The query is unseen." in detail
        assert "true label" not in detail
        for name in panel.index["cells"][0]["learners"]:
            assert name in detail
        assert "wrong" not in detail

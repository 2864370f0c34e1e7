"""All answers as columns of numbers: read back, they are the predictions."""

import json

import numpy as np
import pytest

from llm_icl.analysis.cells import Answered
from llm_icl.experiments.evaluation.reports import browsing
from llm_icl.experiments.evaluation.reports.content import gather
from llm_icl.experiments.evaluation.reports.tables import _SCORES, _UNUSED
from llm_icl.problems import Problems
from llm_icl.reports.algorithms import _COLUMNS
from llm_icl.reports.terms import TERMS
from llm_icl.runs import RunDirectory
from tests.reports.making import synthetic_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browsing") / "run"
    return RunDirectory(synthetic_run(folder, task=["majority", "parity"], n=[3], points=6, problems=9, seed=[0, 4]))


def read(panel):
    """The rows that the columns hold, by cell, learner, seed, problem and position."""
    answers = np.frombuffer(panel.columns["answers"], np.uint8)
    probabilities = np.frombuffer(panel.columns["probabilities"], "<u2")
    truths, place, query = np.frombuffer(panel.columns["truths"], np.uint8), 0, 0
    for cell in panel.index["cells"]:
        for learner in cell["learners"]:
            at = query
            for seed, problem in cell["ids"]:
                for position in cell["positions"]:
                    key = (cell["task"], cell["n"], learner, seed, problem, position)
                    yield key, int(answers[place]), int(probabilities[place]), int(truths[at])
                    place, at = place + 1, at + 1
        query += len(cell["ids"]) * len(cell["positions"])
    assert (place, query) == (len(answers), len(truths))


def test_columns_hold_every_answer_with_its_probability_and_truth(run):
    frame = run.predictions()
    panel = browsing.problems_panel(gather([run]), [run])
    names = ("task", "n", "learner", "seed", "problem", "position")
    expected = {tuple(row[name] for name in names): row for row in frame.iter_rows(named=True)}
    found = list(read(panel))
    assert len(found) == len(frame)
    for key, code, thousandths, truth in found:
        row = expected[key]
        assert (truth & 1, bool(truth & 2)) == (row["label"], row["seen"])
        if row["prediction"] is None:
            assert panel.index["statuses"][code - 3] == row["status"]
        else:
            assert code - 1 == row["prediction"]
        if row["learner"] == "best-constant":  # in a report it is fitted to the whole cell
            continue
        if row["probability"] is None:
            assert thousandths == 65535
        else:
            assert thousandths / 1000 == pytest.approx(row["probability"], abs=0.000501)


def test_points_and_labels_are_those_of_the_problems(run):
    panel = browsing.problems_panel(gather([run]), [run])
    bits = np.unpackbits(np.frombuffer(panel.columns["bits"], np.uint8))
    shown = np.unpackbits(np.frombuffer(panel.columns["shown"], np.uint8))
    functions, bit, label = json.loads(panel.columns["functions"]), 0, 0
    for cell, said in zip(panel.index["cells"], functions, strict=True):
        for (seed, index), function in zip(cell["ids"], said, strict=True):
            problems = Problems.load(run.path / "problems" / f"{cell['task']}-n{cell['n']}-s{seed}.npz")
            row = list(problems.indices).index(index)
            size = problems.points * problems.n
            np.testing.assert_array_equal(bits[bit : bit + size], problems.xs[row].ravel())
            np.testing.assert_array_equal(shown[label : label + problems.points], problems.shown[row])
            assert all(name in function for name in problems.parameters)
            bit, label = bit + size, label + problems.points


def test_runs_of_different_lengths_show_each_problem_whole(tmp_path):
    """The short run has more problems and the long one more points; each problem is that of the longest run."""
    short, long = (
        RunDirectory(synthetic_run(tmp_path / f"run-{points}", task=["majority"], n=[5], points=points, problems=count))
        for points, count in ((4, 30), (12, 6))
    )
    runs = [short, long]
    panel = browsing.problems_panel(gather(runs), runs)
    (cell,) = panel.index["cells"]
    assert (cell["points"], cell["sizes"]) == (12, [12] * 6 + [4] * 24)
    bits = np.unpackbits(np.frombuffer(panel.columns["bits"], np.uint8))[: 30 * 12 * 5].reshape(30, 12, 5)
    shown = np.unpackbits(np.frombuffer(panel.columns["shown"], np.uint8))[: 30 * 12].reshape(30, 12)
    problems = {run: Problems.load(run.path / "problems" / "majority-n5-s0.npz") for run in runs}
    np.testing.assert_array_equal(bits[:6], problems[long].xs)
    np.testing.assert_array_equal(shown[:6], problems[long].shown)
    np.testing.assert_array_equal(bits[6:, :4], problems[short].xs[6:])
    np.testing.assert_array_equal(shown[6:, :4], problems[short].shown[6:])


def test_without_its_problems_a_run_has_no_points(run, monkeypatch):
    monkeypatch.setattr(browsing, "_drawn", lambda runs: {})
    panel = browsing.problems_panel(gather([run]), [run])
    assert [cell["points"] for cell in panel.index["cells"]] == [0, 0]
    assert panel.columns["bits"] == b""


def test_much_text_is_sampled_and_said_so(run, monkeypatch):
    content = gather([run])
    whole = browsing.problems_panel(content, [run])
    texts = [json.loads(whole.columns[f"texts-{i}"]) for i in range(2)]
    assert sum(map(len, texts)) == 2 * 2 * 9
    assert "one problem in" not in whole.says
    size = sum(len(row[3]) + len(row[4]) for rows in texts for row in rows)
    monkeypatch.setattr("llm_icl.reports.browsing.MOST_TEXT", size // 3 + 1)
    some = browsing.problems_panel(content, [run])
    kept = [row for i in range(2) for row in json.loads(some.columns[f"texts-{i}"])]
    assert "one problem in 3" in some.says
    assert {row[1] % 3 for row in kept} == {0}
    assert len(kept) == 2 * 6


def test_an_answer_that_is_none_is_never_taken_for_one():
    nothing, codes = np.full((1, 4), np.nan), np.array([[-1, 0, 1, 5]], np.int8)
    answered = Answered(codes >= 0, nothing, nothing, nothing, {}, codes=codes)
    assert list(browsing._codes(answered)) == [0, 3, 3, 7]


def test_every_explained_term_is_the_name_of_a_column():
    names = {column.name for column in (*_SCORES, *_UNUSED, *_COLUMNS)} | {"probability on the labels"}
    assert set(TERMS) - names == {"explained share"}  # of identifications

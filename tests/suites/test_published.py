"""Published statements beside what runs show, on learners whose difference is known."""

from math import nan

import polars as pl
import pytest
import yaml

from llm_icl.analysis.intervals import IDENTICAL, Estimate
from llm_icl.suites.published import Claim, agreement
from tests.inside import run_inside
from tests.reports.reading import table_of

SUITE = {
    "matrix": {"model": ["none"], "task": ["conjunction"], "n": [4]},
    "points": 20,
    "problems": 100,
    "learner": ["bayes", "nearest-neighbour", "best-constant"],
    "published": [
        {"says": "Bayes wins", "task": "conjunction", "first": "bayes",
         "second": ["nearest-neighbour", "best-constant"], "expected": "above"},
        {"says": "A constant is good", "task": "conjunction", "n": 4, "first": "best-constant", "second": "bayes",
         "expected": "equivalent", "reason": "it is not"},
        {"says": "It is itself", "task": "conjunction", "first": "bayes", "second": "bayes", "expected": "equivalent"},
        {"says": "Nobody asked", "task": "conjunction", "n": 9, "first": "bayes", "second": "x", "expected": "above"},
        {"says": "In part", "task": ["conjunction", "parity"], "first": ["bayes", "lstm"], "second": "best-constant",
         "expected": "not below"},
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    (folder / "own.yaml").write_text(yaml.safe_dump(SUITE, sort_keys=False))
    done = run_inside("run", "own.yaml", "--out", "runs", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, done


def test_each_statement_stands_beside_what_was_found(done):
    rows = table_of(done[1].stdout, "published")
    assert [(row["published"], row["compared"], row["agrees"], row["reason"]) for row in rows] == [
        ("Bayes wins", "bayes against nearest-neighbour; conjunction, n = 4", "yes", ""),
        ("Bayes wins", "bayes against best-constant; conjunction, n = 4", "yes", ""),
        (
            "A constant is good",
            "best-constant against bayes; conjunction, n = 4",
            "no: below, by more than 5 points",
            "it is not",
        ),
        ("It is itself", "bayes against bayes; conjunction, n = 4", "yes", ""),
        ("Nobody asked", "conjunction", "not run", None),
        ("In part", "lstm", "not run", None),
        ("In part", "bayes against best-constant; conjunction, n = 4", "yes", ""),
    ]


def test_what_cannot_be_computed_is_told_from_what_was_not_run(tmp_path):
    """There are 3^28 conjunctions, and 28 parities of one bit."""
    suite = {
        "matrix": {"model": ["none"], "task": ["conjunction", "sparse-parity:k=1"], "n": [28]},
        "points": 4,
        "problems": 20,
        "learner": ["nearest-neighbour", "best-constant"],
        "published": [
            {"says": "Nearly perfect", "task": task, "first": "nearest-neighbour", "second": ["bayes", "best-constant"],
             "expected": "equivalent"}
            for task in ("conjunction", "sparse-parity:k=1")
        ],
    }  # fmt: skip
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(suite, sort_keys=False))
    done = run_inside("run", "own.yaml", "--out", "runs", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, _, second, _ = table_of(done.stdout, "published")
    assert (first["compared"], first["agrees"]) == ("bayes; conjunction, n = 28", "not possible")
    assert first["reason"].startswith(
        "bayes cannot be computed here: task 'conjunction' has 2.29e+13 functions at n = 28"
    )
    assert (second["compared"], second["agrees"]) == ("bayes", "not run")


def test_differences_are_of_the_last_half_of_the_positions(done):
    folder, ran = done
    rows = table_of(ran.stdout, "published")
    frame = pl.concat([pl.read_parquet(path) for path in folder.glob("runs/*/predictions.parquet")])
    frame = frame.filter(pl.col("position") >= 10).with_columns(right=(pl.col("prediction") == pl.col("label")))
    share = dict(frame.group_by("learner").agg(pl.col("right").mean()).iter_rows())
    for row, (one, other) in zip(rows, (("bayes", "nearest-neighbour"), ("bayes", "best-constant")), strict=False):
        assert row["difference"]["value"] == pytest.approx(share[one] - share[other])
        assert row["difference"]["low"] > 0
    assert "Published, and here" in (folder / "runs" / "report.md").read_text()


@pytest.mark.parametrize(
    ("low", "high", "expected", "words"),
    [
        (0.01, 0.2, "above", "yes"),
        (0.01, 0.2, "below", "no: above"),
        (-0.2, 0.1, "above", "too few problems to tell"),
        (-0.2, -0.1, "above", "no: below"),
        (-0.02, 0.02, "above", "no: equivalent"),
        (-0.02, 0.02, "equivalent", "yes"),
        # Clear, and within five points.
        (-0.04, -0.02, "equivalent", "yes"),
        (-0.04, -0.02, "below", "yes"),
        (-0.07, -0.02, "equivalent", "too few problems to tell"),
        (0.06, 0.09, "equivalent", "no: above, by more than 5 points"),
        (-0.09, -0.06, "equivalent", "no: below, by more than 5 points"),
        (0.06, 0.09, "not below", "yes"),
        (-0.04, -0.01, "not below", "yes"),
        (-0.09, -0.06, "not below", "no: below, by more than 5 points"),
        (-0.09, 0.2, "not below", "too few problems to tell"),
        *(
            (nan, nan, expected, "too few problems to tell")
            for expected in ("above", "below", "equivalent", "not below")
        ),
    ],
)
def test_what_is_not_shown_neither_agrees_nor_disagrees(low, high, expected, words):
    claim = Claim("", ("t",), (), ("a",), ("b",), expected, "")
    assert agreement(claim, Estimate((low + high) / 2, low, high)) == words


@pytest.mark.parametrize(
    ("expected", "words"),
    [("equivalent", "yes"), ("not below", "yes"), ("above", "no: equivalent"), ("below", "no: equivalent")],
)
def test_identical_learners_are_equivalent(expected, words):
    assert agreement(Claim("", ("t",), (), ("a",), ("b",), expected, ""), IDENTICAL) == words


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ("Bayes wins", "'published' must be a list of statements"),
        (["Bayes wins"], "'published' must be a list of statements"),
        ([{"says": "x"}], "the field 'task' is missing"),
        (
            [SUITE["published"][0] | {"expected": "better"}],
            "'expected' must be one of above, below, equivalent, not below",
        ),
        ([SUITE["published"][0] | {"n": "five"}], "'n' must be whole numbers"),
        ([SUITE["published"][0] | {"says": 3}], "'says' must be text"),
        ([SUITE["published"][0] | {"tempo": 3}], "unknown field 'tempo'"),
    ],
)
def test_a_wrong_statement_is_refused_before_anything_runs(tmp_path, claims, words):
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(SUITE | {"published": claims}, sort_keys=False))
    done = run_inside("run", "own.yaml", "--out", "runs", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stdout + done.stderr
    assert words in done.stderr
    assert not (tmp_path / "runs").exists()

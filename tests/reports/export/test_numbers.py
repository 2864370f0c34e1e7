"""Macros of numbers: names of letters, each once, and what they stand for."""

import math
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from llm_icl.analysis.intervals import NOTHING, Estimate
from llm_icl.reports.document import Column, Fold, Report, Section, Table
from llm_icl.reports.export.numbers import letters, numbers_text
from llm_icl.reports.export.parts import parts_of

COLUMNS = (
    Column("learner", "learner"),
    Column("mean", "mean", "share"),
    Column("examples to 90 %", "examples", "examples"),
    Column("regret", "regret", "points"),
)
MACRO = re.compile(r"\\newcommand\{\\([A-Za-z]+)\}\{(.*)\}")


def row(learner, mean, examples=math.inf, regret=None):
    return {"learner": learner, "mean": mean, "examples": Estimate(examples, 2.0, math.inf), "regret": regret}


def macros_of(*sections):
    """The macros with the comment before each; every line is one or the other."""
    lines = numbers_text(parts_of(Report("x", sections=sections))).splitlines()[1:]
    found = [MACRO.fullmatch(line) for line in lines[1::2]]
    assert all(found)
    assert all(line.startswith("% ") for line in lines[::2])
    names = [macro[1] for macro in found]
    assert len(set(names)) == len(names)
    return {macro[1]: (macro[2], line[2:]) for macro, line in zip(found, lines[::2], strict=True)}


def section(*rows, task="majority", n=3, columns=COLUMNS, anchor="a"):
    return Section("s", anchor, (Table("scores", "Scores", columns, rows),), about={"task": task, "n": n})


def test_a_macro_is_named_by_task_n_learner_and_quantity():
    regret = Estimate(-0.0625, -0.125, 0.25)
    assert macros_of(section(row("smollm2-135m", Estimate(0.5, 0.25, 0.75), 7.0, regret))) == {
        "iclMajorityNThreeSmollmTwoOneThreeFiveMMean": ("50.0", "majority, n 3, smollm2-135m: mean, percent"),
        "iclMajorityNThreeSmollmTwoOneThreeFiveMMeanLow": (
            "25.0", "majority, n 3, smollm2-135m: mean, percent, low end of the interval",
        ),
        "iclMajorityNThreeSmollmTwoOneThreeFiveMMeanHigh": (
            "75.0", "majority, n 3, smollm2-135m: mean, percent, high end of the interval",
        ),
        "iclMajorityNThreeSmollmTwoOneThreeFiveMExamples": ("7", "majority, n 3, smollm2-135m: examples to 90 %"),
        "iclMajorityNThreeSmollmTwoOneThreeFiveMExamplesLow": (
            "2", "majority, n 3, smollm2-135m: examples to 90 %, low end of the interval",
        ),
        "iclMajorityNThreeSmollmTwoOneThreeFiveMRegret": (
            r"\ensuremath{-}6.2", "majority, n 3, smollm2-135m: regret, points",
        ),
        "iclMajorityNThreeSmollmTwoOneThreeFiveMRegretLow": (
            r"\ensuremath{-}12.5", "majority, n 3, smollm2-135m: regret, points, low end of the interval",
        ),
        "iclMajorityNThreeSmollmTwoOneThreeFiveMRegretHigh": (
            r"\ensuremath{+}25.0", "majority, n 3, smollm2-135m: regret, points, high end of the interval",
        ),
    }  # fmt: skip


def test_what_is_unknown_has_no_macro():
    found = macros_of(section(row("a", NOTHING), row("b", Estimate(0.5, math.nan, math.nan))))
    assert set(found) == {
        "iclMajorityNThreeAExamplesLow", "iclMajorityNThreeBExamplesLow", "iclMajorityNThreeBMean",
    }  # fmt: skip


NAMES = st.lists(st.text(st.sampled_from("aAbé任1_-=:{}\\%\n "), max_size=6), min_size=1, max_size=6)


@settings(deadline=None)
@given(NAMES, NAMES)
def test_names_are_letters_and_unique_whatever_learners_and_tasks_are_called(learners, tasks):
    rows = [row(name, Estimate(0.5, 0.25, 0.75)) for name in learners]
    found = macros_of(*(section(*rows, task=task, anchor=f"s{i}") for i, task in enumerate(tasks)))
    assert len(found) == len(learners) * len(tasks) * 4


def test_rows_are_told_apart_by_as_many_columns_as_it_takes():
    columns = (Column("model", "model"), Column("layer", "layer", "count"), Column("score", "score", "number"))
    rows = [{"model": "m", "layer": layer, "score": layer / 10} for layer in (0, 11)]
    found = macros_of(Section("s", "a", (Table("heads", "Heads", columns, tuple(rows)),)))
    assert {name: value for name, (value, _) in found.items()} == {
        "iclMLayerZeroScore": "0.000", "iclMLayerOneOneScore": "1.100",
    }  # fmt: skip


def test_two_tables_of_a_section_share_no_names_and_folds_have_none():
    table = Table("scores", "Scores", COLUMNS, (row("a", Estimate(0.5, 0.25, 0.75)),))
    other = Table("others", "Others", COLUMNS, (row("a", Estimate(0.75, 0.5, 1.0)),))
    found = macros_of(Section("s", "a", (table, other, Fold("more", (table,))), about={"task": "t", "n": 4}))
    assert found["iclTNFourAScoresMean"][0] == "50.0"
    assert found["iclTNFourAOthersMean"][0] == "75.0"
    assert len(found) == 8


@settings(deadline=None)
@given(st.permutations(["a", "任", "务", "a_", "a-", "b"]), st.permutations(["t", "t-", "任"]))
def test_what_a_macro_stands_for_does_not_depend_on_the_order(learners, tasks):
    """Learners are sorted by their accuracy: after another run, a name must not mean another learner."""

    def numbers_by_name(learners, tasks):
        mean = {name: i / 10 for i, name in enumerate(["a", "任", "务", "a_", "a-", "b"])}
        rows = [row(name, Estimate(mean[name], math.nan, math.nan)) for name in learners]
        found = macros_of(*(section(*rows, task=task, anchor=f"s{i}") for i, task in enumerate(tasks)))
        return {name: comment for name, (_, comment) in found.items()}

    assert numbers_by_name(learners, tasks) == numbers_by_name(sorted(learners), sorted(tasks))


def test_letters():
    assert letters("nearest-neighbour:k=3,tie=vote") == "NearestNeighbourKThreeTieVote"
    assert letters("Müller 任务") == "Muller"
    assert letters("noise=0.1,eta=-1") == "NoiseZeroPointOneEtaMinusOne"
    assert letters("expr: (x1 & ~x3) | x7") == "ExprXOneAndNotXThreeOrXSeven"

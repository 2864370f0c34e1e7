"""What a report says of a verdict on an algorithm."""

import pytest

from llm_icl.analysis.identification.verdict import KINDS
from llm_icl.reports.algorithms import (
    algorithms_notes,
    algorithms_table,
    badge,
    sentence,
    shares_over_training,
    short,
)
from llm_icl.reports.colours import colours_of
from llm_icl.reports.document import Column
from llm_icl.reports.values import written


def record(verdict, names=(), **others):
    shared = {"problems": 24, "answers": 91, "share": [0.66, 0.5, 0.8], "left": "the first example", "close": []}
    shared |= {"needed": None, "left_out": [], "examples": [[4, 7], [8, 15]], "shares": {"a": 0.6, "b": None}}
    return {"verdict": verdict, "names": list(names), **shared, **others}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            record("too few", needed=57.2),
            "Too few unseen queries to tell (24 problems; about 58 would do): it is not clear which algorithm it runs. "
            "`llm-icl identify` asks queries that tell.",
        ),
        (record("too few", "ab"), "Too few unseen queries to tell (24 problems): it answers like a or b. `llm-icl"),
        (record("too few", "ab", needed=20.0), "(24 problems; about 25 would do)"),  # these 24 did not
        (
            record("independent", ["always 1"]),
            "do not depend on the examples (always 1). (From 91 answers behind at least 4 examples, on 24 problems.)",
        ),
        (record("independent", ["the query"]), "depend on the query only, not on the examples."),
        (record("single", "a"), "Its answers to unseen queries are those of a, up to noise (66 % [50, 80] explained)."),
        (record("single", "a", own_known=False), "up to noise (at least 66 % [50, 80] explained)."),
        (record("single", "a", share=[0.5, -60.0, 12.0]), "(50 % [-999, 999] explained)"),
        (record("single", "a", share=[0.5, None, None]), "(50 % explained)"),
        (record("single", "a", share=[None] * 3), "(an unknown share explained)"),
        (record("single", "ab"), "those of a or b, which these answers do not tell apart, up to noise"),
        (record("single", "a", close=["b"]), "weak: these queries hardly tell it from b. `llm-icl identify` asks"),
        (record("single", "a", close=list("bcdefg")), "hardly tell it from b, c, d or 3 others."),
        (record("changes", "ab"), "number of examples: a at 4 to 7, b at 8 to 15 (66 % [50, 80] explained)."),
        (record("queries", "ab"), "a mixture of a and b, drawn anew at every query (66 % [50, 80] explained)."),
        (record("problems", "ab"), "a mixture of a and b, over problems (66 % [50, 80] explained)."),
        (
            record("nearest", "a"),
            "It is nearest to a, but does not run it: the best mixture of algorithms explains 66 % [50, 80] of what is "
            "regular; what is left depends on the first example.",
        ),
        (record("nearest", "a", left=""), "explains 66 % [50, 80] of what is regular. (From 91"),
        (
            record("none", "a"),
            "It runs none of the algorithms that were compared: the best mixture of them explains 66 % [50, 80] of",
        ),
    ],
)
def test_each_verdict_has_its_sentence(found, said):
    assert said in sentence(found)


def test_all_verdicts_of_asked_queries_are_said():
    for kind in set(KINDS) - {"contexts"}:
        assert sentence(record(kind, "ab")).endswith("(From 91 answers behind at least 4 examples, on 24 problems.)")


def test_without_answers_their_number_is_not_said():
    few = {"verdict": "too few", "names": [], "problems": 3, "answers": 0}
    assert "answer" not in sentence(few)
    (row,) = algorithms_table(Column("learner", "learner"), [("m", few)]).rows
    assert (row["learner"], row["verdict"], row["close"], written(row["share"], "share")) == (
        "m",
        KINDS["too few"],
        "",
        "",
    )


def test_what_was_left_out_is_noted_once():
    notes = algorithms_notes([record("none", "a", left_out=["bayes"]), record("none", "a", left_out=["bayes"])])
    assert [note for note in notes if "bayes" in note] == [
        "Not among the algorithms, because it would take long: bayes."
    ]
    assert algorithms_notes([]) == []


def test_the_figure_has_every_step_and_the_shares_that_are_known():
    steps = [record("none", "a", step=step, shares={"a": step / 10, "b": None, "c": -0.2}) for step in (0, 1, 5)]
    drawn = shares_over_training(steps, "parity", colours_of("abc"))
    points = drawn.specification["layer"][-1]["data"]["values"]
    assert [(p["x"], p["y"]) for p in points if p["series"] == "a"] == [(0, 0), (1, 0.1), (5, 0.5)]
    assert all(p["y"] == 0 for p in points if p["series"] == "c")
    assert not [p for p in points if p["series"] == "b"]


@pytest.mark.parametrize(
    ("found", "firm", "said"),
    [
        (record("too few"), "can't tell", "too few unseen queries to tell"),
        (record("single", "a"), "clear", "a"),
        (record("single", "ab"), "weak", "a or b"),
        (record("single", "a", close=["b"]), "weak", "a (weak)"),
        (record("nearest", "a"), "weak", "nearest to a, but not it"),
        (record("none", "a", share=[0.3, 0.2, 0.4]), "clear", "none of these (nearest: a)"),
        (record("none", "a", share=[0.4, 0.1, 0.6]), "weak", "none of these (nearest: a)"),  # perhaps more than half
        (record("queries", "ab"), "clear", "a mixture, drawn anew at every query (a, b)"),
    ],
)
def test_a_verdict_has_a_badge_and_a_few_words(found, firm, said):
    assert badge(found) == firm
    assert short(found) == said

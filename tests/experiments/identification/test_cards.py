"""What the card of an identified subject says."""

import dataclasses
import re

import numpy as np
import pytest

from llm_icl.analysis.identification.data import Design
from llm_icl.analysis.identification.result import Mixed
from llm_icl.analysis.intervals import Estimate
from llm_icl.experiments.identification.cards import card_of, cards_of
from llm_icl.experiments.identification.findings import Identifiability, read_findings
from llm_icl.experiments.identification.sentences import sentence
from tests.inside import run_inside


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cards")
    size = "--task majority --n 4 --examples 5,10 --contexts 30 --queries 4"
    done = run_inside("identify", "--learner", "averaging", *size.split(), "--out", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    (cell,) = read_findings(folder / "run")
    return cell, cell.found[0]


def told(cell, but=()):
    """The cell, as if its problems told all candidates from each other, but these two."""
    names = cell.identifiability.names
    needed = [[1e6 if {one, other} == set(but) else 1.0 for other in names] for one in names]
    groups = tuple((name,) for name in names)
    return dataclasses.replace(
        cell, identifiability=dataclasses.replace(cell.identifiability, needed=needed, groups=groups)
    )


def test_trust_is_weak_where_another_candidate_would_not_be_told(found):
    cell, one = found
    for pair, badge in (
        ((), "clear"),
        (("averaging", "last-label"), "weak"),
        (("last-label", "majority-label"), "clear"),
    ):
        trust = card_of(told(cell, pair), one).findings["Trust"]
        assert trust.badge == badge
        assert ("it would not be told from last-label" in trust.text) == (badge == "weak")
    nearest = dataclasses.replace(one, identification=dataclasses.replace(one.identification, verdict="nearest"))
    assert card_of(told(cell, ("averaging", "last-label")), nearest).findings["Trust"].badge == "clear"  # not claimed
    few = dataclasses.replace(one, identification=dataclasses.replace(one.identification, verdict="too few"))
    assert card_of(told(cell), few).findings["Trust"].badge == "weak"


def test_a_card_has_the_numbers_of_the_finding(found):
    cell, one = told(found[0]), found[1]
    known = one.identification
    card = card_of(cell, one)
    assert (card.of, card.where, card.findings["Algorithm"].badge, card.findings["Trust"].badge) == (
        "averaging",
        "majority, n = 4",
        "clear",
        "clear",
    )
    assert card.findings["Algorithm"].text.startswith("Its answers are those of averaging, up to noise (")
    points, share = re.findall(r"([\d.]+) points .* loses (\d+) % of that too", card.findings["Distance"].text)[0]
    assert float(points) == pytest.approx(100 * known.regret, abs=0.051)
    assert float(share) == pytest.approx(100 * known.regret_explained, abs=0.51)
    assert f"{len(known.candidates)} candidates were compared" in card.findings["Trust"].text


@pytest.mark.parametrize(
    ("verdict", "names", "high", "badge"),
    [
        ("single", ("a",), 0.9, "clear"),
        ("single", ("a", "b"), 0.9, "weak"),
        ("nearest", ("a",), 0.7, "weak"),
        ("none", (), 0.4, "clear"),
        ("none", (), 0.6, "weak"),  # perhaps more than half is explained
        ("too few", ("a", "b"), 0.9, "can't tell"),
    ],
)
def test_each_verdict_has_its_badge(found, verdict, names, high, badge):
    cell, one = found
    share = Estimate(0.3, 0.2, high)
    known = dataclasses.replace(one.identification, verdict=verdict, names=names, share=share)
    assert card_of(cell, dataclasses.replace(one, identification=known)).findings["Algorithm"].badge == badge


def test_without_enough_answers_nothing_is_claimed(found):
    cell, one = found
    card = card_of(cell, dataclasses.replace(one, identification=None, answered=0.1))
    assert [finding.badge for finding in card.findings.values()] == ["can't tell"] * 3
    assert "10 % answered" in card.findings["Trust"].text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"verdict": "too few", "names": ("a", "b"), "needed": 44.2},
         "Too few problems to tell (30 problems; about 45 would do): it answers like a or b."),
        ({"verdict": "too few", "names": (), "needed": float("inf")},
         "Too few problems to tell (30 problems; no number of them would do with these queries): it is not clear "
         "whether its answers depend on the examples."),
        ({"verdict": "single", "names": ("a",)},
         "Its answers are those of a, up to noise (at least 70 % [60, 80] explained, 75 % expected)."),
        ({"verdict": "changes", "names": ("a", "no algorithm")}, "examples: a at 5, no algorithm at 10 (at least 70 %"),
        ({"verdict": "changes", "names": ("a", "b")}, "number of examples: a at 5, b at 10 (at least 70 %"),
        ({"verdict": "queries", "names": ("b", "a")},
         "a mixture of b 50 % [40, 60] and a 30 % [20, 40], drawn anew at every query (at least"),
        ({"verdict": "none", "names": ()}, "the best mixture of them explains at least 70 % [60, 80] of what is"),
    ],
)  # fmt: skip
def test_each_verdict_is_said_with_its_numbers(found, change, said):
    _, one = found
    weights = [Estimate(0.3, 0.2, 0.4), Estimate(0.5, 0.4, 0.6), Estimate(0.2, 0.1, 0.3)]
    mixed = Mixed("queries", ("a", "b"), [], weights, Estimate(0.7, 0.6, 0.8), one.identification.left)
    known = dataclasses.replace(
        one.identification,
        share=Estimate(0.7, 0.6, 0.8),
        own_known=False,
        expected_share=0.75,
        mixtures=(mixed,),
        **change,
    )
    assert said in sentence(dataclasses.replace(one, identification=known))


def test_a_card_says_what_part_of_the_questions_it_is_from(found):
    cell, one = found
    part = dataclasses.replace(one.identification, problems=12, sizes=(5,))
    said = card_of(cell, dataclasses.replace(one, identification=part)).findings["Trust"].text
    assert said.startswith("30 problems with 5 or 10 examples")
    assert "12 of the problems have an answer. Too few are answered with 10 examples: left out." in said
    assert "have an answer" not in card_of(cell, one).findings["Trust"].text


@pytest.mark.parametrize(("verdict", "own_known", "says"), [
    ("single", False, True), ("queries", False, True), ("single", True, False), ("none", False, False),
])  # fmt: skip
def test_what_labels_that_were_asked_for_once_do_not_tell_is_said_where_something_is_named(
    found, verdict, own_known, says
):
    cell, one = found
    known = dataclasses.replace(one.identification, verdict=verdict, names=("averaging",), own_known=own_known)
    text = card_of(cell, dataclasses.replace(one, identification=known)).findings["Trust"].text
    assert ("do not tell noise from a rule that differs in a few answers: ask again (`--repeats 2`)" in text) == says


def test_queries_that_stand_among_the_examples_are_said(found):
    """Of four inputs behind three different examples one is left, and the second query is one of the examples."""
    cell, one = found
    xs = np.array([[[0, 0], [0, 1], [1, 0]]], dtype=np.uint8)
    queries = np.array([[[[1, 1], [0, 1]]]], dtype=np.uint8)
    design = Design((3,), [xs], [np.zeros((1, 3), np.uint8)], queries, ())
    assert design.seen.tolist() == [0.5]
    shown = dataclasses.replace(cell, examples=(3,), seen=tuple(design.seen.tolist()))
    assert "Of the queries behind 3 examples 50 % stand among them" in card_of(shown, one).findings["Trust"].text
    unseen = dataclasses.replace(cell, n=5, seen=(0.0, 0.0))
    assert "stand among" not in card_of(unseen, one).findings["Trust"].text
    (both,) = cards_of([told(shown), told(unseen)])
    assert "Some of the queries stand among the examples in 1 of 2 cells." in both.findings["Trust"].text


def test_pairs_that_are_not_told_apart_are_counted_beyond_the_groups():
    far, near = 1e6, 3.0
    needed = ((far, far, near), (far, far, near), (far, near, far))  # c is told from a if a is the truth only
    known = Identifiability(("a", "b", "c"), needed, needed, (("a", "b"), ("c",)))
    assert known.untold(64) == ["a or b", "1 other pair, if one of the two is the truth"]
    assert known.untold(10**7) == ["a or b"]
    alone = dataclasses.replace(known, groups=(("a",), ("b",), ("c",)))
    assert alone.untold(64) == ["2 pairs, if one of the two is the truth"]
    assert alone.untold(10**7) == []


def test_too_few_answers_are_said_to_be(found):
    _, one = found
    none = dataclasses.replace(one, identification=None, answered=1.0)
    assert sentence(none) == (
        "Too few answers: to fewer than 10 problems at every number of examples (100 % of the questions)."
    )


def test_what_is_left_is_named_only_where_something_is(found):
    _, one = found
    for p_value, says in ((0.5, False), (0.001, True)):
        left = dataclasses.replace(one.identification.left, p_value=p_value, about="the last label")
        known = dataclasses.replace(one.identification, verdict="nearest", names=("averaging",), left=left)
        said = sentence(dataclasses.replace(one, identification=known))
        assert ("what is left depends on the last label" in said) == says


def test_a_subject_of_several_cells_has_one_card_with_their_range(found):
    cell, one = told(found[0]), found[1]
    known = dataclasses.replace(one.identification, regret=0.01)
    far = dataclasses.replace(known, verdict="none", names=(), regret=0.2, share=Estimate(0.3, 0.2, 0.4))
    open_ = [dataclasses.replace(known, verdict="too few", names=names, regret=float("nan")) for names in ("ab", "bc")]
    identified = [known, far, *open_, None]
    seen = [
        dataclasses.replace(cell, n=n, contexts=20 + n, found=(dataclasses.replace(one, identification=each),))
        for n, each in enumerate(identified, 4)
    ]
    other = dataclasses.replace(one, subject="other")
    card, alone = cards_of([*seen, dataclasses.replace(cell, found=(other,))])
    assert alone == card_of(cell, other)
    assert (card.of, card.where) == ("averaging", "5 cells (task and n)")
    algorithm, distance, trust = card.findings.values()
    assert algorithm.text == (
        "By searched queries: too few problems in 2 of 5 cells; one algorithm in 1 of 5 cells (averaging in 1); none "
        "of these in 1 of 5 cells; too few answers in 1 of 5 cells."
    )
    assert [each.badge for each in (algorithm, distance, trust)] == ["weak", "weak", "weak"]
    assert distance.text.startswith("From 1.0 (majority, n = 4) to 20.0 points of accuracy (majority, n = 5) below")
    assert "too few answers, in 3 of 5 cells" in distance.text
    assert trust.text.startswith("24 to 28 problems and 4 searched queries in each cell; 100 % answered, with ")
    (agreed,) = cards_of([dataclasses.replace(each, found=(one,)) for each in seen])
    assert [finding.badge for finding in agreed.findings.values()] == ["clear", "weak", "clear"]
    (nothing,) = cards_of([dataclasses.replace(each, found=seen[4].found) for each in seen])
    assert [finding.badge for finding in nothing.findings.values()] == ["can't tell"] * 3

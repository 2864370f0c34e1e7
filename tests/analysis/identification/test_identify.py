"""Verdicts on known machines: a small part of `tests/simulations/identification.py`, and worlds without learners."""

import dataclasses
import itertools

import numpy as np
import pytest

from llm_icl.analysis.identification.comparing import holm
from llm_icl.analysis.identification.data import Candidate
from llm_icl.analysis.identification.identify import identify
from llm_icl.analysis.identification.structure import Structure
from tests.analysis.identification.making import design, drawn, flips, twice
from tests.simulations.identification import PAIRS, World, outcome


@pytest.fixture(scope="module")
def world():
    return World("conjunction", 0)


CELLS = {
    "as it is", "10 % flips", "temperature 2, bias ±1", "mixture within queries", "mixture over contexts",
    "mixture over problems",
    "change at 10 examples", "outsider: nearest-neighbour:k=5,metric=cosine", "outsider: a tree of depth 2",
    "outsider: bayes-labels:task=full-majority", "coin flips", "always 1",
}  # fmt: skip


def test_known_machines_are_named(world):
    """Every fifth candidate in each way, every pair, outsider and control; at most one in twenty may fail."""
    subjects = [subject for subject in world.subjects() if subject.cell in CELLS]
    names = world.design.names[::5]
    subjects = [each for each in subjects if each.verdict != "single" or each.names[0] in names]
    found = [outcome(world, subject) for subject in subjects]
    assert len({(row["cell"], row["asked"]) for row in found}) == 3 * len(CELLS)
    assert sum(row["cell"] == "mixture over contexts" for row in found) == 3 * PAIRS
    wrong = [(row["cell"], row["truth"], row["verdict"], row["names"]) for row in found if not row["right"]]
    assert len(wrong) <= len(found) / 20, wrong
    outsiders = [row for row in found if row["expected"] in ("outsider", "independent")]
    assert not any(row["verdict"] == "single" for row in outsiders)


def both(some):
    """The same candidate as labels with flips, and as probabilities."""
    first = some.candidates[0].probability[0]
    return [(flips(first, 0.1), False), (0.9 * first + 0.1 * (1 - first), True)]


def test_everything_is_reported():
    some = design(problems=48)
    for answers, probabilities in both(some):
        found = identify(some, answers, probabilities=probabilities, ceiling=some.candidates[1].probability[0])
        assert (found.verdict, found.names, found.leader) == ("single", ("c0",), "c0")
        assert str(found) == "one algorithm (c0)"
        first, second, *_ = found.candidates
        assert first.name == "c0"
        assert not first.behind.known
        assert second.behind.low > 0
        assert second.p_value < 1e-6
        assert first.score > second.score > -0.8
        assert found.score == first.score
        assert found.constant == pytest.approx(-np.log(2), abs=0.02)
        assert found.own_known == probabilities
        if probabilities:
            assert found.own == pytest.approx(-0.325, abs=0.001)
            assert found.share.value > 0.99
        else:
            assert found.share.low < found.expected_share < found.share.high
        assert found.flexible.value < 0.005
        # Bayes is the unrelated c1, which is certain: half of the answers are lost
        assert found.regret == pytest.approx(0.5, abs=0.06)
        # the model says what the subject says in 9 of 10 answers; of probabilities both are read by the likelier label
        assert found.regret_explained == pytest.approx(1.0 if probabilities else 0.9, abs=0.05)


def test_repeated_answers_tell_how_much_can_be_explained():
    some = design(problems=48)
    first = some.candidates[0].probability[0]
    answers = flips(first, 0.1)
    again = identify(some, answers, probabilities=False, repeats=twice(answers, flips(first, 0.1, seed=1)))
    assert again.verdict == "single"
    assert again.own_known
    assert again.share.value > 0.9
    # a subject that answers the same again, of which little is explained, is not it
    weak = flips(first, 0.35)
    assert identify(some, weak, probabilities=False).verdict == "single"
    assert identify(some, weak, probabilities=False, repeats=twice(weak, weak)).verdict in ("nearest", "none")


def test_a_rule_that_deviates_from_a_candidate_in_few_answers_is_found_by_asking_again():
    """One in fifty answers is another, always at the same questions: not the candidate with lapses, but a rule."""
    some = design(problems=64)
    candidate = some.candidates[0].probability[0]
    answers = flips(candidate, 0.02)
    assert 5 < (answers != candidate).sum() < 30
    assert identify(some, answers, probabilities=False).verdict == "single"
    same = identify(some, answers, probabilities=False, repeats=twice(answers, answers))
    assert same.verdict in ("nearest", "none")
    assert "asked again" in same.left.about
    fresh = flips(candidate, 0.02, seed=1)
    found = identify(some, answers, probabilities=False, repeats=twice(answers, fresh))
    assert (found.verdict, found.names) == ("single", ("c0",))


def test_asking_again_does_not_hide_that_answers_depend_on_the_examples():
    """Weak, but clear with every kind of structure that is looked for: five kinds have a smallest p-value, too."""
    some = design(problems=64)
    weak = flips(some.candidates[0].probability[0], 0.4)
    again = flips(some.candidates[0].probability[0], 0.4, seed=1)
    assert identify(some, weak, probabilities=False).verdict == "single"
    assert identify(some, weak, probabilities=False, repeats=twice(weak, again)).verdict == "single"
    # A constant with few zeros, always at the same questions, is not said to be nothing but a constant
    rare = flips(np.ones(some.shape), 0.02)
    found = identify(some, rare, probabilities=False, repeats=twice(rare, rare))
    assert found.verdict != "independent"


def test_candidates_with_the_same_answers_are_one():
    some = design(problems=48)
    twin = dataclasses.replace(some.candidates[0], name="twin")
    named = dataclasses.replace(some, candidates=(*some.candidates, twin))
    for answers, probabilities in both(some):
        found = identify(named, answers, probabilities=probabilities)
        assert (found.verdict, set(found.names)) == ("single", {"c0", "twin"})


def test_candidates_that_few_problems_cannot_tell_apart_are_too_few():
    """Two candidates that differ at 2 % of the queries; 35 % of the answers are flipped."""
    some = design(problems=20)
    first = some.candidates[0].probability[0]
    near = flips(first, 0.02, seed=5)
    named = dataclasses.replace(some, candidates=(*some.candidates, Candidate("near", near[None])))
    found = identify(named, flips(first, 0.35), probabilities=False)
    assert (found.verdict, set(found.names)) == ("too few", {"c0", "near"})
    assert found.power < 0.8
    assert found.needed > 20


def test_a_family_gives_way_to_what_it_contains():
    some = design(problems=48)
    family = Candidate("family", np.stack([c.probability[0] for c in some.candidates[:2]]), ("like c0", "like c1"))
    named = dataclasses.replace(some, candidates=(*some.candidates, family))
    assert identify(named, both(some)[0][0], probabilities=False).names == ("c0",)
    alone = dataclasses.replace(some, candidates=(*some.candidates[2:], family))
    found = identify(alone, flips(some.candidates[1].probability[0], 0.1), probabilities=False)
    assert (found.verdict, found.names, found.candidates[0].variant) == ("single", ("family",), "like c1")


def test_coins_and_constants_follow_no_algorithm():
    named = 0
    for seed in range(30):
        some = design(seed)
        found = identify(some, drawn(np.full(some.shape, 0.5), seed), probabilities=False, seed=seed)
        named += found.verdict != "independent"
    assert named <= 2
    some = design()
    for answers, probabilities in ((np.ones(some.shape), False), (np.full(some.shape, 0.99), True)):
        found = identify(some, answers, probabilities=probabilities)
        assert (found.verdict, found.names) == ("independent", ("always 1",))


def test_answers_from_the_query_alone_do_not_depend_on_the_examples():
    some = design(problems=64)
    p = np.where(some.queries[..., 0] == 1, 0.85, 0.15)
    found = identify(some, drawn(p), probabilities=False)
    assert (found.verdict, found.names) == ("independent", ("the query",))


def test_a_few_problems_say_so():
    some = design(problems=3, queries=2)
    found = identify(some, drawn(np.full(some.shape, 0.5)), probabilities=False)
    assert found.verdict == "too few"
    assert found.needed > 3


@pytest.mark.parametrize(("problems", "queries", "sizes"), [(1, 1, (3,)), (2, 1, (3, 6)), (6, 3, (1,))])
def test_small_designs_are_analysed(problems, queries, sizes):
    some = design(problems=problems, queries=queries, sizes=sizes)
    for answers in (some.candidates[0].probability[0], np.full(some.shape, np.nan), np.ones(some.shape)):
        for probabilities in (False, True):
            found = identify(some, answers, probabilities=probabilities)
            assert found.verdict in ("too few", "independent", "single")


def test_missing_answers_change_little():
    some = design(problems=64)
    answers = flips(some.candidates[2].probability[0], 0.1)
    answers[np.random.default_rng(0).random(answers.shape) < 0.2] = np.nan
    assert identify(some, answers, probabilities=False).names == ("c2",)


def test_the_same_answers_give_the_same_numbers():
    some = design()
    answers, structure = flips(some.candidates[0].probability[0], 0.2), Structure(some)
    first, second = (identify(some, answers, probabilities=False, structure=structure) for _ in range(2))
    assert first == second or repr(first) == repr(second)  # NaN is not equal to itself


def test_holm_corrects_for_all_comparisons():
    """Of four candidates one leads (its own p-value is 1): three comparisons, times 3, 2 and 1."""
    np.testing.assert_allclose(holm(np.array([0.01, 1.0, 0.04, 0.03])), [0.03, 1, 0.06, 0.06])
    for order in itertools.permutations([0.001, 1.0, 0.2]):
        assert sorted(holm(np.array(order)).tolist()) == pytest.approx([0.002, 0.2, 1.0])


def test_labels_drawn_from_a_soft_candidate_and_asked_twice_are_explained_and_told_from_its_like():
    """Questions differ in how surely they are answered: one mean agreement would make a look-alike explain all, too."""
    some = design(problems=64, soft=True)
    soft = some.candidates[0].probability[0]
    like = np.where(np.random.default_rng(0).random(soft.shape) < 0.3, some.candidates[1].probability[0], soft)
    named = dataclasses.replace(some, candidates=(*some.candidates, Candidate("like", like[None], ("like",))))
    first, second = drawn(soft, 1), drawn(soft, 2)
    found = identify(named, first, probabilities=False, repeats=twice(first, second))
    assert (found.verdict, found.names) == ("single", ("c0",))
    assert found.share.low < 1 < found.share.value + 0.15
    assert found.share.value < 1.1

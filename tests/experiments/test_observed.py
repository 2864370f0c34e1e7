"""The queries that were asked anyway: unseen, each behind its own examples, with the answers of every candidate."""

from dataclasses import replace

import numpy as np
import pytest

from llm_icl.analysis.identification.features import describe
from llm_icl.config.specs import parse_specs
from llm_icl.experiments import observed as module
from llm_icl.experiments.candidates import algorithms, probability_of
from llm_icl.experiments.observed import ANSWERS, FIRST, PROBLEMS, QUERIES, observed
from llm_icl.learners.base import learner_of
from llm_icl.tasks.cards import load_task
from llm_icl.tasks.drawing import draw_problems


def problems(task="conjunction", n=4, points=24, count=12, seed=0):
    return draw_problems(load_task(parse_specs([task])[0]), n, points, count, seed)


@pytest.fixture(scope="module")
def some():
    return problems()


@pytest.fixture(scope="module")
def found(some):
    return observed([some], range(24), {})


def test_queries_are_unseen_and_grouped_by_doubling(some, found):
    before, rows = found.before, np.arange(12)[:, None]
    assert found.design.sizes == (4, 8, 16)
    for m, low in enumerate((4, 8, 16)):
        there = before[m][before[m] >= 0]
        assert there.min() >= low
        assert there.max() < 2 * low
    used = before >= 0
    assert not some.seen[rows, before][used].any()
    np.testing.assert_array_equal(found.design.queries[used], some.xs[rows, before][used])
    for m, low in enumerate((4, 8, 16)):
        for i in range(12):
            unseen = np.flatnonzero(~some.seen[i, low : 2 * low]) + low
            assert set(before[m, i]) - {-1} <= set(unseen)
            assert (before[m, i] >= 0).sum() == min(len(unseen), QUERIES)


def test_candidates_answer_as_at_these_positions(some, found):
    rows, used = np.arange(12)[:, None], found.before >= 0
    every = algorithms(some.task, some.n)
    assert [algorithm.name for algorithm in every] == found.design.names
    for algorithm, candidate in zip(every, found.design.candidates, strict=True):
        for v in (0, len(algorithm.learners) // 3, len(algorithm.learners) - 1):
            expected = probability_of(algorithm.learners[v].answer(some))[rows, found.before]
            np.testing.assert_allclose(
                candidate.probability[v][used], expected[used], atol=1e-9, err_msg=candidate.name
            )


def test_every_query_is_described_by_its_own_examples(some, found):
    features = found.design.features
    for m, i, q in np.argwhere(found.before >= 0)[::7]:
        k = found.before[m, i, q]
        alone = describe(some.xs[i : i + 1, :k], some.shown[i : i + 1, :k], some.xs[i : i + 1, None, k])
        np.testing.assert_allclose(features[m, i, q], alone[0, 0])
    assert not features[found.before < 0].any()
    assert (found.before < 0).any()


def test_answers_are_taken_at_these_positions(some, found):
    numbers = np.arange(some.ys.size).reshape(some.ys.shape).astype(float)
    taken = found.taken(numbers)
    for m, i, q in np.argwhere(found.before >= 0)[::5]:
        assert taken[m, i, q] == 24 * i + found.before[m, i, q]
    assert np.isnan(taken[found.before < 0]).all()


def test_what_is_used_is_bounded():
    many = observed([problems(n=8, points=70, count=2 * PROBLEMS)], range(70), {})
    assert many.before.shape[1] == PROBLEMS
    assert ANSWERS / 2 < many.queries <= ANSWERS
    assert [int(m[m >= 0].min()) for m in many.before] == [4, 8, 16, 32, 64]


def test_problems_of_several_seeds_are_one_after_the_other():
    parts = [problems(count=5, seed=seed) for seed in (0, 1)]
    found = observed(parts, range(24), {})
    numbers = np.concatenate([part.xs.sum(axis=-1) for part in parts]).astype(float)
    used = found.before >= 0
    np.testing.assert_array_equal(found.taken(numbers)[used], found.design.queries.sum(axis=-1)[used])


def test_only_positions_that_were_asked_are_used(some):
    assert set(observed([some], (0, 5, 6, 9, 10, 11, 12), {}).before.ravel()) == {-1, 5, 6, 9, 10, 11, 12}
    assert observed([some], range(FIRST), {}) is None
    assert observed([some], (), {}) is None


def test_learners_that_were_asked_are_not_asked_again(some, monkeypatch):
    monkeypatch.setattr(module, "FUNCTIONS", 10)
    without = observed([some], range(24), {})
    assert {"bayes", "bayes-labels:task=disjunction"} <= set(without.left_out)
    assert not set(without.left_out) & set(without.design.names)
    bayes = probability_of(learner_of(parse_specs(["bayes"])[0]).answer(some))
    given = observed([some], range(24), {"bayes": bayes})
    assert "bayes" in given.design.names
    assert "bayes" not in given.left_out


def test_a_design_by_size_keeps_the_examples_of_each_query(found):
    part = found.design.at([1])
    np.testing.assert_allclose(part.features, found.design.features[1:2])
    assert part.known.sum() == (found.before[1] >= 0).sum()
    assert replace(part, before=None).known.all()

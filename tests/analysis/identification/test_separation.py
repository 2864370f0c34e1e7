"""Before anything is asked: expected log Bayes factors, and numbers of problems that keep their promise."""

import numpy as np
import pytest

from llm_icl.analysis.identification.data import Candidate, Design
from llm_icl.analysis.identification.separation import NOISE, POWER, needed, power, separation, told_apart
from tests.analysis.identification.making import design

LEVEL = 0.001


def with_candidates(some, *answers):
    candidates = tuple(Candidate(f"c{k}", each[None]) for k, each in enumerate(answers))
    return Design(some.sizes, some.xs, some.shown, some.queries, candidates)


def test_unrelated_certain_candidates_are_as_far_apart_as_a_constant():
    """The linked other knows nothing: the log Bayes factor per answer is log 2 less the entropy of half the flips."""
    some = design(problems=400, candidates=2)
    found = separation(some, LEVEL)
    e = NOISE / 2
    entropy = -(e * np.log(e) + (1 - e) * np.log(1 - e))
    answers = some.shape[0] * some.shape[2]
    np.testing.assert_allclose(found.nats[0, 1], answers * (np.log(2) - entropy), rtol=0.02)
    assert found.nats[0, 0] == 0


def test_equal_candidates_and_those_that_a_link_equates_are_one_group():
    random = np.random.default_rng(0)
    some = design()
    p = random.choice([0.1, 0.4, 0.6, 0.9], some.shape)
    other = random.choice([0.1, 0.4, 0.6, 0.9], some.shape)
    sharper = p**2 / (p**2 + (1 - p) ** 2)  # twice the logit
    found = separation(with_candidates(some, p, sharper, other), LEVEL)
    assert found.groups(1000) == [("c0", "c1"), ("c2",)]
    assert np.isinf(np.diag(found.needed)).all()


def test_no_number_of_problems_tells_equal_answers_apart():
    random = np.random.default_rng(0)
    some = design(problems=12)
    p, other = (random.choice([0.0, 1.0], some.shape) for _ in range(2))
    found = separation(with_candidates(some, p, p.copy(), other), LEVEL)
    assert np.isinf(found.needed[[0, 1], [1, 0]]).all()
    assert (found.nats[[0, 1], [1, 0]] == 0).all()
    assert np.isfinite(found.needed[0, 2])


@pytest.mark.parametrize("share", [0.12, 0.3])
def test_the_number_of_problems_gives_the_promised_power(share):
    """Two candidates that differ at a share of the queries; subjects follow the first, with flips."""
    random = np.random.default_rng(1)
    some = design(problems=300, queries=4)
    first = random.integers(0, 2, some.shape).astype(float)
    second = np.where(random.random(some.shape) < share, 1 - first, first)
    found = separation(with_candidates(some, first, second), LEVEL)
    count = int(np.ceil(found.needed[0, 1]))
    assert 2 < count < 300
    truth = (1 - NOISE) * first + NOISE / 2
    rejected = 0
    for _ in range(400):
        chosen = random.choice(300, count, replace=False)
        answers = (random.random((2, count, 4)) < truth[:, chosen]).astype(float)
        agree = np.array([answers[second[:, chosen] == v].mean() for v in (0, 1)])
        model = np.clip(np.where(second[:, chosen] == 1, agree[1], agree[0]), 0.01, 0.99)
        toward = np.where(first[:, chosen] == 1, 1, -1) * 1.0
        toward -= np.where(
            second[:, chosen] == 1, toward[second[:, chosen] == 1].mean(), toward[second[:, chosen] == 0].mean()
        )
        z = ((answers - model) * toward).sum() / np.sqrt((model * (1 - model) * toward**2).sum())
        rejected += z > 3.09  # the level .001
    assert rejected / 400 > POWER - 0.06


def test_power_and_numbers_agree():
    assert power(0.0, 0.05) == pytest.approx(0.05)
    count = float(needed(np.array([1.7]), 64, LEVEL)[0])
    assert power(1.7 * np.sqrt(count / 64), LEVEL) == pytest.approx(POWER)
    assert np.isinf(needed(np.array([0.0]), 64, LEVEL))[0]


def test_what_a_model_cannot_follow_is_the_expected_log_bayes_factor():
    truth = np.array([[[0.9, 0.1, 0.9, 0.1]]])
    nats, strength = told_apart(truth, np.stack([np.full_like(truth, 0.5), truth]), np.ones(truth.shape, dtype=bool))
    assert nats[0] == pytest.approx(4 * (0.9 * np.log(1.8) + 0.1 * np.log(0.2)))
    assert nats[1] == pytest.approx(0, abs=1e-9)
    # four answers of signal .4 each, and variance 1/4
    assert strength[0] == pytest.approx(4 * 0.4 / np.sqrt(4 * 0.25))
    assert strength[1] == 0

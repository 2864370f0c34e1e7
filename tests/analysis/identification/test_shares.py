"""Shares of a subject's regularity, and of its regret, by hand."""

import numpy as np
import pytest

from llm_icl.analysis.identification.shares import explained, own_scores, regret


def test_a_subject_that_gives_probabilities_allows_its_entropy():
    answers = np.array([[[0.5, 1.0]], [[0.5, np.nan]]])  # (2, 1, 2)
    np.testing.assert_allclose(own_scores(answers, True, None), [-2 * np.log(2)], atol=1e-9)


def test_labels_allow_everything_unless_they_are_seen_to_change():
    answers = np.ones((2, 3, 4))
    np.testing.assert_array_equal(own_scores(answers, False, None), 0)
    # of answers that are 1 with probability .9 or .1, 82 % agree with their repetition
    entropy = -(0.9 * np.log(0.9) + 0.1 * np.log(0.1))
    np.testing.assert_allclose(own_scores(answers, False, np.array([0.82, 1.0])), -4 * entropy, atol=1e-9)
    coins = own_scores(answers, False, np.array([0.5, 0.3]))
    np.testing.assert_allclose(coins, -8 * np.log(2), atol=1e-6)


def test_the_share_is_between_the_constant_and_the_subject():
    base, own = np.full(20, -10.0), np.full(20, -2.0)
    assert explained(base, base, own) == (0, 0, 0)
    assert explained(own, base, own) == (1, 1, 1)
    scores = base + np.where(np.arange(20) % 2 == 0, 8.0, 0.0)
    share = explained(scores, base, own)
    assert share.value == pytest.approx(0.5)
    assert share.low == pytest.approx(0.5 - 1.96 * 0.5 / 20**0.5, abs=0.05)
    assert not explained(base, base, base).known


def test_the_regret_is_what_exact_bayes_would_have_gained():
    """Bayes is sure of the first query (p = 1), less of the second (.8, a loss of .6) and indifferent at the third."""
    ceiling = np.array([1.0, 0.8, 0.5, 0.1]).reshape(1, 1, 4)
    answers = np.array([1.0, 0.0, 1.0, 1.0]).reshape(1, 1, 4)  # wrong at .8 and at .1 (a loss of .8)
    model = np.array([0.0, 0.0, 0.0, 0.25]).reshape(1, 1, 4)  # errs at .8 surely, at .1 with probability 1/4
    lost, share = regret(answers, ceiling, model, False)
    assert lost == pytest.approx((0.6 + 0.8) / 4)
    assert share == pytest.approx((0.6 + 0.8 * 0.25) / 1.4)
    lost, share = regret((ceiling > 0.5) * 1.0, ceiling, model, False)
    assert lost == 0
    assert np.isnan(share)

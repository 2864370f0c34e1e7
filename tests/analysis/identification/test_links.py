"""Links: what is fitted is the most likely, and of the stated form."""

import numpy as np
import pytest
from scipy.optimize import minimize

from llm_icl.analysis.identification.links import CLIP, LAPSES, REACH, Tallies, logit, sigmoid

ONE_FOLD = np.zeros(40, dtype=np.int64)


def test_labels_are_read_by_their_frequencies():
    """3 of 4 queries at which the candidate says 1 are answered 1, and 1 of 4 others; half an answer of prior each."""
    candidate = np.array([1.0, 1, 1, 1, 0, 0, 0, 0]).reshape(1, 1, 1, 8)
    answers = np.array([1.0, 1, 1, 0, 1, 0, 0, 0]).reshape(1, 1, 8)
    links, score = Tallies(candidate, answers, np.zeros(1, dtype=np.int64)).fit()
    assert links.read_label[0]
    np.testing.assert_allclose(links.label[0, 0], [1.5 / 5, 3.5 / 5])
    np.testing.assert_allclose(links.apply(candidate)[0, 0, 0], [0.7] * 4 + [0.3] * 4)
    assert score[0] == pytest.approx(6 * np.log(0.7) + 2 * np.log(0.3))


def test_a_candidate_is_never_read_backwards():
    candidate = np.array([1.0, 1, 0, 0]).reshape(1, 1, 1, 4)
    links, _ = Tallies(candidate, 1 - candidate[0], np.zeros(1, dtype=np.int64)).fit()
    np.testing.assert_allclose(links.apply(candidate), 0.5)


@pytest.mark.parametrize(("a", "b", "lapse"), [(0.0, 1.0, 0.001), (1.0, 0.5, 0.05), (-1.5, 2.0, 0.12)])
def test_the_fit_is_as_likely_as_any_link(a, b, lapse):
    """Against a general optimiser on the answers themselves, not in bins."""
    random = np.random.default_rng(0)
    p = random.random((1, 1, 40, 30))
    truth = lapse + (1 - 2 * lapse) * sigmoid(a + b * logit(p))
    answers = (random.random(truth.shape) < truth)[0].astype(float)
    links, _ = Tallies(p, answers, ONE_FOLD).fit()
    fitted = links.apply(p)[0]

    def score(model):
        return (answers * np.log(model) + (1 - answers) * np.log(1 - model)).sum()

    def loss(x, e):
        model = e + (1 - 2 * e) * sigmoid(x[0] + x[1] * logit(p[0]))
        ends = e + (1 - 2 * e) * sigmoid(x[0] + x[1] * np.array([-REACH, REACH]))
        return -score(model) - 0.05 * np.log(ends * (1 - ends)).sum()

    others = [minimize(loss, [0, 1], args=(e,), method="Nelder-Mead").x for e in LAPSES]
    tried = [score(e + (1 - 2 * e) * sigmoid(x[0] + x[1] * logit(p[0]))) for x, e in zip(others, LAPSES, strict=True)]
    assert score(fitted) > max(tried) - 0.5  # of about 700 nats: bins cost little
    assert np.abs(fitted - truth[0]).max() < 0.08


def test_a_label_is_read_where_probabilities_are_thresholded():
    p = np.random.default_rng(1).random((1, 1, 40, 10))
    links, score = Tallies(p, (p[0] > 0.5).astype(float), ONE_FOLD).fit()
    assert links.read_label[0]
    assert score[0] > -1


def test_probabilities_are_reproduced_by_the_identity():
    p = np.random.default_rng(2).uniform(0.05, 0.95, (1, 1, 40, 10))
    links, _ = Tallies(p, p[0], ONE_FOLD).fit()
    np.testing.assert_allclose(links.apply(p), p, atol=0.03)  # a prior and bins take little


def test_missing_answers_do_not_count():
    random = np.random.default_rng(3)
    p = random.random((3, 2, 40, 6))
    answers = (random.random((2, 40, 6)) < p[1]).astype(float)
    answers[:, :, 3:] = np.nan
    some, score = Tallies(p, answers, ONE_FOLD).fit()
    only, only_score = Tallies(p[..., :3], answers[..., :3], ONE_FOLD).fit()
    np.testing.assert_allclose(some.apply(p), only.apply(p), atol=0.02)
    np.testing.assert_allclose(score, only_score, rtol=0.01)


def test_folds_are_fitted_from_their_problems_only():
    random = np.random.default_rng(4)
    p = random.random((2, 1, 40, 6))
    answers = (random.random((1, 40, 6)) < p[0]).astype(float)
    folds = np.arange(40) % 4
    tallies = Tallies(p, answers, folds)
    links, _ = tallies.fit(np.array([0, 2]))
    chosen = (folds == 0) | (folds == 2)
    alone, _ = Tallies(p[:, :, chosen], answers[:, chosen], np.zeros(20, dtype=np.int64)).fit()
    np.testing.assert_allclose(links.apply(p), alone.apply(p), atol=0.02)


def test_certain_candidates_are_clipped():
    assert logit(np.array([0.0, 1.0])).tolist() == pytest.approx([-REACH, REACH])
    assert pytest.approx(CLIP) == 1 / (1 + np.exp(REACH))

"""Mixtures: the right kind and the right weights, by simulation and by the chain rule."""

import numpy as np
import pytest

from llm_icl.analysis.identification.mixture_search import best_mixture
from llm_icl.analysis.identification.mixtures import OVER, PRIORS, Component, Form, fit, given_classes
from llm_icl.analysis.identification.weights import intervals
from tests.analysis.identification.making import design, drawn, flips


def components(some, *chosen):
    return tuple(Component(k, 0, some.candidates[k].probability[0]) for k in chosen)


def within(some, share, seed, lapses=0.0):
    a, b = (some.candidates[k].probability[0] for k in (0, 1))
    p = share * a + (1 - share) * b
    return drawn((1 - 2 * lapses) * p + lapses, seed)


def over(some, share, seed):
    a, b = (some.candidates[k].probability[0] for k in (0, 1))
    first = np.random.default_rng(seed).random(some.shape[:2]) < share
    return np.where(first[..., None], a, b)


def whole(some, share, seed):
    a, b = (some.candidates[k].probability[0] for k in (0, 1))
    first = np.random.default_rng(seed).random(some.shape[1]) < share
    return np.where(first[:, None], a, b)


MADE = [("queries", within), ("contexts", over), ("problems", whole)]


def test_weights_within_queries_are_recovered_and_flips_are_lapses():
    some = design(problems=800)
    mixture = fit(within(some, 0.7, 0, lapses=0.1), components(some, 0, 1), Form("queries"))
    np.testing.assert_allclose(mixture.weights.mean(axis=0), [0.56, 0.24, 0.1, 0.1], atol=0.03)
    np.testing.assert_allclose(mixture.weights.sum(axis=1), 1)


def test_weights_over_contexts_are_recovered():
    some = design(problems=800)
    mixture = fit(over(some, 0.7, 0), components(some, 0, 1), Form("contexts"))
    np.testing.assert_allclose(mixture.weights.mean(axis=0), [0.7, 0.3, 0, 0], atol=0.03)


@pytest.mark.parametrize(("kind", "make"), MADE)
def test_intervals_of_weights_cover_their_truth(kind, make):
    hits = []
    for seed in range(150):
        some = design(seed, problems=40)
        by_size, average = intervals(fit(make(some, 0.6, seed), components(some, 0, 1), Form(kind)))
        hits += [w.low <= 0.6 <= w.high for w in (average[0], by_size[0][0], by_size[1][0])]
    assert 0.92 <= np.mean(hits) <= 0.985  # 450 intervals of 95 %, three of each world


def test_weights_that_nothing_determines_have_no_narrow_interval():
    some = design()
    same = *components(some, 0), Component(1, 0, some.candidates[0].probability[0])
    for kind in OVER:
        _, average = intervals(fit(some.candidates[0].probability[0], same, Form(kind)))
        assert all(w.high - w.low > 0.8 for w in average[:2])


def test_the_kind_of_mixture_has_the_better_score():
    some = design(problems=60)
    for truth, make in MADE:
        answers = make(some, 0.5, 1)
        scores = {kind: fit(answers, components(some, 0, 1), Form(kind)).score for kind in OVER}
        assert max(scores, key=scores.get) == truth


@pytest.mark.parametrize("kind", ["contexts", "problems"])
def test_answers_are_scored_together(kind):
    """Σ log P(answer | earlier answers) = log Σ_k w_k Π P_k(answer), with lapses."""
    some = design(problems=10)
    answers = over(some, 0.5, 0)
    answers[0, 0, 2:] = np.nan
    mixture = fit(answers, components(some, 0, 1), Form(kind))
    up, down = mixture.weights[:, 2], mixture.weights[:, 3]
    shares = mixture.weights[:, :2] / (1 - up - down)[:, None]
    products = np.ones((2, 2, 10))  # (k, m, c)
    for k, m, c in np.ndindex(products.shape):
        p = up[m] + (1 - up[m] - down[m]) * some.candidates[k].probability[0][m, c]
        each = np.where(answers[m, c] == 1, p, 1 - p)
        products[k, m, c] = each[~np.isnan(answers[m, c])].prod()
    if kind == "contexts":
        total = np.log((shares.T[..., None] * products).sum(axis=0)).sum(axis=0)
    else:
        np.testing.assert_allclose(shares[0], shares[1])
        total = np.log((shares[0][:, None] * products.prod(axis=1)).sum(axis=0))
    np.testing.assert_allclose(mixture.scores, total, rtol=1e-6)


@pytest.mark.parametrize(("kind", "make"), MADE)
def test_the_search_finds_the_components_among_others(kind, make):
    some = design(problems=60, candidates=7)
    scores = [np.zeros(1)] * 7
    found = best_mixture(some, make(some, 0.5, 3), scores, kind, False, lambda others: 10.0)
    assert [component.candidate for component in found.components] == [0, 1]


def test_a_third_component_is_found_where_there_is_one():
    some = design(problems=80, candidates=6)
    a, b, c = (some.candidates[k].probability[0] for k in (1, 3, 4))
    answers = drawn((a + b + c) / 3, 0)
    found = best_mixture(some, answers, [np.zeros(1)] * 6, "queries", False, lambda others: 10.0)
    assert [component.candidate for component in found.components] == [1, 3, 4]
    np.testing.assert_allclose(found.weights.mean(axis=0)[:3], 1 / 3, atol=0.08)


def test_probabilities_that_are_a_mixture_give_its_weights_exactly():
    some = design(soft=True)
    a, b = (0.05 + 0.9 * some.candidates[k].probability[0] for k in (0, 1))
    mixture = fit(0.3 * a + 0.7 * b, (Component(0, 0, a), Component(1, 0, b)), Form("queries", 1.0, prior=PRIORS[1]))
    np.testing.assert_allclose(mixture.weights[:, :2], [[0.3, 0.7]] * 2, atol=0.01)
    _, average = intervals(mixture)
    assert average[0].low <= 0.3 <= average[0].high


def test_held_out_problems_do_not_move_the_weights():
    some = design(problems=40)
    answers, train = within(some, 0.5, 0), np.arange(40) < 30
    changed = answers.copy()
    changed[:, 30:] = 1 - changed[:, 30:]
    for kind in OVER:
        first, second = (fit(y, components(some, 0, 1), Form(kind), train=train) for y in (answers, changed))
        np.testing.assert_allclose(first.weights, second.weights)
        assert (first.scores[30:] != second.scores[30:]).all()


def test_classes_given_all_answers():
    """Problems follow c0 or c1 throughout: all answers tell which, and drawn classes are those of whole problems."""
    some = design(problems=20)
    first, second = (candidate.probability[0] for candidate in some.candidates[:2])
    of_first = np.arange(20) % 2 == 0
    truth = np.where(of_first[:, None], first, second)
    answers = flips(truth, 0.05)
    mixture = fit(answers, components(some, 0, 1), Form("problems"))
    told, given = given_classes(answers, mixture, 50, np.random.default_rng(0))
    assert given.shape == (50, *answers.shape)
    assert np.abs(told - truth).mean() < 0.1 < np.abs(mixture.model - truth).mean()
    np.testing.assert_allclose(given.mean(axis=0), told, atol=0.05)
    follows = [np.abs(given - each).max(axis=(1, 3)) < 0.2 for each in (first, second)]  # (50, C)
    assert (follows[0] != follows[1]).all()

"""The measures against hand-made cases and SciPy."""

import numpy as np
import pytest
from scipy.stats import kendalltau

from llm_icl.experiments.finetuning import metrics

RNG = np.random.default_rng(0)


def test_recovered_counts_queries_that_both_correct_of_those_that_finetuning_corrects():
    #                zs wrong, ft right, icl right: both; the next: finetuning only; then icl only; then right before
    zs = np.array([False, False, False, True, False])
    ft = np.array([True, True, False, True, False])
    icl = np.array([True, False, True, True, False])
    hits, trials = metrics.recovered(zs, ft, icl)
    assert hits.tolist() == [1, 0, 0, 0, 0]
    assert trials.tolist() == [1, 1, 0, 0, 0]


def test_the_same_update_has_similarity_1_an_orthogonal_one_0_and_the_opposite_minus_1():
    # On the unit sphere at (1, 0, 0), small steps along y or z.
    zs, step = np.array([[1.0, 0, 0]]), 1e-3
    along_y, along_z = np.array([[1.0, step, 0]]), np.array([[1.0, 0, step]])
    assert metrics.update_similarity(zs, along_y, along_y) == pytest.approx([1.0])
    assert metrics.update_similarity(zs, along_y, 5 * along_y) == pytest.approx([1.0])  # lengths do not count
    assert metrics.update_similarity(zs, along_y, along_z) == pytest.approx([0.0], abs=1e-6)
    assert metrics.update_similarity(zs, along_y, np.array([[1.0, -step, 0]])) == pytest.approx([-1.0])
    assert np.isnan(metrics.update_similarity(zs, along_y, zs))  # no update has no direction


def test_attention_similarity_by_hand():
    a, b = np.array([[1.0, 0, 0], [0, 2, 0]]), np.array([[2.0, 0, 0], [1, 0, 0]])
    assert metrics.map_similarity(a, b) == pytest.approx((1 + 0) / 2)


def test_changes_do_not_depend_on_a_constant_of_a_head_but_the_published_measure_does():
    zs, icl, ft = RNG.normal(size=(3, 4, 7))
    shifted = icl + np.array([[3.0], [-1], [10], [0]])
    assert metrics.map_change_similarity(zs, shifted, ft) == pytest.approx(metrics.map_change_similarity(zs, icl, ft))
    assert metrics.map_softmax_similarity(zs, shifted, ft) == pytest.approx(metrics.map_softmax_similarity(zs, icl, ft))
    assert metrics.map_similarity(shifted, ft) != pytest.approx(metrics.map_similarity(icl, ft), abs=0.01)
    assert metrics.map_change_similarity(zs, icl, icl) == pytest.approx(1)
    assert metrics.map_softmax_similarity(zs, icl, icl) == pytest.approx(1)


def test_rank_correlation_of_a_permuted_attention():
    attention = np.array([0.1, 0.5, 0.2, 0.9])
    assert metrics.rank_correlation(attention, attention) == 1
    assert metrics.rank_correlation(attention, -attention) == -1
    # One of six pairs is the other way round: (5 - 1) / 6.
    assert metrics.rank_correlation(attention, np.array([0.2, 0.5, 0.1, 0.9])) == pytest.approx(4 / 6)
    a, b = RNG.normal(size=(2, 30))
    assert metrics.rank_correlation(a, b) == pytest.approx(kendalltau(a, b)[0])


def test_values_that_are_equal_up_to_rounding_are_ties():
    values = np.array([0.3, 5.0, 0.3 + 2e-6, 1.0, 5.0 - 4e-6, -5.0])
    assert metrics.ranks(values).tolist() == [1, 3, 1, 2, 3, 0]
    assert metrics.ranks(np.array([])).tolist() == []
    assert metrics.ranks(np.zeros(3)).tolist() == [0, 0, 0]


def test_what_rounding_decides_changes_no_rank_correlation_and_no_overlap():
    """Texts that begin alike: the products of their first tokens are equal, but for rounding."""
    rng = np.random.default_rng(0)
    attention, products = rng.normal(size=60), np.concatenate([np.full(20, 0.4), rng.normal(size=40)])
    truth = kendalltau(attention, products).statistic
    first = metrics.overlap(attention, products, 15)
    for _ in range(20):
        rounded = products * (1 + 1e-7 * rng.normal(size=60))
        assert metrics.rank_correlation(attention, rounded) == truth
        assert metrics.overlap(attention, rounded, 15) == first
    # Decided by rounding, pairs of ties would count as if they had an order.
    ordered = products + 1e-7 * attention
    assert kendalltau(attention, ordered).statistic > truth + 0.02
    assert metrics.rank_correlation(attention, ordered) == truth


def test_a_head_whose_attention_is_on_one_token_counts_as_much_as_another():
    zs = np.zeros((2, 3))
    zs[0, 0] = 25.0  # 1e-11 of the attention is elsewhere
    icl, same, opposite = zs.copy(), zs.copy(), zs.copy()
    icl[0] += [0, 1, -1]
    same[0] += [0, 0.5, -0.5]
    icl[1] += [1, 0, -1]
    same[1] += [1, 0, -1]
    opposite[1] += [-1, 0, 1]
    opposite[0] += [0, 0.5, -0.5]
    assert metrics.map_softmax_similarity(zs[:1], icl[:1], same[:1]) == pytest.approx(0.98, abs=0.03)
    assert metrics.map_softmax_similarity(zs, icl, opposite) == pytest.approx(0, abs=0.1)
    # Its change by hand, in decimals that float64 subtracts without loss: p (exp(d - c) - 1).
    shares = np.exp([0, -25.0, -25.0]) / (1 + 2 * np.exp(-25.0))
    gained = shares[1:] * np.array([np.e - 1, 1 / np.e - 1])
    other = shares[1:] * np.array([np.exp(0.5) - 1, np.exp(-0.5) - 1])
    a, b = np.array([-gained.sum(), *gained]), np.array([-other.sum(), *other])
    truth = float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    assert metrics.map_softmax_similarity(zs[:1], icl[:1], same[:1]) == pytest.approx(truth, rel=1e-6)


def test_overlap_counts_the_most_attended():
    a, b = np.array([5.0, 4, 3, 2, 1]), np.array([5.0, 1, 4, 3, 2])
    assert metrics.overlap(a, b, 1) == 1
    assert metrics.overlap(a, b, 2) == 0.5
    assert np.isnan(metrics.overlap(a, b, 5))  # all are in common, whatever they are


def test_demonstrations_share_the_attention_of_their_tokens():
    shares = metrics.demonstrations_attention(np.log(np.array([1.0, 2, 3, 4])), np.array([0, 2, 2, 2]))
    assert shares == pytest.approx([0.1, 0.9])


def test_what_rounding_makes_is_no_change():
    rng = np.random.default_rng(0)
    zs, ft = rng.normal(size=(2, 3, 8))
    noise = zs * (1 + 1e-7 * rng.normal(size=zs.shape))
    for measure in (metrics.map_change_similarity, metrics.map_softmax_similarity):
        assert np.isnan(measure(zs, noise, ft))
        assert np.isnan(measure(zs, ft, noise))
        assert measure(zs, ft, ft) == pytest.approx(1)
    assert np.isnan(metrics.update_similarity(zs, noise, ft)).all()
    one_head = np.concatenate([noise[:1], ft[1:]])  # the other heads count
    assert metrics.map_change_similarity(zs, one_head, ft) == pytest.approx(1)

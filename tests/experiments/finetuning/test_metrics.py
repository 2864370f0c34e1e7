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


def near(zs, share):
    """Changed by a share of its length, in a direction at random."""
    return zs + share * RNG.normal(size=zs.shape)


def drawn(zs):
    """Directions at random."""
    return np.random.default_rng(1).normal(size=zs.shape)


def test_random_changes_that_are_small_have_similarity_0_on_average():
    zs = RNG.normal(size=(4000, 50))
    found = metrics.random_update_similarity(drawn(zs), zs, near(zs, 1e-3), near(zs, 1e-3))
    assert abs(found.mean()) < 4 * found.std() / np.sqrt(len(found))
    assert found.std() == pytest.approx(1 / np.sqrt(50), rel=0.05)


@pytest.mark.parametrize("share", [0.3, 1.0, 3.0])
def test_large_changes_that_have_nothing_in_common_are_no_more_similar_than_their_null(share):
    zs = RNG.normal(size=(4000, 50))
    icl, ft = near(zs, 1.0), near(zs, share)
    found = metrics.update_similarity(zs, icl, ft)
    null = metrics.random_update_similarity(drawn(zs), zs, icl, ft)
    assert null.mean() > 0.03  # both point inwards
    assert abs((found - null).mean()) < 4 * (found - null).std() / np.sqrt(len(found))


@pytest.mark.parametrize("peak", [0.0, 6.0])
def test_changes_of_attention_that_have_nothing_in_common_are_no_more_similar_than_their_null(peak):
    gains, nulls = [], []
    rng = np.random.default_rng(1)
    for _ in range(800):
        zs = RNG.normal(size=(2, 12))
        zs[:, 0] += peak
        icl, ft = (zs + 2 * RNG.normal(size=zs.shape) for _ in range(2))
        nulls.append(metrics.random_map_softmax_similarity(rng.normal(size=zs.shape), zs, icl, ft))
        gains.append(metrics.map_softmax_similarity(zs, icl, ft) - nulls[-1])
    assert abs(np.mean(gains)) < 4 * np.std(gains) / np.sqrt(len(gains))
    assert peak == 0 or np.mean(nulls) > 0.05  # most is taken from the token that has most


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
    assert np.isnan(metrics.random_update_similarity(rng.normal(size=zs.shape), zs, noise, ft)).all()
    one_head = np.concatenate([noise[:1], ft[1:]])  # the other heads count
    assert metrics.map_change_similarity(zs, one_head, ft) == pytest.approx(1)

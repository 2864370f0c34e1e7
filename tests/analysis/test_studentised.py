"""Bootstrap-t limits against their definition."""

from itertools import product

import numpy as np
import pytest

from llm_icl.analysis import studentised
from llm_icl.analysis.studentised import limits


def t_of(sums, counts, value):
    """A resample's mean minus the sample's, in the resample's own standard errors."""
    count, own = len(sums), sums.sum() / counts.sum()
    error = np.sqrt(count / (count - 1) * ((sums - own * counts) ** 2).sum()) / counts.sum()
    return (own - value) / error if error > 1e-9 else np.sign(own - value) * np.inf


def by_definition(sums, counts, tail, resamples):
    value, count = sums.sum() / counts.sum(), len(sums)
    ts = np.sort([t_of(sums[list(rows)], counts[list(rows)], value) for rows in resamples])

    def quantiles(tail):
        place = round(tail * (len(ts) + 1)) - 1
        return ts[place], ts[-1 - place]

    low, high = quantiles(tail)
    shorter, longer = sorted(np.abs(quantiles(0.025)))
    more = 1 + 5 / count * (longer - shorter) / longer
    low, high = (low * more, high) if -quantiles(0.025)[0] == longer else (low, high * more)
    error = np.sqrt(count / (count - 1) * ((sums - value * counts) ** 2).sum()) / counts.sum()
    return value - high * error, value - low * error


@pytest.mark.parametrize("even", [True, False])
def test_limits_are_those_of_all_resamples_of_six_problems(even):
    random = np.random.default_rng(0)
    counts = np.full(6, 4.0) if even else np.array([1.0, 2.0, 3.0, 4.0, 5.0, 8.0])
    sums = random.exponential(size=6) * counts
    expected = by_definition(sums, counts, 0.1, product(range(6), repeat=6))
    np.testing.assert_allclose(limits(sums, counts, 0.1), expected, rtol=0.1)


@pytest.mark.parametrize("even", [True, False])
def test_limits_are_those_of_the_same_resamples_one_by_one(even):
    random = np.random.default_rng(1)
    counts = np.ones(20) if even else random.integers(1, 30, 20).astype(float)
    sums = random.binomial(counts.astype(int), 0.7).astype(float)
    often = studentised._weights(20).T.astype(int)
    expected = by_definition(sums, counts, 0.025, (np.repeat(np.arange(20), row) for row in often))
    np.testing.assert_allclose(limits(sums, counts, 0.025), expected, rtol=1e-4)


def test_several_means_at_once_are_the_same_as_one_by_one():
    values = np.random.default_rng(2).exponential(size=(3, 2, 25))
    low, high = limits(values, np.ones((3, 2, 25)), 0.025)
    for i, j in np.ndindex(3, 2):
        np.testing.assert_allclose((low[i, j], high[i, j]), limits(values[i, j], np.ones(25), 0.025), rtol=1e-5)


def test_three_that_differ_from_the_others_do_not_determine_a_limit_and_four_do():
    for differing, known in ((1, False), (2, False), (3, False), (4, True)):
        low, high = limits((np.arange(100) < differing).astype(float), np.ones(100), 0.025)
        assert np.isfinite(high) == known
        assert np.isfinite(low)
    assert np.isnan(limits(np.ones(10), np.ones(10), 0.025)).all()


def test_many_problems_are_taken_in_groups():
    values = np.random.default_rng(3).exponential(size=1001)
    low, high = limits(values, np.ones(1001), 0.025)
    error = values.std(ddof=1) / np.sqrt(1001)
    np.testing.assert_allclose((low, high), values.mean() + np.array([-1.9, 2.05]) * error, atol=0.15 * error)


def test_thin_tails_go_on_where_resamples_end():
    values = np.random.default_rng(4).normal(size=50)
    widths = [np.subtract(*limits(values, np.ones(50), tail)) for tail in (0.025, 0.005, 0.0049, 0.001, 1e-6)]
    assert all(np.diff(widths) < 0)  # ever wider
    assert widths[2] == pytest.approx(widths[1], rel=0.01)

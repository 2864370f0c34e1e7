"""Intervals cover what they should, by simulation; degenerate cases are what a person would expect."""

import numpy as np
import pytest

from llm_icl.analysis.intervals import NOTHING, crossed_mean, crossed_proportion, mean, proportion

REPEATS = 4000
# Four standard errors of a coverage of 95 % simulated so often, 1.4 points: chance alone fails once in 16,000 runs.
SLACK = 4 * np.sqrt(0.95 * 0.05 / REPEATS)


def coverage(simulate, interval, truth):
    random = np.random.default_rng(7)
    estimates = [interval(*simulate(random)) for _ in range(REPEATS)]
    return np.mean([estimate.low <= truth <= estimate.high for estimate in estimates])


@pytest.mark.parametrize(("problems", "share"), [(100, 0.8), (100, 0.6), (50, 0.7), (200, 0.93)])
def test_the_interval_of_one_position_covers_as_often_as_it_says(problems, share):
    ones = np.ones(problems)
    covered = coverage(lambda r: ((r.random(problems) < share).astype(float), ones), proportion, share)
    assert 0.94 - SLACK < covered < 0.96 + SLACK  # answers are discrete: no interval hits 95 % everywhere


@pytest.mark.parametrize("problems", [20, 100])
def test_the_interval_of_a_mean_over_positions_covers_with_problems_as_clusters(problems):
    """Each problem has a difficulty of its own, so its 40 positions are far from independent."""

    def simulate(random):
        difficulty = random.beta(6, 2, size=problems)
        return random.binomial(40, difficulty).astype(float), np.full(problems, 40.0)

    assert 0.94 - SLACK < coverage(simulate, proportion, 0.75) < 0.96 + SLACK


def test_the_interval_covers_where_problems_have_different_numbers_of_positions():
    def simulate(random):
        counts = random.integers(1, 20, size=100)
        return random.binomial(counts, random.beta(4, 4, size=100)).astype(float), counts.astype(float)

    assert 0.94 - SLACK < coverage(simulate, proportion, 0.5) < 0.96 + SLACK


def test_the_interval_of_a_paired_difference_covers():
    def simulate(random):
        easy = random.beta(3, 2, size=60)
        one, other = random.binomial(30, easy), random.binomial(30, easy * 0.9)
        return (one - other).astype(float), np.full(60, 30.0)

    assert 0.94 - SLACK < coverage(simulate, mean, 0.1 * 0.6) < 0.96 + SLACK


def test_all_right_is_not_certainty():
    estimate = proportion(np.full(20, 10.0), np.full(20, 10.0))
    assert estimate.value == estimate.high == 1
    assert 0.8 < estimate.low < 0.9  # twenty problems, not two hundred answers


def test_one_trial_a_problem_is_wilsons_interval():
    """7 of 10 by hand, with t for 9 degrees of freedom in place of the normal quantile and 9 effective trials."""
    estimate = proportion(np.array([1.0] * 7 + [0] * 3), np.ones(10))
    z, n, p = 2.2621571628540993, 9.0, 0.7
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    np.testing.assert_allclose(estimate, (0.7, centre - half, centre + half), rtol=1e-9)


def test_a_mean_of_equal_counts_is_students_interval():
    from scipy import stats

    values = np.array([0.3, -0.1, 0.2, 0.5, 0.0])
    low, high = stats.t.interval(0.95, 4, loc=values.mean(), scale=stats.sem(values))
    np.testing.assert_allclose(mean(values * 8, np.full(5, 8.0)), (values.mean(), low, high))


def test_equal_differences_are_not_certainty():
    """Of N problems none differs, so a share p that differs went unseen: (1 - p)^N = 5 % gives p; bounded by 1."""
    estimate = mean(np.full(20, 4.0), np.full(20, 40.0), bound=1.0)
    p = 1 - 0.05 ** (1 / 20)
    np.testing.assert_allclose(estimate, (0.1, 0.1 - 1.1 * p, 0.1 + 1.1 * p))
    assert mean(np.array([0.5]), np.ones(1)).high == np.inf


def test_nothing_gives_nothing():
    assert proportion(np.zeros(3), np.zeros(3)) is NOTHING
    assert mean(np.zeros(0), np.zeros(0)) is NOTHING


@pytest.mark.parametrize("seeds", [3, 8])
@pytest.mark.parametrize("between", [0.0, 0.01, 0.03])
def test_an_interval_over_examples_and_seeds_covers(seeds, between):
    """Where seeds differ a lot, three of them sometimes look alike by chance: then it covers a little less."""

    def simulate(random):
        examples, draws = 0.06 * random.normal(size=(100, 1)), between * random.normal(size=(1, seeds))
        return (examples + draws + 0.03 * random.normal(size=(100, seeds)),)

    covered = coverage(simulate, crossed_mean, 0.0)
    assert (0.91 if seeds == 3 else 0.93) < covered < 0.97 + SLACK
    # Over examples alone the interval would not know of the seeds.
    alone = coverage(lambda random: (simulate(random)[0].sum(axis=1), np.full(100, float(seeds))), mean, 0.0)
    assert alone < 0.9 or between < 0.03


def test_a_share_over_examples_and_seeds_covers():
    def simulate(random):
        chances = random.beta(6, 4, size=(100, 1)) * random.beta(40, 10, size=(1, 5))
        return (random.random((100, 5)) < chances).astype(float), np.ones((100, 5))

    assert 0.92 < coverage(simulate, crossed_proportion, 0.6 * 0.8) < 0.97


def test_analysis_of_variance_by_hand():
    # Examples 1, 2, 3 and seeds -1, 1, no rest: mean squares 2 · 2 / 2 = 2 of examples, 3 · 2 / 1 = 6 of seeds, and 0.
    values = np.array([[1.0], [2.0], [3.0]]) + np.array([[-1.0, 1.0]])
    error, freedom = np.sqrt((2 + 6) / 6), 8**2 / (2**2 / 2 + 6**2 / 1)
    from scipy import stats

    half = stats.t.ppf(0.975, freedom) * error
    np.testing.assert_allclose(crossed_mean(values), (2.0, 2 - half, 2 + half))


def test_with_one_seed_the_interval_is_over_examples():
    values = np.random.default_rng(0).normal(size=(30, 1))
    assert crossed_mean(values) == mean(values[:, 0], np.ones(30))
    hits, trials = (values > 0).astype(float), np.ones((30, 1))
    assert crossed_proportion(hits, trials) == proportion(hits[:, 0], trials[:, 0])
    assert crossed_proportion(np.zeros((4, 3)), np.zeros((4, 3))) is NOTHING


def test_seeds_that_say_the_same_are_no_more_than_one():
    values = np.random.default_rng(0).normal(size=(30, 1))
    np.testing.assert_allclose(crossed_mean(np.repeat(values, 4, axis=1)), crossed_mean(values))
    hits = (values > 0).astype(float)
    several = crossed_proportion(np.repeat(hits, 4, axis=1), np.ones((30, 4)))
    np.testing.assert_allclose(several, proportion(hits[:, 0], np.ones(30)), atol=1e-3)

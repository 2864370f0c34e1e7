"""Intervals cover what they should, or there is none; degenerate cases are what a person would expect."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from llm_icl.analysis.intervals import (
    IDENTICAL,
    NOTHING,
    Estimate,
    crossed_mean,
    crossed_proportion,
    mean,
    proportion,
    student,
    unpaired,
)
from tests.simulations.coverage import simulated, worlds

REPEATS = 500
# Four standard errors of a coverage of 95 % simulated so often: chance alone fails once in 16,000 runs.
SLACK = 4 * np.sqrt(0.95 * 0.05 / REPEATS)

# Of the simulated worlds, one or two of each kind.
CHOSEN = [
    ("accuracy", "0.7; 40 positions, correlation 0.2", 20),
    ("accuracy", "0.95; 10 positions, correlation 0.4", 50),
    ("accuracy", "0.999; 40 positions, correlation 0.05", 100),
    ("accuracy", "0.9; 1 to 20 positions, correlation 0.2", 50),
    ("difference", "in 2 % of problems, the same is better; 1 to 40 positions", 400),
    ("difference", "in 2 % of problems, either is better; one position", 100),
    ("difference", "0.9 and 0.8; 40 positions, correlation 0.2", 50),
    ("log loss", "overconfident; 40 positions", 100),
    ("log loss", "0 or 1, 0.99 right; 40 positions", 50),
    ("log loss above Bayes", "twice as sure; 40 positions", 100),
    ("overconfidence", "0.9 sure, 0.9 right; 40 positions, correlation 0.2", 50),
    ("overconfidence", "0.99 sure, 0.99 right; one position", 100),
    ("examples needed", "0.88 throughout; correlation 0.2", 20),
    ("mean over queries and seeds", "3 seeds, spread 0.3, rest 0.5, of queries 1", 100),
    ("accuracy over queries and seeds", "0.8; 3 seeds, spread 0.3, of queries 1", 100),
]
WORLDS = {(world.quantity, world.name): world for world in worlds()}


@pytest.mark.parametrize(("quantity", "name", "problems"), CHOSEN)
def test_an_interval_covers_as_often_as_it_says(quantity, name, problems):
    found = simulated(WORLDS[quantity, name], problems, REPEATS)
    missed = found["above"] + found["below"]
    assert found["given"] > 0
    assert missed <= (0.06 + SLACK) * REPEATS
    if found["given"] > 0.1 * REPEATS:  # with slack for so many
        assert missed <= (0.06 + SLACK * np.sqrt(REPEATS / found["given"])) * found["given"]


@pytest.mark.parametrize("problems", [20, 50, 100, 400])
def test_of_one_answer_a_problem_neither_limit_is_missed_in_more_than_3_percent(problems):
    """The binomial distribution leaves nothing to chance here."""
    hits = np.arange(problems + 1)
    found = [proportion((np.arange(problems) < k).astype(float), np.ones(problems)) for k in hits]
    lows, highs = np.array([(estimate.low, estimate.high) for estimate in found]).T
    for share in np.linspace(0.001, 0.999, 500):
        chances = stats.binom.pmf(hits, problems, share)
        assert chances[lows > share].sum() <= 0.03 + 1e-9
        assert chances[highs < share].sum() <= 0.03 + 1e-9
    # And not much rarer: with 400, an accuracy of .7 is missed in 5.4 %.
    chances = stats.binom.pmf(hits, problems, 0.7)
    assert chances[(lows > 0.7) | (highs < 0.7)].sum() > (0.05 if problems == 400 else 0.02)


def test_all_right_is_not_certainty():
    """If 20 problems are all right, 1 - .03^(1/20) of all may be wrong: twenty problems, not two hundred answers."""
    estimate = proportion(np.full(20, 10.0), np.full(20, 10.0))
    assert estimate.value == estimate.high == 1
    assert estimate.low == pytest.approx(0.03 ** (1 / 20))
    assert proportion(np.ones(1), np.ones(1)).low == pytest.approx(0.03)


def test_one_wrong_answer_more_moves_no_limit_far():
    """From all right, over one problem after the other with a wrong answer."""
    trials = np.full(100, 40.0)
    lows = [proportion(trials - (np.arange(100) < wrong), trials).low for wrong in range(10)]
    assert all(abs(np.diff(lows)[:3]) < 0.001)  # too few to say that only single answers are wrong
    assert lows[9] > 0.99


@pytest.mark.parametrize("problems", [1, 2, 3])
def test_a_few_problems_say_little(problems):
    hits, trials = np.array([30.0, 34.0, 20.0])[:problems], np.full(problems, 40.0)
    estimate = proportion(hits, trials)
    assert estimate.high - estimate.low > 0.6
    assert no_interval(mean(hits, trials, bound=1.0))


def no_interval(estimate):
    return estimate.known and np.isnan(estimate.low) and np.isnan(estimate.high)


def test_nothing_gives_nothing():
    assert proportion(np.zeros(3), np.zeros(3)) is NOTHING
    assert mean(np.zeros(0), np.zeros(0)) is NOTHING


@pytest.mark.parametrize("differing", range(8))
def test_a_mean_needs_four_problems_that_are_not_0(differing):
    estimate = mean((np.arange(100) < differing).astype(float), np.ones(100), bound=1.0)
    assert estimate.value == differing / 100
    assert no_interval(estimate) == (differing < 4)
    if differing >= 4:  # six of one sign may be chance, seven hardly: 2^-6 = 1.6 %
        assert (estimate.low < 0) == (differing < 7)


def test_a_mean_of_equal_values_has_the_interval_of_what_was_not_seen():
    """20 of 20 are alike: with 97.5 % confidence at least 83.2 % are, .025^(1/20), and the others may be anything."""
    below = mean(np.full(20, -4.0), np.full(20, 4.0), bound=1.0)
    assert (below.value, below.low) == (-1.0, -1.0)
    assert below.high == pytest.approx(-1 + 2 * (1 - 0.025 ** (1 / 20)))
    tenth = mean(np.full(20, 4.0), np.full(20, 40.0), bound=1.0)
    assert (tenth.low, tenth.high) == pytest.approx((0.1 - 0.16843 * 1.1, 0.1 + 0.16843 * 0.9), abs=1e-4)
    assert no_interval(mean(np.full(20, 4.0), np.full(20, 40.0)))  # anything may be any value
    assert no_interval(mean(np.full(3, 1.0), np.ones(3), bound=1.0))
    assert no_interval(mean(np.r_[np.full(17, 1.0), 0, 0, 0], np.ones(20), bound=1.0))  # three differ from the others


def test_identical_is_a_word_of_its_own():
    assert IDENTICAL.identical
    assert no_interval(IDENTICAL)
    assert not Estimate(0.0, np.nan, np.nan).identical


def test_a_mean_of_many_near_normal_values_is_students():
    values = np.random.default_rng(0).normal(size=200)
    low, high = stats.t.interval(0.95, 199, values.mean(), stats.sem(values))
    np.testing.assert_allclose(mean(values * 8, np.full(200, 8.0)), (values.mean(), low, high), atol=0.01)


def test_a_mean_of_skewed_values_is_farther_from_its_long_tail():
    values = np.random.default_rng(0).exponential(size=50)
    value, low, high = mean(values, np.ones(50))
    assert high - value > 1.25 * (value - low)
    assert mean(-values, np.ones(50)) == pytest.approx((-value, -high, -low), abs=1e-6)


def test_at_level_0_an_interval_is_hardly_more_than_its_value():
    """P values are found by inverting the level, from 0 to 1."""
    values = np.random.default_rng(0).exponential(size=50)
    value, low, high = mean(values, np.ones(50), level=0.0)
    assert value - 0.05 < low <= value <= high < value + 0.05


def test_a_bound_cuts_an_interval():
    values = np.r_[np.zeros(8), np.ones(8), 0.5]
    assert mean(values, np.ones(17), bound=0.7).high == 0.7


def test_the_interval_of_a_few_near_normal_values_is_students():
    values = np.array([0.3, -0.1, 0.2, 0.5, 0.0])
    low, high = stats.t.interval(0.95, 4, loc=values.mean(), scale=stats.sem(values))
    np.testing.assert_allclose(student(values), (values.mean(), low, high))
    assert no_interval(student(np.array([0.5])))


counted = arrays(float, 30, elements=st.integers(0, 10).map(float))


@given(counted, st.floats(0.2, 0.98), st.floats(0.001, 0.019))
@settings(max_examples=50, deadline=None)
def test_a_higher_level_contains_a_lower_one(hits, level, more):
    differences, values = hits - 5, np.stack([hits, hits[::-1], np.sqrt(hits)], axis=1)
    for estimate in (
        lambda level: proportion(hits, np.full(30, 10.0), level),
        lambda level: mean(differences, np.full(30, 10.0), 1.0, level),
        lambda level: crossed_mean(values, level),
        lambda level: crossed_proportion(values / 10, np.ones((30, 3)), level),
        lambda level: student(hits[:4], level),
    ):
        inner, outer = estimate(level), estimate(level + more)
        assert inner.value == outer.value
        assert np.isnan(outer.low) or outer.low <= inner.low + 1e-9
        assert np.isnan(outer.high) or outer.high >= inner.high - 1e-9
        assert np.isnan(inner.low) or inner.low <= inner.value <= inner.high


@given(counted)
@settings(max_examples=50, deadline=None)
def test_wrong_answers_have_the_mirrored_interval(hits):
    right, wrong = proportion(hits, np.full(30, 10.0)), proportion(10 - hits, np.full(30, 10.0))
    np.testing.assert_allclose(wrong, (1 - right.value, 1 - right.high, 1 - right.low), atol=1e-5)


def test_one_seed_and_two_have_no_interval_and_three_have():
    values = np.random.default_rng(0).normal(size=(30, 3))
    hits = (values > 0).astype(float)
    for seeds in (1, 2):
        assert no_interval(crossed_mean(values[:, :seeds]))
        assert no_interval(crossed_proportion(hits[:, :seeds], np.ones((30, seeds))))
    assert np.isfinite(crossed_mean(values)).all()
    assert crossed_proportion(np.zeros((4, 3)), np.zeros((4, 3))) is NOTHING


def test_two_seeds_that_agree_have_no_interval_either():
    """They may by chance: where each draw makes a model answer one label throughout, two draws are alike in half of the
    cases, and the accuracy of the next is another one.
    """
    hits = np.repeat(np.arange(200.0) < 130, 2).reshape(200, 2)
    assert no_interval(crossed_proportion(hits, np.ones((200, 2))))
    assert no_interval(crossed_mean(hits))


def test_trials_of_all_seeds_count_where_all_or_none_are_hits_in_whichever_order_seeds_are():
    trials = np.zeros((50, 4))
    trials[:30, 1] = trials[:25, 2] = trials[10:40, 3] = 1
    everything, nothing = crossed_proportion(trials, trials), crossed_proportion(0 * trials, trials)
    assert everything == crossed_proportion(trials[:, ::-1], trials[:, ::-1])
    assert everything[:2] == (1.0, pytest.approx(1 - nothing.high))
    assert 0.85 < everything.low < 0.95  # 40 examples have trials
    assert no_interval(crossed_proportion(trials[:, :3], trials[:, :3]))  # in two seeds only
    assert crossed_proportion(trials[:, :3], trials[:, :3]).value == 1.0


def test_seeds_that_say_the_same_are_no_more_than_one():
    values = np.random.default_rng(0).normal(size=(30, 1))
    hits = (values > 0).astype(float)
    for seeds in (3, 4):
        assert crossed_mean(np.repeat(values, seeds, axis=1)) == mean(values[:, 0], np.ones(30))
        several = crossed_proportion(np.repeat(hits, seeds, axis=1), np.ones((30, seeds)))
        assert several == proportion(hits[:, 0], np.ones(30))


def test_analysis_of_variance_by_hand():
    """Examples 1 to 5 and seeds -1, 0, 1, no rest: mean squares 3 · 10 / 4 = 7.5 of examples, 5 · 2 / 2 = 5 of seeds.
    Satterthwaite: 12.5² / (7.5² / 4 + 5² / 2) = 5.88 degrees of freedom, less 3.
    """
    values = np.arange(1.0, 6.0)[:, None] + np.array([[-1.0, 0.0, 1.0]])
    half = stats.t.ppf(0.975, 12.5**2 / (7.5**2 / 4 + 5**2 / 2) - 3) * np.sqrt((7.5 + 5) / 15)
    np.testing.assert_allclose(crossed_mean(values), (3.0, 3 - half, 3 + half))


def test_answers_that_depend_on_the_seed_alone_count_as_many_as_there_are_seeds():
    hits = np.tile([1.0, 0.0, 1.0, 1.0, 0.0], (100, 1))
    few, many = crossed_proportion(hits, np.ones((100, 5))), proportion(hits[0], np.ones(5))
    assert few.value == many.value == 0.6
    assert few.low < many.low + 0.05
    assert few.high > many.high - 0.05


def test_the_difference_of_independent_samples_is_newcombes():
    """His example: 56 of 70 and 48 of 80, with Wilson's intervals, differ by 0.2 [0.0524, 0.3339] (method 10)."""

    def wilson(hits, trials, z=1.959964):
        centre, half = hits + z**2 / 2, z * np.sqrt(hits * (1 - hits / trials) + z**2 / 4)
        return Estimate(hits / trials, (centre - half) / (trials + z**2), (centre + half) / (trials + z**2))

    found = unpaired(wilson(56, 70), wilson(48, 80))
    assert found == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    assert unpaired(wilson(48, 80), wilson(56, 70)) == pytest.approx((-0.2, -0.3339, -0.0524), abs=5e-5)


def test_few_problems_with_most_of_the_queries_bear_no_interval():
    """Ten problems with 50 queries and 190 with one: the ten decide, and 95 % intervals would cover 83 to 94 %."""
    random = np.random.default_rng(0)
    for few, many, has in ((10, 190, False), (40, 160, True)):
        counts = np.r_[np.full(few, 50.0), np.ones(many)]
        hits = np.r_[random.integers(20, 50, few), random.integers(0, 2, many)].astype(float)
        assert np.isfinite(proportion(hits, counts).low) == has
        assert np.isfinite(mean(hits - 0.5 * counts, counts).low) == has
    assert np.isfinite(proportion(np.array([3.0, 2.0, 4.0]), np.array([4.0, 3.0, 5.0])).low)

"""Perplexities and their changes against numbers by hand; their intervals against Student's t and by simulation."""

import math

import numpy as np
import polars as pl
import pytest
from scipy import stats

from llm_icl.experiments.language_modelling.perplexity import change, change_over_text, perplexity

WINDOW = 4  # tokens


def frame(**losses):
    """A row for each attention, seed and window: losses[attention][seed][window] in nats, at a length of 4 and, with 1
    more, of 2; in no order.
    """
    rows = [
        {"attention": attention, "seed": 10 + seed, "length": length, "window": window, "loss": loss + (length == 2)}
        for attention, seeds in losses.items()
        for seed, windows in enumerate(seeds)
        for window, loss in enumerate(windows)
        for length in (2, 4)
    ]
    return pl.DataFrame(rows).sample(fraction=1.0, shuffle=True, seed=3)


def students(values):
    values = np.asarray(values)
    return (values.mean(), *stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values)))


def test_perplexity_is_exp_of_the_mean_loss_of_a_token():
    two, three = WINDOW * math.log(2), WINDOW * math.log(3)
    losses = frame(soft=[[two, two], [three, three]], other=[[9.0, 9.0], [9.0, 9.0]])
    assert perplexity(losses, "soft", 4, WINDOW).value == pytest.approx(math.sqrt(6))
    assert perplexity(losses, "soft", 2, WINDOW).value == pytest.approx(math.sqrt(6) * math.exp(1 / 4))
    assert perplexity(losses, "other", 4, WINDOW).value == pytest.approx(math.exp(9 / 4))
    assert perplexity(frame(soft=[[two, three, two]]), "soft", 4, WINDOW).value == pytest.approx(12 ** (1 / 3))


def test_the_interval_of_a_perplexity_is_students_over_trainings():
    losses = frame(soft=[[8.0, 6.0], [9.0, 7.5], [8.5, 4.0]])
    expected = np.exp(students([7.0 / 4, 8.25 / 4, 6.25 / 4]))
    np.testing.assert_allclose(perplexity(losses, "soft", 4, WINDOW), expected)


def test_a_change_is_the_share_by_which_perplexity_is_above_the_others():
    two, three = WINDOW * math.log(2), WINDOW * math.log(3)
    losses = frame(soft=[[two], [two]], high=[[three], [three]])
    for length in (2, 4):
        assert change(losses, "high", "soft", length, WINDOW).value == pytest.approx(0.5)
        assert change(losses, "soft", "high", length, WINDOW).value == pytest.approx(-1 / 3)
        assert change_over_text(losses, "high", "soft", length, WINDOW).value == pytest.approx(0.5)


def test_a_change_is_paired_by_seed():
    """Seeds differ by much, and the two attentions of a seed by a little."""
    soft = np.array([[8.0, 12.0], [20.0, 24.0], [40.0, 44.0]])
    by = np.array([[0.1, 0.3], [0.12, 0.32], [0.08, 0.28]])
    losses = frame(soft=soft, momentum=soft - by)
    expected = np.expm1(students(-by.mean(1) / WINDOW))
    np.testing.assert_allclose(change(losses, "momentum", "soft", 4, WINDOW), expected)
    # By hand: 0.05 a token, 0.005 as standard deviation of it, and 4.303 of the quantile for 2 degrees of freedom.
    assert expected[2] == pytest.approx(math.expm1(-0.05 + 4.302653 * 0.005 / math.sqrt(3)))


def test_over_the_text_a_change_is_paired_by_window():
    """Windows differ by much, and the two attentions in a window by a little; seeds are averaged."""
    soft = np.array([[8.0, 80.0, 20.0, 41.0], [9.0, 81.0, 22.0, 40.0]])
    by = np.array([[0.1, 0.3, 0.2, 0.5], [0.2, 0.4, 0.0, 0.6]])
    losses = frame(soft=soft, momentum=soft - by)
    expected = np.expm1(students(-by.mean(0) / WINDOW))
    np.testing.assert_allclose(change_over_text(losses, "momentum", "soft", 4, WINDOW), expected)
    over_trainings = change(losses, "momentum", "soft", 4, WINDOW)
    assert over_trainings.value == pytest.approx(expected[0])
    np.testing.assert_allclose(over_trainings, np.expm1(students(-by.mean(1) / WINDOW)))


def test_one_training_has_no_interval_over_trainings_and_one_over_the_text():
    losses = frame(soft=[[8.0, 6.0, 7.0]], momentum=[[7.5, 6.1, 6.8]])
    value = perplexity(losses, "soft", 4, WINDOW)
    assert value.value == pytest.approx(math.exp(7 / 4))
    found = change(losses, "momentum", "soft", 4, WINDOW)
    assert found.value == pytest.approx(math.expm1(-0.2 / 4))
    for estimate in (value, found):
        assert math.isnan(estimate.low)
        assert math.isnan(estimate.high)
    expected = np.expm1(students([-0.5 / 4, 0.1 / 4, -0.2 / 4]))
    np.testing.assert_allclose(change_over_text(losses, "momentum", "soft", 4, WINDOW), expected)


def test_one_window_has_no_interval_over_the_text():
    losses = frame(soft=[[8.0], [9.0]], momentum=[[7.5], [8.7]])
    assert math.isnan(change_over_text(losses, "momentum", "soft", 4, WINDOW).high)
    assert change(losses, "momentum", "soft", 4, WINDOW).high < 0.5


REPEATS = 1500
SLACK = 4 * np.sqrt(0.95 * 0.05 / REPEATS)


@pytest.mark.parametrize("seeds", [3, 8])
def test_the_interval_over_trainings_covers_the_change_of_other_trainings(seeds):
    """Windows are of very different difficulty, which both attentions of all seeds share; a seed has a fortune of its
    own, and a part of it is each attention's.
    """
    random = np.random.default_rng(seeds)
    truth, covered = 0.02, 0
    difficulty = random.normal(4 * WINDOW, 4, size=5)
    for _ in range(REPEATS):
        fortune = random.normal(0, 2, size=(seeds, 1))
        soft = difficulty + fortune + random.normal(0, 0.4, size=(seeds, 5))
        other = difficulty + fortune + random.normal(truth * WINDOW, 0.2, size=(seeds, 1))
        other = other + random.normal(0, 0.4, size=(seeds, 5))
        found = change(_unshuffled(soft, other), "momentum", "soft", 4, WINDOW)
        covered += found.low <= math.expm1(truth) <= found.high
    assert abs(covered / REPEATS - 0.95) < SLACK


def test_the_interval_over_the_text_covers_the_change_on_other_texts():
    random = np.random.default_rng(5)
    truth, covered = -0.03, 0
    fortune = random.normal(0, 2, size=(2, 2, 1))
    fortune[1] += fortune[0].mean() - fortune[1].mean() + truth * WINDOW  # these very models differ by the truth
    for _ in range(REPEATS):
        difficulty = random.normal(4 * WINDOW, 4, size=12)
        soft, other = difficulty + fortune + random.normal(0, 0.3, size=12) * np.array([1, -1]).reshape(2, 1, 1)
        found = change_over_text(_unshuffled(soft, other), "momentum", "soft", 4, WINDOW)
        covered += found.low <= math.expm1(truth) <= found.high
    assert abs(covered / REPEATS - 0.95) < SLACK


def _unshuffled(soft, other):
    seeds, windows = soft.shape
    both = np.stack([soft, other])
    columns = np.indices(both.shape).reshape(3, -1)
    return pl.DataFrame(
        {
            "attention": np.array(["soft", "momentum"])[columns[0]],
            "seed": columns[1],
            "length": np.full(2 * seeds * windows, 4),
            "window": columns[2],
            "loss": both.ravel(),
        }
    )

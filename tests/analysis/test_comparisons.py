"""Judgements against worlds in which the truth is known."""

import numpy as np
import pytest

from llm_icl.analysis.comparisons import MARGIN, Comparison, compare, judge, power, problems_needed
from llm_icl.analysis.intervals import mean

RANDOM = np.random.default_rng(0)


def comparison(differences):
    """One query a problem."""
    differences = np.asarray(differences, dtype=float)
    return Comparison(differences, np.ones(len(differences)), int((differences != 0).sum()))


def outcome(differences):
    return judge({0: comparison(differences)})[0].outcome


def normal(center, spread, count):
    """Differences whose mean and standard deviation are exactly these."""
    draws = np.random.default_rng(1).normal(size=count)
    return center + spread * (draws - draws.mean()) / draws.std(ddof=1)


def test_the_outcome_is_what_the_interval_shows():
    assert outcome(normal(0.2, 0.3, 100)) == "above"
    assert outcome(normal(-0.2, 0.3, 100)) == "below"
    assert outcome(normal(0.0, 0.1, 100)) == "equivalent"
    assert outcome(normal(-0.2, 0.5, 6)) == "too few"  # never "no difference"
    assert outcome(normal(0.045, 0.1, 100)) == "above"
    assert outcome([0.3]) == "too few"


def test_identical_answers_and_no_common_query_are_their_own_outcomes():
    answers = RANDOM.integers(0, 2, (24, 3)).astype(float)
    correct = (answers == 1).astype(float)
    same = judge({0: compare(correct, correct, (answers, answers))})[0]
    assert (same.outcome, same.problems, same.shown.value) == ("identical", 24, 0.0)
    nothing = np.full((24, 3), np.nan)
    assert judge({0: compare(correct, nothing, (answers, nothing))})[0].outcome == "no data"


def test_learners_that_are_as_often_right_on_other_queries_are_not_identical():
    first, second = np.array([[1.0, 0.0]] * 9), np.array([[0.0, 1.0]] * 9)
    answers = (np.array([[1.0, 1.0]] * 9), np.array([[0.0, 0.0]] * 9))
    assert compare(first, second, answers).differing == 9


def test_only_queries_that_both_answered_count_and_only_on_chosen_problems():
    first = np.array([[1.0, 1.0], [1.0, np.nan], [1.0, 1.0]])
    second = np.array([[0.0, 1.0], [0.0, 1.0], [0.0, 0.0]])
    found = compare(first, second, (first, second), np.array([True, True, False]))
    assert found.sums.tolist() == [1, 1, 0]
    assert found.counts.tolist() == [2, 1, 0]
    assert (found.problems, found.estimate().value) == (2, pytest.approx(2 / 3))


def test_problems_that_can_show_nothing_are_drawn_too():
    """What is needed counts all problems that must be drawn, of which only some count."""
    first, second = np.random.default_rng(3).integers(0, 2, (2, 60, 1)).astype(float)
    alone = judge({0: compare(first, second, (first, second))})[0]
    both = np.tile(first, (2, 1)), np.tile(second, (2, 1))
    half = judge({0: compare(*both, both, np.arange(120) < 60)})[0]
    assert (half.problems, half.resolves) == (alone.problems, alone.resolves)
    assert half.needed == 2 * alone.needed
    assert half.needed_for(0.1) == 2 * alone.needed_for(0.1)


def test_the_standard_error_is_about_that_of_the_interval():
    sums, counts = RANDOM.normal(size=30), RANDOM.integers(1, 5, 30).astype(float)
    found, interval = Comparison(sums, counts, 30), mean(sums, counts)
    from scipy.stats import t

    assert (interval.high - interval.low) / 2 == pytest.approx(t.ppf(0.975, 29) * found.error, rel=0.1)


def test_more_comparisons_need_more_evidence():
    """A difference of 2.3 standard errors is shown alone, but not beside nine others without any."""
    clear = normal(0.23, 1.0, 100)
    assert outcome(clear) == "above"
    others = {i: comparison(normal(0.0, 1.0, 100)) for i in range(1, 10)}
    assert judge({0: comparison(clear)} | others)[0].outcome == "too few"
    # Once nine are decided, the tenth has the whole 5 % to itself.
    decided = {i: comparison(normal(2.0, 1.0, 100)) for i in range(1, 10)}
    assert judge({0: comparison(clear)} | decided)[0].outcome == "above"


def test_equivalence_takes_the_level_of_all_comparisons_even_if_others_are_decided():
    """Otherwise one of twelve that are worse by just 5 points is called equivalent in more than 5 % of reports."""
    close = normal(0.0, 0.22, 100)  # alone within 4.8 points, among ten within 6.9
    assert outcome(close) == "equivalent"
    decided = {i: comparison(normal(2.0, 1.0, 100)) for i in range(1, 10)}
    found = judge({0: comparison(close)} | decided)[0]
    assert found.outcome == "too few"
    closer = judge({0: comparison(close / 2)} | decided)[0]
    assert closer.outcome == "equivalent"
    assert closer.shown == comparison(close / 2).estimate(1 - 0.05 / 10)


def test_false_claims_in_a_report_are_at_most_5_percent():
    """12 models equal to the reference, on the same problems: 400 reports, of which 20 are expected at most."""
    random = np.random.default_rng(2)
    claims = 0
    for _ in range(400):
        reference = random.random((60, 1)) < 0.7
        models = random.random((60, 12)) < 0.7
        differences = models.astype(float) - reference
        judged = judge({i: comparison(differences[:, i]) for i in range(12)})
        claims += any(each.outcome in ("above", "below") for each in judged.values())
    assert claims <= 20 + 2.33 * np.sqrt(400 * 0.05 * 0.95)


def test_what_a_run_resolves_is_found_in_80_percent():
    """Spread 0.4 over 50 problems: differences of exactly the resolved size, and 5 points with the needed number."""
    random = np.random.default_rng(3)
    resolves, needed = power(0.4 / np.sqrt(50), 50, 2 / 49, 0.05)
    for difference, count in ((resolves, 50), (MARGIN, int(needed))):
        found = [
            judge({0: comparison(random.normal(difference, 0.4, count))})[0].outcome == "above" for _ in range(400)
        ]
        assert abs(np.mean(found) - 0.8) < 0.06


def test_few_problems_tell_how_many_are_needed_as_if_their_differences_were_normal_and_very_few_do_not():
    """The fourth moment of two is always that of a coin."""
    assert [comparison([0.1, 0.3]).uncertainty, comparison([0.1, 0.2, 0.6]).uncertainty] == pytest.approx([2.0, 1.0])
    assert np.isnan(power(0.1, 4, 2 / 3, 0.05)[1])
    assert power(0.1, 5, 0.5, 0.05)[1] > power(0.1, 5, 0.1, 0.05)[1]


def test_differences_that_are_all_alike_need_the_fewest_problems():
    alike = comparison(np.full(30, -1.0))
    assert problems_needed(alike.problems * alike.error**2, alike.uncertainty, 0.05) == 20
    assert judge({0: alike})[0].outcome == "below"

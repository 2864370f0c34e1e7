"""Numbers with intervals of a comparison, from numbers made by hand."""

import numpy as np
import pytest

from llm_icl.analysis.intervals import proportion
from llm_icl.experiments.finetuning import scores
from llm_icl.experiments.finetuning.measures import KENDALL, SIMAOU
from llm_icl.experiments.finetuning.methods import (
    ORDER,
    OTHER,
    PUBLISHED_METHOD,
    RANDOM,
    UNTRAINED,
    UNTRAINED_RANDOM,
    draws,
)
from tests.experiments.finetuning.worlds import EXAMPLES, around, compared


def test_a_measure_is_compared_with_the_mean_of_the_random_updates_of_its_length():
    values = {PUBLISHED_METHOD: around(0.3, 0.01), UNTRAINED: around(0.2, 0.01, 1)}
    shape = values[UNTRAINED].shape
    found = compared(values, nulls={RANDOM: np.full(shape, 0.1), UNTRAINED_RANDOM: np.full(shape, 0.05)})
    assert scores.estimate(found, RANDOM, SIMAOU).value == pytest.approx(0.1)
    assert scores.mean(scores.excess(found, PUBLISHED_METHOD, SIMAOU)).value == pytest.approx(0.2)
    assert scores.mean(scores.excess(found, UNTRAINED, SIMAOU)).value == pytest.approx(0.15)
    assert scores.methods(found) == [PUBLISHED_METHOD, UNTRAINED, RANDOM, UNTRAINED_RANDOM]


def test_what_a_run_does_not_have_is_unknown():
    found = compared({PUBLISHED_METHOD: around(0.3, 0.01)})
    assert not scores.estimate(found, PUBLISHED_METHOD, KENDALL).known


def test_the_gain_is_paired_by_query_and_draw():
    rng = np.random.default_rng(0)
    alone = rng.random(EXAMPLES) < 0.6
    read = np.stack([alone | (rng.random(EXAMPLES) < 0.3) for _ in range(4)], axis=1)
    answers = {"": {"zs": alone, "icl": read, "ft": alone}}
    found = compared({PUBLISHED_METHOD: around(0.3, 0.01, draws_of_demonstrations=4)}, answers)
    gain = scores.gain(found, "icl")
    assert gain.value == pytest.approx(read.mean() - alone.mean())
    assert gain.low > 0  # paired, every query is right as often or more often
    assert scores.gain(found, "ft").value == 0
    assert np.isnan(scores.gain(found, "ft").low)  # nothing varies, so there is no interval


def test_without_several_draws_of_demonstrations_there_is_no_interval():
    for count in (1, 2):
        found = compared({PUBLISHED_METHOD: around(0.3, 0.01, draws_of_demonstrations=count)})
        assert scores.estimate(found, PUBLISHED_METHOD, SIMAOU).value == pytest.approx(0.3)
        assert np.isnan(scores.estimate(found, PUBLISHED_METHOD, SIMAOU).low)
        assert scores.seeds(found) == count


def test_answers_without_demonstrations_do_not_depend_on_their_draw():
    """An interval over the queries, however few draws there are; of the others there is none from fewer than three."""
    right = np.arange(EXAMPLES) < 0.6 * EXAMPLES
    for count in (1, 2, 3):
        answers = {"": {"zs": right, "icl": right, "ft": right}}
        found = compared({PUBLISHED_METHOD: around(0.3, 0.01, draws_of_demonstrations=count)}, answers)
        alone, read = (scores.accuracy(found, PUBLISHED_METHOD, setting) for setting in ("zs", "icl"))
        assert alone == proportion(right.astype(float), np.ones(EXAMPLES))
        assert read.value == alone.value
        assert np.isfinite(read.low) == (count == 3)


def test_the_interval_widens_with_what_differs_between_seeds():
    narrow, wide = (
        scores.estimate(
            compared({PUBLISHED_METHOD: around(0.2, 0.05, draws_of_demonstrations=3, between=between)}),
            PUBLISHED_METHOD, SIMAOU,
        )
        for between in (0.0, 0.1)
    )  # fmt: skip
    assert narrow.value == pytest.approx(wide.value)
    spread = np.std(0.1 * np.random.default_rng(0).normal(size=(EXAMPLES * 3 + 3))[-3:], ddof=1)
    # Student's t of 2 degrees of freedom, and the standard error of three draws.
    assert wide.high - wide.low == pytest.approx(2 * 4.3 * spread / np.sqrt(3), rel=0.2)
    assert narrow.high - narrow.low < 0.3 * (wide.high - wide.low)


def test_the_interval_of_a_cosine_ends_at_one():
    values = np.clip(around(0.97, 0.001, draws_of_demonstrations=3, between=0.03), -1, 1)
    found = scores.estimate(compared({PUBLISHED_METHOD: values}), PUBLISHED_METHOD, SIMAOU)
    assert found.low < found.value < found.high == 1


def test_recovery_is_compared_with_what_random_updates_correct():
    # Of 60 queries that zero-shot gets wrong, finetuning corrects 20, and ICL 15 of these. Three random updates correct
    # 10 each, of which ICL corrects 2, 3 and 4.
    examples = np.arange(EXAMPLES)
    icl = (examples < 15) | ((examples >= 20) & (examples < 24))
    answers = {"": {"zs": np.zeros(EXAMPLES), "icl": icl, "ft": examples < 20}}
    for number, draw in enumerate(draws(RANDOM)):
        first = 20 + 2 - number
        answers[draw] = {"zs": np.zeros(EXAMPLES), "icl": icl, "ft": (examples >= first) & (examples < first + 10)}
    answers[draws(RANDOM)[0]]["ft"] = (examples >= 22) & (examples < 32)  # 2 of 10
    answers[draws(RANDOM)[1]]["ft"] = (examples >= 21) & (examples < 31)  # 3 of 10
    answers[draws(RANDOM)[2]]["ft"] = (examples >= 20) & (examples < 30)  # 4 of 10
    found = compared({PUBLISHED_METHOD: around(0.2, 0.01)}, answers)
    assert scores.recovery(found, PUBLISHED_METHOD).value == 0.75
    assert scores.recovery(found, RANDOM).value == pytest.approx(0.3)
    above = scores.recovery_above_null(found)
    assert above(0.95).value == pytest.approx(0.45)
    assert above(0.99).low < above(0.95).low < above(0.95).value < above(0.95).high < above(0.99).high


def test_nothing_is_known_of_recovery_where_nothing_is_corrected():
    nothing = {"zs": np.zeros(EXAMPLES), "ft": np.zeros(EXAMPLES), "icl": np.ones(EXAMPLES)}
    found = compared({PUBLISHED_METHOD: around(0.2, 0.01)}, {"": nothing})
    assert not scores.recovery(found, PUBLISHED_METHOD).known
    assert not scores.recovery_above_null(found)(0.95).known


def test_answers_that_another_order_changes_are_counted():
    examples = np.arange(EXAMPLES)
    first = {"zs": np.zeros(EXAMPLES), "icl": examples < 30, "ft": examples < 30}
    answers = {"": first, ORDER: first | {"icl": (examples < 24) | (examples >= 54)}}
    found = compared({PUBLISHED_METHOD: around(0.2, 0.01), ORDER: around(0.2, 0.01)}, answers)
    assert scores.changed_answers(found, ORDER, "icl").value == 12 / 60
    assert scores.changed_answers(found, ORDER, "ft").value == 0


def test_examples_for_which_a_measure_is_undefined_are_left_out():
    values = around(0.3, 0.01)
    values[3, 1] = np.nan
    found = compared({PUBLISHED_METHOD: values, OTHER: values})
    assert scores.estimate(found, PUBLISHED_METHOD, SIMAOU).value == pytest.approx(np.delete(values, 3, 0).mean())

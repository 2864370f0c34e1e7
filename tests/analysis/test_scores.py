"""Scores against numbers worked out by hand."""

import numpy as np
import polars as pl
import pytest
from scipy.optimize import isotonic_regression

from llm_icl.analysis.cells import Answered, arrange
from llm_icl.analysis.names import Names
from llm_icl.analysis.scores import (
    agreement,
    calibration,
    curve,
    difference,
    examples_needed,
    isotonic,
    log_loss,
    log_losses,
    overconfidence,
    score,
)
from llm_icl.errors import RequestError


def frame(learner, answers, *, labels=((1, 0), (1, 1)), seen=((False, True), (False, False)), prompt=None, **columns):
    """Two problems of two positions; an answer is a probability, or a status where it is text."""
    rows = []
    for i, row in enumerate(answers):
        for k, answer in enumerate(row):
            usable = not isinstance(answer, str)
            rows.append(
                {
                    "learner": learner, "task": "majority", "n": 3, "seed": 0, "prompt": prompt, "problem": i,
                    "position": k, "label": labels[i][k], "probability": float(answer) if usable else None,
                    "prediction": int(answer > 0.5) if usable else None, "status": "ok" if usable else answer,
                    "seen": seen[i][k],
                }
                | columns
            )  # fmt: skip
    schema = {"prompt": pl.String, "probability": pl.Float64, "prediction": pl.Int8}
    return pl.DataFrame(rows, schema_overrides=schema)


def test_accuracies_are_counted_by_position_and_by_novelty():
    (cell,) = arrange(frame("a", [[0.9, 0.8], [0.4, 1.0]]))  # right, wrong, wrong, right
    result = score(cell, "a")
    assert (result.average.value, result.last.value) == (0.5, 0.5)
    assert (result.seen.value, result.unseen.value) == (0.0, pytest.approx(2 / 3))
    assert [at.value for at in curve(cell.learners["a"].correct)] == [0.5, 0.5]


def test_log_loss_and_calibration_are_the_hand_computed_ones():
    (cell,) = arrange(frame("a", [[0.9, 0.8], [0.4, 1.0]]))
    losses = log_losses(cell.learners["a"], cell.label)
    np.testing.assert_allclose(losses, [[-np.log(0.9), -np.log(0.2)], [-np.log(0.4), 0]], atol=1e-12)
    bins = calibration(cell.learners["a"], cell.label)
    assert [(b.count, round(b.predicted, 6), b.observed.value) for b in bins] == [
        (1, 0.4, 1.0),
        (1, 0.8, 0.0),
        (2, 0.95, 1.0),
    ]
    # Confidences .9, .8, .6, 1.0, of which two answers are right.
    assert score(cell, "a").overconfidence.value == pytest.approx((0.9 + 0.8 + 0.6 + 1.0 - 2) / 4)


def test_the_models_failures_are_wrong_and_ours_are_missing():
    (cell,) = arrange(frame("a", [[0.9, "unparseable"], ["error", 1.0]]))
    result = score(cell, "a")
    assert result.average.value == pytest.approx(2 / 3)
    assert result.coverage == 0.75
    assert result.bounds == (0.5, 0.75)
    assert result.statuses == {"unparseable": 0.25, "error": 0.25}


def test_differences_are_paired_on_what_both_answered():
    both = pl.concat([frame("a", [[0.9, 0.1], [0.9, 0.9]]), frame("b", [[0.1, 0.1], ["error", 0.1]])])
    (cell,) = arrange(both)
    gain = difference(cell, "a", "b")
    assert gain.value == pytest.approx(2 / 3)  # three shared positions, two of them better
    assert difference(cell, "a", "absent").value != difference(cell, "a", "absent").value


def test_regret_is_the_accuracy_that_bayes_has_more():
    (cell,) = arrange(
        pl.concat([frame("bayes-labels", [[0.9, 0.1], [0.9, 0.9]]), frame("a", [[0.1, 0.1], [0.9, 0.1]])])
    )
    assert score(cell, "a").regret_labels.value == pytest.approx(0.5)
    assert not score(cell, "bayes-labels").regret_labels.known  # behind itself: nothing to estimate


def test_agreement_counts_equal_answers():
    (cell,) = arrange(pl.concat([frame("a", [[0.9, 0.1], [0.9, 0.9]]), frame("b", [[0.9, 0.9], [0.1, 0.9]])]))
    names, shares = agreement(cell)
    assert names == ["a", "b"]
    np.testing.assert_allclose(shares, [[1, 0.5], [0.5, 1]])


def test_identical_learners_are_called_so_and_few_differences_have_no_interval():
    same = [[0.9, 0.1], [0.9, 0.9]] * 10
    labels, seen = ((1, 0), (1, 1)) * 10, ((False, False),) * 20
    one_differs = [[0.9, 0.9], *same[1:]]
    parts = {"bayes-labels": same, "a": same, "b": one_differs}
    (cell,) = arrange(pl.concat([frame(name, some, labels=labels, seen=seen) for name, some in parts.items()]))
    assert score(cell, "a").regret_labels.identical
    assert score(cell, "a").regret_log_loss.identical
    few = score(cell, "b").regret_labels
    assert not few.identical
    assert (few.value, np.isnan(few.low), np.isnan(few.high)) == (0.025, True, True)


def world(problems, sure, right, seed=0):
    """A learner with P = sure or 1 - sure, which is right with probability `right`, at one position; labels 1."""
    correct = (np.random.default_rng(seed).random((problems, 1)) < right).astype(float)
    probability = np.where(correct == 1, sure, 1 - sure)
    return Answered(np.ones(correct.shape, bool), correct, probability, correct, {}), np.ones(correct.shape)


def test_a_calibrated_learner_is_not_overconfident_on_average_however_few_problems_there_are():
    found = [overconfidence(*world(10, 0.8, 0.8, seed)).value for seed in range(2000)]
    assert abs(np.mean(found)) < 4 * 0.4 / np.sqrt(10 * 2000)
    assert overconfidence(*world(400, 0.9, 0.7)).low > 0.1
    assert overconfidence(*world(400, 0.6, 0.9)).high < -0.2


def test_the_loss_of_a_learner_that_is_never_wrong_has_no_interval():
    """A rare wrong answer with P = .001 would cost 6.9 nats."""
    answered, label = world(50, 0.999, 1.0)
    for estimate in (log_loss(answered, label), overconfidence(answered, label)):
        assert estimate.known
        assert np.isnan(estimate.low)
    answered, label = world(50, 0.9, 0.8)
    assert np.isfinite(log_loss(answered, label)).all()


def rising(counts, problems=10):
    """So many of the problems are right at each position."""
    return np.array([[j < right for right in counts] for j in range(problems)], dtype=float)


def test_examples_needed_is_where_the_rising_curve_gets_there():
    """Of 100 problems, 50, 70, 60, 95, 94, 96 … are right at positions 0, 1 …; rising: 50, 65, 65, 94.5, 94.5, 96 …"""
    correct = rising([50, 70, 60, 95, 94, 96, *[100] * 10], 100)
    found = examples_needed(correct, np.arange(0, 32, 2))
    assert found.value == 6
    assert 4 <= found.low <= 6 <= found.high < 20


def test_what_is_not_shown_to_reach_the_target_is_not_said_to():
    all_right = np.ones((20, 8))  # 20 problems: up to 16 % of all may be wrong
    assert examples_needed(all_right, np.arange(8)) == (np.inf, 0, np.inf)
    assert examples_needed(np.ones((40, 8)), np.arange(8)) == (0, 0, 0)
    assert examples_needed(rising([30] * 8, 100), np.arange(8)) == (np.inf, np.inf, np.inf)
    assert not examples_needed(np.full((20, 8), np.nan), np.arange(8)).known


def test_positions_that_nobody_answered_do_not_matter_to_examples_needed():
    correct = np.ones((40, 8))
    correct[:, 3] = np.nan
    assert examples_needed(correct, np.arange(8)) == (0, 0, 0)


def test_a_flat_curve_below_the_target_is_hardly_ever_said_to_reach_it():
    random = np.random.default_rng(0)
    found = [examples_needed((random.random((20, 40)) < 0.88).astype(float), np.arange(40)) for _ in range(200)]
    assert sum(estimate.value < np.inf for estimate in found) <= 0.05 * 200 + 4 * np.sqrt(200 * 0.05 * 0.95)


def test_a_model_with_two_prompts_is_two_learners_each_with_its_control():
    parts = [
        frame(name, [[0.9, 0.1], [0.9, 0.9]], prompt=prompt)
        for name in ("m", "m (shuffled labels)")
        for prompt in ("basic", "pac")
    ]
    (cell,) = arrange(pl.concat(parts))
    assert cell.models == ["m [basic]", "m [pac]"]
    assert cell.control_of("m [pac]") in cell.learners


def test_a_model_with_a_bracket_in_its_name_has_its_control():
    names = ("m [v2]", "m [v2] (shuffled labels)")
    (cell,) = arrange(pl.concat([frame(name, [[0.9, 0.1], [0.9, 0.9]], prompt="basic") for name in names]))
    assert cell.models == ["m [v2]"]
    assert cell.control_of("m [v2]") in cell.learners


def test_seeds_are_pooled_as_problems():
    (cell,) = arrange(pl.concat([frame("a", [[0.9, 0.1], [0.9, 0.9]]), frame("a", [[0.1, 0.9], [0.1, 0.1]], seed=1)]))
    assert cell.problems == 4
    assert score(cell, "a").average.value == 0.5


def test_runs_of_different_sizes_keep_all_queries_and_are_paired_where_they_share_some():
    large, small = frame("a", [[0.9, 0.1], [0.9, 0.9]]), frame("b", [[0.9, 0.1], [0.1, 0.9]])
    (cell,) = arrange(pl.concat([large, small.filter(pl.col("problem") == 1)]))
    assert cell.learners["b"].asked.tolist() == [[False, False], [True, True]]
    assert (score(cell, "a").average.value, score(cell, "b").average.value) == (1.0, 0.5)
    assert (score(cell, "b").coverage, score(cell, "b").bounds) == (1, (0.5, 0.5))
    assert difference(cell, "a", "b").value == 0.5  # on the second problem


def test_the_best_constant_of_two_runs_is_that_of_all_their_queries():
    first = frame("best-constant", [[0.6] * 2] * 2)
    second = frame("best-constant", [[0.4] * 2] * 2).filter(pl.col("problem") == 1)
    (cell,) = arrange(pl.concat([first, second]))
    assert cell.learners["best-constant"].probability.tolist() == [[0.75, 0.75], [0.75, 0.75]]
    assert cell.learners["best-constant"].prediction.tolist() == [[1, 1], [1, 1]]


def test_problems_of_one_label_are_known_by_task_and_seed():
    listed = pl.DataFrame(
        {"run": "", "task": ["majority", "other"], "n": [3, 3], "seed": [1, 0], "problem": [0, 1]},
        schema_overrides={"n": pl.Int32},
    )
    rows = [frame("a", [[0.9, 0.1]] * 2, prompt="p", seed=seed) for seed in (0, 1)]
    (cell,) = arrange(pl.concat(rows), one_label=listed)
    assert cell.learners["a"].one_label.tolist() == [False, False, True, False]


def test_runs_that_cannot_be_compared_are_refused():
    one = frame("a", [[0.9, 0.1], [0.9, 0.9]])
    with pytest.raises(RequestError, match="two different answers"):
        arrange(pl.concat([one, frame("a", [[0.1, 0.1], [0.9, 0.9]])]))
    with pytest.raises(RequestError, match="contain different problems"):
        arrange(pl.concat([one, frame("b", [[0.1, 0.1], [0.9, 0.9]], labels=((0, 0), (1, 1)))]))
    assert len(arrange(pl.concat([one, one]))) == 1  # the same run twice says nothing new


def test_the_nearest_rising_values_are_scipys():
    rng = np.random.default_rng(0)
    for i in range(200):
        count = int(rng.integers(1, 40))
        values = rng.integers(0, 5, count) / 4 if i % 2 else rng.random(count)
        weights = rng.integers(1, 30, count).astype(float)
        np.testing.assert_allclose(
            isotonic(values, weights), isotonic_regression(values, weights=weights).x, atol=1e-12
        )


def test_falling_neighbours_are_pooled_by_their_weights():
    found = isotonic(np.array([0.1, 0.8, 0.2, 0.9]), np.array([1.0, 1.0, 3.0, 1.0]))
    np.testing.assert_allclose(found, [0.1, 0.35, 0.35, 0.9])


def test_the_best_constant_of_a_cell_is_one_over_all_seeds():
    """Fitted to each seed alone it would be right on all queries of these two, and is right on half of them."""
    ones = frame("best-constant", [[1.0] * 2] * 2, labels=((1, 1), (1, 1)))
    zeros = frame("best-constant", [[0.0] * 2] * 2, labels=((0, 0), (0, 0)), seed=1)
    (cell,) = arrange(pl.concat([ones, zeros]))
    assert np.nanmean(cell.learners["best-constant"].correct) == 0.5
    assert set(cell.learners["best-constant"].probability.ravel()) == {0.5}


def test_one_label_is_that_of_the_run_that_asked():
    """A problem's first points may have one label, and its further points, in another run, the other label."""
    listed = pl.DataFrame(
        {"run": "short", "task": "majority", "n": 3, "seed": 0, "problem": [0, 1]}, schema_overrides={"n": pl.Int32}
    )
    rows = pl.concat(
        [frame("a", [[0.9, 0.1]] * 2, run="short", prompt="p"), frame("b", [[0.9, 0.1]] * 2, run="long", prompt="p")]
    )
    (cell,) = arrange(rows, one_label=listed, names=Names.among(rows))
    assert cell.learners["a"].one_label.tolist() == [True, True]
    assert cell.learners["b"].one_label.tolist() == [False, False]

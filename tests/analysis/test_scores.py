"""Scores against numbers worked out by hand."""

import numpy as np
import polars as pl
import pytest

from llm_icl.analysis.cells import arrange
from llm_icl.analysis.scores import agreement, calibration, curve, difference, examples_needed, log_losses, score
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
    assert [(b.count, round(b.predicted, 6), b.observed) for b in bins] == [
        (1, 0.4, 1.0),
        (1, 0.8, 0.0),
        (2, 0.95, 1.0),
    ]
    assert score(cell, "a").calibration_error == pytest.approx((0.6 + 0.8 + 2 * 0.05) / 4)


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


def test_examples_needed_is_where_the_rising_curve_gets_there():
    """Of ten problems, 5, 7, 6, 9, 9, 10 are right at positions 0 to 5; rising: 5, 6.5, 6.5, 9, 9, 10."""
    correct = np.array([[j < right for right in (5, 7, 6, 9, 9, 10)] for j in range(10)], dtype=float)
    assert examples_needed(correct, np.arange(6)).value == 3
    assert examples_needed(correct[:, :3], np.arange(3)).value == float("inf")


def test_a_model_with_two_prompts_is_two_learners_each_with_its_control():
    parts = [
        frame(name, [[0.9, 0.1], [0.9, 0.9]], prompt=prompt)
        for name in ("m", "m (shuffled labels)")
        for prompt in ("basic", "pac")
    ]
    (cell,) = arrange(pl.concat(parts))
    assert cell.models == ["m [basic]", "m [pac]"]
    assert cell.control_of("m [pac]") in cell.learners


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
        {"task": ["majority", "other"], "n": [3, 3], "seed": [1, 0], "problem": [0, 1]},
        schema_overrides={"n": pl.Int32},
    )
    (cell,) = arrange(pl.concat([frame("a", [[0.9, 0.1]] * 2), frame("a", [[0.9, 0.1]] * 2, seed=1)]), one_label=listed)
    assert cell.one_label.tolist() == [False, False, True, False]


def test_runs_that_cannot_be_compared_are_refused():
    one = frame("a", [[0.9, 0.1], [0.9, 0.9]])
    with pytest.raises(RequestError, match="two different answers"):
        arrange(pl.concat([one, frame("a", [[0.1, 0.1], [0.9, 0.9]])]))
    with pytest.raises(RequestError, match="contain different problems"):
        arrange(pl.concat([one, frame("b", [[0.1, 0.1], [0.9, 0.9]], labels=((0, 0), (1, 1)))]))
    assert len(arrange(pl.concat([one, one]))) == 1  # the same run twice says nothing new

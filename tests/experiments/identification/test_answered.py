"""A subject's answers, as the analysis takes them."""

import numpy as np
import polars as pl

from llm_icl.experiments.identification.answered import read_answers


def frame(prediction, probability=None, agreement=None):
    count = len(prediction)
    return pl.DataFrame(
        {
            "prediction": pl.Series(prediction, dtype=pl.Int8),
            "probability": pl.Series(probability or [None] * count, dtype=pl.Float64),
            "agreement": pl.Series(agreement or [None] * count, dtype=pl.Float64),
        }
    )


def test_probabilities_count_if_every_answer_has_one():
    both = read_answers([frame([1, 0, None, 1], [0.9, 0.2, 0.4, 0.6])], (1, 2, 2), 1)
    assert both.probabilities
    assert both.share == 0.75
    np.testing.assert_array_equal(both.answers, [[[0.9, 0.2], [np.nan, 0.6]]])
    some = read_answers([frame([1, 0, None, 1], [0.9, None, None, 0.6])], (1, 2, 2), 1)
    assert not some.probabilities
    np.testing.assert_array_equal(some.answers, [[[1, 0], [np.nan, 1]]])


def test_questions_that_were_not_always_answered_tell_nothing_of_agreement():
    share = [None if i % 3 else 1.0 if i % 2 else 2 / 3 for i in range(240)]
    found = read_answers([frame([1] * 240, None, share)], (1, 80, 3), 3)
    np.testing.assert_allclose(found.repeats.agreement, [(1 + 1 / 3) / 2])
    assert found.answers.ravel()[np.arange(240) % 3 > 0].tolist() == [1.0] * 160
    assert read_answers([frame([1] * 30, None, [1.0] * 19 + [None] * 11)], (1, 10, 3), 3).repeats.agreement is None


def test_of_repeated_labels_one_is_drawn_and_the_agreement_is_that_of_pairs():
    # Three answers to each of 3,000 questions, of a subject that says 1 with probability 0.8.
    random = np.random.default_rng(1)
    said = random.random((3000, 3)) < 0.8
    ones = said.sum(axis=1)
    majority = (ones >= 2).astype(int)
    share = np.maximum(ones, 3 - ones) / 3
    found = read_answers([frame(majority.tolist(), None, share.tolist())], (1, 1000, 3), 3)
    assert abs(found.answers.mean() - 0.8) < 0.03  # the majority would be 1 in 89.6 %
    (a, b, c) = said.T
    pairs = np.mean([(a == b).mean(), (a == c).mean(), (b == c).mean()])
    np.testing.assert_allclose(found.repeats.agreement, [pairs])

"""Intervals and sentences of a comparison, from numbers made by hand."""

import numpy as np
import polars as pl
import pytest

from llm_icl.experiments.finetuning import scores
from llm_icl.experiments.finetuning.compared import Compared
from llm_icl.experiments.finetuning.measures import SIMAOU, SIMAOU_RANDOM
from llm_icl.experiments.finetuning.methods import METHOD, OTHER, PUBLISHED_METHOD, SHUFFLED, UNTRAINED

EXAMPLES = 60


def compared(values, answers=None, seeds=(1, 2), nulls=None):
    """SimAOU by method: an array (E, S), or (E, 1) if all seeds agree; its null is 0, or the number of the method in
    `nulls`.
    """
    examples = np.arange(EXAMPLES)
    measures, rows = [], []
    for method, numbers in values.items():
        for column, seed in enumerate(seeds):
            fixed = {METHOD: method, "seed": seed, "example": examples}
            null = np.full(EXAMPLES, (nulls or {}).get(method, 0.0))
            for name, value in (
                (SIMAOU.name, np.broadcast_to(numbers, (EXAMPLES, len(seeds)))[:, column]),
                (SIMAOU_RANDOM.name, null),
            ):
                measures.append(pl.DataFrame(fixed | {"measure": name, "value": value}))
            right = answers or {"zs": examples % 2, "icl": examples % 3 > 0, "ft": examples % 5 > 0}
            own = {name: np.asarray(some).astype(int) for name, some in right.items()}
            rows.append(pl.DataFrame(fixed | {"label": np.ones(EXAMPLES, int)} | own))
    layers = pl.DataFrame({METHOD: [PUBLISHED_METHOD], "measure": [SIMAOU.name], "layer": [0], "value": [0.1]})
    return Compared(pl.concat(rows), pl.concat(measures), layers, {}, (0.1,), dict.fromkeys(seeds, 4), {}, {})


def around(level, spread, seed=0):
    values = np.random.default_rng(seed).normal(size=(EXAMPLES, 1))
    return level + spread * (values - values.mean())


def sentence(found, start="SimAOU is"):
    return next(line for line in scores.verdict(found) if line.startswith(start))


def test_a_control_that_is_more_similar():
    found = compared({PUBLISHED_METHOD: around(0.2, 0.05), OTHER: around(0.25, 0.05, seed=1)})
    assert "finetuning on other demonstrations is at least as similar (difference -0.050 [" in sentence(found)
    assert sentence(found).endswith("the similarity does not require these examples.")


def test_where_both_controls_are_more_similar_neither_examples_nor_labels_are_required():
    found = compared(
        {PUBLISHED_METHOD: around(0.2, 0.01), OTHER: around(0.25, 0.01, 1), SHUFFLED: around(0.25, 0.01, 2)}
    )
    assert sentence(found).endswith("the similarity does not require these examples or correct labels.")


def test_where_the_interval_holds_0_they_cannot_be_distinguished():
    found = compared({PUBLISHED_METHOD: around(0.2, 0.3), OTHER: around(0.18, 0.3, seed=1)})
    assert "finetuning on other demonstrations cannot be distinguished from it (difference +0.020 [" in sentence(found)
    assert sentence(found).endswith("inconclusive: the controls cannot be distinguished from finetuning.")


def test_what_a_control_leaves_is_said_in_percent():
    found = compared(
        {PUBLISHED_METHOD: around(0.2, 0.01), OTHER: around(0.15, 0.01, 1), SHUFFLED: around(0.05, 0.01, 2)}
    )
    assert "finetuning on other demonstrations reaches 75 % of this excess" in sentence(found)
    assert "finetuning on shuffled labels reaches 25 % of this excess" in sentence(found)
    assert sentence(found).endswith(
        "25.0 % of this excess remains above every control, which supports that ICL and finetuning learn the same from "
        "these examples."
    )


def test_a_control_that_is_below_its_null_leaves_all_and_not_more():
    found = compared({PUBLISHED_METHOD: around(0.2, 0.01), OTHER: around(-0.05, 0.01, 1)})
    assert "finetuning on other demonstrations reaches 0 % of this excess" in sentence(found)
    assert "100.0 % of this excess remains above every control" in sentence(found)


def test_a_control_shares_what_is_above_the_null_and_not_the_null():
    values = {PUBLISHED_METHOD: around(0.2, 0.01), OTHER: around(0.15, 0.01, 1), UNTRAINED: around(0.09, 0.01, 2)}
    found = compared(values, nulls={PUBLISHED_METHOD: 0.1, OTHER: 0.1, UNTRAINED: 0.04})
    assert "is 0.200 [" in sentence(found)
    assert "above chance (+0.100 [" in sentence(found)
    assert "finetuning on other demonstrations reaches 50 % of this excess (difference +0.050 [" in sentence(found)
    assert "an untrained model reaches 50 % of this excess (difference +0.050 [" in sentence(found)


def test_an_untrained_model_tells_of_the_model_and_not_of_the_examples():
    few = {PUBLISHED_METHOD: around(0.2, 0.01), OTHER: around(0.05, 0.01, 1), SHUFFLED: around(0.05, 0.01, 2)}
    found = compared(few | {UNTRAINED: around(0.25, 0.01, 3)})
    assert sentence(found).endswith("the similarity does not require a trained model.")
    found = compared(few | {SHUFFLED: around(0.25, 0.01, 2), UNTRAINED: around(0.25, 0.01, 3)})
    assert sentence(found).endswith("the similarity does not require correct labels.")


def test_an_excess_that_does_not_vary_has_no_interval():
    found = compared({PUBLISHED_METHOD: np.zeros((EXAMPLES, 1))})
    assert "SimAOU is 0.000, not distinguishable from chance (+0.000):" in sentence(found)


def test_what_is_not_above_its_null_shows_nothing():
    found = compared({PUBLISHED_METHOD: around(0.0, 0.1), OTHER: around(-0.3, 0.01, 1)})
    assert "not distinguishable from chance" in sentence(found)
    assert sentence(found).endswith("no similarity is shown.")


def test_one_set_of_demonstrations_is_said_to_be_one():
    values = {PUBLISHED_METHOD: around(0.2, 0.01)}
    assert scores.verdict(compared(values, seeds=(1,)))[-1].startswith("Only one set of demonstrations was drawn")
    assert not any("Only one set" in line for line in scores.verdict(compared(values)))


def test_the_interval_widens_with_what_differs_between_seeds():
    same = np.repeat(around(0.2, 0.05), 3, axis=1)
    apart = same + np.array([-0.05, 0.0, 0.05])
    narrow, wide = (
        scores.estimate(compared({PUBLISHED_METHOD: values}, seeds=(1, 2, 3)), PUBLISHED_METHOD, SIMAOU)
        for values in (same, apart)
    )
    assert narrow.value == pytest.approx(wide.value)
    assert narrow.high - narrow.low < 0.03
    # Three seeds 0.05 apart: a standard error of 0.05 / sqrt(3), and Student's t of about 2 degrees of freedom.
    assert wide.high - wide.low == pytest.approx(2 * 4.3 * 0.05 / np.sqrt(3), rel=0.15)


def test_recovery_is_compared_with_the_queries_that_finetuning_does_not_correct():
    # Of 60 queries that zero-shot gets wrong, finetuning corrects 20; ICL corrects 15 of these and 10 of the other 40.
    examples = np.arange(EXAMPLES)
    answers = {"zs": np.zeros(EXAMPLES), "ft": examples < 20, "icl": (examples < 15) | (examples >= 50)}
    found = compared({PUBLISHED_METHOD: around(0.2, 0.01)}, answers)
    recovered, null = scores.recovery(found, PUBLISHED_METHOD)
    gain = scores.recovery_gain(found, PUBLISHED_METHOD)
    assert (recovered.value, null.value, gain.value) == (0.75, 0.25, pytest.approx(0.5))
    # Two shares of 20 and 40: 0.75 · 0.25 / 20 + 0.25 · 0.75 / 40, about.
    half = 2.0 * np.sqrt(0.75 * 0.25 * (1 / 20 + 1 / 40))
    assert (gain.high - gain.low) / 2 == pytest.approx(half, rel=0.1)
    text = sentence(
        found, "Of the queries that zero-shot gets wrong and finetuning gets right, ICL also gets right 75.0 %"
    )
    assert "of those that both get wrong, 25.0 %" in text
    assert "the first is above the second" in text


def test_all_of_a_few_corrected_queries_are_no_proof():
    # Finetuning corrects 4 queries, and in context all of these are right; of the other 56 that are wrong alone, 80 %.
    examples = np.arange(EXAMPLES)
    answers = {"zs": np.zeros(EXAMPLES), "ft": examples < 4, "icl": examples < 49}
    found = compared({PUBLISHED_METHOD: around(0.2, 0.01)}, answers)
    assert "the first is not distinguishable from the second" in sentence(found, "Of the queries")


def test_nothing_is_said_of_recovery_where_nothing_is_corrected():
    found = compared({PUBLISHED_METHOD: around(0.2, 0.01)}, {"zs": np.zeros(EXAMPLES), "ft": np.zeros(EXAMPLES),
                                                         "icl": np.ones(EXAMPLES)})  # fmt: skip
    assert not scores.recovery(found, PUBLISHED_METHOD)[0].known
    assert not any(line.startswith("Of the queries") for line in scores.verdict(found))

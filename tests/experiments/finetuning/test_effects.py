"""What a report concludes from its comparisons, corrected for their number."""

import dataclasses

import numpy as np
import pytest

from llm_icl.analysis.effects import comparisons, shown
from llm_icl.analysis.intervals import FEWEST_SEEDS, Estimate
from llm_icl.experiments.finetuning.effects import RECOVERY, SYMBOLS, effects, gains
from llm_icl.experiments.finetuning.measures import CONTROLLED, SIMAOU, SIMILARITIES
from llm_icl.experiments.finetuning.methods import (
    CONTROLS,
    LAYER_CAUSAL_MATCHED,
    OTHER,
    PUBLISHED_METHOD,
    RANDOM,
    SHUFFLED,
    UNTRAINED,
)
from tests.experiments.finetuning.worlds import EXAMPLES, around, compared


def outcomes(found):
    return {key: one.outcome for key, one in shown(effects(found)).items()}


def test_each_measure_is_compared_with_random_updates_and_some_with_every_control():
    methods = (PUBLISHED_METHOD, *CONTROLS)
    measures = {measure.name: {one: around(0.2, 0.1, i) for i, one in enumerate(methods)} for measure in SIMILARITIES}
    found = effects(compared(measures))
    against = [(measure.name, RANDOM) for measure in SIMILARITIES]
    against += [(measure.name, control) for measure in CONTROLLED for control in CONTROLS]
    assert set(found) == {(RECOVERY, RANDOM), *against}


def test_above_below_the_same_and_too_few():
    values = {
        PUBLISHED_METHOD: around(0.2, 0.01),
        OTHER: around(0.3, 0.01, 1),
        SHUFFLED: around(0.201, 0.01, 2),
        UNTRAINED: around(0.15, 0.01, 3, between=0.1),
    }
    found = outcomes(compared(values))
    assert found[SIMAOU.name, RANDOM] == "above"
    assert found[SIMAOU.name, OTHER] == "below"
    assert found[SIMAOU.name, SHUFFLED] == "equivalent"
    assert found[SIMAOU.name, UNTRAINED] == "too few"
    assert [SYMBOLS[found[SIMAOU.name, name]] for name in (RANDOM, OTHER, SHUFFLED, UNTRAINED)] == ["↑", "↓", "≈", "?"]


def test_labels_that_are_all_alike_are_no_shuffled_labels():
    """Of five draws of demonstrations two have one label only: what shuffling does is told by the other three."""
    own, changes = around(0.2, 0.01), around(0.1, 0.01, 1)
    changes[:, :2] = own[:, :2]  # the same labels, so the same update
    world = {PUBLISHED_METHOD: own, SHUFFLED: changes, OTHER: changes}
    unchanged = {1: 1.0, 2: 1.0, 3: 0.5, 4: 0.25, 5: 0.75}
    found = effects(dataclasses.replace(compared(world), unchanged_labels=unchanged))
    assert found[SIMAOU.name, SHUFFLED].replicates == 3
    expected = (own - changes)[:, 2:].mean()
    assert found[SIMAOU.name, SHUFFLED].estimate().value == pytest.approx(expected)
    assert found[SIMAOU.name, OTHER].estimate().value == pytest.approx((own - changes).mean())
    told = shown(effects(dataclasses.replace(compared(world), unchanged_labels=dict.fromkeys(range(1, 6), 1.0))))
    assert told[SIMAOU.name, SHUFFLED].outcome == "no data"


def test_a_control_that_does_the_same_throughout_is_identical():
    values = around(0.2, 0.01)
    assert outcomes(compared({PUBLISHED_METHOD: values, OTHER: values}))[SIMAOU.name, OTHER] == "identical"


def test_fewer_than_three_draws_of_demonstrations_show_nothing():
    for count in range(1, FEWEST_SEEDS):
        draws = around(0.2, 0.01, draws_of_demonstrations=count)
        told = shown(effects(compared({PUBLISHED_METHOD: draws, OTHER: draws})))
        assert {one.outcome for one in told.values()} <= {"too few", "no data"}
        assert comparisons(told) == 0


def test_claims_are_corrected_for_their_number():
    rng = np.random.default_rng(1)
    values = around(0.4, 0.01, between=0.1)
    alone = compared({SIMAOU.name: {PUBLISHED_METHOD: values}})
    estimate = effects(alone)[SIMAOU.name, RANDOM].estimate()
    assert 0 < estimate.low < 0.5 * estimate.value  # clear by itself, but not by far
    key = SIMAOU.name, RANDOM
    assert shown({key: effects(alone)[key]})[key].outcome == "above"
    others = {
        (str(i), RANDOM): effects(compared({PUBLISHED_METHOD: rng.normal(size=(EXAMPLES, 5))}))[key] for i in range(30)
    }
    told = shown({key: effects(alone)[key]} | others)
    assert told[key].outcome == "too few"
    assert comparisons(told) == 31
    assert told[key].shown.low < estimate.low
    # Five draws with 4 degrees of freedom, 31 comparisons: by noncentral t, 80 % are found at 9.4 standard errors.
    error = effects(alone)[key].error
    assert error == pytest.approx(values.mean(axis=0).std(ddof=1) / np.sqrt(5), rel=0.05)
    assert told[key].resolves / error == pytest.approx(9.4, abs=0.1)
    assert told[key].needed > 5


def test_recovery_that_cannot_be_compared_has_no_data():
    nothing = {"zs": np.zeros(EXAMPLES), "ft": np.arange(EXAMPLES) < 9, "icl": np.ones(EXAMPLES)}
    answers = {"": nothing} | {f"{RANDOM}, {i}": nothing | {"ft": np.zeros(EXAMPLES)} for i in (1, 2, 3)}
    assert outcomes(compared({PUBLISHED_METHOD: around(0.2, 0.01)}, answers))[RECOVERY, RANDOM] == "no data"


def test_an_interval_that_cannot_be_given_is_no_claim():
    found = compared({PUBLISHED_METHOD: around(0.2, 0.01)})
    effect = effects(found)[SIMAOU.name, RANDOM]
    without = type(effect)(lambda level: Estimate(0.5, np.nan, np.nan), 5)
    told = shown({"a": effect, "b": without})
    assert [one.outcome for one in told.values()] == ["above", "too few"]
    assert comparisons(told) == 1


def test_layer_causal_descent_is_compared_at_the_same_length():
    assert LAYER_CAUSAL_MATCHED in CONTROLS


def test_a_gain_is_corrected_for_all_gains_of_a_report():
    """The same gain is shown as the only one, and not as one of thirty."""
    random = np.random.default_rng(0)
    zero = random.random(around(0.2, 0.01).shape) < 0.5
    better = zero | (random.random(zero.shape) < 0.13)
    worse = better & (random.random(zero.shape) < 0.95)
    one = compared({PUBLISHED_METHOD: around(0.2, 0.01)}, {"": {"zs": zero, "icl": worse, "ft": zero}})
    alone = gains({0: one})[0]
    assert alone.outcome == "above"
    assert gains(dict.fromkeys(range(30), one))[0].outcome == "too few"
    assert alone.shown.value == pytest.approx(worse.mean() - zero.mean())

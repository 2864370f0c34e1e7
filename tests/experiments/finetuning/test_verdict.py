"""The sentences of a comparison, from numbers made by hand."""

import numpy as np
import pytest

from llm_icl.analysis.effects import correction, shown
from llm_icl.experiments.finetuning.effects import effects, gains
from llm_icl.experiments.finetuning.measures import ORDER_FINETUNED, ORDER_IN_CONTEXT, SIMAOU
from llm_icl.experiments.finetuning.methods import (
    LAYER_CAUSAL,
    LAYER_CAUSAL_MATCHED,
    ORDER,
    OTHER,
    PUBLISHED_METHOD,
    RANDOM,
    SHUFFLED,
    UNTRAINED,
    draws,
)
from llm_icl.experiments.finetuning.verdict import (
    _signed,
    gain_sentence,
    loss_sentences,
    one_answer_sentences,
    rate_sentences,
    verdict,
)
from tests.experiments.finetuning.worlds import EXAMPLES, around, compared

NUMBERS = np.arange(EXAMPLES)
# Two queries of six are right without demonstrations, five in context, three finetuned.
GAIN = {"": {"zs": NUMBERS % 6 < 2, "icl": NUMBERS % 6 < 5, "ft": NUMBERS % 6 < 3}}


def said(values, answers=GAIN, **more):
    found = compared(values, answers, **more)
    told = effects(found)
    judged = shown(told)
    doubts = (correction(judged), *loss_sentences([found]), *rate_sentences([found]))
    gain = gains({"texts": found})["texts"]
    return [gain_sentence(found, gain), *verdict(found, told, judged, gain), *doubts]


def sentence(values, start="SimAOU is", **more):
    return next(line for line in said(values, **more) if line.startswith(start))


def test_the_gain_stands_first():
    first, *_ = said({PUBLISHED_METHOD: around(0.2, 0.01)})
    assert first.startswith("Accuracy is 33.3 % without demonstrations, 83.3 % in context (+50.0 points [")
    assert "and 50.0 % finetuned (+16.7 points [" in first
    assert "nothing" not in first


def test_without_a_gain_there_is_nothing_to_be_similar_to():
    worse = {"": GAIN[""] | {"icl": NUMBERS % 6 < 1}}
    lines = said({PUBLISHED_METHOD: around(0.2, 0.01), OTHER: around(0.05, 0.01, 1)}, worse)
    assert lines[0].endswith("no in-context gain is shown, so that there is nothing for finetuning to be similar to.")
    own = next(line for line in lines if line.startswith("SimAOU"))
    assert own.endswith(": a similarity of changes inside the model, without a gain in context.")
    assert "learn the same" not in " ".join(lines)


@pytest.mark.parametrize("count", [1, 2])
def test_from_too_few_draws_of_demonstrations_nothing_is_said_of_similarity(count):
    values = {PUBLISHED_METHOD: around(0.2, 0.01, draws_of_demonstrations=count)}
    lines = said(values, None)
    word = "draw" if count == 1 else "draws"
    assert f"{count} {word} of demonstrations: no conclusion about similarity." in lines[1]
    assert not any(word in " ".join(lines) for word in ("SimAOU", "Rec2FTP", "similar to"))


def test_what_is_no_more_similar_than_random_updates_shows_nothing():
    values = around(0.2, 0.01)
    line = sentence({PUBLISHED_METHOD: values}, nulls={RANDOM: values[:, ::-1]})
    assert "SimAOU is 0.200, and 0.200 of random updates: the same within 0.02, so that no similarity is shown" in line
    line = sentence({PUBLISHED_METHOD: values}, nulls={RANDOM: around(0.3, 0.01, 1)})
    assert "0.300 of random updates: below, so that no similarity is shown (-0.100" in line


def test_too_few_draws_say_what_they_resolve():
    line = sentence({PUBLISHED_METHOD: around(0.2, 0.01, between=0.2)})
    assert "of random updates: too few draws to tell, these resolve " in line
    assert ", and 0.02 takes about " in line


def test_a_control_that_is_as_similar_or_more():
    values = {PUBLISHED_METHOD: around(0.2, 0.01), OTHER: around(0.25, 0.01, 1), SHUFFLED: around(0.2, 0.01, 2)}
    line = sentence(values)
    assert "finetuning on other demonstrations is more similar, with 125 % of this excess (difference -0.050 [" in line
    assert "finetuning on shuffled labels is as similar, within 0.02 (difference" in line
    assert line.endswith("the similarity does not require these examples or correct labels.")


def test_a_control_that_cannot_be_told_is_no_evidence():
    values = {PUBLISHED_METHOD: around(0.2, 0.01), OTHER: around(0.15, 0.01, 1, between=0.1)}
    line = sentence(values)
    assert "finetuning on other demonstrations is not told from it (difference" in line
    assert line.endswith("too few draws to tell it from the controls.")


def test_what_every_control_leaves_is_said_in_percent():
    values = {PUBLISHED_METHOD: around(0.2, 0.01), OTHER: around(0.15, 0.01, 1), UNTRAINED: around(0.05, 0.01, 2)}
    line = sentence(values)
    assert "finetuning on other demonstrations is less similar, with 75 % of this excess" in line
    assert "an untrained model is less similar, with 25 % of this excess" in line
    assert line.endswith(
        "25 % of this excess remains above every control, which supports that ICL and finetuning learn the same from "
        "these examples."
    )


def test_an_untrained_model_tells_of_the_model():
    values = {PUBLISHED_METHOD: around(0.2, 0.01), OTHER: around(0.1, 0.01, 1), UNTRAINED: around(0.3, 0.01, 2)}
    assert sentence(values).endswith("the similarity does not require a trained model.")


def test_another_order_is_no_evidence_against_learning_from_the_examples():
    values = {PUBLISHED_METHOD: around(0.2, 0.01), OTHER: around(0.1, 0.01, 1), ORDER: around(0.2, 0.01, 2)}
    line = sentence(values)
    assert "finetuning in another order is as similar" in line
    assert line.endswith("learn the same from these examples.")


def test_without_controls_that_is_said():
    assert sentence({PUBLISHED_METHOD: around(0.2, 0.01)}).endswith("no control was run.")


def test_the_number_of_comparisons_is_said():
    values = {PUBLISHED_METHOD: around(0.2, 0.01), OTHER: around(0.1, 0.01, 1)}
    # SimAOU against random updates and against others, and Rec2FTP.
    assert any("corrected for the 3 comparisons of such runs in this report (Holm)" in line for line in said(values))


def test_recovery_stands_beside_that_of_random_updates():
    random = {"zs": NUMBERS % 6 < 2, "icl": NUMBERS % 6 < 5, "ft": (NUMBERS % 6 < 2) | (NUMBERS % 6 == 5)}
    answers = GAIN | dict.fromkeys(draws(RANDOM), random)
    line = sentence({PUBLISHED_METHOD: around(0.2, 0.01)}, "Of the queries", answers=answers)
    assert "ICL also gets right 100.0 %" in line
    assert "and 0.0 % of those that random updates correct: above" in line
    nothing = GAIN | {draw: GAIN[""] | {"ft": GAIN[""]["zs"]} for draw in draws(RANDOM)}
    line = sentence({PUBLISHED_METHOD: around(0.2, 0.01)}, "Of the queries", answers=nothing)
    assert "random updates correct no query, so that there is nothing to compare it with" in line


def test_the_order_of_the_demonstrations_matters_to_which():
    one = around(0.9, 0.01)
    values = {
        SIMAOU.name: {PUBLISHED_METHOD: around(0.2, 0.01), ORDER: around(0.2, 0.01, 1)},
        ORDER_IN_CONTEXT.name: {ORDER: one},
        ORDER_FINETUNED.name: {ORDER: one + 0.09},
    }
    answers = GAIN | {ORDER: GAIN[""] | {"icl": NUMBERS % 6 < 4}}
    line = sentence(values, "With the same demonstrations in another order", answers=answers)
    assert "ICL changes 16.7 % of its answers, and its update of attention's outputs has a cosine of 0.900" in line
    assert (
        "finetuning changes 0.0 % of its answers, and its update of attention's outputs has a cosine of 0.990" in line
    )


def test_updates_that_raise_the_loss_are_said_to():
    values = {one: around(0.2, 0.01) for one in (PUBLISHED_METHOD, LAYER_CAUSAL, LAYER_CAUSAL_MATCHED)}
    losses = {PUBLISHED_METHOD: dict.fromkeys(range(1, 6), (3.0, 2.5)),
              LAYER_CAUSAL: dict.fromkeys(range(1, 5), (3.0, 5.0)) | {5: (3.0, 2.0)},
              LAYER_CAUSAL_MATCHED: dict.fromkeys(range(1, 6), (3.0, 2.9))}  # fmt: skip
    assert loss_sentences([compared(values, losses=losses)]) == [
        "Layer-causal gradient descent raises the loss of the demonstrations in 4 of 5 draws (on average from 3.00 to "
        "4.40 nats a token): there it describes an update, not learning."
    ]
    del losses[LAYER_CAUSAL], losses[LAYER_CAUSAL_MATCHED]
    assert loss_sentences([compared({PUBLISHED_METHOD: around(0.2, 0.01)}, losses=losses)]) == [
        "Layer-causal gradient descent was not run: the read-out of this model is unknown."
    ]


def test_learning_rates_at_an_end_of_the_candidates_are_said():
    values = {PUBLISHED_METHOD: around(0.2, 0.01)}
    rates = {PUBLISHED_METHOD: {1: 0.1, 2: 0.1, 3: 0.01, 4: 0.001, 5: 0.01}}
    found = compared(values, rates=rates, candidates=(0.001, 0.01, 0.1))
    assert rate_sentences([found]) == [
        "The learning rate is the smallest candidate in 1 of 5 draws: there may be better ones beyond it.",
        "The learning rate is the largest candidate in 2 of 5 draws: there may be better ones beyond it.",
    ]
    assert rate_sentences([found, found])[0].startswith("The learning rate is the smallest candidate in 2 of 10 draws")
    assert rate_sentences([compared(values, rates=rates, candidates=(0.1,))]) == []


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.147, "+0.147"), (-0.0004, "-0.0004"), (3e-6, "+0.000003"), (0.0, "+0.000"), (1.2, "+1.200"), (np.nan, "+nan")],
)
def test_a_small_difference_is_neither_zero_nor_a_power_of_ten(value, written):
    assert _signed(value) == written


def test_draws_that_decide_one_answer_to_all_queries_are_counted():
    values = {PUBLISHED_METHOD: around(0.2, 0.01, draws_of_demonstrations=4)}
    answers = np.stack([NUMBERS >= 0, NUMBERS < 0, NUMBERS % 2 == 0, NUMBERS >= 0], axis=1)
    found = compared(values, {"": {"zs": NUMBERS >= 0, "icl": answers, "ft": NUMBERS % 3 == 0}})
    (sentence,) = one_answer_sentences([found])
    assert sentence.startswith("In context, all queries get the same answer in 3 of 4 draws: ")
    assert one_answer_sentences([found, found])[0].startswith("In context, all queries get the same answer in 6 of 8")
    assert one_answer_sentences([compared(values, GAIN)]) == []

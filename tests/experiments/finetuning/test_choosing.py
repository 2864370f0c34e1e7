"""The chosen learning rate, and the parameters finetuned at it."""

import pytest
import torch

from llm_icl.experiments.finetuning import choosing
from llm_icl.experiments.finetuning.choosing import Chosen, best_rate
from llm_icl.experiments.finetuning.descent import applied, finetune
from llm_icl.experiments.finetuning.projections import attention_layers
from llm_icl.experiments.finetuning.text_tasks import Example
from tests.experiments.finetuning.conftest import DEMONSTRATIONS, QUERIES, make_reader

VALIDATION = [*QUERIES, Example("a bright film :", 1), Example("long :", 0), Example("a dull film :", 0)]


def right(reader, layers, rate):
    with applied(layers, finetune(reader, layers, DEMONSTRATIONS, rate)):
        nothing = reader.read([])
        return sum(reader.answer(nothing, example).label == example.label for example in VALIDATION)


def chosen(reader, layers, *rates):
    return best_rate(reader, layers, DEMONSTRATIONS, VALIDATION, rates, lambda *_: None)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma"])
def test_it_has_the_highest_validation_accuracy_and_of_equals_is_the_smallest(family):
    reader = make_reader(family)
    layers = attention_layers(reader.model)
    rates = (0.3, 1e-30, 0.1, 1e45, 0.03, 1e-31)
    counts = {rate: right(reader, layers, rate) for rate in rates if rate < 1}
    best = chosen(reader, layers, *rates)
    rate, made = best.rate, best.made
    assert best.left_out == (1e45,)
    assert rate == min(rate for rate, count in counts.items() if count == max(counts.values()))
    truth = finetune(reader, layers, DEMONSTRATIONS, rate)
    assert made.learned[-1].loss == truth.learned[-1].loss
    assert all(torch.equal(a, b) for a, b in zip(made.parameters, truth.parameters, strict=True))


@pytest.mark.parametrize("where", ["gradient", "answer"])
def test_a_candidate_at_which_a_number_is_not_finite_is_left_out_and_said(monkeypatch, caplog, where):
    reader = make_reader("llama")
    layers = attention_layers(reader.model)

    def spoiled(*arguments):
        made = finetune(*arguments)
        if arguments[3] == 0.5 and where == "gradient":
            raise FloatingPointError("the loss is nan")
        if arguments[3] == 0.5:
            made.parameters[0].fill_(torch.nan)
        return made

    monkeypatch.setattr(choosing, "finetune", spoiled)
    best = chosen(reader, layers, 0.5, 1e-30)
    assert (best.rate, best.left_out) == (1e-30, (0.5,))
    said = {"gradient": "the loss is nan", "answer": "an answer's log-probability is not finite"}[where]
    assert [record.message for record in caplog.records] == [f"the candidate learning rate 0.5 is left out: {said}"]


def test_of_equals_it_is_the_smallest_in_any_order():
    reader = make_reader("llama")
    layers = attention_layers(reader.model)
    assert chosen(reader, layers, 1e-31, 1e-30).rate == chosen(reader, layers, 1e-30, 1e-31).rate == 1e-31


def test_where_all_are_too_large_nothing_was_finetuned():
    reader = make_reader("llama")
    assert chosen(reader, attention_layers(reader.model), 1e45, 1e44) == Chosen(1e44, None, (1e45, 1e44))


def test_weights_that_are_not_finite_after_the_last_update_are_reported():
    reader = make_reader("llama")
    with pytest.raises(FloatingPointError, match="the weights are not finite"):
        finetune(reader, attention_layers(reader.model), DEMONSTRATIONS[:1], 1e45)

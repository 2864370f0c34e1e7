"""Linear attention is the zero-shot weights and a sum of outer products; softmax attention is not."""

import math

import pytest
import torch

from llm_icl.experiments.finetuning.dual_form import dual_form
from llm_icl.experiments.finetuning.projections import attention_layers
from llm_icl.experiments.finetuning.recording import Attended
from tests.experiments.finetuning.conftest import DEMONSTRATIONS, QUERIES


def test_it_holds_on_a_models_own_keys_and_values(reader):
    layers, context = attention_layers(reader.model), reader.read(DEMONSTRATIONS)
    for layer in reader.answer(context, QUERIES[0], layers).layers:
        assert dual_form(layer, len(reader.beginning), len(context.tokens)).gap < 1e-10


def test_by_hand():
    # One head of width 1: keys 2, 1; values 3, 5; query 1. Linear: 3·2 + 5·1 = 11, of which the demonstration's is 6.
    key, value = torch.tensor([[[2.0], [1.0]]]), torch.tensor([[[3.0], [5.0]]])
    layer = Attended(
        torch.tensor([[1.0]]), key, value, torch.zeros(1, 2), torch.zeros(1), torch.zeros(1), torch.zeros(1)
    )
    found = dual_form(layer, 0, 1)
    assert found.gap == 0
    # Softmax with equal logits: 4 instead of the 5 without the demonstration, so -1; linear attention has +6.
    assert found.softmax_cosine == pytest.approx(-1)
    assert found.softmax_distance == pytest.approx(0)  # both outputs are positive numbers


def test_a_beginning_is_there_without_demonstrations_too():
    # Keys 1, 2, 1 of the beginning, a demonstration and the query; values 7, 3, 5.
    key, value = torch.tensor([[[1.0], [2.0], [1.0]]]), torch.tensor([[[7.0], [3.0], [5.0]]])
    layer = Attended(
        torch.tensor([[1.0]]), key, value, torch.zeros(1, 3), torch.zeros(1), torch.zeros(1), torch.zeros(1)
    )
    # Softmax: 5 with the demonstration, 6 without; were the beginning the demonstration's too, it would be 5 and 5.
    assert dual_form(layer, 1, 2).softmax_cosine == pytest.approx(-1)
    assert math.isnan(dual_form(layer, 0, 2).softmax_cosine)

"""How much a network computes, against counts by hand."""

import copy
import itertools

import pytest
import torch
from torch import nn

from local_models.backbone import Backbone, Network, Shape
from local_models.counting import flops_per_sequence

INPUTS, WIDTH = 5, 32


class Lines(Network):
    """Linear maps one after the other."""

    def __init__(self, *widths):
        super().__init__(Shape("lines", widths[0], widths[-1]))
        self.maps = nn.Sequential(*(nn.Linear(a, b) for a, b in itertools.pairwise(widths)))

    def forward(self, inputs):
        return self.maps(inputs)


def backbone(architecture, layers=1, width=WIDTH):
    torch.manual_seed(0)
    return Backbone(Shape(architecture, INPUTS, layers=layers, width=width, tokens=128))


def matrices(width):
    """The numbers of a transformer block's matrices: queries, keys, values, what they are mapped to, and the MLP."""
    return 3 * width**2 + width**2 + 4 * width**2 + 4 * width**2


def test_one_linear_map_computes_forward_and_the_gradient_of_its_weights():
    """2 for each weight and token forward, 2 backward; nobody asks for the gradient of the inputs."""
    assert flops_per_sequence(Lines(7, 3), 11) == 4 * 7 * 3 * 11


def test_every_further_linear_map_also_computes_the_gradient_of_what_comes_in():
    assert flops_per_sequence(Lines(7, 16, 8, 3), 11) == 11 * (4 * 7 * 16 + 6 * 16 * 8 + 6 * 8 * 3)


def test_gradients_that_are_there_already_do_not_count():
    """Those of a step before, to which new ones would be added."""
    model = backbone("transformer", 1, 16)
    fresh = flops_per_sequence(model, 4)
    model(torch.zeros(1, 4, INPUTS)).sum().backward()
    assert flops_per_sequence(model, 4) == fresh


def test_what_is_frozen_computes_no_gradient_of_its_weights():
    model = Lines(7, 16, 8, 3)
    model.maps[1].requires_grad_(False)
    assert flops_per_sequence(model, 11) == 11 * (4 * 7 * 16 + 4 * 16 * 8 + 6 * 8 * 3)


@pytest.mark.parametrize("layers", [1, 3])
def test_a_transformer_computes_its_matrix_products_and_little_else(layers):
    tokens, width = 16, 64
    by_hand = tokens * (4 * INPUTS * width + 6 * layers * matrices(width) + 6 * width)
    by_hand += 12 * layers * tokens**2 * width  # queries by keys and weights by values, forward and twice backward
    found = flops_per_sequence(backbone("transformer", layers, width), tokens)
    assert by_hand <= found < 1.1 * by_hand


def test_attention_grows_with_the_square_of_the_tokens():
    heads, layers = 4, 2
    counts = [flops_per_sequence(backbone("transformer", layers), tokens) for tokens in (16, 32, 48, 64)]
    first = [b - a for a, b in itertools.pairwise(counts)]
    second = [b - a for a, b in itertools.pairwise(first)]
    assert second[0] == second[1]  # a square, and nothing above it
    square = second[0] / (2 * 16**2)
    products = 12 * WIDTH * layers
    assert products <= square < products + 12 * heads * layers  # the rest is work on single weights


@pytest.mark.parametrize(("architecture", "gates"), [("lstm", 4), ("gru", 3)])
def test_a_recurrent_network_grows_with_the_tokens_and_computes_its_gates(architecture, gates):
    model, tokens = backbone(architecture), 24
    few, more, most = (flops_per_sequence(model, count) for count in (tokens, 2 * tokens, 3 * tokens))
    assert most - more == more - few
    mlp, recurrence = 8 * WIDTH**2, 2 * gates * WIDTH**2
    by_hand = tokens * (4 * INPUTS * WIDTH + 6 * (mlp + recurrence) + 6 * WIDTH)
    assert by_hand <= more - few < 1.25 * by_hand


def test_counting_leaves_the_model_as_it_was():
    model = backbone("transformer").train()
    before = copy.deepcopy(model.state_dict())
    state = torch.random.get_rng_state()
    flops_per_sequence(model, 10)
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training
    assert torch.equal(torch.random.get_rng_state(), state)

"""What several mixers are made of, against plain loops, and at numbers where a shorter form fails."""

import math

import pytest
import torch

from local_models.mixers.base import (
    ShortConvolution,
    causal_convolution,
    decay_mask,
    exponential_sums,
    inverse_softplus,
    join_heads,
    log_uniform,
    rotated,
    split_heads,
)
from tests.local_models import plain_forms
from tests.local_models.making import assert_close, gradients


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_decay_mask_is_the_product_of_the_decays_after_one_token_up_to_another():
    decays = torch.sigmoid(random(2, 3, 9))
    mask = decay_mask(decays.log())
    expected = torch.zeros(2, 3, 9, 9, dtype=torch.float64)
    for t in range(9):
        for s in range(t + 1):
            expected[..., t, s] = decays[..., s + 1 : t + 1].prod(-1)
    assert_close(mask, expected)


def test_a_decay_mask_has_finite_gradients_where_its_upper_half_would_overflow():
    log_decay = torch.full((1, 40), -200.0, dtype=torch.float64, requires_grad=True)
    mask = decay_mask(log_decay)
    assert_close(mask[0], torch.eye(40, dtype=torch.float64), 1e-80)
    (gradient,) = torch.autograd.grad(mask.sum(), log_decay)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("length", [1, 2, 37, 101])
def test_a_causal_convolution_is_the_direct_sum_and_does_not_go_round(length):
    x, kernel = random(2, length, 3), random(length, 3, seed=1)
    expected = torch.zeros_like(x)
    for t in range(length):
        for s in range(t + 1):
            expected[:, t] += kernel[t - s] * x[:, s]
    assert_close(causal_convolution(x, kernel), expected)


@pytest.mark.parametrize("length", [1, 2, 3, 7, 63, 64, 65, 200])
def test_sums_of_exponentials_are_those_of_the_whole_table(length):
    weights, rates, turns = (random(3, 5, 2, seed=seed).requires_grad_() for seed in (0, 1, 2))

    def parts():
        exponents = torch.complex(-rates[..., 0].exp(), 30 * turns[..., 0])
        return torch.view_as_complex(weights), exponents

    table, sums = plain_forms.exponential_sums(*parts(), length), exponential_sums(*parts(), length)
    assert_close(sums, table)
    inputs = (weights, rates, turns)
    for actual, expected in zip(gradients(sums, inputs), gradients(table, inputs), strict=True):
        assert_close(actual, expected, 1e-10)


def test_sums_of_exponentials_that_hardly_decay_or_vanish_at_once_are_exact():
    weights = torch.ones(1, 2, dtype=torch.complex128)
    exponents = torch.tensor([[-1e-12 + 0j, -1e4 + 3j]], dtype=torch.complex128)
    sums = exponential_sums(weights, exponents, 1000)[:, 0]
    assert sums[0] == 2
    assert_close(sums[1:], torch.exp(-1e-12 * torch.arange(1, 1000).double()), 1e-14)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("length", [1, 2, 9])
def test_a_short_convolution_sees_the_last_few_tokens_of_its_own_channel(bias, length):
    torch.manual_seed(0)
    layer, x = ShortConvolution(3, 4, bias=bias).double(), random(2, length, 3)
    if bias:
        layer.bias.data = random(3, seed=1)
    expected = torch.zeros_like(x)
    for t in range(length):
        for age in range(min(4, t + 1)):
            expected[:, t] += layer.weight[:, 3 - age].detach() * x[:, t - age]
    expected = expected + layer.bias.detach() if bias else expected
    state, steps = layer.initial_state(2), []
    with torch.no_grad():
        for token in x.unbind(1):
            y, state = layer.step(token, state)
            steps.append(y)
        assert_close(layer(x), expected)
        assert_close(torch.stack(steps, 1), expected)


def test_a_turn_keeps_lengths_and_makes_products_depend_on_the_distance():
    q, k, turn = random(1, 6), random(1, 6, seed=1), torch.tensor([1.0, 0.1, 0.01], dtype=torch.float64)

    def product(i, j):
        return (rotated(q, turn.unsqueeze(0) * i) * rotated(k, turn.unsqueeze(0) * j)).sum()

    assert_close(rotated(q, 5 * turn.unsqueeze(0)).norm(), q.norm())
    assert_close(product(3, 1), product(30, 28))
    assert (product(3, 1) - product(3, 2)).abs() > 1e-3


def test_a_turn_by_a_quarter_makes_the_second_of_a_pair_of_the_first():
    x = torch.tensor([[1.0, 0.0, 0.0, 1.0]], dtype=torch.float64)
    quarter = torch.full((1, 2), math.pi / 2, dtype=torch.float64)
    assert_close(rotated(x, quarter), torch.tensor([[0.0, 1.0, -1.0, 0.0]], dtype=torch.float64))


def test_heads_are_consecutive_channels():
    x = random(2, 5, 6)
    assert torch.equal(split_heads(x, 3)[:, 1], x[..., 2:4])
    assert torch.equal(join_heads(split_heads(x, 3)), x)


def test_the_inverse_of_softplus_is_exact_for_small_and_great_steps():
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        steps = torch.tensor([1e-4, 1e-3, 0.1, 1.0, 30.0], dtype=dtype)
        back = torch.nn.functional.softplus(inverse_softplus(steps))
        assert ((back - steps) / steps).abs().max() < tolerance


def test_numbers_with_uniform_logarithms_fill_their_range_evenly():
    torch.manual_seed(0)
    exponents = log_uniform(4000, 1e-3, 1e-1).log10()
    assert exponents.min() > -3 - 1e-6
    assert exponents.max() < -1 + 1e-6
    shares = torch.histc(exponents, 4, -3, -1) / 4000
    assert ((shares - 0.25).abs() < 0.035).all()  # five standard deviations

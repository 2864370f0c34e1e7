"""Mixers that become one another at particular parameters, and what DeltaNet's negative eigenvalues are for."""

import math

import pytest
import torch

from tests.local_models.making import BATCH, LAYERS, MIXERS, TOKENS, WIDTH, assert_close, mixer, sequences


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


def copied(source, target):
    """The target with every parameter that it shares with the source."""
    missing, unexpected = target.load_state_dict(source.state_dict(), strict=False)
    assert not unexpected
    return target, missing


@pytest.mark.parametrize("eta", [0, 0.0])
@pytest.mark.parametrize("options", [{}, {"per_head": True}])
def test_momentum_with_a_coefficient_of_zero_is_attention_bit_for_bit(eta, options):
    attention, x = mixer("attention", heads=3), sequences()
    momentum, missing = copied(attention, mixer("momentum", seed=5, heads=3, eta=eta, **options))
    assert not missing
    assert torch.equal(momentum(x), attention(x))
    assert torch.equal(momentum.unroll(x), attention.unroll(x))


def test_normalised_momentum_with_a_coefficient_of_zero_is_attention_bit_for_bit():
    attention, x = mixer("attention"), sequences()
    momentum, _ = copied(attention, mixer("momentum", seed=5, eta=0.0, normalised=True))
    assert torch.equal(momentum(x), attention(x))


def test_the_momentum_filter_with_gains_of_zero_is_attention():
    attention, x = mixer("attention", heads=3), sequences()
    momentum, missing = copied(attention, mixer("momentum-learned", seed=5, heads=3))
    assert missing == ["delta", "gamma"]
    momentum.gamma.zero_()
    assert torch.equal(momentum(x), attention(x))
    assert torch.equal(momentum.unroll(x), attention.unroll(x))


@pytest.mark.parametrize("eta", [0.5, 0.8])
def test_the_momentum_filter_with_one_term_is_the_papers_formula_and_the_present_value(eta):
    momentum, x = mixer("momentum", heads=3, eta=eta), sequences()
    learned, _ = copied(momentum, mixer("momentum-learned", seed=5, heads=3))
    learned.gamma.zero_()
    learned.gamma[:, 2] = math.sqrt(WIDTH)
    learned.delta[:, 2] = math.log(eta / (1 - eta))
    values = momentum.inside(x)[..., 2 * WIDTH :]
    assert_close(learned(x), momentum(x) + values @ momentum.outside.weight.T)


def test_momentum_that_begins_with_a_learned_coefficient_is_momentum_with_that_coefficient():
    fixed, x = mixer("momentum", heads=3, eta=0.8), sequences()
    learned, missing = copied(fixed, mixer("momentum", seed=5, heads=3, eta=0.3, learned=True, per_head=True))
    assert missing == ["logit"]
    learned.logit.fill_(math.log(4))
    assert_close(learned(x), fixed(x))


def without_forgetting(gated):
    """The same DeltaNet without a gate."""
    plain = mixer("deltanet", seed=5, heads=gated.heads, gated=False)
    weights = gated.state_dict()
    weights["rates.weight"] = weights["rates.weight"][: gated.heads]
    plain.load_state_dict({name: weights[name] for name in plain.state_dict()})
    return plain


def test_gated_deltanet_with_a_gate_of_one_is_deltanet():
    gated, x = mixer("deltanet", heads=3), sequences()
    plain = without_forgetting(gated)
    assert (gated(x) - plain(x)).abs().max() > 0.01
    gated.log_decay.fill_(-1000)  # a = exp(-exp(-1000) …) = 1
    assert_close(gated(x), plain(x), 1e-14)
    assert_close(gated.unroll(x), plain.unroll(x), 1e-14)


def test_gated_deltanet_with_a_gate_of_zero_remembers_the_present_token_only():
    model, x = mixer("deltanet", heads=3), sequences()
    model.short.weight[:, :-1] = 0
    model.log_decay.fill_(12)
    alone = torch.cat([model(token) for token in x.split(1, 1)], 1)
    assert_close(model(x), alone)
    assert_close(model.unroll(x), alone)


@pytest.mark.parametrize("options", [{"gated": False}, {}, {"negative": True}])
def test_deltanet_that_writes_nothing_reads_nothing(options):
    model, x = mixer("deltanet", heads=3, **options), sequences().abs()
    assert (model(x) - model.outside.bias).abs().max() > 0.1
    model.rates.weight[:3] = -1e5  # the sigmoid of it is 0
    nothing = model.outside.bias.expand(BATCH, TOKENS, WIDTH)
    assert torch.equal(model(x), nothing)
    assert torch.equal(model.unroll(x), nothing)


def transition(model, token):
    """What one step does to DeltaNet's memory, S -> matrix S + what is written, for the first head and a batch of 1."""
    zero, recent = model.initial_state(1)
    size = zero.shape[-1]
    unit = torch.eye(size, dtype=zero.dtype).expand_as(zero)
    after, before = (model.step(token, (memory, recent))[1][0] for memory in (unit, zero))
    return (after - before)[0, 0]


@pytest.mark.parametrize(
    ("negative", "logit", "lowest"), [(False, 1e4, 0), (False, 0, 0.5), (True, 1e4, -1), (True, 0, 0), (True, -1e4, 1)]
)
def test_a_step_of_deltanet_turns_the_keys_direction_by_its_rate_and_leaves_the_others(negative, logit, lowest):
    model = mixer("deltanet", heads=3, gated=False, negative=negative)
    model.rates.weight[:] = logit / WIDTH
    matrix = transition(model, torch.ones(1, WIDTH, dtype=torch.float64))
    assert_close(matrix, matrix.T)
    values, vectors = torch.linalg.eigh(matrix)
    expected = torch.ones(WIDTH // 3, dtype=torch.float64)
    expected[0] = lowest
    assert_close(values, expected)
    if lowest == -1:
        key = vectors[:, 0]
        assert_close(matrix, torch.eye(len(key), dtype=key.dtype) - 2 * torch.outer(key, key))


def counting(negative):
    """A DeltaNet whose inputs (bit, first, 1, 0) write 1 at the first token and at every set bit turn what is written
    around, as far as their eigenvalues let them.
    """
    torch.manual_seed(0)
    model = MIXERS["deltanet"](4, LAYERS, heads=1, gated=False, negative=negative).double()
    bit, first, one = range(3)
    for parameter in model.parameters():
        parameter.zero_()
    query, key, value, gate = model.inside.weight.chunk(4)
    query[0, one] = key[0, one] = 1
    value[0, first] = 1
    gate[:, one] = 1
    model.short.weight[:, -1] = 1
    model.rates.weight[0, bit], model.rates.weight[0, first], model.rates.weight[0, one] = 2000, 1000, -1000
    model.norm.weight.fill_(1)
    model.outside.weight.copy_(torch.eye(4))
    return model


def counted(model):
    """The first output at every token of the bits, and the bits [B, T]."""
    bits = torch.randint(0, 2, (BATCH, TOKENS), generator=torch.Generator().manual_seed(0)).double()
    bits[:, 0] = 0
    first = torch.zeros_like(bits)
    first[:, 0] = 1
    x = torch.stack([bits, first, torch.ones_like(bits), torch.zeros_like(bits)], -1)
    assert_close(model.unroll(x), model(x))
    return model(x)[..., 0], bits


def test_deltanet_with_negative_eigenvalues_computes_parity():
    output, bits = counted(counting(negative=True))
    parity = 1 - 2 * (bits.cumsum(1) % 2)
    assert (parity == -1).any()
    assert_close(output, output[0, 0] * parity)
    assert output[0, 0] > 0.5


def test_the_same_deltanet_without_negative_eigenvalues_forgets_at_the_first_set_bit():
    output, bits = counted(counting(negative=False))
    untouched = (bits.cumsum(1) == 0).double()
    assert_close(output, output[0, 0] * untouched)


def test_reduced_retention_without_decay_is_linear_attention_with_a_gate():
    linear, x = mixer("linear-attention", heads=3), sequences()
    retention = mixer("retnet", seed=5, heads=3, published=False)
    linear.inside.bias.zero_()
    linear.outside.bias.zero_()
    retention.log_gamma.zero_()
    retention.inside.weight[: 3 * WIDTH] = linear.inside.weight
    retention.inside.weight[:WIDTH] /= math.sqrt(WIDTH / 3)
    retention.outside.weight.copy_(torch.eye(WIDTH))
    gate = torch.nn.functional.silu(x @ retention.inside.weight[3 * WIDTH :].T)
    assert_close((retention(x) * gate.reciprocal()) @ linear.outside.weight.T, linear(x), 1e-9)

"""What every mixer must do, whatever it computes: two forms that agree, and nothing from later tokens or other rows."""

import copy

import pytest
import torch

from local_models.architectures import architectures
from tests.local_models.making import (
    BATCH,
    CASES,
    MIXERS,
    RECURRENT,
    TOKENS,
    WIDTH,
    assert_close,
    gradients,
    made,
    mixer,
    sequences,
)

every_case = pytest.mark.parametrize("case", CASES)
every_recurrent_case = pytest.mark.parametrize("case", RECURRENT)


def test_there_is_a_case_for_every_mixer():
    assert {name for name, _ in CASES.values()} == set(MIXERS)
    registered = {mixer for architecture in architectures().values() for mixer in architecture.mixers}
    assert registered == set(MIXERS.values())


@every_case
def test_a_mixer_has_attention_weights_or_says_that_it_has_none(case):
    model = made(case)
    if model.has_weights:
        weights = model.with_weights(sequences())[1]
        assert weights.shape == (BATCH, model.heads, TOKENS, TOKENS)
        torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
    else:
        with pytest.raises(NotImplementedError, match="has no attention weights"):
            model.with_weights(sequences())


@every_case
def test_outputs_have_the_shape_and_type_of_inputs_and_an_ordinary_size(case):
    y = made(case)(sequences())
    assert y.shape == (BATCH, TOKENS, WIDTH)
    assert y.dtype == torch.float64
    assert 0.1 < y.std() < 30


@every_recurrent_case
def test_both_forms_agree_in_value_and_in_every_gradient(case):
    model, x = made(case), sequences().requires_grad_()
    parallel, recurrent = model(x), model.unroll(x)
    assert_close(recurrent, parallel)
    names, parameters = zip(*model.named_parameters(), strict=True)
    forward, unrolled = (gradients(output, (x, *parameters)) for output in (parallel, recurrent))
    for name, actual, expected in zip(("input", *names), unrolled, forward, strict=True):
        assert expected.isfinite().all(), name
        assert_close(actual, expected, 1e-10)


@every_recurrent_case
def test_both_forms_agree_on_a_single_token(case):
    model, x = made(case), sequences(tokens=1)
    assert_close(model.unroll(x), model(x))


@every_recurrent_case
def test_a_step_leaves_the_state_that_it_was_given_as_it_is(case):
    model, x = made(case), sequences(tokens=8)
    with torch.no_grad():
        state = model.initial_state(BATCH)
        for token in x[:, :6].unbind(1):
            _, state = model.step(token, state)
        first, _ = model.step(x[:, 6], state)
        model.step(x[:, 7], state)
        again, _ = model.step(x[:, 6], state)
    assert torch.equal(first, again)


@every_case
@pytest.mark.parametrize("t", [0, 10, TOKENS - 1])
def test_the_gradient_of_an_output_comes_from_its_own_and_earlier_tokens_only(case, t):
    x = sequences().requires_grad_()
    (gradient,) = gradients(made(case)(x)[:, t], (x,))
    size = gradient.abs().amax((0, 2))
    assert size[t] > 1e-3
    assert (size[:t] > 0).all()
    assert (size[t + 1 :] <= 1e-13 * size.max()).all()


@pytest.mark.parametrize("case", [case for case in CASES if case != "dss, softmax"])
@pytest.mark.parametrize("tokens", [1, 2, 20, TOKENS - 1])
def test_outputs_on_a_prefix_are_the_prefix_of_outputs(case, tokens):
    model, x = made(case), sequences()
    with torch.no_grad():
        assert_close(model(x[:, :tokens]), model(x)[:, :tokens])


def test_outputs_of_dss_with_softmax_change_when_a_sequence_grows():
    model, x = made("dss, softmax"), sequences()
    assert (model(x[:, :20]) - model(x)[:, :20]).abs().max() > 0.01


@every_case
def test_a_row_of_a_batch_does_not_depend_on_the_others(case):
    model, x = made(case), sequences()
    with torch.no_grad():
        together = model(x)
        for row in range(BATCH):
            assert_close(model(x[row : row + 1]), together[row : row + 1], 1e-12)


@every_recurrent_case
def test_a_row_of_a_batch_does_not_depend_on_the_others_step_by_step(case):
    model, x = made(case), sequences(tokens=6)
    with torch.no_grad():
        assert_close(model.unroll(x[1:2]), model.unroll(x)[1:2], 1e-12)


@every_case
def test_float32_is_close_to_float64(case):
    model, x = made(case), sequences()
    single = copy.deepcopy(model).float()
    # Sums of complex exponentials, by which the softmax divides, may nearly cancel.
    tolerance = 1e-4 if case == "dss, softmax" else 1e-5
    with torch.no_grad():
        expected = model(x)
        assert_close(single(x.float()).double(), expected, tolerance)
        if case in RECURRENT:
            assert_close(single.unroll(x.float()).double(), expected, tolerance)


@every_case
def test_a_mixer_reads_its_state_back_from_a_dictionary(case):
    model, other, x = made(case), made(case, seed=5), sequences()
    with torch.no_grad():
        assert not torch.equal(other(x), model(x))
        other.load_state_dict(model.state_dict())
        assert torch.equal(other(x), model(x))


@pytest.mark.parametrize("case", [case for case in CASES if case not in RECURRENT])
def test_a_mixer_without_a_recurrent_form_says_so(case):
    model = made(case)
    assert not model.recurrent
    with pytest.raises(NotImplementedError, match="has no recurrent form"):
        model.unroll(sequences())


@every_recurrent_case
def test_a_mixer_with_a_recurrent_form_says_so(case):
    assert made(case).recurrent


def test_hyena_takes_its_longest_sequence_and_refuses_a_longer_one():
    model = made("hyena")
    assert model(sequences(tokens=50)).shape == (BATCH, 50, WIDTH)
    with pytest.raises(ValueError, match="a sequence of 51 tokens is longer than Hyena's filters, which have 50"):
        model(sequences(tokens=51))


@pytest.mark.parametrize("options", [{"eta": 1.0}, {"eta": -0.1}, {"eta": float("nan")}, {"eta": 0, "learned": True}])
def test_momentum_refuses_a_coefficient_that_is_out_of_range(options):
    with pytest.raises(ValueError, match="out of range"):
        mixer("momentum", **options)


@pytest.mark.parametrize(
    "name", ["attention", "momentum", "momentum-learned", "linear-attention", "retnet", "deltanet"]
)
@pytest.mark.parametrize("heads", [0, 5, 8, 24])
def test_a_width_that_does_not_divide_into_heads_of_an_even_width_is_refused(name, heads):
    with pytest.raises(ValueError, match=f"a width of 24 does not divide into {heads} heads of an even width"):
        mixer(name, heads=heads)


def test_mamba2_refuses_channels_that_do_not_divide_into_heads():
    with pytest.raises(ValueError, match="48 channels do not divide into heads of 32"):
        mixer("mamba2", head_width=32)

"""Chunked forms against the recurrences and the parallel forms, in value and gradient, whatever the chunks are."""

import pytest
import torch

from local_models import chunks
from tests.local_models import plain_forms
from tests.local_models.making import (
    CASES,
    RECURRENT,
    assert_close,
    assert_is_its_recurrent_form,
    gradients,
    made,
    sequences,
)

B, H, N, P = 2, 3, 4, 4
LENGTHS = (1, 2, 7, 63, 64, 65, 200)
CHUNKED = [case for case in RECURRENT if CASES[case][0] in ("linear-attention", "retnet", "mamba2", "deltanet")]

every_length = pytest.mark.parametrize("length", LENGTHS)
every_chunk = pytest.mark.parametrize("chunk", [1, 3, 16, 64, 200])


def cut_into(monkeypatch, size):
    """Chunks of this size, or one chunk where a sequence is shorter."""
    monkeypatch.setattr(chunks, "chunk_size", lambda length: min(size, length))


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def decays(kind, length):
    """log a (B, H, T) from near 1, near 0, or both by turns."""
    log_decay = -random(B, H, length, seed=9).abs()
    factor = {"usual": 1.0, "near 1": 1e-9, "near 0": 1e3}
    if kind == "both":
        return log_decay * torch.tensor([1e3, 1e-9]).repeat(length)[:length]
    return log_decay * factor[kind]


every_decay = pytest.mark.parametrize("kind", ["usual", "near 1", "near 0", "both"])


def parts(length, kind="usual"):
    q, k, v = (random(B, H, length, size, seed=seed) for seed, size in enumerate((N, N, P)))
    return [x.requires_grad_() for x in (q, k, v, decays(kind, length))]


def delta_parts(length, kind="usual", most=1.0):
    q, k, v, log_decay = parts(length, kind)
    k = torch.nn.functional.normalize(k.detach(), dim=-1).requires_grad_()
    write = (most * random(B, H, length, seed=7).sigmoid()).requires_grad_()
    return [q, k, v, write, log_decay]


def assert_equal_forms(form, inputs, *plain):
    y = form(*inputs)
    found = gradients(y, inputs)
    assert y.isfinite().all()
    assert all(gradient.isfinite().all() for gradient in found)
    for other in plain:
        expected = other(*inputs)
        assert_close(y, expected, 1e-10)
        for actual, gradient in zip(found, gradients(expected, inputs), strict=True):
            assert_close(actual, gradient, 1e-10)


@every_length
@every_chunk
def test_decayed_sums_in_chunks_are_the_recurrence_and_the_parallel_form(monkeypatch, length, chunk):
    cut_into(monkeypatch, chunk)
    plain = (plain_forms.decayed_sums, plain_forms.parallel_decayed_sums)
    assert_equal_forms(chunks.decayed_sums, parts(length), *plain)


@every_length
@every_chunk
@pytest.mark.parametrize("most", [1.0, 2.0])
def test_the_delta_rule_in_chunks_is_the_recurrence_and_the_parallel_form(monkeypatch, length, chunk, most):
    cut_into(monkeypatch, chunk)
    plain = (plain_forms.delta_rule, plain_forms.parallel_delta_rule)
    assert_equal_forms(chunks.delta_rule, delta_parts(length, most=most), *plain)


@every_decay
@every_chunk
def test_decays_near_0_and_near_1_are_exact(monkeypatch, kind, chunk):
    cut_into(monkeypatch, chunk)
    assert_equal_forms(chunks.decayed_sums, parts(65, kind), plain_forms.decayed_sums)
    assert_equal_forms(chunks.delta_rule, delta_parts(65, kind, 2.0), plain_forms.delta_rule)


def test_a_decay_of_exactly_1_is_a_plain_sum(monkeypatch):
    cut_into(monkeypatch, 16)
    q, k, v, _ = (x.detach() for x in parts(65))
    y = chunks.decayed_sums(q, k, v, torch.zeros(65, dtype=q.dtype))
    assert_close(y, ((q @ k.mT).tril()) @ v, 1e-12)


def test_queries_and_keys_that_heads_share_are_those_of_each_head(monkeypatch):
    cut_into(monkeypatch, 16)
    q, k, v, log_decay = parts(65)
    q, k = (x[:, :1].detach().requires_grad_() for x in (q, k))

    def apart(q, k, v, log_decay):
        return plain_forms.decayed_sums(q.expand(B, H, -1, N), k.expand(B, H, -1, N), v, log_decay)

    assert_equal_forms(chunks.decayed_sums, [q, k, v, log_decay], apart)


def test_keys_that_repeat_at_the_greatest_rate_keep_a_memory_of_its_size(monkeypatch):
    """Reflections by turns: in the triangular system nothing grows."""
    cut_into(monkeypatch, 64)
    q, k, v, _, _ = (x.detach() for x in delta_parts(640))
    k = k[:, :, :1].expand_as(k)
    write, log_decay = torch.full((B, H, 640), 2.0).double(), torch.zeros(B, H, 640).double()
    y = chunks.delta_rule(q, k, v, write, log_decay)
    assert_close(y, plain_forms.delta_rule(q, k, v, write, log_decay), 1e-10)


def test_float32_in_chunks_is_close_to_float64(monkeypatch):
    cut_into(monkeypatch, 32)
    for form, inputs in ((chunks.decayed_sums, parts(1000)), (chunks.delta_rule, delta_parts(1000, most=2.0))):
        inputs = [x.detach() for x in inputs]
        assert_close(form(*(x.float() for x in inputs)).double(), form(*inputs), 1e-4)


@pytest.mark.parametrize("case", CHUNKED)
@pytest.mark.parametrize("chunk", [1, 8, 37])
def test_a_mixer_in_chunks_is_its_recurrent_form_in_value_and_every_gradient(monkeypatch, case, chunk):
    cut_into(monkeypatch, chunk)
    assert_is_its_recurrent_form(made(case), sequences())


@pytest.mark.parametrize("case", CHUNKED)
def test_a_mixer_goes_on_token_by_token_where_its_chunks_end(monkeypatch, case):
    cut_into(monkeypatch, 8)
    model, x = made(case), sequences()
    with torch.no_grad():
        state, later = model.initial_state(len(x)), []
        for t, token in enumerate(x.unbind(1)):
            y, state = model.step(token, state)
            later += [y] if t >= 20 else []
        assert_close(model(x[:, :20]), model.unroll(x)[:, :20], 1e-10)
        assert_close(torch.stack(later, 1), model(x)[:, 20:], 1e-10)


def test_short_sequences_are_one_chunk_and_long_ones_are_cut_evenly():
    assert [chunks.chunk_size(length) for length in (1, 40, 80, 128)] == [1, 40, 80, 128]
    for length in range(129, 2000):
        size = chunks.chunk_size(length)
        assert 16 < size <= 64
        assert -length % size < length / size  # no chunk is padded by more than one token on average


@pytest.mark.parametrize("case", CHUNKED)
def test_work_and_memory_grow_with_the_length(case):
    """Numbers in what is saved for the backward pass."""
    model = made(case).float()

    def kept(length):
        numbers = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x: numbers.append(x.numel()) or x, lambda x: x):
            model(sequences(length).float())
        return sum(numbers)

    assert kept(2048) < 2.1 * kept(1024)

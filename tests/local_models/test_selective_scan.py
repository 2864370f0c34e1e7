"""Mamba's scan against its recurrence, in value and in its own gradient, whatever the chunks are."""

import pytest
import torch

from local_models import selective_scan as scan
from tests.local_models import plain_forms
from tests.local_models.making import assert_close, assert_is_its_recurrent_form, gradients, made, sequences

B, E, N = 2, 6, 3
LENGTHS = (1, 2, 7, 63, 64, 65, 200)


def cut_into(monkeypatch, size):
    monkeypatch.setattr(scan, "chunk_size", lambda batch, length, channels, states: size)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def parts(length, factor=1.0):
    """x, dt, A, B and C; the factor makes decays nearer to 0 or to 1."""
    x, step, write, read = (
        random(B, length, size, seed=seed) for seed, size in enumerate((E, E, N, N))
    )  # fmt: skip
    return [part.requires_grad_() for part in (x, step.exp(), factor * random(E, N, seed=5).exp(), write, read)]


def assert_equal_forms(inputs):
    y, expected = scan.selective_scan(*inputs), plain_forms.selective_scan(*inputs)
    assert_close(y, expected, 1e-10)
    for actual, gradient in zip(gradients(y, inputs), gradients(expected, inputs), strict=True):
        assert gradient.isfinite().all()
        assert_close(actual, gradient, 1e-10)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("chunk", [1, 3, 16, 64, 200])
def test_the_scan_is_its_recurrence(monkeypatch, length, chunk):
    cut_into(monkeypatch, chunk)
    assert_equal_forms(parts(length))


@pytest.mark.parametrize("factor", [1e-9, 1e3])
@pytest.mark.parametrize("chunk", [1, 16, 65])
def test_decays_near_0_and_near_1_are_exact(monkeypatch, factor, chunk):
    cut_into(monkeypatch, chunk)
    assert_equal_forms(parts(65, factor))


def test_its_gradient_is_that_of_finite_differences(monkeypatch):
    cut_into(monkeypatch, 3)
    assert torch.autograd.gradcheck(scan.selective_scan, parts(8))


@pytest.mark.parametrize("needed", range(5))
def test_the_gradient_of_one_input_does_not_need_the_others(needed):
    inputs = parts(20)
    alone = [x.detach().requires_grad_(i == needed) for i, x in enumerate(inputs)]
    (found,) = gradients(scan.selective_scan(*alone), (alone[needed],))
    assert torch.equal(found, gradients(scan.selective_scan(*inputs), inputs)[needed])


@pytest.mark.parametrize("chunk", [1, 8, 37])
@pytest.mark.parametrize("case", ["mamba", "mamba, narrow"])
def test_mamba_in_chunks_is_its_recurrent_form_in_value_and_every_gradient(monkeypatch, case, chunk):
    cut_into(monkeypatch, chunk)
    assert_is_its_recurrent_form(made(case), sequences())


@pytest.mark.parametrize(("length", "batch"), [(1, 1), (7, 2), (200, 2), (80, 64), (16384, 1000)])
def test_a_chunk_has_at_least_one_token_and_no_more_than_there_are(length, batch):
    assert 1 <= scan.chunk_size(batch, length, 128, 16) <= length


def test_a_scan_of_no_sequences_is_empty():
    assert made("mamba")(sequences()[:0]).shape == sequences()[:0].shape


def test_what_is_kept_for_the_gradient_is_little_more_than_the_inputs():
    inputs, kept = [part.detach().requires_grad_() for part in parts(512)], []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x):
        scan.selective_scan(*inputs)
    assert sum(kept) < 1.1 * sum(x.numel() for x in inputs)

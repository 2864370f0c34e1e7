"""Muon's iterations run together for matrices of equal shape: the same as matrix by matrix, from the definition."""

import math

import pytest
import torch

from local_models.optimisers import Muon, orthogonalised

SHAPES = ((16, 40), (40, 16), (24, 24))


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def one_by_one(matrix):
    """Five Newton-Schulz steps on one matrix (Jordan et al. 2024), in float64."""
    x = matrix.double() / matrix.double().norm()
    x = x.T if matrix.shape[0] > matrix.shape[1] else x
    for _ in range(5):
        square = x @ x.T
        x = 3.4445 * x - 4.7750 * square @ x + 2.0315 * square @ square @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


@pytest.mark.parametrize("shape", SHAPES)
def test_matrices_are_orthogonalised_together_as_alone(shape):
    matrices = torch.randn(5, *shape) * torch.logspace(-3, 3, 5).reshape(-1, 1, 1)
    expected = torch.stack([one_by_one(matrix) for matrix in matrices])
    torch.testing.assert_close(orthogonalised(matrices).double(), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(orthogonalised(matrices[2]).double(), expected[2], atol=1e-5, rtol=1e-5)


def test_steps_are_those_of_each_matrix_alone():
    parameters = [torch.nn.Parameter(torch.randn(shape)) for shape in (*SHAPES, SHAPES[0], SHAPES[2])]
    idle = torch.nn.Parameter(torch.randn(SHAPES[0]))  # has no gradient
    expected = [parameter.detach().double() for parameter in parameters]
    velocities = [torch.zeros_like(value) for value in expected]
    before, rate, momentum = idle.detach().clone(), 0.1, 0.9
    muon = Muon([*parameters, idle], rate, momentum)
    for _ in range(3):
        for i, parameter in enumerate(parameters):
            parameter.grad = torch.randn(parameter.shape)
            gradient = parameter.grad.double()
            velocities[i] = momentum * velocities[i] + gradient
            update = one_by_one(gradient + momentum * velocities[i])
            expected[i] = expected[i] - rate * 0.2 * math.sqrt(max(parameter.shape)) * update
        muon.step()
    for parameter, value in zip(parameters, expected, strict=True):
        torch.testing.assert_close(parameter.detach().double(), value, atol=1e-5, rtol=1e-5)
    assert torch.equal(idle.detach(), before)


def test_all_singular_values_become_about_equal():
    for shape in ((16, 16), (16, 40), (40, 16)):
        values = torch.linalg.svdvals(orthogonalised(torch.randn(shape)))
        assert values.min() > 0.6
        assert values.max() < 1.3

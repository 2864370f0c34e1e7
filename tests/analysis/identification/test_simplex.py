"""Weights on the simplex: the maximum, by its conditions and by another optimiser."""

import numpy as np
import pytest
from scipy.optimize import minimize

from llm_icl.analysis.identification.simplex import maximise


@pytest.mark.parametrize("seed", range(8))
def test_the_maximum_is_that_of_a_general_optimiser(seed):
    random = np.random.default_rng(seed)
    components, counts = random.random((60, 4)), random.random(60) * (random.random(60) < 0.8)
    weights = maximise(components, counts)
    assert weights.sum() == pytest.approx(1)
    assert (weights >= 0).all()

    def loss(w):
        return -counts @ np.log(components @ w + 1e-12)

    other = minimize(
        loss, np.full(4, 0.25), bounds=[(0, 1)] * 4, constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"ftol": 1e-12, "maxiter": 500},
    )  # fmt: skip
    assert loss(weights) <= other.fun + 1e-6


def test_the_conditions_of_a_maximum_hold_where_weights_are_zero():
    """The gradient is the number of counts for weights above 0, and at most that for the others."""
    random = np.random.default_rng(0)
    good = random.random(200)
    counts = np.concatenate([good, 1 - good])
    components = np.stack([np.concatenate([p, 1 - p]) for p in (good, random.random(200), random.random(200))], axis=1)
    weights = maximise(components, counts)
    gradient = components.T @ (counts / (components @ weights))
    assert weights[0] > 0.9
    np.testing.assert_allclose(gradient[weights > 1e-6], counts.sum(), rtol=1e-4)
    assert (gradient < counts.sum() * (1 + 1e-4)).all()

"""Online learners of linear threshold functions, one pass over the examples in order."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_icl.learners.base import Learner, learners
from llm_icl.problems import Answers, Problems

Weights = NDArray[np.float64]


@learners.register("perceptron")
@dataclass(frozen=True)
class Perceptron(Learner):
    """Rosenblatt 1958: on a mistake add y·x, with x and y in {-1, +1} and a constant input; a tie gives 0."""

    def answer(self, problems: Problems) -> Answers:
        def update(weights: Weights, x: Weights, y: Weights) -> Weights:
            return weights + y[:, None] * x

        signs = problems.xs.astype(np.float64) * 2 - 1
        inputs = np.concatenate([signs, np.ones_like(signs[..., :1])], axis=-1)  # (N, m, n + 1)
        return _run(inputs, problems.shown, np.zeros((len(problems), inputs.shape[-1])), 0.0, update)


@learners.register("winnow")
@dataclass(frozen=True)
class Winnow(Learner):
    """Littlestone 1988 (Winnow2): weights 1, threshold n; on a mistake the weights of the active inputs are doubled
    or halved. The inputs are the n bits and their negations, which makes formulas with negations learnable.
    """

    def answer(self, problems: Problems) -> Answers:
        def update(weights: Weights, x: Weights, y: Weights) -> Weights:
            return weights * 2.0 ** (y[:, None] * x)

        inputs = np.concatenate([problems.xs, 1 - problems.xs], axis=-1).astype(np.float64)  # (N, m, 2n)
        return _run(inputs, problems.shown, np.ones((len(problems), inputs.shape[-1])), float(problems.n), update)


def _run(
    inputs: Weights,
    labels: NDArray[np.uint8],
    weights: Weights,
    threshold: float,
    update: Callable[[Weights, Weights, Weights], Weights],
) -> Answers:
    """Predict 1 where w·x > threshold, then update where that was a mistake; all problems step together."""
    prediction = np.zeros(labels.shape, dtype=np.int8)
    signs = labels.astype(np.float64) * 2 - 1
    for k in range(labels.shape[1]):
        x = inputs[:, k]  # (N, inputs)
        prediction[:, k] = (weights * x).sum(axis=-1) > threshold
        mistake = prediction[:, k] != labels[:, k]
        weights = np.where(mistake[:, None], update(weights, x, signs[:, k]), weights)
    return Answers.from_prediction(prediction)

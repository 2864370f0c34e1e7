"""Online learners of linear threshold functions, one pass over the examples in order."""

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_icl.learners.base import Learner, learners
from llm_icl.problems import Answers, Bits, Problems

Weights = NDArray[np.float64]


@dataclass(frozen=True)
class OnlineLearner(Learner):
    """The base class: predicts 1 where w·x > threshold, and changes w after a mistake."""

    @abstractmethod
    def inputs(self, xs: Bits) -> Weights:
        """The inputs (..., d) of points xs (..., n)."""

    @abstractmethod
    def start(self, n: int) -> tuple[float, float]:
        """The initial value of every weight, and the threshold."""

    @abstractmethod
    def update(self, weights: Weights, x: Weights, y: Weights) -> Weights:
        """The weights (N, d) after mistakes at inputs x (N, d) with labels y (N,) in {-1, +1}."""

    def answer(self, problems: Problems) -> Answers:
        return Answers.from_prediction(self._run(problems)[0])

    def answer_queries(self, contexts: Problems, queries: Bits) -> Answers:
        _, weights = self._run(contexts)
        score = (weights[:, None] * self.inputs(queries)).sum(axis=-1)  # (C, Q)
        return Answers.from_prediction(score > self.start(contexts.n)[1])

    def _run(self, problems: Problems) -> tuple[NDArray[np.int8], Weights]:
        """The predictions (N, m), and the weights (N, d) after all points; all problems step together."""
        inputs, labels = self.inputs(problems.xs), problems.shown
        initial, threshold = self.start(problems.n)
        weights = np.full((len(problems), inputs.shape[-1]), initial)
        prediction = np.zeros(labels.shape, dtype=np.int8)
        signs = labels.astype(np.float64) * 2 - 1
        for k in range(labels.shape[1]):
            x = inputs[:, k]  # (N, d)
            prediction[:, k] = (weights * x).sum(axis=-1) > threshold
            mistake = prediction[:, k] != labels[:, k]
            weights = np.where(mistake[:, None], self.update(weights, x, signs[:, k]), weights)
        return prediction, weights


@learners.register("perceptron")
@dataclass(frozen=True)
class Perceptron(OnlineLearner):
    """Rosenblatt 1958: on a mistake add y·x, with x and y in {-1, +1} and a constant input; a tie gives 0."""

    def inputs(self, xs: Bits) -> Weights:
        signs = xs.astype(np.float64) * 2 - 1
        return np.concatenate([signs, np.ones_like(signs[..., :1])], axis=-1)

    def start(self, n: int) -> tuple[float, float]:
        return 0.0, 0.0

    def update(self, weights: Weights, x: Weights, y: Weights) -> Weights:
        return weights + y[:, None] * x


@learners.register("winnow")
@dataclass(frozen=True)
class Winnow(OnlineLearner):
    """Littlestone 1988 (Winnow2): weights 1, threshold n; on a mistake the weights of the active inputs are doubled
    or halved. The inputs are the n bits and their negations, which makes formulas with negations learnable.
    """

    def inputs(self, xs: Bits) -> Weights:
        return np.concatenate([xs, 1 - xs], axis=-1).astype(np.float64)

    def start(self, n: int) -> tuple[float, float]:
        return 1.0, float(n)

    def update(self, weights: Weights, x: Weights, y: Weights) -> Weights:
        return weights * 2.0 ** (y[:, None] * x)

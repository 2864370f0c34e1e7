"""A kernel vote over the examples (Nadaraya 1964, Watson 1964): what one layer of softmax attention can compute."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_icl.errors import RequestError
from llm_icl.learners.base import Learner, learners
from llm_icl.problems import Answers, Bits, Problems, hamming_distances


@learners.register("kernel-vote")
@dataclass(frozen=True)
class KernelVote(Learner):
    """The weighted vote of all examples, with weights exp(-d/tau)·decay^age; P(y = 1) is the weight of label 1.

    d is the Hamming distance to the query; the age of the last example is 0. It tends to nearest neighbours as tau
    tends to 0, to the share of ones as tau grows, and to the last label as decay tends to 0. Without examples P(y = 1)
    is 0.5.
    """

    tau: float = 1.0
    decay: float = 1.0

    def check(self) -> None:
        if not 0 < self.tau < float("inf"):
            raise RequestError(f"kernel-vote: tau = {self.tau} is out of range: above 0")
        if not 0 < self.decay <= 1:
            raise RequestError(f"kernel-vote: decay = {self.decay} is out of range: above 0, at most 1")

    def answer(self, problems: Problems) -> Answers:
        return self.answer_at(problems, np.arange(problems.points))

    def answer_at(self, problems: Problems, positions: NDArray[np.int64]) -> Answers:
        ages = positions[:, None] - 1 - np.arange(problems.points)  # (P, m): of example j at each position
        return Answers.from_probability(self._vote(problems.distances[:, positions], ages, problems.shown))

    def answer_queries(self, contexts: Problems, queries: Bits) -> Answers:
        ages = np.arange(contexts.points)[::-1][None, :]
        return Answers.from_probability(self._vote(hamming_distances(queries, contexts.xs), ages, contexts.shown))

    def _vote(self, distances: NDArray[np.int16], ages: NDArray[np.int64], shown: Bits) -> NDArray[np.float64]:
        """P(y = 1) of distances (N, P, m), ages (P or 1, m) and labels (N, m); an age below 0 is not yet an example."""
        if distances.shape[-1] == 0:
            return np.full(distances.shape[:2], 0.5)
        weights = np.where(ages < 0, -np.inf, ages * np.log(self.decay) - distances / self.tau)  # (N, P, m): logarithms
        largest = weights.max(axis=-1, keepdims=True)
        weights = np.exp(weights - np.where(np.isfinite(largest), largest, 0))
        total = weights.sum(axis=-1)
        ones = (weights * shown[:, None, :]).sum(axis=-1)
        return np.divide(ones, total, out=np.full(total.shape, 0.5), where=total > 0)

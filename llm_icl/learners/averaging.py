"""Averaging (Garg et al. 2022; the baseline of Bhattamishra et al. 2024)."""

from dataclasses import dataclass

import numpy as np

from llm_icl.learners.base import Learner, learners
from llm_icl.problems import Answers, Bits, Problems, Task


@learners.register("averaging")
@dataclass(frozen=True)
class Averaging(Learner):
    """1 where w·x > 0 for w the mean of y_i x_i over the examples, all in {-1, +1}; a tie gives 0."""

    def answer(self, problems: Problems) -> Answers:
        xs, ys = problems.xs.astype(np.int32) * 2 - 1, problems.shown.astype(np.int32) * 2 - 1
        terms = ys[..., None] * xs  # (N, m, n)
        weights = np.cumsum(terms, axis=1) - terms  # (N, m, n): sum instead of mean, which has the same sign
        return Answers.from_prediction((weights * xs).sum(axis=-1) > 0)

    def answer_queries(self, contexts: Problems, queries: Bits) -> Answers:
        xs, ys = contexts.xs.astype(np.int32) * 2 - 1, contexts.shown.astype(np.int32) * 2 - 1
        weights = (ys[..., None] * xs).sum(axis=1)  # (C, n)
        return Answers.from_prediction(((queries.astype(np.int32) * 2 - 1) * weights[:, None]).sum(axis=-1) > 0)

    @classmethod
    def is_default_for(cls, task: Task) -> bool:
        return True

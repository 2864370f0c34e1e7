"""Learners that ignore the inputs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_icl.learners.base import Learner, learners
from llm_icl.problems import Answers, Problems, Task


@learners.register("best-constant")
@dataclass(frozen=True)
class BestConstant(Learner):
    """The most frequent label over all queries, fitted in hindsight: the best that a learner without inputs can do.

    Its probability is that label's frequency. It is fitted to the labels that it is scored on, so no ceiling applies to
    it.
    """

    def answer(self, problems: Problems) -> Answers:
        return self.answer_at(problems, np.arange(problems.points))

    def answer_at(self, problems: Problems, positions: NDArray[np.int64]) -> Answers:
        asked = problems.ys[:, positions]
        return Answers.from_probability(np.full(asked.shape, asked.mean()))

    @classmethod
    def is_default_for(cls, task: Task) -> bool:
        return True


@learners.register("majority-label")
@dataclass(frozen=True)
class MajorityLabel(Learner):
    """The majority label of the examples so far; P(y = 1) by Laplace's rule, (ones + 1) / (examples + 2)."""

    def answer(self, problems: Problems) -> Answers:
        examples = np.arange(problems.points)
        ones = np.cumsum(problems.shown, axis=-1, dtype=np.int64) - problems.shown
        return Answers.from_probability((ones + 1) / (examples + 2))

"""Learners that ignore the inputs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_icl.errors import RequestError
from llm_icl.learners.base import Learner, learners
from llm_icl.problems import Answers, Bits, Problems, Task


@learners.register("best-constant")
@dataclass(frozen=True)
class BestConstant(Learner):
    """The most frequent label over all queries, fitted in hindsight: the best that a learner without inputs can do.

    Its probability is that label's frequency. It is fitted to the labels that it is scored on, so no ceiling applies to
    it. In predictions.parquet it is that of each seed, in a report that of each task and n over all seeds.
    """

    def answer(self, problems: Problems) -> Answers:
        return self.answer_at(problems, np.arange(problems.points))

    def answer_at(self, problems: Problems, positions: NDArray[np.int64]) -> Answers:
        asked = problems.ys[:, positions]
        return Answers.from_probability(np.full(asked.shape, asked.mean()))

    def answer_queries(self, contexts: Problems, queries: Bits) -> Answers:
        raise RequestError("best-constant is fitted to the true labels of the queries, which are unknown here")

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

    def answer_queries(self, contexts: Problems, queries: Bits) -> Answers:
        share = (contexts.shown.sum(axis=-1, dtype=np.int64) + 1) / (contexts.points + 2)  # (C,)
        return Answers.from_probability(np.repeat(share[:, None], queries.shape[1], axis=1))


@learners.register("last-label")
@dataclass(frozen=True)
class LastLabel(Learner):
    """Copies the label of the last example; without examples P(y = 1) = 0.5."""

    def answer(self, problems: Problems) -> Answers:
        start = np.full((len(problems), 1), 0.5)
        return Answers.from_probability(np.concatenate([start, problems.shown[:, :-1]], axis=1))

    def answer_queries(self, contexts: Problems, queries: Bits) -> Answers:
        start = np.full((len(contexts), 1), 0.5)
        last = np.concatenate([start, contexts.shown], axis=1)[:, -1:]
        return Answers.from_probability(np.repeat(last, queries.shape[1], axis=1))


@learners.register("always")
@dataclass(frozen=True)
class Always(Learner):
    """The same label for every query: 1, or with label=0 the other."""

    label: int = 1

    def check(self) -> None:
        if self.label not in (0, 1):
            raise RequestError(f"always: label = {self.label} is not 0 or 1")

    def answer(self, problems: Problems) -> Answers:
        return Answers.from_prediction(np.full(problems.ys.shape, self.label))

    def answer_queries(self, contexts: Problems, queries: Bits) -> Answers:
        return Answers.from_prediction(np.full(queries.shape[:2], self.label))

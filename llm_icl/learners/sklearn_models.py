"""Batch learners from scikit-learn, refitted on each prefix."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llm_icl.errors import RequestError
from llm_icl.learners.base import Learner, learners
from llm_icl.problems import Answers, Bits, Problems


@dataclass(frozen=True)
class FittedOnPrefixes(Learner):
    """With a single label among the examples, that label; without examples P(y = 1) = 0.5."""

    @abstractmethod
    def estimator(self) -> Any:
        """A fresh scikit-learn classifier."""

    def answer(self, problems: Problems) -> Answers:
        return self.answer_at(problems, np.arange(problems.points))

    def answer_at(self, problems: Problems, positions: NDArray[np.int64]) -> Answers:
        asked = [
            [self._fitted(xs[:k], labels[:k], xs[k : k + 1])[0] for k in positions]
            for xs, labels in zip(problems.xs, problems.shown, strict=True)
        ]
        return Answers.from_probability(np.array(asked).reshape(len(problems), len(positions)))

    def answer_queries(self, contexts: Problems, queries: Bits) -> Answers:
        each = zip(contexts.xs, contexts.shown, queries, strict=True)
        return Answers.from_probability(np.array([self._fitted(*arrays) for arrays in each]))

    def _fitted(self, xs: Bits, labels: Bits, queries: Bits) -> NDArray[np.float64]:
        """P(y = 1) at queries (Q, n) from examples xs (k, n) and labels (k,)."""
        if len(labels) == 0:
            return np.full(len(queries), 0.5)
        if labels.min() == labels.max() or len(queries) == 0:
            return np.full(len(queries), float(labels[0]))
        return self.estimator().fit(xs, labels).predict_proba(queries)[:, 1]


@learners.register("logistic")
@dataclass(frozen=True)
class Logistic(FittedOnPrefixes):
    """Logistic regression with an L2 penalty of strength 1/c (scikit-learn's default is c = 1)."""

    c: float = 1.0

    def check(self) -> None:
        if not 0 < self.c < float("inf"):
            raise RequestError(f"logistic: c = {self.c} is out of range: above 0")

    def estimator(self) -> Any:
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(C=self.c, max_iter=1000)


@learners.register("decision-tree")
@dataclass(frozen=True)
class DecisionTree(FittedOnPrefixes):
    """A decision tree grown until its leaves are pure (scikit-learn's default); ties between splits by a fixed seed."""

    def estimator(self) -> Any:
        from sklearn.tree import DecisionTreeClassifier

        return DecisionTreeClassifier(random_state=0)

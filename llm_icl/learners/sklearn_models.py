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
            [self._fitted(xs, labels, k) for k in positions]
            for xs, labels in zip(problems.xs, problems.shown, strict=True)
        ]
        return Answers.from_probability(np.array(asked).reshape(len(problems), len(positions)))

    def _fitted(self, xs: Bits, shown: Bits, k: int) -> float:
        """P(y_k = 1) after the first k examples of one problem, xs (m, n) and shown (m,)."""
        labels = shown[:k]
        if k == 0:
            return 0.5
        if labels.min() == labels.max():
            return float(labels[0])
        fitted = self.estimator().fit(xs[:k], labels)
        return float(fitted.predict_proba(xs[k : k + 1])[0, 1])


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

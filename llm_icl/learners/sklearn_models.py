"""Batch learners from scikit-learn, refitted on each prefix."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from llm_icl.errors import RequestError
from llm_icl.learners.base import Learner, learners
from llm_icl.problems import Answers, Problems


@dataclass(frozen=True)
class FittedOnPrefixes(Learner):
    """With a single label among the examples, that label; without examples P(y = 1) = 0.5."""

    @abstractmethod
    def estimator(self) -> Any:
        """A fresh scikit-learn classifier."""

    def answer(self, problems: Problems) -> Answers:
        probability = np.full(problems.ys.shape, 0.5)
        for i in range(len(problems)):
            for k in range(1, problems.points):
                labels = problems.shown[i, :k]
                if labels.min() == labels.max():
                    probability[i, k] = labels[0]
                    continue
                fitted = self.estimator().fit(problems.xs[i, :k], labels)  # (k, n), (k,)
                probability[i, k] = fitted.predict_proba(problems.xs[i, k : k + 1])[0, 1]
        return Answers.from_probability(probability)


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

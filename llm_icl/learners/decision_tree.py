"""A decision tree from scikit-learn, grown again on each prefix."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_icl.learners.base import Learner, learners
from llm_icl.problems import Answers, Bits, Problems


@learners.register("decision-tree")
@dataclass(frozen=True)
class DecisionTree(Learner):
    """A decision tree grown until its leaves are pure (scikit-learn's default); ties between splits by a fixed seed.

    With a single label among the examples, that label; without examples P(y = 1) = 0.5.
    """

    def answer(self, problems: Problems) -> Answers:
        return self.answer_at(problems, np.arange(problems.points))

    def answer_at(self, problems: Problems, positions: NDArray[np.int64]) -> Answers:
        asked = [
            [_grown(xs[:k], labels[:k], xs[k : k + 1])[0] for k in positions]
            for xs, labels in zip(problems.xs, problems.shown, strict=True)
        ]
        return Answers.from_probability(np.array(asked).reshape(len(problems), len(positions)))

    def answer_queries(self, contexts: Problems, queries: Bits) -> Answers:
        each = zip(contexts.xs, contexts.shown, queries, strict=True)
        return Answers.from_probability(np.array([_grown(*arrays) for arrays in each]))


def _grown(xs: Bits, labels: Bits, queries: Bits) -> NDArray[np.float64]:
    """P(y = 1) at queries (Q, n) from examples xs (k, n) and labels (k,)."""
    if len(labels) == 0:
        return np.full(len(queries), 0.5)
    if labels.min() == labels.max() or len(queries) == 0:
        return np.full(len(queries), float(labels[0]))
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(random_state=0).fit(xs, labels).predict_proba(queries)[:, 1]

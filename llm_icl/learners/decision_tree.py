"""A decision tree, grown again on each prefix: of each tree only the path that its query takes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_icl.learners.base import Learner, learners
from llm_icl.problems import Answers, Bits, Problems

Floats = NDArray[np.float64]
Counts = NDArray[np.floating]

# Sums of two fractions that differ by less are equal but for rounding.
_EVEN = 1e-9
# Problems are taken in parts of about so many pairs of a query and an example.
_PAIRS = 2_000_000


@learners.register("decision-tree")
@dataclass(frozen=True)
class DecisionTree(Learner):
    """A decision tree by Gini impurity (CART; Breiman et al. 1984), grown until its leaves are pure or all alike.

    Of equally good splits, that on the first bit. P(y = 1) is the share of ones among the labels of a leaf; without
    examples 0.5.
    """

    def answer(self, problems: Problems) -> Answers:
        return self.answer_at(problems, np.arange(problems.points))

    def answer_at(self, problems: Problems, positions: NDArray[np.int64]) -> Answers:
        known = np.arange(problems.points) < positions[:, None]  # (P, m)
        queries = problems.xs[:, positions]  # (N, P, n)
        return Answers.from_probability(_in_parts(problems.xs, problems.shown, queries, known))

    def answer_queries(self, contexts: Problems, queries: Bits) -> Answers:
        known = np.ones((queries.shape[1], contexts.points), dtype=bool)  # (Q, m)
        return Answers.from_probability(_in_parts(contexts.xs, contexts.shown, queries, known))


def _in_parts(xs: Bits, labels: Bits, queries: Bits, known: NDArray[np.bool_]) -> Floats:
    """P(y = 1) (N, Q) at queries (N, Q, n), from those of the examples xs (N, m, n) and labels (N, m) that each query
    knows (Q, m).
    """
    found = np.empty(queries.shape[:2])
    size = max(1, _PAIRS // max(1, known.size))
    for start in range(0, len(xs), size):
        part = slice(start, start + size)
        found[part] = shares_of_ones(xs[part], labels[part], queries[part], known, depth=xs.shape[2])
    return found


def shares_of_ones(xs: Bits, labels: Bits, queries: Bits, known: NDArray[np.bool_], depth: int) -> Floats:
    """The same, from trees that are no deeper than `depth`.

    Examples in the node that a query has reached are counted by products of matrices, exactly.
    """
    values = xs.astype(np.float32)  # (N, m, n)
    ones = labels.astype(np.float32)[:, None]  # (N, 1, m)
    inside = np.broadcast_to(known, (len(xs), *known.shape)).astype(np.float32)  # (N, Q, m)
    for _ in range(depth):
        total, positive = inside.sum(axis=2), (inside * ones).sum(axis=2)  # (N, Q)
        right, right_positive = inside @ values, (inside * ones) @ values  # (N, Q, n): where the bit is 1
        left, left_positive = total[..., None] - right, positive[..., None] - right_positive
        splits = (right > 0) & (left > 0) & ((positive > 0) & (positive < total))[..., None]
        growing = splits.any(axis=2)  # (N, Q)
        if not growing.any():
            break
        impurity = np.where(splits, _impurity(right, right_positive) + _impurity(left, left_positive), np.inf)
        bit = (impurity <= impurity.min(axis=2, keepdims=True) + _EVEN).argmax(axis=2)  # (N, Q), the first of the best
        wanted = np.take_along_axis(queries, bit[..., None], axis=2)  # (N, Q, 1)
        same = np.take_along_axis(xs.mT, bit[..., None], axis=1) == wanted  # (N, Q, m)
        inside *= same | ~growing[..., None]
    total = inside.sum(axis=2)
    return np.divide((inside * ones).sum(axis=2), total, out=np.full(total.shape, 0.5), where=total > 0, dtype=float)


def _impurity(size: Counts, positive: Counts) -> Floats:
    """Half of the Gini impurity of nodes, times their sizes."""
    return positive.astype(float) * (size - positive) / np.maximum(size, 1)

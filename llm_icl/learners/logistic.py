"""Logistic regression, fitted again on each prefix: those of all problems at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_icl.errors import RequestError
from llm_icl.learners.base import Learner, learners
from llm_icl.problems import Answers, Bits, Problems

Floats = NDArray[np.float64]

# Newton's method ends at this size of the gradient (after 6 steps for c = 1, at most 16 for the largest c), or after so
# many steps.
_FLAT, _STEPS = 1e-10, 200
# Beyond these, rounding keeps the gradient above that size.
_LEAST, _MOST = 1e-6, 1e4
# A logit this small is one of 0: by symmetry, up to rounding.
_EVEN = 1e-8


@learners.register("logistic")
@dataclass(frozen=True)
class Logistic(Learner):
    """Logistic regression with an L2 penalty of strength 1/c on all weights but the constant.

    The minimum of ½|w|² + c · Σ log(1 + exp(∓(w·x + b))). With a single
    label among the examples, that label; without examples P(y = 1) = 0.5.
    """

    c: float = 1.0

    def check(self) -> None:
        if not _LEAST <= self.c <= _MOST:
            raise RequestError(f"logistic: c = {self.c} is out of range: 0.000001 to 10,000")

    def answer(self, problems: Problems) -> Answers:
        return self.answer_at(problems, np.arange(problems.points))

    def answer_at(self, problems: Problems, positions: NDArray[np.int64]) -> Answers:
        found = np.empty((len(problems), len(positions)))
        for column, k in enumerate(positions):
            queries = problems.xs[:, k : k + 1]
            found[:, column] = self._probability(problems.xs[:, :k], problems.shown[:, :k], queries)[:, 0]
        return Answers.from_probability(found)

    def answer_queries(self, contexts: Problems, queries: Bits) -> Answers:
        return Answers.from_probability(self._probability(contexts.xs, contexts.shown, queries))

    def _probability(self, xs: Bits, labels: Bits, queries: Bits) -> Floats:
        """P(y = 1) (N, Q) at queries (N, Q, n) from examples xs (N, k, n) and labels (N, k)."""
        if not labels.shape[1]:
            return np.full(queries.shape[:2], 0.5)
        found = np.repeat(labels[:, :1].astype(float), queries.shape[1], axis=1)
        mixed = labels.min(axis=1) != labels.max(axis=1)
        weights = fitted(_with_constant(xs[mixed]), labels[mixed].astype(float), self.c)  # (N', n + 1)
        logits = _dot(_with_constant(queries[mixed]), weights)  # (N', Q)
        found[mixed] = _sigmoid(np.where(np.abs(logits) < _EVEN, 0.0, logits))
        return found


def fitted(xs: Floats, labels: Floats, c: float) -> Floats:
    """The weights (N, d) of N regressions on examples xs (N, k, d), whose last column is constant, and labels (N, k).

    Newton's method, with steps that are halved until the loss falls: it is strictly convex where both labels occur.
    """
    penalty = np.full(xs.shape[2], 1 / c)
    penalty[-1] = 0.0
    weights = np.zeros((len(xs), xs.shape[2]))
    open_ = np.arange(len(xs))  # those that have not ended: each ends by itself, whatever the others are
    for _ in range(_STEPS):
        part, known, at = xs[open_], labels[open_], weights[open_]
        ones = _sigmoid(_dot(part, at))  # P(y = 1) of the examples, (N', k)
        gradient = _dot(part.mT, ones - known) + penalty * at
        going = np.abs(gradient).max(axis=1, initial=0.0) > _FLAT
        open_, part, known, at, ones = open_[going], part[going], known[going], at[going], ones[going]
        if not len(open_):
            break
        hessian = part.mT @ ((ones * (1 - ones))[..., None] * part) + np.diag(penalty)  # (N', d, d)
        step = np.linalg.solve(hessian, gradient[going][..., None])[..., 0]
        weights[open_] = _falling(part, known, penalty, at, step)
    return weights


def _falling(xs: Floats, labels: Floats, penalty: Floats, weights: Floats, step: Floats) -> Floats:
    """The weights (N, d) after a step, which is halved until the loss does not rise but for rounding."""

    def loss(weights: Floats) -> Floats:
        logits = _dot(xs, weights)
        return (np.logaddexp(0.0, logits) - labels * logits).sum(axis=1) + 0.5 * (penalty * weights**2).sum(axis=1)

    most = loss(weights) * (1 + 1e-12)
    size = np.ones((len(xs), 1))
    for _ in range(_STEPS):
        new = weights - size * step
        rises = loss(new) > most
        if not rises.any():
            break
        size[rises] /= 2
    return new


def _dot(matrices: Floats, vectors: Floats) -> Floats:
    """(N, k, d) times (N, d), each by itself: (N, k)."""
    return (matrices @ vectors[..., None])[..., 0]


def _with_constant(xs: Bits) -> Floats:
    return np.concatenate([xs, np.ones((*xs.shape[:-1], 1))], axis=-1, dtype=float)


def _sigmoid(logits: Floats) -> Floats:
    return 0.5 * (1 + np.tanh(logits / 2))

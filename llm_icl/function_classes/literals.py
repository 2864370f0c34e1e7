"""Conjunctions and disjunctions of literals (Bhattamishra et al. 2024, App. A; Valiant 1984).

Literals are an array of -1, 0 and 1: bit j occurs unnegated (1), negated (-1) or not at all (0).
"""

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_icl.errors import RequestError
from llm_icl.function_classes.base import (
    FunctionClass,
    Hypotheses,
    Mask,
    Planting,
    TeachingSequence,
    binomial,
    closed_up,
    function_classes,
    grid,
    power,
    subsets,
)
from llm_icl.function_classes.counting import MAX_COUNTED_N, conjunction_posterior
from llm_icl.problems import Bits, Parameters, Problems, Task
from llm_icl.randomness import Source

Literals = NDArray[np.int8]

# Up to this many functions exact Bayes enumerates them; above, counting is faster.
_LISTED = 2**15


def draw_literals(source: Source, positive: float, negative: float, *shape: int) -> Literals:
    """Each bit occurs unnegated, negated, or not at all, independently."""
    uniform = source.uniform("literals", *shape)
    return np.where(uniform < positive, 1, np.where(uniform < positive + negative, -1, 0)).astype(np.int8)


def check_probabilities(positive: float, negative: float) -> None:
    if not (positive >= 0 and negative >= 0 and 0 < positive + negative <= 1):
        raise RequestError(
            "the probabilities of positive and negative literals must be at least 0, with a sum above 0 and at most 1"
        )


def conjunction(literals: Literals, xs: Bits) -> Mask:
    """Whether all literals (F, n) hold at xs (F, m, n); the empty conjunction holds everywhere."""
    opposite = 1 - 2 * xs.astype(np.int8)  # (F, m, n): the literal that each bit falsifies, never an absent one (0)
    false = literals[:, None, :] == opposite  # (F, m, n)
    return ~np.logical_or.reduce([false[..., bit] for bit in range(false.shape[-1])])  # (F, m)


def literal_grid(positive: float, negative: float, n: int) -> tuple[Literals, NDArray[np.float64]]:
    """All literal vectors with positive prior, (H, n), and their prior (H,)."""
    values = np.array([v for v, p in ((0, 1 - positive - negative), (1, positive), (-1, negative)) if p > 0], np.int8)
    probability = {0: 1 - positive - negative, 1: positive, -1: negative}
    literals = grid(values, n)
    prior = np.ones(len(literals))
    for value in values.tolist():
        prior *= probability[value] ** (literals == value).sum(axis=-1)
    return literals, prior


def literal_count(positive: float, negative: float, n: int) -> float:
    return power(sum(p > 0 for p in (1 - positive - negative, positive, negative)), n)


def teach_conjunction(literals: Literals, one_sign: int) -> TeachingSequence:
    """Positive points that leave only the true literals possible, then one negative point for each literal.

    The first point satisfies the conjunction with the other bits at 0, the second with the other bits at 1; together
    they rule out every literal of another bit. If all literals of the class have one sign, the point whose other bits
    falsify that sign suffices. Then each literal in turn (positive ones first) is the only one to fail: without it the
    label would be 1.
    """
    relevant = literals != 0
    satisfying = (literals > 0).astype(np.uint8)
    anchors = [
        satisfying if other == 0 else satisfying | ~relevant for other in (0, 1) if one_sign in (0, 1 - 2 * other)
    ]
    anchor = np.stack(anchors, axis=1)  # (F, 1 or 2, n)
    n = literals.shape[-1]
    flipped = anchor[:, :1] ^ np.eye(n, dtype=np.uint8)  # (F, n, n)
    rows = [np.where((literals == sign)[..., None], flipped, 255) for sign in (1, -1)]  # (F, n, n) each
    xs = np.concatenate([anchor, *rows], axis=1).astype(np.uint8)  # (F, 1 or 2 + 2n, n)
    return closed_up(xs, anchor.shape[1] + relevant.sum(axis=-1))


@function_classes.register("conjunction")
@dataclass(frozen=True)
class Conjunction(FunctionClass):
    """AND of literals: each bit occurs unnegated or negated with the given probabilities."""

    positive: float = 0.15
    negative: float = 0.15

    def check(self, n: int) -> None:
        super().check(n)
        check_probabilities(self.positive, self.negative)

    def draw(self, source: Source, n: int) -> Parameters:
        return {"literals": draw_literals(source, self.positive, self.negative, n)}

    def evaluate(self, parameters: Parameters, xs: Bits) -> Bits:
        return conjunction(parameters["literals"], xs).astype(np.uint8)

    def is_constant(self, parameters: Parameters) -> Mask:
        return ~(parameters["literals"] != 0).any(axis=-1)

    def planting(self, parameters: Parameters) -> Planting:
        """A planted point satisfies every literal."""
        literals = parameters["literals"]
        return Planting(literals != 0, (literals > 0).astype(np.uint8))

    def teaching_sequence(self, parameters: Parameters) -> TeachingSequence:
        return teach_conjunction(parameters["literals"], self.one_sign)

    @property
    def one_sign(self) -> int:
        """1 or -1 if all literals of the class have that sign, else 0."""
        return 1 if self.negative == 0 else -1 if self.positive == 0 else 0

    def count(self, n: int) -> float:
        return literal_count(self.positive, self.negative, n)

    def hypotheses(self, n: int) -> Hypotheses:
        literals, prior = literal_grid(self.positive, self.negative, n)
        return Hypotheses({"literals": literals}, prior)

    def has_closed_form(self, task: Task, n: int) -> bool:
        fair = task.planted == 0 or task.bias == 0.5
        return self.count(n) > _LISTED and n <= MAX_COUNTED_N and task.noise == 0 and task.teaching == 0 and fair

    def closed_form(self, problems: Problems, knows_inputs: bool) -> NDArray[np.float64]:
        planted = problems.task.planted if knows_inputs else 0.0
        laws = (self.positive, self.negative, planted, problems.task.drop_constant)
        pairs = zip(problems.xs, problems.shown, strict=True)
        return np.array([conjunction_posterior(xs, labels, *laws) for xs, labels in pairs])

    def closed_form_at(self, problems: Problems, queries: Bits, knows_inputs: bool) -> NDArray[np.float64]:
        planted = problems.task.planted if knows_inputs else 0.0
        laws = (self.positive, self.negative, planted, problems.task.drop_constant)
        each = zip(problems.xs, problems.shown, queries, strict=True)
        return np.array([conjunction_posterior(xs, labels, *laws, queries=asked) for xs, labels, asked in each])


@function_classes.register("disjunction")
@dataclass(frozen=True)
class Disjunction(Conjunction):
    """OR of literals: the negation of the conjunction of the negated literals."""

    def evaluate(self, parameters: Parameters, xs: Bits) -> Bits:
        return 1 - super().evaluate(negated(parameters), xs)

    def planting(self, parameters: Parameters) -> Planting:
        """A planted point falsifies every literal."""
        return super().planting(negated(parameters))

    def teaching_sequence(self, parameters: Parameters) -> TeachingSequence:
        return teach_conjunction(-parameters["literals"], -self.one_sign)

    def closed_form(self, problems: Problems, knows_inputs: bool) -> NDArray[np.float64]:
        dual = dataclasses.replace(problems, shown=1 - problems.shown)
        return 1 - Conjunction(self.negative, self.positive).closed_form(dual, knows_inputs)

    def closed_form_at(self, problems: Problems, queries: Bits, knows_inputs: bool) -> NDArray[np.float64]:
        dual = dataclasses.replace(problems, shown=1 - problems.shown)
        return 1 - Conjunction(self.negative, self.positive).closed_form_at(dual, queries, knows_inputs)


@function_classes.register("sparse-disjunction")
@dataclass(frozen=True)
class SparseDisjunction(FunctionClass):
    """OR of exactly k bits, a uniformly drawn subset; no negations."""

    k: int = 4

    def check(self, n: int) -> None:
        super().check(n)
        if not 1 <= self.k <= n:
            raise RequestError(f"a disjunction of k = {self.k} bits requires n of at least {max(self.k, 1)}, not {n}")

    def draw(self, source: Source, n: int) -> Parameters:
        return {"literals": source.subset("literals", self.k, n).astype(np.int8)}

    def evaluate(self, parameters: Parameters, xs: Bits) -> Bits:
        return 1 - conjunction(-parameters["literals"], xs).astype(np.uint8)

    def is_constant(self, parameters: Parameters) -> Mask:
        return np.zeros(len(parameters["literals"]), dtype=bool)

    def planting(self, parameters: Parameters) -> Planting:
        """A planted point falsifies every literal."""
        literals = parameters["literals"]
        return Planting(literals != 0, np.zeros(literals.shape, dtype=np.uint8))

    def count(self, n: int) -> float:
        return binomial(n, self.k)

    def hypotheses(self, n: int) -> Hypotheses:
        chosen = subsets(n, self.k)
        return Hypotheses({"literals": chosen.astype(np.int8)}, np.full(len(chosen), 1 / len(chosen)))


def negated(parameters: Parameters) -> Parameters:
    return {"literals": -parameters["literals"]}

"""Linear threshold functions: 1 where w·x > t, with x in {-1, +1}^n (Bhattamishra et al. 2024, App. A)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_icl.errors import RequestError
from llm_icl.function_classes.base import (
    FunctionClass,
    Hypotheses,
    Mask,
    binomial,
    function_classes,
    grid,
    power,
    subsets,
)
from llm_icl.function_classes.literals import check_probabilities, draw_literals, literal_count, literal_grid
from llm_icl.problems import Bits, Parameters
from llm_icl.randomness import Source

# Sums of MAX_N weights stay well within int32.
MAX_BOUND = 1_000_000


@dataclass(frozen=True)
class ThresholdFunction(FunctionClass):
    """The base class: weights (F, n) and a threshold (F,) that no sum of integer weights equals."""

    def evaluate(self, parameters: Parameters, xs: Bits) -> Bits:
        signs = xs.astype(np.int8) * 2 - 1  # (F, m, n)
        weights = parameters["weights"]
        sums = np.einsum("fmn,fn->fm", signs.astype(weights.dtype), weights)  # (F, m)
        return (sums > parameters["threshold"][:, None]).astype(np.uint8)

    def is_constant(self, parameters: Parameters) -> Mask:
        return np.abs(parameters["weights"]).sum(axis=-1) <= np.abs(parameters["threshold"])


def with_threshold(weights: NDArray[np.generic], threshold: float) -> Parameters:
    """Converts integer weights to int32; real weights are unchanged."""
    kept = weights if weights.dtype.kind == "f" else weights.astype(np.int32)
    return {"weights": kept, "threshold": np.full(len(weights), threshold)}


@function_classes.register("majority")
@dataclass(frozen=True)
class Majority(ThresholdFunction):
    """1 where more than half of the relevant bits are 1; ties, including the empty set, give 0.

    Each bit is relevant with probability `relevant`, independently.
    """

    relevant: float = 0.3

    def check(self, n: int) -> None:
        super().check(n)
        check_probabilities(self.relevant, 0.0)

    def draw(self, source: Source, n: int) -> Parameters:
        return with_threshold(draw_literals(source, self.relevant, 0.0, n), 0.5)

    def count(self, n: int) -> float:
        return literal_count(self.relevant, 0.0, n)

    def hypotheses(self, n: int) -> Hypotheses:
        literals, prior = literal_grid(self.relevant, 0.0, n)
        return Hypotheses(with_threshold(literals, 0.5), prior)


@function_classes.register("full-majority")
@dataclass(frozen=True)
class FullMajority(ThresholdFunction):
    """Majority of n literals, one for each bit, negated or not with equal probability; a tie gives 0."""

    def draw(self, source: Source, n: int) -> Parameters:
        return with_threshold(draw_literals(source, 0.5, 0.5, n), 0.5)

    def count(self, n: int) -> float:
        return power(2, n)

    def hypotheses(self, n: int) -> Hypotheses:
        literals, prior = literal_grid(0.5, 0.5, n)
        return Hypotheses(with_threshold(literals, 0.5), prior)


@function_classes.register("threshold")
@dataclass(frozen=True)
class ZeroOneThreshold(ThresholdFunction):
    """Weights in {-1, 0, 1}, drawn like the literals of a conjunction, and a threshold uniform on ±0.5, ±1.5, ±2.5."""

    positive: float = 0.15
    negative: float = 0.15

    THRESHOLDS = (-2.5, -1.5, -0.5, 0.5, 1.5, 2.5)

    def check(self, n: int) -> None:
        super().check(n)
        check_probabilities(self.positive, self.negative)

    def draw(self, source: Source, n: int) -> Parameters:
        weights = draw_literals(source, self.positive, self.negative, n).astype(np.int32)
        chosen = source.integers("threshold", 0, len(self.THRESHOLDS) - 1, 1)[:, 0]
        return {"weights": weights, "threshold": np.array(self.THRESHOLDS)[chosen]}

    def count(self, n: int) -> float:
        return literal_count(self.positive, self.negative, n) * len(self.THRESHOLDS)

    def hypotheses(self, n: int) -> Hypotheses:
        literals, prior = literal_grid(self.positive, self.negative, n)
        times = len(self.THRESHOLDS)
        parameters = {
            "weights": np.repeat(literals, times, axis=0).astype(np.int32),
            "threshold": np.tile(np.array(self.THRESHOLDS), len(literals)),
        }
        return Hypotheses(parameters, np.repeat(prior / times, times))


@function_classes.register("integer-halfspace")
@dataclass(frozen=True)
class IntegerHalfspace(ThresholdFunction):
    """Weights uniform on -3, …, 3; 1 where w·x > 0.5, so a sum of 0 gives 0."""

    bound: int = 3

    def check(self, n: int) -> None:
        super().check(n)
        if not 1 <= self.bound <= MAX_BOUND:
            raise RequestError(f"bound = {self.bound} is out of range: 1 to {MAX_BOUND:,}")

    def draw(self, source: Source, n: int) -> Parameters:
        return with_threshold(source.integers("weights", -self.bound, self.bound, n), 0.5)

    def count(self, n: int) -> float:
        return power(2 * self.bound + 1, n)

    def hypotheses(self, n: int) -> Hypotheses:
        weights = grid(np.arange(-self.bound, self.bound + 1, dtype=np.int32), n)
        return Hypotheses(with_threshold(weights, 0.5), np.full(len(weights), 1 / len(weights)))


def halfspaces(k: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """One weight vector (F, k) for each function that k ≤ 3 normal weights give, and the functions' probabilities (F,).

    A weight that exceeds the sum of the others decides alone. If none of three does, any two of them outvote the third:
    the function is the majority of their signs. P(|w1| > |w2| + |w3|) is the solid angle of two square pyramids.
    """
    if k > 3:
        raise RequestError("the halfspaces of more than 3 bits cannot be enumerated")
    alone = {1: 1 / 2, 2: 1 / 4, 3: np.arctan(8**-0.5) / np.pi}[k]
    weights, probability = np.concatenate([np.eye(k), -np.eye(k)]), np.full(2 * k, alone)
    if k == 3:
        weights = np.concatenate([weights, grid(np.array([-1.0, 1.0]), k)])
        probability = np.append(probability, np.full(8, (1 - 6 * alone) / 8))
    return weights, probability


@function_classes.register("halfspace")
@dataclass(frozen=True)
class Halfspace(ThresholdFunction):
    """Standard normal weights; 1 where w·x > 0. Functions of more than 3 bits have no simple probabilities, so exact
    Bayes does not enumerate them.
    """

    def draw(self, source: Source, n: int) -> Parameters:
        return with_threshold(source.normal("weights", n), 0.0)

    def count(self, n: int) -> float:
        return {1: 2, 2: 4, 3: 14}.get(n, float("inf"))

    def hypotheses(self, n: int) -> Hypotheses:
        weights, probability = halfspaces(n)
        return Hypotheses(with_threshold(weights, 0.0), probability)


@function_classes.register("sparse-halfspace")
@dataclass(frozen=True)
class SparseHalfspace(Halfspace):
    """Standard normal weights on a uniformly drawn subset of k bits, 0 elsewhere."""

    k: int = 3

    def check(self, n: int) -> None:
        super().check(n)
        if not 1 <= self.k <= n:
            raise RequestError(f"a halfspace over k = {self.k} bits requires n of at least {max(self.k, 1)}, not {n}")

    def draw(self, source: Source, n: int) -> Parameters:
        return with_threshold(source.normal("weights", n) * source.subset("relevant", self.k, n), 0.0)

    def count(self, n: int) -> float:
        return binomial(n, self.k) * super().count(self.k)

    def hypotheses(self, n: int) -> Hypotheses:
        masks, (weights, probability) = subsets(n, self.k), halfspaces(self.k)
        spread = np.zeros((len(masks), len(weights), n))  # (subsets, F, n)
        for row, mask in zip(spread, masks, strict=True):
            row[:, mask] = weights
        prior = np.tile(probability / len(masks), len(masks))
        return Hypotheses(with_threshold(spread.reshape(-1, n), 0.0), prior)

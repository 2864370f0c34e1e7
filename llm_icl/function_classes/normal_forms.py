"""Disjunctive and conjunctive normal forms of a few terms (Bhattamishra et al. 2024, App. A: 3-DNF, 3-CNF)."""

import itertools
import math
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
    function_classes,
)
from llm_icl.function_classes.literals import (
    Literals,
    check_probabilities,
    conjunction,
    draw_literals,
    literal_count,
    literal_grid,
)
from llm_icl.problems import Bits, Parameters
from llm_icl.randomness import Source

MAX_TERMS = 10


@function_classes.register("dnf")
@dataclass(frozen=True)
class DNF(FunctionClass):
    """OR of `terms` conjunctions, each drawn like a conjunction. The literals are an array (F, terms, n).

    A planted point satisfies the first term. (The public sampler plants one random term per prompt;
    as the terms are i.i.d., the distribution is the same.)
    """

    terms: int = 3
    positive: float = 0.1
    negative: float = 0.1

    no_teaching = (
        "DNFs with negations have no short certificate (any single point may be one more term); "
        "use monotone-dnf or monotone-cnf"
    )

    def check(self, n: int) -> None:
        super().check(n)
        check_probabilities(self.positive, self.negative)
        if not 1 <= self.terms <= MAX_TERMS:
            raise RequestError(f"terms = {self.terms} is out of range: 1 to {MAX_TERMS}")

    def draw(self, source: Source, n: int) -> Parameters:
        return {"literals": draw_literals(source, self.positive, self.negative, self.terms, n)}  # (F, terms, n)

    def evaluate(self, parameters: Parameters, xs: Bits) -> Bits:
        literals = parameters["literals"]  # (F, terms, n)
        holds = conjunction(literals[:, 0], xs)  # (F, m)
        for term in range(1, literals.shape[1]):
            holds |= conjunction(literals[:, term], xs)
        return holds.astype(np.uint8)

    def is_constant(self, parameters: Parameters) -> Mask:
        """A DNF is never constantly 0, and constantly 1 if its terms together cover all inputs.

        The covered fraction of inputs, by inclusion-exclusion, is 1 or at most 1 - 2^-terms: exact in floats.
        """
        return coverage(parameters["literals"]) > 1 - 2.0 ** -(self.terms + 1)

    def planting(self, parameters: Parameters) -> Planting:
        first = parameters["literals"][:, 0]
        return Planting(first != 0, (first > 0).astype(np.uint8))

    def teaching_sequence(self, parameters: Parameters) -> TeachingSequence:
        if self.negative > 0:
            return super().teaching_sequence(parameters)
        sequences = [teach_monotone_dnf(terms) for terms in parameters["literals"] != 0]
        lengths = np.array([len(sequence) for sequence in sequences])
        n = parameters["literals"].shape[-1]
        xs = np.zeros((len(sequences), lengths.max(initial=0), n), dtype=np.uint8)  # (F, t, n)
        for row, sequence in zip(xs, sequences, strict=True):
            row[: len(sequence)] = sequence
        return TeachingSequence(xs, lengths)

    def count(self, n: int) -> float:
        """The first term, which may be planted, is distinguished; the others are unordered."""
        single = literal_count(self.positive, self.negative, n)
        if single > 1e6:
            return float("inf")
        return single * math.comb(int(single) + self.terms - 2, self.terms - 1)

    def hypotheses(self, n: int) -> Hypotheses:
        literals, prior = literal_grid(self.positive, self.negative, n)
        multisets = itertools.combinations_with_replacement(range(len(literals)), self.terms - 1)
        others = np.array(list(multisets), dtype=np.int64)
        orders = np.array([_orders(row) for row in others.tolist()], dtype=np.float64)
        chosen = np.concatenate(
            [
                np.repeat(np.arange(len(literals)), len(others))[:, None],
                np.tile(others, (len(literals), 1)),
            ],
            axis=1,
        )
        weight = prior[chosen].prod(axis=-1) * np.tile(orders, len(literals))  # (H,)
        return Hypotheses({"literals": literals[chosen]}, weight)  # (H, terms, n)


@function_classes.register("cnf")
@dataclass(frozen=True)
class CNF(DNF):
    """AND of `terms` clauses, each drawn like a disjunction: the negation of the DNF of the negated literals."""

    def evaluate(self, parameters: Parameters, xs: Bits) -> Bits:
        return 1 - super().evaluate({"literals": -parameters["literals"]}, xs)

    def planting(self, parameters: Parameters) -> Planting:
        """A planted point falsifies the first clause."""
        return super().planting({"literals": -parameters["literals"]})

    def teaching_sequence(self, parameters: Parameters) -> TeachingSequence:
        """The dual of a monotone CNF is the DNF of the same sets: the same points with every bit flipped."""
        xs, lengths = super().teaching_sequence(parameters)
        return TeachingSequence(1 - xs, lengths)


def coverage(literals: Literals) -> NDArray[np.float64]:
    """The fraction of all inputs at which some term of literals (F, terms, n) holds, by inclusion-exclusion."""
    terms = literals.shape[1]
    share = np.zeros(len(literals))
    for size in range(1, terms + 1):
        for chosen in itertools.combinations(range(terms), size):
            together = literals[:, chosen]  # (F, size, n)
            positive, negative = (together > 0).any(axis=1), (together < 0).any(axis=1)  # (F, n) each
            possible = ~(positive & negative).any(axis=-1)
            share += (-1) ** (size + 1) * possible * 2.0 ** -(positive | negative).sum(axis=-1)
    return share


def teach_monotone_dnf(terms: Mask) -> Bits:
    """A certificate for the monotone DNF of the terms (terms, n) among all DNFs with as many monotone terms: (t, n).

    For every prime term its minimal point, which is positive, and that point without each of its bits, which are
    negative: some term of a consistent DNF must be exactly this one. With fewer primes than terms, the maximal
    negative points rule out additional terms.
    """
    sets = list(dict.fromkeys(frozenset(np.flatnonzero(term).tolist()) for term in terms))
    # Sorted: a function has the same sequence for any order of its terms.
    primes = sorted((term for term in sets if not any(other < term for other in sets)), key=sorted)
    n = terms.shape[-1]
    points = [point for prime in primes for point in (prime, *(prime - {bit} for bit in sorted(prime)))]
    if len(primes) < len(terms):
        transversals = {frozenset(choice) for choice in itertools.product(*primes)}
        minimal = [t for t in transversals if not any(other < t for other in transversals)]
        points += [frozenset(range(n)) - t for t in sorted(minimal, key=sorted)]
    return np.array([[bit in point for bit in range(n)] for point in dict.fromkeys(points)], dtype=np.uint8)


def _orders(row: list[int]) -> int:
    """The number of distinct orders of these terms."""
    return math.factorial(len(row)) // math.prod(math.factorial(row.count(term)) for term in set(row))

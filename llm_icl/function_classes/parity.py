"""Parities, and the algebra over GF(2) that learns them (Bhattamishra et al. 2024, App. A)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_icl.errors import RequestError
from llm_icl.function_classes.base import (
    FunctionClass,
    Hypotheses,
    Mask,
    TeachingSequence,
    all_inputs,
    binomial,
    function_classes,
    power,
    subsets,
)
from llm_icl.problems import Bits, Parameters, Problems, Task
from llm_icl.randomness import Source


def eliminate(xs: Bits, ys: Bits) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Gaussian elimination over GF(2), one example after the other.

    For xs [N, m, n] and ys [N, m]: the label [N, m] that the earlier examples force on each query when they come from a
    parity, -1 where they leave it open; and the rank [N, m] of the earlier examples. An example that contradicts the
    earlier ones (they come from no parity) is passed over.
    """
    problems, points, n = xs.shape
    basis = np.zeros((problems, n, n + 1), dtype=np.uint8)  # row i: an equation whose first bit is i, or nothing
    label = np.zeros((problems, points), dtype=np.int8)
    rank = np.zeros((problems, points), dtype=np.int64)
    for k in range(points):
        rest = np.concatenate([xs[:, k], np.zeros((problems, 1), dtype=np.uint8)], axis=1)
        for bit in range(n):  # a basis row is used where its bit is still in the rest; an absent row changes nothing
            rest ^= basis[:, bit] * rest[:, bit : bit + 1]
        open_ = rest[:, :n].any(axis=-1)
        label[:, k] = np.where(open_, -1, rest[:, n])
        rank[:, k] = basis[:, :, :n].any(axis=-1).sum(axis=-1)
        rest[:, n] ^= ys[:, k]
        chosen = np.flatnonzero(open_)
        basis[chosen, rest[chosen, :n].argmax(axis=-1)] = rest[chosen]
    return label, rank


@function_classes.register("parity")
@dataclass(frozen=True)
class Parity(FunctionClass):
    """1 where an odd number of the relevant bits are 1; all subsets are equally likely, the empty one too."""

    no_teaching = "a parity of unknown size needs n independent points; sparse-parity has a short one"

    def draw(self, source: Source, n: int) -> Parameters:
        return {"relevant": source.uniform("relevant", n) < 0.5}

    def evaluate(self, parameters: Parameters, xs: Bits) -> Bits:
        return np.bitwise_xor.reduce(xs & parameters["relevant"][:, None, :], axis=-1)

    def is_constant(self, parameters: Parameters) -> Mask:
        return parameters["relevant"].sum(axis=-1) == 0

    def count(self, n: int) -> float:
        return power(2, n)

    def hypotheses(self, n: int) -> Hypotheses:
        relevant = all_inputs(n).astype(bool)
        return Hypotheses({"relevant": relevant}, np.full(len(relevant), 1 / len(relevant)))

    def has_closed_form(self, task: Task, n: int) -> bool:
        return task.noise == 0

    def closed_form(self, problems: Problems, knows_inputs: bool) -> NDArray[np.float64]:
        """The solutions of the equations so far form an affine space, on half of which an open query is 1.

        Where constant functions are dropped, the empty parity is taken out while all labels were 0.
        """
        forced, rank = eliminate(problems.xs, problems.shown)
        probability = np.where(forced < 0, 0.5, forced)
        if problems.task.drop_constant:
            zeros = np.logical_and.accumulate(problems.shown == 0, axis=-1)
            possible = np.concatenate([np.ones((len(problems), 1), dtype=bool), zeros[:, :-1]], axis=1)
            free = 2.0 ** np.minimum(problems.n - rank, 1000)
            open_ = np.where(free > 1, 0.5 * free / np.maximum(free - 1, 1), 0.5)
            probability = np.where((forced < 0) & possible, open_, probability)
        return probability


@function_classes.register("sparse-parity")
@dataclass(frozen=True)
class SparseParity(Parity):
    """The parity of exactly k bits, a uniformly drawn subset."""

    k: int = 2

    def check(self, n: int) -> None:
        super().check(n)
        if not 1 <= self.k <= n:
            raise RequestError(f"a parity of k = {self.k} bits needs n of at least {max(self.k, 1)}, not {n}")

    def draw(self, source: Source, n: int) -> Parameters:
        return {"relevant": source.subset("relevant", self.k, n)}

    def teaching_sequence(self, parameters: Parameters) -> TeachingSequence:
        """The k unit vectors of the relevant bits, all labelled 1: k is known, so no other bit can be relevant."""
        relevant = parameters["relevant"]
        bits = np.nonzero(relevant)[1].reshape(len(relevant), self.k)
        xs = np.eye(relevant.shape[-1], dtype=np.uint8)[bits]
        return TeachingSequence(xs, np.full(len(relevant), self.k))

    def count(self, n: int) -> float:
        return binomial(n, self.k)

    def hypotheses(self, n: int) -> Hypotheses:
        chosen = subsets(n, self.k)
        return Hypotheses({"relevant": chosen}, np.full(len(chosen), 1 / len(chosen)))

    def has_closed_form(self, task: Task, n: int) -> bool:
        return False

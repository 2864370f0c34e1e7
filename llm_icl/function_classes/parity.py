"""Parities, and their learning by linear algebra over GF(2) (Bhattamishra et al. 2024, App. A)."""

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
    undefined_after,
)
from llm_icl.problems import Bits, Parameters, Problems, Task
from llm_icl.randomness import Source


def eliminate(xs: Bits, ys: Bits) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Gaussian elimination over GF(2), one example after the other.

    For xs (N, m, n) and ys (N, m): the label (N, m) of each query that is implied by the earlier examples if they come
    from a parity, -1 if it is undetermined; and the rank (N, m) of the earlier examples. Examples that contradict
    earlier ones (possible with other functions) are skipped.
    """
    problems, points, n = xs.shape
    basis = np.zeros((problems, n, n + 1), dtype=np.uint8)  # (N, n, n + 1): row i has pivot i, or is 0
    label = np.zeros((problems, points), dtype=np.int8)
    rank = np.zeros((problems, points), dtype=np.int64)
    for k in range(points):
        rest = np.concatenate([xs[:, k], np.zeros((problems, 1), dtype=np.uint8)], axis=1)  # (N, n + 1)
        for bit in range(n):  # subtract the basis row with this pivot, if any
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
    """1 where an odd number of the relevant bits are 1; all subsets are equally likely, including the empty one."""

    no_teaching = "parities of unknown size require n independent points; use sparse-parity"

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
        """The solutions of the equations form an affine space; an undetermined query is 1 on half of it.

        If constant functions are rejected, the empty parity is excluded while all labels are 0.
        """
        forced, rank = eliminate(problems.xs, problems.shown)
        probability = np.where(forced < 0, 0.5, forced)
        if problems.task.drop_constant:
            zeros = np.logical_and.accumulate(problems.shown == 0, axis=-1)
            possible = np.concatenate([np.ones((len(problems), 1), dtype=bool), zeros[:, :-1]], axis=1)
            free = 2.0 ** np.minimum(problems.n - rank, 1000)
            open_ = np.where(free > 1, 0.5 * free / np.maximum(free - 1, 1), np.nan)
            probability = np.where(((forced < 0) | (free == 1)) & possible, open_, probability)
        return undefined_after(forced == 1 - problems.shown, probability)


@function_classes.register("sparse-parity")
@dataclass(frozen=True)
class SparseParity(Parity):
    """The parity of exactly k bits, a uniformly drawn subset."""

    k: int = 2

    def check(self, n: int) -> None:
        super().check(n)
        if not 1 <= self.k <= n:
            raise RequestError(f"a parity of k = {self.k} bits requires n of at least {max(self.k, 1)}, not {n}")

    def draw(self, source: Source, n: int) -> Parameters:
        return {"relevant": source.subset("relevant", self.k, n)}

    def teaching_sequence(self, parameters: Parameters) -> TeachingSequence:
        """The k unit vectors of the relevant bits, all labelled 1: k is known, so no other bit can be relevant."""
        relevant = parameters["relevant"]
        bits = np.nonzero(relevant)[1].reshape(len(relevant), self.k)
        xs = np.eye(relevant.shape[-1], dtype=np.uint8)[bits]  # (F, k, n)
        return TeachingSequence(xs, np.full(len(relevant), self.k))

    def count(self, n: int) -> float:
        return binomial(n, self.k)

    def hypotheses(self, n: int) -> Hypotheses:
        chosen = subsets(n, self.k)
        return Hypotheses({"relevant": chosen}, np.full(len(chosen), 1 / len(chosen)))

    def has_closed_form(self, task: Task, n: int) -> bool:
        return False

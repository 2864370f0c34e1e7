"""Queries at which candidates disagree, searched among all that could be asked."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from llm_icl.analysis.identification.data import Candidate
from llm_icl.function_classes.base import all_inputs
from llm_icl.problems import Bits
from llm_icl.randomness import Source

Floats = NDArray[np.float64]

# The share of coin flips that a subject is expected to mix into a candidate's answers.
FLIPS = 0.1
# Up to this n all inputs are searched; above, so many random ones for each context.
MAX_SEARCHED_N = 12
DRAWN = 4096


def searched(xs: Bits, indices: NDArray[np.int64], seed: int) -> tuple[Bits, NDArray[np.bool_]]:
    """The inputs (C, X, n) that are searched behind contexts xs (C, m, n), and which are not among the examples (C, X).

    indices (C,) are those of the contexts' problems: what is drawn depends on problem and seed only.
    """
    count, _, n = xs.shape
    if n <= MAX_SEARCHED_N:
        inputs = np.broadcast_to(all_inputs(n), (count, 2**n, n))
    else:
        inputs = Source.of(f"probes n={n} seed={seed}", indices).coins("inputs", DRAWN, n)
    # Bits as the digits of a number; floats are exact up to n = 53, and hashed by a random vector beyond.
    digits = 2.0 ** np.arange(n) if n <= 53 else np.random.default_rng(0).random(n)
    codes, seen = inputs @ digits, xs @ digits
    return inputs, ~(codes[:, :, None] == seen[:, None, :]).any(axis=-1)


def information(probability: Floats) -> Floats:
    """The mutual information, in bits, of the answer and which of K equally likely candidates, (K, ...), gave it."""
    noisy = _with_flips(probability)

    def entropy(p: Floats) -> Floats:
        return -(p * np.log2(p) + (1 - p) * np.log2(1 - p))

    return entropy(noisy.mean(axis=0)) - entropy(noisy).mean(axis=0)


def representatives(candidates: Sequence[Candidate]) -> Floats:
    """The answers that probes should tell apart, (K, ...): of a family the first, the middle and the last variant."""
    chosen = []
    for candidate in candidates:
        last = len(candidate.probability) - 1
        chosen += [candidate.probability[v] for v in sorted({0, last // 2, last})]
    return np.stack(chosen)


def choose(probability: Floats, unseen: NDArray[np.bool_], queries: int, seed: int = 0) -> NDArray[np.int64]:
    """The probes of every context, as indices (N, Q), from K candidates' P(y = 1) at X inputs, (K, N, X).

    Greedy: each probe adds most to the expected log Bayes factors of all ordered pairs of candidates, weighted by
    exp(-what the pair has so far), so that the worst separated pair decides. Pairs are compared by their probabilities
    and by their labels, as a subject may give either. Inputs among the examples are taken only where fewer than Q
    others, (N, X) in `unseen`, are left; equal gains are decided by the information, then at random.
    """
    count, contexts, inputs = probability.shape
    soft, hard = _with_flips(probability), _with_flips((probability > 0.5).astype(np.float64))
    tie = 1e-6 * information(probability) + 1e-9 * np.random.default_rng(seed).random((contexts, inputs))
    chosen = np.empty((contexts, queries), dtype=np.int64)
    separated = np.zeros((2, count, count))
    pairs = ~np.eye(count, dtype=bool)
    for place in range(queries):
        for i in range(contexts):
            weights = np.where(pairs, np.exp(separated[:, pairs].min() - separated), 0.0)
            weights /= weights.sum()
            gain = tie[i] + sum(_gains(p[:, i], w) for p, w in zip((soft, hard), weights, strict=True))
            gain -= 1e6 * ~unseen[i]
            gain[chosen[i, :place]] = -np.inf
            best = chosen[i, place] = int(gain.argmax())
            for p, so_far in zip((soft, hard), separated, strict=True):
                so_far += _divergences(p[:, i, best])
    return chosen


def _with_flips(probability: Floats) -> Floats:
    return (1 - FLIPS) * probability + FLIPS / 2


def _gains(probability: Floats, weights: Floats) -> Floats:
    """Σ over pairs (k, j) of weights (K, K) times the divergence of j from k at each input: (K, X) → (X,)."""
    one, zero = np.log(probability), np.log(1 - probability)
    own = weights.sum(axis=1) @ (probability * one + (1 - probability) * zero)
    crossed = (weights.T @ probability) * one + (weights.T @ (1 - probability)) * zero
    return own - crossed.sum(axis=0)


def _divergences(probability: Floats) -> Floats:
    """The expected log Bayes factor of k against j if k answers, (K, K), for P(1) (K,)."""
    one, zero = np.log(probability), np.log(1 - probability)
    own = probability * one + (1 - probability) * zero
    return own[:, None] - probability[:, None] * one - (1 - probability)[:, None] * zero

"""Queries at which candidates disagree, searched among all that could be asked."""

import numpy as np
from numpy.typing import NDArray

from llm_icl.analysis.identification.links import Links, Tallies
from llm_icl.function_classes.base import all_inputs
from llm_icl.problems import Bits
from llm_icl.randomness import Source

Floats = NDArray[np.float64]

# The share of coin flips that a subject is expected to mix into a candidate's answers.
FLIPS = 0.1
# Up to this n all inputs are searched; above, so many random ones for each context.
MAX_SEARCHED_N = 12
DRAWN = 4096
# Of them the most informative are looked at, and no fewer than there are queries.
LOOKED_AT = 256
# The links of candidates are fitted to so many random inputs of every context.
LINKED_BY = 16
# Numbers in memory.
_NUMBERS = 2**24


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


def choose(probability: Floats, unseen: NDArray[np.bool_], queries: int, seed: int = 0) -> NDArray[np.int64]:
    """The probes of every context, as indices (M, C, Q), from K candidates' P(y = 1) at X inputs, (K, M, C, X).

    A candidate is told from another if the other cannot give its answers through any link, so what counts is the
    expected log Bayes factor against the *linked* other, both where a subject answers in proportion to the candidate's
    probability and where it gives the candidate's label. Greedy: each probe adds most to Σ -1/(1 + D)² over all ordered
    pairs, D being what separates the pair so far in nats, so that the worst separated pairs decide. Inputs among the
    examples, not (M, C, X) in `unseen`, are taken only where fewer than Q others are left.
    """
    count, sizes, problems, _ = probability.shape
    links = _links(probability, unseen, seed)
    informative = information(probability) + 1e-9 * np.random.default_rng(seed).random(unseen.shape) + 2.0 * unseen
    looked = np.argsort(-informative, axis=-1)[..., : max(LOOKED_AT, queries)]  # (M, C, L)
    among = np.take_along_axis(probability, looked[None], axis=-1)  # (K, M, C, L)
    free = np.take_along_axis(unseen, looked, axis=-1)
    chosen = np.empty((sizes, problems, queries), dtype=np.int64)
    separated = np.zeros((2 * count, count))
    chunk = max(1, _NUMBERS // (2 * count**2 * looked.shape[-1]))
    for start in range(0, problems, chunk):
        for m in range(sizes):
            part = slice(start, start + chunk)
            gains = _gains(among[:, m, part], links, m)  # (c, T, K, L)
            for i, gain in enumerate(gains, start):
                taken = np.where(free[m, i], 0.0, -1e6)
                for place in range(queries):
                    score = np.einsum("tk,tkl->l", (1 + separated) ** -3.0, gain) + taken
                    best = int(score.argmax())
                    taken[best] = -np.inf
                    separated += gain[..., best]
                    chosen[m, i, place] = looked[m, i, best]
    return chosen


def _with_flips(probability: Floats) -> Floats:
    return (1 - FLIPS) * probability + FLIPS / 2


def _truths(probability: Floats) -> Floats:
    """What subjects may answer, P(answer 1): each candidate's probability and each one's label, (2K, ...)."""
    return _with_flips(np.concatenate([probability, probability > 0.5]))


def _links(probability: Floats, unseen: NDArray[np.bool_], seed: int) -> list[Links]:
    """The links of all candidates for each of the 2K truths, from a few random unseen inputs of every context."""
    drawn = np.random.default_rng(seed).random(unseen.shape) - unseen
    some = np.argsort(drawn, axis=-1)[..., :LINKED_BY]
    sample = np.take_along_axis(probability, some[None], axis=-1)
    everyone = np.zeros(probability.shape[2], dtype=np.int64)
    return [Tallies(sample, truth, everyone).fit()[0] for truth in _truths(sample)]


def _gains(probability: Floats, links: list[Links], size: int) -> Floats:
    """The expected log Bayes factor at each input of 2K truths against K linked candidates, of P(y = 1) (K, c, L) of
    one size: (c, 2K, K, L).
    """
    candidates = len(probability)
    truths = _truths(probability)
    gains = np.empty((probability.shape[1], len(truths), candidates, probability.shape[2]))
    for t, (truth, link) in enumerate(zip(truths, links, strict=True)):
        at_size = Links(link.read_label, link.label[:, size : size + 1], link.curve[:, size : size + 1])
        model = at_size.apply(probability[:, None])[:, 0]  # (K, c, L)
        gain = truth * np.log(truth / model) + (1 - truth) * np.log((1 - truth) / (1 - model))
        gain[t % candidates] = 0.0
        gains[:, t] = gain.transpose(1, 0, 2)
    return gains

"""Exact Bayes for conjunctions by counting, for n at which 3^n functions are too many to enumerate.

A conjunction that holds at a point x consists of literals of x, so it is a subset of n literals: 2^n of them. While
all labels are 0, the functions that hold at the query are counted for each query, and their weight is subtracted if its
label is 0. After the first positive point only its 2^n subsets remain.
"""

import numpy as np
from numpy.typing import NDArray

from llm_icl.problems import Bits

Codes = NDArray[np.uint32]

# 2^24 subsets take about 1 GiB.
MAX_COUNTED_N = 24
# A remaining mass below this is what rounding leaves of none.
_ROUNDING = 1e-13


def conjunction_posterior(
    xs: Bits,
    labels: Bits,
    positive: float,
    negative: float,
    planted: float = 0.0,
    drop_empty: bool = False,
    queries: Bits | None = None,
) -> NDArray[np.float64]:
    """P(y_k = 1 | x_0, y_0, …, x_k) at the m points of one problem, xs (m, n) and labels (m,), without noise.

    Each bit is a positive or negative literal with the given probabilities. With planted > 0 the learner knows that
    points of fair bits are planted with that probability: for a function of s literals, the likelihood of a point is
    multiplied by 1 - planted + planted 2^s if the function holds there, else by 1 - planted. NaN where the examples are
    impossible. With queries (Q, n): P(y = 1) at each of them instead, (Q,), after all m points.
    """
    n = xs.shape[1]
    subsets = np.arange(2**n, dtype=np.uint32)
    sizes = np.bitwise_count(subsets).astype(np.int64)
    gain = (1 - planted) + planted * 2.0**sizes
    codes, asked = _codes(xs), _codes(xs[:0] if queries is None else queries)
    probability, at_queries = np.full(len(xs), np.nan), np.full(len(asked), np.nan)
    absent = max(1 - positive - negative, 0.0)
    rest = 1 - absent**n if drop_empty else 1.0  # the mass of the functions that are 0 at all points so far

    def holding_at(code: np.uint32, zeros: Codes) -> NDArray[np.float64]:
        """The prior (2^n,) of the functions that hold at a point and at no other with label 0, by their literals."""
        ones = np.bitwise_count(subsets & code).astype(np.int64)
        weight = positive**ones * negative ** (sizes - ones) * absent ** (n - sizes)
        weight[0] *= not drop_empty
        for zero in zeros:
            weight *= (subsets & (zero ^ code)) != 0
        return weight

    def share(weight: NDArray[np.float64]) -> tuple[float, float]:
        """P(y = 1) from the functions that hold, and the mass of those that do not."""
        left = rest - weight.sum()
        holds, fails = (weight * gain).sum(), max(left, 0.0) * (1 - planted)
        return holds / (holds + fails) if holds + fails > 0 else np.nan, left if left > _ROUNDING else 0.0

    first = int(np.append(labels, 1).argmax())  # the first positive point; len(xs) if there is none
    for k in range(min(first + 1, len(xs))):
        weight = holding_at(codes[k], codes[:k])
        probability[k], rest = share(weight)
    if first == len(xs):
        at_queries[:] = [share(holding_at(code, codes))[0] for code in asked]
        return probability if queries is None else at_queries

    kept = weight > 0
    subsets, gain = subsets[kept], np.log(gain[kept])
    log_weight, loss = np.log(weight[kept]) + gain, np.log(1 - planted) if planted < 1 else -np.inf

    def share_after(code: np.uint32) -> tuple[float, NDArray[np.bool_], NDArray[np.float64]]:
        """P(y = 1) at a point, the functions that hold there, and all log weights given the point."""
        holding = (subsets & (code ^ codes[first])) == 0
        weighed = log_weight + np.where(holding, gain, loss)
        largest = weighed.max(initial=-np.inf)
        if largest == -np.inf:
            return np.nan, holding, weighed
        weight = np.exp(weighed - largest)
        return weight[holding].sum() / weight.sum(), holding, weighed

    for k in range(first + 1, len(xs)):
        probability[k], holding, log_weight = share_after(codes[k])
        if np.isnan(probability[k]):
            break
        kept = holding == labels[k]
        subsets, gain, log_weight = subsets[kept], gain[kept], log_weight[kept]
    at_queries[:] = [share_after(code)[0] for code in asked]
    return probability if queries is None else at_queries


def _codes(xs: Bits) -> Codes:
    """The bits (m, n) of each point as those of a number, (m,)."""
    n = xs.shape[1]
    return (xs.astype(np.uint32) << np.arange(n, dtype=np.uint32)).sum(axis=-1, dtype=np.uint32)

"""Exact Bayes for conjunctions by counting, for n at which 3^n functions are too many to enumerate.

A conjunction that holds at a point x consists of literals of x, so it is a subset of n literals: 2^n of them. While
all labels are 0, the functions that hold at the query are counted for each query, and their weight is subtracted if its
label is 0. After the first positive point only its 2^n subsets remain.
"""

import numpy as np
from numpy.typing import NDArray

from llm_icl.problems import Bits

# 2^24 subsets take about 1 GiB.
MAX_COUNTED_N = 24
# A remaining mass below this is what rounding leaves of none.
_ROUNDING = 1e-13


def conjunction_posterior(
    xs: Bits, labels: Bits, positive: float, negative: float, planted: float = 0.0, drop_empty: bool = False
) -> NDArray[np.float64]:
    """P(y_k = 1 | x_0, y_0, …, x_k) at the m points of one problem, xs (m, n) and labels (m,), without noise.

    Each bit is a positive or negative literal with the given probabilities. With planted > 0 the learner knows that
    points of fair bits are planted with that probability: for a function of s literals, the likelihood of a point is
    multiplied by 1 - planted + planted 2^s if the function holds there, else by 1 - planted. NaN where the examples are
    impossible.
    """
    n = xs.shape[1]
    subsets = np.arange(2**n, dtype=np.uint32)
    sizes = np.bitwise_count(subsets).astype(np.int64)
    gain = (1 - planted) + planted * 2.0**sizes
    codes = (xs.astype(np.uint32) << np.arange(n, dtype=np.uint32)).sum(axis=-1, dtype=np.uint32)
    probability = np.full(len(xs), np.nan)
    absent = max(1 - positive - negative, 0.0)
    rest = 1 - absent**n if drop_empty else 1.0  # the mass of the functions that are 0 at all points so far
    first = int(np.append(labels, 1).argmax())  # the first positive point; len(xs) if there is none
    for k in range(min(first + 1, len(xs))):
        ones = np.bitwise_count(subsets & codes[k]).astype(np.int64)
        weight = positive**ones * negative ** (sizes - ones) * absent ** (n - sizes)
        weight[0] *= not drop_empty
        for zero in codes[:k]:
            weight *= (subsets & (zero ^ codes[k])) != 0
        left = rest - weight.sum()
        holds, fails = (weight * gain).sum(), max(left, 0.0) * (1 - planted)
        probability[k] = holds / (holds + fails) if holds + fails > 0 else np.nan
        rest = left if left > _ROUNDING else 0.0

    kept = weight > 0
    subsets, gain = subsets[kept], np.log(gain[kept])
    log_weight, loss = np.log(weight[kept]) + gain, np.log(1 - planted) if planted < 1 else -np.inf
    for k in range(first + 1, len(xs)):
        holding = (subsets & (codes[k] ^ codes[first])) == 0
        log_weight = log_weight + np.where(holding, gain, loss)
        largest = log_weight.max(initial=-np.inf)
        if largest == -np.inf:
            break
        weight = np.exp(log_weight - largest)
        probability[k] = weight[holding].sum() / weight.sum()
        kept = holding == labels[k]
        subsets, gain, log_weight = subsets[kept], gain[kept], log_weight[kept]
    return probability

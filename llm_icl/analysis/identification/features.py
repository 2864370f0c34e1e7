"""What an algorithm that is not among the candidates may look at: counts of labels, votes of bits, order, the query."""

import numpy as np
from numpy.typing import NDArray

from llm_icl.problems import Bits, hamming_distances

# So many of the last examples are described one by one.
LAST = 3


def describe(xs: Bits, shown: Bits, queries: Bits) -> NDArray[np.float64]:
    """Features (C, Q, F) of queries (C, Q, n) behind examples xs (C, m, n) with labels shown (C, m), m > 0."""
    count, points, n = xs.shape
    asked = queries.shape[1]
    signs = shown.astype(np.float64) * 2 - 1  # (C, m)
    same = xs[:, None] == queries[:, :, None]  # (C, Q, m, n)
    distances = hamming_distances(queries, xs)  # (C, Q, m)
    root = np.sqrt(points)

    def each(values: NDArray[np.float64]) -> NDArray[np.float64]:
        """A value of the context, (C,), for each of its queries."""
        return np.repeat(values[:, None], asked, axis=1)

    found = []
    for far in range(n + 1):
        there = distances == far
        found += [(there * signs[:, None]).sum(axis=-1) / root, there.sum(axis=-1) / root]
    votes = (same * signs[:, None, :, None]).sum(axis=2) / root  # (C, Q, n)
    ones = (same & (shown == 1)[:, None, :, None]).sum(axis=2)
    shares = (ones + 0.5) / (same.sum(axis=2) + 1)  # (C, Q, n): of ones among the examples that share the bit
    found += [
        *np.moveaxis(votes, -1, 0),
        votes.max(axis=-1),
        votes.min(axis=-1),
        shares.max(axis=-1),
        shares.min(axis=-1),
    ]
    found += [*np.moveaxis(queries.astype(np.float64), -1, 0), queries.sum(axis=-1, dtype=np.float64)]
    for back in range(1, LAST + 1):
        label = each(signs[:, -back] if back <= points else np.zeros(count))
        distance = distances[..., -back] - n / 2 if back <= points else np.zeros((count, asked))
        found += [label, distance, label * distance]
    first = each(signs[:, 0])
    found += [first, first * (distances[..., 0] - n / 2)]
    found += [distances.min(axis=-1).astype(np.float64), each(signs.mean(axis=-1))]
    return np.stack(found, axis=-1)


def feature_names(n: int) -> list[str]:
    """What each feature is about; several features share a name."""
    back = [f"the example {i} before the query" if i > 1 else "the last example" for i in range(1, LAST + 1)]
    return [
        *(f"the labels at distance {distance}" for distance in range(n + 1) for _ in range(2)),
        *(["the votes of single bits"] * (n + 4)),
        *(["the query's bits"] * (n + 1)),
        *(name for name in back for _ in range(3)),
        *(["the first example"] * 2),
        "the distance of the nearest example",
        "the share of ones",
    ]

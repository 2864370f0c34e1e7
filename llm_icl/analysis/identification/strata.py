"""Strata: queries of one number of examples at which a model gives similar answers."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Queries of one number of examples are divided into at most so many strata of P(answer 1).
STRATA = 5


def strata_of(model: Floats, known: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Groups of queries (M, C, Q) of equal size and similar P(answer 1); -1 where there is no answer."""
    strata = np.full(model.shape, -1)
    following = 0
    for m in range(len(model)):
        used = known[m]
        if not used.any():
            continue
        values, inverse, count = np.unique(model[m][used].round(4), return_inverse=True, return_counts=True)
        middle = (np.cumsum(count) - count / 2) / count.sum()
        group = np.arange(len(values)) if len(values) <= STRATA else (middle * STRATA).astype(np.int64)
        group = np.unique(group, return_inverse=True)[1]
        strata[m][used] = group[inverse] + following
        following += int(group.max()) + 1
    return strata


def centred(values: Floats, strata: NDArray[np.int64]) -> Floats:
    """Values (N, J) less their means by stratum; 0 outside all strata."""
    members = (strata[:, None] == np.arange(strata.max() + 1)) * 1.0  # (N, S)
    count = members.sum(axis=0)
    means = (members.T @ values) / count[:, None]
    return np.where(strata[:, None] >= 0, values - members @ means, 0.0)


def orthonormal(values: Floats) -> Floats:
    """An orthonormal basis (N, ≤ J) of the columns of values (N, J)."""
    left, sizes, _ = np.linalg.svd(values, full_matrices=False)
    return left[:, sizes > 1e-6 * max(sizes.max(initial=0.0), 1e-12)]


def per_stratum_variance(values: Floats, strata: NDArray[np.int64]) -> Floats:
    """The variance of the values (N,) of each query's stratum."""
    used = np.where(strata >= 0, strata, 0)
    count = np.bincount(used, strata >= 0)
    squares = np.bincount(used, np.where(strata >= 0, values**2, 0.0))
    return np.where(strata >= 0, (squares / np.maximum(count - 1, 1))[used], 0.0)


def permutations(strata: NDArray[np.int64], count: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Permutations within strata, (1 + count, N), the identity first."""
    order = np.argsort(strata, kind="stable")
    drawn = np.argsort(strata + random.random((count, len(strata)), dtype=np.float32) * 0.999, axis=1)
    rows = np.empty((count + 1, len(strata)), dtype=np.int64)
    rows[0] = np.arange(len(strata))
    rows[1:, order] = drawn
    return rows

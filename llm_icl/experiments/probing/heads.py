"""What attention heads do: how much of a head's attention goes from a query to the labels of certain earlier points.

A head that looks nowhere else has the score 1. Of a point that stands there several times, or of several nearest
points, the attention to all their labels counts, in sum: whichever of them a head looks at, it has found what it looks
for. (Averages over copies, as in the public code, keep a perfect head at one half.)
"""

import numpy as np
from numpy.typing import NDArray

from llm_icl.problems import Bits, hamming_distances

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def copies_of(points: int, copies: int) -> Mask:
    """Where a sequence of points is repeated: for each query (m,) the earlier copies of its point, (m, m).

    The first copy has none. (Olsson et al. 2022 call what looks there an induction head.)
    """
    number = np.arange(points * copies)
    same = number[:, None] % points == number % points
    return same & (number < number[:, None])


def nearest_points(xs: Bits, start: int) -> Mask:
    """For each query (m,) from `start` on, the earlier points that are nearest to it: xs (m, n) → (m, m)."""
    distances = hamming_distances(xs[None])[0].astype(float)  # of (1, m, m): (m, m)
    earlier = np.tril(np.ones(distances.shape, dtype=bool), k=-1)
    distances[~earlier] = np.inf
    nearest = earlier & (distances == distances.min(axis=1, keepdims=True))
    nearest[:start] = False
    return nearest


def mass(weights: Floats, queries: NDArray[np.int64], labels: NDArray[np.int64], targets: Mask) -> Floats:
    """The attention from each query to the labels of its targets, summed, and averaged over the queries that have any.

    weights (H, T, T) are attention weights from a token to a token; queries and labels (m,) are the tokens that a label
    is predicted at, and the labels' own (a label that is not in the sequence is never a target) → (H,).
    """
    asked = targets.any(axis=1)
    there = weights[:, queries[asked]][:, :, np.minimum(labels, weights.shape[-1] - 1)]  # (H, queries asked, m)
    found: Floats = (there * targets[asked]).sum(axis=-1).mean(axis=-1)
    return found


def uniform_mass(queries: NDArray[np.int64], targets: Mask) -> float:
    """The same of a head that attends to all tokens up to its own alike."""
    asked = targets.any(axis=1)
    return float((targets[asked].sum(axis=1) / (queries[asked] + 1)).mean())

"""Scores of attention heads: the attention from a query to the labels of target points.

A head that attends only to targets has score 1. With several copies of a point, or several nearest points, the
attention to all their labels is summed: a head may attend to any of them. (Averages over copies, as in the public code,
limit a perfect head to 0.5.)
"""

import numpy as np
from numpy.typing import NDArray

from llm_icl.problems import Bits, hamming_distances

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def nearest_points(xs: Bits, start: int) -> Mask:
    """For each query (m,) from `start` on, the earlier points that are nearest to it: xs (m, n) → (m, m).

    From the second copy of a sequence on these are all that are equal to it. (Heads that attend to them are induction
    heads: Olsson et al. 2022.)
    """
    distances = hamming_distances(xs[None])[0].astype(float)  # of (1, m, m): (m, m)
    earlier = np.tril(np.ones(distances.shape, dtype=bool), k=-1)
    distances[~earlier] = np.inf
    nearest = earlier & (distances == distances.min(axis=1, keepdims=True))
    nearest[:start] = False
    return nearest


def mass(weights: Floats, queries: NDArray[np.int64], labels: NDArray[np.int64], targets: Mask) -> Floats:
    """The attention from each query to the labels of its targets, summed, and averaged over queries with targets.

    weights (H, T, T) are attention weights from a token to a token; queries and labels (m,) are the tokens that a label
    is predicted at, and the labels' own (labels outside the sequence are never targets) → (H,).
    """
    asked = targets.any(axis=1)
    there = weights[:, queries[asked]][:, :, np.minimum(labels, weights.shape[-1] - 1)]  # (H, queries asked, m)
    found: Floats = (there * targets[asked]).sum(axis=-1).mean(axis=-1)
    return found


def uniform_mass(queries: NDArray[np.int64], targets: Mask) -> float:
    """The score of a head with uniform attention over the current and earlier tokens."""
    asked = targets.any(axis=1)
    return float((targets[asked].sum(axis=1) / (queries[asked] + 1)).mean())

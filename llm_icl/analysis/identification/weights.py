"""Intervals of a mixture's weights."""

import numpy as np
from numpy.typing import NDArray

from llm_icl.analysis.identification.mixtures import Mixture
from llm_icl.analysis.intervals import LEVEL, Estimate

Floats = NDArray[np.float64]

# Half of an interval's width is at least this: probabilities that follow a mixture exactly determine its weights
# to rounding, but readouts are clipped.
LEAST = 0.005


def intervals(mixture: Mixture) -> tuple[list[list[Estimate]], list[Estimate]]:
    """95 % intervals of the weights at every number of examples, M lists, and of their average.

    From each problem's influence (jackknife), by Student's t; the M contexts of a problem are one unit. A weight of
    0 has the upper limit at which the likelihood has fallen to 5 %.
    """
    sizes = len(mixture.weights)
    by_size = [
        _interval(mixture.weights[m], mixture.influence[:, m], mixture.vague[m], mixture.slack[m]) for m in range(sizes)
    ]
    mean = _interval(
        mixture.weights.mean(axis=0),
        mixture.influence.mean(axis=1),
        mixture.vague.sum(axis=0) / sizes**2,
        mixture.slack.sum(axis=0),
    )
    return by_size, mean


def _interval(weights: Floats, influence: Floats, vague: Floats, slack: Floats) -> list[Estimate]:
    from scipy.special import stdtrit

    count = len(influence)
    variance = count / max(count - 1, 1) * ((influence - influence.mean(axis=0)) ** 2).sum(axis=0) + vague
    half = np.maximum(stdtrit(max(count - 1, 1), (1 + LEVEL) / 2) * np.sqrt(variance), LEAST)
    bound = -np.log(1 - LEVEL) / np.maximum(slack, 1e-9)
    half = np.where(weights < 1e-6, np.maximum(half, bound), half)
    return [
        Estimate(float(w), float(max(w - h, 0.0)), float(min(w + h, 1.0))) for w, h in zip(weights, half, strict=True)
    ]

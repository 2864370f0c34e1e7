"""Whether a candidate is beaten by another: the pull of its deviations towards the other's answers."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def pulls(answers: Floats, models: Floats, toward: Floats) -> Floats:
    """The strength of the pull from each model (K, M, C, Q) towards another (M, C, Q), in standard deviations."""
    known = ~np.isnan(answers)
    direction = np.log(toward / (1 - toward)) - np.log(models / (1 - models))
    variance = np.where(known, models * (1 - models), 0.0)
    deviations = np.where(known, np.nan_to_num(answers) - models, 0.0)

    def total(values: Floats) -> Floats:
        return values.sum(axis=(-2, -1), keepdims=True)

    # The link takes whatever part of the pull is constant for a number of examples.
    centred = direction - total(variance * direction) / np.maximum(total(variance), 1e-12)
    signal = (centred * deviations).sum(axis=(1, 2, 3))
    noise = np.sqrt((variance * centred**2).sum(axis=(1, 2, 3)))
    return np.divide(signal, noise, out=np.zeros(len(models)), where=noise > 1e-9)


def p_values_of(strength: Floats) -> Floats:
    from scipy.special import ndtr

    found: Floats = ndtr(-strength)
    return found


def holm(p_values: Floats) -> Floats:
    """P-values corrected by Holm's step-down method (1979); the largest, of the leading candidate itself, stands."""
    order = np.argsort(p_values)
    factors = np.maximum(len(order) - 1 - np.arange(len(order)), 1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1.0)
    return corrected

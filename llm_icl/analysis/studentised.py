"""Bootstrap-t limits of a mean over problems (Efron 1979; Hall 1988).

Problems are resampled, and each resample's mean is studentised by the resample's own standard error. The quantiles of
these t values replace Student's: they know how skewed the data are. In resamples without any variation t is infinite.
Where these are too many, as with three problems that differ from all others, the limit is infinite: the data do not
determine it.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_RESAMPLES = 3999
# More problems than this are taken as so many groups, whose means are near normal.
_MOST = 200
# Beyond this tail, of 20 resamples, quantiles are Student's, scaled to meet those of the resamples.
_THINNEST = 0.005
# N problems show less skewness than there is: what the longer limit is longer than the other grows by _HIDDEN / N, as
# measured in simulations. The two are compared at the tail _COMPARED.
_HIDDEN = 5
_COMPARED = 0.025
# Values of t that count as infinite, and the fraction of a sum of squares that is rounding error in single precision.
_INFINITE = 1e3
_ROUNDING = 1e-5


def limits(sums: Floats, counts: Floats, tail: float) -> tuple[Floats, Floats]:
    """Lower and upper limits, each missed with probability `tail`, of the means sums.sum(-1) / counts.sum(-1).

    sums and counts (..., N) are for each problem, N > 1, counts positive. Infinite where the data do not determine a
    limit, NaN where no problem differs from another.
    """
    from scipy.special import stdtrit

    value = sums.sum(-1) / counts.sum(-1)
    rest, counts = _grouped(sums - value[..., None] * counts), _grouped(counts)
    count = rest.shape[-1]
    spread = np.sqrt(count / (count - 1) * (rest**2).sum(-1))  # of the sum
    drawn = max(tail, _THINNEST)
    with np.errstate(invalid="ignore", divide="ignore"):
        t = _resampled(rest / spread[..., None], counts / counts.mean(-1, keepdims=True), (drawn, _COMPARED))
        (low, high), (low_compared, high_compared) = t[drawn], t[_COMPARED]
        low = low * (1 + _HIDDEN / count * np.fmax(1 + high_compared / low_compared, 0))
        high = high * (1 + _HIDDEN / count * np.fmax(1 + low_compared / high_compared, 0))
        thinner = stdtrit(count - 1, tail) / stdtrit(count - 1, drawn) if tail < drawn else 1.0
        unit = thinner * spread / counts.sum(-1)
        return value - high * unit, value - low * unit


def _resampled(rest: Floats, counts: Floats, tails: tuple[float, ...]) -> dict[float, tuple[Floats, Floats]]:
    """For each tail, the lower and the upper quantile of t over resamples; rest (..., N) has sum 0, counts mean 1."""
    problems = rest.shape[-1]
    even = bool((counts == 1).all())
    columns = [rest, rest**2] + ([] if even else [rest * counts, counts, counts**2])
    totals = np.moveaxis(np.stack(columns, axis=-2).astype(np.float32) @ _weights(problems), -2, 0)  # (..., B) each
    sums, squares = totals[:2]
    products, sizes, sizes2 = (sums, problems, problems) if even else totals[2:]
    mean = sums / sizes
    variance = squares - 2 * mean * products + mean**2 * sizes2
    varied = variance > _ROUNDING * squares
    error = np.sqrt(problems / (problems - 1) * np.where(varied, variance, 1))
    t = np.where(varied, sums / error, np.copysign(np.inf, sums))
    places = {tail: round(tail * (_RESAMPLES + 1)) - 1 for tail in tails}
    t.partition([k for place in places.values() for k in (place, _RESAMPLES - 1 - place)], axis=-1)
    return {tail: (_bounded(t[..., place]), _bounded(t[..., _RESAMPLES - 1 - place])) for tail, place in places.items()}


def _bounded(t: NDArray[np.float32]) -> Floats:
    return np.where(np.abs(t) > _INFINITE, np.copysign(np.inf, t), t).astype(np.float64)


def _grouped(values: Floats) -> Floats:
    """Sums over at most _MOST groups of problems."""
    count = values.shape[-1]
    if count <= _MOST:
        return values
    groups = -(-count // _MOST)
    padded = np.concatenate([values, np.zeros((*values.shape[:-1], -count % groups))], axis=-1)
    return padded.reshape(*values.shape[:-1], -1, groups).sum(-1)


@lru_cache(maxsize=8)
def _weights(count: int) -> NDArray[np.float32]:
    """How often each of `count` problems is in each resample (count, B); the same on every call."""
    drawn = np.random.default_rng(0).integers(count, size=(_RESAMPLES, count))
    places = drawn + count * np.arange(_RESAMPLES)[:, None]
    often = np.bincount(places.ravel(), minlength=_RESAMPLES * count).reshape(_RESAMPLES, count)
    return np.ascontiguousarray(often.T, dtype=np.float32)

"""95 % intervals. The unit is the problem: positions of one problem are not independent."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEVEL = 0.95
_ROUNDING = 1e-9  # standard errors below this are rounding errors of zero


class Estimate(NamedTuple):
    """A value with its 95 % interval; all NaN if there are no data."""

    value: float
    low: float
    high: float

    @property
    def known(self) -> bool:
        return not np.isnan(self.value)


NOTHING = Estimate(np.nan, np.nan, np.nan)


def proportion(hits: Floats, trials: Floats) -> Estimate:
    """A proportion of hits with problems as clusters; hits (N,) and trials (N,) are counts for each problem.

    Wilson's interval (1927) with the effective number of trials p(1 - p)/variance, where the variance is that of the
    ratio over problems (as Korn & Graubard 1998 do for survey clusters), and Student's t with the number of problems.
    If the variance is 0, as at 100 %, the effective number of trials is the number of problems.
    """
    used = trials > 0
    hits, trials = hits[used], trials[used]
    count, total = len(trials), trials.sum()
    if count == 0:
        return NOTHING
    share = hits.sum() / total
    effective = float(count)
    if count > 1:
        residuals = hits - share * trials
        variance = count / (count - 1) * (residuals**2).sum() / total**2
        if variance > _ROUNDING**2:
            effective = min(share * (1 - share) / variance, float(total))
    return _wilson(share, effective, _quantile(count - 1))


def mean(sums: Floats, counts: Floats, bound: float = np.inf, level: float = LEVEL) -> Estimate:
    """A mean with problems as clusters: sums (N,) over counts (N,) for each problem, by Student's t.

    `bound` is the maximum absolute value; intervals are clipped to it. If all problems have the same mean, the variance
    is 0; the interval then allows for a fraction p of different problems with (1 - p)^N = 5 %.
    """
    used = counts > 0
    sums, counts = sums[used], counts[used]
    if len(sums) == 0:
        return NOTHING
    value = sums.sum() / counts.sum()
    residuals = sums - value * counts
    error = np.sqrt(len(sums) / max(len(sums) - 1, 1) * (residuals**2).sum()) / counts.sum()
    half = _quantile(len(sums) - 1, level) * error
    if len(sums) == 1 or error < _ROUNDING:
        half = (1 - (1 - LEVEL) ** (1 / len(sums))) * (bound + abs(value))
    return Estimate(float(value), float(max(value - half, -bound)), float(min(value + half, bound)))


def crossed_proportion(hits: Floats, trials: Floats) -> Estimate:
    """A proportion with examples and seeds as crossed random effects: hits and trials (N, S).

    As `proportion`, with the variance of `crossed_mean`.
    """
    if hits.shape[1] == 1:
        return proportion(hits[:, 0], trials[:, 0])
    total = trials.sum()
    if total == 0:
        return NOTHING
    share = hits.sum() / total
    error, freedom = _crossed_error(hits - share * trials)
    effective, variance = float((trials > 0).any(axis=1).sum()), (error / trials.mean()) ** 2
    if variance > _ROUNDING**2:
        effective = min(share * (1 - share) / variance, float(total))
    return _wilson(share, effective, _quantile(freedom))


def crossed_mean(values: Floats) -> Estimate:
    """A mean with examples and seeds as crossed random effects: values (N, S).

    The variance has both components, (MS_examples + MS_seeds - MS_rest) / (N S), by analysis of variance, with
    Satterthwaite's degrees of freedom. With one seed it is over examples only.
    """
    value = values.mean()
    error, freedom = _crossed_error(values) if min(values.shape) > 1 else (0.0, 0.0)
    if error < _ROUNDING:
        return mean(values.mean(axis=1), np.ones(len(values)))
    half = _quantile(freedom) * error
    return Estimate(float(value), float(value - half), float(value + half))


def _crossed_error(values: Floats) -> tuple[float, float]:
    """The standard error of the mean of values (N, S), and its degrees of freedom."""
    count, seeds = values.shape
    centred = values - values.mean()
    by_example, by_seed = centred.mean(axis=1), centred.mean(axis=0)
    rest = centred - by_example[:, None] - by_seed
    freedoms = np.array([count - 1, seeds - 1, (count - 1) * (seeds - 1)])
    squares = np.array([seeds * (by_example**2).sum(), count * (by_seed**2).sum(), (rest**2).sum()]) / freedoms
    together = squares[0] + squares[1] - squares[2]
    if squares[1] <= squares[2] or together <= squares[0]:  # no variance between seeds beyond the residual
        return float(np.sqrt(squares[0] / values.size)), float(freedoms[0])
    return float(np.sqrt(together / values.size)), float(together**2 / (squares**2 / freedoms).sum())


def _wilson(share: float, effective: float, quantile: float) -> Estimate:
    z2 = quantile**2
    centre = (share + z2 / (2 * effective)) / (1 + z2 / effective)
    half = np.sqrt(z2 * share * (1 - share) / effective + z2**2 / (4 * effective**2)) / (1 + z2 / effective)
    return Estimate(float(share), float(max(centre - half, 0.0)), float(min(centre + half, 1.0)))


def _quantile(freedom: float, level: float = LEVEL) -> float:
    from scipy.stats import t

    return float(t.ppf((1 + level) / 2, max(freedom, 1)))

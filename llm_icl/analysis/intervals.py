"""95 % intervals. The unit is the problem: positions of one problem are not independent."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEVEL = 0.95
_ROUNDING = 1e-9  # a standard error below this is the rounding of none


class Estimate(NamedTuple):
    """A value with its 95 % interval; all NaN where there is nothing to estimate from."""

    value: float
    low: float
    high: float

    @property
    def known(self) -> bool:
        return not np.isnan(self.value)


NOTHING = Estimate(np.nan, np.nan, np.nan)


def proportion(hits: Floats, trials: Floats) -> Estimate:
    """A share of hits with problems as clusters; hits [N] and trials [N] are counts for each problem.

    Wilson's interval (1927) with the effective number of trials p(1 - p)/variance in place of the number, the variance
    being that of the ratio over problems (Korn & Graubard 1998 do so for survey clusters), and Student's t for the
    number of problems. Where the variance is 0, as at 100 %, the effective number is that of the problems.
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
    z2 = _quantile(count) ** 2
    centre = (share + z2 / (2 * effective)) / (1 + z2 / effective)
    half = np.sqrt(z2 * share * (1 - share) / effective + z2**2 / (4 * effective**2)) / (1 + z2 / effective)
    return Estimate(float(share), float(max(centre - half, 0.0)), float(min(centre + half, 1.0)))


def mean(sums: Floats, counts: Floats, bound: float = np.inf) -> Estimate:
    """A mean of anything with problems as clusters: sums [N] over counts [N] for each problem, by Student's t.

    `bound` is the greatest absolute value that can occur; no interval goes beyond it. Where all problems have the same
    mean there is no variance to go by: then the interval is what a share p of other problems could make of it, with
    (1 - p)^N = 5 %.
    """
    used = counts > 0
    sums, counts = sums[used], counts[used]
    if len(sums) == 0:
        return NOTHING
    value = sums.sum() / counts.sum()
    residuals = sums - value * counts
    error = np.sqrt(len(sums) / max(len(sums) - 1, 1) * (residuals**2).sum()) / counts.sum()
    half = _quantile(len(sums)) * error
    if len(sums) == 1 or error < _ROUNDING:
        half = (1 - (1 - LEVEL) ** (1 / len(sums))) * (bound + abs(value))
    return Estimate(float(value), float(max(value - half, -bound)), float(min(value + half, bound)))


def _quantile(problems: int) -> float:
    from scipy.stats import t

    return float(t.ppf((1 + LEVEL) / 2, max(problems - 1, 1)))

"""95 % intervals that cover 94 to 96 %, or none. The unit is the problem: positions of one problem are not independent.

What was tried, what is given when, and the coverage in simulation: docs/design/intervals.md.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from llm_icl.analysis.studentised import limits

Floats = NDArray[np.float64]

LEVEL = 0.95
# Of a mean that fewer problems than this contribute to, no interval can be given: in more than 2.5 % of the samples
# that are like it, none would, exp(-3) = 5 %.
FEWEST = 4
# Few problems with most of the queries decide a mean. Where all together are worth fewer equal ones than this, and
# fewer than half of their number, they do not tell how far it is from the truth.
_FEWEST_EFFECTIVE = 30
# So many contributions of one sign show that all have this sign.
_ONE_SIGN = 10
# Fewer seeds than this say too little about how much seeds differ.
FEWEST_SEEDS = 3
# A proportion's counts are discrete: exact limits are missed less often than asked for. With this factor, neither limit
# of a 95 % interval is missed in more than 3 %.
_EXACT = 1.2
# Degrees of freedom by which Satterthwaite's estimate is too high when there are few seeds.
_OPTIMISM = 3
# Means and differences below this are rounding errors of zero.
_ROUNDING = 1e-9


class Estimate(NamedTuple):
    """A value with its 95 % interval. Without an interval, where the data do not determine one, `low` and `high` are
    NaN; all three are NaN if there are no data.
    """

    value: float
    low: float
    high: float

    @property
    def known(self) -> bool:
        return not np.isnan(self.value)

    @property
    def identical(self) -> bool:
        """Whether this is the difference of learners that gave the same answers throughout."""
        return isinstance(self, _Identical)


class _Identical(Estimate):
    """The difference of learners that gave the same answers throughout: 0, without an interval."""


NOTHING = Estimate(np.nan, np.nan, np.nan)
IDENTICAL = _Identical(0.0, np.nan, np.nan)


def proportion(hits: Floats, trials: Floats, level: float = LEVEL) -> Estimate:
    """A proportion of hits with problems as clusters; hits (N,) and trials (N,) are counts for each problem.

    The interval is bootstrap-t over problems, but not longer than Clopper and Pearson's (1934) with each problem as one
    trial. The latter is conservative if problems are partly hits, and alone where the former does not exist: where
    problems are all or nothing, or all but a few the same. There is none where few problems have most of the trials.
    """
    used = trials > 0
    hits, trials = hits[used], trials[used]
    if len(trials) == 0:
        return NOTHING
    value = float(hits.sum() / trials.sum())
    if _is_lopsided(trials):
        return Estimate(value, np.nan, np.nan)
    low, high = _exact(value, float(trials.sum() ** 2 / (trials**2).sum()), _EXACT * _tail(level))
    if len(trials) > 1 and ((hits > 0) & (hits < trials)).any():
        inner = limits(hits, trials, _tail(level))
        low, high = float(np.fmax(low, inner[0])), float(np.fmin(high, inner[1]))
    return Estimate(value, min(low, value), max(high, value))


def mean(sums: Floats, counts: Floats, bound: float = np.inf, level: float = LEVEL) -> Estimate:
    """A mean with problems as clusters: sums (N,) over counts (N,) for each problem.

    The interval is bootstrap-t over problems. Unless many values are all of one sign, as losses are, it also contains
    Student's, with a degree of freedom for each problem but one that is not 0: a few differences may be of one sign by
    chance. There is no interval if fewer than FEWEST problems are not 0, if so few differ from the others that
    bootstrap-t has none, or if few problems have most of the counts. `bound` is the maximum absolute value; intervals
    are clipped to it. Where all problems are alike, as many as that sample allows (Clopper and Pearson) may have either
    bound; without bounds there is no interval.
    """
    used = counts > 0
    sums, counts = sums[used], counts[used]
    if len(sums) == 0:
        return NOTHING
    value = float(sums.sum() / counts.sum())
    some = sums[np.abs(sums) > _ROUNDING * counts]
    error = float(_error(sums - value * counts) / counts.sum())
    if len(some) < FEWEST or _is_lopsided(counts) or (error < _ROUNDING and np.isinf(bound)):
        return Estimate(value, np.nan, np.nan)
    if error < _ROUNDING:  # all problems alike: so many may be others, and as far away as they can be
        others = 1 - _tail(level) ** (1 / len(sums))
        return Estimate(value, value - others * (bound + value), value + others * (bound - value))
    low, high = (float(limit) for limit in limits(sums, counts, _tail(level)))
    if np.isinf(low) or np.isinf(high):
        return Estimate(value, np.nan, np.nan)
    if len(some) < _ONE_SIGN or some.min() < 0 < some.max():
        half = _student(len(some) - 1, level) * error
        low, high = min(low, value - half), max(high, value + half)
    return Estimate(value, max(min(low, value), -bound), min(max(high, value), bound))


def _is_lopsided(counts: Floats) -> bool:
    """Whether so few problems have most of the counts (N,) that these decide a mean. The effective number is Kish's
    (1965), (Σ counts)² / Σ counts².
    """
    effective = counts.sum() ** 2 / (counts**2).sum()
    return bool(effective < min(_FEWEST_EFFECTIVE, len(counts) / 2))


def unpaired(first: Estimate, second: Estimate) -> Estimate:
    """The difference of two means of independent samples, with the interval that follows from theirs (Newcombe 1998,
    method 10, for any two intervals: Zou & Donner 2008): each limit is as far from the difference as the limits that it
    comes from are from their means, added as errors are.
    """
    low = float(np.hypot(first.value - first.low, second.high - second.value))
    high = float(np.hypot(first.high - first.value, second.value - second.low))
    value = first.value - second.value
    return Estimate(value, value - low, value + high)


def student(values: Floats, level: float = LEVEL) -> Estimate:
    """The mean of a few values (S,) that are near normal, such as training runs, with Student's interval."""
    value = float(values.mean())
    if len(values) == 1:
        return Estimate(value, np.nan, np.nan)
    half = _student(len(values) - 1, level) * _error(values - value) / len(values)
    return Estimate(value, value - half, value + half)


def crossed_proportion(hits: Floats, trials: Floats, level: float = LEVEL) -> Estimate:
    """A proportion with examples and seeds as crossed random effects: hits and trials (N, S).

    Clopper and Pearson's interval with the effective number of trials (Korn & Graubard 1998) that has the variance of
    `crossed_mean`. There is none if fewer than FEWEST_SEEDS seeds have trials. What depends on no seed is a
    `proportion` over the examples.
    """
    total = trials.sum()
    if total == 0:
        return NOTHING
    value = float(hits.sum() / total)
    if (trials.sum(axis=0) > 0).sum() < FEWEST_SEEDS:
        return Estimate(value, np.nan, np.nan)
    rest = hits - value * trials
    if _seeds_agree(rest):
        return proportion(hits.mean(axis=1), trials.mean(axis=1), level)
    if len(hits) == 1:
        return Estimate(value, np.nan, np.nan)
    error, freedom = _crossed_error(rest)
    effective = value * (1 - value) / (error / trials.mean()) ** 2
    effective *= (_student(np.inf, level) / _student(freedom, level)) ** 2
    return Estimate(value, *_exact(value, float(min(effective, total)), _EXACT * _tail(level)))


def crossed_mean(values: Floats, level: float = LEVEL) -> Estimate:
    """A mean with examples and seeds as crossed random effects: values (N, S).

    The variance has both components, (MS_examples - MS_rest + MS_seeds) / (N S), by analysis of variance, with
    Satterthwaite's degrees of freedom less three, but at least S - 1. If all seeds say the same, it is `mean` over the
    examples. There is no interval with fewer than FEWEST_SEEDS seeds: one does not show how much seeds differ, and two
    hardly do, since they may agree by chance.
    """
    value = float(values.mean())
    if values.shape[1] < FEWEST_SEEDS:
        return Estimate(value, np.nan, np.nan)
    if _seeds_agree(values):
        return mean(values[:, 0], np.ones(len(values)), level=level)
    if len(values) == 1:
        return Estimate(value, np.nan, np.nan)
    error, freedom = _crossed_error(values)
    half = _student(freedom, level) * error
    return Estimate(value, value - half, value + half)


def _seeds_agree(values: Floats) -> bool:
    return float(np.ptp(values, axis=1).max()) < _ROUNDING


def _crossed_error(values: Floats) -> tuple[float, float]:
    """The standard error of the mean of values (N, S), and its degrees of freedom."""
    count, seeds = values.shape
    centred = values - values.mean()
    by_example, by_seed = centred.mean(axis=1), centred.mean(axis=0)
    rest = centred - by_example[:, None] - by_seed
    among_rest = (rest**2).sum() / ((count - 1) * (seeds - 1))
    examples = max(seeds * (by_example**2).sum() / (count - 1) - among_rest, 0.0)
    among_seeds = max(count * (by_seed**2).sum() / (seeds - 1), among_rest / 20)  # counts may be equal by chance
    together = examples + among_seeds
    freedom = together**2 / (examples**2 / (count - 1) + among_seeds**2 / (seeds - 1))
    return float(np.sqrt(together / values.size)), float(max(freedom - _OPTIMISM, seeds - 1))


def _exact(share: float, trials: float, tail: float) -> tuple[float, float]:
    """Clopper and Pearson's limits, each missed with probability `tail` at most; trials need not be a whole number."""
    from scipy.special import betaincinv

    hits, misses = share * trials, (1 - share) * trials
    low = betaincinv(hits, misses + 1, tail) if hits > 0 else 0.0
    high = betaincinv(hits + 1, misses, 1 - tail) if misses > 0 else 1.0
    return float(low), float(high)


def _error(rest: Floats) -> float:
    """The standard error of a sum of which these (N,) are the deviations."""
    return float(np.sqrt(len(rest) / max(len(rest) - 1, 1) * (rest**2).sum()))


def _tail(level: float) -> float:
    return (1 - level) / 2


def _student(freedom: float, level: float) -> float:
    from scipy.special import ndtri, stdtrit

    return float(stdtrit(freedom, 1 - _tail(level)) if np.isfinite(freedom) else ndtri(1 - _tail(level)))

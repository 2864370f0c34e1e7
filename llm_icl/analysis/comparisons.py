"""Paired comparisons of learners: above, below, equivalent, identical, or too few problems to tell.

A report makes many comparisons. They are corrected together, so that the probability that any of its "above" and
"below" is false is at most 5 %; a difference that is not shown is never called none unless it is shown to be small.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import ClassVar, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from llm_icl.analysis.cells import Floats
from llm_icl.analysis.intervals import IDENTICAL, LEVEL, NOTHING, Estimate, mean

Outcome = Literal["above", "below", "equivalent", "identical", "too few", "no data"]
Key = TypeVar("Key")

# Two learners are equivalent if their accuracies are shown to differ by less than this.
MARGIN = 0.05
# The probability with which a stated number of problems finds a stated difference.
POWER = 0.8
# Bootstrap-t intervals are wider than Student's by 1.8 % and 8 / N^1.5, as measured (docs/design/comparisons.md).
_WIDER, _WIDER_IF_FEW = 0.018, 8.0
# The curvature of the power curve over its slope: times the relative variance of the square of a standard error, the
# share of problems that is needed on top.
_CURVED = 0.85
# Fewer problems do not show how their differences are spread; of fewer than the second no number that would do is told.
_SHOWN, LEAST_TOLD = 10, 5
# So few problems do not show how skewed their differences are.
_FEWEST = 20


class Difference(Protocol):
    """What can be judged: a difference over units that are sampled, such as problems."""

    @property
    def problems(self) -> int:
        """The number of units."""

    @property
    def differing(self) -> int:
        """The number of those in which anything differs."""

    @property
    def margin(self) -> float:
        """Smaller differences are none."""

    @property
    def error(self) -> float:
        """The standard error; NaN if it is unknown."""

    @property
    def uncertainty(self) -> float:
        """The relative variance of the square of `error`."""

    @property
    def drawn(self) -> float:
        """The number of units that are drawn for each that counts: above 1 where some can show no difference."""

    @property
    def resampled(self) -> bool:
        """Whether intervals are bootstrap-t intervals, which are wider than Student's."""

    def estimate(self, level: float = LEVEL) -> Estimate: ...


@dataclass(frozen=True)
class Comparison:
    """One learner's accuracy minus another's, paired: sums (N,) of differences over counts (N,) of queries that both
    answered, for each of N problems; `differing` of these problems have queries with different answers. `drawn`
    problems are drawn for each that counts.
    """

    sums: Floats
    counts: Floats
    differing: int
    margin: float = MARGIN
    drawn: float = 1.0
    resampled: ClassVar[bool] = True

    def estimate(self, level: float = LEVEL) -> Estimate:
        return IDENTICAL if self.problems and not self.differing else mean(self.sums, self.counts, 1.0, level)

    @property
    def problems(self) -> int:
        return int((self.counts > 0).sum())

    @cached_property
    def error(self) -> float:
        """The standard error over problems; NaN for fewer than two."""
        rest = self._residuals
        if len(rest) < 2:
            return float("nan")
        return float(np.sqrt(len(rest) / (len(rest) - 1) * (rest**2).sum()) / self.counts.sum())

    @cached_property
    def uncertainty(self) -> float:
        """From the fourth moment: 2 / (N - 1) for normal differences, and more where a few problems differ by much. Few
        do not show it: of two it would be 0.
        """
        squares = self._residuals**2
        if len(squares) < 2 or not squares.any():
            return float("nan")
        spread = (squares**2).mean() / squares.mean() ** 2 - 1
        return float((max(spread, 2.0) if len(squares) < _SHOWN else spread) / (len(squares) - 1))

    @property
    def _residuals(self) -> Floats:
        used = self.counts > 0
        sums, counts = self.sums[used], self.counts[used]
        return sums - sums.sum() / counts.sum() * counts if len(sums) else sums


def compare(
    first: Floats, second: Floats, answers: tuple[Floats, Floats], where: NDArray[np.bool_] | None = None
) -> Comparison:
    """Compare correctness first and second (N, P), NaN where there is no answer, on the problems `where` (N,).

    answers are the labels that both gave (N, P), which tell identical learners from equally accurate ones.
    """
    both = ~np.isnan(first) & ~np.isnan(second)
    drawn = 1.0
    if where is not None:
        answered = int(both.any(axis=1).sum())
        both &= where[:, None]
        drawn = answered / max(1, int(both.any(axis=1).sum()))
    sums = np.where(both, first - second, 0).sum(axis=1)
    # An unusable answer (NaN) equals another unusable one.
    same = (answers[0] == answers[1]) | (np.isnan(answers[0]) & np.isnan(answers[1]))
    differing = int((both & ~same).any(axis=1).sum())
    return Comparison(sums, both.sum(axis=1).astype(float), differing, drawn=drawn)


@dataclass(frozen=True)
class Judgement:
    """The outcome of a comparison among all comparisons of a report.

    `shown` is the difference with the interval that the outcome rests on, wider than 95 % if other comparisons are
    made. `resolves` is the difference that this many problems find with probability POWER, `needed` the number of
    problems to draw that finds one as large as the margin; both NaN where the spread over problems is unknown, its
    standard `error`. `uncertainty` is the relative variance of the square of this; `alpha` the level of the test, by
    bootstrap-t intervals if `resampled`. `drawn` problems are drawn for each of `problems`, which count.
    """

    outcome: Outcome
    shown: Estimate
    problems: int
    differing: int
    resolves: float = float("nan")
    needed: float = float("nan")
    error: float = float("nan")
    uncertainty: float = float("nan")
    alpha: float = 1 - LEVEL
    resampled: bool = True
    drawn: float = 1.0

    def needed_for(self, difference: float) -> float:
        """The number of problems to draw that finds a difference of this size."""
        found = power(self.error, self.problems, self.uncertainty, self.alpha, difference, self.resampled)[1]
        return self.drawn * found


def judge(comparisons: Mapping[Key, Difference]) -> dict[Key, Judgement]:
    """Judge all comparisons of a report, corrected for their number.

    Holm's procedure (1979): the clearest first, each with an interval of level 1 - .05 / (comparisons left), until one
    includes 0; the rest have the same level. The bound on false claims holds in whatever order they are taken, since
    the first true null hypothesis to be rejected has at least as many comparisons left as there are true ones. It would
    not hold for equivalences: learners that differ by the margin leave the count when they are rightly called above or
    below. Hence their intervals have the level of all comparisons, 1 - .05 / (their number).
    Comparisons without data, and identical learners, claim nothing and do not count.
    """
    judged: dict[Key, Judgement] = {}
    tested: list[tuple[float, Key]] = []
    for key, comparison in comparisons.items():
        if comparison.problems == 0:
            judged[key] = Judgement("no data", NOTHING, 0, 0)
        elif comparison.differing == 0:
            judged[key] = Judgement("identical", comparison.estimate(), comparison.problems, 0)
        else:
            error = comparison.error
            tested.append((abs(comparison.estimate().value) / error if error > 0 else 0.0, key))
    left, stopped = len(tested), False
    for _, key in sorted(tested, key=lambda entry: -entry[0]):
        alpha = (1 - LEVEL) / left
        judged[key] = _judged(comparisons[key], alpha, (1 - LEVEL) / len(tested))
        stopped |= judged[key].outcome not in ("above", "below")
        left -= not stopped
    return {key: judged[key] for key in comparisons}


def _judged(comparison: Difference, alpha: float, among_all: float) -> Judgement:
    shown = comparison.estimate(1 - alpha)
    outcome: Outcome = "too few"
    if shown.low > 0:
        outcome = "above"
    elif shown.high < 0:
        outcome = "below"
    elif _within(shown, comparison.margin) and _within(widest := comparison.estimate(1 - among_all), comparison.margin):
        outcome, shown = "equivalent", widest
    error, problems, uncertainty = comparison.error, comparison.problems, comparison.uncertainty
    resolves, needed = power(error, problems, uncertainty, alpha, comparison.margin, comparison.resampled)
    return Judgement(
        outcome, shown, problems, comparison.differing, resolves, comparison.drawn * needed, error, uncertainty, alpha,
        comparison.resampled, comparison.drawn,
    )  # fmt: skip


def _within(shown: Estimate, margin: float) -> bool:
    return -margin < shown.low and shown.high < margin


def power(
    error: float, problems: int, uncertainty: float, alpha: float, margin: float = MARGIN, resampled: bool = True
) -> tuple[float, float]:
    """The difference that a test of level alpha finds with probability POWER, given its standard error over so many
    problems and the relative variance of its square; and the number of problems that find one as large as the margin,
    NaN where there are too few to say.
    The test is by bootstrap-t intervals if `resampled`, else by Student's.
    """
    if not error > 0:
        return float("nan"), float("nan")
    resolves = _detectable(problems, alpha, POWER, resampled) * error
    if resampled and problems < LEAST_TOLD:
        return resolves, float("nan")
    return resolves, problems_needed(problems * error**2, uncertainty, alpha, margin, resampled=resampled)


def problems_needed(
    variance: float, uncertainty: float, alpha: float, difference: float = MARGIN, power: float = POWER,
    resampled: bool = True,
) -> float:  # fmt: skip
    """How many problems find a difference with this probability by a test of level alpha, where a problem's difference
    has a variance that was estimated, with this relative variance; infinite if 100 million do not.
    """
    # The variance is as often too small as too large, and power is concave: more problems are needed.
    if variance > 0:
        variance *= 1 + _CURVED * uncertainty

    def enough(count: float) -> bool:
        return bool(count >= variance * (_detectable(count, alpha, power, resampled) / difference) ** 2)

    counts = _counts()
    place = bisect_left(counts, True, key=enough)
    fewest = _FEWEST if resampled else 2
    return max(fewest, counts[place]) if place < len(counts) else float("inf")


@cache
def _counts() -> list[float]:
    """The numbers of problems that are considered, up to 100 million."""
    counts: list[float] = np.unique(np.geomspace(2, 1e8, 1000).round()).tolist()
    return counts


@cache
def _detectable(problems: float, alpha: float, power: float, resampled: bool) -> float:
    """The difference that so many problems find, in standard errors."""
    from scipy.special import nctdtrinc, stdtrit

    wider = 1 + (_WIDER + _WIDER_IF_FEW / problems**1.5 if resampled else 0.0)
    return float(nctdtrinc(problems - 1, 1 - power, wider * stdtrit(problems - 1, 1 - alpha / 2)))

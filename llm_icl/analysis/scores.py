"""The scores of a learner that reports show."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from llm_icl.analysis.cells import Answered, Cell, Floats
from llm_icl.analysis.comparisons import compare
from llm_icl.analysis.intervals import FEWEST, IDENTICAL, LEVEL, NOTHING, Estimate, mean, proportion

# The accuracy at which a function counts as learned, for "examples needed".
TARGET = 0.9
# So many neighbouring positions are tested together: at one position, few problems could not show anything.
WINDOW = 5
# Excesses of log loss are so skewed, rare large losses against small gains, that fewer problems do not show their tail.
FEWEST_FOR_EXCESS = 100
# Probabilities are clipped to this distance from 0 and 1 in the log loss, which keeps a certain error finite.
FLOOR = 1e-6
BINS = 10


@dataclass(frozen=True)
class Score:
    """One learner in one cell: accuracies, log loss (nats), overconfidence, and regrets vs. exact Bayes.

    The regrets are the accuracy of exact Bayes minus the learner's, paired by problem; examples is the number of
    examples until the accuracy reaches TARGET, infinite if that is not shown. mass is the mean probability of both
    labels together, NaN where no answer says it.
    """

    learner: str
    last: Estimate
    average: Estimate
    seen: Estimate
    unseen: Estimate
    log_loss: Estimate
    overconfidence: Estimate
    examples: Estimate
    regret: Estimate
    regret_labels: Estimate
    regret_log_loss: Estimate
    coverage: float
    bounds: tuple[float, float]
    statuses: dict[str, float]
    mass: float


def score(cell: Cell, learner: str) -> Score:
    answered = cell.learners[learner]
    return Score(
        learner,
        last=accuracy(answered.correct[:, -1:]),
        average=accuracy(answered.correct),
        seen=accuracy(answered.correct, cell.seen),
        unseen=accuracy(answered.correct, ~cell.seen),
        log_loss=log_loss(answered, cell.label),
        overconfidence=overconfidence(answered, cell.label),
        examples=examples_needed(answered.correct, cell.positions),
        regret=difference(cell, "bayes", learner),
        regret_labels=difference(cell, "bayes-labels", learner),
        regret_log_loss=excess_log_loss(cell, learner),
        coverage=answered.coverage,
        bounds=answered.bounds,
        statuses=answered.statuses,
        mass=_mean_known(answered.mass),
    )


def _mean_known(values: Floats | None) -> float:
    known = np.array([]) if values is None else values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def accuracy(correct: Floats, where: NDArray[np.bool_] | None = None, level: float = LEVEL) -> Estimate:
    """The accuracy over correct (N, P) at the selected positions, with problems as clusters."""
    used = ~np.isnan(correct) if where is None else ~np.isnan(correct) & where
    return proportion(np.where(used, correct, 0).sum(axis=1), used.sum(axis=1).astype(float), level)


def average(values: Floats, bound: float = np.inf, level: float = LEVEL) -> Estimate:
    """The mean of values (N, P), ignoring NaN, bounded by ±bound, with problems as clusters."""
    used = ~np.isnan(values)
    return mean(np.where(used, values, 0).sum(axis=1), used.sum(axis=1).astype(float), bound, level)


def curve(correct: Floats) -> list[Estimate]:
    """The accuracy at each position, P estimates."""
    return [accuracy(correct[:, j : j + 1]) for j in range(correct.shape[1])]


def difference(cell: Cell, better: str, learner: str, level: float = LEVEL) -> Estimate:
    """The accuracy of one learner minus another's, paired: on positions that both answered, by problem."""
    if better not in cell.learners or learner not in cell.learners or better == learner:
        return NOTHING
    one, other = cell.learners[better], cell.learners[learner]
    return compare(one.correct, other.correct, (one.prediction, other.prediction)).estimate(level)


def log_losses(answered: Answered, label: Floats) -> Floats:
    """-log P(truth) in nats, (N, P); NaN where there is no probability."""
    given = np.where(label == 1, answered.probability, 1 - answered.probability)
    return -np.log(np.clip(given, FLOOR, 1))


def log_loss(answered: Answered, label: Floats, level: float = LEVEL) -> Estimate:
    """The mean log loss in nats; without an interval where it depends on too few surprises."""
    value, low, high = average(log_losses(answered, label), -np.log(FLOOR), level)
    return _with_surprises(Estimate(value, max(low, 0.0), high), answered)


def excess_log_loss(cell: Cell, learner: str, level: float = LEVEL) -> Estimate:
    """The log loss above that of exact Bayes from the labels, paired by problem; without an interval if fewer than
    FEWEST_FOR_EXCESS problems are shared, or if it depends on too few surprises.
    """
    if "bayes-labels" not in cell.learners or learner == "bayes-labels":
        return NOTHING
    answered = cell.learners[learner]
    excess = log_losses(answered, cell.label) - log_losses(cell.learners["bayes-labels"], cell.label)
    if (excess[~np.isnan(excess)] == 0).all() and not np.isnan(excess).all():
        return IDENTICAL
    estimate = _with_surprises(average(excess, -np.log(FLOOR), level), answered)
    shared = int((~np.isnan(excess)).any(axis=1).sum())
    return estimate if shared >= FEWEST_FOR_EXCESS else Estimate(estimate.value, np.nan, np.nan)


@dataclass(frozen=True)
class Bin:
    """Predictions with P(y = 1) in one of ten bins: their number, their mean, and the fraction of labels that are 1,
    with problems as clusters.
    """

    count: int
    predicted: float
    observed: Estimate


def calibration(answered: Answered, label: Floats) -> list[Bin]:
    """The non-empty bins of a reliability diagram."""
    known = ~np.isnan(answered.probability)
    which = np.minimum((np.where(known, answered.probability, 0) * BINS).astype(int), BINS - 1)
    bins = []
    for b in np.unique(which[known]):
        inside = known & (which == b)
        hits = np.where(inside, label, 0).sum(axis=1)
        observed = proportion(hits, inside.sum(axis=1).astype(float))
        bins.append(Bin(int(inside.sum()), float(answered.probability[inside].mean()), observed))
    return bins


def overconfidence(answered: Answered, label: Floats, level: float = LEVEL) -> Estimate:
    """The mean confidence, max(P, 1 - P), minus the accuracy: 0 in expectation for a learner that is right as often as
    it says, whatever the number of problems; negative for an underconfident one.
    """
    likely = answered.probability > 0.5
    confidence = np.where(likely, answered.probability, 1 - answered.probability)
    return _with_surprises(average(confidence - (likely == label), 1.0, level), answered)


def _with_surprises(estimate: Estimate, answered: Answered) -> Estimate:
    """The estimate, without its interval if fewer than FEWEST problems have a wrong answer, or fewer a right one: the
    mean then depends on a kind of answer that these problems hardly show.
    """
    known = ~np.isnan(answered.probability)
    problems = min(int((known & (answered.correct == right)).any(axis=1).sum()) for right in (0, 1))
    return estimate if problems >= FEWEST else Estimate(estimate.value, np.nan, np.nan)


def examples_needed(correct: Floats, positions: NDArray[np.int64], level: float = LEVEL) -> Estimate:
    """The number of examples at which the expected accuracy, which rises with examples, reaches TARGET.

    correct (N, P) is 1, 0 or NaN at positions (P,). `high` is the smallest number at which, and at all larger ones, the
    accuracy is shown to be at least TARGET; infinite if it is not shown at the last. `low` is the smallest number at
    which the accuracy is not shown to be below TARGET; infinite if it is below at all. The value is where an isotonic
    regression reaches TARGET, moved into this interval; infinite, "not shown", if `high` is.

    Each end is a sequence of tests that stops at the first that shows nothing, so that all together are wrong as rarely
    as one. The accuracy at a position is tested with that over it and those before it, which is no higher, and with
    that over it and those after it, which is no lower.
    """
    used = ~np.isnan(correct).all(axis=0)
    correct, examples = correct[:, used], positions[used].astype(float)
    if not len(examples):
        return NOTHING
    low = high = np.inf
    for j in reversed(range(len(examples))):
        if not accuracy(correct[:, max(j - WINDOW + 1, 0) : j + 1], level=level).low >= TARGET:
            break
        high = float(examples[j])
    for j in range(len(examples)):
        if not accuracy(correct[:, j : j + WINDOW], level=level).high < TARGET:
            low = float(examples[j])
            break
    return Estimate(float(np.clip(_reached(correct, examples), low, high)) if high < np.inf else np.inf, low, high)


def _reached(correct: Floats, examples: Floats) -> float:
    rising = isotonic(np.nanmean(correct, axis=0), (~np.isnan(correct)).sum(axis=0).astype(float))
    there = np.flatnonzero(rising >= TARGET - 1e-12)  # rounding does not decide
    return float(examples[there[0]]) if len(there) else float("inf")


def isotonic(values: Floats, weights: Floats) -> Floats:
    """The non-decreasing values nearest to these in weighted squares, by pooling neighbours that fall (Ayer et al.
    1955). (SciPy has it, beside so much else that its import takes longer than a small report.)
    """
    pools: list[tuple[float, float, int]] = []  # mean, weight, count
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        pool = (value, weight, 1)
        while pools and pools[-1][0] >= pool[0]:
            mean, before, count = pools.pop()
            whole = before + pool[1]
            pool = ((mean * before + pool[0] * pool[1]) / whole, whole, count + pool[2])
        pools.append(pool)
    return np.repeat([mean for mean, _, _ in pools], [count for _, _, count in pools])


class Siding(NamedTuple):
    """Of the unseen queries at which two learners answer differently and a third one answers: their number, the
    fraction at which it answers like the first, and that of the label which is more often like the first.
    """

    queries: int
    like_first: Estimate
    one_label: float


def siding(cell: Cell, learner: str, first: str, second: str) -> Siding:
    mine, one, other = (cell.learners[name].prediction for name in (learner, first, second))
    apart = ~cell.seen & ~np.isnan(mine) & ~np.isnan(one) & ~np.isnan(other) & (one != other)
    hits = (apart & (mine == one)).sum(axis=1).astype(float)
    one_label = max((one[apart] == label).mean() for label in (0, 1)) if apart.any() else np.nan
    return Siding(int(apart.sum()), proportion(hits, apart.sum(axis=1).astype(float)), float(one_label))


def agreement(cell: Cell, where: NDArray[np.bool_] | None = None) -> tuple[list[str], Floats]:
    """The fraction of positions at which each pair of learners gives the same answer; NaN without common positions."""
    names = list(cell.learners)
    shares = np.full((len(names), len(names)), np.nan)
    for i, first in enumerate(names):
        for j, second in enumerate(names):
            a, b = cell.learners[first].prediction, cell.learners[second].prediction
            both = ~np.isnan(a) & ~np.isnan(b) & (True if where is None else where)
            if both.any():
                shares[i, j] = (a == b)[both].mean()
    return names, shares

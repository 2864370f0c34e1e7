"""The scores of a learner that reports show."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_icl.analysis.cells import Answered, Cell, Floats
from llm_icl.analysis.intervals import NOTHING, Estimate, mean, proportion

# The accuracy at which a function counts as learned, for "examples needed".
TARGET = 0.9
# Probabilities are clipped to this distance from 0 and 1 in the log loss, which keeps a certain error finite.
FLOOR = 1e-6
BINS = 10
_RESAMPLES = 200


@dataclass(frozen=True)
class Score:
    """One learner in one cell: accuracies, log loss (nats), calibration error, and regrets vs. exact Bayes.

    The regrets are the accuracy of exact Bayes minus the learner's, paired by problem; examples is the number of
    examples until the accuracy reaches TARGET, infinite if it never does. mass is the mean probability of both labels
    together, NaN where no answer says it.
    """

    learner: str
    last: Estimate
    average: Estimate
    seen: Estimate
    unseen: Estimate
    log_loss: Estimate
    calibration_error: float
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
        log_loss=average(log_losses(answered, cell.label)),
        calibration_error=calibration_error(answered, cell.label),
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


def accuracy(correct: Floats, where: NDArray[np.bool_] | None = None) -> Estimate:
    """The accuracy over correct (N, P) at the selected positions, with problems as clusters."""
    used = ~np.isnan(correct) if where is None else ~np.isnan(correct) & where
    return proportion(np.where(used, correct, 0).sum(axis=1), used.sum(axis=1).astype(float))


def average(values: Floats, bound: float = np.inf) -> Estimate:
    """The mean of values (N, P), ignoring NaN, bounded by ±bound, with problems as clusters."""
    used = ~np.isnan(values)
    return mean(np.where(used, values, 0).sum(axis=1), used.sum(axis=1).astype(float), bound)


def curve(correct: Floats) -> list[Estimate]:
    """The accuracy at each position, P estimates."""
    return [accuracy(correct[:, j : j + 1]) for j in range(correct.shape[1])]


def difference(cell: Cell, better: str, learner: str) -> Estimate:
    """The accuracy of one learner minus another's, paired: on positions that both answered, by problem."""
    if better not in cell.learners or learner not in cell.learners or better == learner:
        return NOTHING
    return average(cell.learners[better].correct - cell.learners[learner].correct, bound=1.0)


def log_losses(answered: Answered, label: Floats) -> Floats:
    """-log P(truth) in nats, (N, P); NaN where there is no probability."""
    given = np.where(label == 1, answered.probability, 1 - answered.probability)
    return -np.log(np.clip(given, FLOOR, 1))


def excess_log_loss(cell: Cell, learner: str) -> Estimate:
    """The log loss above that of exact Bayes from the labels, paired by problem."""
    if "bayes-labels" not in cell.learners or learner == "bayes-labels":
        return NOTHING
    ceiling = log_losses(cell.learners["bayes-labels"], cell.label)
    return average(log_losses(cell.learners[learner], cell.label) - ceiling)


@dataclass(frozen=True)
class Bin:
    """Predictions with P(y = 1) in one of ten bins: their number, their mean, and the fraction of labels that are 1."""

    count: int
    predicted: float
    observed: float


def calibration(answered: Answered, label: Floats) -> list[Bin]:
    """The non-empty bins of a reliability diagram."""
    known = ~np.isnan(answered.probability)
    probability, truth = answered.probability[known], label[known]
    which = np.minimum((probability * BINS).astype(int), BINS - 1)
    return [
        Bin(int((which == b).sum()), float(probability[which == b].mean()), float(truth[which == b].mean()))
        for b in np.unique(which)
    ]


def calibration_error(answered: Answered, label: Floats) -> float:
    """The expected calibration error: |predicted - observed| per bin, weighted by count; NaN without probabilities."""
    bins = calibration(answered, label)
    total = sum(b.count for b in bins)
    return sum(b.count * abs(b.predicted - b.observed) for b in bins) / total if total else float("nan")


def examples_needed(correct: Floats, positions: NDArray[np.int64]) -> Estimate:
    """The number of examples needed to reach TARGET: the first position at which an isotonic regression of the
    accuracies reaches it; infinite if it never does. The interval is a bootstrap over problems.
    """
    if np.isnan(correct).all():
        return NOTHING
    random = np.random.default_rng(0)
    draws = random.integers(0, len(correct), size=(_RESAMPLES, len(correct)))
    reached = [_reached(correct[rows], positions) for rows in draws]
    low, high = np.quantile(reached, [0.025, 0.975], method="closest_observation")
    return Estimate(_reached(correct, positions), float(low), float(high))


def _reached(correct: Floats, positions: NDArray[np.int64]) -> float:
    from scipy.optimize import isotonic_regression

    answered = (~np.isnan(correct)).sum(axis=0)
    used = answered > 0
    means = np.where(np.isnan(correct), 0, correct).sum(axis=0)[used] / answered[used]
    rising = isotonic_regression(means, weights=answered[used].astype(float)).x
    there = np.flatnonzero(rising >= TARGET)
    return float(positions[used][there[0]]) if len(there) else float("inf")


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

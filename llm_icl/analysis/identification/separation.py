"""Which candidates these queries can tell apart, before anything is asked, and with how many problems."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_icl.analysis.identification.data import Design
from llm_icl.analysis.identification.links import Tallies

Floats = NDArray[np.float64]

# The share of answers that are taken to be coin flips, before anything is known of the subject.
NOISE = 0.2
# Probabilities of equal answers differ by less, through rounding.
_EQUAL = 1e-9
# Contexts needed are for this power.
POWER = 0.95


@dataclass(frozen=True)
class Separation:
    """How well each candidate k (rows) is told from each j (columns) if k is the truth.

    nats (K, K) is the expected log Bayes factor per problem, of all its answers, after j's link has made the best of
    it; needed (K, K) the number of problems with which j is rejected with power POWER; infinite for equal answers.
    """

    names: tuple[str, ...]
    nats: Floats
    needed: Floats

    def groups(self, problems: float) -> list[tuple[str, ...]]:
        """The candidates that so many problems cannot tell apart, in either direction, as groups."""
        same = (self.needed > problems) & (self.needed > problems).T
        groups: list[list[int]] = []
        for k in range(len(self.names)):
            home = next((group for group in groups if all(same[k, j] for j in group)), None)
            if home is None:
                groups.append([k])
            else:
                home.append(k)
        return [tuple(self.names[k] for k in group) for group in groups]


def separation(design: Design, level: float) -> Separation:
    """Every pair of candidates, with 20 % of coin flips among the answers; of families the middle variant."""
    known = design.known
    middle = np.stack([candidate.middle for candidate in design.candidates])
    truths = (1 - NOISE) * middle + NOISE / 2  # (K, M, C, Q)
    count = len(middle)
    nats, strength = np.zeros((count, count)), np.zeros((count, count))
    for k in range(count):
        links, _ = Tallies(middle, np.where(known, truths[k], np.nan), design.folds).fit()
        nats[k], strength[k] = told_apart(truths[k], links.apply(middle), known)
        equal = [bool((np.abs(middle[k] - other)[known] < _EQUAL).all()) for other in middle]
        nats[k, equal] = strength[k, equal] = 0.0
    return Separation(tuple(design.names), nats / design.shape[1], needed(strength, design.shape[1], level))


def told_apart(truth: Floats, models: Floats, known: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """For answers with P(1) = truth (M, C, Q), where `known`, and models (K, M, C, Q): the expected log Bayes factors
    (K,), and the expected strength (K,), in standard deviations, of the pull from each model towards the truth.
    """
    truth = np.clip(truth, 1e-4, 1 - 1e-4)
    log_odds = np.log(truth / (1 - truth))
    factor = truth * np.log(truth / models) + (1 - truth) * np.log((1 - truth) / (1 - models))
    pull = log_odds - np.log(models / (1 - models))
    variance = np.where(known, models * (1 - models), 0.0)
    axes = (-2, -1)
    # The link takes whatever part of the pull is constant for a number of examples.
    total = np.maximum(variance.sum(axis=axes, keepdims=True), 1e-12)
    centred = pull - (variance * pull).sum(axis=axes, keepdims=True) / total
    signal = np.where(known, centred * (truth - models), 0.0).sum(axis=(1, 2, 3))
    noise = np.sqrt((variance * centred**2).sum(axis=(1, 2, 3)))
    strength = np.divide(signal, noise, out=np.zeros(len(models)), where=noise > 1e-9)
    return np.where(known, factor, 0.0).sum(axis=(1, 2, 3)), np.maximum(strength, 0)


def needed(strength: Floats, problems: int, level: float, power: float = POWER) -> Floats:
    """The number of problems for this power at this level, from the strength at `problems`."""
    from scipy.special import ndtri

    wanted = ndtri(power) - ndtri(level)
    with np.errstate(divide="ignore"):
        return np.where(strength > 0, problems * (wanted / strength) ** 2, np.inf)


def power(strength: float, level: float) -> float:
    """The probability that a pull of this strength is found at this level."""
    from scipy.special import ndtr, ndtri

    return float(ndtr(strength + ndtri(level)))

"""How much of a subject's own regularity a model of it explains."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from llm_icl.analysis.intervals import Estimate

Floats = NDArray[np.float64]

RESAMPLES = 1000


def own_scores(answers: Floats, probabilities: bool, agreement: Floats | None) -> Floats:
    """The log scores (C,) of each problem's answers by the subject itself: the most that any model can reach.

    -Σ H(q) for probabilities q. For labels it is 0, as of a subject that would answer the same again, unless
    `agreement` (M,) gives the share of answers that were repeated when asked again: two answers that are 1 with
    probability e or 1 - e agree with probability 1 - 2e(1 - e).
    """
    known = ~np.isnan(answers)
    if probabilities:
        certain = np.where(known, answers, 1.0)
        return -_entropy(certain).sum(axis=(0, 2))
    if agreement is None:
        return np.zeros(answers.shape[1])
    noise = (1 - np.sqrt(np.clip(2 * agreement - 1, 0, 1))) / 2  # (M,)
    return -(_entropy(noise)[:, None] * known.sum(axis=-1)).sum(axis=0)


def _entropy(p: Floats) -> Floats:
    """In nats."""
    inside = np.clip(p, 1e-12, 1 - 1e-12)
    return -(inside * np.log(inside) + (1 - inside) * np.log(1 - inside))


def explained(scores: Floats, base: Floats, own: Floats, seed: int = 0) -> Estimate:
    """(S_model - S_base)/(S_own - S_base) from the log scores (C,) of problems, with a bootstrap over problems.

    Not known where the subject has no regularity beyond the base.
    """
    draws = _draws(len(scores), seed)
    above, span = scores - base, own - base
    if span.sum() <= 1e-9 * len(scores):
        return Estimate(np.nan, np.nan, np.nan)
    spans = draws @ span
    ratios = (draws @ above)[spans > 0] / spans[spans > 0]
    low, high = np.quantile(ratios, [0.025, 0.975])
    return Estimate(float(above.sum() / span.sum()), float(low), float(high))


@lru_cache(maxsize=8)
def _draws(count: int, seed: int) -> Floats:
    """How often each of so many problems is drawn in every resample, (RESAMPLES, count)."""
    random = np.random.default_rng(seed)
    return random.multinomial(count, np.full(count, 1 / count), size=RESAMPLES).astype(np.float64)


def regret(answers: Floats, ceiling: Floats, model: Floats, probabilities: bool) -> tuple[float, float]:
    """What the subject loses to exact Bayes, and the share of it that a model of the subject loses too.

    The regret is the expected accuracy that is lost per answer, |2p - 1| where the answer is not that of exact Bayes,
    whose P(y = 1) (M, C, Q) is p. The share is the part of the regret at queries at which the model's answer is not
    that of exact Bayes either; NaN without regret. Probabilities answer with the likelier label, the subject's and the
    model's; of labels, the model's is 1 with P(answer 1) (M, C, Q).
    """
    known = ~np.isnan(answers)
    best = ceiling > 0.5
    lost = np.where(known, np.abs(2 * ceiling - 1), 0.0)
    given = answers > 0.5 if probabilities else answers == 1
    lost = lost * (given != best)
    read = (model > 0.5).astype(np.float64) if probabilities else model  # as the subject is
    shared = lost * np.where(best, 1 - read, read)
    return float(lost.sum() / known.sum()), float(shared.sum() / lost.sum()) if lost.sum() > 0 else float("nan")

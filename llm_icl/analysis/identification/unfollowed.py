"""Numbers of examples at which answers do not follow a candidate that they follow at others."""

import numpy as np
from numpy.typing import NDArray

from llm_icl.analysis.identification import verdict as thresholds
from llm_icl.analysis.identification.comparing import pulls
from llm_icl.analysis.identification.separation import told_apart
from llm_icl.analysis.identification.subject import Subject
from llm_icl.analysis.identification.verdict import WHOLE

Floats = NDArray[np.float64]


def unfollowed(subject: Subject, k: int) -> list[int]:
    """The sizes at which the answers do not follow a candidate that they follow at others: a link may be flat at
    one of them, as if they did.

    Of labels: there is no pull from the best constant towards the candidate, read as at a size where there is,
    though it would have been found. Of probabilities: almost nothing of what is regular is explained.
    """
    sizes = range(len(subject.answers))
    probability = subject.design.candidates[k].probability[subject.alone.variant[k]]
    links = subject.alone.links.of(np.array([k]))
    if subject.probabilities:
        gained, span = _by_size(subject, subject.alone.crossed[k]), _by_size(subject, subject.answers)
        shares = np.divide(gained, span, out=np.zeros(len(sizes)), where=span > 1e-6 * subject.known.sum(axis=(1, 2)))
        if shares.max() < thresholds.LEAST_SHARE:
            return []
        best = int(shares.argmax())
        read = links.everywhere(best).apply(probability[None])[0]  # (M, C, Q)
        spread = [read[m][subject.known[m]].var() for m in sizes]  # a candidate that says nothing is followed
        return [m for m in sizes if shares[m] < 1 - WHOLE and spread[m] >= thresholds.LEAST_SHARE * spread[best]]
    pull, expected = np.zeros((len(sizes),) * 2), np.zeros((len(sizes),) * 2)  # at size m, read as at another
    for other in sizes:
        read = links.everywhere(other).apply(probability[None])[0]  # (M, C, Q)
        for m in sizes:
            there = np.where(np.arange(len(sizes))[:, None, None] == m, subject.answers, np.nan)
            pull[m, other] = pulls(there, subject.base[None], read)[0]
            expected[m, other] = told_apart(read, subject.base[None], ~np.isnan(there))[1][0]
    followed = [m for m in sizes if pull[m, m] > thresholds.PULLED]
    weak = pull < np.minimum(thresholds.PULLED, expected - thresholds.PULLED)
    return [m for m in sizes if followed and weak[m, followed].all()]


def _by_size(subject: Subject, model: Floats) -> Floats:
    """How much better a model's log score is than the best constant's, by size (M,)."""
    p = np.clip(model, 1e-12, 1 - 1e-12)
    y, known = np.nan_to_num(subject.answers), subject.known
    better = y * np.log(p / subject.base) + (1 - y) * np.log((1 - p) / (1 - subject.base))
    return np.where(known, np.nan_to_num(better), 0.0).sum(axis=(1, 2))

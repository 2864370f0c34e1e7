"""Would another algorithm, run beside the named one, be found with so many problems?"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from llm_icl.analysis.identification.verdict import PART

Floats = NDArray[np.float64]

# Less of a candidate than this is what the model says already: the variance of an answer's P(1).
_NOTHING = 1e-9


def times_as_many(
    model: Floats,
    others: Floats,
    answers: Floats,
    probabilities: bool,
    level: float,
    powers: Sequence[float],
    near: Floats | None = None,
) -> Floats:
    """How many times as many problems find other candidates, P(y = 1) (K, M, C, Q), each run on PART of the answers
    (M, C, Q) beside a model, P(answer 1) (M, C, Q), with each of these probabilities by a test of this level, (P, K):
    at most 1 where these do, and infinite for a candidate that says nothing else than the model.

    Answers 1 have then the probability t = p̂ + w (p - p̂). What is tested is the pull of the deviations towards f, the
    part of p that is no linear function of p̂, nor of what a family says with its nearest parameters (B, M, C, Q). The
    pull of labels is Σ f (y - p̂)/v with v = p̂ (1 - p̂), the score test for w: it has the mean w Σ f²/v and the variance
    Σ f² t (1 - t)/v², and Σ f²/v if only the model is run. Of probabilities, whose noise is unknown, it is Σ f (q - p̂),
    with the variance of their deviations, of which w f is a part.
    """
    from scipy.special import ndtri

    known = ~np.isnan(answers)
    beside = np.zeros((0, *model.shape)) if near is None else near
    signal, before, after = (np.zeros(len(others)) for _ in range(3))
    differs = np.zeros(len(others))
    for m, at in enumerate(known):
        own, p = model[m][at][:, None], others[:, m][:, at].T  # (N, 1), (N, K)
        variance = own * (1 - own)
        weights = np.ones_like(own) if probabilities else 1 / variance
        says = np.concatenate([np.ones_like(own), own, beside[:, m][:, at].T], axis=1)  # (N, 2 + B)
        root = np.sqrt(weights)
        f = p - says @ np.linalg.lstsq(says * root, p * root, rcond=None)[0]  # (N, K)
        signal += PART * (weights * f**2).sum(axis=0)
        differs += (f**2).sum(axis=0)
        t = own + PART * (p - own)
        mixed = (answers[m][at][:, None] - own) ** 2 + (PART * f) ** 2 if probabilities else t * (1 - t)
        before += ((weights * f) ** 2 * (mixed if probabilities else variance)).sum(axis=0)
        after += ((weights * f) ** 2 * mixed).sum(axis=0)
    wanted = ndtri(powers)[:, None] * np.sqrt(after) - ndtri(level) * np.sqrt(before)  # (P, K)
    says_else = differs > _NOTHING * max(int(known.sum()), 1)
    return np.square(np.divide(wanted, signal, out=np.full(wanted.shape, np.inf), where=says_else))

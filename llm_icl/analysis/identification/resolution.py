"""How much of a subject's answers could follow another algorithm than the named one, without being noticed."""

import numpy as np
from numpy.typing import NDArray

from llm_icl.analysis.identification.verdict import POWER

Floats = NDArray[np.float64]

# Less of a candidate than this part of a query's variance is what the model says already.
_NOTHING = 1e-9


def unnoticed(model: Floats, others: Floats, answers: Floats, probabilities: bool, level: float) -> Floats:
    """For each of other candidates, P(y = 1) (K, M, C, Q), the share of the answers (M, C, Q) on which it could be run
    beside a model, P(answer 1) (M, C, Q), and be found with probability POWER by a test of this level, (K,); infinite
    if it says nothing else than the model.

    With a share w the answers deviate from the model by w (p - model) on average. What is tested is their pull towards
    the part f of p that is no linear function of the model for any number of examples: w Σ f² is expected, with the
    variance Σ f² v, where v is that of one answer; of probabilities, whose noise is unknown, its squared deviation.
    """
    from scipy.special import ndtri

    known = ~np.isnan(answers)
    own = model * (1 - model)
    variance = (np.nan_to_num(answers) - model) ** 2 if probabilities else own
    signal, noise = np.zeros(len(others)), np.zeros(len(others))
    for m, at in enumerate(known):
        weights, of_one = own[m][at], variance[m][at]  # (N,)
        says = np.stack([np.ones(at.sum()), model[m][at]], axis=1)  # (N, 2)
        p = others[:, m][:, at].T  # (N, K)
        root = np.sqrt(weights)[:, None]
        rest = p - says @ np.linalg.lstsq(says * root, p * root, rcond=None)[0]
        signal += (rest**2).sum(axis=0)
        noise += (rest**2 * of_one[:, None]).sum(axis=0)
    differs = signal > _NOTHING * max(int(known.sum()), 1)
    # Probabilities without any noise show whatever differs.
    strength = np.divide(signal, np.sqrt(noise), out=np.full(len(others), np.inf), where=noise > 0)
    strength = np.where(differs, strength, 0.0)
    with np.errstate(divide="ignore"):
        return (ndtri(POWER) - ndtri(level)) / strength

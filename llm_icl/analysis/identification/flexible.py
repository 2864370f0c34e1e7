"""A flexible model on top of another: what could be predicted of a subject that the other does not predict."""

import numpy as np
from numpy.typing import NDArray

from llm_icl.analysis.identification.alone import log_scores
from llm_icl.analysis.identification.links import sigmoid
from llm_icl.analysis.identification.structure import RIDGE, Structure

Floats = NDArray[np.float64]


def on_top(structure: Structure, answers: Floats, model: Floats) -> Floats:
    """The held-out log scores (C,) of answers (M, C, Q) by a model's P(answer 1) with a flexible correction.

    Kernel logistic regression with the model's logit as an offset, one step of Newton's method from no correction,
    cross-fitted over problems. It sees everything that `Structure.linear` holds.
    """
    from scipy.linalg import solve

    known = ~np.isnan(answers).ravel()
    p = np.clip(model.ravel(), 1e-6, 1 - 1e-6)
    variance = np.maximum(p * (1 - p), 1e-4)
    response = np.where(known, (np.nan_to_num(answers).ravel() - p) / variance, 0.0)
    correction = np.zeros(len(p))
    kernel, trained = structure.kernel, structure.trained
    for fold in range(structure.folds.max() + 1):
        train = np.flatnonzero((structure.folds[trained] != fold) & known[trained])
        test = np.flatnonzero(structure.folds == fold)
        inner = kernel[trained][np.ix_(train, train)] + np.diag(RIDGE / variance[trained[train]]).astype(np.float32)
        weights = solve(inner, response[trained[train]].astype(np.float32), assume_a="pos", overwrite_a=True)
        correction[test] = kernel[np.ix_(test, train)] @ weights
    corrected = sigmoid(np.log(p / (1 - p)) + np.clip(correction, -4, 4)).reshape(answers.shape)
    return log_scores(answers, np.clip(corrected, 1e-6, 1 - 1e-6))

"""Every candidate alone, with its link, and models that look at no examples."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_icl.analysis.identification.data import Design
from llm_icl.analysis.identification.links import Links, Tallies

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Alone:
    """The K candidates alone.

    variant (K,) is the chosen variant of each, links its link, model (K, M, C, Q) P(answer 1) by it; scores is the log
    score of every variant, one array for each candidate. held_out (K, C) is the log score of each problem's answers
    when link and variant come from the other folds.
    """

    variant: NDArray[np.int64]
    model: Floats
    scores: tuple[Floats, ...]
    held_out: Floats

    @property
    def score(self) -> Floats:
        """The log score of each candidate's chosen variant, (K,)."""
        return np.array([scores[v] for scores, v in zip(self.scores, self.variant, strict=True)])


def each_alone(design: Design, answers: Floats) -> Alone:
    """Every candidate alone, for answers (M, C, Q)."""
    variants = np.concatenate([candidate.probability for candidate in design.candidates])  # (V, M, C, Q)
    ends = np.cumsum([len(candidate.probability) for candidate in design.candidates])
    starts = np.concatenate([[0], ends[:-1]])
    tallies = Tallies(variants, answers, design.folds)

    def chosen(scores: Floats) -> NDArray[np.int64]:
        return np.array([scores[a:b].argmax() for a, b in zip(starts, ends, strict=True)])

    links, scores = tallies.fit()
    variant = chosen(scores)
    used = starts + variant
    model = _of(links, used).apply(variants[used])
    held_out = np.zeros((len(used), answers.shape[1]))
    for fold in range(design.folds.max() + 1):
        train, test = np.unique(design.folds[design.folds != fold]), design.folds == fold
        links, inner = tallies.fit(train)
        used = starts + chosen(inner)
        predicted = _of(links, used).apply(variants[used][:, :, test])
        held_out[:, test] = log_scores(answers[:, test], predicted)
    parts = tuple(scores[a:b] for a, b in zip(starts, ends, strict=True))
    return Alone(variant, model, parts, held_out)


def _of(links: Links, used: NDArray[np.int64]) -> Links:
    return Links(links.read_label[used], links.label[used], links.curve[used])


def log_scores(answers: Floats, model: Floats) -> Floats:
    """The log scores of problems, (..., C), of P(answer 1) (..., M, C, Q): y log p + (1 - y) log (1 - p)."""
    known = ~np.isnan(answers)
    y = np.where(known, answers, 0.0)
    each = y * np.log(model) + (1 - y) * np.log(1 - model)
    return np.where(known, each, 0.0).sum(axis=(-1, -3))


def constant(design: Design, answers: Floats) -> tuple[Floats, Floats]:
    """The best constant for each number of examples: P(answer 1) (M, C, Q), and its held-out scores (C,)."""
    known = ~np.isnan(answers)
    ones, count = np.where(known, answers, 0.0).sum(axis=-1), known.sum(axis=-1)  # (M, C)

    def share(train: NDArray[np.bool_]) -> Floats:
        return (ones[:, train].sum(axis=1) + 0.5) / (count[:, train].sum(axis=1) + 1)

    model = np.broadcast_to(share(np.ones(design.shape[1], dtype=bool))[:, None, None], answers.shape)
    held_out = np.zeros(answers.shape[1])
    for fold in range(design.folds.max() + 1):
        test = design.folds == fold
        shape = answers[:, test].shape
        held_out[test] = log_scores(answers[:, test], np.broadcast_to(share(~test)[:, None, None], shape))
    return model, held_out


def query_only(design: Design, answers: Floats) -> tuple[Floats, Floats]:
    """The query's bits alone, by logistic regression for each number of examples: P(answer 1) (M, C, Q), and its
    held-out scores (C,).
    """
    bits = design.queries * 2.0 - 1
    model, held_out = np.empty(answers.shape), np.zeros(answers.shape[1])
    everyone = np.ones(answers.shape[1], dtype=bool)
    for m in range(len(answers)):
        model[m] = _logistic(bits[m], answers[m], everyone, everyone)
    for fold in range(design.folds.max() + 1):
        test = design.folds == fold
        predicted = np.stack([_logistic(bits[m], answers[m], ~test, test) for m in range(len(answers))])
        held_out[test] = log_scores(answers[:, test], predicted)
    return model, held_out


def _logistic(bits: Floats, answers: Floats, train: NDArray[np.bool_], test: NDArray[np.bool_]) -> Floats:
    """P(answer 1) (C, Q) of the test problems, with a ridge of one answer; fractions of answers are allowed."""
    known = ~np.isnan(answers[train])
    x = np.concatenate([np.ones((*bits.shape[:2], 1)), bits], axis=-1)
    inside, y = x[train][known], answers[train][known]
    weights = np.zeros(x.shape[-1])
    penalty = np.eye(len(weights))
    for _ in range(15):
        p = 1 / (1 + np.exp(-inside @ weights))
        gradient = inside.T @ (y - p) - penalty @ weights
        step = np.linalg.solve((inside * (p * (1 - p))[:, None]).T @ inside + penalty, gradient)
        weights = weights + step
        if np.abs(step).max() < 1e-6:
            break
    return np.clip(1 / (1 + np.exp(-x[test] @ weights)), 1e-4, 1 - 1e-4)

"""Every candidate alone, with its link, and models that look at no examples."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_icl.analysis.identification.data import Design
from llm_icl.analysis.identification.links import Links, Tallies

Floats = NDArray[np.float64]

# So many variants of a family are fitted, by their quick scores read in either way.
FITTED = 10
# Answers that differ by less are the same.
_SAME = 1e-9
# So many variants of a family, those with the closest answers, are the neighbours of the chosen one.
NEIGHBOURS = 8


@dataclass(frozen=True)
class Alone:
    """The K candidates alone.

    variant (K,) is the chosen variant of each, links (of K) their links, model (K, M, C, Q) P(answer 1) by them; scores
    is the log score of every variant, one array for each candidate, -∞ if it was not fitted. crossed (K, M, C, Q) is
    P(answer 1) when link and variant come from the other folds, and held_out (K, C) the log score of each problem's
    answers by it.
    """

    variant: NDArray[np.int64]
    links: Links
    model: Floats
    scores: tuple[Floats, ...]
    crossed: Floats
    held_out: Floats

    def neighbours(self, design: Design, k: int) -> Floats | None:
        """P(answer 1) by the closest other variants of a family, with its link, (B, M, C, Q); None if it has none."""
        candidate = design.candidates[k]
        if not candidate.is_family:
            return None
        others = candidate.closest(int(self.variant[k]), NEIGHBOURS)
        return self.links.of(np.full(len(others), k)).apply(candidate.probability[others])

    @property
    def score(self) -> Floats:
        """The log score of each candidate's chosen variant, (K,)."""
        return np.array([scores[v] for scores, v in zip(self.scores, self.variant, strict=True)])


def each_alone(design: Design, answers: Floats) -> Alone:
    """Every candidate alone, for answers (M, C, Q)."""
    quick = [_quick_scores(answers, candidate.probability) for candidate in design.candidates]
    everyone = np.ones(answers.shape[1], dtype=bool)
    trains = [everyone, *(design.folds != fold for fold in range(design.folds.max() + 1))]
    tried = [[_leading(scores, train) for scores in quick] for train in trains]  # of every training set and candidate
    used = [np.unique(np.concatenate(each)) for each in zip(*tried, strict=True)]  # variants of every candidate
    variants = np.concatenate([c.probability[v] for c, v in zip(design.candidates, used, strict=True)])
    owner = np.repeat(np.arange(len(used)), [len(each) for each in used])
    index = np.concatenate(used)
    tallies = Tallies(variants, answers, design.folds)

    def chosen(scores: Floats, allowed: list[NDArray[np.int64]]) -> NDArray[np.int64]:
        """The place of the best variant of every candidate."""
        possible = np.array([v in allowed[k] for k, v in zip(owner, index, strict=True)])
        ranked = np.where(possible, scores, -np.inf)
        return np.array([np.flatnonzero(owner == k)[ranked[owner == k].argmax()] for k in range(len(used))])

    links, scores = tallies.fit()
    best = chosen(scores, tried[0])
    links = links.of(best)
    crossed = np.empty((len(best), *answers.shape))
    for fold, allowed in enumerate(tried[1:]):
        test = design.folds == fold
        inside, inner = tallies.fit(np.unique(design.folds[~test]))
        places = chosen(inner, allowed)
        crossed[:, :, test] = inside.of(places).apply(variants[places][:, :, test])
    every = tuple(np.full(len(candidate.probability), -np.inf) for candidate in design.candidates)
    for place, (k, v) in enumerate(zip(owner, index, strict=True)):
        every[k][v] = scores[place]
    return Alone(index[best], links, links.apply(variants[best]), every, crossed, log_scores(answers, crossed))


def _quick_scores(answers: Floats, probability: Floats) -> Floats:
    """The log scores (2, V, C) of variants (V, M, C, Q) with 10 % of coin flips, by their probabilities and labels."""
    if len(probability) == 1:
        return np.zeros((2, 1, answers.shape[1]))
    return np.stack(
        [log_scores(answers, 0.9 * read + 0.05) for read in (probability, (probability > 0.5).astype(np.float64))]
    )


def _leading(scores: Floats, train: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The variants that are fitted: those that are best by quick scores (2, V, C) of the training problems."""
    order = np.argsort(-scores[:, :, train].sum(axis=-1), axis=-1)[:, :FITTED]
    return np.unique(order)


def log_scores(answers: Floats, model: Floats) -> Floats:
    """The log scores of problems, (..., C), of P(answer 1) (..., M, C, Q): y log p + (1 - y) log (1 - p)."""
    known = ~np.isnan(answers)
    y = np.where(known, answers, 0.0)
    each = y * np.log(model) + (1 - y) * np.log(1 - model)
    return np.where(known, each, 0.0).sum(axis=(-1, -3))


def is_constant(answers: Floats) -> bool:
    """Whether all answers (M, C, Q) with a number of examples are the same."""
    each = [some[~np.isnan(some)] for some in answers]
    return all(len(some) == 0 or np.ptp(some) < _SAME for some in each)


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

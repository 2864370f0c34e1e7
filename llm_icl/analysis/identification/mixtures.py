"""Several algorithms at once: mixed anew at every query, or one of them for a whole context.

Within queries, stacking of predictive distributions (Yao et al. 2018): P(answer 1) = Σ w_k p_k. Over contexts, a latent
class: with probability w_k all queries of a context are answered as k does. Weights are fitted for each number of
examples. Two constants, always 1 and always 0, take part: they are lapses, and need not be the same for whole contexts.
All components are read out in the same manner: by their label, or by their probability with a common temperature.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from llm_icl.analysis.identification.data import Design
from llm_icl.analysis.identification.links import logit, sigmoid
from llm_icl.analysis.identification.simplex import maximise

Floats = NDArray[np.float64]

LABEL = 0.0
# How components are read out: by label, or by σ(b logit p) with one of these b.
READOUTS = (LABEL, 1.0, 0.5, 2.0)
# The constants have so many answers of prior, which keeps every answer possible.
PRIOR = 0.5
# Of a family so many variants take part, those that explain most alone.
VARIANTS = 3
CONSTANTS = ("always 1", "always 0")
# Lapses that are tried in the search for classes; they are fitted afterwards.
_LAPSES = (0.005, 0.04, 0.12)
_SEARCH_STEPS = 30
# The curvature of a vague prior on weights: that of one answer.
VAGUE = 1.0
# A unit that holds all of the information cannot quite be left out.
_LEVERAGE = 0.98
_STEPS = 400


@dataclass(frozen=True)
class Component:
    """A candidate's variant: its index, and P(y = 1) (M, C, Q)."""

    candidate: int
    variant: int
    probability: Floats

    def read(self, sharpness: float) -> Floats:
        if sharpness == LABEL:
            return (self.probability > 0.5).astype(np.float64)
        return sigmoid(sharpness * logit(self.probability))


@dataclass(frozen=True)
class Mixture:
    """A fitted mixture of D components and the two constants.

    weights (M, D + 2) sum to 1; model (M, C, Q) is P(answer 1), over contexts given the earlier answers of the context;
    scores (C,) are the log scores of each problem's answers. influence (C, M, D + 2) is that of each problem on the
    weights, vague (M, D + 2) the variance of weights that the answers do not determine, and slack (M, D + 2) the log
    likelihood that a weight of 0 would cost, per unit.
    """

    over: str  # "queries" or "contexts"
    components: tuple[Component, ...]
    sharpness: float
    weights: Floats
    model: Floats
    scores: Floats
    influence: Floats
    vague: Floats
    slack: Floats
    certainty: float = 1.0

    @property
    def score(self) -> float:
        return float(self.scores.sum())


def best_mixture(
    design: Design,
    answers: Floats,
    scores: Sequence[Floats],
    over: str,
    certainties: tuple[float, ...],
    enough: Callable[[int], float],
) -> Mixture:
    """The mixture of the fewest components: the best pair, and more as long as each adds enough(number) nats.

    scores are those of every candidate's variants alone. Of a family, those variants are searched that explain most
    alone, and then all with the components that were found.
    """
    everything = [
        Component(k, v, probability)
        for k, candidate in enumerate(design.candidates)
        for v, probability in enumerate(candidate.probability)
    ]
    leading = {(k, int(v)) for k, each in enumerate(scores) for v in np.argsort(-each)[:VARIANTS]}
    some = [i for i, component in enumerate(everything) if (component.candidate, component.variant) in leading]
    best: Mixture | None = None
    chosen: tuple[int, ...] = ()
    while best is None or len(chosen) < len(scores):
        found = _search(answers, everything, _supplements(chosen, some, everything), over, certainties)
        if any(design.candidates[everything[i].candidate].is_family for i in found):
            found = _search(answers, everything, _variants(found, everything), over, certainties)
        mixture = _best_fit(answers, tuple(everything[i] for i in found), over, certainties)
        if best is not None and mixture.score - best.score < enough(len(some)):
            break
        best, chosen = mixture, found
    return best


def _supplements(chosen: tuple[int, ...], some: list[int], everything: list[Component]) -> list[tuple[int, ...]]:
    """Sets with one component more, of different candidates; pairs to begin with."""
    sets = {
        tuple(sorted((*start, i)))
        for start in ([chosen] if chosen else [(i,) for i in some])
        for i in some
        if everything[i].candidate not in {everything[j].candidate for j in start}
    }
    return sorted(sets)


def _variants(found: tuple[int, ...], everything: list[Component]) -> list[tuple[int, ...]]:
    """The sets with any variants of the same candidates."""
    choices = [
        [i for i, component in enumerate(everything) if component.candidate == everything[j].candidate] for j in found
    ]
    return list(product(*choices))


def _search(
    answers: Floats,
    everything: list[Component],
    sets: list[tuple[int, ...]],
    over: str,
    certainties: tuple[float, ...],
) -> tuple[int, ...]:
    """The most likely of these sets of components, by a few steps of expectation maximisation for all at once."""
    used = sorted({i for chosen in sets for i in chosen})
    places = np.array([[used.index(i) for i in chosen] for chosen in sets])
    components = [everything[i] for i in used]
    if over == "queries":
        return sets[_search_queries(answers, components, places)]
    return sets[_search_contexts(answers, components, places, certainties[-1])]


def _best_fit(answers: Floats, components: tuple[Component, ...], over: str, certainties: tuple[float, ...]) -> Mixture:
    """The best readout, and for classes the best certainty."""
    tried = [
        fit(answers, components, over, sharpness, certainty)
        for sharpness in READOUTS
        for certainty in (certainties if over == "contexts" else (1.0,))
    ]
    return max(tried, key=lambda mixture: mixture.score)


def _with_best_variants(design: Design, answers: Floats, mixture: Mixture, certainties: tuple[float, ...]) -> Mixture:
    """The mixture with the best variant of each family in it."""
    for place, component in enumerate(mixture.components):
        candidate = design.candidates[component.candidate]
        for v, probability in enumerate(candidate.probability if candidate.is_family else ()):
            other = list(mixture.components)
            other[place] = Component(component.candidate, v, probability)
            tried = fit(answers, tuple(other), mixture.over, mixture.sharpness, mixture.certainty)
            if tried.score > mixture.score:
                mixture = tried
    return mixture


def fit(
    answers: Floats,
    components: tuple[Component, ...],
    over: str,
    sharpness: float,
    certainty: float = 1.0,
    train: NDArray[np.bool_] | None = None,
) -> Mixture:
    """The most likely weights from the problems of `train` (all by default), applied to all."""
    train = np.ones(answers.shape[1], dtype=bool) if train is None else train
    if over == "queries":
        return _fit_queries(answers, components, sharpness, train)
    return _fit_contexts(answers, components, sharpness, train, certainty)


def _search_queries(answers: Floats, components: list[Component], sets: NDArray[np.int64]) -> int:
    known = ~np.isnan(answers)
    y, z = (
        np.where(known, part, 0.0).astype(np.float32).reshape(len(answers), -1) for part in (answers, 1 - answers)
    )  # (M, N)
    best, found = -np.inf, 0
    for sharpness in READOUTS[:2]:
        read = np.stack([component.read(sharpness) for component in components]).astype(np.float32)
        columns = read.reshape(len(components), len(answers), -1)[sets]  # (S, D, M, N)
        size = columns.shape[1]
        weights = np.full((len(sets), size + 2, len(answers), 1), 0.96 / size, dtype=np.float32)
        weights[:, -2:] = 0.02
        for _ in range(_SEARCH_STEPS):
            mixed = (weights[:, :-2] * columns).sum(axis=1) + weights[:, -2]  # (S, M, N): P(answer 1)
            up, down = y / mixed, z / (1 - mixed)
            ends = [part.sum(axis=-1)[:, None, :, None] for part in (up, down)]
            pull = (columns * (up - down)[:, None]).sum(axis=-1, keepdims=True) + ends[1]
            weights = weights * np.concatenate([pull, *ends], axis=1)
            weights[:, -2:] += PRIOR
            weights /= weights.sum(axis=1, keepdims=True)
        mixed = (weights[:, :-2] * columns).sum(axis=1) + weights[:, -2]
        score = (y * np.log(mixed) + z * np.log(1 - mixed)).sum(axis=(1, 2))
        if score.max() > best:
            best, found = float(score.max()), int(score.argmax())
    return found


def _search_contexts(answers: Floats, components: list[Component], sets: NDArray[np.int64], certainty: float) -> int:
    best, found = -np.inf, 0
    for sharpness in READOUTS[:2]:
        read = np.stack([component.read(sharpness) for component in components])
        for lapse in _LAPSES:
            each = certainty * _log_likelihood(answers, lapse + (1 - 2 * lapse) * read)  # (K, M, C)
            inside = each[sets]  # (S, D, M, C)
            largest = inside.max(axis=1, keepdims=True)
            likelihood = np.exp(inside - largest)
            weights = np.full((*inside.shape[:3], 1), 1 / inside.shape[1])
            for _ in range(_SEARCH_STEPS):
                joint = weights * likelihood
                weights = (joint / joint.sum(axis=1, keepdims=True)).mean(axis=-1, keepdims=True)
            score = (np.log((weights * likelihood).sum(axis=1)) + largest[:, 0]).sum(axis=(1, 2))
            if score.max() > best:
                best, found = float(score.max()), int(score.argmax())
    return found


def _log_likelihood(answers: Floats, model: Floats) -> Floats:
    """The log scores of contexts, (..., M, C), of P(answer 1) (..., M, C, Q)."""
    known = ~np.isnan(answers)
    y = np.where(known, answers, 0.0)
    return np.where(known, y * np.log(model) + (1 - y) * np.log(1 - model), 0.0).sum(axis=-1)


def _fit_queries(
    answers: Floats, components: tuple[Component, ...], sharpness: float, train: NDArray[np.bool_]
) -> Mixture:
    read = np.stack([component.read(sharpness) for component in components], axis=-1)  # (M, C, Q, D)
    sizes, problems = answers.shape[:2]
    read = np.concatenate([read, np.ones((*answers.shape, 1)), np.zeros((*answers.shape, 1))], axis=-1)
    width = read.shape[-1]
    known = ~np.isnan(answers)
    prior = np.eye(width)[-2:]
    weights, influence = np.empty((sizes, width)), np.zeros((problems, sizes, width))
    slack, vague = np.zeros((sizes, width)), np.zeros((sizes, width))
    for m in range(sizes):
        used = known[m] & train[:, None]
        y, columns = answers[m][used], read[m][used]
        rows = np.concatenate([columns, 1 - columns, prior])
        counts = np.concatenate([y, 1 - y, np.full(2, PRIOR)])
        weights[m] = maximise(rows, counts)
        slack[m] = counts.sum() - rows.T @ (counts / (rows @ weights[m]))
        influence[:, m], vague[m] = _influence(answers[m], read[m], known[m], weights[m])
    model = np.einsum("mcqd,md->mcq", read, weights)
    scores = _log_likelihood(answers, model).sum(axis=0)
    return Mixture("queries", components, sharpness, weights, model, scores, influence, vague, slack)


def _influence(answers: Floats, read: Floats, known: NDArray[np.bool_], weights: Floats) -> tuple[Floats, Floats]:
    """As `on_simplex`, of weights (D,) of columns read (C, Q, D) for answers (C, Q)."""
    model = read @ weights  # (C, Q)
    y = np.where(known, answers, 0.0)
    up, down = np.where(known, y / model, 0.0), np.where(known, (1 - y) / (1 - model), 0.0)
    scores = np.einsum("cq,cqd->cd", up, read) + np.einsum("cq,cqd->cd", down, 1 - read)
    up, down = np.where(known, y / model**2, 0.0), np.where(known, (1 - y) / (1 - model) ** 2, 0.0)
    curvature = np.einsum("cq,cqd,cqe->cde", up, read, read) + np.einsum("cq,cqd,cqe->cde", down, 1 - read, 1 - read)
    prior = np.zeros(len(weights))
    prior[-2:] = PRIOR / np.maximum(weights[-2:], 1e-6) ** 2
    return on_simplex(scores, curvature, weights, np.diag(prior))


def on_simplex(scores: Floats, curvature: Floats, weights: Floats, prior: Floats) -> tuple[Floats, Floats]:
    """How certain weights (D,) with Σ weights = 1 are, from the scores (C, D) and curvatures (C, D, D) of C independent
    units, and the curvature of a prior (D, D).

    The influence (C, D) of each unit, by leaving it out (the jackknife's correction for leverage, CR3 of Bell &
    McCaffrey 2002); and the variance (D,) of weights that the units do not determine, from a vague prior. Weights of 0
    stay 0.
    """
    active = np.flatnonzero(weights > 1e-6)
    influence, vague = np.zeros_like(scores), np.zeros_like(weights)
    if len(active) < 2:
        return influence, vague
    # Coordinates: all active weights but the largest, which takes what the others leave.
    last = active[weights[active].argmax()]
    free = active[active != last]
    basis = np.zeros((len(weights), len(free)))
    basis[free, np.arange(len(free))], basis[last] = 1.0, -1.0
    g = scores @ basis  # (C, F)
    h = np.einsum("df,cde,eg->cfg", basis, curvature, basis)
    whole = h.sum(axis=0) + basis.T @ prior @ basis + VAGUE * np.eye(len(free))
    influence[:] = np.linalg.solve(whole - _LEVERAGE * h, g[..., None])[..., 0] @ basis.T
    inverse = np.linalg.inv(whole)
    vague[:] = VAGUE * ((basis @ inverse) ** 2).sum(axis=1)
    return influence, vague


def _fit_contexts(
    answers: Floats,
    components: tuple[Component, ...],
    sharpness: float,
    train: NDArray[np.bool_],
    certainty: float,
) -> Mixture:
    """Expectation maximisation of the classes' probabilities and the lapses, for each number of examples."""
    read = np.stack([component.read(sharpness) for component in components])  # (D, M, C, Q)
    sizes, problems = answers.shape[:2]
    known = ~np.isnan(answers)
    y, z = np.where(known, answers, 0.0), np.where(known, 1 - answers, 0.0)
    count = np.maximum((known & train[:, None]).sum(axis=(1, 2)), 1) + 2 * PRIOR  # (M,)
    shares = np.full((len(components), sizes), 1 / len(components))
    up, down = np.full(sizes, 0.02), np.full(sizes, 0.02)  # lapses to 1 and to 0
    previous = -np.inf
    for step in range(_STEPS):
        model = (1 - up - down)[:, None, None] * read + up[:, None, None]
        each = certainty * _log_likelihood(answers, model)  # (D, M, C)
        joint = np.log(np.maximum(shares, 1e-12))[..., None] + each
        total = np.logaddexp.reduce(joint, axis=0)  # (M, C)
        posterior = np.exp(joint - total)  # (D, M, C)
        value = total[:, train].sum() + PRIOR * np.log(up * down).sum()
        if value - previous < 1e-7 * abs(value) and step > 5:
            break
        previous = value
        weight = posterior[..., None] * train[:, None]
        lapses_up = (weight * y / model).sum(axis=(0, 2, 3)) * up + PRIOR
        lapses_down = (weight * z / (1 - model)).sum(axis=(0, 2, 3)) * down + PRIOR
        shares = posterior[:, :, train].mean(axis=-1)
        up, down = lapses_up / count, lapses_down / count
    weights = np.concatenate([shares * (1 - up - down), up[None], down[None]]).T  # (M, D + 2)
    influence = np.zeros((problems, sizes, len(components) + 2))
    likelihood = np.exp(each - total)  # (D, M, C)
    slack, vague = np.zeros_like(weights), np.zeros_like(weights)
    for m in range(sizes):
        rows = likelihood[:, m].T  # (C, D)
        slack[m, :-2] = (1 - rows[train]).sum(axis=0)
        prior = np.zeros((len(components), len(components)))
        of_shares, of_prior = on_simplex(rows, rows[:, :, None] * rows[:, None, :], shares[:, m], prior)
        influence[:, m, :-2], vague[m, :-2] = of_shares * (1 - up[m] - down[m]), of_prior
    predicted = _one_after_another(y, z, model, shares, certainty)
    scores = _log_likelihood(answers, predicted).sum(axis=0)
    return Mixture("contexts", components, sharpness, weights, predicted, scores, influence, vague, slack, certainty)


def _one_after_another(y: Floats, z: Floats, model: Floats, shares: Floats, certainty: float) -> Floats:
    """P(answer 1) (M, C, Q) given the earlier answers of the context, which tell its class.

    Its log scores add up to that of all answers together, and its deviations are uncorrelated.
    """
    each = certainty * (y * np.log(model) + z * np.log(1 - model))  # (D, M, C, Q)
    before = np.cumsum(each, axis=-1) - each + np.log(np.maximum(shares, 1e-12))[..., None, None]
    posterior = np.exp(before - np.logaddexp.reduce(before, axis=0))
    return (posterior * model).sum(axis=0)

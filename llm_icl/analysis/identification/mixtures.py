"""Several algorithms at once: mixed anew at every query, or one of them for a whole context or problem.

Within queries, stacking of predictive distributions (Yao et al. 2018): P(answer 1) = Σ w_k p_k. Over contexts, a latent
class: with probability w_k all queries of a context are answered as k does; over problems, so are all contexts of a
problem. Weights are fitted for each number of examples; those over problems are the same for all. Two constants, always
1 and always 0, take part: they are lapses, and need not be the same for whole contexts. All components are read out in
the same manner: by their label, or by their probability with a common temperature.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_icl.analysis.identification.alone import NEIGHBOURS
from llm_icl.analysis.identification.data import Design
from llm_icl.analysis.identification.links import logit, sigmoid
from llm_icl.analysis.identification.simplex import maximise

Floats = NDArray[np.float64]

OVER = ("queries", "contexts", "problems")
LABEL = 0.0
# How components are read out: by label, or by σ(b logit p) with one of these b.
READOUTS = (LABEL, 1.0, 0.5, 2.0)
# The constants have so many answers of prior, which keeps every answer possible: of labels, and of probabilities.
PRIORS = (0.5, 1e-4)
# In the order of their weights, which stand behind those of the components.
CONSTANTS = ("always 1", "always 0")
# How much surer of a context's class than the likelihood of labels one may be, for a subject that gives probabilities.
CERTAINTIES = (1.0, 4.0, 16.0, 64.0)
# The curvature of a vague prior on weights: that of one answer.
VAGUE = 1.0
# A unit that holds all of the information cannot quite be left out.
_LEVERAGE = 0.98
_STEPS = 200
_CONVERGED = 1e-6


@dataclass(frozen=True)
class Form:
    """The form of a mixture: what it is over (OVER), how components are read, how sure one is of classes, and the prior
    of the constants.
    """

    over: str
    sharpness: float = LABEL
    certainty: float = 1.0
    prior: float = PRIORS[0]


def forms(over: str, probabilities: bool) -> list[Form]:
    """All forms of a mixture for a subject that gives labels, or probabilities."""
    certainties = CERTAINTIES if probabilities and over != "queries" else (1.0,)
    return [Form(over, b, certainty, PRIORS[probabilities]) for b in READOUTS for certainty in certainties]


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

    weights (M, D + 2) sum to 1; model (M, C, Q) is P(answer 1), over contexts or problems given the earlier answers;
    scores (C,) are the log scores of each problem's answers. influence (C, M, D + 2) is that of each problem on the
    weights, vague (M, D + 2) the variance of weights that the answers do not determine, and slack (M, D + 2) the log
    likelihood that a weight of 0 would cost, per unit.
    """

    form: Form
    components: tuple[Component, ...]
    weights: Floats
    model: Floats
    scores: Floats
    influence: Floats
    vague: Floats
    slack: Floats

    @property
    def score(self) -> float:
        return float(self.scores.sum())


def fit(
    answers: Floats, components: tuple[Component, ...], form: Form, train: NDArray[np.bool_] | None = None
) -> Mixture:
    """The most likely weights from the problems of `train` (all by default), applied to all."""
    train = np.ones(answers.shape[1], dtype=bool) if train is None else train
    fitted = _fit_queries if form.over == "queries" else _fit_classes
    return fitted(answers, components, form, train)


def neighbours(design: Design, answers: Floats, mixture: Mixture) -> Floats | None:
    """P(answer 1) by the same weights with the closest other variants of families, (B, M, C, Q); None without any."""
    found = []
    for place, component in enumerate(mixture.components):
        candidate = design.candidates[component.candidate]
        for v in candidate.closest(component.variant, NEIGHBOURS):
            other = Component(component.candidate, int(v), candidate.probability[v])
            components = (*mixture.components[:place], other, *mixture.components[place + 1 :])
            if mixture.form.over == "queries":
                found.append(_blended(components, mixture.form, mixture.weights))
            else:
                found.append(_one_after_another(answers, components, mixture.form, mixture.weights))
    return np.stack(found) if found else None


def _blended(components: tuple[Component, ...], form: Form, weights: Floats) -> Floats:
    """P(answer 1) (M, C, Q) by weights (M, D + 2) at every query."""
    read = np.stack([component.read(form.sharpness) for component in components], axis=-1)  # (M, C, Q, D)
    return np.einsum("mcqd,md->mcq", read, weights[:, :-2]) + weights[:, -2, None, None]


def log_likelihood(answers: Floats, model: Floats) -> Floats:
    """The log scores of contexts, (..., M, C), of P(answer 1) (..., M, C, Q)."""
    known = ~np.isnan(answers)
    y = np.where(known, answers, 0.0)
    return np.where(known, y * np.log(model) + (1 - y) * np.log(1 - model), 0.0).sum(axis=-1)


def _fit_queries(answers: Floats, components: tuple[Component, ...], form: Form, train: NDArray[np.bool_]) -> Mixture:
    read = np.stack([component.read(form.sharpness) for component in components], axis=-1)  # (M, C, Q, D)
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
        counts = np.concatenate([y, 1 - y, np.full(2, form.prior)])
        weights[m] = maximise(rows, counts)
        slack[m] = counts.sum() - rows.T @ (counts / (rows @ weights[m]))
        influence[:, m], vague[m] = _influence(answers[m], read[m], known[m], weights[m], form.prior)
    model = _blended(components, form, weights)
    scores = log_likelihood(answers, model).sum(axis=0)
    return Mixture(form, components, weights, model, scores, influence, vague, slack)


def _influence(
    answers: Floats, read: Floats, known: NDArray[np.bool_], weights: Floats, constants: float
) -> tuple[Floats, Floats]:
    """As `on_simplex`, of weights (D,) of columns read (C, Q, D) for answers (C, Q)."""
    model = read @ weights  # (C, Q)
    y = np.where(known, answers, 0.0)
    up, down = np.where(known, y / model, 0.0), np.where(known, (1 - y) / (1 - model), 0.0)
    scores = np.einsum("cq,cqd->cd", up, read) + np.einsum("cq,cqd->cd", down, 1 - read)
    up, down = np.where(known, y / model**2, 0.0), np.where(known, (1 - y) / (1 - model) ** 2, 0.0)
    curvature = np.einsum("cq,cqd,cqe->cde", up, read, read) + np.einsum("cq,cqd,cqe->cde", down, 1 - read, 1 - read)
    prior = np.zeros(len(weights))
    prior[-2:] = constants / np.maximum(weights[-2:], 1e-6) ** 2
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


def _fit_classes(answers: Floats, components: tuple[Component, ...], form: Form, train: NDArray[np.bool_]) -> Mixture:
    """Expectation maximisation of the classes' probabilities, and of the lapses for each number of examples."""
    read = np.stack([component.read(form.sharpness) for component in components])  # (D, M, C, Q)
    sizes, problems = answers.shape[:2]
    whole = form.over == "problems"
    known = ~np.isnan(answers)
    y, z = np.where(known, answers, 0.0), np.where(known, 1 - answers, 0.0)
    count = np.maximum((known & train[:, None]).sum(axis=(1, 2)), 1) + 2 * form.prior  # (M,)
    shares = np.full((len(components), sizes), 1 / len(components))
    up, down = np.full(sizes, 0.02), np.full(sizes, 0.02)  # lapses to 1 and to 0
    previous = -np.inf
    for step in range(_STEPS):
        model = (1 - up - down)[:, None, None] * read + up[:, None, None]
        each = form.certainty * log_likelihood(answers, model)  # (D, M, C)
        if whole:  # every context of a problem tells the class of all
            each = np.broadcast_to(each.sum(axis=1, keepdims=True), each.shape)
        joint = np.log(np.maximum(shares, 1e-12))[..., None] + each
        total = np.logaddexp.reduce(joint, axis=0)  # (M, C)
        posterior = np.exp(joint - total)  # (D, M, C)
        value = total[:, train].sum() + form.prior * np.log(up * down).sum()
        if value - previous < _CONVERGED * abs(value) and step > 5:
            break
        previous = value
        weight = posterior[..., None] * train[:, None]
        lapses_up = (weight * y / model).sum(axis=(0, 2, 3)) * up + form.prior
        lapses_down = (weight * z / (1 - model)).sum(axis=(0, 2, 3)) * down + form.prior
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
    predicted = _one_after_another(answers, components, form, weights)
    scores = log_likelihood(answers, predicted).sum(axis=0)
    return Mixture(form, components, weights, predicted, scores, influence, vague, slack)


def given_classes(answers: Floats, mixture: Mixture, count: int, random: np.random.Generator) -> tuple[Floats, Floats]:
    """P(answer 1) given what all answers tell of the classes of a mixture over contexts or problems, (M, C, Q), and
    given classes that are drawn from that so many times, (count, M, C, Q).
    """
    each, model = _of_classes(answers, mixture.components, mixture.form, mixture.weights)
    told = each.sum(axis=-1)  # (D, M, C)
    if mixture.form.over == "problems":
        told = np.broadcast_to(told.sum(axis=1, keepdims=True), told.shape)
    told = told + np.log(_shares(mixture.weights))[..., None]
    posterior = np.exp(told - np.logaddexp.reduce(told, axis=0))
    sizes, problems = told.shape[1:]
    chance = random.random((count, 1 if mixture.form.over == "problems" else sizes, problems))
    drawn = (chance[:, None] > np.cumsum(posterior, axis=0)[:-1]).sum(axis=1)  # (count, M, C)
    m, c = np.ogrid[:sizes, :problems]
    return (posterior[..., None] * model).sum(axis=0), model[drawn, m, c]


def _one_after_another(answers: Floats, components: tuple[Component, ...], form: Form, weights: Floats) -> Floats:
    """P(answer 1) given the earlier answers of the context, or the problem, which tell its class.

    Its log scores add up to that of all answers together, and its deviations are uncorrelated.
    """
    each, model = _of_classes(answers, components, form, weights)
    before = np.cumsum(each, axis=-1) - each
    if form.over == "problems":
        contexts = each.sum(axis=-1)  # (D, M, C)
        before += (np.cumsum(contexts, axis=1) - contexts)[..., None]
    before += np.log(_shares(weights))[..., None, None]
    posterior = np.exp(before - np.logaddexp.reduce(before, axis=0))
    return (posterior * model).sum(axis=0)


def _of_classes(
    answers: Floats, components: tuple[Component, ...], form: Form, weights: Floats
) -> tuple[Floats, Floats]:
    """How surely each answer is one of each class, in nats, and the class's P(answer 1), (D, M, C, Q) both."""
    read = np.stack([component.read(form.sharpness) for component in components])  # (D, M, C, Q)
    up, down = weights[:, -2], weights[:, -1]
    model = (1 - up - down)[:, None, None] * read + up[:, None, None]
    known = ~np.isnan(answers)
    y, z = np.where(known, answers, 0.0), np.where(known, 1 - answers, 0.0)
    return form.certainty * (y * np.log(model) + z * np.log(1 - model)), model


def _shares(weights: Floats) -> Floats:
    """The share of each class, (D, M), from weights (M, D + 2)."""
    return np.maximum(weights[:, :-2].T / np.maximum(1 - weights[:, -2:].sum(axis=1), 1e-12), 1e-12)

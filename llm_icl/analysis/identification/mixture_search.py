"""Searches the mixture that explains a subject, among all sets of a few candidates."""

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from llm_icl.analysis.identification.data import Design
from llm_icl.analysis.identification.mixtures import READOUTS, Component, Form, Mixture, fit, forms, log_likelihood

Floats = NDArray[np.float64]

# Of a family so many variants take part in the first search: those that explain most alone, and different ones.
LEADING, VARIANTS = 3, 9
# The search reads components by their label and by their probability as it is; all readouts are fitted afterwards.
_READOUTS = READOUTS[:2]
# Lapses that are tried in the search for classes; they are fitted afterwards.
_LAPSES = (0.005, 0.04, 0.12)
_STEPS = 20


def best_mixture(
    design: Design,
    answers: Floats,
    scores: Sequence[Floats],
    over: str,
    probabilities: bool,
    enough: Callable[[int], float],
) -> Mixture:
    """The mixture over queries, contexts or problems of the fewest components: the best pair, and more as long as each
    adds enough(number of components) nats.

    scores are those of every candidate's variants alone. Of a family, some variants are searched, and then all with the
    components that were found.
    """
    everything = [
        Component(k, v, probability)
        for k, candidate in enumerate(design.candidates)
        for v, probability in enumerate(candidate.probability)
    ]
    leading = {
        (k, int(v))
        for k, (candidate, each) in enumerate(zip(design.candidates, scores, strict=True))
        for v in candidate.spread(np.argsort(-each)[:LEADING], VARIANTS)
    }
    some = [i for i, component in enumerate(everything) if (component.candidate, component.variant) in leading]
    tried = forms(over, probabilities)
    best: Mixture | None = None
    chosen: tuple[int, ...] = ()
    while best is None or len(chosen) < len(scores):
        found = _search(answers, everything, _supplements(chosen, some, everything), tried)
        if any(design.candidates[everything[i].candidate].is_family for i in found):
            found = _search(answers, everything, _variants(found, everything), tried)
        components = tuple(everything[i] for i in found)
        mixture = max((fit(answers, components, form) for form in tried), key=lambda each: each.score)
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
    tried: list[Form],
) -> tuple[int, ...]:
    """The most likely of these sets of components, by a few steps of expectation maximisation for all at once."""
    used = sorted({i for chosen in sets for i in chosen})
    places = np.array([[used.index(i) for i in chosen] for chosen in sets])
    components = [everything[i] for i in used]
    if tried[0].over == "queries":
        return sets[_search_queries(answers, components, places, tried[0].prior)]
    return sets[_search_classes(answers, components, places, tried[-1])]


def _search_queries(answers: Floats, components: list[Component], sets: NDArray[np.int64], prior: float) -> int:
    known = ~np.isnan(answers)
    y, z = (
        np.where(known, part, 0.0).astype(np.float32).reshape(len(answers), -1) for part in (answers, 1 - answers)
    )  # (M, N)
    best, found = -np.inf, 0
    for sharpness in _READOUTS:
        read = np.stack([component.read(sharpness) for component in components]).astype(np.float32)
        columns = read.reshape(len(components), len(answers), -1)[sets]  # (S, D, M, N)
        size = columns.shape[1]
        weights = np.full((len(sets), size + 2, len(answers), 1), 0.96 / size, dtype=np.float32)
        weights[:, -2:] = 0.02
        for _ in range(_STEPS):
            mixed = (weights[:, :-2] * columns).sum(axis=1) + weights[:, -2]  # (S, M, N): P(answer 1)
            up, down = y / mixed, z / (1 - mixed)
            ends = [part.sum(axis=-1)[:, None, :, None] for part in (up, down)]
            pull = (columns * (up - down)[:, None]).sum(axis=-1, keepdims=True) + ends[1]
            weights = weights * np.concatenate([pull, *ends], axis=1)
            weights[:, -2:] += prior
            weights /= weights.sum(axis=1, keepdims=True)
        mixed = (weights[:, :-2] * columns).sum(axis=1) + weights[:, -2]
        score = (y * np.log(mixed) + z * np.log(1 - mixed)).sum(axis=(1, 2))
        if score.max() > best:
            best, found = float(score.max()), int(score.argmax())
    return found


def _search_classes(answers: Floats, components: list[Component], sets: NDArray[np.int64], form: Form) -> int:
    best, found = -np.inf, 0
    for sharpness in _READOUTS:
        read = np.stack([component.read(sharpness) for component in components])
        for lapse in _LAPSES:
            each = form.certainty * log_likelihood(answers, lapse + (1 - 2 * lapse) * read)  # (K, M, C)
            if form.over == "problems":
                each = each.sum(axis=1, keepdims=True)
            inside = each[sets]  # (S, D, M, C)
            largest = inside.max(axis=1, keepdims=True)
            likelihood = np.exp(inside - largest)
            weights = np.full((*inside.shape[:3], 1), 1 / inside.shape[1])
            for _ in range(_STEPS):
                joint = weights * likelihood
                weights = (joint / joint.sum(axis=1, keepdims=True)).mean(axis=-1, keepdims=True)
            score = (np.log((weights * likelihood).sum(axis=1)) + largest[:, 0]).sum(axis=(1, 2))
            if score.max() > best:
                best, found = float(score.max()), int(score.argmax())
    return found

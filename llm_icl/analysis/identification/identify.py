"""Which algorithm gives these answers? The whole analysis of one subject, and its result."""

import numpy as np
from numpy.typing import NDArray

from llm_icl.analysis.identification.alone import log_scores
from llm_icl.analysis.identification.data import Design
from llm_icl.analysis.identification.deciding import Deciding
from llm_icl.analysis.identification.flexible import on_top
from llm_icl.analysis.identification.mixtures import Mixture
from llm_icl.analysis.identification.repeats import Repeats
from llm_icl.analysis.identification.result import Compared, Identification, Mixed
from llm_icl.analysis.identification.shares import explained, regret
from llm_icl.analysis.identification.structure import Left, Structure
from llm_icl.analysis.identification.subject import Subject
from llm_icl.analysis.identification.weights import intervals
from llm_icl.analysis.intervals import NOTHING, Estimate, mean

Floats = NDArray[np.float64]


def identify(
    design: Design,
    answers: Floats,
    *,
    probabilities: bool,
    repeats: Repeats | None = None,
    ceiling: Floats | None = None,
    structure: Structure | None = None,
    flexible: bool = True,
    seed: int = 0,
) -> Identification:
    """Identify the algorithm behind answers (M, C, Q), NaN where there is none.

    Answers are P(answer 1), or labels, of which repeats are all that were given where questions were asked again, and
    ceiling (M, C, Q) is exact Bayes' P(y = 1), where known. structure is `Structure(design)`, which can be shared by
    many subjects. flexible says whether to fit the flexible model too, which no verdict depends on: a quarter of the
    time. Problems without any answer take no part.
    """
    answered = (~np.isnan(answers)).sum(axis=(0, 2)) > 0  # (C,)
    if answered.any() and not answered.all():
        design, structure, answers = design.of(answered), None, answers[:, answered]
        ceiling = None if ceiling is None else ceiling[:, answered]
        repeats = None if repeats is None else repeats.of(answered)
    return _result(
        Subject(design, answers, probabilities, repeats, structure or Structure(design), seed), ceiling, flexible
    )


def _result(subject: Subject, ceiling: Floats | None, flexible: bool) -> Identification:
    deciding = Deciding(subject)
    decision = deciding.decide()
    certain = subject.certain(decision.model)
    own = subject.own_given(certain)
    span = float((own - subject.base_scores).sum())
    lost, of_model = np.nan, np.nan
    if ceiling is not None:
        lost, of_model = regret(subject.answers, ceiling, decision.model, subject.probabilities)
    return Identification(
        verdict=decision.verdict,
        names=decision.names,
        sizes=subject.design.sizes,
        problems=subject.design.shape[1],
        candidates=tuple(_compared(subject, int(k), own, deciding.tests.get(int(k))) for k in subject.order),
        leader=subject.design.names[subject.lead],
        constant=float(subject.base_scores.sum() / subject.answered),
        own=float(own.sum() / subject.answered),
        own_known=subject.own_known,
        score=float(decision.held_out.sum() / subject.answered),
        share=explained(decision.held_out, subject.base_scores, own, subject.seed),
        expected_share=float((certain - subject.base_scores).sum() / span) if span > 1e-9 else np.nan,
        flexible=_flexible(subject, decision.model) if flexible else NOTHING,
        left=decision.left,
        independent=deciding.independent,
        query_only=deciding.query_only,
        mixtures=tuple(_mixed(subject, own, *each) for each in deciding.mixtures),
        power=decision.power,
        needed=decision.needed,
        noticed=decision.noticed,
        regret=lost,
        regret_explained=of_model,
    )


def _flexible(subject: Subject, model: Floats) -> Estimate:
    """What the flexible model adds to a model's score, per answer."""
    added = on_top(subject.structure, subject.answers, model) - log_scores(subject.answers, model)  # (C,)
    return mean(added, subject.counts)


def _compared(subject: Subject, k: int, own: Floats, left: Left | None) -> Compared:
    candidate, scores = subject.design.candidates[k], subject.alone.held_out[k]
    behind = subject.alone.held_out[subject.lead] - scores
    return Compared(
        candidate.name,
        candidate.variants[subject.alone.variant[k]] if candidate.variants else candidate.name,
        float(scores.sum() / subject.answered),
        NOTHING if k == subject.lead else mean(behind, subject.counts),
        explained(scores, subject.base_scores, own, subject.seed),
        float(subject.corrected[k]),
        left,
        tuple((scores - subject.base_scores).round(4).tolist()),
    )


def _mixed(subject: Subject, own: Floats, mixture: Mixture, held_out: Floats, left: Left) -> Mixed:
    names = tuple(subject.design.names[component.candidate] for component in mixture.components)
    by_size, weights = intervals(mixture)
    share = explained(held_out, subject.base_scores, own, subject.seed)
    return Mixed(mixture.form.over, names, by_size, weights, share, left)
